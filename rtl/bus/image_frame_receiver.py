"""Image frame receiver: checks the frame around an image, and hands the image on."""

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.image_frame import MAGIC
from eieio.model.registers import ShellError
from eieio.rtl.bus.crc32 import Crc32
from eieio.rtl.bus.skid_buffer import SkidBuffer, beat_layout

__all__ = ["SETTLE_CYCLES", "ImageFrameReceiver"]

#: Cycles after an image's last word in which an engine must have reported an error, or that it is
#: loaded.
SETTLE_CYCLES = 16


class ImageFrameReceiver(wiring.Component):
    """Takes frames, see :mod:`eieio.model.image_frame`, a word a cycle.

    The engine gets the image while its CRC is computed. What counts as loaded is decided here: an
    image is, from the end of its frame on, if the frame was good and the engine took it; until the
    first word of the next image goes to the engine. A frame that its header betrays does not get
    that far. Whatever is wrong with a frame, the receiver drops it up to its last word and takes
    the next one.

    Parameters
    ----------
    fingerprint : :class:`int`
        Fingerprint that frames must name.

    Members
    -------
    i : ``In(stream.Signature(beat_layout(32)))``
        Frames.
    o : ``Out(stream.Signature(beat_layout(32)))``
        Images, to the engine.
    hold : ``In(1)``
        An input is on its way to the engine; no image may begin to be.
    engine_loaded : ``In(1)``
        The engine has a whole image.
    engine_failed : ``In(1)``
        The engine reports an error.
    busy : ``Out(1)``
        A frame is offered, has begun, or is not settled yet.
    loaded : ``Out(1)``
        An image is loaded.
    accepted : ``Out(1)``
        It just has been; pulse.
    error : ``Out(ShellError)``
        Not 0 for a cycle when a frame is refused.
    quiet : ``Out(1)``
        What the engine reports is not to be passed on: it may be about a damaged image.
    discard : ``Out(1)``
        Nor later: clear it.
    """

    i: stream.Interface
    o: stream.Interface
    hold: Signal
    engine_loaded: Signal
    engine_failed: Signal
    busy: Signal
    loaded: Signal
    accepted: Signal
    error: Signal
    quiet: Signal
    discard: Signal

    def __init__(self, fingerprint: int) -> None:
        self.fingerprint = fingerprint
        super().__init__({
            "i": In(stream.Signature(beat_layout(32))),
            "o": Out(stream.Signature(beat_layout(32))),
            "hold": In(unsigned(1)),
            "engine_loaded": In(unsigned(1)),
            "engine_failed": In(unsigned(1)),
            "busy": Out(unsigned(1)),
            "loaded": Out(unsigned(1)),
            "accepted": Out(unsigned(1)),
            "error": Out(unsigned(8)),
            "quiet": Out(unsigned(1)),
            "discard": Out(unsigned(1)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = SkidBuffer(beat_layout(32))
        wiring.connect(m, buffer.o, wiring.flipped(self.o))
        m.submodules.crc = checksum = Crc32()

        word = self.i.payload.data
        last = self.i.payload.last
        taken = Signal()
        first = Signal()
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            checksum.valid.eq(taken),
            checksum.first.eq(first),
            checksum.word.eq(word),
        ]

        left = Signal(32)
        left_is_one = Signal()
        begun = Signal()  # The engine gets something of the frame,
        ended = Signal()  # and has got its end.
        good = Signal()
        settled = Signal(range(SETTLE_CYCLES + 1))
        moves = Signal()
        m.d.comb += moves.eq(self.o.valid & self.o.ready)
        m.d.sync += [self.error.eq(0), self.accepted.eq(0), self.discard.eq(0)]
        with m.If(moves):
            m.d.sync += self.loaded.eq(0)
        with m.If(moves & self.o.payload.last):
            m.d.sync += ended.eq(1)

        m.d.comb += [
            self.busy.eq(1),
            buffer.i.payload.data.eq(word),
            buffer.i.payload.last.eq(left_is_one | last),
            self.quiet.eq(begun),
        ]
        with m.FSM() as fsm:
            m.d.comb += first.eq(fsm.ongoing("MAGIC"))

            def header(refused: Value, error: ShellError, following: str) -> None:
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    with m.If(refused | last):
                        m.d.sync += self.error.eq(Mux(refused, error, ShellError.FRAME_SHORT))
                        with m.If(last):
                            m.next = "MAGIC"
                        with m.Else():
                            m.next = "DROP"
                    with m.Else():
                        m.next = following

            with m.State("MAGIC"):
                m.d.comb += self.busy.eq(self.i.valid)
                m.d.sync += [good.eq(1), ended.eq(0), settled.eq(0)]
                header(word != MAGIC, ShellError.FRAME_MAGIC, "CONFIGURATION")
            with m.State("CONFIGURATION"):
                header(word != self.fingerprint, ShellError.FRAME_CONFIGURATION, "COUNT")
            with m.State("COUNT"):
                m.d.sync += [left.eq(word), left_is_one.eq(word == 1)]
                header(word == 0, ShellError.FRAME_EMPTY, "HOLD")
            with m.State("HOLD"):
                with m.If(~self.hold):
                    m.d.sync += begun.eq(1)
                    m.next = "IMAGE"
            with m.State("IMAGE"):
                m.d.comb += [
                    self.i.ready.eq(buffer.i.ready),
                    buffer.i.valid.eq(self.i.valid),
                ]
                with m.If(taken):
                    m.d.sync += [left.eq(left - 1), left_is_one.eq(left == 2)]
                    with m.If(last):
                        m.d.sync += [self.error.eq(ShellError.FRAME_SHORT), good.eq(0)]
                        m.next = "SETTLE"
                    with m.Elif(left_is_one):
                        m.next = "CHECKSUM"
            with m.State("CHECKSUM"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    with m.If(last):
                        m.next = "SETTLE"
                    with m.Else():
                        m.d.sync += [self.error.eq(ShellError.FRAME_LONG), good.eq(0)]
                        m.next = "DROP"
            with m.State("DROP"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & last):
                    with m.If(begun):
                        m.next = "SETTLE"
                    with m.Else():
                        m.next = "MAGIC"
            with m.State("SETTLE"):
                with m.If(ended):
                    m.d.sync += settled.eq(settled + 1)
                with m.If(settled == SETTLE_CYCLES):
                    m.next = "VERDICT"
            with m.State("VERDICT"):
                with m.If(~(good & checksum.intact)):
                    m.d.sync += self.discard.eq(1)
                    with m.If(good):
                        m.d.sync += self.error.eq(ShellError.FRAME_CHECKSUM)
                with m.Elif(self.engine_loaded):
                    m.d.sync += [self.loaded.eq(1), self.accepted.eq(1)]
                with m.Elif(~self.engine_failed):
                    m.d.sync += self.error.eq(ShellError.IMAGE_INCOMPLETE)
                m.next = "RELEASE"
            with m.State("RELEASE"):
                # `discard` is 1 now, if at all; in the next cycle the engine's error is gone.
                m.d.sync += begun.eq(0)
                m.next = "MAGIC"
        return m
