"""Operators of an ONNX graph without weights: they clamp, pool, average, pad, or are softmax."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from eieio.model.formats.onnx_activations import Activations, is_natural
from eieio.model.formats.onnx_builder import Builder, check_size
from eieio.model.formats.onnx_layers import padded
from eieio.model.formats.onnx_model import attributes_of
from eieio.model.formats.onnx_window import resolve
from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Clamp,
    LogSoftmax,
    MaxPool,
    Pad,
    Pool,
    Quantize,
    Softmax,
    WeightedOperator,
)
from eieio.model.graph.quantized_graph import Window

__all__ = ["POOLS", "mean", "pool", "softmax"]


def _relu(builder: Builder, node: onnx.NodeProto) -> None:
    _clamp(builder, node, builder.real(node), 0.0, math.inf)


def _clip(builder: Builder, node: onnx.NodeProto) -> None:
    operand, attributes = builder.any(node), attributes_of(node)
    ends = [attributes.get("min", -math.inf), attributes.get("max", math.inf)]
    for index in (1, 2):
        end = builder.optional(node, index)
        if end is not None:
            end = _integer_end(builder, operand, end) if operand.integers else builder.numbers(
                node, index)
            if end.size != 1:
                raise ValueError(f"must take {node.input[index]!r} as one number, not "
                                 f"{end.size}")
            ends[index - 1] = float(end.ravel()[0])
    if not ends[0] <= ends[1]:
        raise ValueError(f"must have min and max in order, not {ends[0]} and {ends[1]}")
    _clamp(builder, node, operand, ends[0], ends[1])


def _integer_end(builder: Builder, operand: Activations, end: NDArray[Any]) -> NDArray[np.float64]:
    """Real number of an end of the range of integers."""
    scale = operand.scale or builder.input_scale
    if scale is None or end.dtype not in (np.int8, np.uint8):
        raise ValueError("must take integers behind a QuantizeLinear, and int8 or uint8 as min and "
                         "max")
    level = end.astype(np.int64) - (128 if end.dtype == np.uint8 else 0)
    return np.asarray((level - scale.zero_point) * scale.scale, np.float64)


def _clamp(builder: Builder, node: onnx.NodeProto, operand: Activations, low: float, high: float
           ) -> None:
    before = builder.producer(operand)
    kinds = (Quantize,) if operand.integers else (WeightedOperator, Pool, Add, Clamp)
    if operand.affine is None and isinstance(before, kinds):
        builder.change(node, operand, minimum=min(max(before.minimum, low), high),
                       maximum=min(max(before.maximum, low), high))
    else:
        result = builder.append(node, Clamp, (operand.value,), operand.value.shape, operand.order,
                                minimum=low, maximum=high)
        if operand.integers:
            builder.define(node, replace(result, integers=True, scale=operand.scale))


def _pool(builder: Builder, node: onnx.NodeProto) -> None:
    operand = builder.any(node) if node.op_type == "MaxPool" else builder.real(node)
    pool(builder, node, operand)


def pool(builder: Builder, node: onnx.NodeProto, operand: Activations, *,
         output: str | None = None) -> Activations:
    """Append the maxima or the means of windows."""
    maximum, attributes = node.op_type == "MaxPool", attributes_of(node)
    source = builder.image(operand)
    kernel = attributes.get("kernel_shape", ())
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
        source, window = padded(builder, node, source, sliding), sliding.unpadded()
    result = builder.append_image(
        node, MaxPool if maximum else AveragePool, (source,),
        (*window.output_size(*source.shape[:2]), channels), window=window, output=output)
    if maximum and operand.integers:
        builder.define(node, replace(result, integers=True, scale=operand.scale))
    return result


def _global_average_pool(builder: Builder, node: onnx.NodeProto) -> None:
    mean(builder, node, builder.real(node))


def mean(builder: Builder, node: onnx.NodeProto, operand: Activations, *,
         output: str | None = None) -> Activations:
    """Append the means of images."""
    source = builder.image(operand)
    height, width, channels = source.shape
    return builder.append_image(node, AveragePool, (source,), (1, 1, channels),
                                window=Window((height, width), (height, width)), output=output)


def _reduce_mean(builder: Builder, node: onnx.NodeProto) -> None:
    operand, attributes = builder.real(node), attributes_of(node)
    axes = {axis % 4 for axis in builder.integers_of(node, 1) if -4 <= axis < 4}
    if operand.order.ndim != 3 or axes != {2, 3}:
        raise ValueError("must take the means of images over axes 2 and 3")
    result = mean(builder, node, operand)
    if not attributes.get("keepdims", 1):
        builder.define(node, replace(result, order=result.order.ravel()))


def _pad(builder: Builder, node: onnx.NodeProto) -> None:
    operand, attributes = builder.any(node), attributes_of(node)
    mode = attributes.get("mode", b"constant").decode(errors="replace")
    if mode != "constant":
        raise ValueError(f"must have mode constant, not {mode}")
    value = builder.optional(node, 2)
    if operand.integers:
        _check_integer_padding(builder, operand, value)
    elif (attributes.get("value", 0.0) if value is None else value.any()):
        raise ValueError("must pad with 0, not another number")
    rank = 1 + operand.order.ndim
    pads = attributes.get("pads") if builder.opset < 11 else builder.integers_of(node, 1)
    axes = builder.integers_of(node, 3) if len(node.input) > 3 and node.input[3] \
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
        source = builder.image(operand)
        ordered = padding[2], padding[3], padding[1]
    elif rank == 2 and is_natural(operand.order):
        source, ordered = builder.shaped(operand.value, operand.order.shape), (padding[1],)
    else:
        raise ValueError("must pad images, or vectors of channels")
    shape = tuple(size + sum(pair) for size, pair in zip(source.shape, ordered, strict=True))
    check_size("activations", shape)
    if rank == 4:
        result = builder.append_image(node, Pad, (source,), shape, padding=ordered)
    else:
        result = builder.append(node, Pad, (source,), shape, np.arange(shape[0]), padding=ordered)
    if operand.integers:
        builder.define(node, replace(result, integers=True, scale=operand.scale))


def _check_integer_padding(builder: Builder, operand: Activations,
                           value: NDArray[Any] | None) -> None:
    """Refuse to pad integers with what is not the real number 0."""
    scale = operand.scale or builder.input_scale
    padded_with = 0 if value is None else int(value.ravel()[0])
    offset = 128 if value is None or value.dtype == np.uint8 else 0
    if scale is None or scale.zero_point not in (
            (padded_with, padded_with - 128) if value is None else (padded_with - offset,)):
        raise ValueError("must pad with the zero point, which is the real number 0, not "
                         f"{padded_with}")


def _softmax(builder: Builder, node: onnx.NodeProto) -> None:
    softmax(builder, node, builder.real(node))


def softmax(builder: Builder, node: onnx.NodeProto, operand: Activations, *,
            output: str | None = None) -> Activations:
    """Append softmax along the channels, or its logarithm."""
    kind = LogSoftmax if node.op_type == "LogSoftmax" else Softmax
    rank = 1 + operand.order.ndim
    axis = attributes_of(node).get("axis", -1 if builder.opset >= 13 else 1)
    if axis % rank != 1 or (builder.opset < 13 and rank > 2 and operand.order[0].size > 1):
        raise ValueError(f"must run along the channels, axis 1, not {axis}")
    if rank == 2 and is_natural(operand.order):
        source = builder.shaped(operand.value, operand.order.shape)
    else:
        source = builder.image(operand)
    return builder.append(node, kind, (source,), source.shape, operand.order, output=output)


#: What follows a node, by its type.
POOLS: dict[str, Callable[[Builder, onnx.NodeProto], None]] = {
    **dict.fromkeys(("AveragePool", "MaxPool"), _pool),
    **dict.fromkeys(("LogSoftmax", "Softmax"), _softmax), "Clip": _clip,
    "GlobalAveragePool": _global_average_pool, "Pad": _pad, "ReduceMean": _reduce_mean,
    "Relu": _relu}
