"""Accumulate: multiplies and adds into the accumulators of one PE."""

from itertools import pairwise

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed, unsigned
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
    forwarding path. Slots are spread over ``column_groups`` banks, which drain side by side.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Members
    -------
    valid, slot, operand, weight : ``In``
        Add ``operand * weight`` to a slot.
    drain : ``In(column_groups)``
        Banks to read and, afterwards, to clear. Not while there are products.
    drain_addr : ``In``
        Row of the banks.
    sums : ``Out(data.ArrayLayout(signed(accumulator_width), column_groups))``
        What that row holds in each bank, one cycle later.
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
        super().__init__({
            "valid": In(1),
            "slot": In(unsigned(ceil_log2(config.accumulator_depth))),
            "operand": In(signed(config.activation_width)),
            "weight": In(signed(config.weight_width)),
            "drain": In(unsigned(config.column_groups)),
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
        reads = []
        for number in range(self.config.column_groups):
            bank = memory.Memory(shape=signed(width), depth=self._depth, init=[],
                                 attrs={"ram_style": "distributed"} if few else {})
            m.submodules[f"accumulators_{number}"] = bank
            write = bank.write_port()
            read = bank.read_port(domain="comb" if few else "sync")
            if few:
                m.d.sync += self.sums[number].eq(read.data)
            else:
                m.d.comb += [read.en.eq(1), self.sums[number].eq(read.data)]
            m.d.comb += [
                read.addr.eq(Mux(self.drain.any(), self.drain_addr, next_slot >> bank_bits)),
                write.en.eq(clear[number] | (valid & (slot[:bank_bits] == number))),
                write.addr.eq(Mux(clear.any(), clear_addr, slot >> bank_bits)),
                write.data.eq(total),
            ]
            reads.append(read.data)
        # A choice, or neither while there is a drain.
        if few:
            m.d.sync += before.eq(
                Mux(hazard, total, 0)
                | Mux(hazard | self.drain.any(), 0, Array(reads)[next_slot[:bank_bits]]))
        else:
            forwarding, reading = Signal(), Signal()
            forwarded = Signal(signed(width), reset_less=True)
            m.d.sync += [
                forwarding.eq(hazard),
                reading.eq(~hazard & ~self.drain.any()),
                forwarded.eq(total),
            ]
            m.d.comb += before.eq(Mux(forwarding, forwarded, 0)
                                  | Mux(reading, Array(reads)[slot[:bank_bits]], 0))
        m.d.comb += total.eq(before + multiplier.product)
        return m
