"""Networks of convolutions and fully connected layers in ONNX.

The importer takes networks with one input and one output, of

Conv, Gemm, MatMul
    With constant weights. A convolution may be dilated, padded and grouped in any way.
BatchNormalization, and Add, Sub, Mul and Div with constants, one for all channels or one each
    Folded into the Conv, Gemm or MatMul before, where nothing else takes that one's result;
    elsewhere a convolution of its own, for images.
Add
    Of two activations of one shape.
Relu, Clip
    Clamp the results of the operator before, where nothing else takes them.
MaxPool, AveragePool, GlobalAveragePool, ReduceMean over height and width
    In two dimensions, not dilated.
Flatten, Reshape, Squeeze, Unsqueeze, Transpose
    Where an image, in any order of its axes, or a vector comes of it.
Pad
    With zeros.
Softmax
    Along the channels.
Identity, Dropout, Cast to a floating-point type
    Skipped.

The numbers may be real, or quantized to 8 bits in either of ONNX's ways: by QuantizeLinear and
DequantizeLinear around the operators above, or by QLinearConv, QLinearMatMul, QLinearAdd and
QLinearGlobalAveragePool. Everything else is refused by name.

ONNX has images in the order channels, height, width. Here they are in the order height, width,
channels: weights are transposed, and the columns of a matrix behind a Flatten change places. A
network whose input goes through a Transpose from the latter order has it already.

ONNX's quantized operators are defined in floating point and round a half to the even. The integers
here are TensorFlow Lite's, which rescale in fixed point: a result may be another by one step, where
the exact one is next to the middle between two.
"""

import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.onnx_constants import evaluate, initializers
from eieio.model.formats.onnx_model import attributes_of, load_model, one_line
from eieio.model.formats.onnx_scales import activation_scale, quantize_constant, weight_steps
from eieio.model.formats.onnx_shape import ActivationShape
from eieio.model.formats.onnx_window import Sliding, resolve
from eieio.model.systolic.float_graph import (
    Add,
    AveragePool,
    Clamp,
    Conv2D,
    DepthwiseConv2D,
    FloatGraph,
    FullyConnected,
    MaxPool,
    Operator,
    Pad,
    Pool,
    Reshape,
    Softmax,
    Value,
    WeightedOperator,
)
from eieio.model.systolic.quantization import Scale
from eieio.model.systolic.quantized_graph import Window

__all__ = ["OnnxGraph", "read"]

_DOMAINS = ("", "ai.onnx")
# Domain of the quantized operators that ONNX itself has not.
_MICROSOFT = "com.microsoft"
_FLOATS = (onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
_INTEGERS = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)

# Constants that these move keep the steps of their quantization.
_MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})

# Elements of activations of one sample, and of the weights of an operator, at most.
_MAX_ELEMENTS = 1 << 26

# What the scale of a bias may differ from that of the sums, as a share.
_BIAS_TOLERANCE = 1e-5


@dataclass(frozen=True)
class OnnxGraph:
    """What an ONNX file holds.

    Attributes
    ----------
    graph : FloatGraph
        The network in real numbers.
    scales : dict of Scale
        Scales of the activations that the file has quantized, by the name of the value; empty if
        the network is one of floating-point numbers.
    """

    graph: FloatGraph
    scales: dict[str, Scale]


def read(path: str | os.PathLike[str]) -> OnnxGraph:
    """Read a network.

    Parameters
    ----------
    path : path-like
        An ONNX file. Data that it keeps in other files are read from its folder.

    Returns
    -------
    OnnxGraph
        The network, named after the file. Operators are named after their nodes, and values after
        ONNX's, where several nodes make one operator after the last.

    Raises
    ------
    InputError
        If the file is not an ONNX model, or not such a network as described above: the message
        names the node and what would fit.
    """
    path = Path(path)
    model, opset = load_model(path)
    try:
        constants = initializers(model.graph)
    except ValueError as error:
        raise InputError(f"{path}: {one_line(error)}") from error
    importer = _Importer(model.graph, constants, opset, path)
    for index, node in enumerate(model.graph.node):
        importer.follow(node, index)
    return importer.finish()


@dataclass(frozen=True)
class _Activations:
    """Activations of the graph.

    Attributes
    ----------
    value : Value
        Where they are.
    order : int64 array
        Index in the value, of every element of the tensor in ONNX, in the shape it has there.
    integers : bool
        Whether the tensor in ONNX is a quantized one.
    exclusive : bool
        Whether nothing else takes the value.
    """

    value: Value
    order: NDArray[np.int64]
    integers: bool
    exclusive: bool


