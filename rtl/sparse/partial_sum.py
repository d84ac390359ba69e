"""Partial sums: adds what neighbouring PEs of different column groups hold for the same row."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.sparse.config import SparseConfig

__all__ = ["PartialSum"]


class PartialSum(wiring.Component):
    """Reduces the accumulator banks of ``column_groups`` neighbouring PEs to one sum a lane.

    With G column groups in use, PE p's lane receives the sum, over the PEs of its block of G, of
    bank ``first_bank + p % G``. This is a recursive halving: stage by stage, from the highest bit
    of the PE's number in its block to the lowest, each PE keeps the half of the banks that it is
    to sum, and adds its partner's same half. A bit that does not separate PEs of a block
    chooses, by the same bit of ``first_bank``, without adding. The latency is one cycle a bit.

    Source: the reduce-scatter step of Rabenseifner, "Optimization of Collective Reduction
    Operations", ICCS 2004.

    Parameters
    ----------
    config : :class:`SparseConfig`
        Configuration of the engine.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from input to output.

    Members
    -------
    group_bits : ``In``
        Base-2 logarithm of the number of column groups in use.
    first_bank : ``In``
        Bank of the block's first lane.
    banks : ``In(data.ArrayLayout(banks of one PE, column_groups))``
        Accumulators of each PE and bank.
    sums : ``Out(data.ArrayLayout(signed(accumulator_width), column_groups))``
        Sum of each lane.
    """

    group_bits: Signal
    first_bank: Signal
    banks: data.View
    sums: Signal

    def __init__(self, config: SparseConfig) -> None:
        self.config = self.parameters = config
        groups = config.column_groups
        self.latency = ceil_log2(groups)
        row = data.ArrayLayout(signed(config.accumulator_width), groups)
        super().__init__({
            "group_bits": In(unsigned(self.latency.bit_length())),
            "first_bank": In(unsigned(self.latency)),
            "banks": In(data.ArrayLayout(row, groups)),
            "sums": Out(row),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        groups = self.config.column_groups
        width = self.config.accumulator_width

        values = [[self.banks[pe][bank] for bank in range(groups)] for pe in range(groups)]
        first_bank = self.first_bank
        for bit in reversed(range(self.latency)):
            summing = Signal(name=f"summing_{bit}")
            m.d.comb += summing.eq(self.group_bits > bit)
            halves = []
            for pe in range(groups):
                keep_high = Mux(summing, pe >> bit & 1, first_bank[bit])
                partner = pe ^ 1 << bit
                half = [Signal(signed(width), name=f"half_{bit}_{pe}_{bank}")
                        for bank in range(1 << bit)]
                for bank, total in enumerate(half):
                    own = Mux(keep_high, values[pe][bank + (1 << bit)], values[pe][bank])
                    other = Mux(keep_high, values[partner][bank + (1 << bit)],
                                values[partner][bank])
                    m.d.sync += total.eq(own + Mux(summing, other, 0))
                halves.append(half)
            values = halves
            if bit:
                delayed = Signal(bit, name=f"first_bank_{bit}")
                m.d.sync += delayed.eq(first_bank)
                first_bank = delayed
        m.d.comb += [self.sums[pe].eq(values[pe][0]) for pe in range(groups)]
        return m
