"""Proofs of the control of a pass.

What the counters are is told by the number of a word in its pass: sizes are powers of two, so that
each is some bits of it. Passes follow one another, each with sizes of its own.
"""

from amaranth.hdl import Signal, Value
from harness import Bug, Harness, Proof

from eieio.model.eyeriss.config import EyerissConfig
from eieio.rtl.eyeriss.pass_control import PassControl

# Bits of the number of a word, and of the first address of partial sums.
NUMBER, BASE = 6, 3


class _Pass:
    """A harness, and what holds from a start to the next one."""

    def __init__(self) -> None:
        self.h = Harness()
        self.dut = self.h.add(PassControl(EyerissConfig(rows=2, columns=2, bus_words=2)))
        self.start = self.h.free(1, "free_start")
        self.h.m.d.comb += self.dut.start.eq(self.start)

    def held(self, width: int, name: str) -> Signal:
        """Return what is anything at a start, and the same until the next one."""
        m = self.h.m
        value, kept = Signal(width, name=name), Signal(width, name=f"{name}_kept")
        m.d.comb += value.eq(kept)
        with m.If(self.start):
            m.d.comb += value.eq(self.h.free(width, f"{name}_any"))
        m.d.sync += kept.eq(value)
        return value

    def counter(self, name: str, step: Value | Signal) -> Signal:
        """Return how often something has happened since the start."""
        count = Signal(NUMBER, name=name)
        with self.h.m.If(step):
            self.h.m.d.sync += count.eq(count + 1)
        with self.h.m.If(self.start):
            self.h.m.d.sync += count.eq(0)
        return count

    def lines(self) -> tuple[Signal, Signal]:
        """Set places, chains and partial sums; return lines of a pass and whether a chain has two.

        Places are up to 3, chains 1, 2 or 4, and partial sums of a chain up to 4.
        """
        places, chains, sums = (self.held(2, name) for name in ("places", "chains", "sums"))
        total = Signal(NUMBER)
        self.h.assume((places != 0) & (chains != 3))
        self.chains = Signal(2)
        self.h.m.d.comb += [
            total.eq(places << chains << sums[1]),
            self.chains.eq((1 << chains) - 1),
            self.dut.lines.eq(total),
            self.dut.sizes.p.eq(sums),
            self.dut.sizes.chains.eq(self.chains),
        ]
        return total, sums

    def chain(self, number: Value, sums: Value) -> tuple[Value, Value, Value]:
        """Return row and column of the chain of a line, and its partial sums."""
        chain, words = Signal(2), Signal(2)
        last = ~sums[1] | number[0]
        self.h.m.d.comb += chain.eq((number >> sums[1]) & self.chains)
        with self.h.m.If(last):
            self.h.m.d.comb += words.eq(sums[0] + 1)
        with self.h.m.Else():
            self.h.m.d.comb += words.eq(2)
        return chain[1], chain[0], words


def _activations() -> Harness:
    p = _Pass()
    h, dut = p.h, p.dut
    h.drive(ready=dut.ifmap_ready)
    columns = p.held(2, "columns")
    q, r, rows = (p.held(1, name) for name in ("q", "r", "rows"))
    words = Signal(NUMBER)
    h.m.d.comb += [
        words.eq(columns << q << r << rows), dut.words.eq(words),
        dut.sizes.q.eq(q), dut.sizes.r.eq(r), dut.sizes.rows.eq(rows)]
    reads = Signal()
    number = p.counter("number", reads)
    offered, offer = Signal(), Signal(NUMBER)
    begun = Signal()
    running = begun & ~p.start
    h.m.d.comb += reads.eq((~offered | dut.ifmap_ready) & running & (number != words))
    with h.m.If(~offered | dut.ifmap_ready):
        h.m.d.sync += [offered.eq(reads), offer.eq(number)]
    with h.m.If(p.start):
        h.m.d.sync += begun.eq(1)
    # A pass begins when all activations of the one before have gone.
    h.assume(~begun | (~offered & (number == h.past(words, "words_before"))), when=p.start)
    h.check(dut.ifmap_read == reads)
    h.check(dut.ifmap_addr == number, when=reads)
    h.check(dut.ifmap_valid == offered)
    h.check(dut.ifmap_row == ((offer >> q) & r), when=offered)
    h.check(dut.ifmap_column == ((offer >> (q + r)) & rows), when=offered)
    h.cover(offered & dut.ifmap_row[0] & dut.ifmap_column[0] & q & (offer > words[1:]))
    return h


