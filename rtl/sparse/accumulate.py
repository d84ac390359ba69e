"""Accumulate: multiplies and adds into the accumulators of one PE."""

from amaranth.hdl import Array, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig

__all__ = ["Accumulate"]


class Accumulate(wiring.Component):
    """One multiply-accumulate a cycle, in any order of slots.

    A product is multiplied in 2 cycles, meets its accumulator in the third, and is stored at the
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

        # Two product registers, which a DSP block takes in.
        product = [Signal(signed(self.config.activation_width + self.config.weight_width),
                          name=f"product_{i}") for i in range(2)]
        valid = [Signal(name=f"valid_{i}") for i in range(2)]
        slot = [Signal.like(self.slot, name=f"slot_{i}") for i in range(2)]
        m.d.sync += [
            product[0].eq(self.operand * self.weight),
            product[1].eq(product[0]),
            valid[0].eq(self.valid),
            valid[1].eq(valid[0]),
            slot[0].eq(self.slot),
            slot[1].eq(slot[0]),
        ]

        forwarding = Signal()
        forwarded = Signal(signed(width))
        total = Signal(signed(width))
        m.d.sync += [
            forwarding.eq(valid[0] & valid[1] & (slot[0] == slot[1])),
            forwarded.eq(total),
        ]
        clear = Signal.like(self.drain)
        clear_addr = Signal.like(self.drain_addr)
        m.d.sync += [clear.eq(self.drain), clear_addr.eq(self.drain_addr)]
        reads = []
        for number in range(self.config.column_groups):
            bank = memory.Memory(shape=signed(width), depth=self._depth, init=[])
            m.submodules[f"accumulators_{number}"] = bank
            read = bank.read_port()
            write = bank.write_port()
            m.d.comb += [
                read.en.eq(1),
                read.addr.eq(Mux(self.drain.any(), self.drain_addr, slot[0] >> bank_bits)),
                self.sums[number].eq(read.data),
                write.en.eq(clear[number] | (valid[1] & (slot[1][:bank_bits] == number))),
                write.addr.eq(Mux(clear.any(), clear_addr, slot[1] >> bank_bits)),
                write.data.eq(Mux(clear.any(), 0, total)),
            ]
            reads.append(read.data)
        m.d.comb += total.eq(
            Mux(forwarding, forwarded, Array(reads)[slot[1][:bank_bits]]) + product[1])
        return m
