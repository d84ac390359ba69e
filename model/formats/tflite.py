"""Quantized networks in TensorFlow Lite.

The importer takes networks of 8-bit integers throughout, with one input and one output, of

CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED
    Weights int8 with zero point 0, of one scale or one for each output channel; biases int32.
ADD
    Of two activations of one shape.
AVERAGE_POOL_2D, MAX_POOL_2D, PAD, RESHAPE
    At one scale.
SOFTMAX
    Along the last axis.

Activations are int8 and have the batch as their first axis. RELU, RELU6 and RELU_N1_TO_1 may be
fused. SAME and VALID padding are resolved to numbers. Everything else is refused by name; so is a
network whose accumulators could overflow 32 bits.

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import MULTIPLIER_WIDTH
from eieio.model.formats.tflite_schema import (
    RawGraph,
    RawOperator,
    RawTensor,
    read_raw_graph,
)
from eieio.model.systolic.quantized_graph import (
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
    Tensor,
    Window,
)
from eieio.model.systolic.rescale import (
    quantize_factor,
    quantize_factor_rounded_once,
    quantize_factors,
)
from eieio.model.systolic.softmax import softmax_factor

__all__ = ["read"]

_DTYPES = {"INT8": np.dtype("i1"), "INT32": np.dtype("<i4")}
# What the scale of a bias may differ from that of the sums, in steps of the output.
_BIAS_TOLERANCE = 0.02


def read(path: str | os.PathLike[str]) -> QuantizedGraph:
    """Read a network.

    Parameters
    ----------
    path : path-like
        A TensorFlow Lite file.

    Returns
    -------
    :class:`~eieio.model.systolic.quantized_graph.QuantizedGraph`
        The network, named after the file. Operators are named after their kind and number in the
        file, such as ``conv_2d_0``; tensors as in the file, where these names are different.

    Raises
    ------
    InputError
        If the file is not a TensorFlow Lite file, or not such a network as described above: the
        message names the operator and what would fit.
    """
    path = Path(path)
    return _Importer(path, read_raw_graph(path)).graph()


class _Importer:
    def __init__(self, path: Path, raw: RawGraph) -> None:
        self.path = path
        self.raw = raw
        self.batch = 0
        #: Tensors computed so far, by their numbers.
        self.tensors: dict[int, Tensor] = {}
        self.names: set[str] = set()
        self.operators: dict[str, Callable[[str, RawOperator], Operator]] = {
            "ADD": self._add, "AVERAGE_POOL_2D": self._pool, "CONV_2D": self._conv,
            "DEPTHWISE_CONV_2D": self._depthwise, "FULLY_CONNECTED": self._fully_connected,
            "MAX_POOL_2D": self._pool, "PAD": self._pad, "RESHAPE": self._reshape,
            "SOFTMAX": self._softmax}

    def graph(self) -> QuantizedGraph:
        unsupported = sorted({operator.kind for operator in self.raw.operators}
                             - self.operators.keys())
        if unsupported:
            raise InputError(f"{self.path}: operators must be among {', '.join(self.operators)}, "
                             f"not {', '.join(unsupported)}")
        for what, numbers in (("input", self.raw.inputs), ("output", self.raw.outputs)):
            if len(numbers) != 1 or numbers[0] < 0:
                raise InputError(f"{self.path}: must have one {what}, not {len(numbers)}")
        try:
            source = self._define(self.raw.inputs[0])
        except ValueError as error:
            raise InputError(f"{self.path}: {error}") from None
        operators = []
        for number, operator in enumerate(self.raw.operators):
            try:
                operators.append(self._operator(number, operator))
            except ValueError as error:
                named = repr(_name(number, operator)) in str(error)
                where = "" if named else f"operator {number} ({operator.kind}): "
                raise InputError(f"{self.path}: {where}{error}") from None
        output = self.tensors.get(self.raw.outputs[0])
        if output is None:
            raise InputError(f"{self.path}: output must be computed by an operator, not "
                             f"{self._label(self.raw.outputs[0])}")
        try:
            return QuantizedGraph(self.path.stem, source, output, tuple(operators))
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def _operator(self, number: int, operator: RawOperator) -> Operator:
        if len(operator.outputs) != 1 or operator.outputs[0] < 0:
            raise ValueError(f"must have one output, not {len(operator.outputs)}")
        return self.operators[operator.kind](_name(number, operator), operator)

    # Tensors.

    def _label(self, number: int) -> str:
        return f"tensor {self.raw.tensors[number].name or number!r}"

    def _checked(self, number: int, dtype: str) -> RawTensor:
        tensor = self.raw.tensors[number]
        if tensor.dtype != dtype:
            hint = ": eieio takes networks quantized to 8 bits throughout" \
                if tensor.dtype.startswith("FLOAT") else ""
            raise ValueError(f"{self._label(number)} must be {dtype}, not {tensor.dtype}{hint}")
        if tensor.special:
            raise ValueError(f"{self._label(number)} must be a plain tensor, not have "
                             f"{tensor.special}")
        return tensor

    def _define(self, number: int) -> Tensor:
        """Take a tensor of activations that has not been computed yet."""
        if number in self.tensors:
            raise ValueError(f"{self._label(number)} must be computed once")
        raw = self._checked(number, "INT8")
        if raw.data is not None:
            raise ValueError(f"{self._label(number)} must be activations, not a constant")
        if len(raw.scales) != 1 or len(raw.zero_points) != 1:
            raise ValueError(f"{self._label(number)} must have one scale and one zero point, not "
                             f"{len(raw.scales)} and {len(raw.zero_points)}")
        if -1 in raw.signature[1:] or min(raw.shape, default=0) < 1:
            raise ValueError(f"{self._label(number)} must have a fixed shape, but for the batch, "
                             f"not {raw.signature or raw.shape}")
        if raw.signature and raw.signature[1:] != raw.shape[1:]:
            raise ValueError(f"{self._label(number)} must have one shape, not {raw.shape} and "
                             f"{raw.signature}")
        self.batch = self.batch or raw.shape[0]
        if len(raw.shape) < 2 or raw.shape[0] != self.batch:
            raise ValueError(f"{self._label(number)} must have the batch of {self.batch} as its "
                             f"first axis, and one more, not shape {raw.shape}")
        name = raw.name or str(number)
        if name in self.names:
            name = f"{name}#{number}"
        self.names.add(name)
        tensor = Tensor(name, raw.shape[1:], raw.scales[0], raw.zero_points[0])
        self.tensors[number] = tensor
        return tensor

    def _activations(self, operator: RawOperator, index: int) -> Tensor:
        number = self._operand(operator, index)
        if number not in self.tensors:
            self._checked(number, "INT8")
            raise ValueError(f"operand {index} must be activations computed before, not "
                             f"{self._label(number)}")
        return self.tensors[number]

    def _operand(self, operator: RawOperator, index: int) -> int:
        if index >= len(operator.inputs) or operator.inputs[index] < 0:
            raise ValueError(f"must have operand {index}")
        return operator.inputs[index]

    def _constant(self, number: int, dtype: str) -> tuple[RawTensor, NDArray[Any]]:
        raw = self._checked(number, dtype)
        if raw.data is None:
            raise ValueError(f"{self._label(number)} must be a constant")
        wanted = math.prod(raw.shape) * _DTYPES[dtype].itemsize
        if min(raw.shape, default=1) < 1 or len(raw.data) != wanted:
            raise ValueError(f"{self._label(number)} must have {wanted} bytes for its shape "
                             f"{raw.shape}, not {len(raw.data)}")
        array = np.frombuffer(raw.data, _DTYPES[dtype]).reshape(raw.shape)
        return raw, array.astype(_DTYPES[dtype].newbyteorder("="))

    def _weights(self, operator: RawOperator, rank: int, axis: int) \
            -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Weights, and their scales: one, or one for each output channel, along `axis`."""
        number = self._operand(operator, 1)
        raw, weight = self._constant(number, "INT8")
        if weight.ndim != rank:
            raise ValueError(f"{self._label(number)} must have {rank} axes, not shape {raw.shape}")
        if len(raw.scales) != 1 and (len(raw.scales) != weight.shape[axis] or raw.axis != axis):
            raise ValueError(
                f"{self._label(number)} must have one scale, or {weight.shape[axis]} along axis "
                f"{axis}, not {len(raw.scales)} along axis {raw.axis}")
        self._check_symmetric(number, raw)
        return weight, np.array(raw.scales)

    def _check_symmetric(self, number: int, raw: RawTensor) -> None:
        if any(raw.zero_points):
            wrong = next(point for point in raw.zero_points if point)
            raise ValueError(f"{self._label(number)} must have zero point 0, not {wrong}")
        if not all(0 < scale < math.inf for scale in raw.scales):
            raise ValueError(f"{self._label(number)} must have positive scales")

    def _bias(self, operator: RawOperator, channels: int, scales: NDArray[np.float64],
              output: Tensor) -> NDArray[np.int32]:
        """Biases; `scales` are those of the sums, one or one for each channel."""
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            return np.zeros(channels, np.int32)
        number = operator.inputs[2]
        raw, bias = self._constant(number, "INT32")
        if bias.shape != (channels,):
            raise ValueError(f"{self._label(number)} must have shape {(channels,)}, not "
                             f"{bias.shape}")
        self._check_symmetric(number, raw)
        if raw.scales:
            if len(raw.scales) not in (1, channels):
                raise ValueError(f"{self._label(number)} must have one scale or {channels}, not "
                                 f"{len(raw.scales)}")
            difference = np.abs(np.array(raw.scales) - scales) / output.scale
            if difference.max() > _BIAS_TOLERANCE:
                raise ValueError(f"{self._label(number)} must have the scale of the sums, that of "
                                 "the input times that of the weights")
        return bias

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
        source = self._activations(operator, 0)
        if len(source.shape) != 3:
            raise ValueError(f"tensor {source.name!r} must be images, with 4 axes, not "
                             f"{1 + len(source.shape)}")
        return source

    def _conv(self, name: str, operator: RawOperator) -> Operator:
        source = self._image(operator)
        weight, scales = self._weights(operator, 4, 0)
        if weight.shape[3] != source.shape[2]:
            raise ValueError(f"must not be grouped: weights must have {source.shape[2]} input "
                             f"channels, as tensor {source.name!r}, not {weight.shape[3]}")
        return self._convolution(Conv2D, name, operator, weight, scales, len(weight),
                                 weight.shape[1:3])

    def _depthwise(self, name: str, operator: RawOperator) -> Operator:
        self._image(operator)
        weight, scales = self._weights(operator, 4, 3)
        if len(weight) != 1:
            raise ValueError(f"weights must have 1 as their first axis, not {len(weight)}")
        return self._convolution(DepthwiseConv2D, name, operator, weight[0], scales,
                                 weight.shape[3], weight.shape[1:3])

    def _convolution(self, create: type[Conv2D] | type[DepthwiseConv2D], name: str,
                     operator: RawOperator, weight: NDArray[np.int8],
                     scales: NDArray[np.float64], channels: int,
                     kernel: tuple[int, ...]) -> Operator:
        source = self._activations(operator, 0)
        window = self._window(operator, source, (kernel[0], kernel[1]))
        output = self._define(operator.outputs[0])
        sums = source.scale * scales
        multiplier, shift = quantize_factors(
            np.broadcast_to(sums / output.scale, (channels,)))
        bias = self._bias(operator, channels, sums, output)
        return create(name, (source,), output, weight, bias, multiplier, shift,
                      *self._range(operator, output), window)

    def _fully_connected(self, name: str, operator: RawOperator) -> Operator:
        source = self._activations(operator, 0)
        if operator.options["WeightsFormat"]:
            raise ValueError("weights must be in the default order, not shuffled")
        weight, scales = self._weights(operator, 2, 0)
        output = self._define(operator.outputs[0])
        sums = source.scale * scales
        bias = self._bias(operator, len(weight), sums, output)
        low, high = self._range(operator, output)
        multiplier, shift = quantize_factors(
            np.broadcast_to(sums / output.scale, (len(weight),)))
        integer = FullyConnected(name, (source,), output, weight, bias, multiplier, shift, low,
                                 high, single_rounding=True)
        return self._rounded_once(integer, sums / output.scale)

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

    def _pool(self, name: str, operator: RawOperator) -> Operator:
        source = self._image(operator)
        window = self._window(operator, source, (operator.options["FilterHeight"],
                                                 operator.options["FilterWidth"]))
        output = self._define(operator.outputs[0])
        create = AveragePool if operator.kind == "AVERAGE_POOL_2D" else MaxPool
        return create(name, (source,), output, window, *self._range(operator, output))

    def _add(self, name: str, operator: RawOperator) -> Operator:
        first, second = self._activations(operator, 0), self._activations(operator, 1)
        output = self._define(operator.outputs[0])
        multipliers, shifts = Add.factors(first.scale, second.scale, output.scale)
        return Add(name, (first, second), output, multipliers, shifts,
                   *self._range(operator, output))

    def _pad(self, name: str, operator: RawOperator) -> Operator:
        source = self._activations(operator, 0)
        number = self._operand(operator, 1)
        _, padding = self._constant(number, "INT32")
        if padding.shape != (1 + len(source.shape), 2) or padding[0].any():
            raise ValueError(f"{self._label(number)} must have shape {(1 + len(source.shape), 2)} "
                             "and leave the batch as it is")
        return Pad(name, (source,), self._define(operator.outputs[0]),
                   tuple((before, after) for before, after in padding[1:].tolist()))

    def _reshape(self, name: str, operator: RawOperator) -> Operator:
        source = self._activations(operator, 0)
        output = self._define(operator.outputs[0])
        if len(operator.inputs) > 1:
            number = self._operand(operator, 1)
            _, wanted = self._constant(number, "INT32")
            shape = (self.batch, *output.shape)
            if wanted.shape != (len(shape),) or any(
                    size not in (-1, axis)
                    for size, axis in zip(wanted.tolist(), shape, strict=True)):
                raise ValueError(f"{self._label(number)} must be {shape}, the shape of the output, "
                                 f"not {tuple(wanted.ravel().tolist())}")
        return Reshape(name, (source,), output)

    def _softmax(self, name: str, operator: RawOperator) -> Operator:
        source = self._activations(operator, 0)
        factor = softmax_factor(operator.options["Beta"], source.scale)
        return Softmax(name, (source,), self._define(operator.outputs[0]),
                       *quantize_factor(factor))


def _name(number: int, operator: RawOperator) -> str:
    return f"{operator.kind.lower()}_{number}"


def _same(size: int, extent: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after that gives one window for every step."""
    windows = -(-size // stride)
    total = max((windows - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2
