"""Image router: hands the parts of an image to the engines they are for."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.systolic.config import ACTIVATION_BITS

__all__ = ["ImageRouter"]

_WORDS = stream.Signature(data.StructLayout({"data": 32, "last": 1}))


class ImageRouter(wiring.Component):
    """Takes the header of an image, :mod:`eieio.model.mixed.mapping`, and passes on what follows.

    If the lengths do not fit the image, what there is of it is passed on or dropped, up to its last
    word, and an error reported.

    Parameters
    ----------
    lanes : :class:`int`
        Lanes of a beat between the engines.

    Members
    -------
    i : ``In(stream)``
        The image, 32 bits a word.
    enable : ``In(1)``
        An image may begin.
    first, second : ``Out(stream)``
        The engines' images.
    zero_point, last_lane, pixel_beats : ``Out``
        What the header says of the step between the engines.
    within : ``Out(1)``
        An image has begun and not ended. From the cycle after its first word on.
    complete : ``Out(1)``
        A whole image has been passed on, and no other one has begun.
    error : ``Out(1)``
        What has been taken is no image for two engines; for one cycle.
    """

    i: stream.Interface
    enable: Signal
    first: stream.Interface
    second: stream.Interface
    zero_point: Signal
    last_lane: Signal
    pixel_beats: Signal
    within: Signal
    complete: Signal
    error: Signal

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__({
            "i": In(_WORDS),
            "enable": In(1),
            "first": Out(_WORDS),
            "second": Out(_WORDS),
            "zero_point": Out(signed(ACTIVATION_BITS)),
            "last_lane": Out(unsigned(8)),
            "pixel_beats": Out(unsigned(16)),
            "within": Out(1),
            "complete": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, last = self.i.payload.data, self.i.payload.last
        taken = Signal()
        left, second_left = Signal(32, reset_less=True), Signal(32, reset_less=True)
        left_is_one, second_is_one = Signal(), Signal()
        # What is wrong with the header shows a cycle after its last word.
        empty, wrong_step = Signal(), Signal()
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            self.first.payload.data.eq(word),
            self.second.payload.data.eq(word),
            self.first.payload.last.eq(last | left_is_one),
            self.second.payload.last.eq(last | left_is_one),
        ]
        m.d.sync += self.error.eq(0)
        with m.If(taken):
            m.d.sync += self.within.eq(~last)
        with m.FSM():
            with m.State("FIRST LENGTH"):
                m.d.comb += self.i.ready.eq(self.enable)
                m.d.sync += [left.eq(word), left_is_one.eq(word == 1), empty.eq(word == 0)]
                with m.If(taken):
                    m.d.sync += [self.complete.eq(0), self.error.eq(last)]
                    with m.If(~last):
                        m.next = "SECOND LENGTH"
            with m.State("SECOND LENGTH"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [second_left.eq(word), second_is_one.eq(word == 1)]
                with m.If(taken):
                    m.d.sync += [self.error.eq(last), empty.eq(empty | (word == 0))]
                    m.next = "STEP"
                    with m.If(last):
                        m.next = "FIRST LENGTH"
            with m.State("STEP"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    self.zero_point.eq(word[:8]),
                    self.last_lane.eq(word[8:16]),
                    self.pixel_beats.eq(word[16:]),
                    wrong_step.eq((word[8:16] >= self.lanes) | (word[16:] == 0)),
                ]
                with m.If(taken):
                    m.d.sync += self.error.eq(last)
                    m.next = "CHECK"
                    with m.If(last):
                        m.next = "FIRST LENGTH"
            with m.State("CHECK"):
                m.next = "FIRST"
                with m.If(empty | wrong_step):
                    m.d.sync += self.error.eq(1)
                    m.next = "DROP"
            with m.State("FIRST"):
                m.d.comb += [self.first.valid.eq(self.i.valid), self.i.ready.eq(self.first.ready)]
                with m.If(taken):
                    m.d.sync += [left.eq(left - 1), left_is_one.eq(left == 2)]
                    with m.If(last):
                        m.d.sync += self.error.eq(1)
                        m.next = "FIRST LENGTH"
                    with m.Elif(left_is_one):
                        m.d.sync += [left.eq(second_left), left_is_one.eq(second_is_one)]
                        m.next = "SECOND"
            with m.State("SECOND"):
                m.d.comb += [self.second.valid.eq(self.i.valid),
                             self.i.ready.eq(self.second.ready)]
                with m.If(taken):
                    m.d.sync += [left.eq(left - 1), left_is_one.eq(left == 2)]
                    with m.If(last != left_is_one):
                        m.d.sync += self.error.eq(1)
                    with m.If(last):
                        m.d.sync += self.complete.eq(left_is_one)
                        m.next = "FIRST LENGTH"
                    with m.Elif(left_is_one):
                        m.next = "DROP"
            with m.State("DROP"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken & last):
                    m.next = "FIRST LENGTH"
        return m
