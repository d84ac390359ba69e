"""Real numbers in coarse segments and a remainder: finer than segments alone, and fewer.

The number is 127 times the sum of its segments, and the remainder, in fine steps. A sum of products
that wraps gives the number's lowest eight bits. These, less 127 times the segments, again modulo
256, are the remainder: it has less than eight bits, since the segments are the nearest to the
number.

Where the number is clamped, its segments are. Its lowest bits are those of a number that is never
below the lower end, less those of what it is beyond the upper end.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Clamp,
    Operator,
    Pad,
    Reshape,
    Stack,
    Value,
    WeightedOperator,
)
from eieio.model.graph.quantization import Scale
from eieio.model.graph.quantized_graph import Window
from eieio.model.graph.real_segments import (
    AFFORDABLE,
    BEYOND,
    COARSE_SHARE,
    MAX_SEGMENTS,
    STEPS,
    Segmenter,
    Term,
    most_often,
)
from eieio.model.graph.value_facts import EVERYTHING, Range, intersect

__all__ = ["RemainderSegmenter"]

# Fine steps of a segment's step. A remainder is half of this at most, and a few more.
_RADIX = 127
_BYTE = 256
# The fine step, as a share of that of the finest quantizer behind it, where it is affordable.
_FINE_SHARE = 1 / 2048

_Places = tuple[tuple[int, int, int], ...]


class RemainderSegmenter(Segmenter):
    """Divides real numbers into coarse segments and a remainder, where that is possible."""

    def _terms(self, value: Value, wanted: Range, need: float, other: Sequence[Term] = ()
               ) -> list[Term]:
        if self.grid(value) is None and self.has_remainder(value):
            low, high = self.range(value, wanted)
            if high - low > STEPS * need * _FINE_SHARE:
                return self._divided(value, wanted, need, other)
        return super()._terms(value, wanted, need, other)

    def has_remainder(self, value: Value, ends: Range = EVERYTHING) -> bool:
        if self.grid(value) is not None:
            return True
        operator = self.producers[value.name]
        both = intersect(ends, (operator.minimum, operator.maximum))
        match operator:
            case Clamp() | Reshape():
                return self.has_remainder(operator.input, both)
            case Pad():
                return both[0] <= 0 <= both[1] and self.has_remainder(operator.input, both)
            case Stack():
                return all(self.has_remainder(source, both) for source in operator.inputs)
            case WeightedOperator() | Add():
                return True
            case AveragePool(window=window):
                return window.padding == ((0, 0), (0, 0))
            case _:
                return False

    def _divided(self, value: Value, wanted: Range, need: float, other: Sequence[Term]
                 ) -> list[Term]:
        """Return the terms of a value: see :meth:`_terms`."""
        low, high = self.range(value, wanted, BEYOND)
        width = (high - low) / (STEPS * _RADIX)
        count = min(width / (need * _FINE_SHARE), AFFORDABLE / self._products(value))
        count = min(max(count, width / (need * COARSE_SHARE)), MAX_SEGMENTS)
        step = max(width / count, self.finest(value))
        if self.ranges is None and step > need:
            raise self.ranges_needed(value)
        if other and other[0].step >= step:
            step = other[0].step / min(math.ceil(other[0].step / step), most_often(other))
        elif other:
            step = other[0].step * min(int(step / other[0].step),
                                       most_often([Term(value, Scale(step, 0), _RADIX)]))
        # Where segments saturate, what the remainder is does not matter.
        margin, bound = 2 * _BYTE * step, self._bound(value)
        places = tuple(
            (sign, start, 1)
            for sign, end, may_be in ((-1, -low, bound[0] < 0), (1, high, bound[1] > 0)) if may_be
            for start in range(math.ceil((end + margin) / (STEPS * _RADIX * step))))
        segments = [self._segment(value, _RADIX * step, place, need) for place in places]
        rest = self._remainder(value, step, places, need, EVERYTHING)
        return [*(replace(term, multiple=_RADIX) for term in segments), Term(rest, Scale(step, 0))]

    def _remainder(self, value: Value, step: float, places: _Places, need: float, ends: Range
                   ) -> Value:
        """Return what a value, clamped, is beyond its segments at these places, in fine steps."""
        key = "remainder", value.name, step, places, ends
        if key not in self.made:
            self.made[key] = self._make_remainder(value, step, places, need, ends)
        return self.made[key]

    def _make_remainder(self, value: Value, step: float, places: _Places, need: float, ends: Range
                        ) -> Value:
        scale, name = Scale(step, 0), f"{value.name}_rest"
        high_bound = self._bound(value)[1]
        if self.grid(value) is None:
            operator = self.producers[value.name]
            ends = intersect(ends, (operator.minimum, operator.maximum))
            if isinstance(operator, Clamp | Reshape | Pad | Stack):
                sources = tuple(self._remainder(source, step, places, need, ends)
                                for source in operator.inputs)
                return sources[0] if isinstance(operator, Clamp) else self._moved_as_is(
                    operator, sources, scale, name)
            high_bound = self._find_bound(value)[1]
        # A number that is below its lower end, or that of the segments, has the bits of that end.
        segment = STEPS * _RADIX
        least = max([ends[0] / step, segment * min(
            (sign * (start + 1) for sign, start, _ in places if sign < 0), default=0) - _BYTE])
        above = -math.floor((round(least) + _BYTE // 2) / _BYTE) * _BYTE
        bits = [self.computed(value, scale, (round(least) * step, math.inf), f"{name}_bits",
                              -above * step, need, wraps=True)]
        if ends[1] < high_bound:
            end = round(ends[1] / step) * step
            bits.append(self.computed(value, scale, (end, math.inf), f"{name}_beyond", end, need,
                                      wraps=True))
        segments = [self._segment(value, _RADIX * step, place, need, ends) for place in places]
        levels = np.array([1, -1][:len(bits)] + [-_RADIX] * len(segments)).reshape(-1, 1, 1)
        # What wraps must not be below the smallest integer.
        positive = _BYTE * (2 + _RADIX * sum(sign > 0 for sign, *_ in places))
        channels, height = ((value.shape[-1], value.shape[0]) if len(value.shape) == 3
                            else (math.prod(value.shape), 1))
        return self._combine(
            Reshape(name=name, inputs=(), output=value),
            [*(Term(part, scale) for part in bits), *segments], levels,
            Window((len(levels), 1), (1, 1), (height, 1)), step, np.ones(channels),
            np.full(channels, positive * step), scale, EVERYTHING, name, wraps=True)

    def _moved_as_is(self, operator: Operator, sources: tuple[Value, ...], scale: Scale, name: str
                     ) -> Value:
        bare = replace(operator, minimum=-math.inf, maximum=math.inf)
        return self.emit(bare, sources, scale, name)
