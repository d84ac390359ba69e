"""Proofs of the CRC of words, against what zlib computes.

The remainder behind a word is a sum of bits of the word and the remainder before it. That the sums
are the right ones is proved by itself; when they are taken is proved with sums of one bit, since
solvers find it hard that two long sums are the same.
"""

import zlib
from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Const, Mux, Signal
from harness import Bug, Harness, Proof
from inside import open_up

from eieio.rtl.bus import crc32

# What a word of one bit adds to a remainder of zeros.
ADDED = [zlib.crc32((1 << bit).to_bytes(4, "little")) ^ zlib.crc32(bytes(4)) for bit in range(32)]

# What is left after a message of no words and its CRC, and so after every message and its CRC.
RESIDUE = 0xFFFFFFFF ^ zlib.crc32(zlib.crc32(b"").to_bytes(4, "little"))


def _step() -> Harness:
    """All messages are sums of those of one bit."""
    h = Harness()
    word = h.free(32, "word")
    step = h.result(Cat(crc32._shifted(word, bit) for bit in range(32)), 0)
    h.check(step == Cat(reduce(xor, (word[source] for source in range(32)
                                     if ADDED[source] >> bit & 1), Const(0, 1))
                        for bit in range(32)))
    h.cover((word == 1 << 7) & (step == ADDED[7]))
    return h


def _messages() -> Harness:
    """With a step that turns the remainder by a bit, as :data:`TURNED` says."""
    h = Harness()
    m = h.m
    dut = crc32.Crc32()
    inside = open_up(h, dut)
    h.drive_others(dut)
    # A message begins with a remainder of ones. It is looked at two cycles later.
    fed = Signal(32)
    m.d.comb += fed.eq(Mux(dut.first, ~dut.word, dut.word))
    fed_then = h.past(fed, "fed", 2)
    first_then = h.past(dut.first, "first", 2)
    remainder = Signal(32)
    with m.If(h.past(dut.valid, "valid", 2)):
        m.d.sync += remainder.eq((Mux(first_then, 0, remainder) ^ fed_then).rotate_left(1))
    h.check(dut.intact == h.past(remainder == RESIDUE, "intact"))
    # Of these follows the former.
    h.check(inside["word"] == h.past(fed, "fed_now"))
    h.check(inside["added"] == fed_then.rotate_left(1))
    h.check(inside["remainder"] == remainder)
    h.cover(dut.intact & h.past(dut.valid & dut.first, "ended", dut.latency))
    h.cover(dut.intact & h.past(dut.valid & ~dut.first, "ended_later", dut.latency))
    return h


TURNED = [1 << (bit + 1) % 32 for bit in range(32)]

PROOFS = (
    Proof("crc32_step", "bus/crc32.py",
          "the step by 32 bits is that of zlib", _step, engine="pipeline",
          bugs=(Bug("another polynomial", "_POLYNOMIAL = 0xEDB88320", "_POLYNOMIAL = 0x82F63B78"),
                Bug("a step of 31 bits", "    for _ in range(32):\n        remainder =",
                    "    for _ in range(31):\n        remainder ="))),
    Proof("crc32_messages", "bus/crc32.py",
          "any words in any cycles, with another step: whether the remainder of those since the "
          "first one is what a message and its CRC leave is told four cycles after the last one",
          _messages, engine="induction", depth=5, replaced=((crc32, "_IMAGES", TURNED),),
          bugs=(Bug("a message goes on with the one before", "& ~first[1]) ^ added[bit])",
                    ") ^ added[bit])"),
                Bug("the first word is not inverted", "Mux(self.first, ~self.word, self.word)",
                    "self.word"),
                Bug("another residue", "_RESIDUE = 0xDEBB20E3", "_RESIDUE = 0x2144DF1C"))),
)
