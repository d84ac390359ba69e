"""Entry decode: turns weight entries into accumulator slots and weight codes."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.entry_fetch import entry_layout, pair_layout

__all__ = ["EntryDecode"]


class EntryDecode(wiring.Component):
    """Consumes an entry a cycle, or a filler and the entry behind it, while there are any.

    The column's activation is taken over when its first entry is consumed; this cycle is the start
    of the column. A product's operands are at the output 2 cycles after its entry is consumed.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    pair_valid, pair : ``In``
        Oldest pair of entries.
    pair_pop : ``Out(1)``
        It is used up.
    activation : ``In(signed(activation_width))``
        Activation of the oldest column that has not been started.
    activation_tag : ``In(1)``
        Its inference. If inferences are interleaved.
    activation_pop : ``Out(1)``
        The column is started.
    busy : ``Out(1)``
        A column has been started and not ended.
    busy_tag : ``Out(1)``
        Inference of the column that was started last, and of ``code``. A register. If inferences
        are interleaved.
    code : ``Out(unsigned(code_width))``
        Weight code, two cycles ahead of the rest, for a codebook of this latency.
    valid, slot, operand : ``Out``
        There is a product; its accumulator slot; its activation.
    tag : ``Out(1)``
        Its inference. If inferences are interleaved.
    """

    pair_valid: Signal
    pair: data.View
    pair_pop: Signal
    activation: Signal
    activation_pop: Signal
    busy: Signal
    code: Signal
    valid: Signal
    slot: Signal
    operand: Signal
    activation_tag: Signal
    busy_tag: Signal
    tag: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = config
        members = {
            "pair_valid": In(1),
            "pair": In(pair_layout(config)),
            "pair_pop": Out(1),
            "activation": In(signed(config.activation_width)),
            "activation_pop": Out(1),
            "busy": Out(1),
            "code": Out(unsigned(config.code_width)),
            "valid": Out(1),
            "slot": Out(unsigned(ceil_log2(config.accumulator_depth))),
            "operand": Out(signed(config.activation_width)),
        }
        if config.interleaved:
            members |= {"activation_tag": In(1), "busy_tag": Out(1), "tag": Out(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = entry_layout(self.config)

        # The window: the first entry not consumed, and its neighbour. The first may be left over
        # from a pair that is gone; `left_last` then tells whether it ends its column.
        left_over = Signal()
        left_entry = Signal(layout, reset_less=True)
        left_filler = Signal(reset_less=True)
        left_last = Signal(reset_less=True)
        first, second = Signal(layout), Signal(layout)
        first_filler, second_filler = Signal(), Signal()
        with m.If(left_over):
            m.d.comb += [
                first.eq(left_entry),
                first_filler.eq(left_filler),
                second.eq(self.pair.entries[0]),
                second_filler.eq(self.pair.fillers[0]),
            ]
        with m.Else():
            m.d.comb += [
                first.eq(self.pair.entries[0]),
                first_filler.eq(self.pair.fillers[0]),
                second.eq(self.pair.entries[1]),
                second_filler.eq(self.pair.fillers[1]),
            ]

        absorbs = int(self.config.absorb_fillers)
        consume = Signal()  # Something is consumed in this cycle,
        absorb = Signal()   # namely both entries of the window,
        ends = Signal()     # and the column ends with it.
        # A filler never ends a column: if it is left over, its neighbour is still to come, and both
        # are consumed together. Any other entry that is left over goes by itself.
        waits = left_over & left_filler & absorbs
        alone = left_over & ~waits
        m.d.comb += [
            self.pair_pop.eq(self.pair_valid & ~alone),
            consume.eq(self.pair_valid | alone),
            absorb.eq(self.pair_pop & absorbs & first_filler & (left_over | self.pair.both)),
        ]
        with m.If(alone):
            m.d.comb += ends.eq(left_last)
            m.d.sync += left_over.eq(0)
        with m.Elif(left_over):
            m.d.comb += ends.eq(self.pair.last & ~self.pair.both)
        with m.Else():
            m.d.comb += ends.eq(self.pair.last & (~self.pair.both | absorb))
        with m.If(self.pair_pop):
            m.d.sync += [
                left_over.eq(self.pair.both & (left_over | ~absorb)),
                left_entry.eq(self.pair.entries[1]),
                left_filler.eq(self.pair.fillers[1]),
                left_last.eq(self.pair.last),
            ]

        within = Signal()
        begins = Signal()
        # Defined from the reset on: multiplied by 0, it is what clears the accumulators.
        activation = Signal.like(self.activation)
        m.d.comb += [
            begins.eq(consume & ~within),
            self.activation_pop.eq(begins),
        ]
        with m.If(consume):
            m.d.sync += within.eq(~ends)

        # First stage: which entry it is, and the runs before it.
        runs = [Signal(self.config.run_width, name=f"run_{i}", reset_less=True)
                for i in range(2)]
        absorbed = Signal(reset_less=True)
        moved = [Signal(name=f"moved_{i}", reset_less=True) for i in range(2)]
        fresh = [Signal(name=f"fresh_{i}", reset_less=True) for i in range(2)]
        product = [Signal(name=f"product_{i}") for i in range(2)]
        m.d.sync += [
            runs[0].eq(first.run),
            runs[1].eq(second.run),
            absorbed.eq(absorb),
            moved[0].eq(consume),
            fresh[0].eq(begins),
        ]
        with m.If(begins):
            m.d.sync += activation.eq(self.activation)
        with m.If(absorb):
            m.d.sync += [self.code.eq(second.code), product[0].eq(~second_filler)]
        with m.Else():
            m.d.sync += [
                self.code.eq(first.code),
                product[0].eq(consume & ~first_filler & (left_over | ~self.pair.none)),
            ]

        # Second stage: how far it is from the last one.
        advance = Signal(self.config.run_width + 2, reset_less=True)
        operand = Signal.like(self.operand, reset_less=True)
        m.d.sync += [
            advance.eq(Mux(absorbed, runs[0] + runs[1] + 2, runs[0] + 1)),
            moved[1].eq(moved[0]),
            fresh[1].eq(fresh[0]),
            product[1].eq(product[0]),
            operand.eq(activation),
        ]

        # Third stage: the slot.
        m.d.sync += [self.valid.eq(product[1]), self.operand.eq(operand)]
        with m.If(moved[1]):
            with m.If(fresh[1]):
                m.d.sync += self.slot.eq(advance - 1)
            with m.Else():
                m.d.sync += self.slot.eq(self.slot + advance)
        m.d.comb += self.busy.eq(within)

        if self.config.interleaved:
            # Beside the activation.
            tag = Signal()
            with m.If(begins):
                m.d.sync += self.busy_tag.eq(self.activation_tag)
            m.d.sync += [tag.eq(self.busy_tag), self.tag.eq(tag)]
        return m
