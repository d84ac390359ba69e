"""Accumulate: multiplies and adds into the accumulators of one PE."""

from itertools import pairwise

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.vendor.family import ICE40, family_of
from eieio.rtl.vendor.multiplier import Multiplier

__all__ = ["Accumulate"]

# Most accumulators of a PE that are LUT RAM: 128 of 32 bits take about 500 LUTs.
_LUT_ACCUMULATORS = 128


class Accumulate(wiring.Component):
    """One multiply-accumulate a cycle, in any order of slots.

    A product is multiplied in 3 cycles, meets its accumulator in the fourth, and is stored at the
    end of it. A slot that is read in the same cycle as it is written gets the new sum by a
    forwarding path. Slots are spread over ``column_groups`` banks, which drain side by side. Two
    interleaved inferences have banks each, and one drains while the other multiplies.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    valid, slot, operand, weight : ``In``
        Add ``operand * weight`` to a slot. Its highest bit says of which inference, if they are
        interleaved.
    drain : ``In(contexts * column_groups)``
        Banks to read and, afterwards, to clear, those of the second inference behind those of the
        first. Not while there are products of that inference.
    drain_addr : ``In``
        Row of the banks.
    sums : ``Out(data.ArrayLayout(signed(accumulator_width), column_groups))``
        What that row holds in each bank, one cycle later; of interleaved inferences in the second
        one's, if any of these is to be read.
    """

    valid: Signal
    slot: Signal
    operand: Signal
    weight: Signal
    drain: Signal
    drain_addr: Signal
    sums: data.View

    def __init__(self, config: SparseConfig) -> None:
        self.config = config
        self._depth = config.accumulator_depth // config.column_groups
        banks = config.column_groups * config.contexts
        super().__init__({
            "valid": In(1),
            "slot": In(unsigned(ceil_log2(config.accumulator_depth) + config.interleaved)),
            "operand": In(signed(config.activation_width)),
            "weight": In(signed(config.weight_width)),
            "drain": In(unsigned(banks)),
            "drain_addr": In(unsigned(ceil_log2(self._depth))),
            "sums": Out(data.ArrayLayout(signed(config.accumulator_width), config.column_groups)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.accumulator_width
        bank_bits = ceil_log2(self.config.column_groups)

        m.submodules.multiplier = multiplier = Multiplier(
            signed(self.config.activation_width), signed(self.config.weight_width),
            reset_less=False)
        stages = multiplier.stages
        valids = Signal(stages)
        slots = [Signal.like(self.slot, name=f"slot_{i}", reset_less=True)
                 for i in range(stages)]
        # Otherwise the product is 0, and a clear writes the total like any other. It is the weight
        # that is masked: before the first image it is undefined.
        m.d.comb += [multiplier.a.eq(self.operand),
                     multiplier.b.eq(Mux(self.valid, self.weight, 0))]
        m.d.sync += valids.eq(Cat(self.valid, valids))
        m.d.sync += [late.eq(early) for early, late in pairwise((self.slot, *slots))]
        # The product that meets its accumulator, and the one behind it.
        valid = valids[-1]
        slot, next_slot = slots[-1], slots[-2]

        # The one behind meets the same accumulator: it takes the total, which is not stored yet.
        hazard = Signal()
        m.d.sync += hazard.eq(valids[-2] & valids[-3] & (slots[-2] == slots[-3]))
        before = Signal(signed(width))
        total = Signal(signed(width))
        clear = Signal.like(self.drain)
        clear_addr = Signal.like(self.drain_addr)
        m.d.sync += [clear.eq(self.drain), clear_addr.eq(self.drain_addr)]
        # A block RAM is too slow to read, add and write in two cycles; a few go into LUTs, and what
        # they show is chosen in front of a register. The LUTs of an iCE40 are no memory.
        few = (self.config.accumulator_depth <= _LUT_ACCUMULATORS
               and family_of(platform) != ICE40)
        groups = self.config.column_groups
        rows = [(place[:-1] if self.config.interleaved else place) >> bank_bits
                for place in (slot, next_slot)]
        shown: list[list[Value]] = []
        for context in range(self.config.contexts):
            drain, clears = (mask.word_select(context, groups) for mask in (self.drain, clear))
            mine = slot[-1] == context if self.config.interleaved else 1
            # Alone it adds nothing to 0 while it is cleared.
            stored = Mux(clears.any(), 0, total) if self.config.interleaved else total
            reads: list[Value] = []
            for number in range(groups):
                bank = memory.Memory(shape=signed(width), depth=self._depth, init=[],
                                     attrs={"ram_style": "distributed"} if few else {})
                m.submodules[f"accumulators_{context * groups + number}"] = bank
                write = bank.write_port()
                read = bank.read_port(domain="comb" if few else "sync")
                if not few:
                    m.d.comb += read.en.eq(1)
                m.d.comb += [
                    read.addr.eq(Mux(drain.any(), self.drain_addr, rows[1])),
                    write.en.eq(clears[number]
                                | (valid & mine & (slot[:bank_bits] == number))),
                    write.addr.eq(Mux(clears.any(), clear_addr, rows[0])),
                    write.data.eq(stored),
                ]
                reads.append(read.data)
            shown.append(reads)
        drained = shown[0]
        if self.config.interleaved:
            second = self.drain.word_select(1, groups).any()
            if not few:
                registered = Signal()
                m.d.sync += registered.eq(second)
                second = registered
            drained = [Mux(second, high, low) for low, high in zip(*shown, strict=True)]
        m.d["sync" if few else "comb"] += [
            self.sums[number].eq(read) for number, read in enumerate(drained)]

        def chosen(place: Value) -> Value:
            """Choose what the bank of a slot shows."""
            of_context = [Array(reads)[place[:bank_bits]] for reads in shown]
            return Mux(place[-1], *of_context[::-1]) if len(of_context) > 1 else of_context[0]

        # A choice, or neither while there is a drain, but that of another inference.
        drains = 0 if self.config.interleaved else self.drain.any()
        if few:
            m.d.sync += before.eq(
                Mux(hazard, total, 0) | Mux(hazard | drains, 0, chosen(next_slot)))
        else:
            forwarding, reading = Signal(), Signal()
            forwarded = Signal(signed(width), reset_less=True)
            m.d.sync += [
                forwarding.eq(hazard),
                reading.eq(~hazard & ~drains),
                forwarded.eq(total),
            ]
            m.d.comb += before.eq(Mux(forwarding, forwarded, 0)
                                  | Mux(reading, chosen(slot), 0))
        m.d.comb += total.eq(before + multiplier.product)
        return m
