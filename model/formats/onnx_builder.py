"""A graph under construction from an ONNX file: its constants, activations and operators."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from eieio.model.formats.onnx_activations import (
    Activations,
    Weights,
    image_order,
    is_natural,
)
from eieio.model.formats.onnx_model import attributes_of
from eieio.model.formats.onnx_scales import activation_scale
from eieio.model.formats.onnx_shape import ActivationShape
from eieio.model.graph.float_graph import (
    DepthwiseConv2D,
    Operator,
    Quantize,
    Reshape,
    Value,
)
from eieio.model.graph.quantization import Scale
from eieio.model.graph.quantized_graph import Window

__all__ = ["FLOATS", "INTEGERS", "MAX_ACTIVATIONS", "MAX_WEIGHTS", "Builder", "NodeError",
           "check_size", "type_name"]

FLOATS = (onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
INTEGERS = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)

#: Elements of activations of one sample, which are followed one by one, and of the weights of an
#: operator, at most.
MAX_ACTIVATIONS, MAX_WEIGHTS = 1 << 23, 1 << 26


_PRODUCTS = frozenset({"Gemm", "MatMul"})
# What changes the shape of activations, and what scales and shifts them by constants.
_VIEWS = frozenset({"Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_SCALES = frozenset({"Add", "BatchNormalization", "Div", "Mul", "Sub"})


class NodeError(ValueError):
    """What is wrong with a node before the one that is followed.

    Attributes
    ----------
    where : :class:`str`
        The node.
    """

    def __init__(self, where: str, message: str) -> None:
        super().__init__(message)
        self.where = where


class Builder:
    """What is known of a graph, as far as its nodes have been followed.

    Parameters
    ----------
    nodes : list of NodeProto
        All nodes that the output needs.
    constants : dict of arrays
        Initializers by name.
    opset : :class:`int`
        Version of the operators.
    batch : :class:`int`, optional
        Samples, if the file fixes their number.
    source : tuple of :class:`Activations` and :class:`str`
        The input, and its name.
    output : :class:`str`
        Name of the output.

    Methods raise :class:`ValueError`, whose message goes on behind the name of a node.
    """

    def __init__(self, nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any]], opset: int,
                 batch: int | None, source: tuple[str, Activations], output: str) -> None:
        self.opset = opset
        self.batch = batch
        self.constants = dict(constants)
        #: Steps of the constants that have been dequantized.
        self.steps: dict[str, NDArray[np.float64]] = {}
        #: Why constants are not weights, if they have been dequantized and are not.
        self.unfit: dict[str, NodeError] = {}
        self.operators: list[Operator] = []
        #: Index of the operator that computes a value.
        self.producers: dict[str, int] = {}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        #: Names of all that is computed from the input.
        self.variable = {source[0]}
        self._makers = {name: node for node in nodes for name in node.output}
        for node in nodes:
            for name in {*node.input} if node.op_type != "Shape" else ():
                self.readers.setdefault(name, []).append(node)
            if not self.variable.isdisjoint(node.input):
                self.variable.update(node.output)
        self.uses = Counter(name for node in nodes for name in node.input
                            if node.op_type != "Shape")
        self.uses[output] += 1
        self.output = output
        self.names = {name for node in nodes for name in (node.name, *node.output)}
        self.taken: set[str] = set()
        name, activations = source
        activations = replace(activations, exclusive=self.uses[name] == 1)
        self.input = activations.value
        self.input_integers = activations.integers
        #: Scale of an integer input, as soon as a node has told it.
        self.input_scale: Scale | None = None
        self.activations = {name: activations}

    # Constants.

    def axis(self, node: onnx.NodeProto) -> int:
        """Axis of the channels that have a scale each."""
        attributes = attributes_of(node)
        if attributes.get("block_size", 0):
            raise ValueError("must have one scale for each channel, not for blocks: block_size "
                             f"must be 0, not {attributes['block_size']}")
        return attributes.get("axis", 1)

    def optional(self, node: onnx.NodeProto, index: int) -> NDArray[Any] | None:
        """Constant operand, or None if the node leaves it out."""
        if len(node.input) <= index or not node.input[index]:
            return None
        name = node.input[index]
        if name not in self.constants:
            raise ValueError(f"must take {name!r} as a constant")
        return self.constants[name]

    def required(self, node: onnx.NodeProto, index: int) -> NDArray[Any]:
        """Constant operand."""
        array = self.optional(node, index)
        if array is None:
            raise ValueError(f"must have operand {index}")
        return array

    def numbers(self, node: onnx.NodeProto, index: int) -> NDArray[np.float64]:
        """Floating-point constant operand."""
        array, name = self.required(node, index), node.input[index]
        if array.dtype not in (np.float16, np.float32, np.float64):
            raise ValueError(f"must take {name!r} as a float16, float32 or float64 tensor, not "
                             f"{array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"must take {name!r} as finite numbers")
        return array.astype(np.float64)

    def weights(self, node: onnx.NodeProto, index: int, rank: int) -> Weights:
        """Weights of so many axes."""
        number, name = self.numbers(node, index), node.input[index]
        if name in self.unfit:
            raise self.unfit[name]
        if number.ndim != rank or not number.size:
            raise ValueError(f"must have weights of {rank} axes, not of shape {number.shape}")
        return Weights(number, self.steps.get(name))

    def scale(self, node: onnx.NodeProto, index: int) -> Scale:
        """Scale of activations, from an operand and the next."""
        zero_point = self.optional(node, index + 1)
        return activation_scale(self.required(node, index),
                                np.zeros(1, np.uint8) if zero_point is None else zero_point)

    def integers_of(self, node: onnx.NodeProto, index: int) -> list[int]:
        """Constant operand, or in old opsets attribute, that lists axes or sizes."""
        array = self.optional(node, index)
        if array is None:
            array = np.array(attributes_of(node).get("axes", []), np.int64)
        if array.dtype != np.int64 or array.ndim != 1:
            raise ValueError(
                f"must take a list of int64, not {array.dtype} of shape {array.shape}")
        return array.tolist()

    # Activations.

    def raw(self, node: onnx.NodeProto, index: int = 0) -> Activations:
        """Operand as it is, with what is still to be done to it."""
        name = node.input[index] if index < len(node.input) else ""
        if name not in self.activations:
            raise ValueError(f"must take activations as operand {index}, not {name!r}")
        return self.activations[name]

    def any(self, node: onnx.NodeProto, index: int = 0) -> Activations:
        """Operand, of integers or real numbers."""
        operand = self.raw(node, index)
        return operand if operand.affine is None else self.apply(operand)

    def real(self, node: onnx.NodeProto, index: int = 0) -> Activations:
        """Operand, of real numbers."""
        self.raw_real(node, index)
        return self.any(node, index)

    def raw_real(self, node: onnx.NodeProto, index: int = 0) -> Activations:
        """Operand as it is, of real numbers."""
        operand = self.raw(node, index)
        if operand.integers:
            raise ValueError(f"must take real numbers, not {node.input[index]!r}, which is "
                             "quantized: DequantizeLinear must be between")
        return operand

    def quantized(self, node: onnx.NodeProto, index: int, scale: Scale) -> Activations:
        """Operand, of integers at a scale."""
        operand = self.any(node, index)
        if not operand.integers:
            raise ValueError(f"must take quantized numbers, not {node.input[index]!r}")
        known = operand.scale
        if known is None:
            self.input_scale = self.input_scale or scale
            known = self.input_scale
        if known != scale:
            raise ValueError(
                f"must take {node.input[index]!r} at the scale and the zero point at which it was "
                f"quantized, {known.scale} and {known.zero_point}, not {scale.scale} and "
                f"{scale.zero_point} (for int8)")
        return replace(operand, scale=scale)

    def moved(self, node: onnx.NodeProto) -> Activations:
        """Operand of a node that changes its shape alone; what is still to be done may stay so."""
        operand = self.raw(node)
        return operand if self.into_products(node.output[0]) else self.any(node)

    def into_products(self, name: str) -> bool:
        """Whether products with real weights alone take a value, scaled or in another shape."""
        readers = self.readers.get(name, [])
        return name != self.output and bool(readers) and all(
            not self._dequantized(node.input[1]) if node.op_type in _PRODUCTS
            else (node.op_type in _VIEWS or (node.op_type in _SCALES and sum(
                operand in self.variable for operand in node.input) == 1))
            and self.into_products(node.output[0])
            for node in readers)

    def _dequantized(self, name: str) -> bool:
        """Whether a constant has been quantized."""
        node = self._makers.get(name)
        return node is not None and (node.op_type == "DequantizeLinear" or any(
            map(self._dequantized, node.input)))

    def apply(self, operand: Activations) -> Activations:
        """Do what is still to be done to a vector, by an operator of its own."""
        affine, size = operand.affine, operand.order.size
        assert affine is not None
        if operand.value.shape[:-1] not in ((), (1, 1)):
            raise ValueError("must follow a Conv, Gemm or MatMul whose result nothing else takes, "
                             "come before one, or take images or vectors of channels")
        scale, shift = np.empty(size), np.empty(size)
        order = operand.order.ravel()
        scale[order], shift[order] = affine.scale, affine.shift
        image = self.shaped(operand.value, (1, 1, size))
        output = Value(self.free(f"{operand.value.name}_scaled"), (1, 1, size))
        self.add(DepthwiseConv2D(
            name=self.free(f"{operand.value.name}_scale"), inputs=(image,), output=output,
            weight=scale.reshape(1, 1, -1), bias=shift, window=Window((1, 1))))
        return Activations(self.shaped(output, operand.value.shape), operand.order, False, False)

    def shape(self, node: onnx.NodeProto) -> ActivationShape:
        """Shape of the first operand."""
        return ActivationShape(self.batch, self.raw(node).order.shape)

    def image(self, operand: Activations) -> Value:
        """Value of an image, in the shape of one."""
        order = operand.order
        if order.ndim != 3:
            raise ValueError("must take images, with 4 axes: batch, channels, height, width, not "
                             f"{1 + order.ndim} axes")
        if not is_natural(order):
            raise ValueError("must take images whose channels, height and width have their order "
                             "from the input on, not such as a Reshape or Transpose makes")
        channels, height, width = order.shape
        return self.shaped(operand.value, (height, width, channels))

    def shaped(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Value in another shape."""
        if value.shape == shape:
            return value
        reshaped = Value(self.free(f"{value.name}_reshaped"), shape)
        self.add(Reshape(name=self.free(f"{value.name}_reshape"), inputs=(value,),
                         output=reshaped))
        return reshaped

    # Operators.

    def free(self, name: str) -> str:
        """Take a name that nothing has."""
        while name in self.names or name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def add(self, operator: Operator) -> None:
        """Append an operator."""
        self.producers[operator.output.name] = len(self.operators)
        self.operators.append(operator)

    def label(self, node: onnx.NodeProto) -> str:
        """Name of a node's operator, its own."""
        name = node.name or f"{node.op_type.lower()}_{len(self.operators)}"
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def append(self, node: onnx.NodeProto, kind: type[Operator], inputs: tuple[Value, ...],
               shape: tuple[int, ...], order: NDArray[np.int64], *, output: str | None = None,
               **fields: Any) -> Activations:
        """Append an operator, whose output is the node's, or is named otherwise."""
        value = Value(output or node.output[0], shape)
        self.add(kind(name=self.label(node), inputs=inputs, output=value, **fields))
        result = Activations(value, order, False, True)
        return self.define(node, result) if output is None else result

    def append_image(self, node: onnx.NodeProto, kind: type[Operator], inputs: tuple[Value, ...],
                     shape: tuple[int, ...], *, output: str | None = None, **fields: Any
                     ) -> Activations:
        """Append an operator whose output is an image."""
        height, width, channels = shape
        check_size("activations", shape)
        return self.append(node, kind, inputs, shape, image_order(height, width, channels),
                           output=output, **fields)

    def quantize(self, node: onnx.NodeProto, operand: Activations, scale: Scale) -> None:
        """Quantize activations, to be the node's output."""
        if operand.scale == scale:
            self.define(node, replace(operand, integers=True))
            return
        output = Value(node.output[0], operand.value.shape)
        self.add(Quantize(name=self.label(node), inputs=(operand.value,), output=output,
                          scale=scale.scale, zero_point=scale.zero_point))
        self.define(node, Activations(output, operand.order, True, True, scale))

    def define(self, node: onnx.NodeProto, result: Activations) -> Activations:
        """Let activations be the node's output."""
        name = node.output[0]
        result = replace(result, exclusive=result.exclusive and self.uses[name] == 1)
        self.activations[name] = result
        return result

    def producer(self, operand: Activations) -> Operator | None:
        """Operator that computes activations, if it may still be changed."""
        index = self.producers.get(operand.value.name)
        if index is None or not operand.exclusive:
            return None
        return self.operators[index]

    def change(self, node: onnx.NodeProto, operand: Activations, **fields: Any) -> None:
        """Change the operator that computes activations, so that it computes the node's output."""
        index = self.producers.pop(operand.value.name)
        output = Value(node.output[0], operand.value.shape)
        self.producers[output.name] = index
        self.operators[index] = replace(self.operators[index], output=output, **fields)
        self.define(node, replace(operand, value=output,
                                  scale=operand.scale if operand.integers else None))


def check_size(what: str, shape: tuple[int, ...], most: int = MAX_ACTIVATIONS) -> None:
    """Refuse what is too large."""
    if math.prod(shape) > most:
        raise ValueError(f"must have {what} of at most {most} elements, not {math.prod(shape)}")


def type_name(number: int) -> str:
    """Name of one of ONNX's types."""
    kinds = onnx.TensorProto.DataType
    return kinds.Name(number) if number in kinds.values() else f"type {number}"
