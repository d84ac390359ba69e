"""Quantization: a network of real numbers becomes one of 8-bit integers.

By TensorFlow Lite's 8-bit scheme: activations are int8 with a scale and a zero point for a tensor;
weights are int8 with a scale for each output channel, or one for all channels of an operator, and
symmetric; biases are int32 at the scale of the sums. The result is an ordinary
:class:`~eieio.model.graph.quantized_graph.QuantizedGraph` and has its arithmetic.

Operators that only choose, average or move numbers (pools, reshaping, padding, clamping) give
their input's scale to their output; but averages that fill less than half of their input's range
have a finer one. Channels that a stack joins are computed at one scale, which covers the ranges of
all of them. Where a network that comes with scales says otherwise, the numbers are rescaled by a
depthwise convolution whose weights are ones; an average is then the sum of a window, with the
division in the factor.

Scales are kept from being so fine that an engine could not rescale to them: no accumulator needs a
left shift of more than :data:`LEFT_SHIFT_LIMIT` bits, none overflows 32 bits with its shift, and no
bias is above :data:`BIAS_LIMIT`. Only layers whose outputs hardly change, next to what their
weights could do, meet these limits.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph import float_graph as real
from eieio.model.graph import quantized_graph as integer
from eieio.model.graph.quantized_graph import Tensor, Window
from eieio.model.graph.real_biases import settle_halves
from eieio.model.graph.rescale import (
    quantize_factor,
    quantize_factor_rounded_once,
    quantize_factors,
)
from eieio.model.graph.softmax import softmax_factor
from eieio.model.graph.stacks import copy_shared

__all__ = ["BIAS_LIMIT", "LEFT_SHIFT_LIMIT", "LOG_SOFTMAX_SCALE", "SOFTMAX_SCALE", "Scale",
           "choose_scales", "finest_scale", "quantize", "scale_of"]

#: Largest left shift of an accumulator.
LEFT_SHIFT_LIMIT = 7

#: Largest bias, in steps of the sums. Weights below a step are lost beside such a bias anyway.
BIAS_LIMIT = 1 << 23

_MINIMUM, _MAXIMUM = -128, 127
_WEIGHT_MAXIMUM = 127
# A factor of 1 less this does not round up to 1.
_BELOW_ONE = 1 - 2.0**-20
# How much coarser than its sum the larger operand of an addition may be.
_ADD_RATIO = 2.0 ** (integer.ADD_LEFT_SHIFT - 2)
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Scale:
    """Scale and zero point of a :class:`~eieio.model.graph.quantized_graph.Tensor`."""

    scale: float
    zero_point: int


#: Scales of the outputs of softmax and of its logarithm: the only ones that they can have.
SOFTMAX_SCALE = Scale(integer.Softmax.OUTPUT_SCALE, integer.Softmax.OUTPUT_ZERO_POINT)
LOG_SOFTMAX_SCALE = Scale(integer.LogSoftmax.OUTPUT_SCALE, integer.LogSoftmax.OUTPUT_ZERO_POINT)


def choose_scales(graph: real.FloatGraph,
                  ranges: Mapping[str, tuple[float, float]]) -> dict[str, Scale]:
    """Choose the scales of all tensors from the ranges of their numbers.

    Parameters
    ----------
    graph : FloatGraph
        Network to quantize.
    ranges : mapping of pairs of :class:`float`
        Smallest and largest number by the name of the value, as
        :func:`eieio.model.graph.calibration.calibrate` returns them. 0 is added to each.

    Returns
    -------
    dict of Scale
        Scales by the name of the value.

    Raises
    ------
    InputError
        If images one below the other cannot be computed at one scale.
    """
    scales = {graph.input.name: scale_of(ranges[graph.input.name])}
    groups = _joined(graph, ranges)
    for operator in graph.operators:
        operands = [scales[value.name] for value in operator.inputs]
        match operator:
            case real.Softmax():
                scale = SOFTMAX_SCALE
            case real.LogSoftmax():
                scale = LOG_SOFTMAX_SCALE
            case _ if _keeps_scale(operator, ranges):
                scale = operands[0]
            case real.Stack(axis=axis):
                scale = groups[operator.output.name].choose()
                if axis < len(operator.output.shape) - 1 and set(operands) != {scale}:
                    raise InputError(f"Stack {operator.name!r} must join channels, or what can "
                                     f"have one scale, not along axis {axis}")
            case _:
                ends, finest = ranges[operator.output.name], finest_scale(operator, operands)
                group = groups.get(operator.output.name)
                scale = scale_of(ends, finest) if group is None else group.choose(finest)
        scales[operator.output.name] = scale
    return scales


def _keeps_scale(operator: real.Operator, ranges: Mapping[str, tuple[float, float]]) -> bool:
    """Whether an operator's output has the scale of its input."""
    if isinstance(operator, real.AveragePool) and operator.window.padding == ((0, 0), (0, 0)):
        width, source = (max(high, 0.0) - min(low, 0.0) for low, high in (
            ranges[operator.output.name], ranges[operator.input.name]))
        return width >= source / 2
    return isinstance(operator, real.Pool | real.Clamp | real.Reshape | real.Pad)


