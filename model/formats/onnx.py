"""Networks of convolutions and fully connected layers in ONNX.

The importer takes networks with one input, and one output or one chosen of several, of

Conv, Gemm, MatMul
    With constant weights. A convolution may be dilated, padded and grouped in any way.
BatchNormalization, and Add, Sub, Mul and Div with constants, one for all channels or one each
    Folded into the Conv, Gemm or MatMul before, where nothing else takes that one's result, or for
    vectors into the Gemm or MatMul behind; elsewhere a convolution of its own.
Add
    Of two activations of one shape.
Relu, Clip
    Clamp the results of the operator before, where nothing else takes them.
MaxPool, AveragePool, GlobalAveragePool, ReduceMean over height and width
    In two dimensions, not dilated.
Concat
    Of the channels of images, or of vectors.
Flatten, Reshape, Squeeze, Unsqueeze, Transpose
    Where an image, in any order of its axes, or a vector comes of it.
Pad
    With zeros.
Softmax, LogSoftmax
    Along the channels.
Identity, Dropout, Cast to a floating-point type
    Skipped.

The numbers may be real, or quantized to 8 bits in either of ONNX's ways: by QuantizeLinear and
DequantizeLinear anywhere between the operators above, or in the QOperator format, by QLinearConv,
QLinearMatMul, QGemm, QLinearAdd, QLinearAveragePool, QLinearConcat, QLinearGlobalAveragePool and
QLinearSoftmax.
Everything else is refused by name, if the output needs it.

ONNX has images in the order channels, height, width. Here they are in the order height, width,
channels: weights are transposed, and the columns of a matrix behind a Flatten change places. A
network may also take images in the latter order, if it brings them into ONNX's itself.

ONNX's quantized operators are defined in floating point and round a half to the even. The integers
here are TensorFlow Lite's, which rescale in fixed point: a result may be another by one step, where
the exact one is next to the middle between two.
"""

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.float32 import as_float32
from eieio.model.formats.onnx_activations import Activations, image_order, is_natural
from eieio.model.formats.onnx_builder import (
    FLOATS,
    INTEGERS,
    MAX_ACTIVATIONS,
    Builder,
    NodeError,
    type_name,
)
from eieio.model.formats.onnx_constants import FOLDED, evaluate, initializers
from eieio.model.formats.onnx_layers import LAYERS
from eieio.model.formats.onnx_model import attributes_of, load_model, needed_nodes, one_line
from eieio.model.formats.onnx_pools import POOLS
from eieio.model.formats.onnx_quantized import QUANTIZED
from eieio.model.formats.onnx_scales import quantize_constant, weight_steps
from eieio.model.formats.onnx_shapes import SHAPES
from eieio.model.graph.float_graph import FloatGraph, Quantize, Value, WeightedOperator
from eieio.model.graph.quantization import Scale

__all__ = ["OnnxGraph", "read"]

_DOMAINS = ("", "ai.onnx")
# Domain of the quantized operators that ONNX itself has not.
_MICROSOFT = "com.microsoft"

_KINDS: dict[str, Callable[[Builder, onnx.NodeProto], None]] = {
    **LAYERS, **POOLS, **QUANTIZED, **SHAPES}

# Constants that these move keep the steps of their quantization.
_MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})

# Reasons that are named at once.
_MAX_REASONS = 5

# What quantizes while the network runs.
_DYNAMIC = frozenset({"ConvInteger", "DynamicQuantizeLinear", "DynamicQuantizeMatMul",
                      "MatMulInteger", "MatMulIntegerToFloat"})
_STATIC_HINT = ": quantize the network statically (quantize_static), not dynamically"


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
    integer_input : ``"int8"``, ``"uint8"`` or None
        Type of the input, if the file takes integers.
    """

    graph: FloatGraph
    scales: dict[str, Scale]
    integer_input: str | None = None


def read(path: str | os.PathLike[str], output: str | None = None) -> OnnxGraph:
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
    OnnxGraph
        The network, named after the file. Operators are named after their nodes, and values after
        ONNX's, where several nodes make one operator after the last.

    Raises
    ------
    InputError
        If the file is not an ONNX model, or not such a network as described above: the message
        names each node that is in the way, and what would fit.
    """
    path = Path(path)
    model, opset = load_model(path)
    try:
        constants = initializers(model.graph)
    except ValueError as error:
        raise InputError(f"{path}: {one_line(error)}") from error
    nodes, name = needed_nodes(path, model.graph, output)
    entry = _only_input(path, model.graph, constants)
    try:
        return _follow(path, nodes, constants, opset, entry, name, channels_first=True)
    except InputError:
        # The order of the axes is what the network itself makes of them.
        with contextlib.suppress(InputError):
            return _follow(path, nodes, constants, opset, entry, name, channels_first=False)
        raise


