"""Finds frames among the bytes of a serial line."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from eieio.model.uart_frame import ESCAPE, FLAG, MAX_PAYLOAD, MIN_FRAME, TOGGLE

__all__ = ["TAIL", "UartDeframer"]

#: Bytes after kind and number that are kept: the longest register request and the CRC.
TAIL = 6 + 4


class UartDeframer(wiring.Component):
    """Takes a byte at any time, removes escapes, and checks length and CRC.

    For the format see :mod:`eieio.model.uart_frame`.

    Members
    -------
    valid, data, error : ``In``
        From the receiver.
    kind, number : ``Out(8)``
        First and second byte of the frame, from when they have arrived.
    tail : ``Out(8 * TAIL)``
        Bytes that arrived last, the latest in the lowest bits. When a good frame ends, the lowest
        four are the CRC.
    payload_valid : ``Out(1)``
        The byte before the lowest five of ``tail`` moves on: it is part of the payload, and not its
        last byte, unless the frame turns out to be damaged.
    payload : ``Out(8)``
        The byte; when a good frame ends, the last one of its payload, if it has one.
    size : ``Out``
        Bytes of the payload, valid when a good frame ends.
    good, damaged : ``Out(1)``
        A frame ends; 1 for one cycle.
    """

    valid: Signal
    data: Signal
    error: Signal
    kind: Signal
    number: Signal
    tail: Signal
    payload_valid: Signal
    payload: Signal
    size: Signal
    good: Signal
    damaged: Signal

    def __init__(self) -> None:
        super().__init__({
            "valid": In(1),
            "data": In(8),
            "error": In(1),
            "kind": Out(8),
            "number": Out(8),
            "tail": Out(8 * TAIL),
            "payload_valid": Out(1),
            "payload": Out(8),
            "size": Out(unsigned(9)),
            "good": Out(1),
            "damaged": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        crc: Any = CRC32_ISO_HDLC().create()
        m.submodules.checksum = crc
        longest = MIN_FRAME + MAX_PAYLOAD
        count = Signal(range(longest + 2))
        escaped = Signal()
        bad = Signal()
        byte = Signal(8)
        flag = Signal()
        m.d.comb += [
            flag.eq(self.valid & ~self.error & (self.data == FLAG)),
            byte.eq(self.data ^ Mux(escaped, TOGGLE, 0)),
            crc.start.eq(flag),
            crc.data.eq(byte),
            self.payload.eq(self.tail.word_select(4, 8)),
            self.size.eq(count - MIN_FRAME),
        ]
        with m.If(flag):
            with m.If(bad | escaped | ~crc.match_detected | (count > longest)):
                m.d.comb += self.damaged.eq(count >= MIN_FRAME)
            with m.Else():
                m.d.comb += self.good.eq(count >= MIN_FRAME)
            m.d.sync += [count.eq(0), escaped.eq(0), bad.eq(0)]
        with m.Elif(self.valid & (self.data == ESCAPE) & ~self.error):
            m.d.sync += [bad.eq(bad | escaped), escaped.eq(1)]
        with m.Elif(self.valid):
            m.d.comb += crc.valid.eq(1)
            m.d.sync += [escaped.eq(0), bad.eq(bad | self.error)]
            with m.If(count <= longest):
                m.d.sync += count.eq(count + 1)
            with m.If(count == 0):
                m.d.sync += self.kind.eq(byte)
            with m.Elif(count == 1):
                m.d.sync += self.number.eq(byte)
            with m.Else():
                m.d.comb += self.payload_valid.eq((count >= 2 + 5) & (count < longest))
                m.d.sync += self.tail.eq(Cat(byte, self.tail))
        return m
