"""Proofs of the global buffer."""

from amaranth.hdl import Cat, Signal, Value
from harness import Bug, Harness, Proof
from memory_word import FollowedWord
from small_config import smaller

from eieio.model.eyeriss.config import EyerissConfig
from eieio.rtl.eyeriss.global_buffer import GlobalBuffer

# Bits of an activation and of an address of a line: two banks of two lines of two activations.
BITS, LINE = 16, 2


def _words() -> Harness:
    """Follow one bit of one activation, which may also be a part of a partial sum."""
    h = Harness()
    m = h.m
    config = smaller(EyerissConfig(glb_banks=2, glb_bytes=16, bus_words=1, psum_width=32))
    assert config.bank_lines == 2
    assert config.line_bytes == 4
    dut = h.add(GlobalBuffer(config))
    h.drive_others(dut)
    which, bit = h.constant(1 + LINE, "which"), h.constant(4, "bit")
    line = which[1:]

    # Both are written in different banks, and so are they read.
    def bank(addr: Value) -> Value:
        return addr[-1]

    h.assume(bank(dut.ifmap_write_addr) != bank(dut.psum_write_addr),
             when=dut.ifmap_write & dut.psum_write)
    read_from = {}
    for name, read, addr in (("ifmap", dut.ifmap_read, dut.ifmap_read_addr),
                             ("psum", dut.psum_read, dut.psum_read_addr)):
        ever, last = Signal(name=f"{name}_ever"), Signal(name=f"{name}_last")
        with m.If(read):
            m.d.sync += [ever.eq(1), last.eq(bank(addr))]
        read_from[name] = ever, last
    # What is shown of one is shown until the next is read, also while the other one is read.
    h.assume(bank(dut.ifmap_read_addr) != bank(dut.psum_read_addr),
             when=dut.ifmap_read & dut.psum_read)
    for other, read, addr, other_read in (
            ("psum", dut.ifmap_read, dut.ifmap_read_addr, dut.psum_read),
            ("ifmap", dut.psum_read, dut.psum_read_addr, dut.ifmap_read)):
        ever, last = read_from[other]
        h.assume(bank(addr) != last, when=read & ~other_read & ever)

    whole = dut.psum_write_data.as_value()
    psum_bit = whole.bit_select(Cat(bit, which[0]), 1)
    psum = dut.psum_write & (dut.psum_write_addr == line)
    word = FollowedWord(
        h, "word", which,
        write=psum | (dut.ifmap_write & (dut.ifmap_write_addr == which)), addr=which,
        data=(psum & psum_bit) | (~psum & dut.ifmap_write_data.as_unsigned().bit_select(bit, 1)))
    for name, read, addr, of, shown in (
            ("ifmap", dut.ifmap_read, dut.ifmap_read_addr, which,
             dut.ifmap_read_data.as_unsigned().bit_select(bit, 1)),
            ("psum", dut.psum_read, dut.psum_read_addr, line,
             dut.psum_read_data.as_value().bit_select(Cat(bit, which[0]), 1))):
        shows, expected = Signal(name=f"{name}_shows"), Signal(name=f"{name}_expected")
        with m.If(read):
            m.d.sync += [shows.eq((addr == of) & word.known & ~word.written),
                         expected.eq(word.value)]
        h.check(shown == expected, when=shows)
        h.cover(shows & expected & ~h.past(read, f"{name}_read") & which[0] & which[-1])
    return h


PROOFS = (
    Proof("global_buffer", "eyeriss/global_buffer.py",
          "two banks of two lines, activations and lines written and read in any cycles, in "
          "different banks: what is read is what was written last, by either, and stays until the "
          "next read", _words,
          bugs=(Bug("an activation is written to all lanes of its line",
                    "Mux(ifmap, lane, 0)", "Mux(ifmap, (1 << lanes) - 1, 0)"),
                Bug("a line is read of the bank of the read at hand",
                    "psum_from.eq(psum_read_bank)", "psum_from.eq(ifmap_read_bank)"),
                Bug("the lane of an activation is that of the next one",
                    "lane.eq(read_lane)", "lane.eq(read_lane + 1)"))),
)
