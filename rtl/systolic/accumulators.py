"""Accumulators: two banks of sums or maxima, one computed while the other one is read."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field, Flag
from eieio.rtl.systolic.descriptor import DESCRIPTOR, pair
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.winograd.delay import delayed

__all__ = ["Accumulators"]


class Accumulators(wiring.Component):
    """Adds the sums that leave the array to those of the sweeps before.

    A sweep goes once over the accumulators of a pass. The first sweep of a pass writes, the others
    add, or keep the larger number. Passes alternate between the banks. An accumulator that a vector
    has written may be needed again four cycles later, and not sooner.

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
    o_accumulators : ``Out(data.ArrayLayout(signed(accumulator_width), columns))``
        What they hold, two cycles later.
    """

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

        # Which accumulators the vector at hand goes to.
        addr, bank, fresh = Signal.like(self.read_addr), Signal(), Signal()
        sweeps_left = Signal(16)
        pass_last = Signal()
        m.d.comb += pass_last.eq(self.i_valid & self.i_last & (sweeps_left == 1))
        with m.If(self.i_valid):
            m.d.sync += addr.eq(addr + 1)
            with m.If(self.i_last):
                m.d.sync += [addr.eq(0), sweeps_left.eq(sweeps_left - 1), fresh.eq(0)]
                with m.If(sweeps_left == 1):
                    m.d.sync += [sweeps_left.eq(sweeps), fresh.eq(1), bank.eq(~bank)]
        with m.If(self.start):
            m.d.sync += [addr.eq(0), bank.eq(0), fresh.eq(1), sweeps_left.eq(sweeps)]

        # Read, add, write: three cycles.
        def after(signal: Signal, cycles: int) -> Value:
            return delayed(m, signal, cycles, f"{signal.name}_{cycles}")

        valid, write_addr, write_bank = (after(signal, 3) for signal in (self.i_valid, addr, bank))
        add_bank, add_fresh = after(bank, 2), after(fresh, 2)
        sums = [Signal.like(self.i_sums.as_value(), name=f"sums_{stage}", reset_less=True)
                for stage in range(2)]
        m.d.sync += [sums[0].eq(self.i_sums.as_value()), sums[1].eq(sums[0]),
                     self.pass_done.eq(after(pass_last, 3))]
        before = Signal(config.columns * width)
        results = Signal(config.columns * width, reset_less=True)
        maximum = Signal()
        m.d.sync += maximum.eq((operation & Flag.MAXIMUM).any())

        reads = []
        for number in range(2):
            ram = add_block_ram(m, f"bank_{number}", platform, width=config.columns * width,
                                depth=config.accumulator_depth)
            reads.append(ram.read_data)
            # The bank that is not computed is read.
            m.d.comb += [
                ram.read_addr.eq(Mux(self.i_valid & (bank == number), addr, self.read_addr)),
                ram.write_en.eq(valid & (write_bank == number)),
                ram.write_addr.eq(write_addr),
                ram.write_data.eq(results),
            ]
        read_bank = Signal(2)
        m.d.sync += read_bank.eq(Cat(self.read_bank, read_bank))
        m.d.comb += [
            before.eq(Mux(add_bank, reads[1], reads[0])),
            self.o_accumulators.as_value().eq(Mux(read_bank[1], reads[1], reads[0])),
        ]
        for column in range(config.columns):
            new = sums[1].word_select(column, config.sum_width).as_signed()
            old = before.word_select(column, width).as_signed()
            result = results.word_select(column, width)
            with m.If(add_fresh | (maximum & (new >= old))):
                m.d.sync += result.eq(new)
            with m.Elif(maximum):
                m.d.sync += result.eq(old)
            with m.Else():
                m.d.sync += result.eq(new + old)
        return m
