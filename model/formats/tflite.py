"""Quantized networks in TensorFlow Lite.

The importer takes networks of 8-bit integers throughout, with one input and one output, of

CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED
    Weights int8 with zero point 0, of one scale or one for each output channel; biases int32.
ADD
    Of two activations of one shape.
CONCATENATION
    Of channels, or of images one below the other, all at one scale.
MEAN
    Over the height, the width or both.
AVERAGE_POOL_2D, MAX_POOL_2D, PAD, RESHAPE, SQUEEZE, EXPAND_DIMS
    At one scale.
SOFTMAX
    Along the last axis.
QUANTIZE, DEQUANTIZE
    At the ends, from uint8 or real numbers and to them: :mod:`eieio.model.formats.tflite_ends`.
SHAPE, STRIDED_SLICE, PACK and others on integers
    Computed while reading: :mod:`eieio.model.formats.tflite_shapes`.

Activations are int8 and have the batch as their first axis. RELU, RELU6 and RELU_N1_TO_1 may be
fused. SAME and VALID padding are resolved to numbers. Everything else is refused by name, with all
reasons in one line; so is a network whose accumulators could overflow 32 bits.

The integers are those of TensorFlow Lite's reference kernels. Its integer rule rescales in two
roundings. In later versions (1.4 of ai-edge-litert, but not yet 1.2) the kernel of FULLY_CONNECTED,
and no other, multiplies in float64 and rounds once, a half away from zero; so such an operator has
``single_rounding``, and a multiplier that gives the same for every accumulator. Where there is none
(a factor below about 2**-14, whose sums need more than 22 bits) the operator is refused.
"""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import MULTIPLIER_WIDTH
from eieio.model.formats.tflite_ends import Ends, find_ends
from eieio.model.formats.tflite_schema import RawGraph, RawOperator, read_raw_graph
from eieio.model.formats.tflite_shapes import SHAPE_OPERATORS, evaluate
from eieio.model.formats.tflite_tensors import TensorReader
from eieio.model.graph.quantized_graph import (
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Operator,
    Pad,
    QuantizedGraph,
    Reshape,
    Softmax,
    Stack,
    Tensor,
    Window,
)
from eieio.model.graph.rescale import (
    RIGHT_SHIFT_MAXIMUM,
    quantize_factor,
    quantize_factor_rounded_once,
    quantize_factors,
)
from eieio.model.graph.softmax import softmax_factor
from eieio.model.graph.stacks import copy_shared

__all__ = ["read"]

_REASONS = 6  # that a refusal names


def read(path: str | os.PathLike[str], output: str | None = None) -> QuantizedGraph:
    """Read a network.

    Parameters
    ----------
    path : path-like
        A TensorFlow Lite file.
    output : :class:`str`, optional
        Name of the tensor to take as the output. The default is the file's. What only other tensors
        need is left out.

    Returns
    -------
    :class:`~eieio.model.graph.quantized_graph.QuantizedGraph`
        The network, named after the file. Operators are named after their kind and number in the
        file, such as ``conv_2d_0``; tensors as in the file, where these names are different.

    Raises
    ------
    InputError
        If the file is not a TensorFlow Lite file, or not such a network as described above: the
        message names the operator and what would fit.
    """
    path = Path(path)
    raw = read_raw_graph(path)
    if output is not None:
        numbers = [number for operator in raw.operators for number in operator.outputs
                   if number >= 0 and raw.tensors[number].name == output]
        if len(numbers) != 1:
            raise InputError(f"{path}: output must be the name of a tensor that an operator "
                             f"computes, not {output!r}")
        raw = replace(raw, outputs=tuple(numbers))
    return _Importer(path, raw).graph()


