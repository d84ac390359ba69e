"""A network of 8-bit integers, as a graph of operators.

All arithmetic is in integers, by TensorFlow Lite's 8-bit quantization specification: activations
and weights are int8, a real activation is ``scale * (q - zero_point)``, weights have zero point 0
and a scale for each output channel, biases are int32 at the scale of the sums. The operators hold
what computes the integers: weights, biases, multipliers, shifts and clamps. Scales of activations
are kept for the user's real numbers.

Images are in the order height, width, channels. Shapes are of one sample; arrays of activations
have the samples as one more axis in front.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import MULTIPLIER_WIDTH, dequantize, quantize
from eieio.model.graph.rescale import (
    LEFT_SHIFT_MAXIMUM,
    RIGHT_SHIFT_MAXIMUM,
    quantize_factor,
)

__all__ = [
    "ADD_LEFT_SHIFT",
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
    "Softmax",
    "Stack",
    "Tensor",
    "WeightedOperator",
    "Window",
]

#: Bits by which :class:`Add` widens its operands, so that their rescaling rounds below the result.
ADD_LEFT_SHIFT = 20

#: Signed accumulators that no operator overflows.
ACCUMULATOR_WIDTH = 32

_MINIMUM, _MAXIMUM = -128, 127
_MAX_ELEMENTS = 2**31 - 1


@dataclass(frozen=True)
class Tensor:
    """Activations: int8 numbers at one scale.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user, its own in a graph.
    shape : tuple of :class:`int`
        Shape of one sample.
    scale : :class:`float`
        Real value of one step.
    zero_point : :class:`int`
        Integer of the real 0, -128 to 127.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1 or self.elements > _MAX_ELEMENTS:
            raise InputError(f"Tensor {self.name!r}: shape must be positive sizes of at most "
                             f"{_MAX_ELEMENTS} elements in all, not {self.shape}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError(
                f"Tensor {self.name!r}: scale must be positive and finite, not {self.scale!r}")
        if not _MINIMUM <= self.zero_point <= _MAXIMUM:
            raise InputError(f"Tensor {self.name!r}: zero point must be from {_MINIMUM} to "
                             f"{_MAXIMUM}, not {self.zero_point!r}")

    @property
    def elements(self) -> int:
        """Number of elements of one sample."""
        return math.prod(self.shape)

    def quantize(self, real: NDArray[np.floating]) -> NDArray[np.int8]:
        """Round real numbers to the nearest integers, a half away from zero, and saturate.

        Raises
        ------
        InputError
            If a number is not finite.
        """
        return quantize(real, self.scale, self.zero_point, 8).astype(np.int8)

    def dequantize(self, q: NDArray[np.int8]) -> NDArray[np.float64]:
        """Return the real numbers of integers."""
        return dequantize(q, self.scale, self.zero_point)


