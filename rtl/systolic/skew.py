"""Skew: delays each lane of a vector by another number of cycles."""

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.emit import shared

__all__ = ["Skew"]

# The square root of the largest number of lanes. The time to emit a module grows with its bits of
# registers, of which a skew of 256 lanes has a million: it is written as blocks of lanes, and
# delays of a block's length in front of them.
_BLOCK_LANES = 16


class Skew(wiring.Component):
    """Delays lane k by k cycles, or by ``lanes - 1 - k`` if falling.

    A falling skew undoes a rising one: both together delay all lanes by ``lanes - 1`` cycles.

    Parameters
    ----------
    lanes : :class:`int`
        Number of lanes, at least 1.
    width : :class:`int`
        Bits of a lane.
    falling : :class:`bool`
        Whether lane 0 is delayed most.

    Members
    -------
    i, o : ``In``, ``Out(lanes * width)``
        Vector, lane 0 lowest.
    """

    i: Signal
    o: Signal

    def __init__(self, lanes: int, width: int, *, falling: bool = False) -> None:
        self.lanes = lanes
        self.width = width
        self.falling = falling
        self.parameters = (lanes, width, falling)
        self.module_name = f"{'falling' if falling else 'rising'}_skew_{lanes}x{width}"
        super().__init__({"i": In(unsigned(lanes * width)), "o": Out(unsigned(lanes * width))})

    def elaborate(self, platform: object) -> Module:
        m = Module()

        def lanes_of(vector: Value, first: int, count: int) -> Value:
            """Lanes that are delayed by ``first`` cycles and, one by one, more."""
            if self.falling:
                first = self.lanes - first - count
            return vector[first * self.width:(first + count) * self.width]

        if self.lanes > _BLOCK_LANES:
            for number, first in enumerate(range(0, self.lanes, _BLOCK_LANES)):
                count = min(_BLOCK_LANES, self.lanes - first)
                vector = lanes_of(self.i, first, count)
                for stage in range(number):
                    delay = _Delay(count * self.width)
                    m.submodules[f"delay_{number}_{stage}"] = shared(delay, platform)
                    m.d.comb += delay.i.eq(vector)
                    vector = delay.o
                block = Skew(count, self.width, falling=self.falling)
                m.submodules[f"block_{number}"] = shared(block, platform)
                m.d.comb += [block.i.eq(vector), lanes_of(self.o, first, count).eq(block.o)]
            return m

        rest: Value = self.i
        for lane in range(self.lanes):
            if lane:
                register = Signal((self.lanes - lane) * self.width, name=f"stage_{lane}",
                                  reset_less=True)
                m.d.sync += register.eq(rest[:-self.width] if self.falling else rest[self.width:])
                rest = register
            m.d.comb += lanes_of(self.o, lane, 1).eq(
                rest[-self.width:] if self.falling else rest[:self.width])
        return m


class _Delay(wiring.Component):
    """Delays by the length of a block."""

    i: Signal
    o: Signal

    def __init__(self, width: int) -> None:
        self.parameters = width
        self.module_name = f"delay_{width}"
        super().__init__({"i": In(unsigned(width)), "o": Out(unsigned(width))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = len(self.i)
        stages = Signal(width * _BLOCK_LANES, reset_less=True)
        m.d.sync += stages.eq(Cat(self.i, stages))
        m.d.comb += self.o.eq(stages[-width:])
        return m
