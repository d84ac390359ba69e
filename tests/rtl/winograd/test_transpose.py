"""Transposition: interface, order and cycles."""

from collections.abc import Callable

import numpy as np
import pytest
from amaranth.hdl import signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from eieio.rtl.winograd.transpose import Transpose


def test_members() -> None:
    assert dict(Transpose(4, 2, 9).signature.members) == {
        "i_valid": In(1),
        "i_row": In(data.ArrayLayout(signed(9), 2)),
        "o_valid": Out(1),
        "o_column": Out(data.ArrayLayout(signed(9), 4)),
    }


def test_more_columns_than_rows() -> None:
    with pytest.raises(ValueError, match=r"^Tile must not have more columns than rows, not 5 and "
                                         r"4$"):
        Transpose(4, 5, 8)


@pytest.mark.parametrize("density", [1.0, 0.7, 0.3])
@pytest.mark.parametrize(("rows", "columns"), [(2, 1), (2, 2), (4, 2), (4, 4), (5, 3), (6, 6)])
def test_random(run_vectors: Callable, rows: int, columns: int, density: float) -> None:
    dut = Transpose(rows, columns, 6)
    rng = np.random.default_rng(rows)
    tiles = rng.integers(-32, 32, (8, rows, columns))
    cycles = np.flatnonzero(rng.random(1000) < density)[:8 * rows]
    output_cycles, outputs = run_vectors(
        dut, (dut.i_valid, dut.i_row), (dut.o_valid, dut.o_column),
        tiles.reshape(-1, columns), cycles.tolist())
    assert output_cycles == [last + 1 + number for last in cycles[rows - 1::rows]
                             for number in range(columns)]
    assert np.array_equal(outputs, tiles.transpose(0, 2, 1).reshape(-1, rows))
