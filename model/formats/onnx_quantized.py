"""Quantized operators of an ONNX graph: QuantizeLinear, DequantizeLinear, and the QOperator format.

The latter are ONNX's QLinearConv and QLinearMatMul, and what ONNX Runtime's quantizer adds to them
in the domain com.microsoft. Each is the operator on real numbers with a quantizer behind it.
"""

from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray

from eieio.model.formats.onnx_activations import Activations, Weights
from eieio.model.formats.onnx_builder import INTEGERS, Builder
from eieio.model.formats.onnx_layers import convolution, product, total
from eieio.model.formats.onnx_model import attributes_of
from eieio.model.formats.onnx_pools import mean, pool, softmax
from eieio.model.formats.onnx_scales import weight_steps
from eieio.model.formats.onnx_shapes import concatenate
from eieio.model.graph.quantization import Scale

__all__ = ["QUANTIZED"]


def _quantize_linear(builder: Builder, node: onnx.NodeProto) -> None:
    builder.axis(node)
    operand, scale = builder.real(node), builder.scale(node, 1)
    if attributes_of(node).get("output_dtype", 0) not in (0, *INTEGERS):
        raise ValueError("must quantize activations to int8 or uint8")
    builder.quantize(node, operand, scale)


def _dequantize_linear(builder: Builder, node: onnx.NodeProto) -> None:
    builder.axis(node)
    operand = builder.quantized(node, 0, builder.scale(node, 1))
    builder.define(node, Activations(operand.value, operand.order, False, operand.exclusive,
                                     operand.scale))


def _weights(builder: Builder, node: onnx.NodeProto, index: int, axis: int) -> Weights:
    levels, scale = builder.required(node, index), builder.required(node, index + 1)
    if levels.dtype == np.int32:
        raise ValueError("must have weights of int8 or uint8, not int32")
    number, step, unfit = weight_steps(levels, scale, builder.optional(node, index + 2), axis)
    if unfit:
        raise ValueError(unfit)
    return Weights(number, step)


def _integer_biases(builder: Builder, node: onnx.NodeProto, index: int, source: Scale,
                    weights: Weights) -> NDArray[np.float64]:
    """Biases in steps of the sums."""
    channels = len(weights.number)
    levels, scale = builder.optional(node, index), weights.scale
    if levels is None:
        return np.zeros(channels)
    if levels.dtype != np.int32 or levels.shape not in {(channels,), (1, channels)}:
        raise ValueError(f"must have biases of int32, of shape {(channels,)}, not "
                         f"{levels.dtype} of shape {levels.shape}")
    assert scale is not None
    return levels.reshape(channels) * (source.scale * scale)


def _real_name(builder: Builder, node: onnx.NodeProto) -> str:
    return builder.free(f"{node.output[0]}_real")


def _qlinear_conv(builder: Builder, node: onnx.NodeProto) -> None:
    if attributes_of(node).get("channels_last", 0):
        raise ValueError("must have channels_last 0, not 1")
    source = builder.scale(node, 1)
    operand, weights = builder.quantized(node, 0, source), _weights(builder, node, 3, 0)
    bias = _integer_biases(builder, node, 8, source, weights)
    result = convolution(builder, node, operand, weights, bias, output=_real_name(builder, node))
    builder.quantize(node, result, builder.scale(node, 6))


def _qlinear_matmul(builder: Builder, node: onnx.NodeProto) -> None:
    operand = builder.quantized(node, 0, builder.scale(node, 1))
    weights = _weights(builder, node, 3, 1)
    result = product(builder, node, operand, weights.map(np.transpose), None,
                     output=_real_name(builder, node))
    builder.quantize(node, result, builder.scale(node, 6))


def _qgemm(builder: Builder, node: onnx.NodeProto) -> None:
    attributes = attributes_of(node)
    if attributes.get("transA", 0):
        raise ValueError("must have transA 0, not 1")
    transposed = bool(attributes.get("transB", 0))
    source = builder.scale(node, 1)
    operand = builder.quantized(node, 0, source)
    weights = _weights(builder, node, 3, 0 if transposed else 1)
    if not transposed:
        weights = weights.map(np.transpose)
    alpha = attributes.get("alpha", 1.0)
    if not alpha > 0:
        raise ValueError(f"must have alpha above 0, not {alpha}")
    # alpha scales the sums, biases included, whose steps are the sums' without it.
    bias = _integer_biases(builder, node, 6, source, weights) * alpha
    weights = weights.map(lambda array: array * alpha)
    if builder.optional(node, 7) is None:
        product(builder, node, operand, weights, bias)
        return
    result = product(builder, node, operand, weights, bias, output=_real_name(builder, node))
    builder.quantize(node, result, builder.scale(node, 7))


def _qlinear_add(builder: Builder, node: onnx.NodeProto) -> None:
    scales = builder.scale(node, 1), builder.scale(node, 4)
    operands = [builder.quantized(node, index, scale) for index, scale
                in zip((0, 3), scales, strict=True)]
    result = total(builder, node, *operands, output=_real_name(builder, node))
    builder.quantize(node, result, builder.scale(node, 6))


def _qlinear_concat(builder: Builder, node: onnx.NodeProto) -> None:
    operands = [builder.quantized(node, index, builder.scale(node, index + 1))
                for index in range(2, len(node.input), 3)]
    result = concatenate(builder, node, operands, output=_real_name(builder, node))
    builder.quantize(node, result, builder.scale(node, 0))


def _unary(compute: Callable[..., Activations]) -> Callable[[Builder, onnx.NodeProto], None]:
    """Take an operator of one operand at one scale, and of one result at another."""
    def follow(builder: Builder, node: onnx.NodeProto) -> None:
        if attributes_of(node).get("channels_last", 0):
            raise ValueError("must have channels_last 0, not 1")
        operand = builder.quantized(node, 0, builder.scale(node, 1))
        result = compute(builder, node, operand, output=_real_name(builder, node))
        builder.quantize(node, result, builder.scale(node, 3))

    return follow


#: What follows a node, by its type.
QUANTIZED: dict[str, Callable[[Builder, onnx.NodeProto], None]] = {
    "DequantizeLinear": _dequantize_linear, "QGemm": _qgemm, "QLinearAdd": _qlinear_add,
    "QLinearAveragePool": _unary(pool), "QLinearConcat": _qlinear_concat,
    "QLinearConv": _qlinear_conv,
    "QLinearGlobalAveragePool": _unary(mean), "QLinearMatMul": _qlinear_matmul,
    "QLinearSoftmax": _unary(softmax), "QuantizeLinear": _quantize_linear}
