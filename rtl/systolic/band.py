"""Some rows of the systolic array."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.emit import shared
from eieio.rtl.systolic.row import ArrayRow

__all__ = ["ArrayBand"]


class ArrayBand(wiring.Component):
    """Rows one below the other. Everything in row r happens r cycles later than in row 0.

    A large array is written as bands, and a band as rows, because the time to emit a module grows
    with the width and the number of its children's ports.

    Parameters
    ----------
    config : :class:`SystolicConfig`
        Configuration of the engine.
    rows : :class:`int`
        Rows of the band.

    Members
    -------
    i_activations : ``In(data.ArrayLayout(signed(activation_width), rows))``
        Activation of each row.
    i_swap, o_swap, i_load, o_load, i_weights, o_weights, i_sums, o_sums : ``In``, ``Out``
        Into the first row and out of the last, see :class:`eieio.rtl.systolic.row.ArrayRow`.
    """

    i_activations: data.View
    i_swap: Signal
    o_swap: Signal
    i_load: Signal
    o_load: Signal
    i_weights: Signal
    o_weights: Signal
    i_sums: Signal
    o_sums: Signal

    def __init__(self, config: SystolicConfig, rows: int) -> None:
        self.config = config
        self.rows = rows
        self.parameters = (config, rows)
        self.module_name = f"band_{rows}"
        weights = unsigned(config.columns * config.weight_width)
        sums = unsigned(config.columns * config.sum_width)
        super().__init__({
            "i_activations": In(data.ArrayLayout(signed(config.activation_width), rows)),
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
        swap, load, weights, sums = self.i_swap, self.i_load, self.i_weights, self.i_sums
        for number in range(self.rows):
            row = ArrayRow(self.config)
            m.submodules[f"row_{number}"] = shared(row, platform)
            m.d.comb += [
                row.i_activation.eq(self.i_activations[number]),
                row.i_swap.eq(swap),
                row.i_load.eq(load),
                row.i_weights.eq(weights),
                row.i_sums.eq(sums),
            ]
            swap, load, weights, sums = row.o_swap, row.o_load, row.o_weights, row.o_sums
        m.d.comb += [
            self.o_swap.eq(swap),
            self.o_load.eq(load),
            self.o_weights.eq(weights),
            self.o_sums.eq(sums),
        ]
        return m
