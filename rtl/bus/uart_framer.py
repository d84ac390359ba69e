"""Makes frames for a serial line."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.uart_frame import ESCAPE, FLAG, TOGGLE
from eieio.rtl.bus.serial_crc32 import SerialCrc32

__all__ = ["UartFramer"]

_CRC_BYTES = 4


class UartFramer(wiring.Component):
    """Puts flags around the bytes of a frame, appends the CRC, and escapes.

    For the format see :mod:`eieio.model.uart_frame`. A byte takes 12 cycles or more.

    Members
    -------
    i : ``In(stream)``
        ``data`` (8 bits) and ``last``: kind, number and payload of a frame.
    o : ``Out(stream.Signature(8))``
        Bytes of the line.
    idle : ``Out(1)``
        All frames have been handed on, and no other is offered, as of the cycle before.
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
        m.submodules.checksum = crc = SerialCrc32()
        byte = Signal(8)
        special = Signal()  # An escape goes before the byte.
        body = Signal()     # The byte is one of the frame's body, and not of its CRC.
        last = Signal()     # No byte of the body is left.
        left = Signal(3)
        crc_bytes = Signal(range(_CRC_BYTES + 1))
        m.d.comb += [
            crc.bit.eq(byte[0]),
            crc.take.eq(body),
            self.o.payload.eq(Mux(special, ESCAPE, byte)),
        ]
        m.d.sync += self.idle.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [byte.eq(FLAG), last.eq(0), crc_bytes.eq(_CRC_BYTES),
                             self.idle.eq(~self.i.valid)]
                with m.If(self.i.valid):
                    m.next = "SEND"
            with m.State("NEXT"):
                m.d.sync += [body.eq(~last), left.eq(7)]
                with m.If(~last):
                    with m.If(self.i.valid):
                        m.next = "TAKE"
                with m.Elif(crc_bytes == 0):
                    m.d.sync += byte.eq(FLAG)
                    m.next = "END"
                with m.Else():
                    m.d.sync += crc_bytes.eq(crc_bytes - 1)
                    m.next = "BITS"
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [byte.eq(self.i.payload.data), last.eq(self.i.payload.last)]
                m.next = "BITS"
            with m.State("BITS"):
                m.d.comb += crc.shift.eq(1)
                m.d.sync += [
                    byte.eq(Cat(byte[1:], Mux(body, byte[0], ~crc.remainder[0]))),
                    left.eq(left - 1),
                ]
                with m.If(left == 0):
                    m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.sync += special.eq((byte == FLAG) | (byte == ESCAPE))
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += special.eq(0)
                    with m.If(special):
                        m.d.sync += byte.eq(byte ^ TOGGLE)
                    with m.Else():
                        m.next = "NEXT"
            with m.State("END"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m