@dataclass(frozen=True)
class _Weights:
    """Constant numbers, and their steps if they are quantized: float64 arrays of one shape."""

    number: NDArray[np.float64]
    step: NDArray[np.float64] | None

    def map(self, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> "_Weights":
        """Change the order or the shape."""
        return _Weights(function(self.number), None if self.step is None else function(self.step))

    @property
    def scale(self) -> NDArray[np.float64] | None:
        """Steps of the channels, along the first axis, if there are any."""
        if self.step is None:
            return None
        steps = self.step.reshape(len(self.step), -1)
        if (steps != steps[:, :1]).any():
            raise ValueError("must have weights with one scale for each output channel, not along "
                             "another axis")
        return steps[:, 0].copy()


class _Importer:
    def __init__(self, graph: onnx.GraphProto, constants: dict[str, NDArray[Any]], opset: int,
                 path: Path) -> None:
        self.path = path
        self.opset = opset
        self.constants = constants
        #: Steps of the constants that have been dequantized.
        self.steps: dict[str, NDArray[np.float64]] = {}
        self.operators: list[Operator] = []
        #: Index of the operator that computes a value.
        self.producers: dict[str, int] = {}
        self.scales: dict[str, Scale] = {}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(output.name for output in graph.output)
        self.names = {name for node in graph.node for name in (node.name, *node.output)}
        self.taken: set[str] = set()
        inputs = [entry for entry in graph.input if entry.name not in constants]
        for what, entries in (("input", inputs), ("output", list(graph.output))):
            if len(entries) != 1:
                raise InputError(f"{path}: must have one {what}, not {len(entries)}: "
                                 f"{', '.join(entry.name for entry in entries)}")
        self.output = graph.output[0].name
        self.batch: int | None = None
        source = self._input(inputs[0], graph)
        self.input = source.value
        self.activations = {inputs[0].name: source}
        self.kinds: dict[str, Callable[[onnx.NodeProto], None]] = {
            **dict.fromkeys(("Add", "Div", "Mul", "Sub"), self._arithmetic),
            **dict.fromkeys(("AveragePool", "MaxPool"), self._pool),
            "BatchNormalization": self._batch_normalization, "Cast": self._cast,
            "Clip": self._clip, "Conv": self._conv, "DequantizeLinear": self._dequantize_linear,
            "Dropout": self._dropout, "Flatten": self._flatten, "Gemm": self._gemm,
            "GlobalAveragePool": self._global_average_pool, "Identity": self._identity,
            "MatMul": self._matmul, "Pad": self._pad, "QLinearAdd": self._qlinear_add,
            "QLinearConv": self._qlinear_conv,
            "QLinearGlobalAveragePool": self._qlinear_global_average_pool,
            "QLinearMatMul": self._qlinear_matmul, "QuantizeLinear": self._quantize_linear,
            "ReduceMean": self._reduce_mean, "Relu": self._relu, "Reshape": self._reshape,
            "Softmax": self._softmax, "Squeeze": self._squeeze, "Transpose": self._transpose,
            "Unsqueeze": self._unsqueeze}

    def _input(self, entry: onnx.ValueInfoProto, graph: onnx.GraphProto) -> _Activations:
        kind = entry.type.tensor_type.elem_type
        if kind not in (*_FLOATS, *_INTEGERS):
            raise InputError(f"{self.path}: input {entry.name!r} must be of a floating-point type, "
                             f"INT8 or UINT8, not {_type_name(kind)}")
        batch, *sizes = (dim.dim_value if dim.dim_value > 0 else None
                         for dim in entry.type.tensor_type.shape.dim) or (None,)
        known = [size for size in sizes if size is not None]
        if not sizes or len(known) < len(sizes):
            raise InputError(f"{self.path}: input {entry.name!r} must have a batch axis, and "
                             "others of fixed sizes behind it")
        if math.prod(known) > _MAX_ELEMENTS:
            raise InputError(f"{self.path}: input {entry.name!r} must have at most {_MAX_ELEMENTS} "
                             f"elements, not {math.prod(known)}")
        self.batch = batch
        shape = tuple(known)
        if len(shape) == 3 and not _transposes_first(entry.name, graph):
            order = _image_order(shape[1], shape[2], shape[0])
            shape = shape[1], shape[2], shape[0]
        else:
            order = np.arange(math.prod(shape)).reshape(shape)
        return _Activations(Value(entry.name, shape), order, kind in _INTEGERS,
                            self.uses[entry.name] == 1)

    def follow(self, node: onnx.NodeProto, index: int) -> None:
        """Take the next node, in the order of the file."""
        where = f"node {node.name!r}" if node.name else f"node {index}"
        try:
            # What overflows is refused.
            with np.errstate(all="ignore"):
                self._follow(node)
        except ValueError as error:
            raise InputError(f"{self.path}: {where} ({node.op_type}) {one_line(error)}") from error

    def _follow(self, node: onnx.NodeProto) -> None:
        if node.domain not in (*_DOMAINS, _MICROSOFT) or (
                node.domain == _MICROSOFT and not node.op_type.endswith("Linear")
                and not node.op_type.startswith("QLinear")):
            raise ValueError(f"must be a standard ONNX operator, not one of {node.domain!r}")
        if not any(name in self.activations for name in node.input):
            self._constant(node)
            return
        if node.op_type == "Shape":
            attributes = attributes_of(node)
            sizes = self._shape(node).sizes(attributes.get("start", 0), attributes.get("end"))
            self.constants[node.output[0]] = np.array(sizes, np.int64)
            return
        if node.op_type not in self.kinds:
            raise ValueError(f"must be one of {', '.join(sorted(self.kinds))}")
        if any(self.uses[name] for name in node.output[1:]):
            raise ValueError(f"must have one output in use, not {len(node.output)}")
        self.kinds[node.op_type](node)

    def finish(self) -> OnnxGraph:
        """Return the whole graph."""
        output = self.activations.get(self.output)
        if output is None or not self.operators:
            raise InputError(f"{self.path}: output {self.output!r} must be computed from the input")
        order = output.order
        if order.ndim == 3 and _is_natural(order):
            channels, *size = order.shape
            value = self._shaped(output.value, (*size, channels))
        elif (order.ravel() == np.arange(order.size)).all():
            value = self._shaped(output.value, order.shape)
        else:
            raise InputError(f"{self.path}: output {self.output!r} must be an image, or a vector "
                             "of channels: what flattens an image must have a Gemm or MatMul "
                             "behind it")
        return OnnxGraph(FloatGraph(self.path.stem, self.input, value, tuple(self.operators)),
                         self.scales)

    # Constants.

    def _constant(self, node: onnx.NodeProto) -> None:
        name = node.output[0]
        match node.op_type:
            case "DequantizeLinear":
                levels, scale, zero_point = (self._optional(node, index) for index in range(3))
                assert levels is not None and scale is not None  # noqa: PT018
                self.constants[name], self.steps[name] = weight_steps(
                    levels, scale, zero_point, self._axis(node))
            case "QuantizeLinear":
                number, scale, zero_point = (self._optional(node, index) for index in range(3))
                assert number is not None and scale is not None  # noqa: PT018
                self.constants[name] = quantize_constant(
                    number, scale, np.zeros(1, np.uint8) if zero_point is None else zero_point,
                    self._axis(node))
            case _:
                self.constants |= evaluate(node, self.opset, self.constants)
                if node.op_type in _MOVES and node.input[0] in self.steps:
                    moved = {**self.constants, node.input[0]: self.steps[node.input[0]]}
                    self.steps |= evaluate(node, self.opset, moved)

    def _axis(self, node: onnx.NodeProto) -> int:
        attributes = attributes_of(node)
        if attributes.get("block_size", 0):
            raise ValueError("must have one scale for each channel, not for blocks: block_size "
                             f"must be 0, not {attributes['block_size']}")
        return attributes.get("axis", 1)

    def _optional(self, node: onnx.NodeProto, index: int) -> NDArray[Any] | None:
        """Constant operand, or None if the node leaves it out."""
        if len(node.input) <= index or not node.input[index]:
            return None
        name = node.input[index]
        if name not in self.constants:
            raise ValueError(f"must take {name!r} as a constant")
        return self.constants[name]

    def _required(self, node: onnx.NodeProto, index: int) -> NDArray[Any]:
        array = self._optional(node, index)
        if array is None:
            raise ValueError(f"must have operand {index}")
        return array

    def _numbers(self, node: onnx.NodeProto, index: int) -> NDArray[np.float64]:
        """Floating-point constant operand."""
        array, name = self._required(node, index), node.input[index]
        if array.dtype not in (np.float16, np.float32, np.float64):
            raise ValueError(f"must take {name!r} as a float16, float32 or float64 tensor, not "
                             f"{array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"must take {name!r} as finite numbers")
        return array.astype(np.float64)

    def _weights(self, node: onnx.NodeProto, index: int, rank: int) -> _Weights:
        number = self._numbers(node, index)
        if number.ndim != rank or not number.size:
            raise ValueError(f"must have weights of {rank} axes, not of shape {number.shape}")
        return _Weights(number, self.steps.get(node.input[index]))

    def _scale(self, node: onnx.NodeProto, index: int) -> Scale:
        """Scale of activations, from an operand and the next."""
        zero_point = self._optional(node, index + 1)
        return activation_scale(self._required(node, index),
                                np.zeros(1, np.uint8) if zero_point is None else zero_point)

    def _integers_of(self, node: onnx.NodeProto, index: int) -> list[int]:
        """Constant operand, or in old opsets attribute, that lists axes or sizes."""
        array = self._optional(node, index)
        if array is None:
            array = np.array(attributes_of(node).get("axes", []), np.int64)
        if array.dtype != np.int64 or array.ndim != 1:
            raise ValueError(
                f"must take a list of int64, not {array.dtype} of shape {array.shape}")
        return array.tolist()

    # Activations.

    def _any(self, node: onnx.NodeProto, index: int = 0) -> _Activations:
        name = node.input[index] if index < len(node.input) else ""
        if name not in self.activations:
            raise ValueError(f"must take activations as operand {index}, not {name!r}")
        return self.activations[name]

    def _real(self, node: onnx.NodeProto, index: int = 0) -> _Activations:
        operand = self._any(node, index)
        if operand.integers:
            raise ValueError(f"must take real numbers, not {node.input[index]!r}, which is "
                             "quantized: DequantizeLinear must be between")
        return operand

    def _quantized(self, node: onnx.NodeProto, index: int, scale: Scale) -> _Activations:
        operand = self._any(node, index)
        if not operand.integers:
            raise ValueError(f"must take quantized numbers, not {node.input[index]!r}")
        known = self.scales.setdefault(operand.value.name, scale)
        if known != scale:
            raise ValueError(
                f"must take {node.input[index]!r} at the scale and the zero point at which it was "
                f"quantized, {known.scale} and {known.zero_point}, not {scale.scale} and "
                f"{scale.zero_point} (for int8)")
        return operand

    def _shape(self, node: onnx.NodeProto) -> ActivationShape:
        return ActivationShape(self.batch, self._any(node).order.shape)

    def _image(self, operand: _Activations) -> Value:
        """Value of an image, in the shape of one."""
        order = operand.order
        if order.ndim != 3:
            raise ValueError("must take images, with 4 axes: batch, channels, height, width, not "
                             f"{1 + order.ndim} axes")
        if not _is_natural(order):
            raise ValueError("must take images whose channels, height and width have their order "
                             "from the input on, not such as a Reshape or Transpose makes")
        channels, height, width = order.shape
        return self._shaped(operand.value, (height, width, channels))

    def _shaped(self, value: Value, shape: tuple[int, ...]) -> Value:
        if value.shape == shape:
            return value
        reshaped = Value(self._free(f"{value.name}_reshaped"), shape)
        self._add(Reshape(name=self._free(f"{value.name}_reshape"), inputs=(value,),
                          output=reshaped))
        if value.name in self.scales:
            self.scales[reshaped.name] = self.scales[value.name]
        return reshaped

    def _free(self, name: str) -> str:
        while name in self.names or name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _add(self, operator: Operator) -> None:
        self.producers[operator.output.name] = len(self.operators)
        self.operators.append(operator)

    def _label(self, node: onnx.NodeProto) -> str:
        """Name of a node's operator, its own."""
        name = node.name or f"{node.op_type.lower()}_{len(self.operators)}"
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _append(self, node: onnx.NodeProto, kind: type[Operator], inputs: tuple[Value, ...],
                shape: tuple[int, ...], order: NDArray[np.int64], **fields: Any) -> _Activations:
        """Append an operator, whose output is the node's."""
        output = Value(node.output[0], shape)
        self._add(kind(name=self._label(node), inputs=inputs, output=output, **fields))
        return self._define(node, _Activations(output, order, False, True))

    def _append_image(self, node: onnx.NodeProto, kind: type[Operator], inputs: tuple[Value, ...],
                      shape: tuple[int, ...], **fields: Any) -> _Activations:
        height, width, channels = shape
        _check_size("activations", shape)
        return self._append(node, kind, inputs, shape, _image_order(height, width, channels),
                            **fields)

    def _define(self, node: onnx.NodeProto, result: _Activations) -> _Activations:
        name = node.output[0]
        result = replace(result, exclusive=result.exclusive and self.uses[name] == 1)
        self.activations[name] = result
        return result

    def _producer(self, operand: _Activations) -> Operator | None:
        """Operator that computes activations, if it may still be changed."""
        index = self.producers.get(operand.value.name)
        if index is None or not operand.exclusive or operand.value.name in self.scales:
            return None
        return self.operators[index]

    def _change(self, node: onnx.NodeProto, operand: _Activations, **fields: Any) -> None:
        """Change the operator that computes activations, so that it computes the node's output."""
        index = self.producers.pop(operand.value.name)
        output = Value(node.output[0], operand.value.shape)
        self.producers[output.name] = index
        self.operators[index] = replace(self.operators[index], output=output, **fields)
        self._define(node, replace(operand, value=output))

    # Quantized numbers.

    def _quantize_linear(self, node: onnx.NodeProto) -> None:
        self._axis(node)
        operand, scale = self._real(node), self._scale(node, 1)
        if attributes_of(node).get("output_dtype", 0) not in (0, *_INTEGERS):
            raise ValueError("must quantize activations to int8 or uint8")
        known = self.scales.setdefault(operand.value.name, scale)
        if known != scale:
            output = Value(self._free(f"{node.output[0]}_rescaled"), operand.value.shape)
            self._add(Clamp(name=self._label(node), inputs=(operand.value,), output=output))
            self.scales[output.name] = scale
            operand = replace(operand, value=output, exclusive=True)
        self._define(node, replace(operand, integers=True))

    def _dequantize_linear(self, node: onnx.NodeProto) -> None:
        self._axis(node)
        operand = self._quantized(node, 0, self._scale(node, 1))
        self._define(node, replace(operand, integers=False))

    def _result(self, result: _Activations, node: onnx.NodeProto, scale: Scale) -> None:
        self.scales[result.value.name] = scale
        self._define(node, replace(result, integers=True))

    def _qlinear_weights(self, node: onnx.NodeProto, index: int, axis: int) -> _Weights:
        levels, scale = self._required(node, index), self._required(node, index + 1)
        if levels.dtype == np.int32:
            raise ValueError("must have weights of int8 or uint8, not int32")
        return _Weights(*weight_steps(levels, scale, self._required(node, index + 2), axis))

    def _qlinear_conv(self, node: onnx.NodeProto) -> None:
        source = self._scale(node, 1)
        operand, weights = self._quantized(node, 0, source), self._qlinear_weights(node, 3, 0)
        bias = np.zeros(len(weights.number))
        levels = self._optional(node, 8)
        if levels is not None:
            if levels.dtype != np.int32 or levels.shape != bias.shape:
                raise ValueError(f"must have biases of int32, of shape {bias.shape}, not "
                                 f"{levels.dtype} of shape {levels.shape}")
            scale = weights.scale
            assert scale is not None
            bias = levels * (source.scale * scale)
        self._result(self._convolution(node, operand, weights, bias), node, self._scale(node, 6))

    def _qlinear_matmul(self, node: onnx.NodeProto) -> None:
        operand = self._quantized(node, 0, self._scale(node, 1))
        weights = self._qlinear_weights(node, 3, 1)
        result = self._product(node, operand, weights.map(np.transpose), None)
        self._result(result, node, self._scale(node, 6))

    def _qlinear_add(self, node: onnx.NodeProto) -> None:
        operands = [self._quantized(node, index, self._scale(node, index + 1)) for index in (0, 3)]
        self._result(self._sum(node, *operands), node, self._scale(node, 6))

    def _qlinear_global_average_pool(self, node: onnx.NodeProto) -> None:
        if attributes_of(node).get("channels_last", 0):
            raise ValueError("must have channels_last 0, not 1")
        operand = self._quantized(node, 0, self._scale(node, 1))
        self._result(self._mean(node, operand), node, self._scale(node, 3))

    # Weighted operators.

    def _conv(self, node: onnx.NodeProto) -> None:
        operand, weights = self._real(node), self._weights(node, 1, 4)
        self._convolution(node, operand, weights,
                          self._bias(node, operand, weights, len(weights.number)))

    def _bias(self, node: onnx.NodeProto, operand: _Activations, weights: _Weights,
              channels: int) -> NDArray[np.float64]:
        """Biases of the output channels; `weights` have these as their first axis."""
        if self._optional(node, 2) is None:
            return np.zeros(channels)
        bias = self._numbers(node, 2)
        try:
            bias = np.broadcast_to(bias, (1, channels))[0]
        except ValueError:
            raise ValueError(f"must take {node.input[2]!r} of shape ({channels},), not "
                             f"{bias.shape}") from None
        step, scale = self.steps.get(node.input[2]), weights.scale
        source = self.scales.get(operand.value.name)
        if step is None or scale is None or source is None:
            return bias
        # At the scale of the sums but for its rounding to float32: the very integers.
        step, sums = np.broadcast_to(step, (1, channels))[0], source.scale * scale
        same = np.abs(step - sums) <= _BIAS_TOLERANCE * sums
        return np.where(same, np.rint(bias / step) * sums, bias)

    def _convolution(self, node: onnx.NodeProto, operand: _Activations, weights: _Weights,
                     bias: NDArray[np.float64]) -> _Activations:
        if weights.number.ndim != 4:
            raise ValueError(f"must have weights of 4 axes, not {weights.number.ndim}")
        source = self._image(operand)
        height, width, depth = source.shape
        channels, part, *kernel = weights.number.shape
        attributes = attributes_of(node)
        groups, wanted = attributes.get("group", 1), tuple(kernel)
        if groups < 1 or part * groups != depth or channels % groups:
            raise ValueError(f"must have group and weights that fit {depth} channels, not group "
                             f"{groups} and weights of shape {weights.number.shape}")
        if tuple(attributes.get("kernel_shape", wanted)) != wanted:
            raise ValueError(f"must have kernel_shape {wanted}, that of its weights, not "
                             f"{tuple(attributes['kernel_shape'])}")
        sliding = resolve(attributes, (kernel[0], kernel[1]), (height, width))
        if not sliding.fits:
            source = self._padded(node, source, sliding)
            window = sliding.unpadded()
        else:
            window = sliding.window()
        weight, scale = weights.number, weights.scale
        if 1 < groups == depth:
            kind, weight = DepthwiseConv2D, weight[:, 0].transpose(1, 2, 0)
        else:
            kind = Conv2D
            if groups > 1:
                _check_size("weights", (channels, depth, *kernel))
                whole = np.zeros((channels, depth, *kernel))
                for group in range(groups):
                    rows = slice(group * channels // groups, (group + 1) * channels // groups)
                    whole[rows, group * part:(group + 1) * part] = weight[rows]
                weight = whole
            weight = weight.transpose(0, 2, 3, 1)
        return self._append_image(
            node, kind, (source,), (*window.output_size(*source.shape[:2]), channels),
            weight=np.ascontiguousarray(weight), bias=bias, weight_scale=scale, window=window)

    def _padded(self, node: onnx.NodeProto, source: Value, sliding: Sliding) -> Value:
        """Append a Pad before a node."""
        height, width, channels = source.shape
        (top, bottom), (left, right) = sliding.padding
        shape = height + top + bottom, width + left + right, channels
        _check_size("activations", shape)
        output = Value(self._free(f"{node.output[0]}_padded"), shape)
        self._add(Pad(name=self._free(f"{node.name or node.output[0]}_pad"), inputs=(source,),
                      output=output, padding=(*sliding.padding, (0, 0))))
        return output

    def _gemm(self, node: onnx.NodeProto) -> None:
        attributes = attributes_of(node)
        if attributes.get("transA", 0):
            raise ValueError("must have transA 0, not 1")
        operand, weights = self._real(node), self._weights(node, 1, 2)
        if not attributes.get("transB", 0):
            weights = weights.map(np.transpose)
        alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
        if not alpha > 0:
            raise ValueError(f"must have alpha above 0, not {alpha}")
        weights = weights.map(lambda array: array * alpha)
        bias = self._bias(node, operand, weights, len(weights.number)) * beta
        self._product(node, operand, weights, bias)

    def _matmul(self, node: onnx.NodeProto) -> None:
        operand, weights = self._real(node), self._weights(node, 1, 2)
        self._product(node, operand, weights.map(np.transpose), None)

    def _product(self, node: onnx.NodeProto, operand: _Activations, weights: _Weights,
                 bias: NDArray[np.float64] | None) -> _Activations:
        if weights.number.ndim != 2:
            raise ValueError(f"must have weights of 2 axes, not {weights.number.ndim}")
        channels, inputs = weights.number.shape
        if operand.order.shape != (inputs,):
            raise ValueError(f"must take activations of shape (batch, {inputs}), to fit its "
                             f"weights, not {ActivationShape(self.batch, operand.order.shape)}")
        weight = np.empty((channels, inputs))
        weight[:, operand.order] = weights.number
        return self._append(
            node, FullyConnected, (operand.value,), (channels,), np.arange(channels), weight=weight,
            bias=np.zeros(channels) if bias is None else bias, weight_scale=weights.scale)

    # Scale and shift.

    def _arithmetic(self, node: onnx.NodeProto) -> None:
        if all(name in self.activations for name in node.input):
            if node.op_type != "Add":
                raise ValueError("must take a constant, not two activations: eieio takes Add")
            self._sum(node, self._real(node, 0), self._real(node, 1))
            return
        first = node.input[0] in self.activations
        operand = self._real(node, 0 if first else 1)
        constant = self._by_channel(operand, self._numbers(node, 1 if first else 0))
        one, zero = np.ones(1), np.zeros(1)
        match node.op_type:
            case "Add":
                self._affine(node, operand, one, constant)
            case "Sub":
                self._affine(node, operand, *(one, -constant) if first else (-one, constant))
            case "Mul":
                self._affine(node, operand, constant, zero)
            case _:
                if not first or not constant.all():
                    raise ValueError("must divide the activations by constants other than 0")
                self._affine(node, operand, 1 / constant, zero)

    def _by_channel(self, operand: _Activations, array: NDArray[np.float64]) \
            -> NDArray[np.float64]:
        """Constant operand, of shape (channels,)."""
        shape = operand.order.shape
        try:
            spread = np.broadcast_to(array, (1, *shape))[0].reshape(shape[0], -1)
        except ValueError:
            raise ValueError(f"must take a constant that fits activations of shape {shape}, not "
                             f"one of shape {array.shape}") from None
        if (spread != spread[:, :1]).any():
            raise ValueError("must take one constant, or one for each channel, not for pixels")
        return spread[:, 0]

    def _batch_normalization(self, node: onnx.NodeProto) -> None:
        attributes = attributes_of(node)
        if attributes.get("training_mode", 0) or not attributes.get("spatial", 1):
            raise ValueError("must be for inference, with training_mode 0 and spatial 1")
        operand = self._real(node)
        channels = operand.order.shape[0]
        tables = [self._numbers(node, index) for index in range(1, 5)]
        for index, table in enumerate(tables, start=1):
            if table.shape != (channels,):
                raise ValueError(f"must take {node.input[index]!r} of shape ({channels},), not "
                                 f"{table.shape}")
        scale, shift, mean, variance = tables
        variance = variance + attributes.get("epsilon", 1e-5)
        if variance.min() <= 0:
            raise ValueError(f"must take {node.input[4]!r} above minus epsilon")
        factor = scale / np.sqrt(variance)
        self._affine(node, operand, factor, shift - mean * factor)

    def _affine(self, node: onnx.NodeProto, operand: _Activations, scale: NDArray[np.float64],
                shift: NDArray[np.float64]) -> None:
        """Compute ``scale * x + shift``, both one for each channel, or one for all."""
        channels = operand.order.shape[0]
        scale, shift = (np.broadcast_to(array, (channels,)) for array in (scale, shift))
        before = self._producer(operand)
        if isinstance(before, WeightedOperator) and not before.clamps and _is_natural(
                operand.order) and len(before.bias) == channels:
            weight_scale = before.weight_scale
            if weight_scale is not None and (scale != 1).any():
                raise ValueError(f"must be folded into {before.name!r} before that is quantized")
            factor = scale if isinstance(before, DepthwiseConv2D) else scale.reshape(
                -1, *[1] * (before.weight.ndim - 1))
            self._change(node, operand, weight=before.weight * factor,
                         bias=before.bias * scale + shift)
            return
        if operand.order.ndim != 3:
            raise ValueError("must follow a Conv, Gemm or MatMul whose result nothing else takes, "
                             "or take images")
        source = self._image(operand)
        self._append_image(node, DepthwiseConv2D, (source,), source.shape,
                           weight=scale.reshape(1, 1, -1).copy(), bias=shift.copy(),
                           window=Window((1, 1)))

    # Activations alone.

    def _sum(self, node: onnx.NodeProto, first: _Activations, second: _Activations) \
            -> _Activations:
        if first.order.shape != second.order.shape:
            raise ValueError("must add activations of one shape, not "
                             f"{ActivationShape(self.batch, first.order.shape)} and "
                             f"{ActivationShape(self.batch, second.order.shape)}")
        if (first.order != second.order).any():
            raise ValueError("must add activations whose elements have one order, not such as a "
                             "Reshape or Transpose makes of one of them")
        shape = first.value.shape
        operands = first.value, self._shaped(second.value, shape)
        return self._append(node, Add, operands, shape, first.order)

    def _relu(self, node: onnx.NodeProto) -> None:
        self._clamp(node, 0.0, math.inf)

    def _clip(self, node: onnx.NodeProto) -> None:
        attributes = attributes_of(node)
        ends = [attributes.get("min", -math.inf), attributes.get("max", math.inf)]
        for index in (1, 2):
            if self._optional(node, index) is not None:
                end = self._numbers(node, index)
                if end.size != 1:
                    raise ValueError(f"must take {node.input[index]!r} as one number, not "
                                     f"{end.size}")
                ends[index - 1] = float(end.ravel()[0])
        if not ends[0] <= ends[1]:
            raise ValueError(f"must have min and max in order, not {ends[0]} and {ends[1]}")
        self._clamp(node, ends[0], ends[1])

    def _clamp(self, node: onnx.NodeProto, low: float, high: float) -> None:
        operand = self._real(node)
        before = self._producer(operand)
        if isinstance(before, WeightedOperator | Pool | Add | Clamp):
            self._change(node, operand, minimum=min(max(before.minimum, low), high),
                         maximum=min(max(before.maximum, low), high))
        else:
            self._append(node, Clamp, (operand.value,), operand.value.shape, operand.order,
                         minimum=low, maximum=high)

    def _pool(self, node: onnx.NodeProto) -> None:
        maximum, attributes = node.op_type == "MaxPool", attributes_of(node)
        operand = self._any(node) if maximum else self._real(node)
        source = self._image(operand)
        kernel = attributes["kernel_shape"]
        if len(kernel) != 2 or min(kernel) < 1:
            raise ValueError(f"must have kernel_shape as 2 positive numbers, not {kernel}")
        if attributes.get("storage_order", 0):
            raise ValueError("must have storage_order 0, not 1")
        height, width, channels = source.shape
        sliding = resolve(attributes, (kernel[0], kernel[1]), (height, width))
        if sliding.dilation != (1, 1):
            raise ValueError(f"must have dilations (1, 1), not {sliding.dilation}")
        if not sliding.fits:
            raise ValueError(f"must have pads of less than the window, {sliding.kernel}, not "
                             f"{sliding.padding}")
        window = sliding.window()
        if not maximum and attributes.get("count_include_pad", 0) \
                and sliding.padding != ((0, 0), (0, 0)):
            if any(sliding.more):
                raise ValueError("must have count_include_pad 0, or ceil_mode 0, where ceil_mode "
                                 "adds a window")
            source, window = self._padded(node, source, sliding), sliding.unpadded()
        result = self._append_image(
            node, MaxPool if maximum else AveragePool, (source,),
            (*window.output_size(*source.shape[:2]), channels), window=window)
        if operand.integers:
            self._define(node, replace(result, integers=True))

    def _global_average_pool(self, node: onnx.NodeProto) -> None:
        self._mean(node, self._real(node))

    def _mean(self, node: onnx.NodeProto, operand: _Activations) -> _Activations:
        source = self._image(operand)
        height, width, channels = source.shape
        return self._append_image(node, AveragePool, (source,), (1, 1, channels),
                                  window=Window((height, width), (height, width)))

    def _reduce_mean(self, node: onnx.NodeProto) -> None:
        operand, attributes = self._real(node), attributes_of(node)
        axes = {axis % 4 for axis in self._integers_of(node, 1) if -4 <= axis < 4}
        if operand.order.ndim != 3 or axes != {2, 3}:
            raise ValueError("must take the means of images over axes 2 and 3")
        result = self._mean(node, operand)
        if not attributes.get("keepdims", 1):
            self._define(node, replace(result, order=result.order.ravel()))

    def _pad(self, node: onnx.NodeProto) -> None:
        operand, attributes = self._real(node), attributes_of(node)
        mode = attributes.get("mode", b"constant").decode(errors="replace")
        if mode != "constant":
            raise ValueError(f"must have mode constant, not {mode}")
        value = self._optional(node, 2)
        if (attributes.get("value", 0.0) if value is None else value.any()):
            raise ValueError("must pad with 0, not another number")
        rank = 1 + operand.order.ndim
        pads = attributes.get("pads") if self.opset < 11 else self._integers_of(node, 1)
        axes = self._integers_of(node, 3) if len(node.input) > 3 and node.input[3] \
            else list(range(rank))
        if pads is None or len(pads) != 2 * len(axes) or any(
                not -rank <= axis < rank for axis in axes):
            raise ValueError("must have two pads for each axis, not "
                             f"{0 if pads is None else len(pads)} for {len(axes)}")
        padding = [(0, 0)] * rank
        for axis, pair in zip(axes, zip(pads[:len(axes)], pads[len(axes):], strict=True),
                              strict=True):
            padding[axis] = pair
        if any(padding[0]) or min(map(min, padding)) < 0:
            raise ValueError("must leave the batch as it is, and not cut off, with pads that are "
                             f"not negative, not {list(pads)}")
        if rank == 4:
            source = self._image(operand)
            ordered = padding[2], padding[3], padding[1]
        elif rank == 2 and _is_natural(operand.order):
            source, ordered = self._shaped(operand.value, operand.order.shape), (padding[1],)
        else:
            raise ValueError("must pad images, or vectors of channels")
        shape = tuple(size + sum(pair) for size, pair in zip(source.shape, ordered, strict=True))
        _check_size("activations", shape)
        if rank == 4:
            self._append_image(node, Pad, (source,), shape, padding=ordered)
        else:
            self._append(node, Pad, (source,), shape, np.arange(shape[0]), padding=ordered)

    def _softmax(self, node: onnx.NodeProto) -> None:
        operand = self._real(node)
        rank = 1 + operand.order.ndim
        axis = attributes_of(node).get("axis", -1 if self.opset >= 13 else 1)
        if axis % rank != 1 or (self.opset < 13 and rank > 2 and operand.order[0].size > 1):
            raise ValueError(f"must run along the channels, axis 1, not {axis}")
        if rank == 2 and _is_natural(operand.order):
            source = self._shaped(operand.value, operand.order.shape)
        else:
            source = self._image(operand)
        self._append(node, Softmax, (source,), source.shape, operand.order)

    # Shapes.

    def _view(self, node: onnx.NodeProto, shape: ActivationShape) -> None:
        operand = self._any(node)
        order = operand.order.reshape(shape.require_known())
        self._define(node, replace(operand, order=order))

    def _flatten(self, node: onnx.NodeProto) -> None:
        self._view(node, self._shape(node).flatten(attributes_of(node).get("axis", 1)))

    def _reshape(self, node: onnx.NodeProto) -> None:
        self._view(node, self._shape(node).reshape(
            self._integers_of(node, 1), allow_zero=bool(attributes_of(node).get("allowzero", 0))))

    def _squeeze(self, node: onnx.NodeProto) -> None:
        self._view(node, self._shape(node).squeeze(self._integers_of(node, 1)))

    def _unsqueeze(self, node: onnx.NodeProto) -> None:
        self._view(node, self._shape(node).unsqueeze(self._integers_of(node, 1)))

    def _transpose(self, node: onnx.NodeProto) -> None:
        operand = self._any(node)
        rank = 1 + operand.order.ndim
        order = attributes_of(node).get("perm", list(range(rank))[::-1])
        if order[0] != 0:
            raise ValueError(f"must leave the batch as the first axis, not have perm {order}")
        transposed = operand.order.transpose([axis - 1 for axis in order[1:]])
        self._define(node, replace(operand, order=transposed))

    # Nodes that change nothing here.

    def _identity(self, node: onnx.NodeProto) -> None:
        self._define(node, self._any(node))

    def _cast(self, node: onnx.NodeProto) -> None:
        to = attributes_of(node)["to"]
        if to not in _FLOATS:
            raise ValueError("must cast to FLOAT16, FLOAT or DOUBLE, not "
                             f"{_type_name(to)}")
        self._define(node, self._real(node))

    def _dropout(self, node: onnx.NodeProto) -> None:
        training = self._optional(node, 2)
        if training is not None and training.any():
            raise ValueError("must be for inference, not in training mode")
        self._define(node, self._real(node))


def _type_name(number: int) -> str:
    kinds = onnx.TensorProto.DataType
    return kinds.Name(number) if number in kinds.values() else f"type {number}"


def _check_size(what: str, shape: tuple[int, ...]) -> None:
    if math.prod(shape) > _MAX_ELEMENTS:
        raise ValueError(f"must have {what} of at most {_MAX_ELEMENTS} elements, not "
                         f"{math.prod(shape)}")


def _image_order(height: int, width: int, channels: int) -> NDArray[np.int64]:
    """Order of an image: of shape (channels, height, width)."""
    return np.arange(height * width * channels).reshape(height, width, channels).transpose(2, 0, 1)


def _is_natural(order: NDArray[np.int64]) -> bool:
    """Whether a tensor of ONNX is an image, or a vector, whose value has its elements in order."""
    if order.ndim == 3:
        order = order.transpose(1, 2, 0)
    elif order.ndim != 1:
        return False
    return bool((order.ravel() == np.arange(order.size)).all())


def _transposes_first(name: str, graph: onnx.GraphProto) -> bool:
    """Whether an image is taken to ONNX's order of axes before all else."""
    names = {name}
    for node in graph.node:
        if not names.isdisjoint(node.input):
            if node.op_type == "Transpose":
                return list(attributes_of(node).get("perm", ())) == [0, 3, 1, 2]
            if node.op_type in ("Cast", "DequantizeLinear", "Identity", "QuantizeLinear"):
                names.update(node.output)
    return False
