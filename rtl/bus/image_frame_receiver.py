"""Image frame receiver: checks the frame around an image, and hands the image on."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.image_frame import CODED_MAGIC, HEADER_WORDS, MAGIC
from eieio.model.registers import ShellError
from eieio.rtl.bus.crc32 import Crc32
from eieio.rtl.bus.serial_check import SerialCheck
from eieio.rtl.bus.skid_buffer import SkidBuffer, beat_layout

__all__ = ["ImageFrameReceiver"]


class ImageFrameReceiver(wiring.Component):
    """Takes frames, see :mod:`eieio.model.image_frame`; of an image, a word a cycle or in 34.

    The engine gets the image while its CRC is computed. What counts as loaded is decided here: an
    image is, from the end of its frame on, if the frame was good and the engine took it; until the
    first word of the next image goes to the engine. A frame that its header betrays does not get
    that far. The receiver waits for what the engine makes of an image's last word, however long
    that takes. Whatever is wrong with a frame, it is dropped up to its last word, and the next one
    is taken.

    Parameters
    ----------
    fingerprint : :class:`int`
        Fingerprint that frames must name.
    serial : :class:`bool`
        Whether a word may take 34 cycles, which saves the logic of a parallel CRC and of a buffer;
        then ``o`` is driven by registers through a lookup table.
    decoder : :class:`bool`
        Whether a decoder of coded images is between ``o`` and the engine.
    guarded : :class:`bool`
        Whether the engine may lose its image.

    Members
    -------
    i : ``In(stream.Signature(beat_layout(32)))``
        Frames.
    o : ``Out(stream.Signature(beat_layout(32)))``
        Images, to the engine.
    hold : ``In(1)``
        An input is on its way to the engine; no image may begin to be.
    engine_loading : ``In(1)``
        The engine has taken a word of ``o``, and what follows does not show yet what came of it;
        from the cycle after the word on.
    engine_loaded : ``In(1)``
        The engine has a whole image.
    engine_failed : ``In(1)``
        The engine reports an error.
    busy : ``Out(1)``
        A frame was offered in the cycle before, has begun, or is not settled yet.
    loaded : ``Out(1)``
        An image is loaded.
    accepted : ``Out(1)``
        It just has been; pulse.
    error : ``Out(ShellError)``
        Not 0 for a cycle when a frame is refused.
    quiet : ``Out(1)``
        What the engine reports is not to be passed on: it may be about a damaged image. From the
        cycle after the image's first word on: an error of an input before it has shown by then.
    discard : ``Out(1)``
        Nor later: clear it.
    coded : ``Out(1)``
        The image is coded. This port and the next two are only there with a decoder.
    reaches : ``In(1)``
        The engine takes a word.
    code_error : ``In(ShellError)``
        What is wrong with a coded image, or 0, when there is no ``engine_loading`` any more. Else
        it does not matter.
    engine_lost : ``In(1)``
        The engine has lost what was loaded, or was being loaded; pulse. Only if it is guarded.
    """

    i: stream.Interface
    o: stream.Interface
    hold: Signal
    engine_loading: Signal
    engine_loaded: Signal
    engine_failed: Signal
    busy: Signal
    loaded: Signal
    accepted: Signal
    error: Signal
    quiet: Signal
    discard: Signal
    coded: Signal
    reaches: Signal
    code_error: Signal
    engine_lost: Signal

    def __init__(self, fingerprint: int, *, serial: bool = False, decoder: bool = False,
                 guarded: bool = False) -> None:
        self.fingerprint = fingerprint
        self.serial = serial
        self.decoder = decoder
        self.guarded = guarded
        super().__init__({
            "i": In(stream.Signature(beat_layout(32))),
            "o": Out(stream.Signature(beat_layout(32))),
            "hold": In(unsigned(1)),
            "engine_loading": In(unsigned(1)),
            "engine_loaded": In(unsigned(1)),
            "engine_failed": In(unsigned(1)),
            "busy": Out(unsigned(1)),
            "loaded": Out(unsigned(1)),
            "accepted": Out(unsigned(1)),
            "error": Out(unsigned(8)),
            "quiet": Out(unsigned(1)),
            "discard": Out(unsigned(1)),
            **({"coded": Out(unsigned(1)), "reaches": In(unsigned(1)),
                "code_error": In(unsigned(8))} if decoder else {}),
            **({"engine_lost": In(unsigned(1))} if guarded else {}),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = Signal()
        first = Signal(init=1)  # The next word is a frame's first.
        settles = Signal()      # No word is taken while it is.
        offered = Signal()
        if self.serial:
            m.submodules.crc = checksum = SerialCheck()
            wiring.connect(m, wiring.flipped(self.i), checksum.i)
            source, sink = checksum.o, self.o
            m.d.comb += [checksum.enable.eq(~settles), offered.eq(self.i.valid | checksum.busy)]
        else:
            m.submodules.crc = checksum = Crc32()
            m.submodules.buffer = buffer = SkidBuffer(beat_layout(32))
            wiring.connect(m, buffer.o, wiring.flipped(self.o))
            source, sink = self.i, buffer.i
            m.d.comb += [
                offered.eq(self.i.valid),
                checksum.valid.eq(taken),
                checksum.first.eq(first),
                checksum.word.eq(source.payload.data),
            ]

        word = source.payload.data
        last = source.payload.last
        m.d.comb += taken.eq(source.valid & source.ready)

        left = Signal(32)
        left_is_one = Signal()
        begun = Signal()  # The engine gets something of the frame,
        ended = Signal()  # and has got its end.
        good = Signal()
        settled = Signal(range(checksum.latency + 1))  # Cycles since the frame ended.
        moves = Signal()
        m.d.comb += moves.eq(self.o.valid & self.o.ready)
        m.d.sync += [self.error.eq(0), self.accepted.eq(0), self.discard.eq(0)]
        with m.If(self.reaches if self.decoder else moves):
            m.d.sync += [self.loaded.eq(0), self.quiet.eq(1)]
        with m.If(moves & self.o.payload.last):
            m.d.sync += ended.eq(1)

        with m.If(taken):
            m.d.sync += first.eq(0)

        m.d.sync += self.busy.eq(1)
        m.d.comb += [
            sink.payload.data.eq(word),
            sink.payload.last.eq(left_is_one | last),
        ]
        position = Signal(range(HEADER_WORDS))
        wrong = Signal(HEADER_WORDS)  # What the word would be at each position of the header.
        was_last = Signal()
        errors = (ShellError.FRAME_MAGIC, ShellError.FRAME_CONFIGURATION, ShellError.FRAME_EMPTY)
        no_image = word != MAGIC
        if self.decoder:
            no_image &= word != CODED_MAGIC
        with m.FSM() as fsm:
            m.d.comb += settles.eq(fsm.ongoing("SETTLE") | fsm.ongoing("VERDICT")
                                   | fsm.ongoing("RELEASE"))
            with m.State("HEADER"):
                m.d.comb += source.ready.eq(1)
                m.d.sync += [
                    self.busy.eq(offered | ~first),
                    good.eq(1),
                    ended.eq(0),
                    settled.eq(0),
                    wrong.eq(Cat(no_image, word != self.fingerprint, word == 0)),
                    was_last.eq(last),
                    left.eq(word),
                    left_is_one.eq(word == 1),
                ]
                if self.decoder:
                    with m.If(source.valid & (position == 0)):
                        m.d.sync += self.coded.eq(word == CODED_MAGIC)
                with m.If(source.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                refused = wrong.bit_select(position, 1)
                with m.If(refused | was_last):
                    m.d.sync += [
                        position.eq(0),
                        self.error.eq(Mux(refused, Array(errors)[position],
                                          ShellError.FRAME_SHORT)),
                    ]
                    with m.If(was_last):
                        m.d.sync += first.eq(1)
                        m.next = "HEADER"
                    with m.Else():
                        m.next = "DROP"
                with m.Elif(position == HEADER_WORDS - 1):
                    m.d.sync += position.eq(0)
                    m.next = "HOLD"
                with m.Else():
                    m.d.sync += position.eq(position + 1)
                    m.next = "HEADER"
            with m.State("HOLD"):
                with m.If(~self.hold):
                    m.d.sync += begun.eq(1)
                    m.next = "IMAGE"
            with m.State("IMAGE"):
                m.d.comb += [
                    source.ready.eq(sink.ready),
                    sink.valid.eq(source.valid),
                ]
                with m.If(source.valid & sink.ready):
                    m.d.sync += [left.eq(left - 1), left_is_one.eq(left == 2)]
                    with m.If(last):
                        m.d.sync += [self.error.eq(ShellError.FRAME_SHORT), good.eq(0)]
                        m.next = "SETTLE"
                    with m.Elif(left_is_one):
                        m.next = "CHECKSUM"
            with m.State("CHECKSUM"):
                m.d.comb += source.ready.eq(1)
                with m.If(source.valid):
                    with m.If(last):
                        m.next = "SETTLE"
                    with m.Else():
                        m.d.sync += [self.error.eq(ShellError.FRAME_LONG), good.eq(0)]
                        m.next = "DROP"
            with m.State("DROP"):
                m.d.comb += source.ready.eq(1)
                with m.If(source.valid & last):
                    with m.If(begun):
                        m.next = "SETTLE"
                    with m.Else():
                        m.d.sync += first.eq(1)
                        m.next = "HEADER"
            with m.State("SETTLE"):
                with m.If(settled != checksum.latency):
                    m.d.sync += settled.eq(settled + 1)
                with m.Elif(ended & ~self.engine_loading):
                    m.next = "VERDICT"
            with m.State("VERDICT"):
                if self.decoder:  # Of an image that is no code nothing may have reached the engine.
                    m.d.sync += self.loaded.eq(0)
                with m.If(~(good & checksum.intact)):
                    m.d.sync += self.discard.eq(1)
                    with m.If(good):
                        m.d.sync += self.error.eq(ShellError.FRAME_CHECKSUM)
                if self.decoder:
                    with m.Elif(self.coded & (self.code_error != 0)):
                        m.d.sync += [self.discard.eq(1), self.error.eq(self.code_error)]
                with m.Elif(self.engine_loaded):
                    m.d.sync += [self.loaded.eq(1), self.accepted.eq(1)]
                with m.Elif(~self.engine_failed):
                    m.d.sync += self.error.eq(ShellError.IMAGE_INCOMPLETE)
                m.next = "RELEASE"
            with m.State("RELEASE"):
                # `discard` is 1 now, if at all; in the next cycle the engine's error is gone.
                m.d.sync += [begun.eq(0), self.quiet.eq(0), first.eq(1)]
                m.next = "HEADER"
        if self.guarded:
            with m.If(self.engine_lost):
                m.d.sync += self.loaded.eq(0)
        return m