def _sums_read() -> Harness:
    p = _Pass()
    h, dut = p.h, p.dut
    h.drive(ready=dut.psum_ready)
    base, first = p.held(BASE, "base"), p.held(1, "first")
    h.m.d.comb += [dut.base.eq(base), dut.first.eq(first)]
    lines, sums = p.lines()
    reads = Signal()
    number = p.counter("number", reads)
    offered, offer, begun = Signal(), Signal(NUMBER), Signal()
    running = begun & ~p.start
    h.m.d.comb += reads.eq((~offered | dut.psum_ready) & running & ~first & (number != lines))
    with h.m.If(~offered | dut.psum_ready):
        h.m.d.sync += [offered.eq(reads), offer.eq(number)]
    with h.m.If(p.start):
        h.m.d.sync += begun.eq(1)
    h.assume(~begun | (~offered & (h.past(first, "first_before")
                                   | (number == h.past(lines, "lines_before")))), when=p.start)
    h.check(dut.psum_read == reads)
    h.check(dut.psum_addr == base + number, when=reads)
    h.check(dut.read_words == p.chain(number, sums)[2], when=reads)
    h.check(dut.psum_valid == offered)
    row, column, _ = p.chain(offer, sums)
    h.check((dut.psum_row == row) & (dut.psum_column == column), when=offered)
    h.cover(offered & (row & column) & (number == lines) & sums[1])
    return h


def _sums_taken() -> Harness:
    p = _Pass()
    h, dut = p.h, p.dut
    h.m.d.comb += dut.taken.eq(h.free(1, "taken") & dut.want)
    lines, sums = p.lines()
    took, begun = p.counter("took", dut.taken), Signal()
    with h.m.If(p.start):
        h.m.d.sync += begun.eq(1)
    h.assume(~begun | (took == h.past(lines, "lines_before")), when=p.start)
    running = begun & ~p.start
    row, column, words = p.chain(took, sums)
    h.check(dut.want == (running & (took != lines)))
    h.check((dut.want_row == row) & (dut.want_column == column) & (dut.taken_words == words),
            when=dut.want)
    h.cover(dut.want & (row & column) & (words == 1) & sums[1])
    return h


def _sums_written() -> Harness:
    p = _Pass()
    h, dut = p.h, p.dut
    lines, base = p.held(BASE, "lines"), p.held(BASE, "base")
    line = h.free(1, "line")
    wrote = p.counter("wrote", dut.line_valid)
    h.m.d.comb += [dut.base.eq(base), dut.lines.eq(lines),
                   dut.line_valid.eq(line & ~p.start & (wrote != lines))]
    begun = Signal()
    with h.m.If(p.start):
        h.m.d.sync += begun.eq(1)
    h.assume(lines != 0, when=p.start)
    h.assume(~begun | (wrote == h.past(lines, "lines_before")), when=p.start)
    h.check(dut.write == dut.line_valid)
    h.check(dut.write_addr == base + wrote, when=dut.write)
    h.check(dut.done == h.past(dut.line_valid & (wrote == lines - 1), "ends"))
    h.cover(dut.done & (lines == 5) & (base == 5))
    return h


PROOFS = (
    Proof("pass_control_activations", "eyeriss/pass_control.py",
          "sets, channels and rows of one or two, up to 3 columns: activations are read in order "
          "and once, and go to the IDs of their set and row; an offer stays until it is taken",
          _activations,
          bugs=(Bug("rows come in front of sets",
                    "(q, sizes.q), (r, sizes.r), (row, sizes.rows)",
                    "(q, sizes.q), (row, sizes.rows), (r, sizes.r)"),
                Bug("the next word is read while one waits",
                    "self.ifmap_read.eq(advance & (left != 0))",
                    "self.ifmap_read.eq(left != 0)"))),
    Proof("pass_control_sums_read", "eyeriss/pass_control.py",
          "up to 3 places, 4 chains in rows of two, 4 partial sums in lines of two: lines are read "
          "in order, once, and go to their chains; the first pass reads none", _sums_read,
          cover_depth=30,
          bugs=(Bug("a first pass reads", "Mux(self.first, 0, self.lines)", "self.lines"),
                Bug("chains of a row are one more than columns",
                    "column == self.config.columns - 1", "column == self.config.columns"))),
    Proof("pass_control_sums_taken", "eyeriss/pass_control.py",
          "the same: lines are wanted of their chains in order, and as many as there are",
          _sums_taken, cover_depth=30,
          bugs=(Bug("chains are not begun anew at a place",
                    "m.d.sync += [chain.eq(0), column.eq(0), row.eq(0)]",
                    "m.d.sync += chain.eq(0)"),
                Bug("a line more is wanted", "self.want.eq(to_take != 0)", "self.want.eq(1)"))),
    Proof("pass_control_sums_written", "eyeriss/pass_control.py",
          "passes of up to 7 lines: they are written in order from the first address on, and done "
          "comes once, behind the last one", _sums_written,
          bugs=(Bug("done comes with the last line but one", "self.done.eq(to_write == 1)",
                    "self.done.eq(to_write == 2)"),)),
)
