"""Pair of processing elements of the systolic array that share a multiplier."""

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.pair_multiplier import PairMultiplier

__all__ = ["PairElement"]


class PairElement(wiring.Component):
    """Two PEs side by side, which multiply an activation by both of their weights at once.

    In all but its arithmetic it is a :class:`~eieio.rtl.systolic.pe.ProcessingElement` with two
    weights and two sums. A product reaches the sum ``product_stages + 3`` cycles after its
    activation's cycle.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration of the engine.

    Members
    -------
    i_activation, o_activation, i_swap, o_swap, i_take, o_take : ``In``, ``Out``
        As of a PE.
    i_weight, o_weight : ``In``, ``Out(2 * weight_width)``
        Weights, that of the left column lowest, and the same one cycle later.
    i_sum, o_sum : ``In``, ``Out(2 * sum_width)``
        Sums of the products above, and the same with both products one cycle later.
    """

    i_activation: Signal
    o_activation: Signal
    i_swap: Signal
    o_swap: Signal
    i_take: Signal
    o_take: Signal
    i_weight: Signal
    o_weight: Signal
    i_sum: Signal
    o_sum: Signal

    module_name = "pair"

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        super().__init__({
            "i_activation": In(signed(config.activation_width)),
            "o_activation": Out(signed(config.activation_width)),
            "i_swap": In(1),
            "o_swap": Out(1),
            "i_take": In(1),
            "o_take": Out(1),
            "i_weight": In(unsigned(2 * config.weight_width)),
            "o_weight": Out(unsigned(2 * config.weight_width)),
            "i_sum": In(unsigned(2 * config.sum_width)),
            "o_sum": Out(unsigned(2 * config.sum_width)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        # Nothing here is reset, as in a PE.
        taken, weight = (Signal(2 * config.weight_width, name=name, reset_less=True)
                         for name in ("taken", "weight"))
        with m.If(self.i_take):
            m.d.sync += taken.eq(self.i_weight)
        with m.If(self.i_swap):
            m.d.sync += weight.eq(taken)
        m.submodules.pair = pair = PairMultiplier(config.product_stages)
        m.d.comb += [pair.a.eq(self.o_activation), pair.b.eq(weight)]

        width = config.sum_width
        sums = Cat((self.i_sum.word_select(part, width).as_signed()
                    + pair.products.word_select(part, config.product_width).as_signed())[:width]
                   for part in range(2))
        for port, value in ((self.o_activation, self.i_activation), (self.o_swap, self.i_swap),
                            (self.o_take, self.i_take), (self.o_weight, self.i_weight),
                            (self.o_sum, sums)):
            register = Signal.like(port, name=f"{port.name}_register", reset_less=True)
            m.d.sync += register.eq(value)
            m.d.comb += port.eq(register)
        return m
