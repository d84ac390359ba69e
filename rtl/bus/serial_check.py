"""Serial check: computes the CRC-32 of packets of words, a bit a cycle, as they pass."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.serial_crc32 import RESIDUE, SerialCrc32
from eieio.rtl.bus.skid_buffer import beat_layout

__all__ = ["SerialCheck"]


class SerialCheck(wiring.Component):
    """Passes words of 32 bits on, each 33 cycles after it came, when it is part of the CRC.

    It computes what :class:`eieio.rtl.bus.crc32.Crc32` does, in a tenth of the lookup tables. All
    that it drives is a register, or says what the state is.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from the offer of a word to ``intact``.

    Members
    -------
    i : ``In(stream.Signature(beat_layout(32)))``
        Words.
    o : ``Out(stream.Signature(beat_layout(32)))``
        The same words.
    enable : ``In(1)``
        Take the next word.
    busy : ``Out(1)``
        A word has been taken, and not passed on.
    intact : ``Out(1)``
        The packet whose last word has left ends with its CRC; from ``latency`` cycles after that
        word was offered until another word is taken.
    """

    latency = 2

    i: stream.Interface
    o: stream.Interface
    enable: Signal
    busy: Signal
    intact: Signal

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(beat_layout(32))),
            "o": Out(stream.Signature(beat_layout(32))),
            "enable": In(1),
            "busy": Out(1),
            "intact": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = crc = SerialCrc32()
        word = self.o.payload.data
        left = Signal(range(len(word)))
        first = Signal(init=1)  # The next word begins a packet.
        m.d.comb += [crc.bit.eq(word[0]), crc.take.eq(1)]
        m.d.sync += self.intact.eq(crc.remainder == RESIDUE)
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("WAIT"))
            with m.State("WAIT"):
                m.d.comb += self.i.ready.eq(self.enable)
                m.d.sync += left.eq(len(word) - 1)
                with m.If(self.i.valid & self.enable):
                    m.d.comb += crc.start.eq(first)
                    m.d.sync += self.o.payload.eq(self.i.payload)
                    m.next = "BITS"
            with m.State("BITS"):
                m.d.comb += crc.shift.eq(1)
                m.d.sync += [word.eq(Cat(word[1:], word[0])), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                m.d.sync += first.eq(self.o.payload.last)
                with m.If(self.o.ready):
                    m.next = "WAIT"
        return m
