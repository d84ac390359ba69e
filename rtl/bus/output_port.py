"""Output port: ends an output that the engine gave up."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.skid_buffer import beat_layout

__all__ = ["OutputPort"]


class OutputPort(wiring.Component):
    """Passes outputs on, a beat a cycle, and outlives a reset of the engine.

    All that it drives is a register. When ``abort`` is 1, the beat that is being offered stays, as
    the rules of streams demand; all others are forgotten; and if the receiver has got, or is being
    offered, only a part of an output, that output ends with a beat of zeros.

    Parameters
    ----------
    width : :class:`int`
        Bits of a beat.

    Members
    -------
    i : ``In(stream.Signature(beat_layout(width)))``
        Outputs of the engine.
    o : ``Out(stream.Signature(beat_layout(width)))``
        Outputs.
    abort : ``In(1)``
        The engine is being reset.
    """

    i: stream.Interface
    o: stream.Interface
    abort: Signal

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__({
            "i": In(stream.Signature(beat_layout(width))),
            "o": Out(stream.Signature(beat_layout(width))),
            "abort": In(unsigned(1)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ready = Signal()
        spare = Signal(beat_layout(self.width))
        spare_valid = Signal()
        within = Signal()   # The last beat that was taken is not the last of its output.
        closing = Signal()  # A beat of zeros is to be offered.
        free = Signal()
        m.d.comb += [
            self.i.ready.eq(ready),
            free.eq(~self.o.valid | self.o.ready),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += within.eq(~self.o.payload.last)

        with m.If(self.abort):
            m.d.sync += [ready.eq(0), spare_valid.eq(0)]
            with m.If(self.o.valid):
                m.d.sync += closing.eq(~self.o.payload.last)
            with m.Else():
                m.d.sync += closing.eq(within)
            with m.If(free):
                m.d.sync += self.o.valid.eq(0)
        with m.Elif(closing):
            with m.If(free):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(0),
                    self.o.payload.last.eq(1),
                    closing.eq(0),
                ]
        with m.Elif(free):
            m.d.sync += [
                self.o.valid.eq(spare_valid | (self.i.valid & ready)),
                spare_valid.eq(0),
                ready.eq(1),
            ]
            with m.If(spare_valid):
                m.d.sync += self.o.payload.eq(spare)
            with m.Else():
                m.d.sync += self.o.payload.eq(self.i.payload)
        with m.Else():
            m.d.sync += [
                spare_valid.eq(spare_valid | (self.i.valid & ready)),
                ready.eq(~(spare_valid | (self.i.valid & ready))),
            ]
        with m.If(ready):  # `spare` is free then, and `spare_valid` tells whether it matters.
            m.d.sync += spare.eq(self.i.payload)
        return m
