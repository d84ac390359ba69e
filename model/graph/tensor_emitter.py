"""Operators of a network whose quantizers have settled: they compute tensors at scales."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.float_graph import (
    Clamp,
    DepthwiseConv2D,
    Operator,
    Reshape,
    Value,
    WeightedOperator,
)
from eieio.model.graph.quantization import Scale
from eieio.model.graph.quantized_graph import Window
from eieio.model.graph.value_facts import (
    EVERYTHING,
    Range,
    ValueFacts,
    intersect,
    is_affine,
    may_scale,
)

__all__ = ["TensorEmitter"]


class TensorEmitter(ValueFacts):
    """Appends operators whose results are tensors.

    Attributes
    ----------
    operators : list of Operator
        What has been appended, without quantizers.
    scales : dict of Scale
        Scales of their results and of the input.
    """

    def __init__(self, *facts: Any) -> None:
        super().__init__(*facts)
        self.operators: list[Operator] = []
        self.made: dict[Any, Any] = {}
        self._taken = {self.graph.input.name}
        self._labels: set[str] = set()

    def at(self, value: Value, scale: Scale, ends: Range, name: str) -> Value:
        """Return the tensor of a value, clamped to a range and rounded to a scale."""
        raise NotImplementedError

    def _name(self, wanted: str) -> str:
        while wanted in self._taken:
            wanted += "_"
        self._taken.add(wanted)
        return wanted

    def _label(self, wanted: str) -> str:
        while wanted in self._labels:
            wanted += "_"
        self._labels.add(wanted)
        return wanted

    def emit(self, operator: Operator, inputs: tuple[Value, ...], scale: Scale, name: str,
              ends: Range = EVERYTHING, shape: tuple[int, ...] | None = None,
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

    def clamped(self, source: Value, scale: Scale, ends: Range, name: str) -> Value:
        """Rescale, or clamp, integers."""
        if self.scales[source.name] == scale and ends == EVERYTHING:
            return source
        clamp = Clamp(name=f"{name}_rescale", inputs=(source,), output=source)
        return self.emit(clamp, (source,), scale, name, ends)

    def single(self, value: Value) -> Value:
        """Return the one tensor of what a sum of products, or softmax, takes."""
        scale = self.grid(value) or self.chosen(value, EVERYTHING)
        return self.at(value, scale, EVERYTHING, value.name)

    # Real numbers.

    def folded(self, operator: WeightedOperator
                ) -> tuple[WeightedOperator, list[NDArray[np.float64]]] | None:
        """Fold what scales and shifts a real sum of products into its weights.

        Returns the sum, without its clamps, and for each end of a clamp behind it where the end is
        now, and 1 if it is a lower or -1 if it is an upper end: shape (2, channels).
        """
        if not is_affine(operator) or self.grid(operator.input) is not None:
            return None
        ends, before = EVERYTHING, self.producers[operator.input.name]
        while isinstance(before, Clamp):
            ends = intersect(ends, (before.minimum, before.maximum))
            before = self.producers.get(before.input.name)
        factor, shift = operator.weight.reshape(-1), operator.bias
        if not isinstance(before, WeightedOperator) or len(before.bias) != len(factor) \
                or (is_affine(before) and self.grid(before.input) is None) \
                or not may_scale(before, factor):
            return None
        ends = intersect(ends, (before.minimum, before.maximum))
        each = factor if isinstance(before, DepthwiseConv2D) else factor.reshape(
            -1, *[1] * (before.weight.ndim - 1))
        steps = before.weight_scale
        if steps is not None:
            steps = steps * np.where(factor == 0, 1, np.abs(factor))
        total = replace(before, weight=before.weight * each, weight_scale=steps,
                        bias=before.bias * factor + shift, minimum=-math.inf, maximum=math.inf)
        signs = np.where(factor < 0, -1, 1)
        return total, [np.stack([factor * end + shift, sign * signs])
                       for end, sign in zip(ends, (1, -1), strict=True) if math.isfinite(end)]

    def clamp_channels(self, total: WeightedOperator,
                        clamps: list[NDArray[np.float64]], scale: Scale, ends: Range, name: str,
                        offset: float) -> Value:
        """Append a sum of products, less an offset, with ends of clamps for each channel.

        Rounding and saturation commute with clamps, so that it is the integers that are clamped:
        ``end + sign * max(sign * (x - end), 0)``, which is exact in them.
        """
        part = replace(total, bias=total.bias - offset)
        last = EVERYTHING if clamps else ends
        value = self.emit(part, (self.single(total.input),), scale,
                          f"{name}_before" if clamps else name, last)
        low, high = self.of_scale(scale)
        for number, (places, signs) in enumerate(clamps):
            steps = np.clip(places - offset, low, high) / scale.scale
            place = np.trunc(steps + np.copysign(0.5, steps)) * scale.scale
            above = DepthwiseConv2D(
                name=f"{total.name}_end", inputs=(), output=value, weight=signs.reshape(1, 1, -1),
                bias=-signs * place, window=Window((1, 1)), weight_scale=np.ones(len(signs)))
            image = self.as_image(value, scale)
            beyond = self.emit(above, (image,), Scale(scale.scale, -128), f"{name}_beyond",
                               (0.0, math.inf), shape=image.shape)
            done = number == len(clamps) - 1
            back = self.emit(replace(above, bias=place), (beyond,), scale,
                             name if done and image is value else f"{name}_clamped",
                             ends if done else EVERYTHING, shape=image.shape)
            value = back if image is value else self.emit(
                Reshape(name=f"{name}_reshape", inputs=(), output=value), (back,), scale, name)
        return value

    def as_image(self, value: Value, scale: Scale) -> Value:
        """Return a tensor in the shape of an image."""
        if len(value.shape) == 3:
            return value
        reshape = Reshape(name=f"{value.name}_image", inputs=(value,), output=value)
        return self.emit(reshape, (value,), scale, f"{value.name}_image",
                         shape=(1, 1, math.prod(value.shape)))
