"""Golden model of networks of integers: what an engine must output, integer for integer.

Every operator is written from its definition in :mod:`eieio.model.graph.quantized_graph`, for
all samples at once. Sums of products are matrix products in float64, which are exact: no
accumulator has more than 48 bits, and float64 holds integers of 53.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from eieio.model.codebook import decode_weights
from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import (
    ADD_LEFT_SHIFT,
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    LogSoftmax,
    MaxPool,
    Operator,
    Pad,
    QuantizedGraph,
    Reshape,
    SharedWeights,
    Softmax,
    Stack,
    Tensor,
    WeightedOperator,
    Window,
)
from eieio.model.graph.rescale import rescale
from eieio.model.graph.softmax import log_softmax, softmax

__all__ = ["accumulate", "run_graph", "run_operator"]

#: Integers of a tensor, of the type :attr:`~eieio.model.graph.quantized_graph.Tensor.dtype`.
Activations = NDArray[Any]


def run_graph(graph: QuantizedGraph, x: Activations) -> dict[str, Activations]:
    """Compute every tensor of a network.

    Parameters
    ----------
    graph : QuantizedGraph
        Network to compute.
    x : integer array of shape (samples, and the shape of the input)
        Inputs, of the input's type, as ``graph.input.quantize`` makes them.

    Returns
    -------
    dict of integer arrays of shape (samples, and the shape of the tensor)
        Activations by the name of their tensor: the input, and the output of every operator.

    Raises
    ------
    InputError
        If the input has another dtype or shape.
    """
    _check_activations(graph.input, x)
    values = {graph.input.name: x}
    for operator in graph.operators:
        operands = [values[tensor.name] for tensor in operator.inputs]
        values[operator.output.name] = run_operator(operator, *operands)
    return values


def run_operator(operator: Operator, *operands: Activations) -> Activations:
    """Compute one operator.

    Parameters
    ----------
    operator : Operator
        Operator to compute.
    operands : integer arrays of shape (samples, and the shape of the tensor)
        Its inputs, of their tensors' types.

    Returns
    -------
    integer array of shape (samples, and the shape of the tensor)
        Its output, of its tensor's type.

    Raises
    ------
    InputError
        If the operands are not as many as the inputs, or one has another dtype or shape.
    """
    _check_operands(operator, operands)
    return _OPERATORS[type(operator)](operator, *operands)


def accumulate(operator: WeightedOperator, x: Activations) -> NDArray[np.int64]:
    """Compute the accumulators of a weighted operator: sums of products, and biases.

    They are in steps of the biases.

    Parameters
    ----------
    operator : WeightedOperator
        Operator to compute.
    x : integer array of shape (samples, and the shape of the tensor)
        Its input, of its tensor's type.

    Returns
    -------
    int64 array of shape (samples, ..., channels)
        What the operator rescales; fits in 48 bits.

    Raises
    ------
    InputError
        If the input has another dtype or shape.
    """
    _check_operands(operator, (x,))
    return _accumulate(operator, x)


def _accumulate(operator: WeightedOperator, x: Activations) -> NDArray[np.int64]:
    return (_ACCUMULATORS[type(operator)](operator, x) << operator.bias_shift) + operator.bias


def _check_operands(operator: Operator, operands: tuple[Activations, ...]) -> None:
    if len(operands) != len(operator.inputs):
        raise InputError(f"Operator {operator.name!r} must have {len(operator.inputs)} operands, "
                         f"not {len(operands)}")
    for tensor, x in zip(operator.inputs, operands, strict=True):
        _check_activations(tensor, x)


def _check_activations(tensor: Tensor, x: Activations) -> None:
    if x.dtype != tensor.dtype or x.shape[1:] != tensor.shape or x.ndim != 1 + len(tensor.shape):
        shape = ", ".join(map(str, tensor.shape))
        raise InputError(f"Tensor {tensor.name!r} must be an {np.dtype(tensor.dtype)} array "
                         f"of shape (samples, {shape}), not {x.dtype} of shape {x.shape}")


# Windows.

def _pad(x: NDArray[Any], window: Window, value: int) -> NDArray[Any]:
    if window.padding == ((0, 0), (0, 0)):
        return x
    return np.pad(x, ((0, 0), *window.padding, (0, 0)), constant_values=value)


def _windows(padded: NDArray[Any], window: Window) -> NDArray[Any]:
    """View of shape (samples, rows, columns, channels, kernel height, kernel width)."""
    down, across = window.stride
    dilated = (..., slice(None, None, window.dilation[0]), slice(None, None, window.dilation[1]))
    windows = sliding_window_view(padded, window.extent, axis=(1, 2))  # pyright: ignore
    return windows[:, ::down, ::across][dilated]


# Sums of products.

def _centred(operator: WeightedOperator, x: Activations) -> NDArray[np.float64]:
    return x.astype(np.float64) - operator.input.zero_point


def _conv2d(operator: Conv2D, x: Activations) -> NDArray[np.int64]:
    windows = _windows(_pad(_centred(operator, x), operator.window, 0), operator.window)
    weight = operator.weight.astype(np.float64)
    return np.tensordot(windows, weight, axes=((4, 5, 3), (1, 2, 3))).astype(np.int64)


def _depthwise(operator: DepthwiseConv2D, x: Activations) -> NDArray[np.int64]:
    # Output channels of one input channel are neighbours.
    multiple = operator.channels // operator.input.shape[2]
    padded = _pad(_centred(operator, x), operator.window, 0)
    if multiple > 1:
        padded = np.repeat(padded, multiple, axis=3)
    windows, weight = _windows(padded, operator.window), operator.weight.astype(np.float64)
    sums = np.zeros(windows.shape[:4])
    for row, column in np.argwhere(weight.any(axis=2)):  # faster than all at once
        sums += windows[..., row, column] * weight[row, column]
    return sums.reshape(len(x), *operator.output.shape).astype(np.int64)


def _fully_connected(operator: FullyConnected, x: Activations) -> NDArray[np.int64]:
    flat = _centred(operator, x).reshape(len(x), -1)
    stored = operator.stored_weight
    weight = (decode_weights(stored.codes, stored.codebook.astype(np.float64))
              if isinstance(stored, SharedWeights) else stored.astype(np.float64))
    return (flat @ weight.T).astype(np.int64)


_ACCUMULATORS: dict[type[WeightedOperator], Callable[..., NDArray[np.int64]]] = {
    Conv2D: _conv2d, DepthwiseConv2D: _depthwise, FullyConnected: _fully_connected}


# Operators.

def _weighted(operator: WeightedOperator, x: Activations) -> Activations:
    return rescale(
        _accumulate(operator, x), operator.multiplier, operator.shift, operator.output.zero_point,
        operator.minimum, operator.maximum, single_rounding=operator.single_rounding,
        wraps=operator.wraps,
    ).astype(operator.output.dtype).reshape(len(x), *operator.output.shape)


def _average_pool(operator: AveragePool, x: Activations) -> Activations:
    window = operator.window
    inside = np.ones((1, *operator.input.shape[:2], 1), np.int64)
    counts = _windows(_pad(inside, window, 0), window).sum(axis=(4, 5))
    sums = _windows(_pad(x.astype(np.int64), window, 0), window).sum(axis=(4, 5))
    means = np.sign(sums) * ((np.abs(sums) + counts // 2) // counts)
    return np.clip(means, operator.minimum, operator.maximum).astype(operator.output.dtype)


def _max_pool(operator: MaxPool, x: Activations) -> Activations:
    padded = _pad(x, operator.window, operator.input.minimum)
    maxima = _windows(padded, operator.window).max(axis=(4, 5))
    return np.clip(maxima, operator.minimum, operator.maximum).astype(operator.output.dtype)


def _add(operator: Add, *operands: Activations) -> Activations:
    *factors, (multiplier, shift) = zip(operator.multipliers, operator.shifts, strict=True)
    limit = 1 << 31
    total = sum(
        rescale((x.astype(np.int64) - tensor.zero_point) << ADD_LEFT_SHIFT, *factor, 0,
                -limit, limit - 1)
        for tensor, x, factor in zip(operator.inputs, operands, factors, strict=True))
    return rescale(np.asarray(total), multiplier, shift, operator.output.zero_point,
                   operator.minimum, operator.maximum,
                   single_rounding=operator.single_rounding).astype(operator.output.dtype)


def _reshape(operator: Reshape, x: Activations) -> Activations:
    return x.reshape(len(x), *operator.output.shape)


def _pad_operator(operator: Pad, x: Activations) -> Activations:
    return np.pad(x, ((0, 0), *operator.padding), constant_values=operator.output.zero_point)


def _softmax(operator: Softmax, x: Activations) -> Activations:
    return softmax(x, operator.multiplier, operator.shift)


def _log_softmax(operator: LogSoftmax, x: Activations) -> Activations:
    return log_softmax(x, operator.input.scale)


def _stack(operator: Stack, *operands: Activations) -> Activations:
    return np.concatenate(operands, axis=1 + operator.axis)


_OPERATORS: dict[type[Operator], Callable[..., Activations]] = {
    Add: _add, AveragePool: _average_pool, Conv2D: _weighted, DepthwiseConv2D: _weighted,
    FullyConnected: _weighted, LogSoftmax: _log_softmax, MaxPool: _max_pool, Pad: _pad_operator,
    Reshape: _reshape, Softmax: _softmax, Stack: _stack}
