"""Transposition of tiles: rows in, columns out."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["Transpose"]


class Transpose(wiring.Component):
    """Collects the rows of a tile, and gives its columns.

    The rows of a tile come in order and in any cycles. The columns leave in order and in as many
    cycles as there are, from the cycle behind the last row on. Tiles follow each other without a
    gap.

    Parameters
    ----------
    rows : :class:`int`
        Rows of a tile, at least 2.
    columns : :class:`int`
        Columns of a tile, no more than rows.
    width : :class:`int`
        Bits of an element.

    Members
    -------
    i_valid : ``In(1)``
        There is a row.
    i_row : ``In(data.ArrayLayout(signed(width), columns))``
        Row.
    o_valid : ``Out(1)``
        There is a column.
    o_column : ``Out(data.ArrayLayout(signed(width), rows))``
        Column.

    Raises
    ------
    ValueError
        If there are more columns than rows, so that tiles could come faster than they leave.
    """

    i_valid: Signal
    i_row: data.View
    o_valid: Signal
    o_column: data.View

    def __init__(self, rows: int, columns: int, width: int) -> None:
        if columns > rows:
            raise ValueError(f"Tile must not have more columns than rows, not {columns} and {rows}")
        self.rows = rows
        self.columns = columns
        self.width = width
        self.parameters = (rows, columns, width)
        super().__init__({
            "i_valid": In(1),
            "i_row": In(data.ArrayLayout(signed(width), columns)),
            "o_valid": Out(1),
            "o_column": Out(data.ArrayLayout(signed(width), rows)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # All rows but the last, the latest in front.
        collected = [Signal.like(self.i_row.as_value(), name=f"row_{number}", reset_less=True)
                     for number in range(self.rows - 1)]
        count = Signal(ceil_log2(self.rows))
        complete = Signal()
        m.d.comb += complete.eq(self.i_valid & (count == self.rows - 1))
        source = self.i_row.as_value()
        tile = [source]
        with m.If(self.i_valid):
            m.d.sync += count.eq(count + 1)
            for register in collected:
                m.d.sync += register.eq(source)
                source = register
                tile.append(source)
        with m.If(complete):
            m.d.sync += count.eq(0)

        leaving = [Signal(self.rows * self.width, name=f"column_{number}", reset_less=True)
                   for number in range(self.columns)]
        left = Signal(self.columns)
        m.d.sync += left.eq(left[1:])
        for register, behind in pairwise(leaving):
            m.d.sync += register.eq(behind)
        with m.If(complete):
            m.d.sync += left.eq(~0)
            for number, register in enumerate(leaving):
                m.d.sync += register.eq(Cat(row.word_select(number, self.width)
                                            for row in reversed(tile)))
        m.d.comb += [self.o_valid.eq(left[0]), self.o_column.as_value().eq(leaving[0])]
        return m
