"""Real numbers in 8-bit integers: tensors whose sum they are, as fine as a quantizer asks for.

A *segment* of a real number covers 255 steps of its range, saturates at both its ends, and is 0
where the number is 0. One sum of products gives all of them, with other biases. The sum of segments
is one depthwise convolution over a :class:`~eieio.model.graph.float_graph.Stack` of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
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
from eieio.model.graph.quantization import LEFT_SHIFT_LIMIT, Scale, scale_of
from eieio.model.graph.quantized_graph import Window
from eieio.model.graph.tensor_emitter import TensorEmitter
from eieio.model.graph.value_facts import EVERYTHING, Range, intersect, is_affine

__all__ = ["AFFORDABLE", "COARSE_SHARE", "MAX_SEGMENTS", "STEPS", "Segmenter", "Term",
           "WeightedSum", "commensurable_step", "different_steps", "is_choice", "is_selection",
           "most_often", "over_stack"]

STEPS = 255
# The step of a real number, as a share of that of the finest quantizer behind it: as fine as is
# worth it, and as coarse as is bearable.
_FINE_SHARE, COARSE_SHARE = 1 / 96, 0.5
# Products that the segments of a real number may take beyond what one of them takes.
AFFORDABLE = 1 << 22
# Segments of a real number at most.
MAX_SEGMENTS = 96
# How far a real number may be beyond a measured end of its range, as a multiple of the end: in a
# coarse segment. A term of a mean that saturates would change it, though the mean itself is in its
# range.
_BEYOND = 4.0
_WEIGHT_MAXIMUM, _MOST_COARSE = 127, 31
# Weight of a tensor in a sum of two numbers at most: copies of it take what is above 127.
_MAX_LEVEL = 40 * _WEIGHT_MAXIMUM
# By how much the ratio of two steps may be off: 1/4096 of a step, over 128 steps.
_SMALL_RATIO = 2.0**-19
# Weight of each number of a mean that is to lean up or down, by 1 in this and the elements, at a
# half.
_LEANING = 64
# Six standard deviations of a rounding's error.
_SIX_SIGMA = 6 / math.sqrt(12)


@dataclass(frozen=True)
class Term:
    """A tensor of integers, and what they mean: its step is so many of the finest of a number."""

    value: Value
    scale: Scale
    multiple: int = 1

    @property
    def step(self) -> float:
        """Finest step of the number."""
        return self.scale.scale / self.multiple


@dataclass(frozen=True)
class WeightedSum:
    """A weighted sum of tensors, one below the other.

    Attributes
    ----------
    terms : list of Term
        Tensors of one shape.
    levels : integer array of shape (height, width, 1)
        Weights of the window, up to 127, as many of each tensor.
    window : Window
        How it slides over the stack.
    step : float
        What a step of a tensor, times its level, is in the sum.
    factor, bias : float64 arrays of shape (channels,)
        What the sum is multiplied by, and what is added then.
    error : float
        How far the sum may be off, before it is multiplied.
    """

    terms: Sequence[Term]
    levels: NDArray[np.integer]
    window: Window
    step: float
    factor: NDArray[np.float64]
    bias: NDArray[np.float64]
    error: float = 0.0


class Segmenter(TensorEmitter):
    """Appends sums of products, means and additions, of integers or of real numbers in segments."""

    def _terms(self, value: Value, wanted: Range, need: float, other: Sequence[Term] = ()
               ) -> list[Term]:
        """Return tensors whose sum is a value, as far as a range matters.

        Parameters
        ----------
        value : Value
            The value.
        wanted : pair of float
            Range beyond which it does not matter what they are.
        need : float
            Step of the quantizer behind.
        other : sequence of Term
            What it is to be added to: one step is a whole multiple of the other.
        """
        scale = self.grid(value)
        if scale is not None:
            return [Term(self.at(value, scale, EVERYTHING, value.name), scale)]
        low, high = self.range(value, wanted)
        finest = self.finest(value)
        divides = self._divides(value)
        if high - low <= STEPS * need * _FINE_SHARE or not divides:
            if not divides:
                low, high = self.range(value, wanted, 1.0)
            scale = scale_of((low, high), finest)
            if self.ranges is None and scale.scale > need:
                raise self.ranges_needed(value)
            return [Term(self.at(value, scale, EVERYTHING, value.name), scale)]
        # As many as are affordable, if they are worth it; more, if it would be too coarse.
        width = (high - low) / STEPS
        count = min(width / (need * _FINE_SHARE), AFFORDABLE / self._products(value))
        count = min(max(count, width / (need * COARSE_SHARE)), MAX_SEGMENTS)
        step = max(width / count, finest)
        if self.ranges is None and step > need:
            raise self.ranges_needed(value)
        if other and step <= other[0].step * (_MAX_LEVEL // _MOST_COARSE):
            step = commensurable_step(step, finest, other, _MAX_LEVEL // _MOST_COARSE)
        return self._segments(value, step, wanted, need)

    def _segments(self, value: Value, step: float, wanted: Range, need: float) -> list[Term]:
        """Return the segments of a value, those at the ends in coarser steps."""
        near, far = self.range(value, wanted), self.range(value, wanted, _BEYOND)
        terms = []
        for sign, fine, whole in ((-1, -near[0], -far[0]), (1, near[1], far[1])):
            count = math.ceil(fine / (STEPS * step) - 1e-9)
            starts = [(number, 1) for number in range(count)]
            rest = math.ceil(whole / (STEPS * step) - 1e-9) - count
            while rest > 0:
                starts.append((count, min(rest, _MOST_COARSE)))
                count, rest = count + starts[-1][1], rest - starts[-1][1]
            terms += [self._segment(value, step, (sign, *start), need) for start in starts]
        return terms

    def _products(self, value: Value) -> float:
        """Products of weights and activations for one segment of a value."""
        operator = self.producers[value.name]
        match operator:
            case MaxPool() | Clamp() | Reshape() | Pad():
                return self._products(operator.input)
            case Stack():
                return sum(source.elements if self.grid(source) else self._products(source)
                           for source in operator.inputs)
            case DepthwiseConv2D():
                taps = math.prod(operator.window.kernel)
            case WeightedOperator():
                taps = operator.by_channel.shape[1]
            case AveragePool():
                taps = 4 * math.prod(operator.window.kernel)
            case _:
                taps = 8
        return taps * value.elements

    def _divides(self, value: Value) -> bool:
        """Whether a real value can be computed in segments."""
        operator = self.producers.get(value.name)
        match operator:
            case MaxPool() | Clamp() | Reshape() | Pad():
                return self._divides(operator.input)
            case Stack():
                return all(self.grid(source) or self._divides(source)
                           for source in operator.inputs)
            case WeightedOperator() | Add():
                return True
            case AveragePool(window=window):
                return window.padding == ((0, 0), (0, 0))
            case _:
                return False

    def _segment(self, value: Value, step: float, place: tuple[int, int, int], need: float,
                 ends: Range = EVERYTHING) -> Term:
        """Return a part of a value.

        Its place is the sign, the start in times of 255 steps from 0, and the length in as many.
        Its integers are those of 0 where the value is 0.
        """
        sign, _, multiple = place
        scale = Scale(step * multiple, -128 if sign > 0 else 127)
        key = "segment", value.name, step, place, ends
        if key not in self.made:
            self.made[key] = self._make_segment(value, step, place, need, ends)
        return Term(self.made[key], scale, multiple)

    def _make_segment(self, value: Value, step: float, place: tuple[int, int, int], need: float,
                      ends: Range) -> Value:
        sign, start, multiple = place
        scale = Scale(step * multiple, -128 if sign > 0 else 127)
        offset = sign * start * STEPS * step
        name = f"{value.name}_{'plus' if sign > 0 else 'minus'}_{start}"
        if self.grid(value) is not None:  # beside real numbers in a stack
            return self.computed(value, scale, ends, name, offset, need)
        operator = self.producers[value.name]
        match operator:
            case Clamp():
                return self._segment(operator.input, step, place, need, intersect(
                    ends, (operator.minimum, operator.maximum))).value
            case Reshape() | Pad() if ends[0] <= 0 <= ends[1] and not operator.clamps:
                source = self._segment(operator.input, step, place, need, ends).value
                return self.emit(operator, (source,), scale, name)
            case MaxPool() | Reshape() | Pad():
                source = self._segment(operator.input, step, place, need).value
                both = intersect(ends, (operator.minimum, operator.maximum))
                moved = self.emit(replace(operator, minimum=-math.inf, maximum=math.inf),
                                   (source,), scale, name)
                return self.clamped(moved, scale, _shifted(both, offset), f"{name}_clamped")
            case Stack():
                sources = (self._segment(source, step, place, need, ends).value
                           for source in operator.inputs)
                return self.emit(operator, tuple(sources), scale, name)
            case _:
                return self.computed(value, scale, ends, name, offset, need)

    def computed(self, value: Value, scale: Scale, ends: Range, name: str, offset: float,
                 need: float, *, wraps: bool = False) -> Value:
        """Append what is computed, and not only chosen or moved: less an offset."""
        own, operator = self.grid(value), self.producers.get(value.name)
        if own is not None:
            source = self.as_image(self.at(value, own, EVERYTHING, value.name), own)
            part = DepthwiseConv2D(
                name=name, inputs=(), output=source, weight=np.ones((1, 1, source.shape[2])),
                bias=np.full(source.shape[2], -offset), window=Window((1, 1)), wraps=wraps)
            result = self.emit(part, (source,), scale, name, _shifted(ends, offset))
            if value.shape == source.shape:
                return result
            return self.emit(Reshape(name=f"{name}_reshape", inputs=(), output=value), (result,),
                             scale, f"{name}_reshaped")
        match operator:
            case WeightedOperator():
                return self.weighted(operator, scale, ends, name, offset, need, wraps=wraps)
            case AveragePool():
                return self.average(operator, scale, ends, name, offset, need, wraps=wraps)
            case _:
                assert isinstance(operator, Add)
                return self.sum(operator, scale, ends, name, offset, need, wraps=wraps)

    def has_remainder(self, value: Value, ends: Range = EVERYTHING) -> bool:
        """Whether a value, clamped, can be computed in coarse segments and a remainder."""
        return False

    def weighted(self, operator: WeightedOperator, scale: Scale, ends: Range, name: str,
                  offset: float = 0.0, need: float | None = None, *, wraps: bool = False) -> Value:
        """Append a sum of products; or a segment of it, less its offset, with the need of all."""
        both = _shifted(intersect(ends, (operator.minimum, operator.maximum)), offset)
        folded = self.folded(operator)
        if folded is not None and not folded[1]:
            part = replace(folded[0], bias=folded[0].bias - offset, wraps=wraps)
            return self.emit(part, (self.single(part.input),), scale, name, both)
        if folded is not None and (need is None or not self.has_remainder(operator.input)):
            return self.clamp_channels(*folded, scale, both, name, offset)
        if is_selection(operator) and self.grid(operator.input) is None:
            terms = self._terms(operator.input, EVERYTHING, need or scale.scale)
            levels, window = over_stack([term.multiple for term in terms],
                                        np.rint(operator.weight[..., :1]).astype(int),
                                        operator.input.shape[0], operator.window)
            return self.combine(operator, WeightedSum(
                terms, levels, window, terms[0].step, np.ones(len(operator.bias)),
                operator.bias - offset), scale, both, name, wraps=wraps)
        if is_affine(operator) and self.grid(operator.input) is None:
            factor = operator.weight.reshape(-1)
            need = need or min(scale.scale, self.need(operator.output) or math.inf)
            terms = self._terms(operator.input, EVERYTHING,
                                need / max(float(np.abs(factor).max()), 1e-9))
            if len(terms) > 1:
                levels = np.array([term.multiple for term in terms]).reshape(-1, 1, 1)
                window = Window((len(terms), 1), (1, 1), (operator.input.shape[0], 1))
                return self.combine(operator, WeightedSum(
                    terms, levels, window, terms[0].step, factor, operator.bias - offset), scale,
                    both, name, wraps=wraps)
            source = terms[0].value
        else:
            source = self.single(operator.input)
        part = replace(operator, bias=operator.bias - offset, minimum=-math.inf, maximum=math.inf,
                       wraps=wraps)
        return self.emit(part, (source,), scale, name, both)

    def average(self, operator: AveragePool, scale: Scale, ends: Range, name: str,
                 offset: float = 0.0, need: float | None = None, *, wraps: bool = False) -> Value:
        """Append the means of windows; or a segment of them, less its offset."""
        window, source = operator.window, operator.input
        elements = math.prod(window.kernel)
        segment = need is not None
        need = need or min(scale.scale, self.need(source) or math.inf)
        terms = self._terms(source, EVERYTHING, need)
        both = _shifted(intersect(ends, (operator.minimum, operator.maximum)), offset)
        if len(terms) == 1 and not segment:
            if terms[0].scale == scale and elements % 2 == 0 and window.padding == ((0, 0), (0, 0)):
                return self._even_mean(operator, terms[0].value, scale, both, name)
            return self.emit(operator, (terms[0].value,), scale, name, ends)
        height, channels = source.shape[0], source.shape[2]
        levels, window = over_stack([term.multiple for term in terms],
                                    np.ones((*window.kernel, 1), int), height, window)
        # A sum of many roundings is hardly ever as far off as each of them may be.
        count = elements * self.roundings(source)
        total = WeightedSum(terms, levels, window, terms[0].step, np.full(channels, 1 / elements),
                            np.full(channels, -offset),
                            terms[0].step * min(count / 2, _SIX_SIGMA * math.sqrt(count))
                            + elements * self.off(source))
        if not segment and not wraps:
            return self.rounded(operator, total, scale, both, name)
        return self.combine(operator, total, scale, both, name, wraps=wraps)

    def _even_mean(self, operator: AveragePool, source: Value, scale: Scale, ends: Range, name: str
                   ) -> Value:
        """Append the means of windows at the scale of their input: a half goes to the even.

        Means that are a half are frequent there. Rounded up, and down, they are two neighbours; and
        half the mean, rounded and doubled, is the even one of them. Nearly all is left to the two;
        the last only leans to one side where they differ.
        """
        elements = math.prod(operator.window.kernel)
        size = np.ones((*operator.window.kernel, source.shape[2])) / elements
        step = np.full(source.shape[2], 1 / (elements * _LEANING))
        half = Scale(2 * scale.scale, scale.zero_point // 2)
        terms = []
        for side, to, lean in (("up", scale, 1), ("down", scale, -1), ("even", half, 0)):
            mean = DepthwiseConv2D(
                name=f"{operator.name}_{side}", inputs=(), output=operator.output, weight=size,
                bias=lean * scale.scale * step, window=operator.window, weight_scale=step)
            terms.append(Term(self.emit(mean, (source,), to, f"{name}_{side}"), to))
        levels = np.array([_LEANING - 2, _LEANING - 2, 4]).reshape(-1, 1, 1)
        return self.combine(operator, WeightedSum(
            terms, levels, Window((3, 1), (1, 1), (terms[0].value.shape[0], 1)), scale.scale,
            np.full(source.shape[2], 1 / (2 * _LEANING - 2)), np.zeros(source.shape[2])), scale,
            ends, name)

    def sum(self, operator: Add, scale: Scale, ends: Range, name: str, offset: float = 0.0,
             need: float | None = None, *, wraps: bool = False) -> Value:
        """Append the sum of two values; or a segment of it, less its offset."""
        both = intersect(ends, (operator.minimum, operator.maximum))
        found = self.addends(operator, scale, need)
        if len(found[0]) == len(found[1]) == 1 and need is None:
            return self.emit(operator, (found[0][0].value, found[1][0].value), scale, name, ends)
        total = self.aligned(operator, found)
        if need is None and not wraps:
            return self.rounded(operator, total, scale, both, name)
        return self.combine(operator, replace(total, bias=total.bias - offset), scale,
                            _shifted(both, offset), name, wraps=wraps)

    def addends(self, operator: Add, scale: Scale, need: float | None) -> list[list[Term]]:
        """Return the terms of both operands, for a result at a scale, or for segments of it."""
        # Beyond the range of the result it does not matter by how much. All segments of a result
        # are made of the same terms.
        low, high = (self.of_scale(scale) if need is None
                     else self.range(operator.output, EVERYTHING, _BEYOND))
        spans = [self.range(value, EVERYTHING, _BEYOND) for value in operator.inputs]
        wanted = [(low - span[1], high - span[0]) for span in spans[::-1]]
        return self._addends(operator, wanted, need or min(
            scale.scale, self.need(operator.output) or math.inf))

    def finest(self, value: Value) -> float:
        operator = self.producers.get(value.name)
        if not isinstance(operator, Add):
            return super().finest(value)
        first, second = (self.grid(source) for source in operator.inputs)
        if first is None or second is None:
            return 0.0
        most = min(max(_whole(first.scale, second.scale)), _WEIGHT_MAXIMUM)
        step = max(first.scale, second.scale) / (most * (_WEIGHT_MAXIMUM // most))
        return step / 2**LEFT_SHIFT_LIMIT * (1 + 1e-9)

    def aligned(self, operator: Add, found: list[list[Term]]) -> WeightedSum:
        """Return the sum of the terms of two values."""
        factors = _whole(found[0][0].step, found[1][0].step)
        step, most = max((terms[0].step, factor)
                         for terms, factor in zip(found, factors, strict=True))
        # A weight above 127 is that of several copies of a tensor.
        parts = [(term, part) for factor, terms in zip(factors, found, strict=True)
                 for term in terms for part in _parts(factor * term.multiple)]
        levels = np.array([part for _, part in parts])
        shape = operator.output.shape
        channels = shape[-1] if len(shape) == 3 else math.prod(shape)
        height = shape[0] if len(shape) == 3 else 1
        unit, error = step / most, 0.0
        for value, terms, factor in zip(operator.inputs, found, factors, strict=True):
            own = terms[0].step
            error += self.roundings(value) * own / 2 + self.off(value) + abs(
                factor * unit / own - 1) * max(map(abs, self.range(value, EVERYTHING)))
        return WeightedSum(
            [term for term, _ in parts], levels.reshape(-1, 1, 1),
            Window((len(levels), 1), (1, 1), (height, 1)), unit, np.ones(channels),
            np.zeros(channels), error)

    def roundings(self, value: Value) -> int:
        """How many roundings to its finest step, at most, are in what a value's terms are."""
        if self.grid(value) is not None:
            return 0
        operator = self.producers[value.name]
        inputs = [self.roundings(source) for source in operator.inputs]
        match operator:
            case Clamp() | Reshape() | Pad() | Stack():
                return max(inputs)
            case _:
                return sum(inputs) + (not is_choice(operator))

    def off(self, value: Value) -> float:
        """How far biases, rounded, put a value off at most."""
        if self.grid(value) is not None:
            return 0.0
        operator = self.producers[value.name]
        match operator:
            case WeightedOperator():
                return self.finest(value) / 2
            case Add():
                return sum(map(self.off, operator.inputs))
            case _:
                return max(map(self.off, operator.inputs))

    def rounded(self, operator: Operator, total: WeightedSum, scale: Scale, ends: Range, name: str
                ) -> Value:
        """Append a sum that is a result: rounded to a scale."""
        return self.combine(operator, total, scale, ends, name)

    def _addends(self, operator: Add, wanted: list[Range], need: float) -> list[list[Term]]:
        """Return the terms of both operands, whose steps are whole multiples of one another."""
        fixed = [self.grid(value) is not None or not self._divides(value)
                 for value in operator.inputs]
        found: list[list[Term]] = [[], []]
        # What has its scale comes first; the other one chooses its own to go with it.
        for index in sorted(range(2), key=lambda index: not fixed[index]):
            found[index] = self._terms(operator.inputs[index], wanted[index], need,
                                       found[1 - index])
        return found

    def combine(self, operator: Operator, total: WeightedSum, scale: Scale, ends: Range, name: str,
                *, wraps: bool = False) -> Value:
        """Append a weighted sum of tensors, one below the other, as a depthwise convolution.

        Parameters
        ----------
        operator : Operator
            What the result is of.
        total : WeightedSum
            The sum.
        scale : Scale
            Scale of the result.
        ends : pair of float
            Range to which it is clamped.
        name : str
            Its name.
        wraps : bool
            Whether its integers are the lowest bits of larger ones.
        """
        terms, levels, window = total.terms, total.levels, total.window
        if np.abs(levels).max() > _WEIGHT_MAXIMUM:
            raise different_steps(f"{type(operator).__name__} {operator.name!r}")
        stacked, label = self._stack(operator, terms, total.step, name)
        height, width, channels = stacked.shape
        height //= len(terms)
        # A tensor's zero point may be another than that of the whole stack.
        shares = [int(levels[index * height:(index + 1) * height].sum()) if window.dilation[0] == 1
                  else int(levels[index].sum()) for index in range(len(terms))]
        wrong = total.step * sum(share * (label.zero_point - term.scale.zero_point)
                                 for share, term in zip(shares, terms, strict=True))
        factor = total.factor
        # Where steps of the sum are coarser than the result's, they get finer, and levels larger.
        most = int(np.abs(levels).max())
        times = max(min(_WEIGHT_MAXIMUM // most, math.ceil(
            total.step * float(np.abs(factor).max()) / scale.scale)), 1)
        conv = DepthwiseConv2D(
            name=operator.name, inputs=(), output=operator.output, weight=levels * factor,
            bias=total.bias + wrong * factor, window=window,
            weight_scale=np.where(factor == 0, 1, np.abs(factor)) / times, wraps=wraps)
        shape = operator.output.shape
        image = (*window.output_size(height * len(terms), width), channels)
        if shape == image:
            return self.emit(conv, (stacked,), scale, name, ends)
        result = self.emit(conv, (stacked,), scale, f"{name}_image", ends, shape=image)
        reshape = Reshape(name=f"{name}_reshape", inputs=(), output=operator.output)
        return self.emit(reshape, (result,), scale, name)

    def _stack(self, operator: Operator, terms: Sequence[Term], step: float, name: str
               ) -> tuple[Value, Scale]:
        """Return tensors one below the other, and the scale of the whole: made once."""
        label = Scale(step, terms[0].scale.zero_point)
        key = "stack", step, tuple(term.value.name for term in terms)
        if key in self.made:
            return self.made[key], label
        images = [self.as_image(term.value, self.scales[term.value.name]) for term in terms]
        height, width, channels = images[0].shape
        stack = Stack(name=f"{operator.name}_stack", inputs=(), output=operator.output, axis=0)
        self.made[key] = self.emit(stack, tuple(images), label, f"{name}_stack",
                                    shape=(height * len(images), width, channels))
        return self.made[key], label


