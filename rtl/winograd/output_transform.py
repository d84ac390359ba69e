"""Winograd's output transform."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from eieio.model.winograd import IntegerTransform
from eieio.rtl.winograd.delay import delayed
from eieio.rtl.winograd.shift_add import ShiftAdd
from eieio.rtl.winograd.transpose import Transpose

__all__ = ["OutputTransform"]


class OutputTransform(wiring.Component):
    """Transforms tiles of sums of products into outputs: ``A^T M A / divisor ** 2``, exactly.

    The n columns of a tile come in order and in any cycles. The m rows of outputs leave in order in
    m cycles on end, the first :attr:`latency` cycles after the last column. Tiles follow each other
    without a gap.

    Sums may have wrapped around: outputs are exact if they fit in ``output_width`` bits. The
    division leaves no remainder. Its power of two is dropped bits, half of them behind each
    dimension, and its odd part (9 for F(4x4, 3x3)) is multiplication with the inverse modulo
    ``2 ** output_width``. It cannot be left to the multiplier of a requantization, which would
    round otherwise.

    There are adders and shifts only.

    Parameters
    ----------
    transform : :class:`IntegerTransform`
        F(m, r), with at least 2 for n.
    accumulator_width : :class:`int`
        Bits of a sum of products.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from the last column of a tile to the first row of outputs.
    output_width : :class:`int`
        Bits of an output: ``accumulator_width`` without those of the power of two, which are 2 for
        F(2x2, 3x3) and 6 for F(4x4, 3x3).

    Members
    -------
    i_valid : ``In(1)``
        There is a column.
    i_column : ``In(data.ArrayLayout(signed(accumulator_width), n))``
        Column of a tile of sums.
    o_valid : ``Out(1)``
        There is a row.
    o_row : ``Out(data.ArrayLayout(signed(output_width), m))``
        Row of outputs.

    Raises
    ------
    ValueError
        If no bits are left for outputs.
    """

    i_valid: Signal
    i_column: data.View
    o_valid: Signal
    o_row: data.View

    def __init__(self, transform: IntegerTransform, accumulator_width: int = 32) -> None:
        self.transform = transform
        self.accumulator_width = accumulator_width
        self.parameters = (transform, accumulator_width)
        self.output_width = accumulator_width - 2 * transform.shift
        if self.output_width < 1:
            raise ValueError(f"Accumulator width must be at least {2 * transform.shift + 1}, "
                             f"not {accumulator_width}")
        self.latency = transform.output_latency(accumulator_width)
        super().__init__({
            "i_valid": In(1),
            "i_column": In(data.ArrayLayout(signed(accumulator_width), transform.n)),
            "o_valid": Out(1),
            "o_row": Out(data.ArrayLayout(signed(self.output_width), transform.m)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        matrix = self.transform.a_t
        shift = self.transform.shift
        between = self.accumulator_width - shift

        m.submodules.down = down = ShiftAdd(matrix, input_width=self.accumulator_width,
                                            output_width=self.accumulator_width)
        m.submodules.transpose = transpose = Transpose(self.transform.n, self.transform.m, between)
        m.submodules.across = across = ShiftAdd(matrix, input_width=between, output_width=between)
        m.d.comb += [
            down.i.eq(self.i_column),
            transpose.i_valid.eq(delayed(m, self.i_valid, down.latency, "down_valid")),
            across.i.eq(transpose.o_column),
        ]
        # Along one dimension the products already are the convolution, times the divisor, so that
        # the bits dropped here are 0.
        for number in range(self.transform.m):
            m.d.comb += transpose.i_row[number].eq(down.o[number][shift:])

        inverse = self.transform.inverse(self.output_width)
        latency = across.latency
        for number in range(self.transform.m):
            divide = ShiftAdd(((inverse,),), input_width=self.output_width,
                              output_width=self.output_width)
            m.submodules[f"divide_{number}"] = divide
            m.d.comb += [
                divide.i[0].eq(across.o[number][shift:]),
                self.o_row[number].eq(divide.o[0]),
            ]
            latency = across.latency + divide.latency
        m.d.comb += self.o_valid.eq(delayed(m, transpose.o_valid, latency, "across_valid"))
        return m
