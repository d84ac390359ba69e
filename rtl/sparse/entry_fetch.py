"""Entry fetch: the weight entries of one PE, read ahead of decode."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.head_queue import HeadQueue
from eieio.rtl.sparse.thermometer import add_thermometer
from eieio.rtl.vendor.ram_pair import add_ram_pair

__all__ = ["EntryFetch", "entry_layout", "pair_layout"]

#: Pairs that can be on their way or wait for decode. It covers the 4 cycles from reading a pair
#: to the return of its credit; to change columns takes fetch no time.
PAIR_DEPTH = 4


def entry_layout(config: SparseConfig) -> data.StructLayout:
    """Layout of a weight entry: code and relative index."""
    return data.StructLayout({"code": config.code_width, "run": config.run_width})


def pair_layout(config: SparseConfig) -> data.StructLayout:
    """Layout of what decode receives: up to two neighbouring entries of one column.

    ``entries[1]`` exists if ``both``; ``entries[0]`` exists unless ``none``, which stands for an
    empty column. ``last`` marks the end of the column, ``fillers`` those entries whose code is 0.
    """
    return data.StructLayout({
        "entries": data.ArrayLayout(entry_layout(config), 2),
        "fillers": 2,
        "none": 1,
        "both": 1,
        "last": 1,
    })


class EntryFetch(wiring.Component):
    """Reads the columns in the queue, two entries a cycle, into a small queue of pairs.

    Entries alternate between an even and an odd bank, so that two neighbours come in one cycle
    wherever a column starts. Fetch therefore never takes longer over a column than decode, which
    starves only while the activation queue is empty. The first pair of a column that finds fetch
    idle can be decoded 5 cycles after its push.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    column_valid, column_start, column_count : ``In``
        Column to fetch.
    column_pop : ``Out(1)``
        It is taken.
    pair_valid, pair : ``Out``
        Oldest pair. Registers.
    pair_pop : ``In(1)``
        Drop it. Allowed while ``pair_valid``.
    load_valid, load_addr, load_data : ``In``
        Write a pair of entries: the pair's number, and the even entry (low half) and odd entry
        (high half) as ``code`` (low bits) and ``run``, each in 16 bits.
    """

    column_valid: Signal
    column_start: Signal
    column_count: Signal
    column_pop: Signal
    pair_valid: Signal
    pair: data.View
    pair_pop: Signal
    load_valid: Signal
    load_addr: Signal
    load_data: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = config
        self._bank_depth = config.entry_depth // 2
        self._bank_addr_width = ceil_log2(self._bank_depth)
        self._entry_width = ceil_log2(config.entry_depth + 1)
        super().__init__({
            "column_valid": In(1),
            "column_start": In(unsigned(self._entry_width)),
            "column_count": In(unsigned(self._entry_width)),
            "column_pop": Out(1),
            "pair_valid": Out(1),
            "pair": Out(pair_layout(config)),
            "pair_pop": In(1),
            "load_valid": In(1),
            "load_addr": In(unsigned(self._bank_addr_width)),
            "load_data": In(unsigned(32)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = entry_layout(self.config)

        # The column being read. The banks' addresses are registers of their own, so that nothing
        # stands between them and the block RAM.
        active = Signal()
        odd = Signal(reset_less=True)
        left = Signal(self._entry_width, reset_less=True)
        addrs = [Signal(self._bank_addr_width, name=name, reset_less=True)
                 for name in ("even_addr", "odd_addr")]
        read = Signal()
        last = Signal(reset_less=True)
        outstanding = add_thermometer(m, "outstanding", PAIR_DEPTH, up=read, down=self.pair_pop)
        m.d.comb += [
            read.eq(active & ~outstanding[-1]),
            self.column_pop.eq(self.column_valid & (~active | (read & last))),
        ]
        with m.If(self.column_pop):
            m.d.sync += active.eq(1)
        with m.Elif(read):
            m.d.sync += active.eq(~last)
        with m.If(self.column_pop):
            m.d.sync += [
                odd.eq(self.column_start[0]),
                left.eq(self.column_count),
                last.eq(self.column_count <= 2),
                addrs[0].eq((self.column_start + 1) >> 1),
                addrs[1].eq(self.column_start >> 1),
            ]
        with m.Elif(read):
            m.d.sync += [
                left.eq(left - 2),
                last.eq(left <= 4),
                addrs[0].eq(addrs[0] + 1),
                addrs[1].eq(addrs[1] + 1),
            ]

        # Never stalled: credits keep room for whatever is on its way.
        banks = add_ram_pair(m, ("even_entries", "odd_entries"), platform, width=layout.size,
                             depth=self._bank_depth)
        entries = []
        for bank, (ram, addr) in enumerate(zip(banks, addrs, strict=True)):
            m.d.comb += [
                ram.write_en.eq(self.load_valid),
                ram.write_addr.eq(self.load_addr),
                ram.write_data.eq(self.load_data.word_select(bank, 16)),
                ram.read_addr.eq(addr),
            ]
            entries.append(ram.read_data)

        # What is known of a pair beforehand travels beside its read.
        arrived = Signal(2)
        flags = [Signal(4, name=f"flags_{i}", reset_less=True) for i in range(2)]
        m.d.sync += [
            arrived.eq(Cat(read, arrived)),
            flags[0].eq(Cat(odd, left == 0, left >= 2, last)),
            flags[1].eq(flags[0]),
        ]
        swap, none, both, ends = flags[1]
        fillers = [data.View(layout, entry).code == 0 for entry in entries]

        m.submodules.pairs = pairs = HeadQueue(pair_layout(self.config).size, PAIR_DEPTH)
        m.d.comb += [
            pairs.push.eq(arrived[1]),
            pairs.i.eq(Cat(*(Mux(swap, swapped, straight) for straight, swapped
                             in (entries, entries[::-1], fillers, fillers[::-1])),
                           none, both, ends)),
            pairs.pop.eq(self.pair_pop),
            self.pair_valid.eq(pairs.valid),
            self.pair.as_value().eq(pairs.o),
        ]
        return m
