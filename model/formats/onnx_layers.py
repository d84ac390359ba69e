"""Operators of an ONNX graph that have weights, or scale, shift and add activations."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from eieio.model.formats.onnx_activations import Activations, Affine, Weights
from eieio.model.formats.onnx_builder import MAX_WEIGHTS, Builder, check_size
from eieio.model.formats.onnx_model import attributes_of
from eieio.model.formats.onnx_shape import ActivationShape
from eieio.model.formats.onnx_window import Sliding, resolve
from eieio.model.graph.float_graph import (
    Add,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Pad,
    Value,
    WeightedOperator,
)
from eieio.model.graph.quantized_graph import Window
from eieio.model.graph.value_facts import may_scale

__all__ = ["LAYERS", "convolution", "padded", "product", "total"]

# What the scale of a bias may differ from that of the sums, as a share.
_BIAS_TOLERANCE = 1e-5


def _conv(builder: Builder, node: onnx.NodeProto) -> None:
    operand, weights = builder.real(node), builder.weights(node, 1, 4)
    convolution(builder, node, operand, weights,
                      _bias(builder, node, operand, weights, len(weights.number)))


def _bias(builder: Builder, node: onnx.NodeProto, operand: Activations, weights: Weights,
          channels: int) -> NDArray[np.float64]:
    """Biases of the output channels; `weights` have these as their first axis."""
    if builder.optional(node, 2) is None:
        return np.zeros(channels)
    bias = builder.numbers(node, 2)
    try:
        bias = np.broadcast_to(bias, (1, channels))[0]
    except ValueError:
        raise ValueError(f"must take {node.input[2]!r} of shape ({channels},), not "
                         f"{bias.shape}") from None
    step, scale, source = builder.steps.get(node.input[2]), weights.scale, operand.scale
    if step is None or scale is None or source is None:
        return bias
    # At the scale of the sums but for its rounding to float32: the very integers.
    step, sums = np.broadcast_to(step, (1, channels))[0], source.scale * scale
    same = np.abs(step - sums) <= _BIAS_TOLERANCE * sums
    return np.where(same, np.rint(bias / step) * sums, bias)


def convolution(builder: Builder, node: onnx.NodeProto, operand: Activations, weights: Weights,
                bias: NDArray[np.float64], *, output: str | None = None) -> Activations:
    """Append a convolution; the weights have the shape that ONNX gives them."""
    if weights.number.ndim != 4:
        raise ValueError(f"must have weights of 4 axes, not {weights.number.ndim}")
    source = builder.image(operand)
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
        source = padded(builder, node, source, sliding)
        window = sliding.unpadded()
    else:
        window = sliding.window()
    weight, scale = weights.number, weights.scale
    if 1 < groups == depth:
        kind, weight = DepthwiseConv2D, weight[:, 0].transpose(1, 2, 0)
    else:
        kind = Conv2D
        if groups > 1:
            check_size("weights", (channels, depth, *kernel), MAX_WEIGHTS)
            whole = np.zeros((channels, depth, *kernel))
            for group in range(groups):
                rows = slice(group * channels // groups, (group + 1) * channels // groups)
                whole[rows, group * part:(group + 1) * part] = weight[rows]
            weight = whole
        weight = weight.transpose(0, 2, 3, 1)
    return builder.append_image(
        node, kind, (source,), (*window.output_size(*source.shape[:2]), channels),
        weight=np.ascontiguousarray(weight), bias=bias, weight_scale=scale, window=window,
        output=output)


def padded(builder: Builder, node: onnx.NodeProto, source: Value, sliding: Sliding) -> Value:
    """Append a Pad before a node."""
    height, width, channels = source.shape
    (top, bottom), (left, right) = sliding.padding
    shape = height + top + bottom, width + left + right, channels
    check_size("activations", shape)
    output = Value(builder.free(f"{node.output[0]}_padded"), shape)
    builder.add(Pad(name=builder.free(f"{node.name or node.output[0]}_pad"), inputs=(source,),
                  output=output, padding=(*sliding.padding, (0, 0))))
    return output


def _gemm(builder: Builder, node: onnx.NodeProto) -> None:
    attributes = attributes_of(node)
    if attributes.get("transA", 0):
        raise ValueError("must have transA 0, not 1")
    operand, weights = builder.raw_real(node), builder.weights(node, 1, 2)
    if not attributes.get("transB", 0):
        weights = weights.map(np.transpose)
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    if alpha == 0 or (alpha < 0 and weights.step is not None):
        raise ValueError(f"must have alpha above 0, not {alpha}")
    weights = weights.map(lambda array: array * alpha)
    bias = _bias(builder, node, operand, weights, len(weights.number)) * beta
    product(builder, node, operand, weights, bias)


def _matmul(builder: Builder, node: onnx.NodeProto) -> None:
    operand, weights = builder.raw_real(node), builder.weights(node, 1, 2)
    product(builder, node, operand, weights.map(np.transpose), None)


def product(builder: Builder, node: onnx.NodeProto, operand: Activations, weights: Weights,
            bias: NDArray[np.float64] | None, *, output: str | None = None) -> Activations:
    """Append a product with weights of shape (channels, inputs)."""
    if weights.number.ndim != 2:
        raise ValueError(f"must have weights of 2 axes, not {weights.number.ndim}")
    channels, inputs = weights.number.shape
    if operand.affine is not None and weights.step is not None:
        operand = builder.apply(operand)
    if operand.order.shape != (inputs,):
        raise ValueError(f"must take activations of shape (batch, {inputs}), to fit its "
                         f"weights, not {ActivationShape(builder.batch, operand.order.shape)}")
    number = weights.number
    bias = np.zeros(channels) if bias is None else bias
    if operand.affine is not None:
        bias = bias + number @ operand.affine.shift
        number = number * operand.affine.scale
    weight = np.empty((channels, inputs))
    weight[:, operand.order] = number
    return builder.append(
        node, FullyConnected, (operand.value,), (channels,), np.arange(channels), weight=weight,
        bias=bias, weight_scale=weights.scale, output=output)


def total(builder: Builder, node: onnx.NodeProto, first: Activations, second: Activations, *,
          output: str | None = None) -> Activations:
    """Append the sum of two activations."""
    if first.order.shape != second.order.shape:
        raise ValueError("must add activations of one shape, not "
                         f"{ActivationShape(builder.batch, first.order.shape)} and "
                         f"{ActivationShape(builder.batch, second.order.shape)}")
    if (first.order != second.order).any():
        raise ValueError("must add activations whose elements have one order, not such as a "
                         "Reshape or Transpose makes of one of them")
    shape = first.value.shape
    operands = first.value, builder.shaped(second.value, shape)
    return builder.append(node, Add, operands, shape, first.order, output=output)


# Scale and shift.


def _arithmetic(builder: Builder, node: onnx.NodeProto) -> None:
    if all(name in builder.activations for name in node.input):
        if node.op_type != "Add":
            raise ValueError("must take a constant, not two activations: eieio takes Add")
        total(builder, node, builder.real(node, 0), builder.real(node, 1))
        return
    first = node.input[0] in builder.activations
    operand = builder.raw_real(node, 0 if first else 1)
    constant = _spread(operand, builder.numbers(node, 1 if first else 0))
    one, zero = np.ones(operand.order.shape), np.zeros(operand.order.shape)
    match node.op_type:
        case "Add":
            _affine(builder, node, operand, one, constant)
        case "Sub":
            _affine(builder, node, operand, *(one, -constant) if first else (-one, constant))
        case "Mul":
            _affine(builder, node, operand, constant, zero)
        case _:
            if not first or not constant.all():
                raise ValueError("must divide the activations by constants other than 0")
            _affine(builder, node, operand, 1 / constant, zero)


def _spread(operand: Activations, array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Constant operand, in the shape of the activations of a sample."""
    shape = operand.order.shape
    try:
        return np.broadcast_to(array, (1, *shape))[0]
    except ValueError:
        raise ValueError(f"must take a constant that fits activations of shape {shape}, not "
                         f"one of shape {array.shape}") from None


