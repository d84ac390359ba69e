"""A network of integers, as a graph of operators.

All arithmetic is in integers. A tensor says its own width; a real activation is
``scale * (q - zero_point)``, weights have zero point 0 and a scale for each output channel, biases
are at the scale of the sums. With activations and weights of int8 and biases of int32 this is
TensorFlow Lite's 8-bit quantization specification. The operators hold what computes the integers:
weights, biases, multipliers, shifts and clamps. Scales of activations are kept for the user's real
numbers.

Images are in the order height, width, channels. Shapes are of one sample; arrays of activations
have the samples as one more axis in front.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import MULTIPLIER_WIDTH, SHIFT_MAXIMUM
from eieio.model.graph.ending import Ending
from eieio.model.graph.rescale import (
    LEFT_SHIFT_MAXIMUM,
    RIGHT_SHIFT_MAXIMUM,
    quantize_factor,
)
from eieio.model.graph.shared_weights import SharedWeights
from eieio.model.graph.tensor import Tensor
from eieio.model.graph.window import Window

__all__ = [
    "ADD_LEFT_SHIFT",
    "BIAS_SHIFT_MAXIMUM",
    "Add",
    "AveragePool",
    "Conv2D",
    "DepthwiseConv2D",
    "FullyConnected",
    "LogSoftmax",
    "MaxPool",
    "Operator",
    "Pad",
    "Pool",
    "QuantizedGraph",
    "Reshape",
    "SharedWeights",
    "Softmax",
    "Stack",
    "Tensor",
    "WeightedOperator",
    "Window",
    "with_plain_biases",
]

#: Bits by which :class:`Add` widens its operands, so that their rescaling rounds below the result.
ADD_LEFT_SHIFT = 20

#: Largest :attr:`WeightedOperator.bias_shift`.
BIAS_SHIFT_MAXIMUM = 7

#: Bits of accumulators that no operator overflows, by the type of its biases.
ACCUMULATOR_WIDTHS = {np.dtype(np.int32): 32, np.dtype(np.int64): 48}


@dataclass(frozen=True, eq=False)
class Operator:
    """What computes one tensor from others.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user, its own in a graph.
    inputs : tuple of :class:`Tensor`
        Operands.
    output : :class:`Tensor`
        Result.

    Raises
    ------
    InputError
        If tensors and parameters do not fit: the message names the operator.
    """

    name: str
    inputs: tuple[Tensor, ...]
    output: Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != self._operands():
            raise self._error(f"must have {self._operands()} inputs, not {len(self.inputs)}")
        try:
            self._check()
        except InputError as error:
            raise self._error(str(error)) from None

    def _error(self, message: str) -> InputError:
        return InputError(f"{type(self).__name__} {self.name!r}: {message}")

    def _operands(self) -> int:
        return 1

    def _check(self) -> None:
        """Raise an InputError whose message says what does not fit."""

    @property
    def input(self) -> Tensor:
        """First operand."""
        return self.inputs[0]

    @property
    def macs(self) -> int:
        """Products of a weight and an activation for one sample, padding included."""
        return 0


@dataclass(frozen=True, eq=False)
class WeightedOperator(Operator):
    """An operator that sums products of weights and activations, and rescales the sums.

    ``output = rescale(sum(weight * (input - input.zero_point)) * 2**bias_shift + bias, multiplier,
    shift, output.zero_point, minimum, maximum, single_rounding=single_rounding, wraps=wraps)``, see
    :func:`eieio.model.graph.rescale.rescale`. An element of the padding is the zero point, a
    real 0.

    No accumulator overflows, neither before nor after a left shift. With biases of int32 it has 32
    bits, and weights are int8, as in TensorFlow Lite; with biases of int64 it has 48 bits, and
    weights may be int16 or int32, too.

    Attributes
    ----------
    stored_weight : integer array, or SharedWeights
        Weights, in the shape that the operator says.
    bias : int32 or int64 array of shape (channels,)
        Biases of the output channels, in steps of ``2**-bias_shift`` of the sums' steps.
    multiplier, shift : int32 arrays of shape (channels,)
        Factors of the output channels, for :func:`eieio.model.graph.rescale.rescale`; of steps of
        the biases.
    minimum, maximum : :class:`int`
        Range of the output. A rectifier has the zero point as its minimum.
    single_rounding : :class:`bool`
        Whether the sums are rescaled in one rounding. The default is in two.
    bias_shift : :class:`int`
        How much finer than a step of the sums a step of the biases is, as a power of two: 0 to
        :data:`BIAS_SHIFT_MAXIMUM`. Biases in real numbers need it.
    wraps : :class:`bool`
        Whether results above the maximum, which is that of the tensor then, are taken modulo
        2 to the tensor's width: the lowest digit of a number that is larger.
    """

    stored_weight: NDArray[np.integer] | SharedWeights
    bias: NDArray[np.int32] | NDArray[np.int64]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    minimum: int
    maximum: int
    single_rounding: bool = field(default=False, kw_only=True)
    bias_shift: int = field(default=0, kw_only=True)
    wraps: bool = field(default=False, kw_only=True)

    def _check(self) -> None:
        stored, shape = self.stored_weight, (self.channels,)
        limit = ACCUMULATOR_WIDTHS.get(self.bias.dtype)
        if limit is None or self.bias.shape != shape:
            raise InputError(f"bias must be an int32 or int64 array of shape {shape}, not "
                             f"{self.bias.dtype} of shape {self.bias.shape}")
        kinds = ("int8",) if limit == 32 else ("int8", "int16", "int32")
        kind = self.weight_kind
        if kind not in kinds or len(stored.shape) != len(self._axes()):
            raise InputError(f"weight must be an {' or '.join(kinds)} array of shape "
                             f"{self._axes()}, not {kind} of shape {stored.shape}")
        for what in ("multiplier", "shift"):
            array: NDArray[np.int32] = getattr(self, what)
            if array.dtype != np.int32 or array.shape != shape:
                raise InputError(f"{what} must be an int32 array of shape {shape}, not "
                                 f"{array.dtype} of shape {array.shape}")
        right = RIGHT_SHIFT_MAXIMUM if limit == 32 else SHIFT_MAXIMUM
        for multiplier, shift in set(zip(self.multiplier.tolist(), self.shift.tolist(),
                                         strict=True)):
            _check_factor(multiplier, shift, right)
        _check_range(self.minimum, self.maximum, self.output)
        if self.wraps and self.maximum != self.output.maximum:
            raise InputError(f"maximum of what wraps must be {self.output.maximum}, not "
                             f"{self.maximum}")
        if not 0 <= self.bias_shift <= BIAS_SHIFT_MAXIMUM:
            raise InputError(f"bias_shift must be from 0 to {BIAS_SHIFT_MAXIMUM}, not "
                             f"{self.bias_shift}")
        if self.accumulator_width > limit:
            raise InputError(f"accumulator must not need more than {limit} bits, not "
                             f"{self.accumulator_width}, left shift included")

    def _axes(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _sums(self) -> NDArray[np.int64]:
        """Sum the magnitudes of the weights of every channel."""
        raise NotImplementedError

    @property
    def weight(self) -> NDArray[np.integer]:
        """Weights, one by one: of shared weights, made of codes and codebook at every use."""
        stored = self.stored_weight
        return stored.weight if isinstance(stored, SharedWeights) else stored

    @property
    def weight_kind(self) -> str:
        """Name of the type of the weights; of shared ones the smallest that holds them."""
        stored = self.stored_weight
        return stored.kind if isinstance(stored, SharedWeights) else stored.dtype.name

    @property
    def channels(self) -> int:
        """Number of output channels."""
        raise NotImplementedError

    @property
    def channel_bounds(self) -> NDArray[np.int64]:
        """Bounds of the accumulators, int64 array of shape (channels,).

        ``sum(|weight|) * max|input - zero_point| * 2**bias_shift + |bias|``, in steps of the
        biases: no partial sum, in any order, is beyond it.
        """
        return ((self._sums() * self.input.largest << self.bias_shift)
                + np.abs(self.bias.astype(np.int64)))

    @property
    def accumulator_bound(self) -> int:
        """Bound of all accumulators: see :attr:`channel_bounds`."""
        return int(self.channel_bounds.max())

    @property
    def accumulator_width(self) -> int:
        """Bits that a signed accumulator must have, before and after a left shift."""
        left_shift = np.maximum(-self.shift.astype(np.int64), 0)
        return max(int(bound << shift).bit_length() + 1 for bound, shift
                   in zip(self.channel_bounds.tolist(), left_shift.tolist(), strict=True))


Weighted = TypeVar("Weighted", bound=WeightedOperator)


@dataclass(frozen=True, eq=False)
class Conv2D(WeightedOperator):
    """A convolution (in truth a correlation, as everywhere in the field).

    Attributes
    ----------
    stored_weight : SharedWeights, or integer array, of shape (channels, height, width, channels)
        Weights.
    window : :class:`Window`
        How the kernel slides; its size is the weights'.
    """

    window: Window

    def _axes(self) -> tuple[str, ...]:
        return "channels", "height", "width", "input channels"

    def _sums(self) -> NDArray[np.int64]:
        return np.abs(self.weight.astype(np.int64)).sum(axis=(1, 2, 3))

    def _check(self) -> None:
        super()._check()
        height, width, depth = _image(self.input)
        _check_shape("weight", self.stored_weight.shape[1:], (*self.window.kernel, depth))
        _check_shape("output", self.output.shape,
                     (*self.window.output_size(height, width), self.channels))

    @property
    def channels(self) -> int:
        return self.stored_weight.shape[0]

    @property
    def macs(self) -> int:
        return self.output.elements * math.prod(self.stored_weight.shape[1:])


@dataclass(frozen=True, eq=False)
class DepthwiseConv2D(WeightedOperator):
    """A convolution of every channel on its own.

    With ``d`` output channels for each input channel, output channel ``c`` is computed from input
    channel ``c // d``.

    Attributes
    ----------
    stored_weight : integer array, or SharedWeights, of shape (height, width, channels)
        Weights; the output channels are a multiple of the input's.
    window : :class:`Window`
        How the kernel slides; its size is the weights'.
    """

    window: Window

    def _axes(self) -> tuple[str, ...]:
        return "height", "width", "channels"

    def _sums(self) -> NDArray[np.int64]:
        return np.abs(self.weight.astype(np.int64)).sum(axis=(0, 1))

    def _check(self) -> None:
        super()._check()
        height, width, depth = _image(self.input)
        _check_shape("weight", self.stored_weight.shape[:2], self.window.kernel)
        if self.channels % depth:
            raise InputError(f"channels must be a multiple of {depth}, the input's, not "
                             f"{self.channels}")
        _check_shape("output", self.output.shape,
                     (*self.window.output_size(height, width), self.channels))

    @property
    def channels(self) -> int:
        return self.stored_weight.shape[2]

    @property
    def macs(self) -> int:
        return self.output.elements * math.prod(self.window.kernel)


@dataclass(frozen=True, eq=False)
class FullyConnected(WeightedOperator):
    """A product with a matrix, of all elements of the input in their order.

    Attributes
    ----------
    stored_weight : integer array, or SharedWeights, of shape (channels, input elements)
        Weights.
    """

    def _axes(self) -> tuple[str, ...]:
        return "channels", "input elements"

    def _sums(self) -> NDArray[np.int64]:
        stored = self.stored_weight
        if isinstance(stored, SharedWeights):
            return stored.counts() @ np.abs(stored.codebook.astype(np.int64))
        return np.abs(stored.astype(np.int64)).sum(axis=1)

    def _check(self) -> None:
        super()._check()
        _check_shape("weight", self.stored_weight.shape[1:], (self.input.elements,))
        if self.output.elements != self.channels:
            raise InputError(f"output must have {self.channels} elements, one for each channel, "
                             f"not shape {self.output.shape}")

    @property
    def channels(self) -> int:
        return self.stored_weight.shape[0]

    @property
    def macs(self) -> int:
        return self.stored_weight.size


@dataclass(frozen=True, eq=False)
class Pool(Operator):
    """An operator that reduces the elements of a window, for every channel on its own.

    Padding takes no part. Input and output have one scale and zero point.

    Attributes
    ----------
    window : :class:`Window`
        How the window slides; not dilated.
    minimum, maximum : :class:`int`
        Range of the output.
    """

    window: Window
    minimum: int
    maximum: int

    def _check(self) -> None:
        _check_range(self.minimum, self.maximum, self.output)
        _check_same_scale(self.input, self.output)
        height, width, depth = _image(self.input)
        if self.window.dilation != (1, 1):
            raise InputError(f"dilation must be (1, 1), not {self.window.dilation}")
        _check_shape("output", self.output.shape,
                     (*self.window.output_size(height, width), depth))


@dataclass(frozen=True, eq=False)
class AveragePool(Pool):
    """Means of windows, of the elements inside of the image: rounded, a half away from zero."""


@dataclass(frozen=True, eq=False)
class MaxPool(Pool):
    """Maxima of windows."""


@dataclass(frozen=True, eq=False)
class Add(Operator):
    """The sum of two tensors of one shape.

    Each operand, less its zero point, is shifted to the left by :data:`ADD_LEFT_SHIFT` and rescaled
    by its factor; the sum of both is rescaled to the output.

    Attributes
    ----------
    multipliers, shifts : tuple of 3 :class:`int`
        Factors, as :func:`eieio.model.graph.rescale.quantize_factor` returns them: of the two
        operands, and of the sum. Right shifts only.
    minimum, maximum : :class:`int`
        Range of the output.
    single_rounding : :class:`bool`
        Whether the sum is rescaled in one rounding. The default is in two, as the operands are.
    """

    multipliers: tuple[int, int, int]
    shifts: tuple[int, int, int]
    minimum: int
    maximum: int
    single_rounding: bool = field(default=False, kw_only=True)

    def _operands(self) -> int:
        return 2

    def _check(self) -> None:
        if len(self.multipliers) != 3 or len(self.shifts) != 3:
            raise InputError("must have 3 multipliers and 3 shifts, not "
                             f"{len(self.multipliers)} and {len(self.shifts)}")
        for multiplier, shift in zip(self.multipliers, self.shifts, strict=True):
            _check_factor(multiplier, shift)
            if shift < 0:
                raise InputError(f"shift must not be negative, not {shift}")
        _check_range(self.minimum, self.maximum, self.output)
        for operand in self.inputs:
            _check_shape("inputs", operand.shape, self.output.shape)

    @staticmethod
    def factors(first: float, second: float, output: float) \
            -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Find multipliers and shifts for the scales of the operands and of the output.

        The operands are rescaled to twice the larger of their scales, as in TensorFlow Lite.

        Raises
        ------
        InputError
            If the output is too fine: its scale must be above 2**-19 of the larger operand's.
        """
        twice = 2 * max(first, second)
        real = (first / twice, second / twice, twice / (output * (1 << ADD_LEFT_SHIFT)))
        if real[2] >= 1:
            raise InputError(f"Output scale must be above {twice / (1 << ADD_LEFT_SHIFT)!r}, "
                             f"2**-{ADD_LEFT_SHIFT - 1} of the larger operand's, not {output!r}")
        pairs = [quantize_factor(factor) for factor in real]
        (a, a_shift), (b, b_shift), (c, c_shift) = pairs
        return (a, b, c), (a_shift, b_shift, c_shift)


