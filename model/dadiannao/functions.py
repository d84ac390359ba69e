"""Sigmoid and tanh by a table of 16 segments: y = a x + b in each.

The argument is a number of as many bits as an activation has, which cover the range of the
function's table; its highest four bits are the segment. In a segment the function is the chord
between its ends: so results do not jump, and stay within those of the function.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eieio.model.dadiannao.instruction import SEGMENTS
from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import QuantizedGraph, Tensor, WeightedOperator
from eieio.model.graph.rescale import quantize_factors

__all__ = ["FUNCTIONS", "INTERCEPT_WIDTH", "SLOPE_WIDTH", "Table", "function_of", "make_table",
           "output_scale", "with_arguments"]

#: Functions in the order of their tables, each with the end of the range of its arguments.
FUNCTIONS = {"sigmoid": 8.0, "tanh": 4.0}

#: Bits of a slope and of an intercept.
SLOPE_WIDTH = 18
INTERCEPT_WIDTH = 32


def function_of(name: str, x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute a function in real numbers."""
    x = np.asarray(x, np.float64)
    return np.tanh(x) if name == "tanh" else 1 / (1 + np.exp(-x))


@dataclass(frozen=True, eq=False)
class Table:
    """A function's table.

    Attributes
    ----------
    name : :class:`str`
        Which function it is.
    width : :class:`int`
        Bits of an argument.
    slope, intercept : int64 arrays of shape (16,)
        By segment: the highest four bits of an argument, as a number that is not negative.
    shift : :class:`int`
        Bits by which ``slope * x + intercept`` is shifted to the right.
    """

    name: str
    width: int
    slope: NDArray[np.int64]
    intercept: NDArray[np.int64]
    shift: int

    @property
    def argument_scale(self) -> float:
        """Real value of a step of the argument."""
        return FUNCTIONS[self.name] / (1 << (self.width - 1))

    def __call__(self, x: NDArray[np.integer]) -> NDArray[np.int64]:
        """Look up arguments of ``width`` bits."""
        x = np.asarray(x, np.int64)
        segment = (x >> (self.width - 4)) & (SEGMENTS - 1)
        return (self.slope[segment] * x + self.intercept[segment]) >> self.shift


def output_scale(width: int) -> float:
    """Return the real value of a step of a result of so many bits, which reaches 1."""
    return 1 / ((1 << (width - 1)) - 1)


def with_arguments(graph: QuantizedGraph, name: str, width: int) -> QuantizedGraph:
    """Return a network that ends in the arguments of a function of its outputs.

    Parameters
    ----------
    graph : QuantizedGraph
        The network.
    name : :class:`str`
        One of :data:`FUNCTIONS`.
    width : :class:`int`
        Bits of an argument.

    Raises
    ------
    InputError
        If it does not end in a convolution or a fully connected layer, or sums do not fit.
    """
    last = graph.operators[-1]
    if not isinstance(last, WeightedOperator) or graph.ending != "none":
        raise InputError(f"Network {graph.name!r} must end in a convolution or a fully connected "
                         f"layer to have a {name} behind it")
    scale = FUNCTIONS[name] / (1 << (width - 1))
    output = Tensor(last.output.name, last.output.shape, scale, 0, width)
    real = last.multiplier / 2.0 ** (31 + last.shift.astype(np.float64)) * last.output.scale / scale
    multiplier, shift = quantize_factors(real)
    ended = replace(last, output=output, multiplier=multiplier, shift=shift,
                    minimum=output.minimum, maximum=output.maximum)
    return replace(graph, output=output, operators=(*graph.operators[:-1], ended))


def make_table(name: str, width: int, scale: float) -> Table:
    """Make the table of a function.

    Parameters
    ----------
    name : :class:`str`
        One of :data:`FUNCTIONS`.
    width : :class:`int`
        Bits of an argument.
    scale : :class:`float`
        Real value of a step of the result.

    Raises
    ------
    InputError
        If results do not fit into as many bits as arguments.
    """
    if not 1 / scale < 1 << (width - 1):
        raise InputError(f"Scale of a {name} must be above 2**-{width - 1}, not {scale!r}")
    end = FUNCTIONS[name]
    step = end / (1 << (width - 1))
    segments = np.arange(SEGMENTS)
    low = np.where(segments < SEGMENTS // 2, segments, segments - SEGMENTS) * 2 * end / SEGMENTS
    high = low + 2 * end / SEGMENTS
    first, last = function_of(name, low) / scale, function_of(name, high) / scale
    slope = (last - first) / (high - low)
    shift = 0
    while np.abs(slope * step).max() * 2 ** (shift + 1) < 1 << (SLOPE_WIDTH - 1):
        shift += 1
        if max(np.abs(first - slope * low).max(), 1) * 2 ** (shift + 2) >= 1 << (
                INTERCEPT_WIDTH - 1):
            break
    factor = float(1 << shift)
    slopes = np.floor(slope * step * factor + 0.5)
    # What a rounded slope is off at the middle of its segment goes into the intercept.
    middle = (low + high) / 2
    intercepts = ((first + last) / 2 + 0.5) * factor - slopes * middle / step
    return Table(name, width, slopes.astype(np.int64), np.floor(intercepts).astype(np.int64), shift)
