"""Nodes of an ONNX graph that change the shape or order of activations, join them, or nothing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx

from eieio.model.formats.onnx_activations import Activations
from eieio.model.formats.onnx_builder import FLOATS, Builder, type_name
from eieio.model.formats.onnx_model import attributes_of
from eieio.model.formats.onnx_shape import ActivationShape
from eieio.model.graph.float_graph import Stack

__all__ = ["SHAPES", "concatenate"]


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


# Nodes that join activations.


def _concat(builder: Builder, node: onnx.NodeProto) -> None:
    operands = [builder.any(node, index) for index in range(len(node.input))]
    integers = operands[0].integers
    if any(operand.integers != integers for operand in operands):
        raise ValueError("must join activations that are all quantized, or none")
    scale = operands[0].scale or builder.input_scale
    if integers and any((operand.scale or builder.input_scale) != scale for operand in operands):
        raise ValueError("must join quantized activations of one scale and zero point: others must "
                         "be dequantized in front of it")
    result = concatenate(builder, node, operands)
    if integers:
        builder.define(node, replace(result, integers=True, scale=scale))


def concatenate(builder: Builder, node: onnx.NodeProto, operands: list[Activations], *,
                output: str | None = None) -> Activations:
    """Append the channels of several activations, side by side."""
    axis, rank = attributes_of(node).get("axis", 1), 1 + operands[0].order.ndim
    if not -rank <= axis < rank or axis % rank != 1:
        raise ValueError(f"must join channels, along axis 1, not {axis}")
    sizes = {operand.order.shape[1:] for operand in operands}
    if len(sizes) > 1:
        raise ValueError("must join activations of one size, not "
                         + " and ".join(str(ActivationShape(builder.batch, operand.order.shape))
                                        for operand in operands))
    if rank == 2:
        counts = [operand.order.size for operand in operands]
        starts = np.cumsum([0, *counts[:-1]])
        values = tuple(builder.shaped(operand.value, operand.order.shape) for operand in operands)
        order = np.concatenate([operand.order + start
                                for operand, start in zip(operands, starts, strict=True)])
        return builder.append(node, Stack, values, (sum(counts),), order, output=output, axis=0)
    images = tuple(builder.image(operand) for operand in operands)
    shape = (*images[0].shape[:2], sum(image.shape[2] for image in images))
    return builder.append_image(node, Stack, images, shape, output=output, axis=2)


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
    "Cast": _cast, "Concat": _concat, "Dropout": _dropout, "Flatten": _flatten,
    "Identity": _identity, "Reshape": _reshape, "Squeeze": _squeeze, "Transpose": _transpose,
    "Unsqueeze": _unsqueeze}