@dataclass(frozen=True, eq=False)
class Reshape(Operator):
    """The same elements in the same order, in another shape."""

    def _check(self) -> None:
        _check_same_scale(self.input, self.output)
        if self.input.elements != self.output.elements:
            raise InputError(f"output must have {self.input.elements} elements, as the input, not "
                             f"{self.output.elements}")


@dataclass(frozen=True, eq=False)
class Pad(Operator):
    """The input with zero points, which are real zeros, around it.

    Attributes
    ----------
    padding : tuple of pairs of :class:`int`
        Elements before and after, for every axis.
    """

    padding: tuple[tuple[int, int], ...]

    def _check(self) -> None:
        _check_same_scale(self.input, self.output)
        if len(self.padding) != len(self.input.shape) or any(min(p) < 0 for p in self.padding):
            raise InputError(f"padding must be {len(self.input.shape)} pairs of numbers that are "
                             f"not negative, not {self.padding}")
        _check_shape("output", self.output.shape, tuple(
            size + sum(pads)
            for size, pads in zip(self.input.shape, self.padding, strict=True)))


@dataclass(frozen=True, eq=False)
class Softmax(Operator):
    """Softmax along the last axis: see :mod:`eieio.model.graph.softmax`.

    Attributes
    ----------
    multiplier, shift : :class:`int`
        Factor that takes a difference of two inputs to a number with 26 fractional bits, as
        :func:`eieio.model.graph.rescale.quantize_factor` returns it. 1 or more.
    """

    multiplier: int
    shift: int

    #: Scale and zero point of the output, which is from 0 to 255/256.
    OUTPUT_SCALE = 1 / 256
    OUTPUT_ZERO_POINT = -128
    #: Longest axis whose sum of exponentials does not overflow.
    MAX_CLASSES = 2**12 - 1

    def _check(self) -> None:
        _check_factor(self.multiplier, self.shift)
        _check_bytes(self)
        if self.shift > 0 or not self.multiplier:
            raise InputError("factor must be 1 or more, not "
                             f"{self.multiplier / 2 ** (MULTIPLIER_WIDTH + self.shift)}")
        _check_shape("output", self.output.shape, self.input.shape)
        if self.input.shape[-1] > self.MAX_CLASSES:
            raise InputError(f"last axis must have at most {self.MAX_CLASSES} elements, not "
                             f"{self.input.shape[-1]}")
        if (self.output.scale, self.output.zero_point) != (
                self.OUTPUT_SCALE, self.OUTPUT_ZERO_POINT):
            raise InputError(
                f"output must have scale 1/256 and zero point {self.OUTPUT_ZERO_POINT}, not "
                f"{self.output.scale} and {self.output.zero_point}")


