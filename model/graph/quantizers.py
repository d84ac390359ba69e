"""From quantizers anywhere in a network to a scale for each of its tensors.

A file that comes quantized may round its activations where it likes: behind every operator, or only
in front of those with weights, with any operators on real numbers between; and several quantizers
may read one real tensor. An engine holds nothing but 8-bit integers. :func:`settle` gives every
tensor a scale so that the integers behind each quantizer are what the file says:

- Rounding and saturation go in front of what commutes with them: maxima of windows, clamps,
  padding, changes of shape, and channels that are joined. A sum of products is rounded once, to the
  scale of the quantizer behind it.
- Where several quantizers of different scales read one result, it is computed for each.
- What is left are real numbers that an average, or a sum of two tensors, takes. They are held as
  *segments*: tensors whose sum is the number, each of which covers 255 steps of the range and
  saturates at both its ends; and a remainder, in steps much finer than those. So the step may be
  as fine as the quantizer behind asks for, whatever the range. The sum of segments is one depthwise
  convolution over a :class:`~eieio.model.graph.float_graph.Stack` of them.

The range of these numbers is what the quantizers in front and behind leave of it. Where this is too
wide, or where real numbers go into weights or are the output, it has to be measured on samples.
"""

from collections.abc import Mapping
from dataclasses import replace

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Clamp,
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
from eieio.model.graph.halves import HalfSegmenter
from eieio.model.graph.quantization import LOG_SOFTMAX_SCALE, SOFTMAX_SCALE, Scale
from eieio.model.graph.quantized_graph import Window
from eieio.model.graph.value_facts import EVERYTHING, Range, RangesNeededError, intersect

__all__ = ["RangesNeededError", "settle"]


def settle(graph: FloatGraph, scales: Mapping[str, Scale],
           ranges: Mapping[str, Range] | None = None) -> tuple[FloatGraph, dict[str, Scale]]:
    """Give every tensor of a quantized network a scale.

    Parameters
    ----------
    graph : FloatGraph
        Network with :class:`~eieio.model.graph.float_graph.Quantize` operators.
    scales : mapping of Scale
        Scale of the input by its name, if the network takes integers.
    ranges : mapping of pairs of :class:`float`, optional
        Smallest and largest number by the name of the value, as
        :func:`eieio.model.graph.calibration.calibrate` returns them.

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

class _Settler(HalfSegmenter):
    def settle(self) -> tuple[FloatGraph, dict[str, Scale]]:
        output = self.graph.output
        scale = self.grid(output) or self.chosen(output, EVERYTHING)
        result = self.at(output, scale, EVERYTHING, output.name)
        if not self.operators:
            raise InputError(f"output {output.name!r} must be computed by an operator")
        return (replace(self.graph, output=result, operators=tuple(self.operators)), self.scales)

    def at(self, value: Value, scale: Scale, ends: Range, name: str) -> Value:
        """Return the tensor of a value, clamped to a range and rounded to a scale."""
        key = "at", value.name, scale, ends
        if key not in self.made:
            self.made[key] = self._make(value, scale, ends, name)
        return self.made[key]

    def _make(self, value: Value, scale: Scale, ends: Range, name: str) -> Value:
        operator = self.producers.get(value.name)
        if ends != EVERYTHING and self.uses[value.name] > 1:
            # What others take as well is computed once, where they take it at this scale.
            if any(isinstance(reader, Quantize) and Scale(reader.scale, reader.zero_point) == scale
                   for reader in self.readers[value.name]) or self.grid(value) == scale:
                return self.clamped(self.at(value, scale, EVERYTHING, value.name), scale, ends,
                                     name)
        match operator:
            case None:
                return self.clamped(self.graph.input, scale, ends, name)
            case Quantize():
                own = Scale(operator.scale, operator.zero_point)
                both = intersect(ends, (operator.minimum, operator.maximum))
                if own == scale:
                    return self.at(operator.input, scale, both, name)
                source = self.at(value, own, EVERYTHING, operator.output.name)
                return self.clamped(source, scale, ends, name)
            case Clamp():
                return self.at(operator.input, scale,
                                intersect(ends, (operator.minimum, operator.maximum)), name)
            case MaxPool() | Reshape() | Pad() | Stack():
                own = self.grid(value)
                if own is not None and own != scale:
                    return self.clamped(self.at(value, own, EVERYTHING, value.name), scale,
                                         ends, name)
                if isinstance(operator, Stack):
                    return self.emit(operator, tuple(
                        self.at(source, scale, ends, source.name) for source in operator.inputs),
                        scale, name)
                return self._moved(operator, self.at(
                    operator.input, scale, EVERYTHING, operator.input.name), scale, ends, name)
            case WeightedOperator():
                return self.weighted(operator, scale, ends, name)
            case Softmax() | LogSoftmax():
                own = SOFTMAX_SCALE if isinstance(operator, Softmax) else LOG_SOFTMAX_SCALE
                source = self.emit(operator, (self.single(operator.input),), own, name)
                return self.clamped(source, scale, ends, f"{name}_rescaled")
            case AveragePool(window=Window((1, 1), (1, 1), padding=((0, 0), (0, 0)))):
                return self.at(operator.input, scale,
                               intersect(ends, (operator.minimum, operator.maximum)), name)
            case AveragePool():
                return self.average(operator, scale, ends, name)
            case Add():
                return self.sum(operator, scale, ends, name)
            case _:
                raise InputError(f"{type(operator).__name__} {name!r} must have a scale")

    def _moved(self, operator: Operator, source: Value, scale: Scale, ends: Range,
               name: str) -> Value:
        """Append what chooses or moves integers."""
        both = intersect(ends, (operator.minimum, operator.maximum))
        if isinstance(operator, MaxPool) or both == EVERYTHING:
            return self.emit(operator, (source,), scale, name, ends)
        moved = self.emit(operator, (source,), scale, f"{name}_before")
        return self.clamped(moved, scale, both, name)
