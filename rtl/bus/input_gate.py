"""Input gate: lets inputs through while an image is loaded."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.skid_buffer import SkidBuffer, beat_layout

__all__ = ["InputGate"]


class InputGate(wiring.Component):
    """Passes on an input that comes while an image is loaded, and drops one that does not.

    An input that comes while an image is on its way waits for what becomes of it. Between two
    inputs there is a cycle without a beat.

    Parameters
    ----------
    width : :class:`int`
        Bits of a beat.

    Members
    -------
    i : ``In(stream.Signature(beat_layout(width)))``
        Inputs.
    o : ``Out(stream.Signature(beat_layout(width)))``
        Inputs for the engine.
    wait : ``In(1)``
        An image is on its way.
    loaded : ``In(1)``
        An image is loaded.
    active : ``Out(1)``
        The engine is getting an input; no image may begin to go to it.
    refused : ``Out(1)``
        An input is being dropped; pulse.
    """

    i: stream.Interface
    o: stream.Interface
    wait: Signal
    loaded: Signal
    active: Signal
    refused: Signal

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__({
            "i": In(stream.Signature(beat_layout(width))),
            "o": Out(stream.Signature(beat_layout(width))),
            "wait": In(unsigned(1)),
            "loaded": In(unsigned(1)),
            "active": Out(unsigned(1)),
            "refused": Out(unsigned(1)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = SkidBuffer(beat_layout(self.width))
        wiring.connect(m, buffer.o, wiring.flipped(self.o))
        m.d.comb += buffer.i.payload.eq(self.i.payload)
        m.d.sync += self.refused.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i.valid & ~self.wait):
                    with m.If(self.loaded):
                        m.d.sync += self.active.eq(1)
                        m.next = "PASS"
                    with m.Else():
                        m.d.sync += self.refused.eq(1)
                        m.next = "DROP"
            with m.State("PASS"):
                m.d.comb += [
                    buffer.i.valid.eq(self.i.valid),
                    self.i.ready.eq(buffer.i.ready),
                ]
                with m.If(self.i.valid & self.i.ready & self.i.payload.last):
                    m.next = "FLUSH"
            with m.State("FLUSH"):
                with m.If(~self.o.valid):
                    m.d.sync += self.active.eq(0)
                    m.next = "IDLE"
            with m.State("DROP"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & self.i.payload.last):
                    m.next = "IDLE"
        return m
