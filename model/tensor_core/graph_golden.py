"""Golden model of networks on a tensor core: every bit of every value.

Sums of products are long sums as :mod:`eieio.model.tensor_core.golden` has them: an operator's bias
is the first addend, each block's binary32 result the next one's. Blocks go through a window row by
row, and through each row from left to right, the channels of an element one after the other;
``products`` neighbours are a block. If the window is dilated across, each element is a row of its
own. What is missing in the last block of a row, and what lies outside of the image, is 0.

All that is channel by channel is a sum of this kind, too, over blocks of ``columns`` channels with
a matrix that has a weight for a channel's own and 0 for the others: depthwise convolutions; means,
with the reciprocal of the count as weight; sums of two values, with weights 1; and copies. So an
infinity in one channel makes NaN of the others in its block.

The sum is rounded to the format of the factors, to nearest even, and clamped.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import (
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
    Reshape,
)
from eieio.model.graph.window import Window
from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.conversion import clamp, from_real, narrow, order
from eieio.model.tensor_core.golden import dot_product
from eieio.model.tensor_core.network import engine_operators

__all__ = ["run_network", "run_operator"]

#: Bits of numbers of the factors' format.
Bits = NDArray[np.uint16]

# Sums that are computed together: what they need fits into a cache.
_TOGETHER = 1 << 13


def run_network(graph: FloatGraph, x: Bits, config: StepConfig) -> dict[str, Bits]:
    """Compute every value that the engine computes.

    Parameters
    ----------
    graph : FloatGraph
        Network, as :func:`eieio.model.tensor_core.network.round_network` returns it.
    x : uint16 array of shape (samples, and the shape of the input)
        Bits of the inputs.
    config : StepConfig
        The tensor core.

    Returns
    -------
    dict of uint16 arrays of shape (samples, and the shape of the value)
        Bits by the name of the value: the input, and the output of every operator of the engine.

    Raises
    ------
    InputError
        If the input has another dtype or shape.
    """
    if x.dtype != np.uint16 or x.shape[1:] != graph.input.shape:
        raise InputError(f"Input {graph.input.name!r} must be a uint16 array of shape (samples, "
                         f"{', '.join(map(str, graph.input.shape))}), not {x.dtype} of shape "
                         f"{x.shape}")
    values = {graph.input.name: x}
    for operator in engine_operators(graph):
        values[operator.output.name] = run_operator(
            operator, *(values[operand.name] for operand in operator.inputs), config=config)
    return values


def run_operator(operator: Operator, *operands: Bits, config: StepConfig) -> Bits:
    """Compute one operator.

    Parameters
    ----------
    operator : Operator
        Operator to compute.
    *operands : uint16 arrays of shape (samples, and the shape of the value)
        Bits of its inputs.
    config : StepConfig
        The tensor core.
    """
    form = config.factor_format
    x, shape = operands[0], (len(operands[0]), *operator.output.shape)
    match operator:
        case Reshape():
            return x.reshape(shape)
        case MaxPool():
            windows = _windows(x, operator.window, form.infinity | 1 << form.width - 1)
            keys = order(windows).max(axis=(4, 5))
            result = np.where(keys < 0, 0x7FFF - keys, keys).astype(np.uint16)
        case FullyConnected():
            result = _sums(x.reshape(len(x), 1, -1), operator.weight[:, np.newaxis],
                           operator.bias, config)
        case Conv2D():
            terms = _windows(x, operator.window, 0).transpose(0, 1, 2, 4, 5, 3)
            # Where elements of a row are neighbours, it is one row of terms.
            rows = operator.window.kernel[0] * (
                1 if operator.window.dilation[1] == 1 else operator.window.kernel[1])
            result = _sums(terms.reshape(-1, rows, terms[0, 0, 0].size // rows),
                           operator.weight.reshape(len(operator.weight), rows, -1),
                           operator.bias, config)
        case DepthwiseConv2D():
            result = _channelwise(_windows(x, operator.window, 0), operator.weight, operator.bias,
                                  config)
        case AveragePool():
            count = operator.window.kernel[0] * operator.window.kernel[1]
            channels = x.shape[3]
            result = _channelwise(
                _windows(x, operator.window, 0),
                np.full((*operator.window.kernel, channels), 1 / count),
                np.zeros(channels, np.float32), config)
        case Pad():
            channels = x.shape[3]
            padded = np.pad(x, ((0, 0), *operator.padding))
            result = _channelwise(_windows(padded, Window((1, 1)), 0), np.ones((1, 1, channels)),
                                  np.zeros(channels, np.float32), config)
        case Add() | Clamp():
            result = _flat_sum(operands, config)
        case _:
            raise InputError(f"{type(operator).__name__} {operator.name!r} must be an operator of "
                             "the tensor core")
    low, high = (int(from_real(np.array(end), form))
                 for end in (operator.minimum, operator.maximum))
    return clamp(result.reshape(shape), low, high, form)


def _windows(x: Bits, window: Window, outside: int) -> Bits:
    """View of shape (samples, rows, columns, channels, kernel height, kernel width)."""
    (down, across), (below, right) = window.stride, window.dilation
    padded = np.pad(x, ((0, 0), *window.padding, (0, 0)), constant_values=outside)
    windows: Any = sliding_window_view(padded, window.extent, axis=(1, 2))  # pyright: ignore
    return windows[:, ::down, ::across, :, ::below, ::right]


def _sums(terms: Bits, weight: NDArray[np.floating], bias: NDArray[np.floating],
          config: StepConfig) -> Bits:
    """Sum products, and round: uint16 array of shape (vectors, channels).

    ``terms`` of shape (vectors, rows, length), ``weight`` of shape (channels, rows, length).
    """
    missing = ((0, 0), (0, 0), (0, -terms.shape[2] % config.products))
    a = np.pad(terms, missing).reshape(len(terms), -1, config.products)
    b = from_real(np.pad(weight, missing), config.factor_format).reshape(
        len(weight), -1, config.products)
    start = np.ascontiguousarray(bias, np.float32).view(np.uint32)
    together = max(1, _TOGETHER // len(b))
    parts = []
    for first in range(0, len(a), together):
        some = a[first:first + together]
        d = np.broadcast_to(start, (len(some), len(b)))
        for block in range(a.shape[1]):
            d = dot_product(some[:, np.newaxis, block], b[:, block], d, config)
        parts.append(narrow(d, config.factor_format))
    return np.concatenate(parts)


def _channelwise(windows: Bits, weight: NDArray[np.floating], bias: NDArray[np.floating],
                 config: StepConfig) -> Bits:
    """Sum over windows for every channel: uint16 array of shape (vectors, output channels).

    ``weight`` of shape (height, width, output channels), some of which have one input channel.
    """
    outputs = weight.shape[2]
    each = outputs // windows.shape[3]
    terms = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, weight.shape[0] * weight.shape[1],
                                                        windows.shape[3])
    results = []
    for first in range(0, outputs, config.columns):
        block = np.arange(first, min(first + config.columns, outputs))
        sources = np.arange(block[0] // each, block[-1] // each + 1)
        own = block[:, np.newaxis] // each == sources
        matrix = weight.reshape(-1, outputs)[:, block].T[:, :, np.newaxis] * own[:, np.newaxis]
        results.append(_sums(terms[:, :, sources], matrix, bias[block], config))
    return np.concatenate(results, axis=1)


def _flat_sum(operands: tuple[Bits, ...], config: StepConfig) -> Bits:
    """Sum values of one shape, elements in blocks of ``columns``: shape (samples, elements)."""
    elements = operands[0][0].size
    missing = -elements % config.columns
    terms = np.stack([np.pad(x.reshape(len(x), -1), ((0, 0), (0, missing))).reshape(
        -1, config.columns) for x in operands], axis=1)
    unit = np.broadcast_to(np.eye(config.columns)[:, np.newaxis],
                           (config.columns, len(operands), config.columns))
    sums = _sums(terms, unit, np.zeros(config.columns, np.float32), config)
    return sums.reshape(len(operands[0]), -1)[:, :elements]