def _only_input(path: Path, graph: onnx.GraphProto,
                constants: dict[str, NDArray[Any]]) -> onnx.ValueInfoProto:
    inputs = [entry for entry in graph.input if entry.name not in constants]
    if len(inputs) != 1:
        raise InputError(f"{path}: must have one input, not {len(inputs)}: "
                         f"{', '.join(entry.name for entry in inputs)}")
    return inputs[0]


def _follow(path: Path, nodes: list[tuple[str, onnx.NodeProto]], constants: dict[str, NDArray[Any]],
            opset: int, entry: onnx.ValueInfoProto, output: str, *, channels_first: bool
            ) -> OnnxGraph:
    """Follow the whole graph, whose input, if it is an image, has one order or the other."""
    batch, source = _input(path, entry, nodes, constants, channels_first=channels_first)
    importer = _Importer(Builder([node for _, node in nodes], constants, opset, batch,
                                 (entry.name, source), output), path, output)
    importer.follow(nodes)
    return importer.finish(entry.type.tensor_type.elem_type,
                           channels_first=channels_first and source.order.ndim == 3)


def _input(path: Path, entry: onnx.ValueInfoProto, nodes: list[tuple[str, onnx.NodeProto]],
           constants: dict[str, NDArray[Any]], *, channels_first: bool
           ) -> tuple[int | None, Activations]:
    """Return the samples, if the file fixes their number, and the input."""
    kind = entry.type.tensor_type.elem_type
    if kind not in (*FLOATS, *INTEGERS):
        raise InputError(f"{path}: input {entry.name!r} must be of a floating-point type, "
                         f"INT8 or UINT8, not {type_name(kind)}")
    batch, *sizes = [dim.dim_value if dim.dim_value > 0 else None
                     for dim in entry.type.tensor_type.shape.dim] or [None]
    if None in sizes:
        features = _features(entry.name, nodes, constants)
        sizes = sizes if features is None else [features]
    known = [size for size in sizes if size is not None]
    if not sizes or len(known) < len(sizes):
        raise InputError(f"{path}: input {entry.name!r} must have a batch axis, and "
                         "others of fixed sizes behind it")
    if math.prod(known) > MAX_ACTIVATIONS:
        raise InputError(f"{path}: input {entry.name!r} must have at most {MAX_ACTIVATIONS} "
                         f"elements, not {math.prod(known)}")
    shape = tuple(known)
    if len(shape) == 3 and channels_first:
        order = image_order(shape[1], shape[2], shape[0])
        shape = shape[1], shape[2], shape[0]
    else:
        order = np.arange(math.prod(shape)).reshape(shape)
    return batch, Activations(Value(entry.name, shape), order, kind in INTEGERS, True)


def _features(name: str, nodes: list[tuple[str, onnx.NodeProto]],
              constants: dict[str, NDArray[Any]]) -> int | None:
    """Features of an input that leaves their number open: what the first layer takes."""
    for _, node in nodes:
        if name not in node.input or node.op_type == "Shape":
            continue
        weight = constants.get(node.input[1]) if len(node.input) > 1 else None
        if node.op_type in ("Gemm", "MatMul") and weight is not None and weight.ndim == 2:
            return weight.shape[1 if attributes_of(node).get("transB", 0) else 0]
        if node.op_type not in ("Cast", "Dropout", "Flatten", "Identity", "Reshape"):
            return None
        name = node.output[0]
    return None


