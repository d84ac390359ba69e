"""Product with a constant matrix: interface, latency and results."""

from collections.abc import Callable

import numpy as np
import pytest
from amaranth.hdl import Const, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from eieio.rtl.winograd.shift_add import ShiftAdd


def test_members() -> None:
    dut = ShiftAdd(((1, 2, 3), (0, 0, -1)), input_width=5, output_width=9)
    assert dict(dut.signature.members) == {
        "i": In(data.ArrayLayout(signed(5), 3)),
        "o": Out(data.ArrayLayout(signed(9), 2)),
    }
    assert dut.latency == 2


@pytest.mark.parametrize(("matrix", "input_width", "output_width"), [
    (((1,),), 8, 8), (((0, 4), (1, 0)), 6, 9), (((-1,), (-3,)), 8, 10), (((-8, -5, 0),), 4, 9),
    (((4, 0, -5, 0, 1), (0, -4, -4, 1, 1), (0, 4, -4, -1, 1)), 8, 12),
    (((954437177,),), 32, 32), (((100, -77), (77, 100)), 10, 12), (((3, 5),), 10, 6)])
def test_product(run_vectors: Callable, matrix: tuple[tuple[int, ...], ...], input_width: int,
                 output_width: int) -> None:
    dut = ShiftAdd(matrix, input_width=input_width, output_width=output_width)
    bound = 1 << (input_width - 1)
    rng = np.random.default_rng(0)
    vectors = rng.integers(-bound, bound, (60, len(matrix[0])))
    vectors[:20] = rng.choice([-bound, bound - 1], (20, len(matrix[0])))
    cycles, products = run_vectors(dut, (Signal(), dut.i), (Const(1), dut.o), vectors,
                                   list(range(60)))
    products = products[dut.latency:][:60]
    wrong = (products - vectors @ np.array(matrix).T) % (1 << output_width)
    assert cycles[0] == 0
    assert not wrong.any()
