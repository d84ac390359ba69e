"""Proofs of the weight buffer."""

from amaranth.hdl import Array, Signal
from harness import Bug, Harness, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic import weight_buffer


def _rows() -> Harness:
    """Prove that a row is what was loaded last, by one weight that is any."""
    h = Harness()
    m = h.m
    dut = h.add(weight_buffer.WeightBuffer(SystolicConfig(rows=1, columns=5, weight_depth=2)))
    h.drive_others(dut)
    row, column = h.constant(1, "row"), h.constant(3, "column")
    h.assume(column < 5)
    value, known, writes = Signal(8), Signal(), Signal()
    m.d.comb += writes.eq(Array(dut.load_valid)[column >> 2] & (dut.load_addr == row))
    with m.If(writes):
        m.d.sync += [value.eq(dut.load_data.word_select(column[:2], 8)), known.eq(1)]
    # What is read of a word that is being written is undefined.
    asked = h.past(known & (dut.read_addr == row) & ~writes, "asked", dut.latency)
    shown = Array(weight.as_unsigned() for weight in dut.weights)[column]
    h.check(shown == h.past(value, "value", dut.latency), when=asked)
    h.cover(asked & (shown == 0x5A) & row & (column == 4))
    h.cover(asked & (shown == 0x5A) & ~row & (column == 3))
    return h


PROOFS = tuple(
    Proof(f"weight_buffer_{name}", "systolic/weight_buffer.py",
          f"two rows of five weights in two units, {what}: any weight is what was loaded there "
          "last, whatever else is loaded and read", _rows,
          bugs=(Bug("all units are written", "ram.write_en.eq(self.load_valid[unit])",
                    "ram.write_en.eq(self.load_valid.any())"),
                Bug("the second weight of a word has the bits of the first",
                    "self.load_data.word_select(part, 32 // count)[:width]",
                    "self.load_data.word_select(part & 2, 32 // count)[:width]")),
          replaced=replaced)
    for name, what, replaced in (
        ("rows", "in one memory", ()),
        ("banks", "with the register behind a choice of memories",
         ((weight_buffer, "_BLOCK_DEPTH", 1),))))
