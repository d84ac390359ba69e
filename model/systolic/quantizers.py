"""From quantizers anywhere in a network to a scale for each of its tensors.

A file that comes quantized may round its activations where it likes: behind every operator, or only
in front of those with weights, with any operators on real numbers between; and several quantizers
may read one real tensor. An engine holds nothing but 8-bit integers. :func:`settle` gives every
tensor a scale so that the integers behind each quantizer are what the file says:

- Rounding and saturation go in front of what commutes with them: maxima of windows, clamps, padding
  and changes of shape. A sum of products is rounded once, to the scale of the quantizer behind it.
- Where several quantizers of different scales read one result, it is computed for each.
- What is left are real numbers that an average, or a sum of two tensors, takes. They are held as
  *segments*: tensors whose sum is the number, each of which covers 255 steps of the range and
  saturates at both its ends. So the step may be as fine as the quantizer behind asks for, whatever
  the range. The sum of segments is one depthwise convolution over a :class:`Stack` of them.

The range of these numbers is what the quantizers in front and behind leave of it. Where this is too
wide, or where real numbers go into weights or are the output, it has to be measured on samples.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.systolic.float_graph import (
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
from eieio.model.systolic.quantization import (
    LOG_SOFTMAX_SCALE,
    SOFTMAX_SCALE,
    Scale,
    finest_scale,
    scale_of,
)
from eieio.model.systolic.quantized_graph import Window

__all__ = ["RangesNeededError", "settle"]

_Range = tuple[float, float]

_EVERYTHING: _Range = (-math.inf, math.inf)
_STEPS = 255
# The step of a real number, as a share of that of the finest quantizer behind it: as fine as is
# worth it, and as coarse as is bearable.
_FINE_SHARE, _COARSE_SHARE = 1 / 48, 0.5
# How much coarser the terms of a mean may be at most.
_MOST_AVERAGED = 4.0
# Products that the segments of a real number may take beyond what one of them takes.
_AFFORDABLE = 1 << 20
# Segments of a real number at most.
_MAX_SEGMENTS = 64
# How far a real number may be beyond a measured end of its range, as a multiple of the end: in fine
# steps, and in one coarse segment. A term of a mean that saturates would change it, though the mean
# itself is in its range.
_RESERVE, _BEYOND = 1.25, 4.0
_WEIGHT_MAXIMUM = 127


class RangesNeededError(InputError):
    """The ranges of some activations must be measured on samples."""


@dataclass(frozen=True)
class _Term:
    """A tensor of integers, and what they mean: its step is so many of the finest of a number."""

    value: Value
    scale: Scale
    multiple: int = 1

    @property
    def step(self) -> float:
        """Finest step of the number."""
        return self.scale.scale / self.multiple


def settle(graph: FloatGraph, scales: Mapping[str, Scale],
           ranges: Mapping[str, _Range] | None = None) -> tuple[FloatGraph, dict[str, Scale]]:
    """Give every tensor of a quantized network a scale.

    Parameters
    ----------
    graph : FloatGraph
        Network with :class:`~eieio.model.systolic.float_graph.Quantize` operators.
    scales : mapping of Scale
        Scale of the input by its name, if the network takes integers.
    ranges : mapping of pairs of :class:`float`, optional
        Smallest and largest number by the name of the value, as
        :func:`eieio.model.systolic.calibration.calibrate` returns them.

    Returns
    -------
    FloatGraph
        The same network without these operators. Results of a quantizer have its output's name.
    dict of Scale
        Scales of all its values by their names.

    Raises
    ------
    RangesNeededError
        If there are no ranges, and some activations need them: the message names one.
    InputError
        If the network cannot be computed as it says.
    """
    return _Settler(graph, scales.get(graph.input.name), ranges).settle()


class _Settler:
    def __init__(self, graph: FloatGraph, input_scale: Scale | None,
                 ranges: Mapping[str, _Range] | None) -> None:
        self.graph = graph
        self.ranges = ranges
        self.producers = {operator.output.name: operator for operator in graph.operators}
        self.readers: dict[str, list[Operator]] = {}
        for operator in graph.operators:
            for value in operator.inputs:
                self.readers.setdefault(value.name, []).append(operator)
        self.uses = Counter({name: len(found) for name, found in self.readers.items()})
        self.uses[graph.output.name] += 1
        self.operators: list[Operator] = []
        self.scales: dict[str, Scale] = {}
        self.taken = {graph.input.name}
        self.labels: set[str] = set()
        self.made: dict[Any, Any] = {}
        self.needs: dict[str, float | None] = {}
        self.bounds: dict[str, _Range] = {}
        self.stacked: set[str] = set()
        scale = input_scale or self._input_scale()
        self.scales[graph.input.name] = scale

    def settle(self) -> tuple[FloatGraph, dict[str, Scale]]:
        output = self.graph.output
        scale = self._grid(output) or self._chosen(output, _EVERYTHING)
        result = self._at(output, scale, _EVERYTHING, output.name)
        if not self.operators:
            raise InputError(f"output {output.name!r} must be computed by an operator")
        return (replace(self.graph, output=result, operators=tuple(self.operators)), self.scales)

    # What is known of values.

    def _input_scale(self) -> Scale:
        """Scale at which the host rounds a real input."""
        value = self.graph.input
        found, others = self._first_quantizers(value)
        if len(found) == 1 and not others:
            return found[0]
        if self.ranges is None and (others or not found):
            raise self._ranges_needed(value)
        ends = [self._of_scale(scale) for scale in found]
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
            elif isinstance(reader, MaxPool | Clamp | Reshape | Pad):
                behind, more = self._first_quantizers(reader.output)
                found, others = found + behind, others or more
            else:
                others = True
        return list(dict.fromkeys(found)), others

    def _grid(self, value: Value) -> Scale | None:
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
            case MaxPool() | Reshape() | Pad() | Clamp():
                scale = self._grid(operator.input)
                if scale is None:
                    return None
                low, high = self._of_scale(scale)
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

    def _of_scale(self, scale: Scale) -> _Range:
        """Range of the integers at a scale."""
        return ((-128 - scale.zero_point) * scale.scale, (127 - scale.zero_point) * scale.scale)

    def _need(self, value: Value) -> float | None:
        """Finest step of a quantizer to which a real value comes without weights between."""
        if value.name not in self.needs:
            found: list[float] = []
            for reader in self.readers.get(value.name, []):
                if isinstance(reader, Quantize):
                    found.append(reader.scale)
                elif isinstance(reader, MaxPool | Clamp | Reshape | Pad | Add | AveragePool) \
                        or _is_affine(reader):
                    need = self._need(reader.output)
                    largest = np.abs(reader.weight).max() if _is_affine(reader) else 1.0
                    found += [] if need is None or not largest else [need / float(largest)]
            self.needs[value.name] = min(found, default=None)
        return self.needs[value.name]

    def _bound(self, value: Value) -> _Range:
        """Range that a value cannot leave."""
        if value.name not in self.bounds:
            low, high = self._find_bound(value)
            operator = self.producers.get(value.name)
            if operator is not None and operator.clamps:
                low, high = (min(max(end, operator.minimum), operator.maximum)
                             for end in (low, high))
            self.bounds[value.name] = low, high
        return self.bounds[value.name]

    def _find_bound(self, value: Value) -> _Range:
        operator = self.producers.get(value.name)
        if operator is None:
            return self._of_scale(self.scales[value.name])
        if isinstance(operator, Softmax | LogSoftmax):
            return self._of_scale(SOFTMAX_SCALE if isinstance(operator, Softmax)
                                  else LOG_SOFTMAX_SCALE)
        low, high = self._bound(operator.input)
        match operator:
            case Quantize():
                ends = self._of_scale(Scale(operator.scale, operator.zero_point))
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
            case _:
                return low, high

    def _range(self, value: Value, wanted: _Range, reserve: float = _RESERVE) -> _Range:
        """Range that a value may have, and what of it matters; 0 belongs to it."""
        low, high = self._bound(value)
        if self.ranges is not None:
            ends = self.ranges[value.name]
            low, high = max(low, reserve * min(ends[0], 0)), min(high, reserve * max(ends[1], 0))
        low, high = max(low, wanted[0]), min(high, wanted[1])
        return min(low, 0.0), max(high, 0.0)

    def _chosen(self, value: Value, wanted: _Range) -> Scale:
        """Scale of a real value that becomes one tensor, from its range."""
        if self.ranges is None:
            raise self._ranges_needed(value)
        if value.name == self.graph.output.name:
            return scale_of(self.ranges[value.name], self._finest(value))
        return scale_of(self._range(value, wanted, 1.0), self._finest(value))

    def _finest(self, value: Value) -> float:
        """Finest scale at which an engine can compute a value."""
        operator = self.producers.get(value.name)
        while isinstance(operator, MaxPool | Clamp | Reshape | Pad):
            operator = self.producers.get(operator.input.name)
        if isinstance(operator, WeightedOperator):
            return finest_scale(operator, [self._grid(operator.input) or scale_of(
                self._range(operator.input, _EVERYTHING))])
        return 0.0

    def _ranges_needed(self, value: Value) -> RangesNeededError:
        return RangesNeededError(
            f"activations {value.name!r} are real numbers in the file, without a scale: sample "
            "inputs must be given, to find their range")

    # What is computed.

    def _name(self, wanted: str) -> str:
        while wanted in self.taken:
            wanted += "_"
        self.taken.add(wanted)
        return wanted

    def _label(self, wanted: str) -> str:
        while wanted in self.labels:
            wanted += "_"
        self.labels.add(wanted)
        return wanted

    def _emit(self, operator: Operator, inputs: tuple[Value, ...], scale: Scale, name: str,
              ends: _Range = _EVERYTHING, shape: tuple[int, ...] | None = None,
              **fields: Any) -> Value:
        """Append a copy of an operator, clamped once more."""
        output = Value(self._name(name), operator.output.shape if shape is None else shape)
        low, high = (min(max(end, ends[0]), ends[1])
                     for end in (operator.minimum, operator.maximum))
        self.operators.append(replace(
            operator, name=self._label(operator.name), inputs=inputs, output=output, minimum=low,
            maximum=high, **fields))
        self.scales[output.name] = scale
        return output

    def _clamped(self, source: Value, scale: Scale, ends: _Range, name: str) -> Value:
        """Rescale, or clamp, integers."""
        if self.scales[source.name] == scale and ends == _EVERYTHING:
            return source
        clamp = Clamp(name=f"{name}_rescale", inputs=(source,), output=source)
        return self._emit(clamp, (source,), scale, name, ends)

    def _at(self, value: Value, scale: Scale, ends: _Range, name: str) -> Value:
        """Return the tensor of a value, clamped to a range and rounded to a scale."""
        key = "at", value.name, scale, ends
        if key not in self.made:
            self.made[key] = self._make(value, scale, ends, name)
        return self.made[key]

    def _make(self, value: Value, scale: Scale, ends: _Range, name: str) -> Value:
        operator = self.producers.get(value.name)
        if ends != _EVERYTHING and self.uses[value.name] > 1:
            # What others take as well is computed once, where they take it at this scale.
            if any(isinstance(reader, Quantize) and Scale(reader.scale, reader.zero_point) == scale
                   for reader in self.readers[value.name]) or self._grid(value) == scale:
                return self._clamped(self._at(value, scale, _EVERYTHING, value.name), scale, ends,
                                     name)
        match operator:
            case None:
                return self._clamped(self.graph.input, scale, ends, name)
            case Quantize():
                own = Scale(operator.scale, operator.zero_point)
                both = _intersect(ends, (operator.minimum, operator.maximum))
                if own == scale:
                    return self._at(operator.input, scale, both, name)
                source = self._at(value, own, _EVERYTHING, operator.output.name)
                return self._clamped(source, scale, ends, name)
            case Clamp():
                return self._at(operator.input, scale,
                                _intersect(ends, (operator.minimum, operator.maximum)), name)
            case MaxPool() | Reshape() | Pad():
                own = self._grid(value)
                if own is not None and own != scale:
                    return self._clamped(self._at(value, own, _EVERYTHING, value.name), scale,
                                         ends, name)
                return self._moved(operator, self._at(
                    operator.input, scale, _EVERYTHING, operator.input.name), scale, ends, name)
            case WeightedOperator():
                return self._weighted(operator, scale, ends, name)
            case Softmax() | LogSoftmax():
                own = SOFTMAX_SCALE if isinstance(operator, Softmax) else LOG_SOFTMAX_SCALE
                source = self._emit(operator, (self._single(operator.input),), own, name)
                return self._clamped(source, scale, ends, f"{name}_rescaled")
            case AveragePool():
                return self._average(operator, scale, ends, name)
            case Add():
                return self._sum(operator, scale, ends, name)
            case _:
                raise InputError(f"{type(operator).__name__} {name!r} must have a scale")

    def _moved(self, operator: Operator, source: Value, scale: Scale, ends: _Range,
               name: str) -> Value:
        """Append what chooses or moves integers."""
        both = _intersect(ends, (operator.minimum, operator.maximum))
        if isinstance(operator, MaxPool) or both == _EVERYTHING:
            return self._emit(operator, (source,), scale, name, ends)
        moved = self._emit(operator, (source,), scale, f"{name}_before")
        return self._clamped(moved, scale, both, name)

    def _single(self, value: Value) -> Value:
        """Return the one tensor of what a sum of products, or softmax, takes."""
        scale = self._grid(value) or self._chosen(value, _EVERYTHING)
        return self._at(value, scale, _EVERYTHING, value.name)

    # Real numbers.

    def _terms(self, value: Value, wanted: _Range, need: float, divisor: float | None = None
               ) -> list[_Term]:
        """Return tensors whose sum is a value, as far as a range matters.

        Parameters
        ----------
        value : Value
            The value.
        wanted : pair of float
            Range beyond which it does not matter what they are.
        need : float
            Step of the quantizer behind.
        divisor : float, optional
            Scale of which the step is to be a whole part.
        """
        scale = self._grid(value)
        if scale is not None:
            return [_Term(self._at(value, scale, _EVERYTHING, value.name), scale)]
        low, high = self._range(value, wanted)
        finest = self._finest(value)
        divides = self._divides(value)
        if high - low <= _STEPS * need * _FINE_SHARE or not divides:
            if not divides:
                low, high = self._range(value, wanted, 1.0)
            scale = scale_of((low, high), finest)
            if self.ranges is None and scale.scale > need:
                raise self._ranges_needed(value)
            return [_Term(self._at(value, scale, _EVERYTHING, value.name), scale)]
        # As many as are affordable, if they are worth it; more, if it would be too coarse.
        width = (high - low) / _STEPS
        count = min(width / (need * _FINE_SHARE), _AFFORDABLE / self._products(value))
        count = min(max(count, width / (need * _COARSE_SHARE)), _MAX_SEGMENTS)
        step = max(width / count, finest)
        if self.ranges is None and step > need:
            raise self._ranges_needed(value)
        factor = 1
        if divisor is not None and divisor >= step:
            step = divisor / min(math.ceil(divisor / step), _WEIGHT_MAXIMUM)
        elif divisor is not None and step <= divisor * _WEIGHT_MAXIMUM:
            factor = int(step / divisor)
            step = divisor * factor
        return self._segments(value, step, wanted, need, _WEIGHT_MAXIMUM // factor)

    def _segments(self, value: Value, step: float, wanted: _Range, need: float, most: int
                  ) -> list[_Term]:
        """Return the segments of a value, those at the ends in up to `most` times coarser steps."""
        near, far = self._range(value, wanted), self._range(value, wanted, _BEYOND)
        terms = []
        for sign, fine, whole in ((-1, -near[0], -far[0]), (1, near[1], far[1])):
            count = math.ceil(fine / (_STEPS * step) - 1e-9)
            starts = [(number, 1) for number in range(count)]
            rest = math.ceil(whole / (_STEPS * step) - 1e-9) - count
            while rest > 0:
                starts.append((count, min(rest, most)))
                count, rest = count + starts[-1][1], rest - starts[-1][1]
            terms += [self._segment(value, step, (sign, *start), need) for start in starts]
        return terms

    def _products(self, value: Value) -> float:
        """Products of weights and activations for one segment of a value."""
        operator = self.producers[value.name]
        match operator:
            case MaxPool() | Clamp() | Reshape() | Pad():
                return self._products(operator.input)
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
            case WeightedOperator() | Add():
                return True
            case AveragePool(window=window):
                return window.padding == ((0, 0), (0, 0))
            case _:
                return False

    def _segment(self, value: Value, step: float, place: tuple[int, int, int], need: float,
                 ends: _Range = _EVERYTHING) -> _Term:
        """Return a part of a value.

        Its place is the sign, the start in times of 255 steps from 0, and the length in as many.
        Its integers are those of 0 where the value is 0.
        """
        sign, _, multiple = place
        scale = Scale(step * multiple, -128 if sign > 0 else 127)
        key = "segment", value.name, step, place, ends
        if key not in self.made:
            self.made[key] = self._make_segment(value, step, place, need, ends)
        return _Term(self.made[key], scale, multiple)

    def _make_segment(self, value: Value, step: float, place: tuple[int, int, int], need: float,
                      ends: _Range) -> Value:
        sign, start, multiple = place
        scale = Scale(step * multiple, -128 if sign > 0 else 127)
        offset = sign * start * _STEPS * step
        operator = self.producers[value.name]
        name = f"{value.name}_{'plus' if sign > 0 else 'minus'}_{start}"
        match operator:
            case Clamp():
                return self._segment(operator.input, step, place, need, _intersect(
                    ends, (operator.minimum, operator.maximum))).value
            case MaxPool() | Reshape() | Pad():
                source = self._segment(operator.input, step, place, need).value
                both = _intersect(ends, (operator.minimum, operator.maximum))
                moved = self._emit(replace(operator, minimum=-math.inf, maximum=math.inf),
                                   (source,), scale, name)
                return self._clamped(moved, scale, _shifted(both, offset), f"{name}_clamped")
            case WeightedOperator():
                return self._weighted(operator, scale, ends, name, offset, need)
            case AveragePool():
                return self._average(operator, scale, ends, name, offset, need)
            case _:
                assert isinstance(operator, Add)
                return self._sum(operator, scale, ends, name, offset, need)

    def _weighted(self, operator: WeightedOperator, scale: Scale, ends: _Range, name: str,
                  offset: float = 0.0, need: float | None = None) -> Value:
        """Append a sum of products; or a segment of it, less its offset, with the need of all."""
        both = _shifted(_intersect(ends, (operator.minimum, operator.maximum)), offset)
        if _is_affine(operator) and self._grid(operator.input) is None:
            factor = operator.weight.reshape(-1)
            need = need or min(scale.scale, self._need(operator.output) or math.inf)
            terms = self._terms(operator.input, _EVERYTHING,
                                need / max(float(np.abs(factor).max()), 1e-9))
            if len(terms) > 1:
                levels = np.array([term.multiple for term in terms]).reshape(-1, 1, 1)
                window = Window((len(terms), 1), (1, 1), (operator.input.shape[0], 1))
                return self._combine(operator, terms, levels, window, terms[0].step, factor,
                                     operator.bias - offset, scale, both, name)
            source = terms[0].value
        else:
            source = self._single(operator.input)
        part = replace(operator, bias=operator.bias - offset, minimum=-math.inf, maximum=math.inf)
        return self._emit(part, (source,), scale, name, both)

    def _average(self, operator: AveragePool, scale: Scale, ends: _Range, name: str,
                 offset: float = 0.0, need: float | None = None) -> Value:
        """Append the means of windows; or a segment of them, less its offset."""
        window, source = operator.window, operator.input
        elements = math.prod(window.kernel)
        # Errors of many terms average out.
        segment = need is not None
        need = need or min(scale.scale, self._need(source) or math.inf)
        terms = self._terms(source, _EVERYTHING, need * min(math.sqrt(elements), _MOST_AVERAGED))
        both = _shifted(_intersect(ends, (operator.minimum, operator.maximum)), offset)
        if len(terms) == 1 and not segment:
            return self._emit(operator, (terms[0].value,), scale, name, ends)
        height, channels = source.shape[0], source.shape[2]
        levels = np.zeros(((len(terms) - 1) * height + window.kernel[0], window.kernel[1], 1), int)
        for index, term in enumerate(terms):
            levels[index * height:index * height + window.kernel[0]] = term.multiple
        return self._combine(operator, terms, levels,
                             Window((len(levels), window.kernel[1]), window.stride),
                             terms[0].step, np.full(channels, 1 / elements),
                             np.full(channels, -offset), scale, both, name)

    def _sum(self, operator: Add, scale: Scale, ends: _Range, name: str, offset: float = 0.0,
             need: float | None = None) -> Value:
        """Append the sum of two values; or a segment of it, less its offset."""
        both = _intersect(ends, (operator.minimum, operator.maximum))
        # Beyond the range of the result it does not matter by how much. All segments of a result
        # are made of the same terms.
        low, high = (self._of_scale(scale) if need is None
                     else self._range(operator.output, _EVERYTHING, _BEYOND))
        spans = [self._range(value, _EVERYTHING, _BEYOND) for value in operator.inputs]
        wanted = [(low - span[1], high - span[0]) for span in spans[::-1]]
        found = self._addends(operator, wanted, need or min(
            scale.scale, self._need(operator.output) or math.inf))
        if len(found[0]) == len(found[1]) == 1 and need is None:
            return self._emit(operator, (found[0][0].value, found[1][0].value), scale, name, ends)
        factors = _whole(found[0][0].step, found[1][0].step)
        step, factor = max((terms[0].step, factor)
                           for terms, factor in zip(found, factors, strict=True))
        levels = np.array([factors[index] * term.multiple
                           for index, terms in enumerate(found) for term in terms])
        shape = operator.output.shape
        channels = shape[-1] if len(shape) == 3 else math.prod(shape)
        height = shape[0] if len(shape) == 3 else 1
        return self._combine(operator, [*found[0], *found[1]], levels.reshape(-1, 1, 1),
                             Window((len(levels), 1), (1, 1), (height, 1)), step / factor,
                             np.ones(channels), np.full(channels, -offset), scale,
                             _shifted(both, offset), name)

    def _addends(self, operator: Add, wanted: list[_Range], need: float) -> list[list[_Term]]:
        """Return the terms of both operands, whose steps are whole multiples of one another."""
        fixed = [self._grid(value) is not None or not self._divides(value)
                 for value in operator.inputs]
        found: list[list[_Term]] = [[], []]
        # What has its scale comes first; the other one chooses its own to go with it.
        for index in sorted(range(2), key=lambda index: not fixed[index]):
            other = found[1 - index]
            divisor = other[0].step if other else None
            found[index] = self._terms(operator.inputs[index], wanted[index], need, divisor)
        return found

    def _combine(self, operator: Operator, terms: list[_Term], levels: NDArray[np.integer],
                 window: Window, step: float, factor: NDArray[np.float64],
                 bias: NDArray[np.float64], scale: Scale, ends: _Range, name: str) -> Value:
        """Append a weighted sum of tensors, one below the other, as a depthwise convolution.

        Parameters
        ----------
        operator : Operator
            What the result is of.
        terms : list of _Term
            Tensors of one shape.
        levels : integer array of shape (height, width, 1)
            Weights of the window, up to 127, as many of each tensor.
        window : Window
            How it slides over the stack.
        step : float
            What a step of a tensor, times its level, is in the sum.
        factor, bias : float64 arrays of shape (channels,)
            What the sum is multiplied by, and what is added then.
        scale : Scale
            Scale of the result.
        ends : pair of float
            Range to which it is clamped.
        name : str
            Its name.
        """
        stacked, label = self._stack(operator, terms, step, name)
        height, width, channels = stacked.shape
        height //= len(terms)
        # A tensor's zero point may be another than that of the whole stack.
        shares = [int(levels[index * height:(index + 1) * height].sum()) if window.dilation[0] == 1
                  else int(levels[index].sum()) for index in range(len(terms))]
        wrong = step * sum(share * (label.zero_point - term.scale.zero_point)
                           for share, term in zip(shares, terms, strict=True))
        conv = DepthwiseConv2D(
            name=operator.name, inputs=(), output=operator.output, weight=levels * factor,
            bias=bias + wrong * factor, window=window,
            weight_scale=np.where(factor == 0, 1, np.abs(factor)))
        shape = operator.output.shape
        image = (*window.output_size(height * len(terms), width), channels)
        if shape == image:
            return self._emit(conv, (stacked,), scale, name, ends)
        result = self._emit(conv, (stacked,), scale, f"{name}_image", ends, shape=image)
        reshape = Reshape(name=f"{name}_reshape", inputs=(), output=operator.output)
        return self._emit(reshape, (result,), scale, name)

    def _stack(self, operator: Operator, terms: list[_Term], step: float, name: str
               ) -> tuple[Value, Scale]:
        """Return tensors one below the other, and the scale of the whole: made once."""
        label = Scale(step, terms[0].scale.zero_point)
        key = "stack", step, tuple(term.value.name for term in terms)
        if key in self.made:
            return self.made[key], label
        images = []
        for term in terms:
            value = term.value
            if len(value.shape) != 3:
                reshape = Reshape(name=f"{value.name}_image", inputs=(value,), output=value)
                value = self._emit(reshape, (value,), term.scale, f"{value.name}_image",
                                   shape=(1, 1, math.prod(value.shape)))
            images.append(self._own(value, term.scale))
        height, width, channels = images[0].shape
        stack = Stack(name=f"{operator.name}_stack", inputs=(), output=operator.output)
        self.made[key] = self._emit(stack, tuple(images), label, f"{name}_stack",
                                    shape=(height * len(images), width, channels))
        return self.made[key], label

    def _own(self, value: Value, scale: Scale) -> Value:
        """Return a tensor that may lie in a stack: one that lies in no other, nor the input."""
        root = value
        for operator in self.operators[::-1]:
            if operator.output == root and isinstance(operator, Reshape):
                root = operator.input
        if root.name not in self.stacked and root.name != self.graph.input.name:
            self.stacked.add(root.name)
            return value
        copy = MaxPool(name=f"{value.name}_copy", inputs=(), output=value, window=Window((1, 1)))
        result = self._emit(copy, (value,), scale, f"{value.name}_copy")
        self.stacked.add(result.name)
        return result


def _is_affine(operator: Operator) -> TypeGuard[DepthwiseConv2D]:
    """Whether an operator scales and shifts each channel, and comes with no integers of its own."""
    return isinstance(operator, DepthwiseConv2D) and operator.weight_scale is None \
        and operator.window == Window((1, 1)) \
        and operator.weight.shape[2] == operator.input.shape[-1]


def _intersect(first: _Range, second: _Range) -> _Range:
    """Range of what is clamped to the second range and then to the first."""
    low, high = (min(max(end, first[0]), first[1]) for end in second)
    return low, high


def _shifted(ends: _Range, offset: float) -> _Range:
    return ends[0] - offset, ends[1] - offset


def _whole(first: float, second: float) -> tuple[int, int]:
    """Return the weights, at most 127, whose ratio is nearest to that of two steps."""
    if first > second:
        high, low = _whole(second, first)
        return low, high
    best = min(range(1, _WEIGHT_MAXIMUM + 1), key=lambda denominator: abs(
        round(denominator * first / second) / denominator - first / second))
    return round(best * first / second), best
