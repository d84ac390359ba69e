"""Head queue: a queue whose oldest element is in a register."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.rtl.sparse.thermometer import add_thermometer

__all__ = ["HeadQueue"]


class HeadQueue(wiring.Component):
    """First in, first out; what is pushed into the empty queue is at its head in the next cycle.

    Nothing stands behind the head: neither a memory's read nor a comparison of addresses.

    Parameters
    ----------
    width : :class:`int`
        Bits of an element.
    depth : :class:`int`
        Most elements, at least 2.

    Members
    -------
    push : ``In(1)``
        Append an element. There must be a place for it, be it by a ``pop`` in the same cycle.
    i : ``In(width)``
        The element.
    valid : ``Out(1)``
        There is an element. A register.
    o : ``Out(width)``
        The oldest one. A register, undefined while there is none.
    pop : ``In(1)``
        Drop it. Allowed while ``valid``.
    """

    push: Signal
    i: Signal
    valid: Signal
    o: Signal
    pop: Signal

    def __init__(self, width: int, depth: int) -> None:
        self.width = width
        self.depth = depth
        super().__init__({
            "push": In(1),
            "i": In(unsigned(width)),
            "valid": Out(1),
            "o": Out(unsigned(width)),
            "pop": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        addr_width = ceil_log2(self.depth - 1)
        m.submodules.words = words = memory.Memory(
            shape=unsigned(self.width), depth=1 << addr_width, init=[])
        write = words.write_port()
        read = words.read_port(domain="comb")

        free = Signal()  # The head takes another element, if there is one.
        m.d.comb += free.eq(self.pop | ~self.valid)
        # Elements behind the head.
        behind = add_thermometer(m, "behind", self.depth - 1,
                                 up=self.push & ~free, down=free & ~self.push)
        # Written whether or not it passes by the memory: no choice stands before the write.
        m.d.comb += [
            write.en.eq(self.push),
            write.data.eq(self.i),
        ]
        m.d.sync += write.addr.eq(write.addr + self.push)
        with m.If(free):
            m.d.sync += [
                self.o.eq(Mux(behind[0], read.data, self.i)),
                self.valid.eq(behind[0] | self.push),
                read.addr.eq(read.addr + (behind[0] | self.push)),
            ]
        return m
