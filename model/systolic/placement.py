"""Where tensors lie in the activation buffer of the systolic engine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import (
    Add,
    DepthwiseConv2D,
    FullyConnected,
    Operator,
    Pad,
    Pool,
    QuantizedGraph,
    Reshape,
    Stack,
    Tensor,
)
from eieio.model.systolic.config import SystolicConfig

__all__ = ["Placement", "place_tensors"]

_Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Placement:
    """Where a tensor lies in the activation buffer.

    Attributes
    ----------
    base : :class:`int`
        Address of its first word.
    height, width, channels : :class:`int`
        Its shape; a vector is one pixel, or one for each sample of a batch.
    words : :class:`int`
        Words of a pixel.
    step : :class:`int`
        Words from a pixel to the next: more than its own, if others' channels lie beside it.
    parts : tuple of :class:`int`
        Channels that lie without a gap: each part begins with a word.
    input : :class:`bool`
        Whether it lies in the input memory, and not in the activation buffer.
    """

    base: int
    height: int
    width: int
    channels: int
    words: int
    step: int
    parts: tuple[int, ...]
    input: bool = False

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def size(self) -> int:
        """Words from the first to the last of the tensor."""
        return (self.pixels - 1) * self.step + self.words

    @property
    def packed(self) -> bool:
        """Whether nothing lies between its pixels."""
        return self.step == self.words or self.pixels == 1

    def lanes(self, rows: int) -> NDArray[np.int64]:
        """Lane of every channel, among those of a pixel's words of `rows`: shape (channels,)."""
        first = np.cumsum([0, *(_words((part,), rows) * rows for part in self.parts[:-1])])
        return np.concatenate([start + np.arange(part)
                               for start, part in zip(first, self.parts, strict=True)])

    def used_lanes(self, rows: int) -> int:
        """Lanes up to that of the last channel."""
        return (self.words - _words(self.parts[-1:], rows)) * rows + self.parts[-1]


def place_tensors(graph: QuantizedGraph, operators: Sequence[Operator], result: Tensor,
                  config: SystolicConfig, batch: int) -> dict[str, Placement]:
    """Place tensors so that no two that are needed at a time overlap.

    Parameters
    ----------
    graph : QuantizedGraph
        Network.
    operators : sequence of Operator
        What the engine computes of it, in order.
    result : Tensor
        What the engine sends.
    config : SystolicConfig
        Engine.
    batch : :class:`int`
        Samples of an inference.

    Returns
    -------
    dict of Placement
        Placement of each tensor by its name. A reshaped tensor has its input's; one in a stack is
        a part of the stack's.

    Raises
    ------
    InputError
        If they do not fit in the buffer, or a stack cannot be made of its tensors in their places:
        the message names the tensor or the operator, and what would fit.
    """
    return _Allocator(graph, operators, config, batch).place(result)


@dataclass(frozen=True)
class _Inside:
    """Where a tensor lies in a stack: how many rows, or words of a pixel, behind its beginning."""

    stack: str
    row: int = 0
    word: int = 0


