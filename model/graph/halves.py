"""Sums of real numbers that are as good as a half, rounded as exact numbers are.

What is in segments and remainders is off by parts of their finest step. So a sum that is a result
is rounded twice: with as much added as it may be off, and with as much taken away. Where both
agree, this is the result. Where they do not, the number lies next to the half between them; and
there its lowest eight bits alone, in steps some thirty times finer, tell on which side it is. They
are the sum of the terms' lowest bits, of whatever size the numbers are: a half of the result's
steps is a multiple of 256 of these.

Lowest bits of what is clamped come from a sum of products, which clamps before it wraps. A sum of
two values that a rectifier follows has them where it is above 0; where it is not, as far as its
terms can tell, none; and where they cannot tell, its bits are all of it, so that these are clamped.
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
    Operator,
    Pad,
    Reshape,
    Stack,
    Value,
    WeightedOperator,
)
from eieio.model.graph.quantization import Scale, finest_scale
from eieio.model.graph.quantized_graph import Window
from eieio.model.graph.real_segments import Term, WeightedSum, is_selection, over_stack
from eieio.model.graph.remainders import RemainderSegmenter
from eieio.model.graph.value_facts import EVERYTHING, Range, intersect, is_affine

__all__ = ["HalfSegmenter"]

_BYTE = 256
_LOWEST = -128
# Of a result's half, which must be a multiple of _BYTE bits' steps.
_LEAST_BITS, _MOST_BITS = 9, 24
# Weight of each of the two roundings, beside which the sign of the bits counts 1.
_LEVEL = 127
# How far a number may be beyond a measured end of its range, as a multiple of the end.
_BEYOND = 2.5
# Lowest bits are summed as far as the sum of their roundings is within this.
_MOST_OFF = 48

# Tensors whose sum, with these signs, has the lowest bits of a number.
_Bits = list[tuple[Term, int]]


class HalfSegmenter(RemainderSegmenter):
    """Rounds sums of real numbers by their lowest bits, where they are as good as a half."""

    def rounded(self, operator: Operator, total: WeightedSum, scale: Scale, ends: Range, name: str
                ) -> Value:
        step = self._bit_step(operator, total, scale)
        if step is None:
            return super().rounded(operator, total, scale, ends, name)
        both = []
        for what, sign in (("up", 1), ("down", -1)):
            added = replace(total, bias=total.bias + sign * total.error * total.factor)
            both.append(Term(self.combine(operator, added, scale, EVERYTHING, f"{name}_{what}"),
                             scale))
        bits = self._window_bits(operator, step, name)
        sign = self.clamped(bits, Scale(step, 0), (-step, step), f"{name}_side")
        image = len(operator.output.shape) == 3
        channels = operator.output.shape[-1] if image else operator.output.elements
        return self.combine(operator, WeightedSum(
            [*both, Term(sign, Scale(step, 0))], np.array([_LEVEL, _LEVEL, 1]).reshape(-1, 1, 1),
            Window((3, 1), (1, 1), (operator.output.shape[0] if image else 1, 1)),
            scale.scale / (2 * _LEVEL), np.ones(channels), np.zeros(channels)), scale, ends, name)

    def _bit_step(self, operator: Operator, total: WeightedSum, scale: Scale) -> float | None:
        """Step of the lowest bits of a sum that is a result, if they are of use."""
        if not total.error or self.need(operator.output) is None:
            return None
        finest = [self._finest_bits(value) for value in operator.inputs]
        elements = math.prod(operator.window.kernel) if isinstance(operator, AveragePool) else 1
        off = 0.5 * elements * sum(self._parts(value) for value in operator.inputs)
        off = min(off, math.sqrt(12 * off) + 1)
        if None in finest or off > _MOST_OFF:
            return None
        least = max([2 * total.error / (_BYTE // 2 - 2 - off), *filter(None, finest)])
        bits = min(math.floor(math.log2(scale.scale / least)), _MOST_BITS)
        step = scale.scale / 2**bits
        # What is no better than what there is, is of no use.
        return step if bits >= _LEAST_BITS and step * off < total.error else None

    def _parts(self, value: Value) -> int:
        """How many tensors lowest bits of a value are rounded in."""
        if self.grid(value) is not None:
            return 1
        operator = self.producers[value.name]
        inputs = [self._parts(source) for source in operator.inputs]
        match operator:
            case Add():
                return sum(inputs)
            case Clamp() | Reshape() | Pad() | Stack():
                return max(inputs)
            case _:
                return 2

    def _finest_bits(self, value: Value, ends: Range = EVERYTHING) -> float | None:
        """Finest step of the lowest bits of a value that is clamped, if it can have them."""
        scale = self.grid(value)
        if scale is not None:
            low, high = self.of_scale(scale)
            whole = all(end <= low or end >= high or end == 0 for end in ends)
            return 0.0 if whole else None
        operator = self.producers[value.name]
        both = intersect(ends, (operator.minimum, operator.maximum))
        match operator:
            case Clamp() | Reshape():
                return self._finest_bits(operator.input, both)
            case Pad():
                return self._finest_bits(operator.input, both) if both[0] <= 0 <= both[1] else None
            case WeightedOperator():
                folded, real = self.folded(operator), self.grid(operator.input) is None
                if folded is not None and not folded[1]:
                    operator = folded[0]
                elif real and (is_affine(operator) or is_selection(operator)):
                    return None
                return finest_scale(operator, [self.grid(operator.input) or self.chosen(
                    operator.input, EVERYTHING)])
            case Add():
                low, high = self._find_bound(value)
                if both[1] < high or (both[0] > low and both[0] != 0):
                    return None
                found = [self._finest_bits(source) for source in operator.inputs]
                return None if None in found else max(filter(None, found), default=0.0)
            case _:
                return None

    def _window_bits(self, operator: Operator, step: float, name: str) -> Value:
        """Append the lowest bits of a sum of two values, or of a window, in steps."""
        parts = [part for value in operator.inputs
                 for part in self._bits(value, step, EVERYTHING)]
        window = operator.window if isinstance(operator, AveragePool) else Window((1, 1))
        taps = np.ones((*window.kernel, 1), int)
        return self._sum_bits(operator, parts, taps, window, step, 0.0, f"{name}_bits")

    def _sum_bits(self, operator: Operator, parts: _Bits, taps: np.ndarray, window: Window,
                  step: float, bias: float, name: str) -> Value:
        """Append the lowest bits of a sum of lowest bits, and of a bias."""
        shape = parts[0][0].value.shape
        height, channels = (shape[0], shape[-1]) if len(shape) == 3 else (1, math.prod(shape))
        levels, stacked = over_stack([sign for _, sign in parts], taps, height, window)
        # What wraps must not be below the smallest integer.
        above = math.ceil(len(parts) * taps.sum() + abs(bias) / step / _BYTE) * _BYTE * step
        return self.combine(operator, WeightedSum(
            [part for part, _ in parts], levels, stacked, step, np.ones(channels),
            np.full(channels, above + bias)), Scale(step, 0), EVERYTHING, name, wraps=True)

    def _bits(self, value: Value, step: float, ends: Range) -> _Bits:
        """Return tensors that have the lowest bits of a value that is clamped, in steps."""
        key = "bits", value.name, step, ends
        if key not in self.made:
            self.made[key] = self._make_bits(value, step, ends)
        return self.made[key]

    def _make_bits(self, value: Value, step: float, ends: Range) -> _Bits:
        scale, grid = Scale(step, 0), self.grid(value)
        if grid is not None:
            return [(Term(self._grid_bits(value, grid, step, ends), scale), 1)]
        operator = self.producers[value.name]
        low, high = intersect(ends, (operator.minimum, operator.maximum))
        match operator:
            case Clamp():
                return self._bits(operator.input, step, (low, high))
            case Reshape() | Pad():
                bare = replace(operator, minimum=-math.inf, maximum=math.inf)
                return [(Term(self.emit(bare, (part.value,), part.scale, f"{value.name}_bits"),
                              part.scale), sign)
                        for part, sign in self._bits(operator.input, step, (low, high))]
            case Add():
                parts = [part for source in operator.inputs
                         for part in self._bits(source, step, EVERYTHING)]
                return parts if low == -math.inf or low <= self._find_bound(value)[0] else \
                    self._rectified_bits(operator, parts, step)
            case _:
                return [(Term(part, scale), sign)
                        for part, sign in self._product_bits(value, step, (low, high))]

    def _grid_bits(self, value: Value, grid: Scale, step: float, ends: Range) -> Value:
        """Append the lowest bits of integers, times what their step is modulo 256."""
        low, high = self.of_scale(grid)
        ends = (ends[0] if ends[0] > low else -math.inf, ends[1] if ends[1] < high else math.inf)
        image = self.as_image(self.at(value, grid, ends, value.name), grid)
        channels = image.shape[2]
        count = math.fmod(grid.scale / step, _BYTE)
        below = (grid.zero_point - _LOWEST) * count + _LOWEST
        above = max(math.ceil(below / _BYTE), 0) * _BYTE * step
        name = f"{value.name}_bits"
        result = self.emit(DepthwiseConv2D(
            name=name, inputs=(), output=image, window=Window((1, 1)), wraps=True,
            weight=np.full((1, 1, channels), count * step / grid.scale),
            bias=np.full(channels, above)), (image,), Scale(step, 0), name)
        if image.shape == value.shape:
            return result
        return self.emit(Reshape(name=f"{name}_reshape", inputs=(), output=value), (result,),
                         Scale(step, 0), f"{name}_reshaped")

    def _product_bits(self, value: Value, step: float, ends: Range) -> Sequence[tuple[Value, int]]:
        """Append the lowest bits of a sum of products: of what it is, less what is beyond."""
        low, high = ends
        bound = self._find_bound(value)
        name, scale = f"{value.name}_bits", Scale(step, 0)
        least = round(max(low, bound[0], self.range(value, EVERYTHING, _BEYOND)[0]) / step) \
            if low < 0 else round(low / step)
        above = -((least - _LOWEST) // _BYTE) * _BYTE
        bits = [(self.computed(value, scale, (least * step, math.inf), name, -above * step, step,
                               wraps=True), 1)]
        if high < bound[1]:
            end = round(high / step) * step
            bits.append((self.computed(value, scale, (end, math.inf), f"{name}_beyond", end, step,
                                       wraps=True), -1))
        return bits

    def _rectified_bits(self, operator: Add, parts: _Bits, step: float) -> _Bits:
        """Append the lowest bits of a sum of two values where it is above 0."""
        name, scale, shape = f"{operator.output.name}_bits", Scale(step, 0), operator.output.shape
        bare = replace(operator, minimum=-math.inf, maximum=math.inf)
        need = self.need(operator.output)
        assert need is not None
        total = self.aligned(bare, self.addends(bare, Scale(need, 0), need))
        bits = Term(self._sum_bits(bare, parts, np.ones((1, 1, 1), int), Window((1, 1)), step, 0.0,
                                   f"{name}_all"), scale)
        all_of_byte = Scale(step, _LOWEST)
        channels = len(total.bias)
        found: _Bits = []
        for what, sign in (("plus", 1), ("minus", -1)):
            # 255 where the sum is above 0: where it may be, for positive bits, else where it is.
            gate = Scale(total.step, 0)
            above = self.combine(bare, replace(total, bias=total.bias + sign * total.error), gate,
                                 (0.0, total.step), f"{name}_{what}_gate")
            image = self.as_image(above, gate)
            wide = self.emit(DepthwiseConv2D(
                name=f"{name}_{what}_wide", inputs=(), output=image, window=Window((1, 1)),
                weight=np.full((1, 1, channels), (_BYTE - 1) * step / total.step),
                bias=np.zeros(channels)), (image,), all_of_byte, f"{name}_{what}_wide")
            if image.shape != shape:
                wide = self.emit(Reshape(
                    name=f"{name}_{what}_reshape", inputs=(), output=operator.output), (wide,),
                    all_of_byte, f"{name}_{what}_reshaped")
            height = shape[0] if len(shape) == 3 else 1
            result = scale if sign > 0 else all_of_byte
            found.append((Term(self.combine(bare, WeightedSum(
                [bits, Term(wide, all_of_byte)], np.array([sign, 1]).reshape(-1, 1, 1),
                Window((2, 1), (1, 1), (height, 1)), step, np.ones(channels),
                np.full(channels, -(_BYTE - 1) * step)), result, (0.0, math.inf),
                f"{name}_{what}"), result), sign))
        return found