class _Importer:
    def __init__(self, builder: Builder, path: Path, output: str) -> None:
        self.builder = builder
        self.path = path
        self.output = output

    def follow(self, nodes: list[tuple[str, onnx.NodeProto]]) -> None:
        """Take the nodes, in the order of the file; name all that are in the way at once."""
        reasons: dict[str, list[str]] = {}
        missing: set[str] = set()
        for where, node in nodes:
            label, reason = f"{where} ({node.op_type})", None
            if not missing.isdisjoint(node.input):
                # What it takes is not known. Constants may be computed of shapes.
                if node.op_type not in FOLDED:
                    reason = self._unknown(node)
                missing.update(node.output)
            else:
                try:
                    # What overflows is refused.
                    with np.errstate(all="ignore"):
                        self._follow(node, label)
                except NodeError as error:
                    reason, label = one_line(error), error.where
                except ValueError as error:
                    reason = one_line(error)
            if reason:
                labels = reasons.setdefault(reason, [])
                labels += [] if label in labels else [label]
                missing.update(node.output)
        if reasons:
            listed = "; ".join(f"{', '.join(labels)} {reason}"
                               for reason, labels in [*reasons.items()][:_MAX_REASONS])
            more = len(reasons) - _MAX_REASONS
            raise InputError(f"{self.path}: {listed}" + (f"; and {more} more" if more > 0 else ""))

    def _unknown(self, node: onnx.NodeProto) -> str | None:
        """Why a node is none that can be followed, whatever it takes."""
        if node.domain not in (*_DOMAINS, _MICROSOFT) or (
                node.domain == _MICROSOFT and not node.op_type.endswith("Linear")
                and not node.op_type.startswith("Q")):
            return (f"must be a standard ONNX operator, not one of {node.domain!r}"
                    + (_STATIC_HINT if node.op_type in _DYNAMIC else ""))
        if node.op_type not in _KINDS and node.op_type != "Shape":
            return (f"must be one of {', '.join(sorted(_KINDS))}"
                    + (_STATIC_HINT if node.op_type in _DYNAMIC else ""))
        return None

    def _follow(self, node: onnx.NodeProto, where: str) -> None:
        builder = self.builder
        if not any(name in builder.activations for name in node.input):
            if node.domain not in (*_DOMAINS, _MICROSOFT):
                raise ValueError(f"must be a standard ONNX operator, not one of {node.domain!r}")
            self._constant(node, where)
            return
        reason = self._unknown(node)
        if reason:
            raise ValueError(reason)
        if node.op_type == "Shape":
            attributes = attributes_of(node)
            sizes = builder.shape(node).sizes(attributes.get("start", 0), attributes.get("end"))
            builder.constants[node.output[0]] = np.array(sizes, np.int64)
            return
        if any(builder.uses[name] for name in node.output[1:] if name):
            raise ValueError(f"must have one output in use, not {len(node.output)}")
        _KINDS[node.op_type](builder, node)

    def finish(self, kind: int, *, channels_first: bool) -> OnnxGraph:
        """Return the whole graph; `kind` is the type of the input."""
        builder = self.builder
        output = builder.activations.get(self.output)
        if output is not None and output.affine is not None:
            try:
                output = builder.apply(output)
            except ValueError as error:
                raise InputError(f"{self.path}: output {self.output!r} {one_line(error)}") from None
        if output is None or not builder.operators:
            raise InputError(f"{self.path}: output {self.output!r} must be computed from the input")
        order = output.order
        if order.ndim == 3 and is_natural(order):
            channels, *size = order.shape
            value = builder.shaped(output.value, (*size, channels))
        elif (order.ravel() == np.arange(order.size)).all():
            value = builder.shaped(output.value, order.shape)
        else:
            raise InputError(f"{self.path}: output {self.output!r} must be an image, or a vector "
                             "of channels: what flattens an image must have a Gemm or MatMul "
                             "behind it")
        for operator in builder.operators:
            if isinstance(operator, WeightedOperator):
                for what, numbers in (("weight", operator.weight), ("bias", operator.bias)):
                    as_float32(numbers, f"{self.path}: {type(operator).__name__} "
                                        f"{operator.name!r}: {what}")
        scales = {operator.output.name: Scale(operator.scale, operator.zero_point)
                  for operator in builder.operators if isinstance(operator, Quantize)}
        if builder.input_integers:
            if builder.input_scale is None:
                raise InputError(f"{self.path}: input {builder.input.name!r} is of integers: a "
                                 "DequantizeLinear or a QLinear operator must tell their scale")
            scales[builder.input.name] = builder.input_scale
        return OnnxGraph(FloatGraph(self.path.stem, builder.input, value,
                                    tuple(builder.operators), channels_first), scales,
                         type_name(kind).lower() if builder.input_integers else None)

    def _constant(self, node: onnx.NodeProto, where: str) -> None:
        builder, name = self.builder, node.output[0]
        match node.op_type:
            case "DequantizeLinear":
                levels, scale, zero_point = (builder.optional(node, index) for index in range(3))
                assert levels is not None and scale is not None  # noqa: PT018
                number, step, unfit = weight_steps(levels, scale, zero_point, builder.axis(node))
                builder.constants[name], builder.steps[name] = number, step
                if unfit:
                    builder.unfit[name] = NodeError(where, unfit)
            case "QuantizeLinear":
                number, scale, zero_point = (builder.optional(node, index) for index in range(3))
                assert number is not None and scale is not None  # noqa: PT018
                builder.constants[name] = quantize_constant(
                    number, scale, np.zeros(1, np.uint8) if zero_point is None else zero_point,
                    builder.axis(node))
            case _:
                builder.constants |= evaluate(node, builder.opset, builder.constants)
                moved = node.input[0] if node.op_type in _MOVES else ""
                if moved in builder.steps:
                    steps = {**builder.constants, moved: builder.steps[moved]}
                    builder.steps |= evaluate(node, builder.opset, steps)
                if moved in builder.unfit:
                    builder.unfit[name] = builder.unfit[moved]
