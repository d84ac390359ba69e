"""Population count: how many bits of a word are 1."""

from amaranth.hdl import Const, Module, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PopulationCount"]

#: Numbers that are added in one cycle.
RADIX = 4


class PopulationCount(wiring.Component):
    """Counts the ones of a word in a tree of adders with a register behind each.

    Parameters
    ----------
    width : :class:`int`
        Bits of the word, at least 1.

    Members
    -------
    i : ``In(width)``
        Word.
    o : ``Out(unsigned(width.bit_length()))``
        Its ones, :attr:`latency` cycles later.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from ``i`` to ``o``: log4 of ``width``, rounded up, and at least 1.
    """

    i: Signal
    o: Signal

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError(f"Width must be at least 1, not {width!r}")
        self.width = width
        self.latency = 1
        while RADIX ** self.latency < width:
            self.latency += 1
        super().__init__({"i": In(unsigned(width)), "o": Out(unsigned(width.bit_length()))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        numbers: list[Value] = list(self.i)
        most = 1
        for stage in range(self.latency):
            most = min(RADIX * most, self.width)
            sums = []
            for first in range(0, len(numbers), RADIX):
                total = Signal(range(most + 1), name=f"sum_{stage}_{first // RADIX}")
                m.d.sync += total.eq(sum(numbers[first:first + RADIX], Const(0)))
                sums.append(total)
            numbers = sums
        m.d.comb += self.o.eq(numbers[0])
        return m
