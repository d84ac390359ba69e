"""Real numbers in coarse segments and a remainder: finer than segments alone, and fewer.

The number is 248 times the sum of its segments, and the remainder, in fine steps. A sum of products
that wraps gives the number's lowest eight bits. These, less 248 times the segments, again modulo
256, are the remainder: it has less than eight bits, since the segments are the nearest to the
number. A weight has eight bits, too, so that each segment counts 124 times, and a copy of it again.

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
    DepthwiseConv2D,
    MaxPool,
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
    COARSE_SHARE,
    MAX_SEGMENTS,
    STEPS,
    Segmenter,
    Term,
    WeightedSum,
    commensurable_step,
    different_steps,
    is_choice,
    most_often,
)
from eieio.model.graph.value_facts import EVERYTHING, Range, intersect

__all__ = ["RemainderSegmenter"]

# Fine steps of a segment's step, and the weight of each of its copies. A remainder is at most half
# of this, and a few more, since it is rounded by itself.
_RADIX, _LEVEL = 248, 124
_COPIES = _RADIX // _LEVEL
_BYTE = 256
# The fine step, as a share of that of the finest quantizer behind it, where it is affordable.
_FINE_SHARE = 1 / 4096
# How far a number may be beyond a measured end of its range, as a multiple of the end.
_BEYOND = 2.5

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
            case MaxPool(window=window):
                if is_choice(operator):
                    return self.has_remainder(operator.input, both)
                if any(size == 1 < along for size, along in zip(window.kernel, window.stride,
                                                                strict=True)):
                    return False
                return self.has_remainder(operator.input)
            case AveragePool(window=window):
                return window.padding == ((0, 0), (0, 0))
            case _:
                return False

    def _make_segment(self, value: Value, step: float, place: tuple[int, int, int], need: float,
                      ends: Range) -> Value:
        operator = self.producers.get(value.name)
        if isinstance(operator, MaxPool) and not is_choice(operator) and self.has_remainder(value):
            # Of the same terms as the remainder, with which it must agree.
            sign, start, multiple = place
            return self.computed(
                value, Scale(step * multiple, -128 if sign > 0 else 127),
                intersect(ends, (operator.minimum, operator.maximum)),
                f"{value.name}_{'plus' if sign > 0 else 'minus'}_{start}",
                sign * start * STEPS * step, need)
        return super()._make_segment(value, step, place, need, ends)

    def computed(self, value: Value, scale: Scale, ends: Range, name: str, offset: float,
                 need: float, *, wraps: bool = False) -> Value:
        operator = self.producers.get(value.name)
        if isinstance(operator, MaxPool) and self.grid(value) is None:
            value = self._maxima(operator)
        return super().computed(value, scale, ends, name, offset, need, wraps=wraps)

    def _maxima(self, operator: MaxPool) -> Value:
        """Return maxima as sums: of two neighbours ``a + max(b - a, 0)``, and of these again."""
        key = "maxima", operator.output.name
        if key in self.made:
            return self.made[key]
        value, window, name = operator.input, operator.window, operator.output.name
        low, high = self.range(value, EVERYTHING, 1.0)
        shift = low if window.padding != ((0, 0), (0, 0)) else 0.0
        if shift:  # Zeros around numbers that are not below 0 change no maximum.
            value, low, high = self._shifted(value, -shift, (0.0, high - low)), 0.0, high - low
        if window.padding != ((0, 0), (0, 0)):
            pads = *window.padding, (0, 0)
            value = self._known(Pad(
                name=f"{name}_padded", inputs=(value,), output=Value(f"{name}_padded", tuple(
                    size + sum(pad) for size, pad in zip(value.shape, pads, strict=True))),
                padding=pads), (low, high))
        if window.kernel == (1, 1):  # A sum of one number.
            value = self._known(DepthwiseConv2D(
                name=f"{name}_same", inputs=(value,), output=Value(f"{name}_same", value.shape),
                weight=np.ones((1, 1, value.shape[2])), bias=np.zeros(value.shape[2]),
                window=Window((1, 1))), (low, high))
        for axis, what in enumerate(("rows", "columns")):
            for number in range(1, window.kernel[axis]):
                last = number == window.kernel[axis] - 1
                along = window.stride[axis] if last else 1
                pair = Window((2, 1), (along, 1)) if axis == 0 else Window((1, 2), (1, along))
                shape = (*pair.output_size(*value.shape[:2]), value.shape[2])
                label = f"{name}_{what}_{number}"
                taps = np.array([[1.0, 0.0], [-1.0, 1.0]]).reshape(2, *pair.kernel, 1)
                first, more = (self._known(DepthwiseConv2D(
                    name=f"{label}_{part}", inputs=(value,), output=Value(f"{label}_{part}", shape),
                    weight=np.repeat(weight, shape[2], axis=2), bias=np.zeros(shape[2]),
                    window=pair, minimum=least), ends) for part, weight, least, ends in (
                        ("first", taps[0], -math.inf, (low, high)),
                        ("more", taps[1], 0.0, (0.0, high - low))))
                value = self._known(Add(name=label, inputs=(first, more),
                                        output=Value(label, shape)), (low, high))
        if shift:
            value = self._shifted(value, shift, (low + shift, high + shift))
        self.made[key] = value
        return value

    def _shifted(self, value: Value, shift: float, ends: Range) -> Value:
        """Return a value with a number added, and its range; it is not below it."""
        name, channels = f"{value.name}_shifted", value.shape[2]
        return self._known(DepthwiseConv2D(
            name=name, inputs=(value,), output=Value(name, value.shape), minimum=ends[0],
            weight=np.ones((1, 1, channels)), bias=np.full(channels, shift),
            window=Window((1, 1))), ends)

    def _known(self, operator: Operator, ends: Range) -> Value:
        """Let an operator be one of the network's, with the range of its result."""
        self.producers[operator.output.name] = operator
        if self.ranges is not None:
            self.ranges = {**self.ranges, operator.output.name: ends}
        return operator.output

    def _divided(self, value: Value, wanted: Range, need: float, other: Sequence[Term]
                 ) -> list[Term]:
        """Return the terms of a value: see :meth:`_terms`."""
        low, high = self.range(value, wanted, _BEYOND)
        width = (high - low) / (STEPS * _RADIX)
        count = min(width / (need * _FINE_SHARE), AFFORDABLE / self._products(value))
        count = min(max(count, width / (need * COARSE_SHARE)), MAX_SEGMENTS)
        finest = self.finest(value)
        step = max(width / count, finest)
        if self.ranges is None and step > need:
            raise self.ranges_needed(value)
        if other:
            step = commensurable_step(step, finest, other,
                                      most_often([Term(value, Scale(step, 0), _LEVEL)]))
            if width / step > 2 * MAX_SEGMENTS:  # More than twice as fine: weights bound it.
                raise different_steps(repr(value.name))
        # Where segments saturate, what the remainder is does not matter.
        margin, bound = 2 * _BYTE * step, self._bound(value)
        places = tuple(
            (sign, start, 1)
            for sign, end, may_be in ((-1, -low, bound[0] < 0), (1, high, bound[1] > 0)) if may_be
            for start in range(math.ceil((end + margin) / (STEPS * _RADIX * step))))
        segments = [_counted(self._segment(value, _RADIX * step, place, need)) for place in places]
        rest = self._remainder(value, step, places, need, EVERYTHING)
        return [*segments * _COPIES, Term(rest, Scale(step, 0))]

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
        low, high, beyond = *ends, self._bound(value)[1]
        if self.grid(value) is None:
            operator = self.producers[value.name]
            low, high = intersect(ends, (operator.minimum, operator.maximum))
            if isinstance(operator, Clamp | Reshape | Pad | Stack) or is_choice(operator):
                sources = tuple(self._remainder(source, step, places, need, (low, high))
                                for source in operator.inputs)
                return sources[0] if isinstance(operator, Clamp) else self._moved_as_is(
                    operator, sources, scale, name)
            beyond = self._find_bound(value)[1]
        # A number that is below its lower end, or that of the segments, has the bits of that end.
        segment = STEPS * _RADIX
        least = round(max([low / step, segment * min(
            (sign * (start + 1) for sign, start, _ in places if sign < 0), default=0) - _BYTE]))
        above = -((least + _BYTE // 2) // _BYTE) * _BYTE
        bits = [self.computed(value, scale, (least * step, math.inf), f"{name}_bits",
                              -above * step, need, wraps=True)]
        if high < beyond:
            end = round(high / step) * step
            bits.append(self.computed(value, scale, (end, math.inf), f"{name}_beyond", end, need,
                                      wraps=True))
        segments = [self._segment(value, _RADIX * step, place, need, ends) for place in places]
        # Modulo 256, as what counts 248 times less counts 8 times.
        count = _BYTE - _RADIX
        levels = np.array([1, -1][:len(bits)] + [count] * len(segments)).reshape(-1, 1, 1)
        # What wraps must not be below the smallest integer.
        positive = _BYTE * (2 + count * sum(sign < 0 for sign, *_ in places))
        channels, height = ((value.shape[-1], value.shape[0]) if len(value.shape) == 3
                            else (math.prod(value.shape), 1))
        total = WeightedSum(
            [*(Term(part, scale) for part in bits), *segments], levels,
            Window((len(levels), 1), (1, 1), (height, 1)), step, np.ones(channels),
            np.full(channels, positive * step))
        return self.combine(Reshape(name=name, inputs=(), output=value), total, scale, EVERYTHING,
                            name, wraps=True)

    def _moved_as_is(self, operator: Operator, sources: tuple[Value, ...], scale: Scale, name: str
                     ) -> Value:
        bare = replace(operator, minimum=-math.inf, maximum=math.inf)
        return self.emit(bare, sources, scale, name)


def _counted(segment: Term) -> Term:
    """Return one of the copies of a segment: what it is worth of it, in fine steps."""
    scale = Scale(segment.scale.scale / _COPIES, segment.scale.zero_point)
    return Term(segment.value, scale, _LEVEL)