class _Group:
    """Values that stacks join, directly or through operators that keep a scale."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []
        self.scale: Scale | None = None

    def choose(self, finest: float = 0.0) -> Scale:
        """Return the scale of one of them: that of all, unless its sums cannot be rescaled to it.

        What then has another scale is rescaled in front of the stack.
        """
        if self.scale is None or self.scale.scale < finest:
            lows, highs = zip(*self.ends, strict=True)
            self.scale = scale_of((min(lows), max(highs)), finest)
        return self.scale


def _joined(graph: real.FloatGraph, ranges: Mapping[str, tuple[float, float]]
            ) -> dict[str, _Group]:
    """Group of every value whose scale is to be that of others, because a stack joins them."""
    producers = {operator.output.name: operator for operator in graph.operators}
    groups: dict[str, _Group] = {}

    def source(value: real.Value) -> real.Operator | None:
        """Find what decides about the scale of a value, if it can be changed."""
        operator = producers.get(value.name)
        while operator is not None and _keeps_scale(operator, ranges):
            operator = producers.get(operator.input.name)
        return None if isinstance(operator, real.Softmax | real.LogSoftmax) else operator

    for operator in graph.operators:
        if not isinstance(operator, real.Stack):
            continue
        group = groups[operator.output.name] = _Group()
        for value in operator.inputs:
            found = source(value)
            if found is None:
                group.ends.append(ranges[value.name])
                continue
            other = groups.get(found.output.name)
            if other is None:
                group.ends.append(ranges[found.output.name])
                groups[found.output.name] = group
            elif other is not group:
                # One of both from now on.
                group.ends += other.ends
                groups |= {name: group for name, each in groups.items() if each is other}
    return groups


def scale_of(ends: tuple[float, float], finest: float = 0.0) -> Scale:
    """Return the scale of a range, to which 0 is added; its step is `finest` at least."""
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    step = (high - low) / (_MAXIMUM - _MINIMUM)
    scale = max(step, finest, _SMALLEST_SCALE) if step or finest else 1.0
    zero_point = round(_MINIMUM - low / scale)
    return Scale(scale, min(max(zero_point, _MINIMUM), _MAXIMUM))


def finest_scale(operator: real.Operator, operands: list[Scale]) -> float:
    """Return the finest scale of the output to which the sums can be rescaled."""
    if isinstance(operator, real.WeightedOperator):
        source = operands[0]
        scale, weight, bias = _integers(operator, source)
        largest = max(_MAXIMUM - source.zero_point, source.zero_point - _MINIMUM)
        bounds = np.abs(weight).sum(axis=1) * largest + np.abs(bias)
        shifts = np.array([min(LEFT_SHIFT_LIMIT, max(31 - int(bound).bit_length(), 0))
                           for bound in bounds.tolist()])
        return float((source.scale * scale / 2.0**shifts).max()) / _BELOW_ONE
    if isinstance(operator, real.Pool):
        return operands[0].scale / math.prod(operator.window.kernel) / _BELOW_ONE
    return max(scale.scale for scale in operands) / _ADD_RATIO


#: Scales of the weights; weights, of shape (channels, weights of one); biases.
_Integers = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]


def _integers(operator: real.WeightedOperator, source: Scale) -> _Integers:
    """Scales of the weights; weights, of shape (channels, weights of one); biases."""
    weight, bias = (numbers.astype(np.float64) for numbers in (operator.by_channel, operator.bias))
    scale = operator.weight_scale
    if scale is None:
        scale = np.maximum(np.abs(weight).max(axis=1) / _WEIGHT_MAXIMUM,
                           np.abs(bias) / (source.scale * BIAS_LIMIT))
        if operator.one_scale:
            scale = np.full_like(scale, scale.max())
        # Any scale does for a channel of zeros, but none finer than it needs to be.
        scale = np.where(scale > 0, np.maximum(scale, _SMALLEST_SCALE),
                         scale.max() if scale.any() else 1.0)
    limit = 1 << 31
    with np.errstate(over="ignore"):
        steps = _round(bias / (source.scale * scale))
    if not (np.abs(steps) < limit).all():
        raise InputError(f"{type(operator).__name__} {operator.name!r}: bias must be below 2**31 "
                         f"steps of the sums, not {float(np.abs(steps).max()):.4g}")
    levels = _round(weight / scale[:, None])
    if operator.weight_scale is not None and not (
            (levels >= -128).all() and (levels <= _WEIGHT_MAXIMUM).all()):
        raise InputError(f"{type(operator).__name__} {operator.name!r}: weights must be integers "
                         "of 8 bits at their scales, not up to "
                         f"{float(np.abs(levels).max()):.4g}")
    levels = np.clip(levels, -128, _WEIGHT_MAXIMUM)
    return scale, levels.astype(np.int64), steps.astype(np.int64)


def _round(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to the nearest integer, a half away from zero."""
    return np.trunc(numbers + np.copysign(0.5, numbers))


