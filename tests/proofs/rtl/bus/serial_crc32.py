"""Proofs of the serial CRC."""

from amaranth.hdl import Mux, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.bus.serial_crc32 import SerialCrc32


def _division() -> Harness:
    """Division of polynomials, highest power first, in a register that is not reflected."""
    h = Harness()
    dut = h.add(SerialCrc32())
    h.drive_others(dut)
    h.assume(~(dut.start & dut.shift))
    rest = Signal(32)
    following = Signal(32)
    h.m.d.comb += following.eq(
        (rest << 1) ^ Mux((rest[31] ^ dut.bit) & dut.take, 0x04C11DB7, 0))
    with h.m.If(dut.start):
        h.m.d.sync += rest.eq(0xFFFFFFFF)
    with h.m.Elif(dut.shift):
        h.m.d.sync += rest.eq(following)
    h.check(dut.remainder == rest[::-1])
    h.cover((dut.remainder & 0xFF) == 0x5A)
    return h


PROOFS = (
    Proof("serial_crc32", "bus/serial_crc32.py",
          "the remainder of a division by the CRC's polynomial, and its shift to the outside",
          _division,
          bugs=(Bug("what is shifted out is divided, too", "feedback.eq(self.take & ",
                    "feedback.eq("),)),
)
