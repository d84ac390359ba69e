"""Quantization of a network with shared weights to the sparse engine's integers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import dequantize, quantize, quantize_multiplier
from eieio.model.network import Ending
from eieio.model.shared_network import SharedLayer, SharedNetwork
from eieio.model.sparse.config import SparseConfig

__all__ = ["QuantizedLayer", "QuantizedNetwork", "Quantizer", "accumulator_bound",
           "quantize_network"]

#: Bits of the widest accumulator, and of a bias.
WIDEST_ACCUMULATOR, BIAS_WIDTH = 48, 32

#: Largest codebook entry, in bits beside the sign, that quantization must be able to use.
MINIMUM_WEIGHT_BITS = 6


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """A fully connected layer in integers.

    ``output = requantize(codebook[codes] @ input + bias)``, where a real activation is its integer
    times the scale.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user.
    codes : uint8 array of shape (outputs, inputs)
        Weight codes; code 0 is the weight 0.
    codebook : int32 array of shape (2 ** code_width,)
        Shared weights.
    bias : int64 array of shape (outputs,)
        Biases, in units of ``input_scale * weight_scale``.
    multiplier, shift : :class:`int`
        Requantization, see :func:`eieio.model.fixed_point.requantize`.
    minimum, maximum : :class:`int`
        Range of the output activations; the minimum is 0 after a rectifier.
    input_scale, weight_scale, output_scale : :class:`float`
        Real value of the integer 1.
    single_rounding : :class:`bool`
        Whether requantization rounds once. The default is twice.
    """

    name: str
    codes: NDArray[np.uint8]
    codebook: NDArray[np.int32]
    bias: NDArray[np.int64]
    multiplier: int
    shift: int
    minimum: int
    maximum: int
    input_scale: float
    weight_scale: float
    output_scale: float
    single_rounding: bool = False

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.codes.shape[1]

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.codes.shape[0]


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A chain of :class:`QuantizedLayer`.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user.
    layers : tuple of :class:`QuantizedLayer`
        At least one; the inputs of each are the outputs of the one before.
    activation_width : :class:`int`
        Bits of an activation.
    ending : :data:`~eieio.model.network.Ending`
        What the host computes of the outputs.
    """

    name: str
    layers: tuple[QuantizedLayer, ...]
    activation_width: int
    ending: Ending = "none"

    @property
    def input_scale(self) -> float:
        """Real value of the input integer 1."""
        return self.layers[0].input_scale

    @property
    def output_scale(self) -> float:
        """Real value of the output integer 1."""
        return self.layers[-1].output_scale

    def quantize_input(self, x: NDArray[np.floating]) -> NDArray[np.int32]:
        """Round inputs of shape (samples, inputs) to the nearest integers, and saturate them.

        A half is rounded to the even integer: see :func:`eieio.model.fixed_point.quantize`.

        Raises
        ------
        InputError
            If the shape does not fit, or a value is not finite.
        """
        inputs = self.layers[0].inputs
        if x.ndim != 2 or x.shape[1] != inputs:
            raise InputError(f"Input must have shape (samples, {inputs}), not {x.shape}")
        if not np.isfinite(x).all():
            raise InputError("Input must be finite")
        maximum = (1 << (self.activation_width - 1)) - 1
        integers = quantize(x, self.input_scale, 0, self.activation_width, "even")
        return np.maximum(integers, -maximum).astype(np.int32)

    def dequantize_output(self, y: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the real values of output integers."""
        return dequantize(y, self.output_scale, 0).astype(np.float32)


def accumulator_bound(codes: NDArray[np.uint8], codebook: NDArray[np.integer],
                      bias: NDArray[np.integer], activation_maximum: int) -> int:
    """Bound the accumulators of a layer: the largest ``sum(|w|) * max|a| + |bias|``.

    Every partial sum, in any order, stays within it, so that the order of additions cannot change
    a result.
    """
    return _bound(_count_codes(codes, codebook.size), codebook, bias, activation_maximum)


def _count_codes(codes: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
    """Count how often each row has each code: shape (rows, size)."""
    return np.stack([np.bincount(row, minlength=size) for row in codes])


def _bound(counts: NDArray[np.int64], codebook: NDArray[np.integer], bias: NDArray[np.integer],
           activation_maximum: int) -> int:
    magnitudes = np.abs(codebook.astype(np.int64))
    return int((counts @ magnitudes * activation_maximum + np.abs(bias)).max())


def accumulator_width(bound: int) -> int:
    """Bits of a signed accumulator that holds ``bound`` and ``-bound``."""
    return bound.bit_length() + 1


def quantize_network(network: SharedNetwork, samples: NDArray[np.floating], config: SparseConfig,
                     *, headroom: float = 1.25) -> QuantizedNetwork:
    """Choose scales from sample inputs, and round a network to integers.

    The scale of an activation is the largest magnitude that the samples reach times ``headroom``
    over the largest integer. The scale of a layer's weights uses the whole width of the codebook,
    or as much of it as the accumulator allows in the worst case.

    Parameters
    ----------
    network : SharedNetwork
        Network to quantize.
    samples : float array of shape (samples, inputs)
        Typical inputs.
    config : SparseConfig
        Widths of activations, weights and accumulators.
    headroom : :class:`float`
        How far beyond the samples an activation may reach before it saturates; at least 1.

    Returns
    -------
    QuantizedNetwork
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
        If the samples do not fit.
    """

    def __init__(self, network: SharedNetwork, samples: NDArray[np.floating], *,
                 headroom: float = 1.25) -> None:
        if samples.ndim != 2 or samples.shape[1] != network.layers[0].inputs or not len(samples):
            raise InputError(f"Samples must have shape (samples, {network.layers[0].inputs}), "
                             f"not {samples.shape}")
        if not np.isfinite(samples).all():
            raise InputError("Samples must be finite")
        if headroom < 1:
            raise InputError(f"Headroom must be at least 1, not {headroom}")
        self.network = network
        x = samples.astype(np.float32)
        with np.errstate(all="ignore"):  # what is not finite is refused
            tensors = [x, *network.to_network().activations(x)]
        for layer, tensor in zip(network.layers, tensors[1:], strict=True):
            if not np.isfinite(tensor).all():
                raise InputError(f"Layer {layer.name!r}: outputs must be finite in float32 for all "
                                 "samples, whose numbers may be too large")
        self._ranges = [float(np.abs(tensor).max()) * headroom for tensor in tensors]
        #: Mean and variance of each layer's inputs.
        self.moments = [(float(tensor.mean(dtype=np.float64)), float(tensor.var(dtype=np.float64)))
                        for tensor in tensors[:-1]]
        #: How often each row of each layer has each code.
        self.counts = [_count_codes(layer.codes, layer.codebook.size) for layer in network.layers]

    def quantize(self, config: SparseConfig) -> QuantizedNetwork:
        """Round the network to the widths of an engine.

        Raises
        ------
        InputError
            If an accumulator could overflow even with coarse weights.
        """
        scales = [extent / config.activation_maximum or 1.0 for extent in self._ranges]
        layers = []
        input_scale = scales[0]
        for layer, counts, output_scale in zip(self.network.layers, self.counts, scales[1:],
                                               strict=True):
            quantized = _quantize_layer(layer, counts, input_scale, output_scale, config)
            layers.append(quantized)
            input_scale = quantized.output_scale
        return QuantizedNetwork(self.network.name, tuple(layers), config.activation_width,
                                self.network.ending)


def _quantize_layer(layer: SharedLayer, counts: NDArray[np.int64], input_scale: float,
                    output_scale: float, config: SparseConfig) -> QuantizedLayer:
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
        return codebook, bias, _bound(counts, codebook, bias, config.activation_maximum)

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
    multiplier, shift = quantize_multiplier(input_scale * weight_scale / output_scale)
    minimum = 0 if layer.relu else -config.activation_maximum
    return QuantizedLayer(layer.name, layer.codes, codebook, bias, multiplier, shift, minimum,
                          config.activation_maximum, input_scale, weight_scale, output_scale)


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
