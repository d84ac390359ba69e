"""Countdown: a loop counter whose end is known in advance."""

from amaranth.hdl import Signal, Value, ValueLike
from amaranth.hdl._ast import Assign

__all__ = ["Countdown"]


class Countdown:
    """Counts what is left of a loop, and keeps in a register whether this is the last turn.

    Nested loops then end by the product of a few registers, and not by comparing counters.

    Parameters
    ----------
    width : :class:`int`
        Bits of the counter.
    name : :class:`str`
        Name of the counter.

    Attributes
    ----------
    left : :class:`Signal`
        Turns left, this one included.
    last : :class:`Signal`
        Whether it is one.
    """

    def __init__(self, width: int, name: str) -> None:
        self.left = Signal(width, name=f"{name}_left")
        self.last = Signal(name=f"{name}_last")

    def load(self, turns: ValueLike) -> list[Assign]:
        """Begin a loop: statements of the domain of the registers."""
        return [self.left.eq(turns), self.last.eq(Value.cast(turns) == 1)]

    def step(self) -> list[Assign]:
        """Go on to the next turn."""
        return [self.left.eq(self.left - 1), self.last.eq(self.left == 2)]
