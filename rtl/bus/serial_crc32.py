"""CRC-32 of bytes, a bit a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RESIDUE", "SerialCrc32"]

_POLYNOMIAL = 0xEDB88320

#: What ``remainder`` is after a message and its CRC, whatever the message is.
RESIDUE = 0xDEBB20E3


class SerialCrc32(wiring.Component):
    """Computes the CRC-32 of zlib, the lowest bit of a byte first.

    Members
    -------
    start : ``In(1)``
        Begin a message. Not beside ``shift``.
    shift : ``In(1)``
        Move on by a bit.
    take : ``In(1)``
        With ``shift``: the bit is part of the message. Without it the remainder is shifted out.
    bit : ``In(1)``
        The bit.
    remainder : ``Out(32)``
        Remainder. The CRC is its complement, and leaves by the lowest bit.
    """

    start: Signal
    shift: Signal
    take: Signal
    bit: Signal
    remainder: Signal

    def __init__(self) -> None:
        super().__init__({"start": In(1), "shift": In(1), "take": In(1), "bit": In(1),
                          "remainder": Out(32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        feedback = Signal()
        m.d.comb += feedback.eq(self.take & (self.bit ^ self.remainder[0]))
        with m.If(self.start):
            m.d.sync += self.remainder.eq(Const(-1, 32))
        with m.Elif(self.shift):
            m.d.sync += self.remainder.eq(
                Cat(self.remainder[1:], Const(0, 1)) ^ Mux(feedback, _POLYNOMIAL, 0))
        return m
