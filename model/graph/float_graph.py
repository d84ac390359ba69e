"""A network of real numbers, as a graph of operators: what quantization starts from.

The operators, their arrays and the order of their axes are those of
:mod:`eieio.model.graph.quantized_graph`, with floating-point numbers in place of integers:
images are in the order height, width, channels, and shapes are of one sample. Every operator may
clamp its results; that is how rectifiers are done.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import Window

__all__ = [
    "Add",
    "AveragePool",
    "Clamp",
    "Conv2D",
    "DepthwiseConv2D",
    "FloatGraph",
    "FullyConnected",
    "LogSoftmax",
    "MaxPool",
    "Operator",
    "Pad",
    "Pool",
    "Quantize",
    "Reshape",
    "Softmax",
    "Stack",
    "Value",
    "WeightedOperator",
    "compute",
    "run",
]


@dataclass(frozen=True)
class Value:
    """Activations.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user, its own in a graph.
    shape : tuple of :class:`int`
        Shape of one sample.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements of one sample."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Operator:
    """What computes one value from others.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user, its own in a graph.
    inputs : tuple of :class:`Value`
        Operands.
    output : :class:`Value`
        Result.
    minimum, maximum : :class:`float`
        Range to which the results are clamped, infinite by default.
    """

    name: str
    inputs: tuple[Value, ...]
    output: Value
    minimum: float = -math.inf
    maximum: float = math.inf

    @property
    def input(self) -> Value:
        """First operand."""
        return self.inputs[0]

    @property
    def clamps(self) -> bool:
        """Whether the results are clamped."""
        return self.minimum > -math.inf or self.maximum < math.inf


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightedOperator(Operator):
    """An operator that sums products of weights and activations.

    Attributes
    ----------
    weight : float64 array
        Weights, in the shape of the quantized operator of this name.
    bias : float64 array of shape (channels,)
        Biases.
    weight_scale : float64 array of shape (channels,), optional
        Scales of the channels, if the weights have been quantized: they are integers times these.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    weight_scale: NDArray[np.float64] | None = None

    @property
    def by_channel(self) -> NDArray[np.float64]:
        """Weights, of shape (channels, weights of one)."""
        return self.weight.reshape(len(self.weight), -1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2D(WeightedOperator):
    """A convolution: ``weight`` has shape (channels, height, width, input channels)."""

    window: Window


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthwiseConv2D(WeightedOperator):
    """A convolution of every channel: ``weight`` has shape (height, width, channels)."""

    window: Window

    @property
    def by_channel(self) -> NDArray[np.float64]:
        return self.weight.reshape(-1, self.weight.shape[2]).T


@dataclass(frozen=True, eq=False, kw_only=True)
class FullyConnected(WeightedOperator):
    """A product with a matrix: ``weight`` has shape (channels, input elements)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool(Operator):
    """An operator that reduces windows of every channel. Padding takes no part."""

    window: Window


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool(Pool):
    """Means of windows, of the elements inside of the image."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Pool):
    """Maxima of windows."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Operator):
    """The sum of two values of one shape."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Clamp(Operator):
    """The input, clamped."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Operator):
    """The same elements in the same order, in another shape."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(Operator):
    """The input with zeros around it: ``padding`` has a pair for every axis."""

    padding: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax(Operator):
    """Softmax along the last axis."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Stack(Operator):
    """Images, one below the other.

    Its scale need not be that of its inputs, whose integers it takes as they are: only
    :mod:`eieio.model.graph.quantizers` makes it, and knows what they are worth.
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class LogSoftmax(Operator):
    """The logarithm of softmax along the last axis."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Quantize(Operator):
    """The input, rounded to 8-bit integers and back: what a file's quantizer does to it.

    Attributes
    ----------
    scale : :class:`float`
        Real value of a step.
    zero_point : :class:`int`
        Integer of the real 0, -128 to 127. Numbers beyond the integers -128 to 127 saturate.
    """

    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class FloatGraph:
    """A network of real numbers.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user.
    input, output : :class:`Value`
        What the network takes and gives.
    operators : tuple of :class:`Operator`
        Each takes the input, or outputs of operators before it.
    """

    name: str
    input: Value
    output: Value
    operators: tuple[Operator, ...]