@dataclass(frozen=True, eq=False)
class LogSoftmax(Operator):
    """The logarithm of softmax along the last axis: see :mod:`eieio.model.graph.softmax`."""

    #: Scale and zero point of the output, which is from -255/16 to 0.
    OUTPUT_SCALE = 1 / 16
    OUTPUT_ZERO_POINT = 127

    def _check(self) -> None:
        _check_bytes(self)
        _check_shape("output", self.output.shape, self.input.shape)
        if (self.output.scale, self.output.zero_point) != (
                self.OUTPUT_SCALE, self.OUTPUT_ZERO_POINT):
            raise InputError(
                f"output must have scale 1/16 and zero point {self.OUTPUT_ZERO_POINT}, not "
                f"{self.output.scale} and {self.output.zero_point}")


@dataclass(frozen=True, eq=False)
class Stack(Operator):
    """Tensors beside one another along an axis: images one below the other, or channels.

    A tensor is in one stack only, so that it costs nothing: it is computed in its place there.
    Channels have one scale and zero point. Of images one below the other the integers are taken,
    whatever their scales: what adds them knows what they are worth.

    Attributes
    ----------
    axis : :class:`int`
        Axis of a sample, from 0 on. Channels are the last one.
    """

    axis: int = 0

    def _operands(self) -> int:
        return max(len(self.inputs), 1)

    @property
    def joins_channels(self) -> bool:
        """Whether it is channels that lie side by side."""
        return self.axis == len(self.output.shape) - 1

    def _check(self) -> None:
        first, axis = self.input.shape, self.axis
        if not 0 <= axis < len(first):
            raise InputError(f"axis must be from 0 to {len(first) - 1}, not {axis}")
        for operand in self.inputs:
            size = operand.shape[axis] if len(operand.shape) == len(first) else first[axis]
            _check_shape("inputs", operand.shape, (*first[:axis], size, *first[axis + 1:]))
            if self.joins_channels:
                _check_same_scale(operand, self.output)
        joined = sum(operand.shape[axis] for operand in self.inputs)
        _check_shape("output", self.output.shape, (*first[:axis], joined, *first[axis + 1:]))


