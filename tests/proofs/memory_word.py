"""Follows one word of a memory: which one is free, so that it stands for each."""

from amaranth.hdl import Signal, Value
from harness import Harness, ValueLike

__all__ = ["FollowedWord"]


class FollowedWord:
    """What was written last to a word, before the cycle at hand.

    Parameters
    ----------
    h : :class:`Harness`
        Harness to add it to.
    name : :class:`str`
        Beginning of the names of signals.
    which : value
        Word that is followed, the same in all cycles.
    write, addr, data : value
        Something is written; where and what.

    Attributes
    ----------
    written : :class:`Signal`
        The word is being written.
    known, value : :class:`Signal`
        It has been written, and what it holds.
    """

    def __init__(self, h: Harness, name: str, which: Value, *, write: ValueLike,
                 addr: ValueLike, data: ValueLike) -> None:
        m = h.m
        self.written = Signal(name=f"{name}_written")
        self.known = Signal(name=f"{name}_known")
        bits = Value.cast(data)
        self.value = Signal(len(bits), name=f"{name}_value")
        m.d.comb += self.written.eq(Value.cast(write).any() & (Value.cast(addr) == which))
        with m.If(self.written):
            m.d.sync += [self.known.eq(1), self.value.eq(bits)]
