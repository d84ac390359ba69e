"""Skid buffer: cuts every path through a stream by registers."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SkidBuffer", "beat_layout"]


def beat_layout(width: int) -> data.StructLayout:
    """Layout of a payload of ``data``, of that many bits, and ``last``."""
    return data.StructLayout({"data": width, "last": 1})


class SkidBuffer(wiring.Component):
    """Passes a stream on, one payload a cycle, one cycle later.

    All that it drives is a register. It has room for two payloads, so that ``i.ready`` needs not
    know what ``o.ready`` is. Under reset, and for one cycle after it, ``i.ready`` is 0.

    Parameters
    ----------
    layout : :class:`amaranth.lib.data.StructLayout`
        Layout of a payload.

    Members
    -------
    i : ``In(stream.Signature(layout))``
        Payloads to pass on.
    o : ``Out(stream.Signature(layout))``
        The same payloads.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, layout: data.StructLayout) -> None:
        self.layout = layout
        super().__init__({
            "i": In(stream.Signature(layout)),
            "o": Out(stream.Signature(layout)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ready = Signal()
        spare = Signal(self.layout)
        spare_valid = Signal()
        m.d.comb += self.i.ready.eq(ready)
        with m.If(~self.o.valid | self.o.ready):
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
