"""Control of a pass: what goes to the array and comes from it, word by word."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.eyeriss.commands import SIZES
from eieio.model.eyeriss.config import EyerissConfig

__all__ = ["PASS_SIZES", "PassControl"]

#: The second word of the command, see :data:`eieio.model.eyeriss.commands.SIZES`.
PASS_SIZES = data.StructLayout({name: field.width for name, field in SIZES.items()})


class PassControl(wiring.Component):
    """Sends activations and partial sums to the buses, and stores partial sums that come back.

    Activations are read from the first on, in the order of the global buffer: columns of the input,
    in each its rows, in each the sets of channels, in each channels. Partial sums are read and
    written in their order: places of an output row, at each the chains, of each filters.

    Parameters
    ----------
    config : EyerissConfig
        The array.

    Members
    -------
    start : ``In(1)``
        Begin; all sizes hold from now until ``done``.
    first, words, base, lines, sizes : ``In``
        Fields of the command.
    done : ``Out(1)``
        The last partial sum was written in the cycle before.
    ifmap_read, ifmap_addr, psum_read, psum_addr : ``Out``
        To the global buffer.
    ifmap_valid, ifmap_ready, ifmap_row, ifmap_column, psum_valid, psum_ready, psum_row, \
psum_column : bus
        What was read goes to these IDs.
    want, want_row, want_column, taken, line_valid : gather
        See :class:`~eieio.rtl.eyeriss.array.PeArray`.
    write, write_addr : ``Out``
        Store the line of this cycle.
    psum_words : ``Out``
        Partial sums in a line that is read, and in one that is taken.
    """

    start: Signal
    first: Signal
    words: Signal
    base: Signal
    lines: Signal
    sizes: data.View
    done: Signal
    ifmap_read: Signal
    ifmap_addr: Signal
    psum_read: Signal
    psum_addr: Signal
    ifmap_valid: Signal
    ifmap_ready: Signal
    ifmap_row: Signal
    ifmap_column: Signal
    psum_valid: Signal
    psum_ready: Signal
    psum_row: Signal
    psum_column: Signal
    want: Signal
    want_row: Signal
    want_column: Signal
    taken: Signal
    line_valid: Signal
    write: Signal
    write_addr: Signal
    read_words: Signal
    taken_words: Signal

    module_name = "pass_control"

    def __init__(self, config: EyerissConfig) -> None:
        self.config = config
        self.parameters = config
        small = range(config.bus_words + 1)
        super().__init__({
            "start": In(1), "first": In(1), "words": In(24), "base": In(16), "lines": In(16),
            "sizes": In(PASS_SIZES), "done": Out(1),
            "ifmap_read": Out(1), "ifmap_addr": Out(24), "psum_read": Out(1), "psum_addr": Out(16),
            "ifmap_valid": Out(1), "ifmap_ready": In(1), "ifmap_row": Out(8),
            "ifmap_column": Out(8),
            "psum_valid": Out(1), "psum_ready": In(1), "psum_row": Out(8), "psum_column": Out(8),
            "want": Out(1), "want_row": Out(8), "want_column": Out(8), "taken": In(1),
            "line_valid": In(1), "write": Out(1), "write_addr": Out(16),
            "read_words": Out(small), "taken_words": Out(small),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes = self.sizes

        # Activations.
        left, valid = Signal(24), Signal()
        q, r, row = Signal(6), Signal(5), Signal(8)
        advance = ~valid | self.ifmap_ready
        m.d.comb += [self.ifmap_read.eq(advance & (left != 0)), self.ifmap_valid.eq(valid)]
        with m.If(advance):
            m.d.sync += [valid.eq(left != 0), self.ifmap_row.eq(r), self.ifmap_column.eq(row)]
        with m.If(self.ifmap_read):
            m.d.sync += [left.eq(left - 1), self.ifmap_addr.eq(self.ifmap_addr + 1)]
            _count(m, (q, sizes.q), (r, sizes.r), (row, sizes.rows))
        with m.If(self.start):
            m.d.sync += [left.eq(self.words), self.ifmap_addr.eq(0)]

        # Partial sums to the array.
        to_read, reads = Signal(16), Signal()
        chain = self._chain(m, "read", self.psum_read)
        advance = ~reads | self.psum_ready
        m.d.comb += [self.psum_read.eq(advance & (to_read != 0)), self.psum_valid.eq(reads),
                     self.read_words.eq(chain.words)]
        with m.If(advance):
            m.d.sync += [reads.eq(to_read != 0), self.psum_row.eq(chain.row),
                         self.psum_column.eq(chain.column)]
        with m.If(self.psum_read):
            m.d.sync += [to_read.eq(to_read - 1), self.psum_addr.eq(self.psum_addr + 1)]
        with m.If(self.start):
            m.d.sync += [to_read.eq(Mux(self.first, 0, self.lines)), self.psum_addr.eq(self.base)]

        # Partial sums back.
        to_take, to_write = Signal(16), Signal(16)
        chain = self._chain(m, "take", self.taken)
        m.d.comb += [
            self.want.eq(to_take != 0), self.want_row.eq(chain.row),
            self.want_column.eq(chain.column), self.taken_words.eq(chain.words),
            self.write.eq(self.line_valid),
        ]
        with m.If(self.taken):
            m.d.sync += to_take.eq(to_take - 1)
        m.d.sync += self.done.eq(0)
        with m.If(self.line_valid):
            m.d.sync += [to_write.eq(to_write - 1), self.write_addr.eq(self.write_addr + 1),
                         self.done.eq(to_write == 1)]
        with m.If(self.start):
            m.d.sync += [to_take.eq(self.lines), to_write.eq(self.lines),
                         self.write_addr.eq(self.base)]
        return m

    def _chain(self, m: Module, name: str, step: Value) -> "_Chain":
        """Count lines, chains and their places in the array."""
        lane_width = ceil_log2(self.config.bus_words)
        line, chain, row, column = (Signal(8, name=f"{name}_{what}")
                                    for what in ("line", "chain", "row", "column"))
        last_line = line == self.sizes.p[lane_width:]
        with m.If(step):
            m.d.sync += line.eq(line + 1)
            with m.If(last_line):
                m.d.sync += [line.eq(0), chain.eq(chain + 1), column.eq(column + 1)]
                with m.If(column == self.config.columns - 1):
                    m.d.sync += [column.eq(0), row.eq(row + 1)]
                with m.If(chain == self.sizes.chains):
                    m.d.sync += [chain.eq(0), column.eq(0), row.eq(0)]
        full = self.config.bus_words
        return _Chain(row, column, Mux(last_line, self.sizes.p[:lane_width] + 1, full)
                      if lane_width else Mux(last_line, 1, 1))


class _Chain:
    """Where the next line goes, or comes from, and how many partial sums it has."""

    def __init__(self, row: Signal, column: Signal, words: Value) -> None:
        self.row, self.column, self.words = row, column, words


def _count(m: Module, *counters: tuple[Signal, Value]) -> None:
    """Count the first one up; each one that is at its last begins again, and counts the next."""
    if counters:
        (counter, last), *others = counters
        with m.If(counter == last):
            m.d.sync += counter.eq(0)
            _count(m, *others)
        with m.Else():
            m.d.sync += counter.eq(counter + 1)
