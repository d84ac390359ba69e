"""How exactly a sparse engine's integers stand for a network, and the accumulators that take it."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import FloatGraph, run
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.sparse.chain import layers_of, run_layers, shared_weights
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.quantization import WIDEST_ACCUMULATOR, Quantizer

__all__ = ["ENOUGH_DB", "choose_accumulator_width", "layer_snr", "signal_to_noise", "weight_snr"]

#: Signal-to-noise ratio, in dB, from which on finer weights are worth no wider accumulator: noise
#: is then a thousandth of the signal.
ENOUGH_DB = 60.0
#: What the widest accumulator may be better, in dB, where none gives enough.
_CLOSE_DB = 1.0
#: Multiply-accumulates that may be spent on measuring.
_MEASURED_MACS = 1 << 31


def signal_to_noise(signal: float, noise: float) -> float | None:
    """Return the ratio of two powers in dB, or None where one of them is 0."""
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


def weight_snr(quantizer: Quantizer, quantized: QuantizedGraph) -> list[float | None]:
    """Compare each layer's weights with the integers that they were rounded to, in dB.

    It is the ratio that a layer's sums keep, of inputs with the samples' mean and variance. Of a
    code that a row has often the error adds up, and weighs more the farther the mean is from 0.
    None stands for weights that are all 0, or that rounding does not change.
    """
    ratios = []
    for layer, counts, (mean, variance), integer in zip(
            quantizer.network.weighted, quantizer.counts, quantizer.moments, layers_of(quantized),
            strict=True):
        weights = layer.codebook.astype(np.float64)
        rounded = shared_weights(integer)
        error = rounded.codebook * (rounded.scale or 0.0) - weights
        # A weight that is within float32 of its integer is no less exact than the network's own.
        error[np.abs(error) <= np.abs(weights) * 2.0**-24] = 0
        signal, noise = (
            float(variance * (counts @ np.square(values)).sum()
                  + mean**2 * np.square(counts @ values).sum())
            for values in (weights, error))
        ratios.append(signal_to_noise(signal, noise))
    return ratios


def choose_accumulator_width(quantizer: Quantizer, config: SparseConfig) -> int:
    """Choose the narrowest accumulator, of no less than the default's bits, that a network needs.

    The accumulator's bits are what the scales of the weights must leave room in. It is wide enough
    if each layer's weights keep :data:`ENOUGH_DB`, or nearly as much as with the widest one.

    Parameters
    ----------
    quantizer : Quantizer
        Network and samples.
    config : SparseConfig
        All other widths.

    Raises
    ------
    InputError
        If even the widest accumulator could overflow.
    """
    def ratios(width: int) -> Sequence[float]:
        quantized = quantizer.quantize(replace(config, accumulator_width=width))
        return [math.inf if ratio is None else ratio for ratio in weight_snr(quantizer, quantized)]

    wanted = [min(ENOUGH_DB, ratio - _CLOSE_DB) for ratio in ratios(WIDEST_ACCUMULATOR)]
    for width in range(SparseConfig.accumulator_width, WIDEST_ACCUMULATOR):
        try:
            found = ratios(width)
        except InputError:
            continue
        if all(ratio >= least for ratio, least in zip(found, wanted, strict=True)):
            return width
    return WIDEST_ACCUMULATOR


def layer_snr(network: FloatGraph, quantized: QuantizedGraph, x: NDArray[np.floating]
              ) -> list[float | None]:
    """Compare what each layer gives in real numbers and in integers, earlier rounding included.

    Parameters
    ----------
    network : FloatGraph
        The chain of layers in real numbers.
    quantized : QuantizedGraph
        The same in integers.
    x : float array of shape (samples, inputs)
        Typical inputs. Of a large network, only so many are computed as takes about a second.

    Returns
    -------
    list of :class:`float` or None
        Ratio of each layer's activations to their errors, in dB; None where one of them is 0.
    """
    work = sum(layer.weight.size for layer in network.weighted)
    x = x[:max(1, _MEASURED_MACS // max(1, work))]
    values = run(network, x, np.float32)
    exact = [values[layer.output.name] for layer in network.weighted]
    integers = run_layers(quantized, quantized.quantize_input(x))
    ratios = []
    for real, integer, layer in zip(exact, integers, layers_of(quantized), strict=True):
        signal = real.astype(np.float64)
        error = layer.output.dequantize(integer) - signal
        ratios.append(signal_to_noise(float(np.square(signal).sum()),
                                      float(np.square(error).sum())))
    return ratios
