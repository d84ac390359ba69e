"""Output lanes: shift, bias and requantization of accumulators."""

from amaranth.hdl import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from eieio.model.fixed_point import MULTIPLIER_WIDTH
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.program import LEFT_SHIFT_MAXIMUM, WRAPS, Field, Flag
from eieio.rtl.emit import shared
from eieio.rtl.requantize import Requantize
from eieio.rtl.systolic.descriptor import DESCRIPTOR
from eieio.rtl.vendor.block_ram import add_block_ram

__all__ = ["ACCUMULATOR_WIDTH", "OutputLanes"]

#: Bits of an accumulator here, bias and left shift included.
ACCUMULATOR_WIDTH = 32

_SHIFT_WIDTH = 6
_LEFT_WIDTH = LEFT_SHIFT_MAXIMUM.bit_length()


class OutputLanes(wiring.Component):
    """Takes a group of ``lanes`` accumulators a cycle to activations.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from a group to its activations.

    Members
    -------
    descriptor : ``In(DESCRIPTOR)``
        Descriptor of the layer. Held while the layer is computed.
    parameter_addr : ``In``
        Address of a group's biases and factors, two cycles before the group.
    i : ``In(data.ArrayLayout(signed(32), lanes))``
        Group of accumulators.
    o : ``Out(data.ArrayLayout(signed(8), lanes))``
        Group of activations.
    load_biases, load_multipliers, load_shifts : ``In(lanes)``
        Write a parameter: a bit for each lane.
    load_addr, load_data : ``In``
        Where and what.
    """

    descriptor: data.View
    parameter_addr: Signal
    i: data.View
    o: data.View
    load_biases: Signal
    load_multipliers: Signal
    load_shifts: Signal
    load_addr: Signal
    load_data: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        self._requantize = [Requantize(accumulator_width=ACCUMULATOR_WIDTH,
                                       output_width=ACTIVATION_BITS, may_wrap=True,
                                       logic=config.requantize_multipliers == "lut")
                            for _ in range(config.lanes)]
        self.latency = 2 + self._requantize[0].latency
        addr_width = ceil_log2(config.parameter_depth)
        super().__init__({
            "descriptor": In(DESCRIPTOR),
            "parameter_addr": In(unsigned(addr_width)),
            "i": In(data.ArrayLayout(signed(ACCUMULATOR_WIDTH), config.lanes)),
            "o": Out(data.ArrayLayout(signed(ACTIVATION_BITS), config.lanes)),
            "load_biases": In(unsigned(config.lanes)),
            "load_multipliers": In(unsigned(config.lanes)),
            "load_shifts": In(unsigned(config.lanes)),
            "load_addr": In(unsigned(addr_width)),
            "load_data": In(32),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        lanes = config.lanes

        def parameters(name: str, width: int, load: Signal, loaded: Value) -> list[Value]:
            """Return the lanes' parameters of the address given two cycles ago."""
            words = []
            for lane in range(lanes):
                ram = add_block_ram(m, f"{name}_{lane}", platform, width=width,
                                    depth=config.parameter_depth)
                m.d.comb += [
                    ram.read_addr.eq(self.parameter_addr),
                    ram.write_en.eq(load[lane]),
                    ram.write_addr.eq(self.load_addr),
                    ram.write_data.eq(loaded),
                ]
                words.append(ram.read_data)
            return words

        biases = parameters("biases", 32, self.load_biases, self.load_data)
        multipliers = parameters("multipliers", MULTIPLIER_WIDTH, self.load_multipliers,
                                 self.load_data[:MULTIPLIER_WIDTH])
        shifts = parameters("shifts", _SHIFT_WIDTH + _LEFT_WIDTH, self.load_shifts,
                            Cat(self.load_data[:_SHIFT_WIDTH], self.load_data[8:8 + _LEFT_WIDTH]))

        # Held while a layer is computed; a register each, close to the lanes.
        quantization = Signal(32, reset_less=True)
        single, wraps = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            quantization.eq(self.descriptor[Field.QUANTIZATION]),
            single.eq((self.descriptor[Field.OPERATION] & Flag.SINGLE_ROUNDING).any()),
            wraps.eq(self.descriptor[Field.PARAMETERS][WRAPS]),
        ]
        for lane, requantize in enumerate(self._requantize):
            m.submodules[f"lane_{lane}"] = shared(requantize, platform)
            # The shift comes first: so biases may be finer than a step of the sums.
            shifted = Signal(signed(ACCUMULATOR_WIDTH), name=f"shifted_{lane}", reset_less=True)
            bias = Signal(signed(ACCUMULATOR_WIDTH), name=f"bias_{lane}", reset_less=True)
            total = Signal(signed(ACCUMULATOR_WIDTH), name=f"total_{lane}", reset_less=True)
            factor, late_factor = (
                Signal(MULTIPLIER_WIDTH + _SHIFT_WIDTH, name=f"{name}_{lane}", reset_less=True)
                for name in ("factor", "late_factor"))
            m.d.sync += [
                shifted.eq(self.i[lane] << shifts[lane][_SHIFT_WIDTH:]),
                bias.eq(biases[lane]),
                factor.eq(Cat(multipliers[lane], shifts[lane][:_SHIFT_WIDTH])),
                total.eq(shifted + bias),
                late_factor.eq(factor),
            ]
            m.d.comb += [
                requantize.acc.eq(total),
                requantize.multiplier.eq(late_factor[:MULTIPLIER_WIDTH]),
                requantize.shift.eq(late_factor[MULTIPLIER_WIDTH:]),
                requantize.single_rounding.eq(single),
                requantize.wraps.eq(wraps),
                requantize.zero_point.eq(quantization[8:16].as_signed()),
                requantize.minimum.eq(quantization[16:24].as_signed()),
                requantize.maximum.eq(quantization[24:].as_signed()),
                self.o[lane].eq(requantize.output),
            ]
        return m
