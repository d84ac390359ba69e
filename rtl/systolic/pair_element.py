"""Pair of processing elements of the systolic array that share a multiplier."""

from amaranth.hdl import Cat, Module, Shape, Signal, Value, unsigned

from eieio.rtl.systolic.pair_multiplier import PairMultiplier
from eieio.rtl.systolic.pe import ProcessingElement

__all__ = ["PairElement"]


class PairElement(ProcessingElement):
    """Two PEs side by side, which multiply an activation by both of their weights at once.

    In all but its arithmetic it is a :class:`ProcessingElement` with two weights and two sums. A
    product reaches the sum ``product_stages + 3`` cycles after its activation's cycle.

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

    module_name = "pair"

    def _shapes(self) -> tuple[Shape, Shape]:
        return unsigned(2 * self.config.weight_width), unsigned(2 * self.config.sum_width)

    def _add_product(self, m: Module, weight: Signal) -> Value:
        config = self.config
        m.submodules.pair = pair = PairMultiplier(config.product_stages)
        m.d.comb += [pair.a.eq(self.o_activation), pair.b.eq(weight)]
        width = config.sum_width
        return Cat((self.i_sum.word_select(part, width).as_signed()
                    + pair.products.word_select(part, config.product_width).as_signed())[:width]
                   for part in range(2))
