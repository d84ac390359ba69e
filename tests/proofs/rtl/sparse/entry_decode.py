"""Proofs of entry decode."""

from dataclasses import replace

from amaranth.hdl import Cat, Mux, Signal
from harness import Bug, Harness, Proof

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.entry_decode import EntryDecode

CONFIG = SparseConfig(pes=1, queue_depth=2, columns_ahead=4, code_width=2, run_width=3,
                      activation_width=4, weight_width=4, accumulator_width=16, entry_depth=8,
                      pointer_depth=8, accumulator_depth=8, activation_depth=2, output_depth=2,
                      layer_depth=1)


def _entries(absorb: bool) -> Harness:
    """Prove that each entry that is no filler gives one product.

    They come in order, in their slots, with their column's activation. One of all is followed.
    """
    h = Harness()
    m = h.m
    dut = h.add(EntryDecode(replace(CONFIG, absorb_fillers=absorb)))
    pair = dut.pair
    none, both, last = (h.free(1, name) for name in ("none", "both", "last"))
    codes = [h.free(2, f"code_{number}") for number in range(2)]
    runs = [h.free(3, f"run_{number}") for number in range(2)]
    h.drive(pair_valid=dut.pair_valid, activation=dut.activation)
    m.d.comb += [pair.none.eq(none), pair.both.eq(both), pair.last.eq(last),
                 pair.fillers.eq(Cat(code == 0 for code in codes))]
    for entry, code, run in zip(pair.entries, codes, runs, strict=True):
        m.d.comb += [entry.code.eq(code), entry.run.eq(run)]
    offer = Cat(none, both, last, *codes, *runs)
    h.assume_stream(dut.pair_valid, dut.pair_pop, offer)
    waits = h.past(~dut.activation_pop, "keeps")
    h.assume(dut.activation == h.past(dut.activation, "activation"), when=waits & h.started)
    # What fetch sends: an empty column is a pair without entries; all pairs of a column but the
    # last have two; a column does not end with a filler, and a filler has the longest run.
    within = Signal()
    h.assume(~none | (~both & last & ~within), when=dut.pair_valid)
    h.assume(both | last, when=dut.pair_valid)
    h.assume(Mux(both, codes[1], codes[0]) != 0, when=dut.pair_valid & last & ~none)
    for code, run in zip(codes, runs, strict=True):
        h.assume(run == 7, when=code == 0)
    with m.If(dut.pair_pop):
        m.d.sync += within.eq(~last)
    h.check(dut.activation_pop == (dut.pair_pop & ~within))

    # Where the entries of a pair lie, by their definition.
    before, operand = Signal(3), Signal(4)
    slots = [Signal(3, name=f"slot_{number}") for number in range(2)]
    now = Signal(4)
    m.d.comb += [
        slots[0].eq(Mux(within, before + runs[0] + 1, runs[0])),
        slots[1].eq(slots[0] + runs[1] + 1),
        now.eq(Mux(within, operand, dut.activation)),
    ]
    with m.If(dut.pair_pop):
        m.d.sync += [before.eq(Mux(both, slots[1], slots[0])), operand.eq(now)]
    comes = [dut.pair_pop & ~none & (codes[0] != 0), dut.pair_pop & both & (codes[1] != 0)]
    due = Signal(4)
    m.d.sync += due.eq(due + comes[0] + comes[1] - dut.valid)
    h.check(due != 0, when=dut.valid)
    h.check(due <= 6)
    marks = h.free(2, "marks")
    followed, ahead = Signal(), Signal(4)
    expected = Signal(9)
    with m.If(~followed):
        for number in range(2):
            with m.If(comes[number] & marks[number]):
                m.d.sync += [followed.eq(1),
                             ahead.eq(due - dut.valid + (comes[0] if number else 0)),
                             expected.eq(Cat(slots[number], codes[number], now))]
    with m.Elif(dut.valid):
        m.d.sync += ahead.eq(ahead - 1)
        with m.If(ahead == 0):
            m.d.sync += followed.eq(0)
    h.check(Cat(dut.slot, h.past(dut.code, "code", 2), dut.operand) == expected,
            when=followed & dut.valid & (ahead == 0))
    # A pair is used up in two cycles at most, and nothing is left behind.
    h.check(h.saturating("stuck", dut.pair_valid & ~dut.pair_pop, 3) < 2)
    quiet = h.saturating("quiet", ~dut.pair_valid, 7)
    h.check(due == 0, when=quiet >= 6)
    h.cover(followed & dut.valid & (ahead == 0) & within)
    h.cover(dut.pair_pop & none & h.past(dut.valid, "valid"))
    h.cover(dut.pair_pop & both & (codes[0] == 0) & within)
    return h


PROOFS = tuple(
    Proof(f"entry_decode_{'absorb' if absorb else 'plain'}", "sparse/entry_decode.py",
          f"fillers {'absorbed' if absorb else 'by themselves'}: the products are those of the "
          "entries, each once, in order, with slot, code and activation; empty columns give none",
          lambda absorb=absorb: _entries(absorb), engine="bmc", depth=10,
          bugs=((Bug("a filler is absorbed although there is no second entry",
                     "& (left_over | self.pair.both))", ")"),
                 Bug("the slot goes on from the column before",
                     "self.slot.eq(advance - 1)", "self.slot.eq(self.slot + advance)"))
                if absorb else
                (Bug("an empty column makes a product", " & (left_over | ~self.pair.none)", ""),)))
    for absorb in (True, False))
