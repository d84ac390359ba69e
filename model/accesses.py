"""What a machine moves to compute: accesses by level of its memories, layer by layer.

The levels are those by which Chen, Emer, Sze compare machines (ISCA 2016): what is far away costs
more. A bit that a level gives or takes counts once, a read like a write.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

__all__ = ["LEVELS", "Accesses", "Roof", "mean", "total"]

#: Levels, from the nearest to the farthest, and what each is.
LEVELS = {
    "register": "registers and memories of a processing element",
    "array": "from one processing element to another, or a broadcast to one",
    "buffer": "memories on the chip that several processing elements share, or that hold a network",
    "outer": "streams through the engine's ports",
}


@dataclass(frozen=True)
class Accesses:
    """What a layer does and moves in an inference, or in the mean of several.

    Attributes
    ----------
    name : :class:`str`
        The layer.
    cycles : :class:`float`
        Its cycles.
    dense_macs : :class:`float`
        Multiplications that it takes without any trick: zeros and padding included, no transform.
    macs : :class:`float`
        Multiplications that the machine does.
    product_bits : :class:`float`
        Bits of its activations times bits of its weights, summed over ``macs``.
    sum_bits : :class:`float`
        Bits of the sums, summed over ``macs``.
    register, array, buffer, outer : :class:`float`
        Bits at each of :data:`LEVELS`.
    weights : :class:`float`
        Bits of weights, a part of those of the buffer.
    """

    name: str
    cycles: float
    dense_macs: float
    macs: float
    product_bits: float
    sum_bits: float
    register: float
    array: float
    buffer: float
    outer: float
    weights: float

    def at(self, level: str) -> float:
        """Return the bits at a level."""
        return float(getattr(self, level))



class Roof(NamedTuple):
    """What bounds a machine, in the sense of :mod:`eieio.model.roofline`.

    Attributes
    ----------
    macs : :class:`float`
        Most multiplications in a cycle.
    weights : :class:`float`
        Most bits of weights that its memory gives in a cycle.
    """

    macs: float
    weights: float

    def bound(self, macs: float, weights: float) -> float:
        """Return the fewest cycles for so many multiplications and so many bits of weights."""
        return max(macs / self.macs, weights / self.weights)


def mean(inferences: Sequence[Accesses]) -> Accesses:
    """Return the mean of a layer over inferences."""
    return _combine(inferences[0].name, inferences, len(inferences))


def total(layers: Sequence[Accesses]) -> Accesses:
    """Return the sum of layers."""
    return _combine("total", layers, 1)


def _combine(name: str, parts: Sequence[Accesses], divisor: int) -> Accesses:
    return Accesses(name, *(sum(getattr(part, each.name) for part in parts) / divisor
                            for each in fields(Accesses) if each.name != "name"))
