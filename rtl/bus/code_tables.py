"""Code tables: canonical Huffman codes, of which one is found and looked up a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.coded_image import ALL_SYMBOLS, CODE_MAXIMUM
from eieio.model.word_layout import SYMBOL_WIDTH
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["CodeTables"]

_ALL = 1 << SYMBOL_WIDTH


class CodeTables(wiring.Component):
    """Finds codes in what comes next, and their symbols.

    The first bits of what comes next are compared with the codes of each length, side by side. Of a
    table it keeps, for each length, the number behind the last code, and the place of a symbol less
    its code; and all symbols in the order of their codes.

    Parameters
    ----------
    tables : :class:`int`
        Number of tables.

    Attributes
    ----------
    latency : :class:`int`
        Cycles of ``advance`` from a code to its ``symbol``.

    Members
    -------
    bits : ``In(16)``
        What comes next, the first bit highest.
    next_table : ``In``
        Table of the code to find in the next cycle of ``advance``, or after one of ``select``.
    select : ``In(1)``
        Choose ``next_table``.
    byte_next : ``In(1)``
        From the next cycle on, what comes next is a byte in place of a code; else it is what was
        selected in the cycle before.
    longer : ``Out(15)``
        Bits of the code: the lowest bit says that they are more than 1, the next one more than 2,
        and so on.
    less_one : ``In(4)``
        The same as a number, less 1.
    advance : ``In(1)``
        Look up the symbol of the code. All that is under way moves on.
    matched : ``Out(1)``
        There was a code; a cycle later.
    symbol : ``Out(8)``
        Its symbol.
    begin : ``In(1)``
        Begin to describe a table.
    table : ``In``
        Which one it is.
    byte : ``In(8)``
        A byte of the description.
    count_valid : ``In(1)``
        It is the number of codes of the next length.
    symbol_valid : ``In(1)``
        It is the next symbol.
    size : ``Out(9)``
        Codes of all lengths so far; from the cycle after ``count_valid`` on.
    wrong : ``Out(1)``
        These are too many; as ``size``.
    complete : ``Out(1)``
        They are complete, one of a single bit, or none: of all lengths.
    """

    latency = 3

    bits: Signal
    next_table: Signal
    select: Signal
    byte_next: Signal
    longer: Signal
    less_one: Signal
    advance: Signal
    matched: Signal
    symbol: Signal
    begin: Signal
    table: Signal
    byte: Signal
    count_valid: Signal
    symbol_valid: Signal
    size: Signal
    wrong: Signal
    complete: Signal

    def __init__(self, tables: int) -> None:
        self.tables = tables
        self.table_width = max(1, ceil_log2(tables))
        super().__init__({
            "bits": In(CODE_MAXIMUM),
            "next_table": In(self.table_width),
            "select": In(1),
            "byte_next": In(1),
            "longer": Out(CODE_MAXIMUM - 1),
            "less_one": In(4),
            "advance": In(1),
            "matched": Out(1),
            "symbol": Out(SYMBOL_WIDTH),
            "begin": In(1),
            "table": In(self.table_width),
            "byte": In(SYMBOL_WIDTH),
            "count_valid": In(1),
            "symbol_valid": In(1),
            "size": Out(SYMBOL_WIDTH + 1),
            "wrong": Out(1),
            "complete": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        length = Signal(range(CODE_MAXIMUM))  # Of the next count, less 1.
        bound, bound_next = Signal(CODE_MAXIMUM + 1), Signal(CODE_MAXIMUM + 1)
        free = Signal(CODE_MAXIMUM + 2)       # Codes of the length before that are still free.
        free_next = Signal(CODE_MAXIMUM + 2)  # Negative if there are too many.
        count = Signal(SYMBOL_WIDTH + 1)
        single = Signal()
        size_next = Signal(SYMBOL_WIDTH + 2)
        m.d.comb += [
            count.eq(Mux(self.byte == ALL_SYMBOLS, _ALL, self.byte)),
            bound_next.eq((bound << 1) + count),
            free_next.eq((free << 1) - count),
            size_next.eq(self.size + count),
            self.complete.eq((free == 0) | (self.size == 0) | (single & (self.size == 1))),
        ]
        with m.If(self.count_valid):
            m.d.sync += [
                length.eq(length + 1),
                bound.eq(bound_next),
                free.eq(free_next),
                self.size.eq(size_next),
                self.wrong.eq(self.wrong | free_next[-1] | (size_next > _ALL)),
            ]
            with m.If(length == 0):
                m.d.sync += single.eq(self.byte == 1)
        with m.If(self.begin):
            m.d.sync += [length.eq(0), bound.eq(0), free.eq(1), self.size.eq(0), self.wrong.eq(0)]

        # A code is longer than so many bits if these are not below a bound: one more than the last
        # code of this length.
        longer = Signal(CODE_MAXIMUM)
        for bits in range(1, CODE_MAXIMUM + 1):
            m.submodules[f"bounds_{bits}"] = bounds = memory.Memory(
                shape=unsigned(bits + 1), depth=1 << self.table_width, init=[])
            write, read = bounds.write_port(), bounds.read_port(domain="comb")
            chosen = Signal(bits + 1, name=f"bound_{bits}")
            m.d.comb += [
                write.addr.eq(self.table),
                write.data.eq(bound_next),
                write.en.eq(self.count_valid & (length == bits - 1)),
                read.addr.eq(self.next_table),
                longer[bits - 1].eq(self.bits[-bits:] >= chosen),
            ]
            with m.If(self.select):
                m.d.sync += chosen.eq(read.data)
            with m.If(self.byte_next):
                m.d.sync += chosen.eq(1 << bits if bits >= SYMBOL_WIDTH else 0)
        m.d.comb += self.longer.eq(longer)

        # A cycle later the code is where its symbol is, but for what the length adds to it.
        m.submodules.bases = bases = memory.Memory(
            shape=unsigned(SYMBOL_WIDTH), depth=CODE_MAXIMUM << self.table_width, init=[])
        write, read = bases.write_port(), bases.read_port(domain="comb")
        taken_bits = Signal(CODE_MAXIMUM, reset_less=True)
        taken_length = Signal(4, reset_less=True)
        table, taken_table = Signal(self.table_width), Signal(self.table_width)
        with m.If(self.select):
            m.d.sync += table.eq(self.next_table)
        with m.If(self.advance):
            m.d.sync += [
                taken_bits.eq(self.bits),
                taken_length.eq(self.less_one),
                taken_table.eq(table),
                self.matched.eq(~longer[-1]),
            ]
        m.d.comb += [
            write.addr.eq(Cat(length, self.table)),
            write.data.eq(self.size - (bound << 1)),
            write.en.eq(self.count_valid),
            read.addr.eq(Cat(taken_length, taken_table)),
        ]
        code = Signal(SYMBOL_WIDTH)
        m.d.comb += code.eq(taken_bits >> ~taken_length)
        symbols = add_block_ram(m, "symbols", platform, width=SYMBOL_WIDTH,
                                depth=_ALL << self.table_width)
        place = Signal(SYMBOL_WIDTH)
        m.d.sync += place.eq(place + self.symbol_valid)
        with m.If(self.begin):
            m.d.sync += place.eq(0)
        m.d.comb += [
            symbols.write_en.eq(self.symbol_valid),
            symbols.write_addr.eq(Cat(place, self.table)),
            symbols.write_data.eq(self.byte),
            symbols.read_en.eq(self.advance),
            symbols.read_addr.eq(Cat((code + read.data)[:SYMBOL_WIDTH], taken_table)),
            self.symbol.eq(symbols.read_data),
        ]
        return m