def run(graph: FloatGraph, x: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Compute every value of a network.

    Parameters
    ----------
    graph : FloatGraph
        Network to compute.
    x : float array of shape (samples, and the shape of the input)
        Inputs.

    Returns
    -------
    dict of float64 arrays of shape (samples, and the shape of the value)
        Activations by the name of their value.

    Raises
    ------
    InputError
        If the input has another shape.
    """
    if x.shape[1:] != graph.input.shape or x.ndim != 1 + len(graph.input.shape):
        shape = ", ".join(map(str, graph.input.shape))
        raise InputError(
            f"Input {graph.input.name!r} must have shape (samples, {shape}), not {x.shape}")
    values = {graph.input.name: x.astype(np.float64)}
    for operator in graph.operators:
        values[operator.output.name] = compute(operator, *(
            values[operand.name] for operand in operator.inputs))
    return values


def compute(operator: Operator, *operands: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute one operator.

    Parameters
    ----------
    operator : Operator
        Operator to compute; not a :class:`Stack`.
    *operands : float64 arrays of shape (samples, and the shape of the value)
        Its inputs.

    Returns
    -------
    float64 array of shape (samples, and the shape of the value)
        Its output.
    """
    result = _OPERATORS[type(operator)](operator, *operands)
    return np.clip(result, operator.minimum, operator.maximum) if operator.clamps else result


def _windows(x: NDArray[np.float64], window: Window, outside: float) -> NDArray[np.float64]:
    """View of shape (samples, rows, columns, channels, kernel height, kernel width)."""
    (down, across), (below, right) = window.stride, window.dilation
    padded = np.pad(x, ((0, 0), *window.padding, (0, 0)), constant_values=outside)
    windows = sliding_window_view(padded, window.extent, axis=(1, 2))  # pyright: ignore
    return windows[:, ::down, ::across, :, ::below, ::right]


def _conv2d(operator: Conv2D, x: NDArray[np.float64]) -> NDArray[np.float64]:
    windows = _windows(x, operator.window, 0)
    return np.tensordot(windows, operator.weight, axes=((4, 5, 3), (1, 2, 3))) + operator.bias


def _depthwise(operator: DepthwiseConv2D, x: NDArray[np.float64]) -> NDArray[np.float64]:
    windows = _windows(x, operator.window, 0)
    # Output channels of one input channel are neighbours.
    weight = operator.weight.reshape(*operator.window.kernel, x.shape[3], -1)
    sums = np.einsum("nyxcij,ijcd->nyxcd", windows, weight)
    return sums.reshape(len(x), *operator.output.shape) + operator.bias


def _fully_connected(operator: FullyConnected, x: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = x.reshape(len(x), -1) @ operator.weight.T + operator.bias
    return sums.reshape(len(x), *operator.output.shape)


def _average_pool(operator: AveragePool, x: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = _windows(np.ones((1, *x.shape[1:3], 1)), operator.window, 0).sum(axis=(4, 5))
    return _windows(x, operator.window, 0).sum(axis=(4, 5)) / counts


def _max_pool(operator: MaxPool, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return _windows(x, operator.window, -math.inf).max(axis=(4, 5))


def _add(operator: Add, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return x + y


def _clamp(operator: Clamp, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x


def _reshape(operator: Reshape, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x.reshape(len(x), *operator.output.shape)


def _pad(operator: Pad, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(x, ((0, 0), *operator.padding))


def _softmax(operator: Softmax, x: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _log_softmax(operator: LogSoftmax, x: NDArray[np.float64]) -> NDArray[np.float64]:
    below = x - x.max(axis=-1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=-1, keepdims=True))


def _quantize(operator: Quantize, x: NDArray[np.float64]) -> NDArray[np.float64]:
    zero_point = operator.zero_point
    integers = np.clip(np.rint(x / operator.scale) + zero_point, -128, 127)
    return (integers - zero_point) * operator.scale


_OPERATORS: dict[type[Operator], Callable[..., NDArray[np.float64]]] = {
    Add: _add, AveragePool: _average_pool, Clamp: _clamp, Conv2D: _conv2d,
    DepthwiseConv2D: _depthwise, FullyConnected: _fully_connected, LogSoftmax: _log_softmax,
    MaxPool: _max_pool, Pad: _pad, Quantize: _quantize, Reshape: _reshape, Softmax: _softmax}
