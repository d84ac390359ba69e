"""Networks of fully connected layers in ONNX.

The importer takes a chain, from the one input to the one output, of

Gemm, MatMul
    A layer. The activations come first; the weights are constant. ``transA`` must be 0.
Add, Sub, Mul, Div, BatchNormalization
    Scale and shift by constants, one for all features or one each (or one a channel, for
    BatchNormalization). Folded into the layer before, or, at the input and behind a ReLU, into
    the layer behind. The constants are folded in float64 and the result is rounded once.
Relu, or Clip from 0 on
    Behind a layer.
Flatten, Reshape, Squeeze, Unsqueeze
    Any change of shape that leaves the batch as the first axis.
Identity, Dropout, Cast to a floating-point type
    Skipped: the network is for inference in float32.
Softmax, LogSoftmax
    At the end, along the features. The host computes it: it is the network's
    :data:`~eieio.model.network.Ending`.

Constants are initializers, Constant nodes, or what simple nodes make of these. Weights are float32;
float16 and float64 are taken too, and are rounded to the nearest float32. The graph must be of
opset 7 or later. Everything else is refused by name, if the output needs it.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from eieio.model.errors import InputError, IntegersError
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.float32 import as_float32
from eieio.model.formats.layer_names import check_layer_names
from eieio.model.formats.onnx_constants import FOLDED, evaluate, initializers
from eieio.model.formats.onnx_model import attributes_of, load_model, needed_nodes, one_line
from eieio.model.formats.onnx_shape import ActivationShape
from eieio.model.network import DenseLayer, Ending, Network

__all__ = ["read", "write"]

# Opset and format version of written files: the oldest that all current runtimes are tested with.
_WRITE_OPSET = 13
_WRITE_IR_VERSION = 7

# What only the systolic engine computes.
_SYSTOLIC = frozenset({
    "AveragePool", "GlobalAveragePool", "MaxPool", "QGemm", "QLinearConv", "QLinearMatMul",
    "QuantizeLinear"})

_ARITHMETIC = ("Add", "Sub", "Mul", "Div")
_FLOATS = (onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)


def read(path: str | os.PathLike[str], output: str | None = None) -> Network:
    """Read a network.

    Parameters
    ----------
    path : path-like
        An ONNX file. Data that it keeps in other files are read from its folder.
    output : :class:`str`, optional
        Name of the value to take as the output: any that a node computes. The default is the
        file's, which must be one.

    Returns
    -------
    :class:`~eieio.model.network.Network`
        The network, named after the file; its layers are named after the Gemm and MatMul nodes.

    Raises
    ------
    InputError
        If the file is not an ONNX model, or the graph is not such a chain as described above: the
        message names the node.
    """
    path = Path(path)
    model, opset = load_model(path)
    try:
        constants = initializers(model.graph)
    except ValueError as error:
        raise InputError(f"{path}: {one_line(error)}") from error
    nodes, name = needed_nodes(path, model.graph, output)
    chain = _Chain(model.graph, constants, opset, path, name)
    chain.check(nodes)
    for where, node in nodes:
        chain.follow(node, where)
    return Network(path.stem, chain.finish(), chain.ending)


def write(path: str | os.PathLike[str], network: Network) -> None:
    """Write a network as Gemm and Relu nodes.

    Parameters
    ----------
    path : path-like
        File to create or replace.
    network : :class:`~eieio.model.network.Network`
        Network to write; :func:`read` returns it bit for bit. The graph takes ``input``, float32
        of shape (batch, inputs), and gives ``output``, float32 of shape (batch, outputs).

    Raises
    ------
    InputError
        If the file cannot be written, or two layers have the same name.
    """
    check_layer_names(layer.name for layer in network.layers)
    nodes, tensors = [], []
    current = "input"
    for index, layer in enumerate(network.layers):
        end = "output" if index == len(network.layers) - 1 else f"{layer.name}_out"
        product = f"{layer.name}_gemm" if layer.relu else end
        weight, bias = f"{layer.name}_weight", f"{layer.name}_bias"
        tensors += [onnx.numpy_helper.from_array(np.ascontiguousarray(layer.weight), weight),
                    onnx.numpy_helper.from_array(layer.bias, bias)]
        nodes.append(onnx.helper.make_node(
            "Gemm", [current, weight, bias], [product], name=layer.name, transB=1))
        if layer.relu:
            nodes.append(onnx.helper.make_node(
                "Relu", [product], [end], name=f"{layer.name}_relu"))
        current = end
    graph = onnx.helper.make_graph(
        nodes, network.name.encode(errors="replace").decode() or "network",
        [onnx.helper.make_tensor_value_info(
            "input", onnx.TensorProto.FLOAT, ["batch", network.inputs])],
        [onnx.helper.make_tensor_value_info(
            "output", onnx.TensorProto.FLOAT, ["batch", network.outputs])],
        tensors)
    model = onnx.helper.make_model(
        graph, producer_name="eieio", ir_version=_WRITE_IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", _WRITE_OPSET)])
    write_bytes(path, model.SerializeToString(deterministic=True))


@dataclass
class _Layer:
    """A layer under construction: float arrays of shape (outputs, inputs) and (outputs,)."""

    name: str
    label: str
    weight: NDArray[Any]
    bias: NDArray[Any]
    relu: bool = False


class _Chain:
    """The chain of layers, as far as its nodes have been followed."""

    def __init__(self, graph: onnx.GraphProto, constants: dict[str, NDArray[Any]], opset: int,
                 path: Path, output: str) -> None:
        self.constants = constants
        self.opset = opset
        self.path = path
        inputs = [entry for entry in graph.input if entry.name not in constants]
        if len(inputs) != 1:
            names = ", ".join(repr(entry.name) for entry in inputs)
            raise InputError(
                f"{path}: must have one input, not {len(inputs)} ({names or 'none'})")
        self.current = inputs[0].name
        self.output = output
        self.shape = self._input_shape(inputs[0])
        self.layers: list[_Layer] = []
        self.where = ""
        # Scale and shift, of shape () or (features,), still to fold into the next layer.
        self.scale: NDArray[np.float64] = np.ones(())
        self.shift: NDArray[np.float64] = np.zeros(())
        self.shifted_by = ""
        self.softmax = ""
        self.ending: Ending = "none"
        self.operators: dict[str, Callable[[onnx.NodeProto], None]] = {
            **dict.fromkeys(_ARITHMETIC, self._arithmetic),
            "BatchNormalization": self._batch_normalization, "Cast": self._cast,
            "Clip": self._clip,
            "Dropout": self._dropout, "Flatten": self._flatten, "Gemm": self._gemm,
            "Identity": lambda node: None, "LogSoftmax": self._softmax, "MatMul": self._matmul,
            "Relu": self._relu, "Reshape": self._reshape, "Softmax": self._softmax,
            "Squeeze": self._squeeze, "Unsqueeze": self._unsqueeze}

    def follow(self, node: onnx.NodeProto, where: str) -> None:
        """Take the next node, in the order of the file."""
        self.where = f"{where} ({node.op_type})"
        try:
            # What overflows is refused at the end.
            with np.errstate(all="ignore"):
                self._follow(node)
        except ValueError as error:
            raise InputError(f"{self.path}: {self.where} {one_line(error)}") from error

    def _follow(self, node: onnx.NodeProto) -> None:
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"must be a standard ONNX operator, not one of {node.domain!r}")
        variables = [name for name in node.input if name and name not in self.constants]
        if not variables:
            self.constants |= evaluate(node, self.opset, self.constants)
            return
        if node.op_type != "Shape" and node.op_type not in self.operators:
            hint = (": convolutions are for the systolic engine (--engine systolic)"
                    if node.op_type == "Conv" else "")
            raise ValueError(f"must be one of {', '.join(sorted(self.operators))}{hint}")
        if variables != [self.current]:
            others = ", ".join(repr(name) for name in variables)
            raise ValueError(f"must take {self.current!r}, the end of the chain so far, and "
                             f"constants, not {others}: eieio takes no branch")
        if node.op_type == "Shape":
            self._sizes(node)
            return
        if node.input[0] != self.current and node.op_type not in _ARITHMETIC:
            raise ValueError(f"must take the activations, {self.current!r}, as its first operand")
        if self.softmax and node.op_type != "Identity":
            raise ValueError(f"must not follow {self.softmax}, which must be the last")
        self.operators[node.op_type](node)
        self.current = node.output[0]

    def check(self, nodes: list[tuple[str, onnx.NodeProto]]) -> None:
        """Refuse what is for the other engine, and all operators that are unknown at once."""
        kinds = sorted({node.op_type for _, node in nodes} & _SYSTOLIC)
        quantized = {"QuantizeLinear", "QLinearMatMul", "QGemm"}.intersection(kinds)
        if kinds:
            what = ("is a network of 8-bit integers" if quantized else
                    f"has {' and '.join(kinds)}, which are not fully connected layers")
            raise (IntegersError if quantized else InputError)(
                f"{self.path} {what}: it is a network for the systolic engine (add --engine "
                "systolic)")
        computed, unknown = {self.current}, []
        for where, node in nodes:
            if not computed.isdisjoint(node.input):
                if node.op_type not in (*self.operators, *FOLDED):
                    unknown.append(f"{where} ({node.op_type})")
                computed.update(node.output)
        if len(unknown) > 1:
            raise InputError(f"{self.path}: {', '.join(unknown)} must be one of "
                             f"{', '.join(sorted(self.operators))}")

    def finish(self) -> tuple[DenseLayer, ...]:
        """Layers of the whole chain."""
        if self.current != self.output:
            raise InputError(f"{self.path}: output {self.output!r} must be the end of the chain, "
                             f"{self.current!r}")
        if not self.layers:
            raise InputError(f"{self.path}: must have at least one Gemm or MatMul")
        if self.shifted_by:
            raise InputError(f"{self.path}: {self.shifted_by} must have a Gemm or MatMul behind "
                             "it, to fold into")
        return tuple(
            DenseLayer(layer.name,
                       as_float32(layer.weight, f"{self.path}: {layer.label}: weight"),
                       as_float32(layer.bias, f"{self.path}: {layer.label}: bias"), layer.relu)
            for layer in self.layers)

    def _input_shape(self, entry: onnx.ValueInfoProto) -> ActivationShape:
        sizes = [dim.dim_value if dim.dim_value > 0 else None
                 for dim in entry.type.tensor_type.shape.dim]
        if len(sizes) < 2:
            raise InputError(f"{self.path}: input {entry.name!r} must have a batch axis and a "
                             f"feature axis, not {len(sizes)} axes")
        return ActivationShape(sizes[0], tuple(sizes[1:]))

    def _optional(self, node: onnx.NodeProto, index: int) -> NDArray[Any] | None:
        """Constant operand, or None if the node leaves it out."""
        if len(node.input) <= index or not node.input[index]:
            return None
        return self.constants[node.input[index]]

    def _numbers(self, node: onnx.NodeProto, index: int) -> NDArray[Any]:
        """Floating-point constant operand."""
        name = node.input[index]
        array = self.constants[name]
        if array.dtype not in (np.float16, np.float32, np.float64):
            raise ValueError(f"must take {name!r} as a float16, float32 or float64 tensor, not "
                              f"{array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"must take {name!r} as finite numbers, not "
                              f"{array[~np.isfinite(array)][0]}")
        return array

    # Layers.

    def _gemm(self, node: onnx.NodeProto) -> None:
        attributes = attributes_of(node)
        if attributes.get("transA", 0):
            raise ValueError("must have transA 0, not 1")
        weight = self._numbers(node, 1)
        if not attributes.get("transB", 0):
            weight = weight.T
        alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
        if alpha != 1:
            weight = weight * np.float64(alpha)
        self._append(node, weight)
        if self._optional(node, 2) is not None and beta:
            shift = self._numbers(node, 2)
            self._fold(np.ones(()), self._per_feature(shift, node.input[2]) * np.float64(beta))

    def _matmul(self, node: onnx.NodeProto) -> None:
        self._append(node, self._numbers(node, 1).T)

    def _append(self, node: onnx.NodeProto, weight: NDArray[Any]) -> None:
        if weight.ndim != 2 or 0 in weight.shape:
            raise ValueError(f"must have weights of two dimensions, not of shape {weight.T.shape}")
        outputs, inputs = weight.shape
        if self.shape.dims not in (None, (None,), (inputs,)):
            raise ValueError(f"must take activations of shape (batch, {inputs}), to fit its "
                             f"weights, not {self.shape}")
        bias = np.zeros(outputs, np.float32)
        if self.shifted_by:
            bias = weight @ np.broadcast_to(self.shift, (inputs,))
            weight = weight * self.scale
            self.scale, self.shift, self.shifted_by = np.ones(()), np.zeros(()), ""
        taken = {layer.name for layer in self.layers}
        name = node.name or f"layer{len(self.layers) + 1}"
        while name in taken:
            name += "_"
        self.layers.append(_Layer(name, self.where, weight, bias))
        self.shape = self.shape.with_dims(outputs)

    def _relu(self, node: onnx.NodeProto) -> None:
        if not self.layers:
            raise ValueError("must follow a Gemm or MatMul")
        if self.shifted_by:
            raise ValueError(f"must not follow {self.shifted_by}, which must have a Gemm or MatMul "
                             "behind it, to fold into")
        self.layers[-1].relu = True

    def _clip(self, node: onnx.NodeProto) -> None:
        attributes = attributes_of(node)
        ends = [attributes.get("min", -math.inf), attributes.get("max", math.inf)]
        for index in (1, 2):
            if self._optional(node, index) is not None:
                ends[index - 1] = float(self._numbers(node, index).ravel()[0])
        if ends[0] != 0 or ends[1] < np.finfo(np.float32).max:
            raise ValueError(f"must have min 0 and no max, as a rectifier, not {ends[0]} and "
                             f"{ends[1]}: the systolic engine clamps at any number (--engine "
                             "systolic)")
        self._relu(node)

    # Scale and shift.

    def _arithmetic(self, node: onnx.NodeProto) -> None:
        first = node.input[0] == self.current
        index = 1 if first else 0
        operand = self._per_feature(self._numbers(node, index), node.input[index])
        one, zero = np.ones(()), np.zeros(())
        match node.op_type:
            case "Add":
                self._fold(one, operand)
            case "Sub":
                self._fold(one, -operand) if first else self._fold(-one, operand)
            case "Mul":
                self._fold(operand, zero)
            case _:
                if not first:
                    raise ValueError("must divide the activations, not divide by them")
                if not operand.all():
                    raise ValueError(f"must take {node.input[1]!r} without zeros")
                self._fold(1 / operand, zero)

    def _batch_normalization(self, node: onnx.NodeProto) -> None:
        attributes = attributes_of(node)
        if attributes.get("training_mode", 0) or not attributes.get("spatial", 1):
            raise ValueError("must be for inference, with training_mode 0 and spatial 1")
        dims = self.shape.require_known()
        tables = []
        for index in range(1, 5):
            table = self._numbers(node, index).astype(np.float64)
            if table.shape != dims[:1]:
                raise ValueError(f"must take {node.input[index]!r} of shape {dims[:1]}, not "
                                 f"{table.shape}")
            tables.append(np.repeat(table, math.prod(dims[1:])))
        scale, shift, mean, variance = tables
        variance = variance + attributes.get("epsilon", 1e-5)
        if variance.min() <= 0:
            raise ValueError(f"must take {node.input[4]!r} above minus epsilon")
        factor = scale / np.sqrt(variance)
        self._fold(factor, shift - mean * factor)

    def _per_feature(self, array: NDArray[Any], name: str) -> NDArray[np.float64]:
        """Spread a constant over the features: float64, of shape () or (features,)."""
        if array.size == 1 and (array.ndim == 0 or self.shape.known is None):
            return array.astype(np.float64).reshape(())
        dims = self.shape.require_known()
        try:
            spread = np.broadcast_to(array, (1, *dims))
        except ValueError:
            raise ValueError(f"must take {name!r} as one number, or one for each of the "
                             f"{math.prod(dims)} features, not of shape {array.shape}") from None
        return spread.astype(np.float64).ravel()

    def _fold(self, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> None:
        """Replace the activations x by ``scale * x + shift``."""
        if self.layers and not self.layers[-1].relu:
            layer = self.layers[-1]
            if (scale != 1).any():
                layer.weight = layer.weight * np.broadcast_to(scale, layer.bias.shape)[:, None]
            if layer.bias.any():
                shift = layer.bias * scale + shift
            # Not added to a bias of 0, so that -0.0 stays -0.0.
            layer.bias = np.broadcast_to(shift, layer.bias.shape)
        else:
            self.scale = self.scale * scale
            self.shift = self.shift * scale + shift
            self.shifted_by = self.shifted_by or self.where

    # Shapes.

    def _sizes(self, node: onnx.NodeProto) -> None:
        attributes = attributes_of(node)
        sizes = self.shape.sizes(attributes.get("start", 0), attributes.get("end"))
        self.constants[node.output[0]] = np.array(sizes, np.int64)

    def _flatten(self, node: onnx.NodeProto) -> None:
        self.shape = self.shape.flatten(attributes_of(node).get("axis", 1))

    def _reshape(self, node: onnx.NodeProto) -> None:
        self.shape = self.shape.reshape(
            self._integers(node), allow_zero=bool(attributes_of(node).get("allowzero", 0)))

    def _squeeze(self, node: onnx.NodeProto) -> None:
        self.shape = self.shape.squeeze(self._integers(node))

    def _unsqueeze(self, node: onnx.NodeProto) -> None:
        self.shape = self.shape.unsqueeze(self._integers(node))

    def _integers(self, node: onnx.NodeProto) -> list[int]:
        """Constant operand, or in old opsets attribute, that lists axes or sizes."""
        array = self._optional(node, 1)
        if array is None:
            array = np.array(attributes_of(node).get("axes", []), np.int64)
        if array.dtype != np.int64 or array.ndim != 1:
            raise ValueError(
                f"must take a list of int64, not {array.dtype} of shape {array.shape}")
        return array.tolist()

    # Nodes that change nothing here.

    def _cast(self, node: onnx.NodeProto) -> None:
        to = attributes_of(node)["to"]
        if to not in _FLOATS:
            raise ValueError("must cast to FLOAT16, FLOAT or DOUBLE, not "
                              f"{onnx.TensorProto.DataType.Name(to)}")

    def _dropout(self, node: onnx.NodeProto) -> None:
        training = self._optional(node, 2)
        if training is not None and training.any():
            raise ValueError("must be for inference, not in training mode")

    def _softmax(self, node: onnx.NodeProto) -> None:
        axis = attributes_of(node).get("axis", -1 if self.opset >= 13 else 1)
        if not self.layers or len(self.shape.require_known()) != 1 or axis not in (-1, 1):
            raise ValueError("must run along the features of the last layer, axis 1")
        if self.shifted_by:
            raise ValueError(f"must not follow {self.shifted_by}, which must have a Gemm or MatMul "
                             "behind it, to fold into")
        self.softmax = self.where
        self.ending = "softmax" if node.op_type == "Softmax" else "log_softmax"

