"""Proofs of the transposition of tiles."""

from amaranth.hdl import Array, Signal
from harness import Bug, Harness, Proof

from eieio.rtl.winograd.transpose import Transpose


def _tiles(rows: int, columns: int) -> Harness:
    """One element of any tile, which stands for each, leaves where and when it should."""
    h = Harness()
    m = h.m
    dut = h.add(Transpose(rows, columns, 2))
    h.drive(i_valid=dut.i_valid, i_row=dut.i_row)
    column = h.constant(3, "column")
    h.assume(column < columns)
    row = Signal(range(rows))
    tile = [Signal(2, name=f"element_{number}") for number in range(rows)]
    with m.If(dut.i_valid):
        m.d.sync += row.eq(row + 1)
        with m.If(row == rows - 1):
            m.d.sync += row.eq(0)
        for number in range(rows):
            with m.If(row == number):
                m.d.sync += tile[number].eq(
                    Array(dut.i_row[c].as_unsigned() for c in range(columns))[column])
    complete = h.past(dut.i_valid & (row == rows - 1), "complete")
    # Columns leave in the cycles from the one behind the last row on.
    place = Signal(range(columns + 1), init=columns)
    leaving = Signal(range(columns + 1))
    m.d.comb += leaving.eq(place)
    with m.If(complete):
        m.d.comb += leaving.eq(0)
    m.d.sync += place.eq(leaving + (leaving != columns))
    kept = [Signal(2, name=f"kept_{number}") for number in range(rows)]
    with m.If(complete):
        m.d.sync += [after.eq(element) for after, element in zip(kept, tile, strict=True)]
    h.check(dut.o_valid == (leaving != columns))
    for number in range(rows):
        now = Signal(2, name=f"now_{number}")
        m.d.comb += now.eq(kept[number])
        with m.If(complete):
            m.d.comb += now.eq(tile[number])
        h.check(dut.o_column[number].as_unsigned() == now,
                when=(leaving == column) & (leaving != columns))
    h.cover(complete & (tile[0] == 3))
    return h


PROOFS = tuple(
    Proof(f"transpose_{rows}x{columns}", "winograd/transpose.py",
          f"tiles of {rows} x {columns}, rows in any cycles: columns leave in order and time",
          lambda rows=rows, columns=columns: _tiles(rows, columns),
          bugs=(Bug("rows are in the order in which they are kept", "for row in reversed(tile)",
                    "for row in tile"),
                Bug("a column too few", "m.d.sync += left.eq(~0)", "m.d.sync += left.eq(1)")))
    for rows, columns in ((4, 4), (4, 2), (6, 4)))
