"""What is known of the values of a quantized network: their steps, their ranges, who reads them."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Clamp,
    DepthwiseConv2D,
    FloatGraph,
    LogSoftmax,
    MaxPool,
    Operator,
    Pad,
    Quantize,
    Reshape,
    Softmax,
    Stack,
    Value,
    WeightedOperator,
)
from eieio.model.graph.quantization import (
    LOG_SOFTMAX_SCALE,
    SOFTMAX_SCALE,
    Scale,
    finest_scale,
    scale_of,
)
from eieio.model.graph.quantized_graph import Window

__all__ = ["EVERYTHING", "Range", "RangesNeededError", "ValueFacts", "intersect", "is_affine",
           "may_scale"]

Range = tuple[float, float]

EVERYTHING: Range = (-math.inf, math.inf)

# How far a real number may be beyond a measured end of its range, as a multiple of the end.
_RESERVE = 1.25


class RangesNeededError(InputError):
    """The ranges of some activations must be measured on samples."""


class ValueFacts:
    """Facts of the values of a network, found when they are asked for.

    Parameters
    ----------
    graph : FloatGraph
        Network with :class:`~eieio.model.graph.float_graph.Quantize` operators.
    input_scale : Scale, optional
        Scale of the input, if the network takes integers.
    ranges : mapping of pairs of :class:`float`, optional
        Measured ranges by the name of the value.

    Raises
    ------
    InputError
        If there is no scale for the input.
    """

    def __init__(self, graph: FloatGraph, input_scale: Scale | None,
                 ranges: Mapping[str, Range] | None) -> None:
        self.graph = graph
        self.ranges = ranges
        self.producers = {operator.output.name: operator for operator in graph.operators}
        self.readers: dict[str, list[Operator]] = {}
        for operator in graph.operators:
            for value in operator.inputs:
                self.readers.setdefault(value.name, []).append(operator)
        self.uses = Counter({name: len(found) for name, found in self.readers.items()})
        self.uses[graph.output.name] += 1
        self.scales: dict[str, Scale] = {}
        self._needs: dict[str, float | None] = {}
        self._bounds: dict[str, Range] = {}
        self.scales[graph.input.name] = input_scale or self._input_scale()

    def _input_scale(self) -> Scale:
        """Scale at which the host rounds a real input."""
        value = self.graph.input
        found, others = self._first_quantizers(value)
        if len(found) == 1 and not others:
            return found[0]
        if self.ranges is None and (others or not found):
            raise self.ranges_needed(value)
        ends = [self.of_scale(scale) for scale in found]
        if self.ranges is not None and (others or not found):
            ends.append(self.ranges[value.name])
        # One scale for all of them: it covers their ranges, and must be as fine as the finest.
        scale = scale_of((min(low for low, _ in ends), max(high for _, high in ends)))
        for other in found:
            if other.scale < 0.75 * scale.scale:
                raise InputError(
                    f"input {value.name!r} must not be quantized at scales so different as "
                    f"{other.scale} and {scale.scale}: the host can round it at one scale only")
        return max(found, key=lambda other: other.scale) if found and not others else scale

    def _first_quantizers(self, value: Value) -> tuple[list[Scale], bool]:
        """Scales to which a real value is rounded, and whether something else takes it, too."""
        found: list[Scale] = []
        others = value.name == self.graph.output.name
        for reader in self.readers.get(value.name, []):
            if isinstance(reader, Quantize):
                found.append(Scale(reader.scale, reader.zero_point))
            elif isinstance(reader, MaxPool | Clamp | Reshape | Pad | Stack):
                behind, more = self._first_quantizers(reader.output)
                found, others = found + behind, others or more
            else:
                others = True
        return list(dict.fromkeys(found)), others

    def grid(self, value: Value) -> Scale | None:
        """Scale of which a value is a multiple everywhere, if it is."""
        operator = self.producers.get(value.name)
        match operator:
            case None:
                return self.scales[value.name]
            case Quantize():
                return Scale(operator.scale, operator.zero_point)
            case Softmax():
                return SOFTMAX_SCALE
            case LogSoftmax():
                return LOG_SOFTMAX_SCALE
            case MaxPool() | Reshape() | Pad() | Clamp() | Stack():
                scale = self.grid(operator.input)
                if scale is None or any(self.grid(other) != scale for other in operator.inputs):
                    return None
                low, high = self.of_scale(scale)
                for end, beyond in ((operator.minimum, low), (operator.maximum, high)):
                    steps = end / scale.scale
                    inside = low < end < high
                    if inside and abs(steps - round(steps)) > 1e-4:
                        return None
                    if not inside and math.isfinite(end) and (end > beyond) == (beyond == low) \
                            and end != beyond:
                        return None
                return scale
            case _:
                return None

    def of_scale(self, scale: Scale) -> Range:
        """Range of the integers at a scale."""
        return ((-128 - scale.zero_point) * scale.scale, (127 - scale.zero_point) * scale.scale)

    def need(self, value: Value) -> float | None:
        """Finest step of a quantizer to which a real value comes without weights between."""
        if value.name not in self._needs:
            found: list[float] = []
            for reader in self.readers.get(value.name, []):
                if isinstance(reader, Quantize):
                    found.append(reader.scale)
                elif isinstance(reader, MaxPool | Clamp | Reshape | Pad | Stack | Add | AveragePool
                                ) or is_affine(reader):
                    need = self.need(reader.output)
                    largest = np.abs(reader.weight).max() if is_affine(reader) else 1.0
                    found += [] if need is None or not largest else [need / float(largest)]
            self._needs[value.name] = min(found, default=None)
        return self._needs[value.name]

    def _bound(self, value: Value) -> Range:
        """Range that a value cannot leave."""
        if value.name not in self._bounds:
            low, high = self._find_bound(value)
            operator = self.producers.get(value.name)
            if operator is not None and operator.clamps:
                low, high = (min(max(end, operator.minimum), operator.maximum)
                             for end in (low, high))
            self._bounds[value.name] = low, high
        return self._bounds[value.name]

    def _find_bound(self, value: Value) -> Range:
        operator = self.producers.get(value.name)
        if operator is None:
            return self.of_scale(self.scales[value.name])
        if isinstance(operator, Softmax | LogSoftmax):
            return self.of_scale(SOFTMAX_SCALE if isinstance(operator, Softmax)
                                  else LOG_SOFTMAX_SCALE)
        low, high = self._bound(operator.input)
        match operator:
            case Quantize():
                ends = self.of_scale(Scale(operator.scale, operator.zero_point))
                step = operator.scale
                return max(low - step, ends[0]), min(high + step, ends[1])
            case WeightedOperator():
                weight, bias = operator.by_channel, operator.bias
                low, high = min(low, 0.0), max(high, 0.0)  # padding is 0
                positive, negative = (np.maximum(sign * weight, 0).sum(axis=1) for sign in (1, -1))
                return (float((positive * low - negative * high + bias).min()),
                        float((positive * high - negative * low + bias).max()))
            case Add():
                other = self._bound(operator.inputs[1])
                return low + other[0], high + other[1]
            case Pad():
                return min(low, 0.0), max(high, 0.0)
            case Stack():
                lows, highs = zip(*map(self._bound, operator.inputs), strict=True)
                return min(lows), max(highs)
            case _:
                return low, high

    def range(self, value: Value, wanted: Range, reserve: float = _RESERVE) -> Range:
        """Range that a value may have, and what of it matters; 0 belongs to it."""
        low, high = self._bound(value)
        if self.ranges is not None:
            ends = self.ranges[value.name]
            low, high = max(low, reserve * min(ends[0], 0)), min(high, reserve * max(ends[1], 0))
        low, high = max(low, wanted[0]), min(high, wanted[1])
        return min(low, 0.0), max(high, 0.0)

    def chosen(self, value: Value, wanted: Range) -> Scale:
        """Scale of a real value that becomes one tensor, from its range."""
        if self.ranges is None:
            raise self.ranges_needed(value)
        if value.name == self.graph.output.name:
            return scale_of(self.ranges[value.name], self.finest(value))
        return scale_of(self.range(value, wanted, 1.0), self.finest(value))

    def finest(self, value: Value) -> float:
        """Finest scale at which an engine can compute a value."""
        operator = self.producers.get(value.name)
        if isinstance(operator, MaxPool | Clamp | Reshape | Pad):
            return self.finest(operator.input)
        if isinstance(operator, Stack):
            return max(map(self.finest, operator.inputs))
        if isinstance(operator, WeightedOperator):
            return finest_scale(operator, [self.grid(operator.input) or scale_of(
                self.range(operator.input, EVERYTHING))])
        return 0.0

    def ranges_needed(self, value: Value) -> RangesNeededError:
        return RangesNeededError(
            f"activations {value.name!r} are real numbers in the file, without a scale: sample "
            "inputs must be given, to find their range")



def is_affine(operator: Operator) -> TypeGuard[DepthwiseConv2D]:
    """Whether an operator scales and shifts each channel, and comes with no integers of its own."""
    return isinstance(operator, DepthwiseConv2D) and operator.weight_scale is None \
        and operator.window == Window((1, 1)) \
        and operator.weight.shape[2] == operator.input.shape[-1]


def may_scale(before: WeightedOperator, scale: NDArray[np.float64]) -> bool:
    """Tell whether weights keep their integers when scaled by channel: -128 has no opposite."""
    if before.weight_scale is None:
        return True
    lowest = before.by_channel.min(axis=1) <= -127.5 * before.weight_scale
    highest = before.by_channel.max(axis=1) >= 127.5 * before.weight_scale
    return not bool(((lowest | highest) & (scale < 0)).any())


def intersect(first: Range, second: Range) -> Range:
    """Range of what is clamped to the second range and then to the first."""
    low, high = (min(max(end, first[0]), first[1]) for end in second)
    return low, high
