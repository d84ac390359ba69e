"""Winograd's input transform."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.winograd import IntegerTransform
from eieio.rtl.winograd.delay import delayed
from eieio.rtl.winograd.shift_add import ShiftAdd
from eieio.rtl.winograd.transpose import Transpose

__all__ = ["InputTransform"]


class InputTransform(wiring.Component):
    """Transforms tiles of data: ``B^T d B``, exactly.

    The n rows of a tile come in order and in any cycles; tiles overlap in the data, so that rows
    come anew for each. The n columns of the transformed tile leave in order in n cycles on end,
    the first :attr:`latency` cycles after the last row. Tiles follow each other without a gap: in n
    cycles n * n elements.

    There are adders and shifts only.

    Parameters
    ----------
    transform : :class:`IntegerTransform`
        F(m, r), with at least 2 for n.
    width : :class:`int`
        Bits of data.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from the last row of a tile to the first column.
    output_width : :class:`int`
        Bits of transformed data; no fewer would do.

    Members
    -------
    i_valid : ``In(1)``
        There is a row.
    i_row : ``In(data.ArrayLayout(signed(width), n))``
        Row of a tile.
    o_valid : ``Out(1)``
        There is a column.
    o_column : ``Out(data.ArrayLayout(signed(output_width), n))``
        Column of the transformed tile.
    """

    i_valid: Signal
    i_row: data.View
    o_valid: Signal
    o_column: data.View

    def __init__(self, transform: IntegerTransform, width: int = 8) -> None:
        self.transform = transform
        self.width = width
        self.parameters = (transform, width)
        self.latency = transform.input_latency
        self.output_width = transform.data_width(width)
        super().__init__({
            "i_valid": In(1),
            "i_row": In(data.ArrayLayout(signed(width), transform.n)),
            "o_valid": Out(1),
            "o_column": Out(data.ArrayLayout(signed(self.output_width), transform.n)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        matrix = self.transform.b_t
        gain = max(sum(map(abs, row)) for row in matrix)
        between = self.width + (gain - 1).bit_length()
        m.submodules.across = across = ShiftAdd(matrix, input_width=self.width,
                                                output_width=between)
        m.submodules.transpose = transpose = Transpose(len(matrix), len(matrix), between)
        m.submodules.down = down = ShiftAdd(matrix, input_width=between,
                                            output_width=self.output_width)
        m.d.comb += [
            across.i.eq(self.i_row),
            transpose.i_valid.eq(delayed(m, self.i_valid, across.latency, "across_valid")),
            transpose.i_row.eq(across.o),
            down.i.eq(transpose.o_column),
            self.o_valid.eq(delayed(m, transpose.o_valid, down.latency, "down_valid")),
            self.o_column.eq(down.o),
        ]
        return m
