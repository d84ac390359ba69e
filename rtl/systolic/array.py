"""Weight-stationary systolic array."""

from amaranth.hdl import Cat, Const, Module, Signal, ValueLike, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.systolic.array import latency
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.emit import shared
from eieio.rtl.systolic.band import ArrayBand
from eieio.rtl.systolic.skew import Skew

__all__ = ["SystolicArray"]

# The square root of the largest number of rows: as many bands as rows in a band.
BAND_ROWS = 16


class SystolicArray(wiring.Component):
    """Multiplies vectors of activations by a stationary matrix of weights, one vector a cycle.

    Each vector gives ``sums[c] = sum(activations[r] * weights[r][c] for r in range(rows))``,
    :attr:`latency` cycles later and in order. There is no back-pressure: vectors come in any
    cycle, each independently of the others, and so do their sums.

    Weights of the next tile load while vectors of this one come in, a row a cycle in any cycles,
    the first row of the tile first. They are used from the vector with ``i_swap`` on, which comes
    in a later cycle than the last of these rows; a row of weights in the cycle of a swap belongs
    to the next tile already. So, with all rows loaded in as many cycles as the array has rows, a
    tile of at least so many vectors follows another without a gap.

    A tile may have fewer rows of weights than the array. The rows below then keep weights of an
    earlier tile, and want activations of 0. Rows of weights in excess fall out of the array.

    Sums are exact if ``sum_width`` is not limited by the width of accumulators; otherwise they are
    exact modulo ``2 ** sum_width``.

    Sources: H. T. Kung, "Why Systolic Architectures?", Computer 15(1), 1982; N. P. Jouppi et al.,
    "In-Datacenter Performance Analysis of a Tensor Processing Unit", ISCA 2017.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration of the engine.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from a vector to its sums: ``rows + columns + product_stages``, or with two
        ``products_per_multiplier`` ``rows + columns / 2 + product_stages + 2``.

    Members
    -------
    i_valid, i_swap, i_last, i_activations : ``In``
        Whether there is a vector; whether it is the first of a tile, whose weights were loaded
        last; a flag of the user's; and the vector, ``data.ArrayLayout(signed(activation_width),
        rows)``.
    w_valid, w_weights : ``In``
        Whether there is a row of weights; and the row, ``data.ArrayLayout(signed(weight_width),
        columns)``.
    o_valid, o_last, o_sums : ``Out``
        Whether there is a result; its vector's flag; and the result,
        ``data.ArrayLayout(signed(sum_width), columns)``.
    """

    i_valid: Signal
    i_swap: Signal
    i_last: Signal
    i_activations: data.View
    w_valid: Signal
    w_weights: data.View
    o_valid: Signal
    o_last: Signal
    o_sums: data.View

    def __init__(self, config: SystolicConfig) -> None:
        self.config = self.parameters = config
        self.latency = latency(config)
        super().__init__({
            "i_valid": In(1),
            "i_swap": In(1),
            "i_last": In(1),
            "i_activations": In(data.ArrayLayout(signed(config.activation_width), config.rows)),
            "w_valid": In(1),
            "w_weights": In(data.ArrayLayout(signed(config.weight_width), config.columns)),
            "o_valid": Out(1),
            "o_last": Out(1),
            "o_sums": Out(data.ArrayLayout(signed(config.sum_width), config.columns)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        m.submodules.activation_skew = activation_skew = Skew(config.rows, config.activation_width)
        columns, products = config.multiplier_columns, config.products_per_multiplier
        m.submodules.weight_skew = weight_skew = Skew(columns, products * config.weight_width)
        m.submodules.sum_skew = sum_skew = Skew(columns, products * config.sum_width, falling=True)
        m.d.comb += [
            activation_skew.i.eq(self.i_activations.as_value()),
            weight_skew.i.eq(self.w_weights.as_value()),
            self.o_sums.as_value().eq(sum_skew.o),
        ]

        swap, load, weights = self.i_valid & self.i_swap, self.w_valid, weight_skew.o
        sums: ValueLike = Const(0, config.columns * config.sum_width)
        for number, first in enumerate(range(0, config.rows, BAND_ROWS)):
            rows = min(BAND_ROWS, config.rows - first)
            band = ArrayBand(config, rows)
            m.submodules[f"band_{number}"] = shared(band, platform)
            bits = slice(first * config.activation_width, (first + rows) * config.activation_width)
            m.d.comb += [
                band.i_activations.as_value().eq(activation_skew.o[bits]),
                band.i_swap.eq(swap),
                band.i_load.eq(load),
                band.i_weights.eq(weights),
                band.i_sums.eq(sums),
            ]
            swap, load, weights, sums = band.o_swap, band.o_load, band.o_weights, band.o_sums
        m.d.comb += sum_skew.i.eq(sums)

        for flag, delayed in ((self.i_valid, self.o_valid), (self.i_last, self.o_last)):
            stages = Signal(self.latency, name=f"{delayed.name}_stages")
            m.d.sync += stages.eq(Cat(flag, stages))
            m.d.comb += delayed.eq(stages[-1])
        return m