def _shifted(ends: Range, offset: float) -> Range:
    return ends[0] - offset, ends[1] - offset


def is_choice(operator: Operator) -> bool:
    """Whether an operator only takes some of the elements of an image."""
    return isinstance(operator, MaxPool) and operator.window.kernel == (1, 1) \
        and operator.window.padding == ((0, 0), (0, 0))


def is_selection(operator: Operator) -> TypeGuard[DepthwiseConv2D]:
    """Whether an operator adds and subtracts elements of a window, of all channels the same."""
    return isinstance(operator, DepthwiseConv2D) and operator.weight_scale is None \
        and operator.window.kernel != (1, 1) and operator.window.dilation == (1, 1) \
        and operator.window.padding == ((0, 0), (0, 0)) \
        and operator.weight.shape[2] == operator.input.shape[-1] \
        and bool(np.isin(operator.weight, (-1, 0, 1)).all()) \
        and bool((operator.weight == operator.weight[..., :1]).all())


def over_stack(multiples: Sequence[int], taps: NDArray[np.integer], height: int, window: Window
               ) -> tuple[NDArray[np.integer], Window]:
    """Return the weights of a window that slides over all terms of a number, and the window."""
    rows, columns = window.kernel
    if rows == 1:
        levels = np.array(multiples).reshape(-1, 1, 1) * taps
        return levels, Window((len(multiples), columns), window.stride, (height, 1))
    levels = np.zeros(((len(multiples) - 1) * height + rows, columns, 1), int)
    for index, multiple in enumerate(multiples):
        levels[index * height:index * height + rows] += multiple * taps
    return levels, Window((len(levels), columns), window.stride)


