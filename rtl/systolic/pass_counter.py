"""Pass counter: how many windows the passes of a layer have."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.systolic.program import Field
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR, WINDOWS_WIDTH, bits, pair

__all__ = ["PassCounter"]


class PassCounter(wiring.Component):
    """Goes through the passes of a layer: its chunks of windows, and in each its blocks of outputs.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed.
    start : ``In(1)``
        Begin a layer.
    step : ``In(1)``
        Go on to the next pass; at least two cycles after the last one.
    windows : ``Out(16)``
        Windows of the pass.
    output_last : ``Out(1)``
        The pass computes the last block of outputs.
    last : ``Out(1)``
        It is the last pass of the layer.
    """

    descriptor: data.View
    start: Signal
    step: Signal
    windows: Signal
    output_last: Signal
    last: Signal

    def __init__(self) -> None:
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "step": In(1),
            "windows": Out(unsigned(16)),
            "output_last": Out(1),
            "last": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        outputs = pair(self.descriptor, Field.BLOCKS)[1]
        limit = pair(self.descriptor, Field.ROW_WINDOWS)[1]
        left = Countdown(16, "outputs")
        rest, following = Signal(WINDOWS_WIDTH), Signal(16)
        chunk_last = Signal()
        m.d.sync += [following.eq(Mux(rest < limit, rest, limit)), chunk_last.eq(rest == 0)]
        m.d.comb += [
            self.output_last.eq(left.last),
            self.last.eq(self.output_last & chunk_last),
        ]
        with m.If(self.step):
            m.d.sync += left.step()
            with m.If(self.output_last):
                m.d.sync += [
                    *left.load(outputs),
                    self.windows.eq(following),
                    rest.eq(rest - following),
                ]
        with m.If(self.start):
            m.d.sync += [
                *left.load(outputs),
                self.windows.eq(limit),
                rest.eq(bits(self.descriptor, Field.WINDOWS, WINDOWS_WIDTH) - limit),
            ]
        return m
