"""Broadcast: turns the nonzero activations of one column group into columns for its PEs."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.column_pointers import PREFETCH_DEPTH

__all__ = ["Broadcast"]


class Broadcast(wiring.Component):
    """Takes nonzero activations one a cycle, prefetches their columns, and fires them at the PEs.

    All PEs of the group look the column's pointers up in lockstep, ahead of time. A column is
    fired, that is pushed into the queues, once every PE of the group either has room for it or
    finds it empty.

    The first column is taken at the earliest 3 cycles after ``start``; a column can be fired 6
    cycles after it was taken.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    start : ``In(1)``
        Begin a layer.
    words, pointer_base, word_columns : ``In``
        Words of source activations, index of the layer's first column pointer, and columns of
        this group in a word. Held during the layer.
    busy : ``Out(1)``
        A layer has begun, and not all its columns have been fired.
    found, several, offset, activation : ``In``
        What the current word of source activations still holds: at least one nonzero, at least
        two, and the first one's column (counted from the word's first column of this group) and
        value.
    take, step : ``Out(1)``
        To the activation banks.
    column_valid, column_even_addr, column_odd_addr, column_odd : ``Out``
        Pointers to look up: the even bank's address, the odd bank's, and whether the column's
        start is in the odd bank.
    ready : ``In(1)``
        Every PE of the group can take the column at the head of its prefetched ones.
    waiting : ``Out(1)``
        There is such a column.
    fire : ``Out(1)``
        It is fired; ``waiting & ready``.
    fire_activation : ``Out(signed(activation_width))``
        Its activation.
    """

    start: Signal
    words: Signal
    pointer_base: Signal
    word_columns: Signal
    busy: Signal
    found: Signal
    several: Signal
    offset: Signal
    activation: Signal
    take: Signal
    step: Signal
    column_valid: Signal
    column_even_addr: Signal
    column_odd_addr: Signal
    column_odd: Signal
    ready: Signal
    waiting: Signal
    fire: Signal
    fire_activation: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = self.parameters = config
        self._bank_addr_width = ceil_log2(config.pointer_depth // 2)
        self._word_width = ceil_log2(config.activation_depth + 1)
        width = config.activation_width
        pointer_width = self._bank_addr_width + 1
        super().__init__({
            "start": In(1),
            "words": In(unsigned(self._word_width)),
            "pointer_base": In(unsigned(pointer_width)),
            "word_columns": In(unsigned(ceil_log2(config.pes + 1))),
            "busy": Out(1),
            "found": In(1),
            "several": In(1),
            "offset": In(unsigned(ceil_log2(config.pes))),
            "activation": In(signed(width)),
            "take": Out(1),
            "step": Out(1),
            "column_valid": Out(1),
            "column_even_addr": Out(unsigned(self._bank_addr_width)),
            "column_odd_addr": Out(unsigned(self._bank_addr_width)),
            "column_odd": Out(1),
            "ready": In(1),
            "waiting": Out(1),
            "fire": Out(1),
            "fire_activation": Out(signed(width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.activation_width

        # Words: fetched in rising order; each becomes current when the one before is used up.
        priming = Signal()
        loading = Signal()  # The first word has been fetched.
        left = Signal(self._word_width)
        current = Signal()
        base = Signal.like(self.pointer_base)
        next_base = Signal.like(base)
        used_up = Signal()
        m.d.sync += priming.eq(self.start)
        with m.If(self.start):
            m.d.sync += [
                left.eq(self.words),
                next_base.eq(self.pointer_base),
                loading.eq(0),
                current.eq(0),
            ]
        with m.Elif(priming):
            m.d.sync += loading.eq(1)
        with m.Elif(loading & used_up):
            m.d.sync += [current.eq(left != 0), loading.eq(left != 0)]
            with m.If(left != 0):
                m.d.sync += [
                    left.eq(left - 1),
                    base.eq(next_base),
                    next_base.eq(next_base + self.word_columns),
                ]
        m.d.comb += [
            used_up.eq(~current | ~self.found | (self.take & ~self.several)),
            self.step.eq(priming | (loading & used_up)),
        ]

        # Credits: columns taken and not yet fired never exceed what the PEs can hold.
        taken = Signal(range(PREFETCH_DEPTH + 1))
        m.d.comb += self.take.eq(current & self.found & (taken != PREFETCH_DEPTH))
        m.d.sync += taken.eq(taken + self.take - self.fire)

        # Column address, in three stages, one adder each.
        stages = [Signal(signed(width), name=f"activation_{i}") for i in range(5)]
        valids = [Signal(name=f"valid_{i}") for i in range(5)]
        m.d.sync += [valids[0].eq(self.take), stages[0].eq(self.activation)]
        for i in range(1, 5):
            m.d.sync += [valids[i].eq(valids[i - 1]), stages[i].eq(stages[i - 1])]
        offset = Signal.like(self.offset)
        taken_base = Signal.like(base)
        index = Signal.like(base)
        m.d.sync += [
            offset.eq(self.offset),
            taken_base.eq(base),
            index.eq(taken_base + offset),
            self.column_even_addr.eq((index + 1) >> 1),
            self.column_odd_addr.eq(index >> 1),
            self.column_odd.eq(index[0]),
        ]
        m.d.comb += self.column_valid.eq(valids[2])

        # The activation waits here while the pointers wait, in the same order, in the PEs.
        m.submodules.waiting_activations = queue = memory.Memory(
            shape=signed(width), depth=PREFETCH_DEPTH, init=[])
        write = queue.write_port()
        read = queue.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(valids[4]),
            write.data.eq(stages[4]),
            self.fire_activation.eq(read.data),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + valids[4]),
            read.addr.eq(read.addr + self.fire),
        ]
        arrived = Signal(range(PREFETCH_DEPTH + 1))
        m.d.sync += arrived.eq(arrived + valids[4] - self.fire)
        m.d.comb += [
            self.waiting.eq(arrived != 0),
            self.fire.eq(self.waiting & self.ready),
        ]

        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(~(priming | loading | current) & (taken == 0)):
            m.d.sync += self.busy.eq(0)
        return m