def quantize(graph: real.FloatGraph, scales: Mapping[str, Scale]) -> integer.QuantizedGraph:
    """Make the network of integers.

    Parameters
    ----------
    graph : FloatGraph
        Network to quantize.
    scales : mapping of Scale
        Scales of all values by their names. Those of the outputs of softmax and of its logarithm
        are :data:`SOFTMAX_SCALE` and :data:`LOG_SOFTMAX_SCALE`.

    Returns
    -------
    QuantizedGraph
        The network, with the names of ``graph``; what operators are added for their sake have names
        made from them.

    Raises
    ------
    InputError
        If an accumulator could overflow, or a factor is out of range: the message names the
        operator.
    """
    return replace(copy_shared(_Quantizer(graph, scales).graph()),
                   channels_first=graph.channels_first)


class _Quantizer:
    def __init__(self, graph: real.FloatGraph, scales: Mapping[str, Scale]) -> None:
        self.source = graph
        self.scales = scales
        self.operators: list[integer.Operator] = []
        self.names = {operator.name for operator in graph.operators}
        self.names |= {graph.input.name} | {operator.output.name for operator in graph.operators}
        self.tensors = {graph.input.name: self._tensor(graph.input)}

    def graph(self) -> integer.QuantizedGraph:
        for operator in self.source.operators:
            inputs = tuple(self.tensors[value.name] for value in operator.inputs)
            output = self._tensor(operator.output)
            self.tensors[operator.output.name] = output
            try:
                self._append(operator, inputs, output)
            except InputError as error:
                named = repr(operator.name) in str(error)
                where = "" if named else f"{type(operator).__name__} {operator.name!r}: "
                raise InputError(f"{where}{error}") from None
        return integer.QuantizedGraph(self.source.name, self.tensors[self.source.input.name],
                                      self.tensors[self.source.output.name], tuple(self.operators))

    def _tensor(self, value: real.Value) -> Tensor:
        scale = self.scales[value.name]
        return Tensor(value.name, value.shape, scale.scale, scale.zero_point)

    def _unique(self, name: str) -> str:
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name

    def _append(self, operator: real.Operator, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        name, low, high = operator.name, *_clamp(operator, output)
        match operator:
            case real.WeightedOperator():
                self.operators.append(self._weighted(operator, inputs[0], output))
            case real.Add():
                multipliers, shifts = integer.Add.factors(
                    inputs[0].scale, inputs[1].scale, output.scale)
                self.operators.append(integer.Add(name, inputs, output, multipliers, shifts, low,
                                                  high, single_rounding=True))
            case real.Softmax():
                factor = quantize_factor(softmax_factor(1.0, inputs[0].scale))
                self.operators.append(integer.Softmax(name, inputs, output, *factor))
            case real.LogSoftmax():
                self.operators.append(integer.LogSoftmax(name, inputs, output))
            case real.Stack(axis=axis):
                if axis == len(output.shape) - 1:
                    inputs = tuple(self._at_scale(tensor, output) for tensor in inputs)
                self.operators.append(integer.Stack(name, inputs, output, axis))
            case _ if _same_scale(inputs[0], output):
                self._move(operator, name, inputs[0], output, low, high)
            case real.AveragePool(window=window) if window.padding == ((0, 0), (0, 0)):
                self.operators.append(_mean(name, inputs[0], output, window, low, high))
            case real.Clamp():
                self._rescale(name, inputs[0], output, low, high)
            case _:
                # At the scale of the input first; the clamp comes last.
                between = Tensor(self._unique(f"{output.name}_before"), output.shape,
                                 inputs[0].scale, inputs[0].zero_point)
                self._move(operator, self._unique(f"{name}_before"), inputs[0], between, _MINIMUM,
                           _MAXIMUM)
                self._rescale(name, between, output, low, high)

    def _weighted(self, operator: real.WeightedOperator, source: Tensor,
                  output: Tensor) -> integer.Operator:
        scale, levels, bias = _integers(operator, Scale(source.scale, source.zero_point))
        line = levels.shape[1] == 1 and operator.weight_scale is None and not operator.one_scale
        exact = np.full(len(bias), not line and operator.weight_scale is None)
        if line and not operator.wraps:
            (scale, levels, bias), exact = _exact_line(operator, source, output,
                                                       (scale, levels, bias))
        finer = 0
        if not exact.all():
            bias, finer = _finer_bias(operator, source, (scale, levels, bias), output, exact)
        factors = quantize_factors(source.scale * scale / output.scale / 2**finer)
        low, high = _clamp(operator, output)
        if operator.weight_scale is not None and not operator.wraps:
            bias, factors = settle_halves(
                source.scale * scale, operator.bias, output, (low, high), bias, finer, factors,
                np.abs(levels).sum(axis=1) * source.largest)
        rest = (bias.astype(np.int32), *factors, low, output.maximum if operator.wraps else high)
        modes: dict[str, Any] = {"single_rounding": True, "bias_shift": finer,
                                 "wraps": operator.wraps}
        shape, inputs, levels = operator.weight.shape, (source,), levels.astype(np.int8)
        match operator:
            case real.Conv2D():
                return integer.Conv2D(operator.name, inputs, output, levels.reshape(shape), *rest,
                                      operator.window, **modes)
            case real.DepthwiseConv2D():
                return integer.DepthwiseConv2D(operator.name, inputs, output,
                                               levels.T.reshape(shape), *rest, operator.window,
                                               **modes)
            case _:
                return integer.FullyConnected(operator.name, inputs, output, levels, *rest, **modes)

    def _move(self, operator: real.Operator, name: str, source: Tensor, output: Tensor, low: int,
              high: int) -> None:
        """Append an operator whose input and output have one scale."""
        match operator:
            case real.AveragePool():
                moved = integer.AveragePool(name, (source,), output, operator.window, low, high)
            case real.MaxPool():
                moved = integer.MaxPool(name, (source,), output, operator.window, low, high)
            case real.Pad():
                moved = integer.Pad(name, (source,), output, operator.padding)
            case real.Reshape():
                moved = integer.Reshape(name, (source,), output)
            case _:
                self._on_images(name, source, output, lambda name, source, output: (
                    integer.MaxPool(name, (source,), output, Window((1, 1)), low, high)))
                return
        self.operators.append(moved)

    def _at_scale(self, tensor: Tensor, other: Tensor) -> Tensor:
        """Return a tensor at the scale of another one: rescaled, if it has its own."""
        if _same_scale(tensor, other):
            return tensor
        result = replace(tensor, name=self._unique(f"{tensor.name}_rescaled"), scale=other.scale,
                         zero_point=other.zero_point)
        self._rescale(self._unique(f"{tensor.name}_rescale"), tensor, result, _MINIMUM, _MAXIMUM)
        return result

    def _rescale(self, name: str, source: Tensor, output: Tensor, low: int, high: int) -> None:
        """Append a change of scale."""
        self._on_images(name, source, output, lambda name, source, output: _mean(
            name, source, output, Window((1, 1)), low, high))

    def _on_images(self, name: str, source: Tensor, output: Tensor,
                   create: Callable[[str, Tensor, Tensor], integer.Operator]) -> None:
        """Append an operator that takes images; other tensors are reshaped before and behind."""
        if len(source.shape) == 3:
            self.operators.append(create(name, source, output))
            return
        *others, last = source.shape
        shape = (1, math.prod(others), last)
        before, behind = (replace(tensor, name=self._unique(f"{tensor.name}_image"), shape=shape)
                          for tensor in (source, output))
        self.operators += [
            integer.Reshape(self._unique(f"{name}_before"), (source,), before),
            create(name, before, behind),
            integer.Reshape(self._unique(f"{name}_behind"), (behind,), output)]


def _finer_bias(operator: real.WeightedOperator, source: Tensor, found: _Integers,
                output: Tensor, exact: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Round real biases to parts of a step of the sums, as fine as accumulators have room for.

    Those of channels whose results are exact stay what they are. Returns biases, and how much finer
    their steps are, as a power of two: no finer than they need to be.
    """
    scale, levels, whole_steps = found
    unit = source.scale * scale
    steps = operator.bias.astype(np.float64) / unit
    largest = max(_MAXIMUM - source.zero_point, source.zero_point - _MINIMUM)
    sums = np.abs(levels).sum(axis=1) * largest
    for finer in range(integer.BIAS_SHIFT_MAXIMUM, 0, -1):
        bias = np.where(exact, whole_steps * 2.0**finer, _round(steps * 2.0**finer))
        left = np.maximum(np.ceil(np.log2(unit / output.scale / 2**finer) + 1e-9), 0)
        if finer + left.max() <= LEFT_SHIFT_LIMIT and (
                (sums * 2.0**finer + np.abs(bias)) * 2.0**left < 1 << 31).all():
            whole = bias.astype(np.int64)
            while finer and not (whole & 1).any():
                whole, finer = whole >> 1, finer - 1
            return whole, finer
    return whole_steps, 0


def _exact_line(operator: real.WeightedOperator, source: Tensor, output: Tensor, found: _Integers
                ) -> tuple[_Integers, NDArray[np.bool_]]:
    """Choose the integer of each channel's only weight so that the results are exact.

    Any integer holds the weight exactly, at some scale; but the bias is to be an integer, too. Of
    all 256 inputs, as many as can be have the result of real numbers. Returns also of which
    channels all have.
    """
    weight = operator.by_channel[:, 0].astype(np.float64)
    bias = operator.bias.astype(np.float64)
    x = np.arange(_MINIMUM, _MAXIMUM + 1) - source.zero_point
    limits = np.array([_MINIMUM, _MAXIMUM]) - output.zero_point

    def results(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(_round(numbers / output.scale), *limits)

    wanted = results(weight[:, None] * (source.scale * x) + bias[:, None])
    scale, levels, steps = found[0].copy(), found[1].copy(), found[2].copy()
    wrong = np.full(len(weight), np.inf)
    for level in range(_WEIGHT_MAXIMUM, _WEIGHT_MAXIMUM // 2, -1):
        scales = np.abs(weight) / level
        with np.errstate(divide="ignore", invalid="ignore"):
            biases = _round(bias / (source.scale * scales))
            # Of a weight of 0 they are nothing, and equal to nothing.
            sums = (np.sign(weight) * level)[:, None] * x + biases[:, None]
            off = (results(sums * (source.scale * scales)[:, None]) != wanted).sum(axis=1)
        better = (np.abs(biases) <= BIAS_LIMIT) & (off < wrong) & (
            source.scale * scales < output.scale * 2.0**LEFT_SHIFT_LIMIT)
        scale[better], steps[better], wrong[better] = scales[better], biases[better], off[better]
        levels[better, 0] = np.sign(weight[better]) * level
    return (scale, levels, steps), wrong == 0


def _mean(name: str, source: Tensor, output: Tensor, window: Window, low: int,
          high: int) -> integer.DepthwiseConv2D:
    """Make a mean of windows at another scale: a sum, with the division in its factor."""
    channels, elements = source.shape[2], math.prod(window.kernel)
    factor = source.scale / (output.scale * elements)
    bound = elements * max(_MAXIMUM - source.zero_point, source.zero_point - _MINIMUM)
    once = quantize_factor_rounded_once(
        factor, bound, output.zero_point - low, high - output.zero_point)
    multiplier, shift = quantize_factor(factor) if once is None else once
    return integer.DepthwiseConv2D(
        name, (source,), output, np.ones((*window.kernel, channels), np.int8),
        np.zeros(channels, np.int32), np.full(channels, multiplier, np.int32),
        np.full(channels, shift, np.int32), low, high, window, single_rounding=True)


def _same_scale(first: Tensor, second: Tensor) -> bool:
    return (first.scale, first.zero_point) == (second.scale, second.zero_point)


def _clamp(operator: real.Operator, output: Tensor) -> tuple[int, int]:
    """Range of the integers to which an operator clamps."""
    steps = np.array([operator.minimum, operator.maximum]) / output.scale
    low, high = np.clip(_round(steps) + output.zero_point, _MINIMUM, _MAXIMUM).astype(int).tolist()
    return low, high
