"""Quantization of a network with shared weights to the sparse engine's integers."""

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import quantize_multiplier
from eieio.model.graph.chain import as_chain, ending
from eieio.model.graph.float_graph import FloatGraph, WeightedOperator, run
from eieio.model.graph.quantized_graph import (
    FullyConnected,
    QuantizedGraph,
    SharedWeights,
    Tensor,
)
from eieio.model.graph.shared_weights import count_codes
from eieio.model.sparse.chain import chain, dense_layer, source_tensor
from eieio.model.sparse.config import SparseConfig

__all__ = ["Quantizer", "accumulator_width", "overflow_text", "quantize_network"]

#: Bits of the widest accumulator, and of a bias.
WIDEST_ACCUMULATOR, BIAS_WIDTH = 48, 32

#: Largest codebook entry, in bits beside the sign, that quantization must be able to use.
MINIMUM_WEIGHT_BITS = 6


def accumulator_width(bound: int) -> int:
    """Bits of a signed accumulator that holds ``bound`` and ``-bound``."""
    return bound.bit_length() + 1


def quantize_network(network: FloatGraph, samples: NDArray[np.floating], config: SparseConfig,
                     *, headroom: float = 1.25) -> QuantizedGraph:
    """Choose scales from sample inputs, and round a network to integers.

    The scale of an activation is the largest magnitude that the samples reach times ``headroom``
    over the largest integer. The scale of a layer's weights uses the whole width of the codebook,
    or as much of it as the accumulator allows in the worst case.

    Parameters
    ----------
    network : FloatGraph
        Chain of fully connected layers with shared weights.
    samples : float array of shape (samples, inputs)
        Typical inputs.
    config : SparseConfig
        Widths of activations, weights and accumulators.
    headroom : :class:`float`
        How far beyond the samples an activation may reach before it saturates; at least 1.

    Returns
    -------
    QuantizedGraph
        The network in integers.

    Raises
    ------
    InputError
        If the samples do not fit, or an accumulator could overflow even with coarse weights.
    """
    return Quantizer(network, samples, headroom=headroom).quantize(config)


class Quantizer:
    """Rounds a network to integers of any widths; what depends on no width is computed once.

    Parameters
    ----------
    network, samples, headroom :
        As in :func:`quantize_network`.

    Raises
    ------
    InputError
        If the network is no such chain, or the samples do not fit.
    """

    def __init__(self, network: FloatGraph, samples: NDArray[np.floating], *,
                 headroom: float = 1.25) -> None:
        network = as_chain(network)
        inputs = network.input.elements
        if samples.ndim != 2 or samples.shape[1] != inputs or not len(samples):
            raise InputError(f"Samples must have shape (samples, {inputs}), not {samples.shape}")
        if not np.isfinite(samples).all():
            raise InputError("Samples must be finite")
        if headroom < 1:
            raise InputError(f"Headroom must be at least 1, not {headroom}")
        self.network = network
        with np.errstate(all="ignore"):  # what is not finite is refused
            values = run(network, samples, np.float32)
        tensors = [values[network.input.name],
                   *(values[layer.output.name] for layer in network.weighted)]
        for layer, tensor in zip(network.weighted, tensors[1:], strict=True):
            if not np.isfinite(tensor).all():
                raise InputError(f"Layer {layer.name!r}: outputs must be finite in float32 for all "
                                 "samples, whose numbers may be too large")
        self._ranges = [float(np.abs(tensor).max()) * headroom for tensor in tensors]
        #: Mean and variance of each layer's inputs.
        self.moments = [(float(tensor.mean(dtype=np.float64)), float(tensor.var(dtype=np.float64)))
                        for tensor in tensors[:-1]]
        #: How often each row of each layer has each code.
        self.counts = [count_codes(layer.codes, layer.codebook.size) for layer in network.weighted]

    def quantize(self, config: SparseConfig) -> QuantizedGraph:
        """Round the network to the widths of an engine.

        Raises
        ------
        InputError
            If an accumulator could overflow even with coarse weights.
        """
        source_scale, *scales = [extent / config.activation_maximum or 1.0
                                 for extent in self._ranges]
        layers: list[FullyConnected] = []
        source = source_tensor(self.network.input.elements, config.activation_width,
                               source_scale)
        for layer, counts, output_scale in zip(self.network.weighted, self.counts, scales,
                                               strict=True):
            layers.append(_quantize_layer(layer, counts, source, output_scale, config))
            source = layers[-1].output
        return chain(self.network.name, layers, ending(self.network))


