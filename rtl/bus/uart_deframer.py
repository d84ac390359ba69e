"""Finds frames among the bytes of a serial line."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.uart_frame import ESCAPE, FLAG, MAX_PAYLOAD, MIN_FRAME, TOGGLE
from eieio.rtl.bus.serial_crc32 import RESIDUE, SerialCrc32

__all__ = ["BYTE_CYCLES", "TAIL", "UartDeframer"]

#: Bytes after kind and number that are kept: the longest register request and the CRC.
TAIL = 6 + 4

# MAX_PAYLOAD is this power of two.
_TOP = MAX_PAYLOAD.bit_length() - 1

#: Least cycles from a byte to the next.
BYTE_CYCLES = 16


class UartDeframer(wiring.Component):
    """Takes bytes, removes escapes, and checks length and CRC.

    From a byte to the next there are :data:`BYTE_CYCLES` or more. For the format see
    :mod:`eieio.model.uart_frame`. All that it drives is a register.

    Members
    -------
    valid, data, error : ``In``
        From the receiver.
    hold : ``In(1)``
        Bytes of ``tail`` are in use: let it be. A frame whose bytes should have moved it meanwhile
        is never good; it is lost.
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
    ended : ``Out(1)``
        Something ends, be it a frame or noise; 1 for one cycle. What is said of the frame stays for
        8 cycles.
    good, damaged : ``Out(1)``
        With ``ended``: it is a frame.
    """

    valid: Signal
    data: Signal
    error: Signal
    hold: Signal
    kind: Signal
    number: Signal
    tail: Signal
    payload_valid: Signal
    payload: Signal
    size: Signal
    ended: Signal
    good: Signal
    damaged: Signal

    def __init__(self) -> None:
        super().__init__({
            "valid": In(1),
            "data": In(8),
            "error": In(1),
            "hold": In(1),
            "kind": Out(8),
            "number": Out(8),
            "tail": Out(8 * TAIL),
            "payload_valid": Out(1),
            "payload": Out(8),
            "size": Out(unsigned(_TOP + 1)),
            "ended": Out(1),
            "good": Out(1),
            "damaged": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = crc = SerialCrc32()
        byte = Signal(8)
        error = Signal()
        is_flag = Signal()
        is_escape = Signal()
        left = Signal(3)
        # Of the frame.
        header = Signal(2, init=1)  # The next byte is kind, or number.
        # Bytes of the payload, after those of the shortest frame; stops above the longest.
        count = Signal(signed(_TOP + 2), init=-MIN_FRAME)
        escaped = Signal()
        bad = Signal()
        lost = Signal()
        # Registered, as bytes are slow.
        too_long = Signal()
        within = Signal()
        intact = Signal(4)
        fails = Signal()
        m.d.comb += [
            crc.bit.eq(byte[0]),
            crc.take.eq(1),
            self.payload.eq(self.tail.word_select(4, 8)),
            self.size.eq(count),
        ]
        m.d.sync += [
            too_long.eq((count >= 0) & count[_TOP] & count[0]),
            within.eq((count >= 0) & ~count[_TOP] & count[:_TOP].any()),
            *(intact[part].eq(crc.remainder.word_select(part, 8) == RESIDUE >> 8 * part & 0xFF)
              for part in range(4)),
            fails.eq(bad | escaped | too_long | ~intact.all()),
            self.payload_valid.eq(0),
            self.ended.eq(0),
            self.good.eq(0),
            self.damaged.eq(0),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [byte.eq(self.data), error.eq(self.error), left.eq(7)]
                with m.If(self.valid):
                    m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.sync += [
                    is_flag.eq((byte == FLAG) & ~error),
                    is_escape.eq((byte == ESCAPE) & ~error),
                ]
                with m.If(escaped):
                    m.d.sync += byte.eq(byte ^ TOGGLE)
                m.next = "BYTE"
            with m.State("BYTE"):
                with m.If(is_flag):
                    m.d.sync += [
                        self.ended.eq(1),
                        self.good.eq((count >= 0) & ~fails & ~lost),
                        self.damaged.eq((count >= 0) & fails),
                    ]
                    m.next = "FLAG"
                with m.Elif(is_escape):
                    m.d.sync += [bad.eq(bad | escaped), escaped.eq(1)]
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += [
                        bad.eq(bad | error),
                        escaped.eq(0),
                        self.payload_valid.eq(within),
                    ]
                    m.next = "KEEP"
            with m.State("KEEP"):
                with m.If(~too_long):
                    m.d.sync += count.eq(count + 1)
                m.d.sync += header.eq(header << 1)
                with m.If(header[0]):
                    m.d.sync += self.kind.eq(byte)
                with m.If(header[1]):
                    m.d.sync += self.number.eq(byte)
                with m.If(header == 0):
                    with m.If(self.hold):
                        m.d.sync += lost.eq(1)
                    with m.Else():
                        m.d.sync += self.tail.eq(Cat(byte, self.tail))
                m.next = "BITS"
            with m.State("BITS"):
                m.d.comb += crc.shift.eq(1)
                m.d.sync += [byte.eq(byte >> 1), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "IDLE"
            with m.State("FLAG"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.d.sync += [header.eq(1), count.eq(-MIN_FRAME), escaped.eq(0), bad.eq(0),
                                 lost.eq(0)]
                    m.next = "IDLE"
        return m
