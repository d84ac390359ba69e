"""Proofs of the serial check."""

import zlib

from amaranth.hdl import Cat, Mux, Signal
from harness import Bug, Harness, Proof
from inside import open_up

from eieio.rtl.bus.serial_check import SerialCheck

# What is left after a message of no words and its CRC, and so after every message and its CRC;
# the highest power first.
RESIDUE = int(f"{0xFFFFFFFF ^ zlib.crc32(bytes(4)):032b}"[::-1], 2)

# Cycles from a word to the offer of the same.
DELAY = 33


def _words() -> Harness:
    """Division of polynomials, highest power first, of a word's bits in the cycles behind it."""
    h = Harness()
    m = h.m
    dut = SerialCheck()
    inside = open_up(h, dut)
    h.drive(i_valid=dut.i.valid, i_payload=dut.i.payload, o_ready=dut.o.ready, enable=dut.enable)
    takes, went = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
    kept = Signal(33)
    age = Signal(range(DELAY + 1))  # 0: no word is here.
    with m.If(takes):
        m.d.sync += [kept.eq(dut.i.payload), age.eq(1)]
    with m.Elif(went):
        m.d.sync += age.eq(0)
    with m.Elif((age != 0) & (age != DELAY)):
        m.d.sync += age.eq(age + 1)

    begins = Signal(init=1)
    with m.If(went):
        m.d.sync += begins.eq(dut.o.payload.last)
    rest, bit = Signal(32), Signal()
    m.d.comb += bit.eq(kept.bit_select((age - 1)[:5], 1))
    with m.If(takes & begins):
        m.d.sync += rest.eq(0xFFFFFFFF)
    with m.Elif((age != 0) & (age != DELAY)):
        m.d.sync += rest.eq((rest << 1) ^ Mux(rest[31] ^ bit, 0x04C11DB7, 0))

    h.check(dut.i.ready == (dut.enable & (age == 0)))
    h.check(dut.busy == (age != 0))
    h.check(dut.o.valid == (age == DELAY))
    h.check(dut.o.payload.as_value() == kept, when=dut.o.valid)
    h.check_stream(dut.o.valid, dut.o.ready, dut.o.payload)
    h.check(dut.intact == h.past(rest == RESIDUE, "intact"))
    # Of these follows the former. While its bits are divided, the word is turned.
    h.check(inside.parts["checksum"].remainder == rest[::-1])
    h.check(inside["first"] == begins, when=age != DELAY)
    h.check(inside["fsm_state"] == Mux(age == 0, 0, Mux(age == DELAY, 2, 1)))
    h.check(inside["left"] == DELAY - 1 - age, when=(age != 0) & (age != DELAY))
    turned = Cat(kept[:32], kept[:32]).bit_select((age - 1)[:5], 32)
    h.check(dut.o.payload.as_value() == Cat(turned, kept[32]), when=(age != 0) & (age != DELAY))
    h.cover(dut.o.valid & (rest == RESIDUE) & (kept[:32] == 0))
    h.cover(went & ~dut.o.payload.last)
    return h


PROOFS = (
    Proof("serial_check", "bus/serial_check.py",
          "each word leaves unchanged 33 cycles after it came; whether those of a packet leave "
          "what zlib's CRC-32 leaves of a message and its CRC is told a cycle later", _words,
          engine="induction", depth=4, cover_depth=40,
          bugs=(Bug("a word is shifted out", "word.eq(Cat(word[1:], word[0]))",
                    "word.eq(word[1:])"),
                Bug("a word is taken without leave", "self.i.ready.eq(self.enable)",
                    "self.i.ready.eq(1)"))),
)