@dataclass(frozen=True)
class Window:
    """How a window slides over an image. Pairs are (vertical, horizontal).

    Attributes
    ----------
    kernel : pair of :class:`int`
        Size of the window in elements.
    stride : pair of :class:`int`
        Step between neighbouring windows.
    dilation : pair of :class:`int`
        Step between neighbouring elements of a window; 1 is dense.
    padding : pair of pairs of :class:`int`
        Padding (top, bottom) and (left, right), each less than the window's extent.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    def __post_init__(self) -> None:
        for what in ("kernel", "stride", "dilation"):
            if min(getattr(self, what)) < 1:
                raise InputError(f"{what.capitalize()} must be positive, not {getattr(self, what)}")
        for pads, extent in zip(self.padding, self.extent, strict=True):
            if not 0 <= min(pads) <= max(pads) < extent:
                raise InputError(f"Padding must be from 0 to {extent - 1}, less than the window's "
                                 f"extent, not {pads}")

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the image part that a window spans."""
        (height, width), (down, right) = self.kernel, self.dilation
        return (height - 1) * down + 1, (width - 1) * right + 1

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the number of windows in an image, down and across.

        Raises
        ------
        InputError
            If the padded image is smaller than one window.
        """
        padded = tuple(size + sum(pads)
                       for size, pads in zip((height, width), self.padding, strict=True))
        if padded[0] < self.extent[0] or padded[1] < self.extent[1]:
            raise InputError(f"Window must not span more than the padded image, {padded}, not "
                             f"{self.extent}")
        down, across = ((size - extent) // stride + 1 for size, extent, stride
                        in zip(padded, self.extent, self.stride, strict=True))
        return down, across


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

    ``output = rescale(sum(weight * (input - input.zero_point)) + bias, multiplier, shift,
    output.zero_point, minimum, maximum, single_rounding=single_rounding)``, see
    :func:`eieio.model.graph.rescale.rescale`. An element of the padding is the zero point, a
    real 0.

    No accumulator of 32 bits overflows, neither before nor after a left shift.

    Attributes
    ----------
    weight : int8 array
        Weights, in the shape that the operator says.
    bias : int32 array of shape (channels,)
        Biases of the output channels.
    multiplier, shift : int32 arrays of shape (channels,)
        Factors of the output channels, for :func:`eieio.model.graph.rescale.rescale`.
    minimum, maximum : :class:`int`
        Range of the output, -128 to 127. A rectifier has the zero point as its minimum.
    single_rounding : :class:`bool`
        Whether the sums are rescaled in one rounding. The default is in two.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    minimum: int
    maximum: int
    single_rounding: bool = field(default=False, kw_only=True)

    def _check(self) -> None:
        if self.weight.dtype != np.int8 or self.weight.ndim != len(self._axes()):
            raise InputError(f"weight must be an int8 array of shape {self._axes()}, not "
                             f"{self.weight.dtype} of shape {self.weight.shape}")
        shape = (self.channels,)
        for what in ("bias", "multiplier", "shift"):
            array: NDArray[np.int32] = getattr(self, what)
            if array.dtype != np.int32 or array.shape != shape:
                raise InputError(f"{what} must be an int32 array of shape {shape}, not "
                                 f"{array.dtype} of shape {array.shape}")
        for multiplier, shift in zip(self.multiplier.tolist(), self.shift.tolist(), strict=True):
            _check_factor(multiplier, shift)
        _check_range(self.minimum, self.maximum)
        left_shift = np.maximum(-self.shift.astype(np.int64), 0)
        needed = max(int(bound << shift).bit_length() + 1 for bound, shift
                     in zip(self.channel_bounds.tolist(), left_shift.tolist(), strict=True))
        if needed > ACCUMULATOR_WIDTH:
            raise InputError(f"accumulator must not need more than {ACCUMULATOR_WIDTH} bits, not "
                             f"{needed}, left shift included")

    def _axes(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _sums(self) -> NDArray[np.int64]:
        """Sum the magnitudes of the weights of every channel."""
        raise NotImplementedError

    @property
    def channels(self) -> int:
        """Number of output channels."""
        raise NotImplementedError

    @property
    def channel_bounds(self) -> NDArray[np.int64]:
        """Bounds of the accumulators, int64 array of shape (channels,).

        ``sum(|weight|) * max|input - zero_point| + |bias|``: no partial sum, in any order, is
        beyond it.
        """
        zero_point = self.input.zero_point
        largest = max(_MAXIMUM - zero_point, zero_point - _MINIMUM)
        return self._sums() * largest + np.abs(self.bias.astype(np.int64))

    @property
    def accumulator_bound(self) -> int:
        """Bound of all accumulators: see :attr:`channel_bounds`."""
        return int(self.channel_bounds.max())


@dataclass(frozen=True, eq=False)
class Conv2D(WeightedOperator):
    """A convolution (in truth a correlation, as everywhere in the field).

    Attributes
    ----------
    weight : int8 array of shape (channels, height, width, input channels)
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
        _check_shape("weight", self.weight.shape[1:], (*self.window.kernel, depth))
        _check_shape("output", self.output.shape,
                     (*self.window.output_size(height, width), self.channels))

    @property
    def channels(self) -> int:
        return self.weight.shape[0]

    @property
    def macs(self) -> int:
        return self.output.elements * math.prod(self.weight.shape[1:])


