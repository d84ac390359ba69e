"""Processing element of the sparse engine."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.codebook import Codebook
from eieio.rtl.sparse.accumulate import Accumulate
from eieio.rtl.sparse.activation_queue import ActivationQueue
from eieio.rtl.sparse.column_pointers import ColumnPointers
from eieio.rtl.sparse.entry_decode import EntryDecode
from eieio.rtl.sparse.entry_fetch import EntryFetch
from eieio.rtl.sparse.thermometer import add_thermometer

__all__ = ["ProcessingElement"]


class ProcessingElement(wiring.Component):
    """Multiplies its slice of each column by the column's activation.

    Column pointers, activation queue, entry fetch, entry decode, codebook and accumulators, in this
    order. With work in the queue it does one multiply-accumulate a cycle.

    Columns that were looked up are admitted one a cycle, in order, each as soon as it is known to
    be empty or has a place in the queue; those that are admitted can be fired. ``ready`` is three
    registers, so that who fires may decide by what was ready in the cycle before, and ``fire`` may
    come from a register: with k fires that do not show in ``ready`` yet, bit k tells.

    Source: Han et al., ISCA 2016, section IV.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    column_valid, column_even_addr, column_odd_addr, column_odd : ``In``
        Column to look up, see :class:`eieio.rtl.sparse.column_pointers.ColumnPointers`.
    ready : ``Out(3)``
        Bit k: more than k columns have been admitted and not been fired before this cycle.
        Registers.
    fire : ``In(1)``
        The oldest of them is fired.
    fire_activation : ``In``
        Activation of the column that was fired in the cycle before.
    tag, watched : ``In(1)``
        If inferences are interleaved: the one whose columns are looked up and fired, and the one of
        which ``idle`` tells. See :class:`eieio.rtl.sparse.activation_queue.ActivationQueue`.
    layer : ``In``
        Layer whose codebook is used; of interleaved inferences, that of each.
    idle : ``Out(1)``
        Everything that was fired had been decoded 2 cycles ago. A register; the accumulators are
        complete 3 cycles after it rises.
    multiplies : ``Out(contexts)``
        A product is being made, for each inference that may be under way.
    drain, drain_addr : ``In``
        Accumulators to read and clear, see :class:`eieio.rtl.sparse.accumulate.Accumulate`.
    sums : ``Out(data.ArrayLayout(signed(accumulator_width), column_groups))``
        Their contents, one cycle later.
    load_entries, load_pointers, load_codebook : ``In(1)``
        Write to the memory of that name.
    load_addr, load_data : ``In``
        Where and what: a pair of entries as entry fetch takes it, a column pointer, or a weight as
        :class:`eieio.rtl.codebook.Codebook` takes it, whose book is the layer.
    """

    column_valid: Signal
    column_even_addr: Signal
    column_odd_addr: Signal
    column_odd: Signal
    ready: Signal
    fire: Signal
    fire_activation: Signal
    layer: Signal
    idle: Signal
    multiplies: Signal
    drain: Signal
    drain_addr: Signal
    sums: data.View
    load_entries: Signal
    load_pointers: Signal
    load_codebook: Signal
    load_addr: Signal
    load_data: Signal
    tag: Signal
    watched: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = self.parameters = config
        bank_addr_width = ceil_log2(config.pointer_depth // 2)
        members = {
            "column_valid": In(1),
            "column_even_addr": In(unsigned(bank_addr_width)),
            "column_odd_addr": In(unsigned(bank_addr_width)),
            "column_odd": In(1),
            "ready": Out(3),
            "fire": In(1),
            "fire_activation": In(signed(config.activation_width)),
            "layer": In(unsigned(config.contexts * ceil_log2(config.layer_depth))),
            "idle": Out(1),
            "multiplies": Out(config.contexts),
            "drain": In(unsigned(config.contexts * config.column_groups)),
            "drain_addr": In(unsigned(
                ceil_log2(config.accumulator_depth // config.column_groups))),
            "sums": Out(data.ArrayLayout(signed(config.accumulator_width), config.column_groups)),
            "load_entries": In(1),
            "load_pointers": In(1),
            "load_codebook": In(1),
            "load_addr": In(unsigned(32)),
            "load_data": In(unsigned(32)),
        }
        if config.interleaved:
            members |= {"tag": In(1), "watched": In(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        m.submodules.pointers = pointers = ColumnPointers(config)
        m.submodules.queue = queue = ActivationQueue(config)
        m.submodules.fetch = fetch = EntryFetch(config)
        m.submodules.decode = decode = EntryDecode(config)
        m.submodules.codebook = codebook = Codebook(
            config.code_width, config.weight_width, books=config.layer_depth,
            lut_ram=config.lut_codebooks)
        m.submodules.accumulate = accumulate = Accumulate(config)

        skip = int(config.skip_empty_columns)
        admit = Signal()
        m.d.comb += [
            admit.eq(pointers.next_valid & ((pointers.next_empty & skip) | queue.room)),
            pointers.admit.eq(admit),
            queue.reserve.eq(pointers.next_valid & ~(pointers.next_empty & skip) & queue.room),
        ]
        admitted = add_thermometer(m, "admitted", config.columns_ahead, up=admit, down=self.fire)
        m.d.comb += self.ready.eq(admitted)
        m.d.comb += [
            pointers.column_valid.eq(self.column_valid),
            pointers.column_even_addr.eq(self.column_even_addr),
            pointers.column_odd_addr.eq(self.column_odd_addr),
            pointers.column_odd.eq(self.column_odd),
            pointers.pop.eq(self.fire),
            pointers.load_valid.eq(self.load_pointers),
            pointers.load_addr.eq(self.load_addr),
            pointers.load_data.eq(self.load_data),

            queue.push.eq(self.fire & ~(pointers.empty & skip)),
            queue.push_start.eq(pointers.start),
            queue.push_count.eq(pointers.count),
            queue.push_activation.eq(self.fire_activation),

            fetch.column_valid.eq(queue.fetch_valid),
            fetch.column_start.eq(queue.fetch_start),
            fetch.column_count.eq(queue.fetch_count),
            queue.fetch_pop.eq(fetch.column_pop),
            fetch.load_valid.eq(self.load_entries),
            fetch.load_addr.eq(self.load_addr),
            fetch.load_data.eq(self.load_data),

            decode.pair_valid.eq(fetch.pair_valid),
            decode.pair.eq(fetch.pair),
            fetch.pair_pop.eq(decode.pair_pop),
            decode.activation.eq(queue.decode_activation),
            queue.decode_pop.eq(decode.activation_pop),

            codebook.book.eq(
                self.layer.word_select(decode.busy_tag, ceil_log2(config.layer_depth))
                if config.interleaved and config.layer_depth > 1 else self.layer),
            codebook.codes[0].eq(decode.code),
            codebook.load_valid.eq(self.load_codebook),
            codebook.load_addr.eq(self.load_addr),
            codebook.load_data.eq(self.load_data),

            accumulate.valid.eq(decode.valid),
            self.multiplies.eq(decode.valid << decode.tag if config.interleaved else decode.valid),
            accumulate.slot.eq(Cat(decode.slot, decode.tag) if config.interleaved
                               else decode.slot),
            accumulate.operand.eq(decode.operand),
            accumulate.weight.eq(codebook.weights[0]),
            accumulate.drain.eq(self.drain),
            accumulate.drain_addr.eq(self.drain_addr),
            self.sums.eq(accumulate.sums),
        ]
        # The queue tells a cycle late that a column has been started, and `was_busy` that it ended.
        quiet, was_quiet, busy, was_busy = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            busy.eq(decode.busy & (decode.busy_tag == self.watched) if config.interleaved
                    else decode.busy),
            quiet.eq(~queue.occupied & ~busy & ~was_busy),
        ]
        if config.interleaved:
            m.d.comb += [
                queue.tag.eq(self.tag),
                queue.watched.eq(self.watched),
                decode.activation_tag.eq(queue.decode_tag),
            ]
        m.d.sync += [
            was_busy.eq(busy),
            was_quiet.eq(quiet),
            self.idle.eq(quiet & was_quiet),
        ]
        return m
