"""Makes frames for a serial line."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from eieio.model.uart_frame import ESCAPE, FLAG, TOGGLE

__all__ = ["UartFramer"]


class UartFramer(wiring.Component):
    """Puts flags around the bytes of a frame, appends the CRC, and escapes.

    For the format see :mod:`eieio.model.uart_frame`.

    Members
    -------
    i : ``In(stream)``
        ``data`` (8 bits) and ``last``: kind, number and payload of a frame.
    o : ``Out(stream.Signature(8))``
        Bytes of the line.
    idle : ``Out(1)``
        All frames have been handed on.
    """

    i: stream.Interface
    o: stream.Interface
    idle: Signal

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"data": 8, "last": 1}))),
            "o": Out(stream.Signature(8)),
            "idle": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        crc: Any = CRC32_ISO_HDLC().create()
        m.submodules.checksum = crc
        # A byte of the frame waits here for the line; an escape goes before it.
        byte = Signal(8)
        full = Signal()
        escape = Signal()
        place = Signal(2)
        free = Signal()
        m.d.comb += [free.eq(~self.o.valid | self.o.ready), crc.data.eq(self.i.payload.data)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        def fill(value: Value) -> None:
            m.d.sync += [byte.eq(value), full.eq(1),
                         escape.eq((value == FLAG) | (value == ESCAPE))]

        with m.If(full & free):
            m.d.sync += self.o.valid.eq(1)
            with m.If(escape):
                m.d.sync += [self.o.payload.eq(ESCAPE), byte.eq(byte ^ TOGGLE), escape.eq(0)]
            with m.Else():
                m.d.sync += [self.o.payload.eq(byte), full.eq(0)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [crc.start.eq(1), self.idle.eq(~self.i.valid & ~self.o.valid)]
                with m.If(self.i.valid & free):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += self.i.ready.eq(~full)
                with m.If(self.i.valid & ~full):
                    fill(self.i.payload.data)
                    m.d.comb += crc.valid.eq(1)
                    m.d.sync += place.eq(0)
                    with m.If(self.i.payload.last):
                        m.next = "CRC"
            with m.State("CRC"):
                with m.If(~full):
                    fill(crc.crc.word_select(place, 8))
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == 3):
                        m.next = "END"
            with m.State("END"):
                with m.If(~full & free):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                    m.next = "IDLE"
        return m