@dataclass(frozen=True, eq=False)
class DepthwiseConv2D(WeightedOperator):
    """A convolution of every channel on its own.

    With ``d`` output channels for each input channel, output channel ``c`` is computed from input
    channel ``c // d``.

    Attributes
    ----------
    weight : int8 array of shape (height, width, channels)
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
        _check_shape("weight", self.weight.shape[:2], self.window.kernel)
        if self.channels % depth:
            raise InputError(f"channels must be a multiple of {depth}, the input's, not "
                             f"{self.channels}")
        _check_shape("output", self.output.shape,
                     (*self.window.output_size(height, width), self.channels))

    @property
    def channels(self) -> int:
        return self.weight.shape[2]

    @property
    def macs(self) -> int:
        return self.output.elements * math.prod(self.window.kernel)


@dataclass(frozen=True, eq=False)
class FullyConnected(WeightedOperator):
    """A product with a matrix, of all elements of the input in their order.

    Attributes
    ----------
    weight : int8 array of shape (channels, input elements)
        Weights.
    """

    def _axes(self) -> tuple[str, ...]:
        return "channels", "input elements"

    def _sums(self) -> NDArray[np.int64]:
        return np.abs(self.weight.astype(np.int64)).sum(axis=1)

    def _check(self) -> None:
        super()._check()
        _check_shape("weight", self.weight.shape[1:], (self.input.elements,))
        if self.output.elements != self.channels:
            raise InputError(f"output must have {self.channels} elements, one for each channel, "
                             f"not shape {self.output.shape}")

    @property
    def channels(self) -> int:
        return self.weight.shape[0]

    @property
    def macs(self) -> int:
        return self.weight.size


@dataclass(frozen=True, eq=False)
class Pool(Operator):
    """An operator that reduces the elements of a window, for every channel on its own.

    Padding takes no part. Input and output have one scale and zero point.

    Attributes
    ----------
    window : :class:`Window`
        How the window slides; not dilated.
    minimum, maximum : :class:`int`
        Range of the output, -128 to 127.
    """

    window: Window
    minimum: int
    maximum: int

    def _check(self) -> None:
        _check_range(self.minimum, self.maximum)
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
        Range of the output, -128 to 127.
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
        _check_range(self.minimum, self.maximum)
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
    OUTPUT_ZERO_POINT = _MINIMUM
    #: Longest axis whose sum of exponentials does not overflow.
    MAX_CLASSES = 2**12 - 1

    def _check(self) -> None:
        _check_factor(self.multiplier, self.shift)
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
    OUTPUT_ZERO_POINT = _MAXIMUM

    def _check(self) -> None:
        _check_shape("output", self.output.shape, self.input.shape)
        if (self.output.scale, self.output.zero_point) != (
                self.OUTPUT_SCALE, self.OUTPUT_ZERO_POINT):
            raise InputError(
                f"output must have scale 1/16 and zero point {self.OUTPUT_ZERO_POINT}, not "
                f"{self.output.scale} and {self.output.zero_point}")


@dataclass(frozen=True, eq=False)
class Stack(Operator):
    """Images, one below the other: their integers, whatever the scales.

    An image is in one stack only, so that it costs nothing: it is computed in its place there.
    """

    def _operands(self) -> int:
        return max(len(self.inputs), 1)

    def _check(self) -> None:
        heights = [_image(operand)[0] for operand in self.inputs]
        for operand in self.inputs:
            _check_shape("inputs", operand.shape[1:], self.output.shape[1:])
        _check_shape("output", self.output.shape, (sum(heights), *self.input.shape[1:]))


@dataclass(frozen=True, eq=False)
class QuantizedGraph:
    """A network of 8-bit integers.

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

    @property
    def macs(self) -> int:
        """Products of a weight and an activation for one sample."""
        return sum(operator.macs for operator in self.operators)


def _check_names(what: str, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"Names of {what} must be different, not {name!r} twice")


def _check_shape(what: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise InputError(f"{what} must have shape {expected}, not {shape}")


def _check_factor(multiplier: int, shift: int) -> None:
    if not 0 <= multiplier < 1 << MULTIPLIER_WIDTH:
        raise InputError(f"multiplier must be from 0 to {(1 << MULTIPLIER_WIDTH) - 1}, not "
                         f"{multiplier}")
    if not -LEFT_SHIFT_MAXIMUM <= shift <= RIGHT_SHIFT_MAXIMUM:
        raise InputError(f"shift must be from -{LEFT_SHIFT_MAXIMUM} to {RIGHT_SHIFT_MAXIMUM}, not "
                         f"{shift}")


def _check_range(minimum: int, maximum: int) -> None:
    if not _MINIMUM <= minimum <= maximum <= _MAXIMUM:
        raise InputError(f"minimum and maximum must be in order, from {_MINIMUM} to {_MAXIMUM}, "
                         f"not {minimum} and {maximum}")


def _check_same_scale(first: Tensor, second: Tensor) -> None:
    if (first.scale, first.zero_point) != (second.scale, second.zero_point):
        raise InputError(
            f"output must have scale {first.scale} and zero point {first.zero_point}, as the "
            f"input, not {second.scale} and {second.zero_point}")


def _image(tensor: Tensor) -> tuple[int, int, int]:
    if len(tensor.shape) != 3:
        raise InputError(f"input must have shape (height, width, channels), not {tensor.shape}")
    height, width, depth = tensor.shape
    return height, width, depth
