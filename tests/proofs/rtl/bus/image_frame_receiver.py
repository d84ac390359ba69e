"""Proofs of the receiver of images' frames, whatever a CRC may say."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from harness import Bug, Harness, Proof

from eieio.model.image_frame import MAGIC
from eieio.model.registers import ShellError
from eieio.rtl.bus import image_frame_receiver

FINGERPRINT = 0x82303366


class _AnyCrc(wiring.Component):
    """Stands for the CRC, which has proofs of its own: it says anything."""

    latency = 4
    says: Signal

    valid: Signal
    first: Signal
    word: Signal
    intact: Signal

    def __init__(self) -> None:
        super().__init__({"valid": In(1), "first": In(1), "word": In(32), "intact": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.intact.eq(self.says)
        return m


def _frames() -> Harness:
    """Prove what reaches the engine, and what counts as loaded, of frames of up to 3 words."""
    h = Harness()
    m = h.m
    _AnyCrc.says = h.free(1, "intact")
    dut: Any = h.add(image_frame_receiver.ImageFrameReceiver(FINGERPRINT))
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, o_ready=dut.o.ready)
    h.drive_others(dut)
    h.assume_stream(dut.i.valid, dut.i.ready, dut.i.payload)
    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)
    word, last = dut.i.payload.data, dut.i.payload.last
    takes, moves = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready

    # The frame: which word is next, whether its header was right, how many words it names.
    place = Signal(3)
    right, size = Signal(), Signal(2)
    header = [word == MAGIC, right & (word == FINGERPRINT), right & (word != 0)]
    with m.If(takes):
        m.d.sync += place.eq(Mux(last, 0, Mux(place == 7, 7, place + 1)))
        for number, good in enumerate(header):
            with m.If(place == number):
                m.d.sync += right.eq(good & ~last)
        with m.If(place == 2):
            m.d.sync += size.eq(word)
    h.assume(word < 4, when=dut.i.valid & (place == 2))
    begins = takes & (place == 0)
    # Whole: with as many words as it names, and a CRC behind them.
    whole = Signal()
    with m.If(takes & last):
        m.d.sync += whole.eq(right & (place == size + 3))
    with m.Elif(begins):
        m.d.sync += whole.eq(0)

    # The engine's words of this frame.
    got, ended = Signal(2), Signal()
    with m.If(begins):
        m.d.sync += [got.eq(0), ended.eq(0)]
    with m.Elif(moves):
        m.d.sync += [got.eq(got + 1), ended.eq(dut.o.payload.last)]
    h.check((right | (place == 0)) & ~ended & (got < size), when=dut.o.valid)
    h.check(dut.o.payload.last, when=dut.o.valid & (got == size - 1))
    h.check(~begins, when=dut.o.valid)
    # Loaded is an image from its verdict on, until the next one's first word.
    intact = h.past(_AnyCrc.says, "intact_then")
    h.check(whole & ended & (got == size) & intact & h.past(dut.engine_loaded, "engine_loaded"),
            when=dut.accepted)
    h.check(dut.error == 0, when=dut.accepted)
    h.check(dut.loaded, when=dut.accepted)
    h.check(~dut.loaded, when=h.past(moves, "moved") & ~dut.accepted)
    h.check(dut.loaded == h.past(dut.loaded, "loaded_then"),
            when=h.started & ~dut.accepted & ~h.past(moves, "moved_again"))
    # What has begun to go to the engine is quiet from then on until it is settled.
    h.check(dut.quiet, when=h.past(moves, "moved_then"))
    h.check(dut.busy | (place == 0))
    # An image does not begin as long as an input is on its way.
    held = Signal()
    m.d.sync += held.eq((takes & (place == 2)) | (held & dut.hold))
    h.check(~dut.o.valid, when=held)
    # What is whole and intact is not discarded.
    h.check(~(dut.discard & dut.accepted))
    h.check(~whole | ~intact, when=dut.discard)
    h.cover(dut.accepted & (size == 2))
    h.cover(dut.discard & whole)
    h.cover(dut.error == ShellError.FRAME_LONG)
    h.cover((dut.error == ShellError.FRAME_SHORT) & (got == 1))
    h.cover(dut.error == ShellError.IMAGE_INCOMPLETE)
    return h


PROOFS = (
    Proof("image_frame_receiver", "bus/image_frame_receiver.py",
          "whatever frames come and the CRC says: the engine gets words of a right header only, as "
          "many as it names, the last one marked; loaded is what was whole, intact and taken",
          _frames, cover_depth=45,
          replaced=((image_frame_receiver, "Crc32", _AnyCrc),),
          bugs=(Bug("a long frame is taken", "self.error.eq(ShellError.FRAME_LONG), good.eq(0)]",
                    "self.error.eq(ShellError.FRAME_LONG)]"),
                Bug("what is damaged is accepted", "with m.If(~(good & checksum.intact)):",
                    "with m.If(~good):"),
                Bug("an image does not wait for an input", "with m.If(~self.hold):",
                    "with m.If(1):"),
                Bug("another configuration's image is taken",
                    "Cat(no_image, word != self.fingerprint, word == 0)",
                    "Cat(no_image, no_image & ~no_image, word == 0)"))),
)
