"""Column pointers: where the entries of each column start and end in one PE."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["PREFETCH_DEPTH", "ColumnPointers"]

#: Columns that can be looked up ahead of the queues. It covers the 10 cycles from taking a column
#: to the return of its credit.
PREFETCH_DEPTH = 10


class ColumnPointers(wiring.Component):
    """Looks up columns and keeps up to ``PREFETCH_DEPTH`` of them, in order, for the queue.

    Pointers alternate between an even and an odd bank, so that a column's start and end come in one
    cycle. The columns are read twice: to see whether one is empty, 3 cycles after ``column_valid``
    at the earliest, and, when it is fired, for what it holds.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    column_valid, column_even_addr, column_odd_addr, column_odd : ``In``
        Pointers to look up, as :class:`eieio.rtl.sparse.broadcast.Broadcast` makes them. There is
        no back-pressure: the sender counts.
    next_valid : ``Out(1)``
        There is a column that has not been admitted.
    next_empty : ``Out(1)``
        The first such has no entries. Undefined while there is none.
    admit : ``In(1)``
        Admit it. Allowed while ``next_valid``.
    pop : ``In(1)``
        Drop the column at the head. Allowed after it has been admitted.
    start, count : ``Out``
        Address of the first entry of the column at the head, and number of its entries. Undefined
        while there is none.
    empty : ``Out(1)``
        The column at the head has no entries.
    load_valid, load_addr, load_data : ``In``
        Write a pointer.
    """

    column_valid: Signal
    column_even_addr: Signal
    column_odd_addr: Signal
    column_odd: Signal
    next_valid: Signal
    next_empty: Signal
    admit: Signal
    pop: Signal
    start: Signal
    count: Signal
    empty: Signal
    load_valid: Signal
    load_addr: Signal
    load_data: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = config
        self._bank_depth = config.pointer_depth // 2
        bank_addr_width = ceil_log2(self._bank_depth)
        self._entry_width = ceil_log2(config.entry_depth + 1)
        super().__init__({
            "column_valid": In(1),
            "column_even_addr": In(unsigned(bank_addr_width)),
            "column_odd_addr": In(unsigned(bank_addr_width)),
            "column_odd": In(1),
            "next_valid": Out(1),
            "next_empty": Out(1),
            "admit": In(1),
            "pop": In(1),
            "start": Out(unsigned(self._entry_width)),
            "count": Out(unsigned(self._entry_width)),
            "empty": Out(1),
            "load_valid": In(1),
            "load_addr": In(unsigned(bank_addr_width + 1)),
            "load_data": In(unsigned(self._entry_width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self._entry_width

        pointers = []
        for odd, addr in enumerate((self.column_even_addr, self.column_odd_addr)):
            ram = add_block_ram(m, "odd_pointers" if odd else "even_pointers", platform,
                                width=width, depth=self._bank_depth)
            m.d.comb += [
                ram.write_en.eq(self.load_valid & (self.load_addr[0] == odd)),
                ram.write_addr.eq(self.load_addr[1:]),
                ram.write_data.eq(self.load_data),
                ram.read_addr.eq(addr),
            ]
            pointers.append(ram.read_data)
        even, odd = pointers

        valid = Signal(2)
        start_odd = Signal(2)
        m.d.sync += [
            valid.eq(valid << 1 | self.column_valid),
            start_odd.eq(start_odd << 1 | self.column_odd),
        ]
        # Addresses wrap by themselves; only the sender knows the depth.
        storage = 1 << ceil_log2(PREFETCH_DEPTH)
        m.submodules.columns = columns = memory.Memory(
            shape=unsigned(2 * width + 1), depth=storage, init=[])
        write = columns.write_port()
        read = columns.read_port(domain="comb")
        m.submodules.empties = empties = memory.Memory(shape=1, depth=storage, init=[])
        empty_write = empties.write_port()
        empty_read = empties.read_port(domain="comb")
        waiting = Signal(range(PREFETCH_DEPTH + 1))
        m.d.comb += [
            write.en.eq(valid[1]),
            write.data[:width].eq(Mux(start_odd[1], odd, even)),
            write.data[width:2 * width].eq(Mux(start_odd[1], even, odd)),
            write.data[-1].eq(even == odd),
            self.start.eq(read.data[:width]),
            self.count.eq(read.data[width:2 * width] - read.data[:width]),
            self.empty.eq(read.data[-1]),
            empty_write.en.eq(valid[1]),
            empty_write.addr.eq(write.addr),
            empty_write.data.eq(even == odd),
            self.next_valid.eq(waiting != 0),
            self.next_empty.eq(empty_read.data),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + valid[1]),
            read.addr.eq(read.addr + self.pop),
            empty_read.addr.eq(empty_read.addr + self.admit),
            waiting.eq(waiting + valid[1] - self.admit),
        ]
        return m
