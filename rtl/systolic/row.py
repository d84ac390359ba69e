"""One row of the systolic array."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.emit import shared
from eieio.rtl.systolic.pair_element import PairElement
from eieio.rtl.systolic.pe import ProcessingElement

__all__ = ["ArrayRow"]


class ArrayRow(wiring.Component):
    """PEs side by side, and the left edge that tells them which weights to take.

    A row takes the first weights that come after a swap and lets all others pass, so that the rows
    of the array fill from the top, and no row has to know its number. Everything in column c
    happens c cycles later than in column 0; with two ``products_per_multiplier``, everything in the
    columns 2c and 2c + 1, which share multipliers.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration of the engine.

    Members
    -------
    i_activation : ``In(signed(activation_width))``
        Activation, for column 0.
    i_swap, o_swap : ``In(1)``, ``Out(1)``
        From this cycle's activation on, the weights taken last are used; and the same one cycle
        later, for the row below.
    i_load, o_load : ``In(1)``, ``Out(1)``
        There is a weight for column 0; and, one cycle later, whether it is for a row below.
    i_weights, o_weights : ``In``, ``Out(columns * weight_width)``
        Weights of each column, column 0 lowest, from the row above and to the row below.
    i_sums, o_sums : ``In``, ``Out(columns * sum_width)``
        Sums of each column, column 0 lowest, from the row above and to the row below.
    """

    i_activation: Signal
    i_swap: Signal
    o_swap: Signal
    i_load: Signal
    o_load: Signal
    i_weights: Signal
    o_weights: Signal
    i_sums: Signal
    o_sums: Signal

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        # Plain bits: each field of a layout would be one more wire in the text of a large array.
        weights = unsigned(config.columns * config.weight_width)
        sums = unsigned(config.columns * config.sum_width)
        super().__init__({
            "i_activation": In(signed(config.activation_width)),
            "i_swap": In(1),
            "o_swap": Out(1),
            "i_load": In(1),
            "o_load": Out(1),
            "i_weights": In(weights),
            "o_weights": Out(weights),
            "i_sums": In(sums),
            "o_sums": Out(sums),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        full = Signal()
        take = Signal()
        # With a reset, unlike those of the PEs. Otherwise synthesis would take a flip-flop for all
        # that swap in the same cycle, and these are an antidiagonal across the array.
        swapped = Signal()
        m.d.comb += take.eq(self.i_load & (self.i_swap | ~full))
        m.d.sync += [
            full.eq(take | (full & ~self.i_swap)),
            self.o_load.eq(self.i_load & ~take),
            swapped.eq(self.i_swap),
        ]
        m.d.comb += self.o_swap.eq(swapped)

        activation, swap = self.i_activation, self.i_swap
        weight_width, sum_width = (config.products_per_multiplier * width for width in (
            config.weight_width, config.sum_width))
        element = PairElement if config.products_per_multiplier > 1 else ProcessingElement
        for column in range(config.multiplier_columns):
            pe = element(config)
            m.submodules[f"pe_{column}"] = shared(pe, platform)
            m.d.comb += [
                pe.i_activation.eq(activation),
                pe.i_swap.eq(swap),
                pe.i_take.eq(take),
                pe.i_weight.eq(self.i_weights.word_select(column, weight_width)),
                pe.i_sum.eq(self.i_sums.word_select(column, sum_width)),
                self.o_weights.word_select(column, weight_width).eq(pe.o_weight),
                self.o_sums.word_select(column, sum_width).eq(pe.o_sum),
            ]
            activation, swap, take = pe.o_activation, pe.o_swap, pe.o_take
        return m