class _Importer:
    def __init__(self, path: Path, raw: RawGraph) -> None:
        self.path = path
        self.raw = raw
        self.tensors = TensorReader(raw)
        self.operators: dict[str, Callable[[str, RawOperator], list[Operator]]] = {
            "ADD": self._add, "AVERAGE_POOL_2D": self._pool,
            "CONCATENATION": self._concatenation, "CONV_2D": self._conv,
            "DEPTHWISE_CONV_2D": self._depthwise, "EXPAND_DIMS": self._reshape,
            "FULLY_CONNECTED": self._fully_connected, "MAX_POOL_2D": self._pool,
            "MEAN": self._mean, "PAD": self._pad, "RESHAPE": self._reshape,
            "SOFTMAX": self._softmax, "SQUEEZE": self._reshape}

    def graph(self) -> QuantizedGraph:
        for what, numbers in (("input", self.raw.inputs), ("output", self.raw.outputs)):
            if len(numbers) != 1 or numbers[0] < 0:
                named = ", ".join(repr(self.raw.tensors[number].name) for number in numbers
                                  if number >= 0)
                raise InputError(f"{self.path}: must have one {what}, not {len(numbers)}"
                                 + (f" ({named})" if named else ""))
        try:
            ends = find_ends(self.raw)
        except ValueError as error:
            raise InputError(f"{self.path}: {error}") from None
        reasons = self._unsupported(ends)
        # Of all that is wrong, what is not wrong for the sake of something else.
        unknown: set[int] = set()
        try:
            self.tensors.define(ends.source)
        except ValueError as error:
            reasons.append(str(error))
            unknown.add(ends.source)
        operators: list[Operator] = []
        for number, operator in enumerate(self.raw.operators):
            if number in ends.skipped:
                continue
            if not self._supported(operator) or unknown.intersection(operator.inputs):
                unknown.update(operator.outputs)
                continue
            try:
                operators += self._operator(number, operator)
            except ValueError as error:
                named = repr(_name(number, operator)) in str(error)
                where = "" if named else f"operator {number} ({operator.kind}): "
                reasons.append(f"{where}{error}")
                unknown.update(operator.outputs)
        output = self.tensors.known.get(ends.result)
        if output is None and not reasons:
            reasons.append("output must be computed by an operator, not "
                           f"{self.tensors.label(ends.result)}")
        if output is None or reasons:
            more = f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
            raise InputError(f"{self.path}: {'; '.join(reasons[:_REASONS])}{more}")
        try:
            return copy_shared(QuantizedGraph(
                self.path.stem, self.tensors.known[ends.source], output, tuple(operators),
                integer_input=ends.integer_input))
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def _unsupported(self, ends: Ends) -> list[str]:
        """Refuse all kinds of operators that are none of ours, in one sentence."""
        kinds = sorted({operator.kind for number, operator in enumerate(self.raw.operators)
                        if number not in ends.skipped and not self._supported(operator)})
        if not kinds:
            return []
        where = (", and QUANTIZE and DEQUANTIZE at the ends"
                 if {"QUANTIZE", "DEQUANTIZE"}.intersection(kinds) else "")
        listed = ", ".join(self.operators)
        return [f"operators must be among {listed}{where}, not {', '.join(kinds)}"]

    def _supported(self, operator: RawOperator) -> bool:
        return operator.kind in self.operators or self._is_shape(operator)

    def _is_shape(self, operator: RawOperator) -> bool:
        """Whether it computes integers, such as shapes are."""
        return operator.kind in SHAPE_OPERATORS and all(
            self.raw.tensors[number].dtype in {"INT32", "INT64"}
            for number in operator.outputs if number >= 0)

    def _operator(self, number: int, operator: RawOperator) -> list[Operator]:
        if len(operator.outputs) != 1 or operator.outputs[0] < 0:
            raise ValueError(f"must have one output, not {len(operator.outputs)}")
        if not self._is_shape(operator):
            return self.operators[operator.kind](_name(number, operator), operator)
        if operator.kind == "SHAPE":
            shape = self.tensors.batch, *self.tensors.activations(operator, 0).shape
            operands = [np.array(shape, np.int64)]
        else:
            operands = [self.tensors.integer(self.tensors.operand(operator, index))
                        for index in range(len(operator.inputs))]
        try:
            self.tensors.integers[operator.outputs[0]] = evaluate(operator, operands)
        except ValueError as error:
            raise ValueError(f"{error}; a file converted with a fixed batch computes no "
                             "shapes") from None
        return []

    # Options.

    def _range(self, operator: RawOperator, output: Tensor) -> tuple[int, int]:
        """Range of the output, as the fused activation clamps it."""
        def quantized(real: float) -> int:
            # In float32, a half away from zero. What overflows is clamped anyway.
            steps = float(np.float32(real) / np.float32(output.scale))
            if abs(steps) > 1 << 16:
                steps = math.copysign(1 << 16, steps)
            return output.zero_point + int(math.copysign(math.floor(abs(steps) + 0.5), steps))

        match operator.options["FusedActivationFunction"]:
            case "NONE":
                low, high = -128, 127
            case "RELU":
                low, high = output.zero_point, 127
            case "RELU6":
                low, high = output.zero_point, quantized(6)
            case "RELU_N1_TO_1":
                low, high = quantized(-1), quantized(1)
            case kind:
                raise ValueError(
                    f"fused activation must be NONE, RELU, RELU6 or RELU_N1_TO_1, not {kind}")
        return max(low, -128), min(high, 127)

    def _window(self, operator: RawOperator, source: Tensor, kernel: tuple[int, int]) -> Window:
        options = operator.options
        stride = options["StrideH"], options["StrideW"]
        dilation = options.get("DilationHFactor", 1), options.get("DilationWFactor", 1)
        window = Window(kernel, stride, dilation)
        match options["Padding"]:
            case "VALID":
                return window
            case "SAME":
                sizes = zip(source.shape[:2], window.extent, stride, strict=False)
                top_bottom, left_right = (_same(*size) for size in sizes)
                return Window(kernel, stride, dilation, (top_bottom, left_right))
            case kind:
                raise ValueError(f"padding must be SAME or VALID, not {kind}")

    # Operators.

    def _image(self, operator: RawOperator) -> Tensor:
        source = self.tensors.activations(operator, 0)
        if len(source.shape) != 3:
            raise ValueError(f"tensor {source.name!r} must be images, with 4 axes, not "
                             f"{1 + len(source.shape)}")
        return source

    def _conv(self, name: str, operator: RawOperator) -> list[Operator]:
        source = self._image(operator)
        weight, scales = self.tensors.weights(operator, 4, 0)
        if weight.shape[3] != source.shape[2]:
            raise ValueError(f"must not be grouped: weights must have {source.shape[2]} input "
                             f"channels, as tensor {source.name!r}, not {weight.shape[3]}")
        return self._convolution(Conv2D, name, operator, weight, scales, len(weight),
                                 weight.shape[1:3])

    def _depthwise(self, name: str, operator: RawOperator) -> list[Operator]:
        self._image(operator)
        weight, scales = self.tensors.weights(operator, 4, 3)
        if len(weight) != 1:
            raise ValueError(f"weights must have 1 as their first axis, not {len(weight)}")
        return self._convolution(DepthwiseConv2D, name, operator, weight[0], scales,
                                 weight.shape[3], weight.shape[1:3])

    def _convolution(self, create: type[Conv2D] | type[DepthwiseConv2D], name: str,
                     operator: RawOperator, weight: NDArray[np.int8],
                     scales: NDArray[np.float64], channels: int,
                     kernel: tuple[int, ...]) -> list[Operator]:
        source = self.tensors.activations(operator, 0)
        window = self._window(operator, source, (kernel[0], kernel[1]))
        output = self.tensors.define(operator.outputs[0])
        sums = source.scale * scales
        multiplier, shift = quantize_factors(
            np.broadcast_to(sums / output.scale, (channels,)))
        bias = self.tensors.bias(operator, channels, sums, output)
        return [create(name, (source,), output, weight, bias, multiplier, shift,
                       *self._range(operator, output), window)]

    def _fully_connected(self, name: str, operator: RawOperator) -> list[Operator]:
        source = self.tensors.activations(operator, 0)
        if operator.options["WeightsFormat"]:
            raise ValueError("weights must be in the default order, not shuffled")
        weight, scales = self.tensors.weights(operator, 2, 0)
        output = self.tensors.define(operator.outputs[0])
        sums = source.scale * scales
        bias = self.tensors.bias(operator, len(weight), sums, output)
        low, high = self._range(operator, output)
        multiplier, shift = quantize_factors(
            np.broadcast_to(sums / output.scale, (len(weight),)))
        integer = FullyConnected(name, (source,), output, weight, bias, multiplier, shift, low,
                                 high, single_rounding=True)
        return [self._rounded_once(integer, sums / output.scale)]

    @staticmethod
    def _rounded_once(operator: FullyConnected, factors: NDArray[np.float64]) -> FullyConnected:
        """Replace the factors of an operator by such as round each sum as float64 does."""
        zero_point = operator.output.zero_point
        results = zero_point - operator.minimum, operator.maximum - zero_point
        bounds = operator.channel_bounds
        if len(factors) == 1:  # one for all, if there is such
            bounds = bounds.max(keepdims=True)
        multiplier, shift = operator.multiplier.copy(), operator.shift.copy()
        for channel, (factor, bound) in enumerate(zip(factors.tolist(), bounds.tolist(),
                                                      strict=True)):
            pair = quantize_factor_rounded_once(factor, bound, *results)
            if pair is None:
                raise ValueError(
                    f"no multiplier of {MULTIPLIER_WIDTH} bits rounds sums of up to {bound} as the "
                    f"kernel does, in float64; the factor must be larger, not {factor:.4g}")
            channels = slice(None) if len(factors) == 1 else channel
            multiplier[channels], shift[channels] = pair
        return replace(operator, multiplier=multiplier, shift=shift)

    def _pool(self, name: str, operator: RawOperator) -> list[Operator]:
        source = self._image(operator)
        window = self._window(operator, source, (operator.options["FilterHeight"],
                                                 operator.options["FilterWidth"]))
        output = self.tensors.define(operator.outputs[0])
        create = AveragePool if operator.kind == "AVERAGE_POOL_2D" else MaxPool
        return [create(name, (source,), output, window, *self._range(operator, output))]

    def _add(self, name: str, operator: RawOperator) -> list[Operator]:
        first, second = (self.tensors.activations(operator, index) for index in range(2))
        output = self.tensors.define(operator.outputs[0])
        multipliers, shifts = Add.factors(first.scale, second.scale, output.scale)
        return [Add(name, (first, second), output, multipliers, shifts,
                    *self._range(operator, output))]

    def _concatenation(self, name: str, operator: RawOperator) -> list[Operator]:
        """Join tensors of one scale; like the kernel for int8, rescale none."""
        operands = tuple(self.tensors.activations(operator, index)
                         for index in range(len(operator.inputs)))
        fused = operator.options["FusedActivationFunction"]
        if fused != "NONE":
            raise ValueError(f"fused activation must be NONE, as the kernel demands, not {fused}")
        rank, axis = 1 + len(operands[0].shape), operator.options["Axis"]
        if not -rank <= axis < rank or axis % rank == 0:
            raise ValueError(f"axis must be one of the {rank}, behind the batch, not {axis}")
        output = self.tensors.define(operator.outputs[0])
        for tensor in operands:
            if (tensor.scale, tensor.zero_point) != (output.scale, output.zero_point):
                raise ValueError(
                    f"tensor {tensor.name!r} must have the scale and the zero point of the output, "
                    f"as the kernel for int8 demands, {output.scale} and {output.zero_point}, not "
                    f"{tensor.scale} and {tensor.zero_point}")
        return [Stack(name, operands, output, axis % rank - 1)]

    def _mean(self, name: str, operator: RawOperator) -> list[Operator]:
        """Make sums of windows; like the kernel, divide the multiplier by their elements."""
        source = self._image(operator)
        axes = {axis % 4 for axis in self.tensors.integer(
            self.tensors.operand(operator, 1)).ravel().tolist()}
        if not axes or not axes <= {1, 2}:
            raise ValueError(f"must be along the axes 1, 2 or both, not {sorted(axes)}")
        output = self.tensors.define(operator.outputs[0])
        height, width, channels = source.shape
        kernel = height if 1 in axes else 1, width if 2 in axes else 1
        shape = *(1 if axis in axes else size for axis, size in ((1, height), (2, width))), channels
        means = output if output.shape == shape else replace(
            output, name=self.tensors.unique(f"{output.name}_kept"), shape=shape)
        elements = math.prod(kernel)
        multiplier, shift = quantize_factor(source.scale / output.scale)
        bits = min(elements.bit_length() - 1, RIGHT_SHIFT_MAXIMUM - shift)
        factor = (np.full(channels, (multiplier << bits) // elements, np.int32),
                  np.full(channels, shift + bits, np.int32))
        sums = DepthwiseConv2D(
            name, (source,), means, np.ones((*kernel, channels), np.int8),
            np.zeros(channels, np.int32), *factor, -128, 127, Window(kernel))
        if means is output:
            return [sums]
        return [sums, Reshape(f"{name}_reshape", (means,), output)]

    def _pad(self, name: str, operator: RawOperator) -> list[Operator]:
        source = self.tensors.activations(operator, 0)
        number = self.tensors.operand(operator, 1)
        padding = self.tensors.integer(number)
        shape = 1 + len(source.shape), 2
        if padding.shape != shape or padding[0].any():
            raise ValueError(f"{self.tensors.label(number)} must have shape {shape} and leave the "
                             "batch as it is")
        return [Pad(name, (source,), self.tensors.define(operator.outputs[0]),
                    tuple((before, after) for before, after in padding[1:].tolist()))]

    def _reshape(self, name: str, operator: RawOperator) -> list[Operator]:
        source = self.tensors.activations(operator, 0)
        output = self.tensors.define(operator.outputs[0])
        if operator.kind == "RESHAPE" and len(operator.inputs) > 1:
            number = self.tensors.operand(operator, 1)
            wanted = self.tensors.integer(number)
            shape = (self.tensors.batch, *output.shape)
            if wanted.shape != (len(shape),) or any(
                    size not in (-1, axis)
                    for size, axis in zip(wanted.tolist(), shape, strict=True)):
                raise ValueError(f"{self.tensors.label(number)} must be {shape}, the shape of the "
                                 f"output, not {tuple(wanted.ravel().tolist())}")
        return [Reshape(name, (source,), output)]

    def _softmax(self, name: str, operator: RawOperator) -> list[Operator]:
        source = self.tensors.activations(operator, 0)
        factor = softmax_factor(operator.options["Beta"], source.scale)
        return [Softmax(name, (source,), self.tensors.define(operator.outputs[0]),
                        *quantize_factor(factor))]


def _name(number: int, operator: RawOperator) -> str:
    return f"{operator.kind.lower()}_{number}"


def _same(size: int, extent: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after that gives one window for every step."""
    windows = -(-size // stride)
    total = max((windows - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2