def _batch_normalization(builder: Builder, node: onnx.NodeProto) -> None:
    attributes = attributes_of(node)
    if attributes.get("training_mode", 0) or not attributes.get("spatial", 1):
        raise ValueError("must be for inference, with training_mode 0 and spatial 1")
    operand = builder.raw_real(node)
    channels = operand.order.shape[0]
    tables = [builder.numbers(node, index) for index in range(1, 5)]
    for index, table in enumerate(tables, start=1):
        if table.shape != (channels,):
            raise ValueError(f"must take {node.input[index]!r} of shape ({channels},), not "
                             f"{table.shape}")
    scale, shift, mean, variance = (
        _spread(operand, table.reshape(-1, *[1] * (operand.order.ndim - 1))) for table in tables)
    variance = variance + attributes.get("epsilon", 1e-5)
    if variance.min() <= 0:
        raise ValueError(f"must take {node.input[4]!r} above minus epsilon")
    factor = scale / np.sqrt(variance)
    _affine(builder, node, operand, factor, shift - mean * factor)


def _affine(builder: Builder, node: onnx.NodeProto, operand: Activations,
            scale: NDArray[np.float64], shift: NDArray[np.float64]) -> None:
    """Compute ``scale * x + shift``, both in the shape of the activations."""
    value, before = operand.value, builder.producer(operand)
    factor, addend = _by_channel(operand, scale), _by_channel(operand, shift)
    if operand.affine is None and isinstance(before, WeightedOperator) and not before.clamps \
            and factor is not None and addend is not None \
            and len(before.bias) == value.shape[-1] and may_scale(before, factor):
        each = factor if isinstance(before, DepthwiseConv2D) else factor.reshape(
            -1, *[1] * (before.weight.ndim - 1))
        steps = before.weight_scale
        if steps is not None:
            # What is scaled by 0 has weights of 0, at any scale.
            steps = steps * np.where(factor == 0, 1, np.abs(factor))
        builder.change(node, operand, weight=before.weight * each,
                       bias=before.bias * factor + addend, weight_scale=steps)
    elif operand.order.ndim == 1 or builder.into_products(node.output[0]):
        # A Gemm or MatMul behind it may take it into its weights.
        earlier, scale, shift = operand.affine, scale.ravel(), shift.ravel()
        if earlier is not None:
            scale, shift = earlier.scale * scale, earlier.shift * scale + shift
        builder.define(node, replace(operand, integers=False, scale=None,
                                     affine=Affine(scale, shift)))
    else:
        source = value if len(value.shape) == 3 else builder.image(operand)
        if factor is None or addend is None:
            raise ValueError("must take one constant, or one for each channel, not for pixels")
        builder.append(node, DepthwiseConv2D, (source,), source.shape, operand.order,
                       weight=factor.reshape(1, 1, -1), bias=addend, window=Window((1, 1)))


def _by_channel(operand: Activations, array: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Constants of the channels, of shape (channels,), if there is one for each."""
    elements = np.empty(operand.order.size)
    elements[operand.order.ravel()] = array.ravel()
    channels = operand.value.shape[-1]
    if len(operand.value.shape) != 3 and operand.order.ndim == 3:
        channels = operand.order.shape[0]
    table = elements.reshape(-1, channels)
    return None if (table != table[:1]).any() else table[0].copy()


#: What follows a node, by its type.
LAYERS: dict[str, Callable[[Builder, onnx.NodeProto], None]] = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), _arithmetic),
    "BatchNormalization": _batch_normalization, "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul}