def most_often(terms: Sequence[Term]) -> int:
    """Return how often each of some tensors may be taken in a sum."""
    return _MAX_LEVEL // max(term.multiple for term in terms)


def commensurable_step(step: float, finest: float, other: Sequence[Term], most: int) -> float:
    """Return a step about as coarse as one, of which another's is a whole part or multiple.

    The other's steps count no more often than its weights can, this one's no more often than given.
    It is finer than the finest only if no such step is not.
    """
    whole = other[0].step
    if whole >= step:
        parts = min(math.ceil(whole / step), most_often(other))
        return whole / (parts if whole / parts >= finest else int(whole / finest))
    times = int(step / whole)
    return whole * min(times if whole * times >= finest else times + 1, most)


def different_steps(what: str) -> InputError:
    """Return what refuses a sum of numbers whose steps no weights bring together."""
    return InputError(f"{what} must not add real numbers of such different steps: quantizers in "
                      "front of it would fit")


def _parts(level: int) -> list[int]:
    """Divide a weight into as few as can be that are at most 127."""
    count = -(-level // _WEIGHT_MAXIMUM)
    return [(level + part) // count for part in range(count)]


def _whole(first: float, second: float) -> tuple[int, int]:
    """Return the weights, not large ones, whose ratio is nearest to that of two steps."""
    if first > second:
        high, low = _whole(second, first)
        return low, high
    denominators = np.arange(1, _MAX_LEVEL + 1)
    off = np.abs(np.rint(denominators * first / second) / denominators - first / second)
    # The smallest of those that are exact; or else exact enough; or else as good as any.
    best = next(int(denominators[found.argmax()]) for found in (
        off <= 1e-12 * first / second, off <= _SMALL_RATIO, off <= off.min()) if found.any())
    return round(best * first / second), best
