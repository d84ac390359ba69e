"""Sums of real numbers that are as good as a half, rounded as exact numbers are.

What is in segments and remainders is off by parts of their finest step. So a sum that is a result
is rounded twice: with as much added as it may be off, and with as much taken away. Where both
agree, this is the result. Where they do not, the number lies next to the half between them; and
there its lowest eight bits alone, in steps some thirty times finer, tell on which side it is. They
are the sum of the terms' lowest bits, of whatever size the numbers are: a half of the result's
steps is a multiple of 256 of these.

A sum of products is a whole number of steps, and a bias. Where a step of it is more than can be
rescaled by, what it is modulo 256 gives the same lowest bits. What is clamped is the number less
what is above the upper end, and what is above an end is a number where it is, and else 0: its
lowest bits are let through by a tensor that says where. Of products, this is exact. Of a sum of
two values its terms say so; where they are too coarse to tell, the bits are all of the number, and
are clamped themselves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Clamp,
    DepthwiseConv2D,
    MaxPool,
    Operator,
    Pad,
    Reshape,
    Value,
    WeightedOperator,
)
from eieio.model.graph.quantization import Scale, finest_scale
from eieio.model.graph.quantized_graph import Window
from eieio.model.graph.real_segments import Term, WeightedSum, is_choice, is_selection, over_stack
from eieio.model.graph.remainders import RemainderSegmenter
from eieio.model.graph.value_facts import EVERYTHING, Range, intersect, is_affine

__all__ = ["HalfSegmenter"]

_BYTE, _LOWEST, _HIGHEST = 256, -128, 127
# Of a result's half, which must be a multiple of _BYTE bits' steps.
_LEAST_BITS, _MOST_BITS = 9, 24
# Weight of each of the two roundings, beside which the sign of the bits counts 1.
_LEVEL = 127
# How far a number may be beyond a measured end of its range, as a multiple of the end.
_BEYOND = 2.5
# Lowest bits are summed as far as the sum of their roundings is within this.
_MOST_OFF = 48
# What lets bits through is 2 where it does, and counts so many times.
_GATE = 64
_ONE = Window((1, 1))


@dataclass(frozen=True)
class _Part:
    """A tensor that, times a sign, has the lowest bits of a number, or of a part of it.

    What is whole has all of them: integers of a scale of their own.
    """

    term: Term
    sign: int = 1
    whole: bool = False


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
        parts = [part for value in operator.inputs
                 for part in self._bits(value, step, EVERYTHING)]
        window = operator.window if isinstance(operator, AveragePool) else _ONE
        bits = self._sum_bits(operator, parts, window, step, f"{name}_bits")
        side = self.clamped(bits.value, bits.scale, (-step, step), f"{name}_side")
        return self.combine(operator, _weighted_sum(
            [*both, Term(side, bits.scale)], [_LEVEL, _LEVEL, 1], scale.scale / (2 * _LEVEL)),
            scale, ends, name)

    def _bit_step(self, operator: Operator, total: WeightedSum, scale: Scale) -> float | None:
        """Step of the lowest bits of a sum that is a result, if they are of use."""
        if not total.error or self.need(operator.output) is None:
            return None
        window = operator.window if isinstance(operator, AveragePool) else _ONE
        elements = math.prod(window.kernel)
        whole, others, least = 0, 0, 0.0
        for value in operator.inputs:
            found = self._bits_of(value)
            if found is None:
                return None
            whole, others, least = whole + found[0], others + found[1], max(least, found[2])
        count = others * elements + whole
        off = min(0.5 * count, math.sqrt(3 * count) + 1)
        if off > _MOST_OFF:
            return None
        least = max(2 * total.error / (_HIGHEST - 2 - off), least)
        bits = min(math.floor(math.log2(scale.scale / least)), _MOST_BITS)
        while not all(self._can_have(value, scale.scale / 2**bits) for value in operator.inputs):
            bits -= 1
        step = scale.scale / 2**bits
        # What is no better than what there is, is of no use.
        return step if bits >= _LEAST_BITS and step * off < total.error else None

    def _can_have(self, value: Value, step: float) -> bool:
        """Whether no factor of lowest bits is 128, which is the first that cannot be shifted by."""
        if self.grid(value) is not None:
            return True
        operator = self.producers[value.name]
        if not isinstance(operator, WeightedOperator):
            return all(self._can_have(source, step) for source in operator.inputs)
        product = self._product(operator)
        if product is None or step >= self._finest_bits(product):
            return True
        counts = self._counts(product, step)
        return counts is None or bool((np.abs(counts) < _BYTE / 2 * (1 - 2.0**-20)).all())

    def _bits_of(self, value: Value, ends: Range = EVERYTHING) -> tuple[int, int, float] | None:
        """Tell what lowest bits of a value, clamped, are of, if it can have them.

        Returns the number of tensors that are whole, of others, and the finest step of these.
        """
        scale = self.grid(value)
        if scale is not None:
            low, high = self.of_scale(scale)
            moved = all(end <= low or end >= high or end == 0 for end in ends)
            return (1, 0, 0.0) if moved else None
        operator = self.producers[value.name]
        low, high = both = intersect(ends, (operator.minimum, operator.maximum))
        bound = self._find_bound(value)
        match operator:
            case Clamp() | Reshape():
                return self._bits_of(operator.input, both)
            case Pad():
                return self._bits_of(operator.input, both) if low <= 0 <= high else None
            case WeightedOperator():
                product = self._product(operator)
                if product is None or (low > bound[0] and low != 0):
                    return None
                clamps = int(low > bound[0]) + int(high < bound[1])
                return 0, max(clamps, 1), 0.0 if self._counts(product, 1.0) is not None \
                    else self._finest_bits(product)
            case Add():
                first, second = (self._bits_of(source) for source in operator.inputs)
                if first is None or second is None or (low > bound[0] and low != 0):
                    return None
                whole, others = first[0] + second[0], first[1] + second[1]
                clamps = int(low > bound[0]) + int(high < bound[1])
                return (0 if clamps else whole, (whole + others) * clamps or others,
                        max(first[2], second[2]))
            case _:
                return self._bits_of(operator.input, both) if is_choice(operator) else None

    def _product(self, operator: WeightedOperator) -> WeightedOperator | None:
        """Return a sum of products of integers, if that is what an operator is."""
        folded = self.folded(operator)
        if folded is not None:
            return None if folded[1] else folded[0]
        real = self.grid(operator.input) is None and (
            is_affine(operator) or is_selection(operator))
        return None if real else operator

    def _finest_bits(self, product: WeightedOperator) -> float:
        return finest_scale(product, [self._source_scale(product)])

    def _source_scale(self, product: WeightedOperator) -> Scale:
        return self.grid(product.input) or self.chosen(product.input, EVERYTHING)

    def _counts(self, product: WeightedOperator, step: float) -> NDArray[np.float64] | None:
        """How many steps, modulo 256, a step of each channel's sum is; of the least magnitude."""
        if product.weight_scale is None or (
                product.by_channel.min(axis=1) <= -127.5 * product.weight_scale).any():
            return None
        unit = self._source_scale(product).scale * product.weight_scale
        counts = np.fmod(unit / step, _BYTE)
        return np.where(counts > _BYTE / 2, counts - _BYTE, counts)

    def _sum_bits(self, operator: Operator, parts: Sequence[_Part], window: Window, step: float,
                  name: str, end: float = 0.0) -> Term:
        """Append the lowest bits of a sum, over windows, of what has these bits; less an end."""
        scale, taps = Scale(step, 0), np.ones((*window.kernel, 1), int)
        single = window == _ONE
        found = [_Part(self._whole_bits(operator, part, window, step, name), part.sign)
                 for part in parts if part.whole]
        others = [part for part in parts if not part.whole]
        if others and not single:
            height = others[0].term.value.shape[0]
            levels, stacked = over_stack([part.sign for part in others], taps, height, window)
            total = WeightedSum([part.term for part in others], levels, stacked, step,
                                *_ones_and_zeros(others[0].term.value))
            others = [_Part(self._wrapped(operator, total, len(others) * taps.size, scale,
                                          f"{name}_window"))]
        found += others
        if len(found) == 1 and found[0].sign == 1 and not end:
            return found[0].term
        total = _weighted_sum([part.term for part in found], [part.sign for part in found], step)
        return self._wrapped(operator, replace(total, bias=total.bias - math.fmod(
            end, _BYTE * step)), len(found) + 1, scale, name)

    def _wrapped(self, operator: Operator, total: WeightedSum, count: int, scale: Scale, name: str
                 ) -> Term:
        """Append a sum of so many bytes that wraps: it must not be below the smallest integer."""
        above = replace(total, bias=total.bias + count * _BYTE * scale.scale)
        return Term(self.combine(operator, above, scale, EVERYTHING, name, wraps=True), scale)

    def _whole_bits(self, operator: Operator, part: _Part, window: Window, step: float, name: str
                    ) -> Term:
        """Append the lowest bits of a sum, over windows, of integers times their step."""
        grid, scale = part.term.scale, Scale(step, 0)
        image = self.as_image(part.term.value, grid)
        shape = (*window.output_size(*image.shape[:2]), image.shape[2])
        count = math.fmod(grid.scale / step, _BYTE) or _BYTE
        below = math.prod(window.kernel) * (grid.zero_point - _LOWEST) * count + _LOWEST
        above = max(math.ceil(below / _BYTE), 0) * _BYTE * step
        label = f"{name}_of_{part.term.value.name}"
        result = self.emit(DepthwiseConv2D(
            name=label, inputs=(), output=image, window=window, wraps=True,
            weight=np.full((*window.kernel, shape[2]), count * step / grid.scale),
            bias=np.full(shape[2], above)), (image,), scale, label, shape=shape)
        if shape != operator.output.shape:
            result = self.emit(Reshape(name=f"{label}_reshape", inputs=(), output=operator.output),
                               (result,), scale, f"{label}_reshaped")
        return Term(result, scale)

    def _bits(self, value: Value, step: float, ends: Range) -> list[_Part]:
        """Return tensors that have the lowest bits of a value that is clamped, in steps."""
        key = "bits", value.name, step, ends
        if key not in self.made:
            self.made[key] = self._make_bits(value, step, ends)
        return self.made[key]

    def _make_bits(self, value: Value, step: float, ends: Range) -> list[_Part]:
        grid = self.grid(value)
        if grid is not None:
            low, high = self.of_scale(grid)
            ends = (-math.inf if ends[0] <= low else ends[0],
                    math.inf if ends[1] >= high else ends[1])
            return [_Part(Term(self.at(value, grid, ends, value.name), grid), whole=True)]
        operator = self.producers[value.name]
        low, high = intersect(ends, (operator.minimum, operator.maximum))
        match operator:
            case Clamp():
                return self._bits(operator.input, step, (low, high))
            case Reshape() | Pad() | MaxPool():
                bare = replace(operator, minimum=-math.inf, maximum=math.inf)
                return [replace(part, term=Term(
                    self.emit(bare, (part.term.value,), part.term.scale, f"{value.name}_bits"),
                    part.term.scale)) for part in self._bits(operator.input, step, (low, high))]
            case Add():
                parts = [part for source in operator.inputs
                         for part in self._bits(source, step, EVERYTHING)]
                return self._clamped_sum(operator, parts, step, (low, high))
            case _:
                assert isinstance(operator, WeightedOperator)
                product = self._product(operator)
                assert product is not None
                if step >= self._finest_bits(product):
                    return self._clamped_bits(value, step, (low, high))
                return self._product_bits(operator, product, step, (low, high))

    def _clamped_bits(self, value: Value, step: float, ends: Range) -> list[_Part]:
        """Append the lowest bits of a sum of products, by rescaling to their step."""
        low, high = ends
        bound = self._find_bound(value)
        name, scale = f"{value.name}_bits", Scale(step, 0)
        least = round(max(low, bound[0], self.range(value, EVERYTHING, _BEYOND)[0]) / step) \
            if low < 0 else round(low / step)
        above = -((least - _LOWEST) // _BYTE) * _BYTE
        bits = [_Part(Term(self.computed(value, scale, (least * step, math.inf), name,
                                         -above * step, step, wraps=True), scale))]
        if high < bound[1]:
            end = round(high / step) * step
            beyond = self.computed(value, scale, (end, math.inf), f"{name}_beyond", end, step,
                                   wraps=True)
            bits.append(_Part(Term(beyond, scale), -1))
        return bits

    def _product_bits(self, operator: WeightedOperator, product: WeightedOperator, step: float,
                      ends: Range) -> list[_Part]:
        """Append the lowest bits of a sum of products, by what its steps are modulo 256."""
        bound = self._find_bound(operator.output)
        name = f"{operator.output.name}_bits"
        bits = self._modular(product, step, 0.0, name) if ends[0] <= bound[0] else \
            self._above(product, step, ends[0], name)
        if ends[1] < bound[1]:
            bits += [replace(part, sign=-part.sign)
                     for part in self._above(product, step, ends[1], f"{name}_beyond")]
        return bits

    def _modular(self, product: WeightedOperator, step: float, end: float, name: str
                 ) -> list[_Part]:
        """Append the lowest bits of a sum of products, less an end."""
        counts, scale = self._counts(product, step), self._source_scale(product)
        assert counts is not None
        assert product.weight_scale is not None
        unit = scale.scale * product.weight_scale
        low, high = self.of_scale(scale)
        levels = product.by_channel / product.weight_scale[:, None] * np.sign(counts)[:, None]
        least = np.minimum(levels * low, levels * high).sum(axis=1) / scale.scale * np.abs(counts)
        bias = np.mod((product.bias - end) / step, _BYTE)
        above = np.maximum(np.ceil(-least / _BYTE), 0) * _BYTE
        ratio = counts * step / unit
        weight_scale = np.where(ratio == 0, step / scale.scale,
                                product.weight_scale * np.abs(ratio))
        part = replace(product, weight=product.weight * _by_weight(product, ratio), shared=None,
                       weight_scale=weight_scale, bias=(bias + above) * step, wraps=True,
                       minimum=-math.inf, maximum=math.inf)
        return [_Part(Term(self.emit(part, (self.single(product.input),), Scale(step, 0), name),
                           Scale(step, 0)))]

    def _above(self, product: WeightedOperator, step: float, end: float, name: str) -> list[_Part]:
        """Append the lowest bits of what a sum of products is above an end."""
        source = self._source_scale(product).scale
        assert product.weight_scale is not None
        unit = source * product.weight_scale
        # The smallest whole sum that is above it.
        first = np.ceil((end - product.bias) / unit - 1e-9)
        gate, scale = f"{name}_gate", Scale(0.5, 0)
        part = replace(product, weight=product.weight / _by_weight(product, unit), shared=None,
                       weight_scale=product.weight_scale / unit, bias=1 - first,
                       minimum=-math.inf, maximum=math.inf)
        source_value = self.single(product.input)
        opened = Term(self.emit(part, (source_value,), scale, gate, (0.0, 1.0)), scale)
        bits = self._modular(product, step, end, f"{name}_all")[0].term
        return self._let_through(product, bits, (opened, opened), step, name)

    def _let_through(self, operator: Operator, bits: Term, gates: tuple[Term, Term], step: float,
                     name: str) -> list[_Part]:
        """Append bits that are positive, and those that are negative, where gates are 2."""
        found = []
        for what, sign, gate in zip(("plus", "minus"), (1, -1), gates, strict=True):
            scale = Scale(step, 0 if sign > 0 else _LOWEST)
            total = _weighted_sum([bits, gate], [sign, _GATE], step)
            found.append(_Part(Term(self.combine(
                operator, replace(total, bias=total.bias - 2 * _GATE * step), scale,
                (0.0, math.inf), f"{name}_{what}"), scale), sign))
        return found

    def _clamped_sum(self, operator: Add, parts: list[_Part], step: float, ends: Range
                     ) -> list[_Part]:
        """Return the lowest bits of a sum of two values that is clamped."""
        bound, name = self._find_bound(operator.output), f"{operator.output.name}_bits"
        bits = parts if ends[0] <= bound[0] else self._sum_above(operator, parts, step, 0.0, name)
        if ends[1] >= bound[1]:
            return bits
        beyond = self._sum_above(operator, parts, step, ends[1], f"{name}_beyond")
        return [*bits, *(replace(part, sign=-part.sign) for part in beyond)]

    def _sum_above(self, operator: Add, parts: list[_Part], step: float, end: float, name: str
                   ) -> list[_Part]:
        """Append the lowest bits of what a sum of two values is above an end."""
        bare = replace(operator, minimum=-math.inf, maximum=math.inf)
        need = self.need(operator.output)
        assert need is not None
        total = self.aligned(bare, self.addends(bare, Scale(need, 0), need))
        bits = self._sum_bits(bare, parts, _ONE, step, f"{name}_all", end)
        gates = []
        for what, first in (("plus", math.floor((end - total.error) / total.step)),
                            ("minus", math.ceil((end + total.error) / total.step))):
            # Open where the sum may be above the end, for positive bits, else where it is.
            scale = Scale(total.step / 2, 0)
            gates.append(Term(self.combine(
                bare, replace(total, bias=total.bias - first * total.step), scale,
                (0.0, total.step), f"{name}_{what}_gate"), scale))
        return self._let_through(bare, bits, (gates[0], gates[1]), step, name)


def _by_weight(product: WeightedOperator, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape a number of each channel so that it meets the weights of the channel."""
    axis = 2 if isinstance(product, DepthwiseConv2D) else 0
    return np.expand_dims(values, [other for other in range(product.weight.ndim) if other != axis])


def _ones_and_zeros(value: Value) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    channels = value.shape[-1] if len(value.shape) == 3 else value.elements
    return np.ones(channels), np.zeros(channels)


def _weighted_sum(terms: Sequence[Term], levels: Sequence[int], step: float) -> WeightedSum:
    """Return a sum of tensors, element by element."""
    value = terms[0].value
    height = value.shape[0] if len(value.shape) == 3 else 1
    return WeightedSum(terms, *over_stack(levels, np.ones((1, 1, 1), int), height, _ONE), step,
                       *_ones_and_zeros(value))
