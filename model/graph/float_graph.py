"""A network of real numbers, as a graph of operators: what quantization starts from.

The operators, their arrays and the order of their axes are those of
:mod:`eieio.model.graph.quantized_graph`, with floating-point numbers in place of integers:
images are in the order height, width, channels, and shapes are of one sample. Every operator may
clamp its results; that is how rectifiers are done. Weights may be shared.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.weight_codes import WeightCodes
from eieio.model.graph.window import Window

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
    "run_batches",
]

# Samples computed together, at most, and elements of one value of all of them.
_BATCH, _BATCH_ELEMENTS = 32, 1 << 22


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

    @property
    def rectified(self) -> bool:
        """Whether a rectifier, and nothing else, clamps the results."""
        return (self.minimum, self.maximum) == (0, math.inf)


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightedOperator(Operator):
    """An operator that sums products of weights and activations.

    Attributes
    ----------
    weight : float32 or float64 array
        Weights, in the shape of the quantized operator of this name.
    bias : float32 or float64 array of shape (channels,)
        Biases.
    weight_scale : float64 array of shape (channels,), optional
        Scales of the channels, if the weights have been quantized: they are integers times these.
    shared : WeightCodes, optional
        The same weights as codes, if they are shared: ``weight`` must be its ``weight`` then.
    one_scale : :class:`bool`
        Whether weights that have not been quantized are to have one scale, not one for each
        channel.
    wraps : :class:`bool`
        Whether integers above the largest one wrap, where they are quantized, as
        :attr:`eieio.model.graph.quantized_graph.WeightedOperator.wraps` says.

    Raises
    ------
    InputError
        If shared weights do not fit.
    """

    weight: NDArray[Any]
    bias: NDArray[Any]
    weight_scale: NDArray[np.float64] | None = None
    shared: WeightCodes | None = None
    one_scale: bool = False
    wraps: bool = False

    def __post_init__(self) -> None:
        if self.shared is not None:
            self.shared.check(f"Layer {self.name!r}")
            if self.weight is not self.shared.weight:
                raise InputError(f"Layer {self.name!r}: weight must be that of the shared weights")

    @property
    def by_channel(self) -> NDArray[Any]:
        """Weights, of shape (channels, weights of one)."""
        return self.weight.reshape(len(self.weight), -1)

    @property
    def codes(self) -> NDArray[np.uint8]:
        """Code of each weight; the weights must be shared."""
        return self._sharing.codes

    @property
    def codebook(self) -> NDArray[np.float32]:
        """Shared weights; the weights must be shared."""
        return self._sharing.codebook

    @property
    def code_width(self) -> int:
        """Bits of a code; the weights must be shared."""
        return self._sharing.code_width

    @property
    def _sharing(self) -> WeightCodes:
        if self.shared is None:
            raise InputError(f"Layer {self.name!r}: weights must be shared")
        return self.shared


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2D(WeightedOperator):
    """A convolution: ``weight`` has shape (channels, height, width, input channels)."""

    window: Window


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthwiseConv2D(WeightedOperator):
    """A convolution of every channel: ``weight`` has shape (height, width, channels)."""

    window: Window

    @property
    def by_channel(self) -> NDArray[Any]:
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
    """Values beside one another along an axis: images one below the other, or channels.

    Attributes
    ----------
    axis : :class:`int`
        Axis of a sample, from 0 on. Channels are the last one.
    """

    axis: int


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
    channels_first : :class:`bool`
        Whether the network's own file has its input, an image, in the order channels, height,
        width.
    """

    name: str
    input: Value
    output: Value
    operators: tuple[Operator, ...]
    channels_first: bool = False

    @property
    def weighted(self) -> tuple[WeightedOperator, ...]:
        """Operators that have weights."""
        return tuple(operator for operator in self.operators
                     if isinstance(operator, WeightedOperator))

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(operator.weight.size + operator.bias.size for operator in self.weighted)

    @property
    def density(self) -> float:
        """Share of the weights that are not zero."""
        nonzeros = sum(int(np.count_nonzero(operator.weight)) for operator in self.weighted)
        return nonzeros / sum(operator.weight.size for operator in self.weighted)

    def with_weighted(self, operators: Iterable[WeightedOperator]) -> "FloatGraph":
        """Return the network with others in place of its operators that have weights, in order."""
        others = iter(operators)
        return replace(self, operators=tuple(
            next(others) if isinstance(operator, WeightedOperator) else operator
            for operator in self.operators))

    def forward(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Compute the output, in front of a softmax at the end, in float32.

        Parameters
        ----------
        x : float array of shape (samples, and the shape of the input)
            Inputs.

        Returns
        -------
        float32 array of shape (samples, elements of the output)
            Results: softmax does not change which is the largest.
        """
        operators, output = self.operators, self.output
        while operators and isinstance(operators[-1], Softmax | LogSoftmax | Reshape):
            *operators, last = operators
            output = last.input
        graph = replace(self, operators=tuple(operators), output=output)
        return np.concatenate([values[output.name].reshape(-1, output.elements)
                               for values in run_batches(graph, x, np.float32)])


def run(graph: FloatGraph, x: NDArray[np.floating],
        dtype: type[np.floating] = np.float64) -> dict[str, NDArray[Any]]:
    """Compute every value of a network.

    Parameters
    ----------
    graph : FloatGraph
        Network to compute.
    x : float array of shape (samples, and the shape of the input)
        Inputs.
    dtype : float32 or float64
        Type of the numbers in between.

    Returns
    -------
    dict of float arrays of shape (samples, and the shape of the value)
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
    values: dict[str, NDArray[Any]] = {graph.input.name: x.astype(dtype)}
    for operator in graph.operators:
        values[operator.output.name] = compute(operator, *(
            values[operand.name] for operand in operator.inputs))
    return values


def run_batches(graph: FloatGraph, x: NDArray[np.floating],
                dtype: type[np.floating] = np.float64) -> Iterator[dict[str, NDArray[Any]]]:
    """Compute every value of a network for so many samples at a time as fit well into memory.

    Takes what :func:`run` takes, and gives what it returns for some samples after the other.
    """
    largest = max(value.elements for value in (
        graph.input, *(operator.output for operator in graph.operators)))
    batch = max(1, min(_BATCH, _BATCH_ELEMENTS // largest))
    for start in range(0, max(len(x), 1), batch):
        yield run(graph, x[start:start + batch], dtype)


def compute(operator: Operator, *operands: NDArray[Any]) -> NDArray[Any]:
    """Compute one operator.

    Parameters
    ----------
    operator : Operator
        Operator to compute.
    *operands : float arrays of shape (samples, and the shape of the value)
        Its inputs.

    Returns
    -------
    float array of shape (samples, and the shape of the value)
        Its output.
    """
    result = _OPERATORS[type(operator)](operator, *operands)
    return np.clip(result, operator.minimum, operator.maximum) if operator.clamps else result


def _windows(x: NDArray[Any], window: Window, outside: float) -> NDArray[Any]:
    """View of shape (samples, rows, columns, channels, kernel height, kernel width)."""
    (down, across), (below, right) = window.stride, window.dilation
    padded = np.pad(x, ((0, 0), *window.padding, (0, 0)), constant_values=outside)
    windows = sliding_window_view(padded, window.extent, axis=(1, 2))  # pyright: ignore
    return windows[:, ::down, ::across, :, ::below, ::right]


def _weights(operator: WeightedOperator, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights and biases in the type of the activations."""
    return operator.weight.astype(x.dtype, copy=False), operator.bias.astype(x.dtype, copy=False)


def _conv2d(operator: Conv2D, x: NDArray[Any]) -> NDArray[Any]:
    windows = _windows(x, operator.window, 0)
    weight, bias = _weights(operator, x)
    return np.tensordot(windows, weight, axes=((4, 5, 3), (1, 2, 3))) + bias


def _depthwise(operator: DepthwiseConv2D, x: NDArray[Any]) -> NDArray[Any]:
    windows = _windows(x, operator.window, 0)
    weight, bias = _weights(operator, x)
    # Output channels of one input channel are neighbours.
    weight = weight.reshape(*operator.window.kernel, x.shape[3], -1)
    sums = np.einsum("nyxcij,ijcd->nyxcd", windows, weight)
    return sums.reshape(len(x), *operator.output.shape) + bias


def _fully_connected(operator: FullyConnected, x: NDArray[Any]) -> NDArray[Any]:
    weight, bias = _weights(operator, x)
    sums = x.reshape(len(x), -1) @ weight.T + bias
    return sums.reshape(len(x), *operator.output.shape)


def _average_pool(operator: AveragePool, x: NDArray[Any]) -> NDArray[Any]:
    counts = _windows(np.ones((1, *x.shape[1:3], 1), x.dtype), operator.window, 0).sum(axis=(4, 5))
    return _windows(x, operator.window, 0).sum(axis=(4, 5)) / counts


def _max_pool(operator: MaxPool, x: NDArray[Any]) -> NDArray[Any]:
    return _windows(x, operator.window, -math.inf).max(axis=(4, 5))


def _add(operator: Add, x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    return x + y


def _stack(operator: Stack, *operands: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate(operands, axis=1 + operator.axis)


def _clamp(operator: Clamp, x: NDArray[Any]) -> NDArray[Any]:
    return x


def _reshape(operator: Reshape, x: NDArray[Any]) -> NDArray[Any]:
    return x.reshape(len(x), *operator.output.shape)


def _pad(operator: Pad, x: NDArray[Any]) -> NDArray[Any]:
    return np.pad(x, ((0, 0), *operator.padding))


def _softmax(operator: Softmax, x: NDArray[Any]) -> NDArray[Any]:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _log_softmax(operator: LogSoftmax, x: NDArray[Any]) -> NDArray[Any]:
    below = x - x.max(axis=-1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=-1, keepdims=True))


def _quantize(operator: Quantize, x: NDArray[Any]) -> NDArray[Any]:
    zero_point = operator.zero_point
    integers = np.clip(np.rint(x / operator.scale) + zero_point, -128, 127)
    return (integers - zero_point) * operator.scale


_OPERATORS: dict[type[Operator], Callable[..., NDArray[Any]]] = {
    Add: _add, AveragePool: _average_pool, Clamp: _clamp, Conv2D: _conv2d,
    DepthwiseConv2D: _depthwise, FullyConnected: _fully_connected, LogSoftmax: _log_softmax,
    MaxPool: _max_pool, Pad: _pad, Quantize: _quantize, Reshape: _reshape, Softmax: _softmax,
    Stack: _stack}
