"""Proofs of the multicast."""

from amaranth.hdl import Cat, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.eyeriss.multicast import Multicast

ROWS, COLUMNS = 2, 2


def _words() -> Harness:
    """Follow the words of one PE: those that carry both of its IDs."""
    h = Harness()
    m = h.m
    dut = h.add(Multicast(ROWS, COLUMNS, 2))
    h.drive(valid=dut.valid, payload=dut.payload, o_ready=dut.o_ready)
    # IDs are any of two bits, and the same while words come.
    row_ids, column_ids = (h.constant(2 * count, name) for count, name in (
        (ROWS, "row_ids"), (ROWS * COLUMNS, "column_ids")))
    row, column = h.free(2, "row"), h.free(2, "column")
    m.d.comb += [dut.row.eq(row), dut.column.eq(column)]
    for ids, kept, count in ((dut.row_ids, row_ids, ROWS),
                             (dut.column_ids, column_ids, ROWS * COLUMNS)):
        m.d.comb += [ids[place].eq(kept.word_select(place, 2)) for place in range(count)]
    h.assume_stream(dut.valid, dut.ready, Cat(dut.payload, row, column))

    pe = h.constant(2, "pe")
    mine, gets = Signal(), Signal()
    m.d.comb += [
        mine.eq((row == row_ids.word_select(pe[1], 2)) & (column == column_ids.word_select(pe, 2))),
        gets.eq(dut.o_valid.bit_select(pe, 1)),
    ]
    h.check(dut.o_ready.bit_select(pe, 1), when=gets)
    h.check_order("words", push=dut.valid & dut.ready & mine, i=dut.payload, pop=gets,
                  o=dut.o_data.as_value().word_select(pe[1], 2), capacity=1)
    # The other PE of the row gets a word in the same cycle if it has the same ID.
    same = column_ids.word_select(pe, 2) == column_ids.word_select(pe ^ 1, 2)
    h.check(gets == dut.o_valid.bit_select(pe ^ 1, 1), when=same)
    # Nothing waits but for a PE that is to get it.
    h.check(dut.ready, when=dut.o_ready.all())
    waits = h.saturating("waits", dut.o_ready.all(), 2)
    h.check(dut.o_valid == 0, when=(waits == 2) & ~h.past(dut.valid, "valid"))
    strange = Signal()
    m.d.comb += strange.eq((row != row_ids[:2]) & (row != row_ids[2:]))
    h.check(dut.ready, when=strange)
    h.cover(gets & same & ~dut.ready & dut.valid & (row_ids[:2] == row_ids[2:]))
    h.cover(gets & (dut.o_valid.bit_select(pe ^ 3, 1)))
    return h


PROOFS = (
    Proof("multicast", "eyeriss/multicast.py",
          "2 x 2 PEs with any IDs: each PE gets the words with its IDs, in order and once, when it "
          "is ready and together with those of its row; a word waits for nobody else", _words,
          bugs=(Bug("a word goes to those who are ready, and stays for the others",
                    "match & taken.replicate(self.columns)", "match & self.o_ready[places]"),
                Bug("a word is taken when a row is free and another one is not",
                    "(free | ~wanted).all()", "(free & wanted).any() | ~wanted.any()"),
                Bug("rows get words of others", "self.valid & self.ready & wanted[row]",
                    "self.valid & self.ready"))),
)