@dataclass(frozen=True, eq=False)
class QuantizedGraph:
    """A network of integers.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user.
    input, output : :class:`Tensor`
        What the network takes and gives.
    operators : tuple of :class:`Operator`
        At least one. Each takes the input, or outputs of operators before it.
    channels_first : bool
        Whether the file of the network has its input, an image, in the order channels, height,
        width: so samples are taken whose shape leaves it open.
    integer_input : :class:`str` or None
        ``"int8"`` or ``"uint8"``, if the file takes integers of this type: samples of either type
        then are the integers themselves, those of uint8 larger by 128.
    ending : :data:`~eieio.model.graph.ending.Ending`
        What the host computes of the outputs, in real numbers.

    Raises
    ------
    InputError
        If two tensors or two operators have one name, or an operand is not computed before it is
        needed.
    """

    name: str
    input: Tensor
    output: Tensor
    operators: tuple[Operator, ...]
    channels_first: bool = False
    integer_input: str | None = None
    ending: Ending = "none"

    def __post_init__(self) -> None:
        if not self.operators:
            raise InputError(f"Network {self.name!r} must have at least one operator")
        _check_names("operators", [operator.name for operator in self.operators])
        _check_names("tensors", [tensor.name for tensor in self.tensors])
        known = {self.input}
        for operator in self.operators:
            for tensor in operator.inputs:
                if tensor not in known:
                    raise InputError(f"Operator {operator.name!r} must take the network's input or "
                                     f"outputs of operators before it, not {tensor.name!r}")
            known.add(operator.output)
        if self.output not in known:
            raise InputError(f"Network {self.name!r}: output {self.output.name!r} must be computed "
                             "by an operator")

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The input, and the output of every operator."""
        return self.input, *(operator.output for operator in self.operators)

    def quantize_input(self, x: NDArray[np.floating]) -> NDArray[Any]:
        """Return the integers of inputs of shape (samples, and the shape of the input).

        Raises
        ------
        InputError
            If the shape does not fit, or a value is not finite.
        """
        if x.shape[1:] != self.input.shape or x.ndim != 1 + len(self.input.shape):
            shape = ", ".join(map(str, self.input.shape))
            raise InputError(f"Input must have shape (samples, {shape}), not {x.shape}")
        if not np.isfinite(x).all():
            raise InputError("Input must be finite")
        return self.input.quantize(x)

    def dequantize_output(self, y: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the real values of output integers."""
        return self.output.dequantize(y).astype(np.float32)

    @property
    def macs(self) -> int:
        """Products of a weight and an activation for one sample."""
        return sum(operator.macs for operator in self.operators)


