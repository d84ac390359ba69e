"""Column pointers: where the entries of each column start and end in one PE."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.head_queue import HeadQueue
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["ColumnPointers"]

# Bits of two pointers that are compared in front of a register.
_COMPARED = 4


class ColumnPointers(wiring.Component):
    """Looks up columns and keeps up to ``columns_ahead`` of them, in order, for the queue.

    Pointers alternate between an even and an odd bank, so that a column's start and end come in one
    cycle. The columns are read twice: to see whether one is empty, 4 cycles after ``column_valid``
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
        There is a column that has not been admitted. A register.
    next_empty : ``Out(1)``
        The first such has no entries. A register, undefined while there is none.
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

        valid = Signal(3)
        start_odd = Signal(2, reset_less=True)
        m.d.sync += [
            valid.eq(Cat(self.column_valid, valid)),
            start_odd.eq(Cat(self.column_odd, start_odd)),
        ]
        # Subtraction and the second half of the comparison are behind a register of their own.
        start, end = (Signal(width, name=name, reset_less=True) for name in ("start", "end"))
        equal = Signal(-(-width // _COMPARED), reset_less=True)
        empty = Signal()
        m.d.sync += [
            start.eq(Mux(start_odd[1], odd, even)),
            end.eq(Mux(start_odd[1], even, odd)),
            equal.eq(Cat(even[low:low + _COMPARED] == odd[low:low + _COMPARED]
                         for low in range(0, width, _COMPARED))),
        ]
        m.d.comb += empty.eq(equal.all())

        # Addresses wrap by themselves; only the sender knows the depth.
        m.submodules.columns = columns = memory.Memory(
            shape=unsigned(2 * width + 1), depth=1 << ceil_log2(self.config.columns_ahead), init=[])
        write = columns.write_port()
        read = columns.read_port(domain="comb")
        m.submodules.empties = empties = HeadQueue(1, self.config.columns_ahead)
        m.d.comb += [
            write.en.eq(valid[2]),
            write.data.eq(Cat(start, (end - start)[:width], empty)),
            Cat(self.start, self.count, self.empty).eq(read.data),
            empties.push.eq(valid[2]),
            empties.i.eq(empty),
            empties.pop.eq(self.admit),
            self.next_valid.eq(empties.valid),
            self.next_empty.eq(empties.o),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + valid[2]),
            read.addr.eq(read.addr + self.pop),
        ]
        return m
