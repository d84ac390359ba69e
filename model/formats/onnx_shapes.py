"""Nodes of an ONNX graph that change the shape or the order of activations, or nothing."""

from collections.abc import Callable
from dataclasses import replace

import onnx

from eieio.model.formats.onnx_builder import FLOATS, Builder, type_name
from eieio.model.formats.onnx_model import attributes_of
from eieio.model.formats.onnx_shape import ActivationShape

__all__ = ["SHAPES"]


def _view(builder: Builder, node: onnx.NodeProto, shape: ActivationShape) -> None:
    operand = builder.moved(node)
    order = operand.order.reshape(shape.dims)
    builder.define(node, replace(operand, order=order))


def _flatten(builder: Builder, node: onnx.NodeProto) -> None:
    _view(builder, node, builder.shape(node).flatten(attributes_of(node).get("axis", 1)))


def _reshape(builder: Builder, node: onnx.NodeProto) -> None:
    _view(builder, node, builder.shape(node).reshape(
        builder.integers_of(node, 1), allow_zero=bool(attributes_of(node).get("allowzero", 0))))


def _squeeze(builder: Builder, node: onnx.NodeProto) -> None:
    _view(builder, node, builder.shape(node).squeeze(builder.integers_of(node, 1)))


def _unsqueeze(builder: Builder, node: onnx.NodeProto) -> None:
    _view(builder, node, builder.shape(node).unsqueeze(builder.integers_of(node, 1)))


def _transpose(builder: Builder, node: onnx.NodeProto) -> None:
    operand = builder.any(node)
    rank = 1 + operand.order.ndim
    order = attributes_of(node).get("perm", list(range(rank))[::-1])
    if order[0] != 0:
        raise ValueError(f"must leave the batch as the first axis, not have perm {order}")
    transposed = operand.order.transpose([axis - 1 for axis in order[1:]])
    builder.define(node, replace(operand, order=transposed))

# Nodes that change nothing here.


def _identity(builder: Builder, node: onnx.NodeProto) -> None:
    builder.define(node, builder.moved(node))


def _cast(builder: Builder, node: onnx.NodeProto) -> None:
    to = attributes_of(node)["to"]
    if to not in FLOATS:
        raise ValueError("must cast to FLOAT16, FLOAT or DOUBLE, not "
                         f"{type_name(to)}")
    builder.raw_real(node)
    builder.define(node, builder.moved(node))


def _dropout(builder: Builder, node: onnx.NodeProto) -> None:
    training = builder.optional(node, 2)
    if training is not None and training.any():
        raise ValueError("must be for inference, not in training mode")
    builder.raw_real(node)
    builder.define(node, builder.moved(node))


#: What follows a node, by its type.
SHAPES: dict[str, Callable[[Builder, onnx.NodeProto], None]] = {
    "Cast": _cast, "Dropout": _dropout, "Flatten": _flatten, "Identity": _identity,
    "Reshape": _reshape, "Squeeze": _squeeze, "Transpose": _transpose, "Unsqueeze": _unsqueeze}