def with_plain_biases(operator: Weighted) -> Weighted:
    """Return an operator of the same results whose biases are in steps of the sums.

    Its weights are larger, by ``2**bias_shift``, and its biases int64: for engines that multiply
    wide weights anyway.

    Parameters
    ----------
    operator : WeightedOperator
        Operator.

    Raises
    ------
    InputError
        If its results wrap, which such engines' do not.
    """
    if operator.wraps:
        raise InputError(f"{type(operator).__name__} {operator.name!r}: results that wrap need the "
                         "systolic engine (--engine systolic)")
    if not operator.bias_shift:
        return operator
    stored = operator.stored_weight
    if isinstance(stored, SharedWeights):
        larger = replace(stored, codebook=stored.codebook << operator.bias_shift,
                         scale=stored.scale and stored.scale / 2**operator.bias_shift)
    else:
        larger = stored.astype(np.int32) << operator.bias_shift
        larger = larger.astype(np.int16) if np.abs(larger).max(initial=0) < 1 << 15 else larger
    return replace(operator, stored_weight=larger, bias=operator.bias.astype(np.int64),
                   bias_shift=0)


def _check_names(what: str, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"Names of {what} must be different, not {name!r} twice")


def _check_shape(what: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise InputError(f"{what} must have shape {expected}, not {shape}")


def _check_factor(multiplier: int, shift: int, right: int = RIGHT_SHIFT_MAXIMUM) -> None:
    if not 0 <= multiplier < 1 << MULTIPLIER_WIDTH:
        raise InputError(f"multiplier must be from 0 to {(1 << MULTIPLIER_WIDTH) - 1}, not "
                         f"{multiplier}")
    if not -LEFT_SHIFT_MAXIMUM <= shift <= right:
        raise InputError(f"shift must be from -{LEFT_SHIFT_MAXIMUM} to {right}, not {shift}")


def _check_range(minimum: int, maximum: int, output: Tensor) -> None:
    if not output.minimum <= minimum <= maximum <= output.maximum:
        raise InputError(f"minimum and maximum must be in order, from {output.minimum} to "
                         f"{output.maximum}, not {minimum} and {maximum}")


def _check_bytes(operator: Operator) -> None:
    for tensor in (operator.input, operator.output):
        if tensor.width != 8:
            raise InputError(f"tensors must have 8 bits, not {tensor.width}")


def _check_same_scale(first: Tensor, second: Tensor) -> None:
    if first.width != second.width:
        raise InputError(f"output must have {first.width} bits, as the input, not {second.width}")
    if (first.scale, first.zero_point) != (second.scale, second.zero_point):
        raise InputError(
            f"output must have scale {first.scale} and zero point {first.zero_point}, as the "
            f"input, not {second.scale} and {second.zero_point}")


def _image(tensor: Tensor) -> tuple[int, int, int]:
    if len(tensor.shape) != 3:
        raise InputError(f"input must have shape (height, width, channels), not {tensor.shape}")
    height, width, depth = tensor.shape
    return height, width, depth
