"""Depthwise sums: products of a group of channels, added up."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.rtl.emit import shared
from eieio.rtl.logic_multiplier import LogicMultiplier, logic_stages
from eieio.rtl.vendor.multiplier import Multiplier

__all__ = ["DepthwiseSums"]

# Cycles of a product, of whichever kind of multiplier.
_PRODUCT_STAGES = logic_stages(ACTIVATION_BITS)


class DepthwiseSums(wiring.Component):
    """Multiplies the windows of a group of channels by their weights, a group a cycle.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration, with a depthwise unit.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from a group to its sums.

    Members
    -------
    i_activations, i_weights : ``In(taps * lanes * 8)``
        Signed numbers of 8 bits, tap by tap, lane by lane.
    o : ``Out(data.ArrayLayout(signed(16 + adder levels), lanes))``
        Sums.
    """

    i_activations: Signal
    i_weights: Signal
    o: data.View

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        levels = (config.depthwise_taps - 1).bit_length()
        self.latency = _PRODUCT_STAGES + levels
        operands = config.depthwise_taps * config.depthwise_lanes * ACTIVATION_BITS
        super().__init__({
            "i_activations": In(unsigned(operands)),
            "i_weights": In(unsigned(operands)),
            "o": Out(data.ArrayLayout(signed(2 * ACTIVATION_BITS + levels),
                                      config.depthwise_lanes)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, taps = self.config.depthwise_lanes, self.config.depthwise_taps
        logic = self.config.depthwise_multipliers == "lut"
        for lane in range(lanes):
            sums = []
            for tap in range(taps):
                shape = signed(ACTIVATION_BITS)
                if logic:
                    multiplier = LogicMultiplier(shape, shape)
                    m.submodules[f"lane_{lane}_tap_{tap}"] = shared(multiplier, platform)
                else:
                    multiplier = Multiplier(shape, shape, stages=_PRODUCT_STAGES)
                    m.submodules[f"lane_{lane}_tap_{tap}"] = multiplier
                place = tap * lanes + lane
                m.d.comb += [
                    multiplier.a.eq(self.i_activations.word_select(place, ACTIVATION_BITS)),
                    multiplier.b.eq(self.i_weights.word_select(place, ACTIVATION_BITS)),
                ]
                sums.append(multiplier.product)
            level = 0
            while len(sums) > 1:
                level += 1
                joined = []
                for number in range(0, len(sums), 2):
                    total = Signal(signed(2 * ACTIVATION_BITS + level),
                                   name=f"sum_{lane}_{level}_{number // 2}", reset_less=True)
                    m.d.sync += total.eq(sum(sums[number + 1:number + 2], sums[number]))
                    joined.append(total)
                sums = joined
            m.d.comb += self.o[lane].eq(sums[0])
        return m
