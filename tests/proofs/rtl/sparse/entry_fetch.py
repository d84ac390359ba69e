"""Proofs of entry fetch, over memories whose entries tell where they are."""

from amaranth.hdl import Cat, Const, Mux, Signal, Value
from harness import Bug, Harness, Proof
from stubs import read_only_pair

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse import entry_fetch

CONFIG = SparseConfig(pes=1, queue_depth=2, columns_ahead=4, code_width=2, run_width=3,
                      activation_width=4, weight_width=4, accumulator_width=16, entry_depth=8,
                      pointer_depth=8, accumulator_depth=4, activation_depth=2, output_depth=2,
                      layer_depth=1)


def _entry(number: Value) -> Value:
    """Return the entry of a number, which is anything but another one's."""
    return Cat(number[1:3], number[0], Const(0, 2))


def _contents(name: str, addr: Value) -> Value:
    return _entry(Cat(Const("odd" in name, 1), addr))


def _columns(depth: int) -> Harness:
    """Prove the pairs of any one column: all of them, in order, and only its entries.

    Its pairs come behind those of the columns before; how many these are is counted.
    """
    h = Harness()
    m = h.m
    dut = h.add(entry_fetch.EntryFetch(CONFIG))
    h.drive_others(dut, "pair_pop")
    pops = h.free(1, "pops")
    m.d.comb += dut.pair_pop.eq(pops & dut.pair_valid)
    start, count = dut.column_start, dut.column_count
    h.assume_stream(dut.column_valid, dut.column_pop, Cat(start, count))
    h.assume(start + count <= depth, when=dut.column_valid)
    pairs = Mux(count == 0, 1, (count + 1)[1:])
    # A queue of four, and a column before it.
    due = Signal(5)
    m.d.sync += due.eq(due + Mux(dut.column_pop, pairs, 0) - dut.pair_pop)
    h.check(due != 0, when=dut.pair_valid)
    marks = h.free(1, "marks")
    followed, ahead, first, left = Signal(), Signal(5), Signal(4), Signal(4)
    with m.If(~followed):
        with m.If(dut.column_pop & marks):
            m.d.sync += [followed.eq(1), ahead.eq(due - dut.pair_pop), first.eq(start),
                         left.eq(count)]
    with m.Elif(dut.pair_pop):
        with m.If(ahead != 0):
            m.d.sync += ahead.eq(ahead - 1)
        with m.Else():
            m.d.sync += [first.eq(first + 2), left.eq(left - 2), followed.eq(left > 2)]
    now = followed & dut.pair_valid & (ahead == 0)
    h.check((dut.pair.none == (left == 0)) & (dut.pair.both == (left >= 2))
            & (dut.pair.last == (left <= 2)), when=now)
    for number, is_there in enumerate((left != 0, left >= 2)):
        entry = _entry((first + number)[:3])
        h.check((dut.pair.entries[number].as_value() == entry)
                & (dut.pair.fillers[number] == (entry[:2] == 0)), when=now & is_there)
    # A pair is there five cycles after an idle fetch gets its column; none is taken in vain.
    waits = h.saturating("waits", (due != 0) & ~dut.pair_valid, 7)
    h.check(waits <= 4)
    h.cover(now & (left == 3) & first[0])
    h.cover(now & dut.pair.none & h.past(dut.pair_pop, "pair_pop"))
    h.cover(due >= 6)
    return h


PROOFS = (
    Proof("entry_fetch_8", "sparse/entry_fetch.py",
          "of eight entries: a column's pairs are its entries, from its first one on, with their "
          "flags; none is lost for want of room", lambda: _columns(8), engine="bmc",
          depth=12, cover_depth=30,
          replaced=((entry_fetch, "add_ram_pair", read_only_pair(_contents)),),
          bugs=(Bug("a column of two entries is read twice", "last.eq(self.column_count <= 2)",
                    "last.eq(self.column_count < 2)"),
                Bug("pairs are read without credit", "read.eq(active & ~outstanding[-1])",
                    "read.eq(active)"),
                Bug("the even bank is one behind in odd columns",
                    "addrs[0].eq((self.column_start + 1) >> 1)",
                    "addrs[0].eq(self.column_start >> 1)"))),
)
