"""Accumulators: two banks of sums or maxima, one computed while the other one is read."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR, pair
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.winograd.delay import delayed

__all__ = ["Accumulators"]


class Accumulators(wiring.Component):
    """Adds the sums that leave the array to those of the sweeps before.

    A sweep goes once over the accumulators of a pass. The first sweep of a pass writes, the others
    add, or keep the larger number. Passes alternate between the banks. An accumulator that a vector
    has written may be needed again five cycles later, and not sooner.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed.
    start : ``In(1)``
        Begin a layer.
    i_valid, i_last, i_sums : ``In``
        Sums of a vector, and whether it is the last one of a sweep.
    pass_done : ``Out(1)``
        A pass is complete; its bank can be read from the next cycle on. Four cycles after its last
        vector.
    read_bank, read_addr : ``In``
        Accumulators to read.
    o_bank, o_banks : ``Out(1)``, ``Out(data.ArrayLayout(columns * accumulator_width, 2))``
        What they hold, two cycles later, in one of two vectors; and which one, a cycle before.
    """

    descriptor: data.View
    start: Signal
    i_valid: Signal
    i_last: Signal
    i_sums: data.View
    pass_done: Signal
    read_bank: Signal
    read_addr: Signal
    o_bank: Signal
    o_banks: data.View

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "start": In(1),
            "i_valid": In(1),
            "i_last": In(1),
            "i_sums": In(data.ArrayLayout(signed(config.sum_width), config.columns)),
            "pass_done": Out(1),
            "read_bank": In(1),
            "read_addr": In(unsigned(ceil_log2(config.accumulator_depth))),
            "o_bank": Out(1),
            "o_banks": Out(data.ArrayLayout(
                unsigned(config.columns * config.accumulator_width), 2)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        width = config.accumulator_width
        operation = self.descriptor[Field.OPERATION]
        slots = pair(self.descriptor, Field.SLOTS)[0]
        sweeps = slots
        if config.winograd:
            blocks = pair(self.descriptor, Field.BLOCKS)[0]
            sweeps = Mux((operation & Flag.WINOGRAD).any(), blocks, slots)
        all_sweeps = Signal(16)
        m.d.sync += all_sweeps.eq(sweeps)

        # Which accumulators the vector at hand goes to.
        addr, bank, fresh = Signal.like(self.read_addr), Signal(), Signal()
        sweeps_left = Countdown(16, "sweeps")
        pass_last = Signal()
        m.d.comb += pass_last.eq(self.i_valid & self.i_last & sweeps_left.last)
        with m.If(self.i_valid):
            m.d.sync += addr.eq(addr + 1)
            with m.If(self.i_last):
                m.d.sync += [addr.eq(0), fresh.eq(sweeps_left.last), *sweeps_left.step()]
        with m.If(pass_last):
            m.d.sync += [*sweeps_left.load(all_sweeps), bank.eq(~bank)]
        with m.If(self.start):
            m.d.sync += [addr.eq(0), bank.eq(0), fresh.eq(1), *sweeps_left.load(all_sweeps)]

        # Read in two cycles, choose the bank, add, write: five cycles.
        def after(signal: Signal, cycles: int) -> Value:
            return delayed(m, signal, cycles, f"{signal.name}_{cycles}")

        write_addr = after(addr, 4)
        add_bank, add_fresh = after(bank, 2), after(fresh, 2)
        sums = [Signal.like(self.i_sums.as_value(), name=f"sums_{stage}", reset_less=True)
                for stage in range(4)]
        m.d.sync += [sums[0].eq(self.i_sums.as_value()), self.pass_done.eq(after(pass_last, 3))]
        m.d.sync += [late.eq(early) for early, late in pairwise(sums)]
        maximum = Signal()
        m.d.sync += maximum.eq((operation & Flag.MAXIMUM).any())

        reads = []
        results = Signal(config.columns * width)
        for number in range(2):
            ram = add_block_ram(m, f"bank_{number}", platform, width=config.columns * width,
                                depth=config.accumulator_depth)
            reads.append(ram.read_data)
            computed = Signal(name=f"computed_{number}")
            m.d.comb += computed.eq(self.i_valid & (bank == number))
            # The bank that is not computed is read.
            m.d.comb += [
                ram.read_addr.eq(Mux(computed, addr, self.read_addr)),
                ram.write_en.eq(after(computed, 4)),
                ram.write_addr.eq(write_addr),
                ram.write_data.eq(results),
            ]
        m.d.sync += self.o_bank.eq(self.read_bank)
        m.d.comb += self.o_banks.as_value().eq(Cat(reads))
        first = Signal()
        m.d.sync += first.eq(maximum & add_fresh)
        # A sum, or the old number where the maximum is wanted, which the new one may take place of.
        for column in range(config.columns):
            def register(name: str, of: int, column: int = column) -> Signal:
                return Signal(signed(of), name=f"{name}_{column}", reset_less=True)

            new = sums[2].word_select(column, config.sum_width).as_signed()
            newer = sums[1].word_select(column, config.sum_width).as_signed()
            old, total = register("old", width), register("total", width)
            added = register("added", config.sum_width)
            replace = Signal(name=f"replace_{column}", reset_less=True)
            m.d.sync += [
                old.eq(Mux(add_bank, *(read.word_select(column, width) for read in reversed(reads)))
                       & ~add_fresh.replicate(width)),
                added.eq(Mux(maximum, 0, newer)),
                total.eq(old + added),
                replace.eq(first | (maximum & (new >= old))),
            ]
            m.d.comb += results.word_select(column, width).eq(Mux(
                replace, sums[3].word_select(column, config.sum_width).as_signed(), total))
        return m