class _Allocator:
    def __init__(self, graph: QuantizedGraph, operators: Sequence[Operator],
                 config: SystolicConfig, batch: int) -> None:
        self.graph, self.operators, self.config, self.batch = graph, operators, config, batch
        #: Name of the tensor whose placement a tensor has: a reshaped one has its input's.
        self.roots = {graph.input.name: graph.input.name}
        for operator in operators:
            name = operator.output.name
            self.roots[name] = (self.roots[operator.input.name] if isinstance(operator, Reshape)
                                else name)
        self.shapes = self._shapes()
        self.parts = self._parts()
        self.inside = self._stacks()

    def place(self, result: Tensor) -> dict[str, Placement]:
        last_use = dict.fromkeys(self.shapes, -1)
        for number, operator in enumerate(self.operators):
            for tensor in (*operator.inputs, operator.output):
                last_use[self.roots[tensor.name]] = number
        last_use[self.roots[result.name]] = len(self.operators)
        for name in self.inside:
            whole = self._whole(name)
            last_use[whole] = max(last_use[whole], last_use[name])
        tried = [self._place(last_use, beside=True)]
        if self.config.input_depth:
            # Tensors fit behind one another in other ways if one as large as the input lies there.
            tried = [_in_input_memory(placements, self.graph.input.name) for placements in (
                self._place(last_use, beside=False), *tried)]
        placements = min(tried, key=lambda found: max(
            (placement.base + placement.size for placement in found.values()
             if not placement.input), default=0))
        self._check_depth(placements)
        return {name: self._part(root, placements) for name, root in self.roots.items()}

    def _place(self, last_use: Mapping[str, int], *, beside: bool) -> dict[str, Placement]:
        """Place each tensor where it fits first, beside the input or not."""
        placements: dict[str, Placement] = {}
        births = [(-1, self.graph.input.name)]
        births += [(number, operator.output.name)
                   for number, operator in enumerate(self.operators)
                   if not isinstance(operator, Reshape)]
        for born, tensor in births:
            # A stack takes its place with the first of its tensors.
            name = self._whole(tensor)
            if name not in placements:
                # The input is kept: it is born before all, and others may be written over it.
                taken = sorted((other.base, other.base + other.size)
                               for key, other in placements.items()
                               if last_use[key] >= born
                               and (beside or key != self.graph.input.name))
                placements[name] = self._fit(name, taken)
        return placements

    def _fit(self, name: str, taken: list[tuple[int, int]]) -> Placement:
        """Place a tensor where it fits first."""
        parts = self.parts[name]
        words = _words(parts, self.config.rows)
        placement = Placement(0, *self.shapes[name], words, words, parts)
        base = 0
        for low, high in taken:
            if low - base >= placement.size:
                break
            base = max(base, high)
        return replace(placement, base=base)

    def _check_depth(self, placements: Mapping[str, Placement]) -> None:
        """Refuse what does not fit, with the depth that all of it takes."""
        ends = {name: placement.base + placement.size for name, placement in placements.items()
                if not placement.input}
        depth = self.config.activation_depth
        for name, end in ends.items():
            if end > depth:
                raise InputError(
                    f"Tensor {name!r} of shape {self.shapes[name]} does not fit beside what else "
                    f"is needed: option activation_depth must be at least {max(ends.values())}, "
                    f"not {depth}")

    def _whole(self, name: str) -> str:
        """Name of the outermost stack in which a tensor lies, or its own."""
        while name in self.inside:
            name = self.inside[name].stack
        return name

    def _part(self, name: str, placements: Mapping[str, Placement]) -> Placement:
        if name not in self.inside:
            return placements[name]
        inside, parts = self.inside[name], self.parts[name]
        stack = self._part(inside.stack, placements)
        base = stack.base + inside.row * stack.width * stack.step + inside.word
        return Placement(base, *self.shapes[name], _words(parts, self.config.rows), stack.step,
                         parts)

    def _shapes(self) -> dict[str, _Shape]:
        """Shape in the buffer of each tensor that has a placement of its own."""
        shapes: dict[str, _Shape] = {}
        tensors = {tensor.name: tensor for tensor in self.graph.tensors}
        vectors = {operator.output.name for operator in self.operators
                   if isinstance(operator, FullyConnected)}
        for name in dict.fromkeys(self.roots.values()):
            shape = tensors[name].shape
            if name == self.graph.input.name:
                # An input may have to be reshaped into an image first.
                images = [tensors[other].shape for other, root in self.roots.items()
                          if root == name and len(tensors[other].shape) == 3]
                shape = images[0] if images else shape
            elif name in vectors:
                shape = (math.prod(shape),)
            if len(shape) > 3:
                raise InputError(f"Tensor {name!r} must have at most 3 axes, not shape {shape}")
            height, width, channels = (1,) * (3 - len(shape)) + shape
            if self.batch > 1:
                height, width, channels = 1, self.batch, math.prod(shape)
            shapes[name] = height, width, channels
        return shapes

    def _parts(self) -> dict[str, tuple[int, ...]]:
        """Channels that lie without a gap, of each tensor that has a placement of its own.

        What computes channel by channel leaves each in its lane.
        """
        parts: dict[str, tuple[int, ...]] = {
            name: (channels,) for name, (_, _, channels) in self.shapes.items()}
        for operator in self.operators:
            source = parts[self.roots[operator.input.name]]
            match operator:
                case Stack() if operator.joins_channels:
                    found = [part for tensor in operator.inputs
                             for part in parts[self.roots[tensor.name]]]
                    parts[operator.output.name] = _merged(found, self.config.rows)
                case Stack() | Pool() | Pad() | Add():
                    parts[operator.output.name] = source
                case DepthwiseConv2D() if operator.channels == sum(source):
                    parts[operator.output.name] = source
        return parts

    def _stacks(self) -> dict[str, _Inside]:
        """Place in a stack of each tensor that lies in one."""
        found: dict[str, _Inside] = {}
        for operator in self.operators:
            if not isinstance(operator, Stack):
                continue
            label, own = f"Stack {operator.name!r}", operator.output.name
            if not operator.joins_channels and (operator.axis or len(operator.output.shape) != 3):
                raise InputError(f"{label}: must have images one below the other, along axis 0, or "
                                 f"channels side by side, along the last, not axis "
                                 f"{operator.axis} of shape {operator.output.shape}")
            height, width, _ = self.shapes[own]
            row = word = 0
            for tensor in operator.inputs:
                root = self.roots[tensor.name]
                if root in found or root == self.graph.input.name:
                    raise InputError(f"{label}: must not take {tensor.name!r}, which is the input "
                                     "or in another stack")
                parts, shape = self.parts[root], self.shapes[root]
                fits = (shape[:2] == (height, width) if operator.joins_channels
                        else shape[1] == width and parts == self.parts[own])
                if not fits:
                    raise InputError(f"{label}: {tensor.name!r} must have been computed in a shape "
                                     f"that fits {self.shapes[own]}, channel by channel, not "
                                     f"{shape}")
                found[root] = _Inside(own, row, word)
                if operator.joins_channels:
                    word += _words(parts, self.config.rows)
                else:
                    row += shape[0]
        return found


def _in_input_memory(placements: dict[str, Placement], name: str) -> dict[str, Placement]:
    return {**placements, name: replace(placements[name], base=0, input=True)}


def _words(parts: Sequence[int], rows: int) -> int:
    """Words of a pixel."""
    return sum(-(-part // rows) for part in parts)


def _merged(parts: Sequence[int], rows: int) -> tuple[int, ...]:
    """Join parts between which there is no gap."""
    merged: list[int] = []
    for part in parts:
        if merged and merged[-1] % rows == 0:
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)