def _quantize_layer(layer: WeightedOperator, counts: NDArray[np.int64], source: Tensor,
                    output_scale: float, config: SparseConfig) -> FullyConnected:
    input_scale = source.scale
    limit = (1 << (config.accumulator_width - 1)) - 1
    # The bias memory is 32 bits wide, however wide the accumulator.
    bias_limit = min(limit, (1 << (BIAS_WIDTH - 1)) - 1)
    weight_maximum = (1 << (config.weight_width - 1)) - 1
    # A weight that no code names must not make the others coarse.
    shared = np.where(counts.any(axis=0), layer.codebook, np.float32(0))
    largest = float(np.abs(shared).max())
    required = min(weight_maximum, (1 << MINIMUM_WEIGHT_BITS) - 1)

    def rounded(steps: float) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:
        scale = largest / steps if largest else output_scale / input_scale
        codebook = np.rint(shared / scale).astype(np.int32)
        # What is beyond 62 bits is refused below; int64 must hold it until then.
        bias = np.clip(np.rint(layer.bias / (input_scale * scale)), -2.0**62, 2.0**62)
        bias = bias.astype(np.int64)
        sums = counts @ np.abs(codebook.astype(np.int64))
        return codebook, bias, int((sums * config.activation_maximum + np.abs(bias)).max())

    def fits(steps: float) -> bool:
        _, bias, bound = rounded(steps)
        return bound <= limit and int(np.abs(bias).max()) <= bias_limit

    if not fits(required):
        _, bias, bound = rounded(required)
        needed = accumulator_width(bound)
        if needed <= config.accumulator_width:
            bits = accumulator_width(int(np.abs(bias).max()))
            raise InputError(
                f"Layer {layer.name!r}: the biases are too large beside inputs and weights: they "
                f"need {bits} bits, and the bias memory has {bias_limit.bit_length() + 1}"
                + _narrower(config, bits - bias_limit.bit_length() - 1))
        raise InputError(
            f"Layer {layer.name!r}: {overflow_text(needed, config)}")
    # The finest whole number of steps that fits; the bound grows with it but for rounding.
    low, high = required, weight_maximum
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    codebook, bias, _ = rounded(low)
    weight_scale = largest / low if largest else output_scale / input_scale
    # An output finer than the accumulator would only add noise below the last bit.
    output_scale = max(output_scale, input_scale * weight_scale * (1 + 2**-30))
    limits = (0 if layer.rectified else -config.activation_maximum, config.activation_maximum)
    return dense_layer(layer.name, source, SharedWeights(layer.codes, codebook, weight_scale), bias,
                       quantize_multiplier(input_scale * weight_scale / output_scale), limits,
                       output_scale)


def overflow_text(needed: int, config: SparseConfig) -> str:
    """Say that an accumulator needs more bits than there are, and what would fit."""
    text = (f"the accumulator could overflow: it needs {needed} bits, and accumulator_width is "
            f"{config.accumulator_width}")
    if needed <= WIDEST_ACCUMULATOR:
        return f"{text}: --accumulator-width {needed} fits"
    return (f"{text}, of at most {WIDEST_ACCUMULATOR}"
            + _narrower(config, needed - WIDEST_ACCUMULATOR))


def _narrower(config: SparseConfig, bits: int) -> str:
    """Advise activations that are narrower by so many bits, if there are such."""
    width = config.activation_width - bits
    return f": --activation-width {width} may fit" if width >= 4 else ""
