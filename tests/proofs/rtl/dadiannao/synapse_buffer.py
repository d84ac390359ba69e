"""Proofs of the synapse buffer."""

from amaranth.hdl import Cat, Signal
from harness import Bug, Harness, Proof

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.rtl.dadiannao import synapse_buffer

# Bits of a column; a row has two.
_COLUMN = 4


def _rows(banks: int) -> Harness:
    """Prove that a row is what was written last, by one column of one row that are any."""
    h = Harness()
    m = h.m
    dut = h.add(synapse_buffer.SynapseBuffer(DaDianNaoConfig(
        inputs=1, outputs=1, weight_width=8, sb_banks=banks, sb_depth=2)))
    h.drive_others(dut)
    row, column = h.constant(len(dut.read_addr), "row"), h.constant(1, "column")
    writes = Signal()
    value, known = Signal(_COLUMN), Signal()
    m.d.comb += writes.eq(dut.write_valid & (dut.write_addr == Cat(column, row)))
    with m.If(writes):
        m.d.sync += [value.eq(dut.write_data), known.eq(1)]
    # What is read of a word that is being written is undefined.
    asked = h.past(known & (dut.read_addr == row) & ~writes, "asked", dut.latency)
    h.check(dut.row.word_select(column, _COLUMN) == h.past(value, "value", dut.latency),
            when=asked)
    h.cover(asked & (dut.row == 0x5A) & column & row[-1])
    h.cover(asked & h.past(asked, "asked_before") & (dut.row == 0x5A)
            & (h.past(dut.read_addr, "asks", dut.latency + 1) == row))
    return h


PROOFS = tuple(
    Proof(f"synapse_buffer_{banks}", "dadiannao/synapse_buffer.py",
          f"{banks} bank{'s' if banks > 1 else ''} of two rows of two columns: any column of any "
          "row is what was written there last, whatever else is written and read",
          lambda banks=banks: _rows(banks),
          bugs=(Bug("all columns are written", "(column == number)", "(column >= 0)"),
                *((Bug("a row is taken of the bank of the next one", "Array(rows)[late]",
                       "Array(rows)[bank]"),) if banks > 1 else ())),
          replaced=((synapse_buffer, "_COLUMN", _COLUMN),))
    for banks in (1, 2))
