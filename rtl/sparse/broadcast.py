"""Broadcast: turns the nonzero activations of one column group into columns for its PEs."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.thermometer import add_thermometer

__all__ = ["Broadcast"]

# Cycles from taking a column to firing it, if nothing is in its way.
_TAKE_TO_FIRE = 10


class Broadcast(wiring.Component):
    """Takes nonzero activations one a cycle, prefetches their columns, and fires them at the PEs.

    All PEs of the group look the column's pointers up in lockstep, ahead of time. A column is
    fired, that is pushed into the queues, once every PE of the group either has room for it or
    finds it empty.

    The first column is taken at the earliest 4 cycles after ``start``, and fired at the earliest 10
    cycles after it was taken. What goes to the PEs passes one more register on the way.

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
        two, and, in the cycle after, the first one's column (counted from the word's first column
        of this group) and value.
    take, step : ``Out(1)``
        To the activation banks.
    column_valid, column_index : ``Out``
        Column pointer to look up, with the one behind it: number of the pointer. Registers.
    ready : ``In(3)``
        Bit k: every PE of the group has admitted more than k columns, not counting what was fired
        three or more cycles ago.
    fire : ``Out(1)``
        The oldest is fired.
    fire_activation : ``Out(signed(activation_width))``
        Activation of the column that was fired in the cycle before.
    blocked : ``Out(1)``
        Two cycles ago a column could have been fired, but for the PEs. A register.
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
    column_index: Signal
    ready: Signal
    fire: Signal
    fire_activation: Signal
    blocked: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = self.parameters = config
        self._word_width = ceil_log2(config.activation_depth + 1)
        width = config.activation_width
        pointer_width = ceil_log2(config.pointer_depth // 2) + 1
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
            "column_index": Out(unsigned(pointer_width)),
            "ready": In(3),
            "fire": Out(1),
            "fire_activation": Out(signed(width)),
            "blocked": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.activation_width
        ahead = self.config.columns_ahead

        # Words: fetched in rising order; each becomes current when the one before is used up.
        priming = Signal(2)  # The start was so many cycles ago.
        primes = Signal()    # One of them.
        loading = Signal()  # The first word has been fetched.
        left = Signal(self._word_width)
        none_left = Signal()
        current = Signal()
        base = Signal.like(self.pointer_base)
        next_base = Signal.like(base)
        used_up = Signal()
        m.d.sync += [
            priming.eq(Cat(self.start, priming)),
            primes.eq(self.start | priming[0]),
        ]
        with m.If(self.start):
            m.d.sync += [
                left.eq(self.words),
                none_left.eq(self.words == 0),
                next_base.eq(self.pointer_base),
                loading.eq(0),
                current.eq(0),
            ]
        with m.Elif(priming[1]):
            m.d.sync += loading.eq(1)
        with m.Elif(loading & used_up):
            m.d.sync += [
                current.eq(~none_left),
                loading.eq(~none_left),
                left.eq(left - 1),
                none_left.eq(left == 1),
                base.eq(next_base),
                next_base.eq(next_base + self.word_columns),
            ]

        # Credits: columns taken and not yet fired never exceed what the PEs can hold.
        fired = Signal(2)  # in the cycles before
        m.d.sync += fired.eq(Cat(self.fire, fired))
        taken = add_thermometer(m, "taken", ahead, up=self.take, down=fired[0])
        credit = ~taken[-1]
        m.d.comb += [
            self.take.eq(current & self.found & credit),
            used_up.eq(~current | ~self.found | (credit & ~self.several)),
            self.step.eq(primes | (loading & used_up)),
        ]

        # Column index, in two stages. The PEs make the addresses from it.
        took = Signal(_TAKE_TO_FIRE)  # in the cycles before
        offset = Signal.like(self.offset, reset_less=True)
        offset_base, taken_base = (Signal.like(base, name=f"{name}_base", reset_less=True)
                                   for name in ("offset", "taken"))
        m.d.sync += [
            took.eq(Cat(self.take, took)),
            offset_base.eq(base),
            offset.eq(self.offset),
            taken_base.eq(offset_base),
            self.column_index.eq(taken_base + offset),
        ]
        m.d.comb += self.column_valid.eq(took[2])

        # The activation waits here while the pointers wait, in the same order, in the PEs.
        m.submodules.waiting_activations = queue = memory.Memory(
            shape=signed(width), depth=1 << ceil_log2(ahead), init=[])
        write = queue.write_port()
        read = queue.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(took[0]),
            write.data.eq(self.activation),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + took[0]),
            read.addr.eq(read.addr + fired[0]),
        ]
        m.d.comb += self.fire_activation.eq(read.data)

        # `ready` knows nothing of what was fired in the last two cycles. Without a descriptor it
        # would be undefined in a four-state simulation, and so would all that follows.
        m.d.comb += self.fire.eq(
            self.busy & self.ready[0] & (self.ready[1] | ~fired.any())
            & (self.ready[2] | ~fired.all()))
        waiting = add_thermometer(m, "waiting", ahead, up=took[-1], down=fired[0])
        m.d.sync += self.blocked.eq(waiting[0] & ~fired[0])

        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(~(primes | loading | current | taken[0])):
            m.d.sync += self.busy.eq(0)
        return m
