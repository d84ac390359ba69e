"""Accumulators: two banks of sums or maxima, one computed while the other one is read."""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic.countdown import Countdown
from eieio.rtl.systolic.descriptor import DESCRIPTOR, pair
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.vendor.register_copies import add_register_copies
from eieio.rtl.winograd.delay import delayed

__all__ = ["Accumulators"]


class Accumulators(wiring.Component):
    """Adds the sums that leave the array to those of the sweeps before.

    A sweep goes once over the accumulators of a pass. The first sweep of a pass writes, the others
    add, or keep the larger number. Passes alternate between the banks. An accumulator that a vector
    has written may be needed again six cycles later, and not sooner.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from an address to what is read.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed.
    start : ``In(1)``
        Begin a layer.
    i_valid, i_last, i_sums : ``In``
        Sums of a vector, and whether it is the last one of a sweep.
    pass_done : ``Out(1)``
        A pass is complete; its bank can be read from the next cycle on. Five cycles after its last
        vector.
    read_bank, read_addr : ``In``
        Accumulators to read.
    o_accumulators : ``Out(data.ArrayLayout(signed(accumulator_width), columns))``
        What they hold, :attr:`latency` cycles later.
    """

    latency = 4

    descriptor: data.View
    start: Signal
    i_valid: Signal
    i_last: Signal
    i_sums: data.View
    pass_done: Signal
    read_bank: Signal
    read_addr: Signal
    o_accumulators: data.View

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
            "o_accumulators": Out(
                data.ArrayLayout(signed(config.accumulator_width), config.columns)),
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

        # The address, two cycles to read, choose the bank, add, choose the result, write: six
        # cycles. What all columns need has a register close to each few of them.
        def after(signal: Signal, cycles: int) -> Value:
            return delayed(m, signal, cycles, f"{signal.name}_{cycles}")

        def copies(name: str, value: Value) -> list[Signal]:
            return add_register_copies(m, name, platform, value, config.columns, stages=2)

        write_addr = after(addr, 5)
        add_banks = copies("add_bank", after(bank, 1))
        add_freshs = copies("add_fresh", after(fresh, 1))
        maximum = Signal()
        m.d.sync += maximum.eq((operation & Flag.MAXIMUM).any())
        maxima = copies("maximum", maximum)
        firsts = copies("first", maximum & after(fresh, 2))
        sums = [Signal.like(self.i_sums.as_value(), name=f"sums_{stage}", reset_less=True)
                for stage in range(5)]
        m.d.sync += [sums[0].eq(self.i_sums.as_value()), self.pass_done.eq(after(pass_last, 4))]
        m.d.sync += [late.eq(early) for early, late in pairwise(sums)]

        reads = []
        results = Signal(config.columns * width)
        for number in range(2):
            ram = add_block_ram(m, f"bank_{number}", platform, width=config.columns * width,
                                depth=config.accumulator_depth, write_registers=True,
                                read_registers=True)
            reads.append(ram.read_data)
            computed = Signal(name=f"computed_{number}")
            m.d.comb += computed.eq(self.i_valid & (bank == number))
            # The bank that is not computed is read.
            m.d.comb += [
                ram.read_addr.eq(Mux(computed, addr, self.read_addr)),
                ram.write_en.eq(after(computed, 5)),
                ram.write_addr.eq(write_addr),
                ram.write_data.eq(results),
            ]
        read_banks = copies("old_bank", after(self.read_bank, 1))
        # A sum, or the old number where the maximum is wanted, which the new one may take place of.
        for column in range(config.columns):
            def register(name: str, of: int, column: int = column) -> Signal:
                return Signal(signed(of), name=f"{name}_{column}", reset_less=True)

            def new(stage: int, column: int = column) -> Value:
                return sums[stage].word_select(column, config.sum_width).as_signed()

            def chosen(bank: Signal, column: int = column) -> Value:
                return Mux(bank, *(read.word_select(column, width)
                                   for read in reversed(reads))).as_signed()

            old, total, read = (register(name, width) for name in ("old", "total", "read"))
            added = register("added", config.sum_width)
            replace = Signal(name=f"replace_{column}", reset_less=True)
            m.d.sync += [
                read.eq(chosen(read_banks[column])),
                old.eq(Mux(add_freshs[column], 0, chosen(add_banks[column]))),
                added.eq(Mux(maxima[column], 0, new(2))),
                total.eq(old + added),
                replace.eq(firsts[column] | (maxima[column] & (new(3) >= old))),
            ]
            m.d.comb += [
                self.o_accumulators[column].eq(read),
                results.word_select(column, width).eq(Mux(replace, new(4), total)),
            ]
        return m
