"""Where tensors lie in the central buffer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.quantized_graph import Operator, Tensor

__all__ = ["Placement", "Shape", "allocate", "centred_width"]


def centred_width(tensor: Tensor) -> int:
    """Return the bits of a tensor's integers less its zero point, with their sign."""
    above, below = tensor.maximum - tensor.zero_point, tensor.zero_point - tensor.minimum
    return max(above.bit_length(), max(below - 1, 0).bit_length()) + 1


@dataclass(frozen=True)
class Shape:
    """How a tensor is cut into words: pixel by pixel, and the channels of a pixel in whole rows.

    Attributes
    ----------
    pixels, channels : :class:`int`
        Pixels, and channels of each; a vector is one pixel.
    words : :class:`int`
        Words of a pixel.
    lanes : :class:`int`
        Values of a word.
    room : :class:`int`
        Words that are kept for it, at least those of its pixels.
    """

    pixels: int
    channels: int
    words: int
    lanes: int
    room: int

    @property
    def size(self) -> int:
        """Words of all pixels."""
        return self.pixels * self.words

    @property
    def positions(self) -> NDArray[np.int64]:
        """Place of each value among those of all words: shape (pixels * channels,)."""
        pixel = np.arange(self.pixels)[:, np.newaxis] * self.words * self.lanes
        return (pixel + np.arange(self.channels)).reshape(-1)


@dataclass(frozen=True)
class Placement:
    """A tensor in the central buffer: its first word, and how it is cut."""

    addr: int
    shape: Shape


def allocate(shapes: Mapping[Tensor, Shape], operators: Sequence[Operator],
             aliases: Mapping[Tensor, Tensor], first: Tensor, result: Tensor
             ) -> tuple[dict[Tensor, Placement], int]:
    """Place tensors so that those that are needed at one time do not overlap.

    Parameters
    ----------
    shapes : mapping of Tensor to Shape
        All tensors that lie in the buffer.
    operators : sequence of Operator
        What is computed, in this order.
    aliases : mapping of Tensor to Tensor
        The tensor in the buffer that others are.
    first, result : Tensor
        Input, which is placed first, and output, which is needed to the end.

    Returns
    -------
    placements : dict of Tensor to Placement
        Where each tensor lies.
    words : :class:`int`
        Words of the buffer that are used.
    """
    last = {first: 0, result: len(operators)}
    for number, operator in enumerate(operators):
        for tensor in operator.inputs:
            source = aliases.get(tensor, tensor)
            last[source] = max(last.get(source, 0), number)
    placed = {first: Placement(0, shapes[first])}
    live = [first]
    used = shapes[first].room
    for number, operator in enumerate(operators):
        tensor = operator.output
        if tensor not in shapes:
            continue
        live = [each for each in live if last.get(each, -1) >= number]
        addr = 0
        for each in sorted(live, key=lambda tensor: placed[tensor].addr):
            if addr + shapes[tensor].room <= placed[each].addr:
                break
            addr = max(addr, placed[each].addr + shapes[each].room)
        placed[tensor] = Placement(addr, shapes[tensor])
        live.append(tensor)
        used = max(used, addr + shapes[tensor].room)
    return placed, used
