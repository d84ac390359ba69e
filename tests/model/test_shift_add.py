"""Products with a constant matrix by shifts and additions: right, and with few additions."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eieio.model.shift_add import ShiftAddPlan, plan_shift_add, signed_digits
from eieio.model.winograd import integer_transform, toom_cook

Matrix = tuple[tuple[int, ...], ...]


def check(plan: ShiftAddPlan, matrix: Matrix) -> None:
    nodes = plan.coefficients
    assert not any(output.negative for output in plan.outputs)
    assert tuple(tuple(value << output.shift for value in nodes[output.node])
                 for output in plan.outputs) == matrix


@given(st.integers(-10**12, 10**12))
def test_signed_digits(value: int) -> None:
    digits = signed_digits(value)
    assert sum(-(1 << shift) if negative else 1 << shift for shift, negative in digits) == value
    shifts = [shift for shift, _ in digits]
    assert all(high - low > 1 for low, high in pairwise(shifts))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 4).flatmap(lambda columns: st.lists(
    st.lists(st.integers(-60, 60), min_size=columns, max_size=columns).filter(any).map(tuple),
    min_size=1, max_size=4).map(tuple)))
def test_random(matrix: Matrix) -> None:
    plan = plan_shift_add(matrix)
    check(plan, matrix)
    digits = sum(len(signed_digits(value)) for row in matrix for value in row)
    negations = sum(len(terms) == 1 for terms in plan.sums)
    assert len(plan.sums) - negations <= digits - len(matrix)
    assert negations <= len(matrix)


@pytest.mark.parametrize(("m", "matrix", "additions", "latency"), [
    (2, "b_t", 4, 1), (2, "a_t", 4, 2), (2, "g", 3, 2),
    (4, "b_t", 12, 2), (4, "a_t", 12, 3), (4, "g", 7, 3)])
def test_winograd(m: int, matrix: str, additions: int, latency: int) -> None:
    rows = getattr(integer_transform(toom_cook(m, 3)), matrix)
    plan = plan_shift_add(rows)
    check(plan, rows)
    assert (len(plan.sums), plan.latency) == (additions, latency)


@pytest.mark.parametrize("row", [(-1,), (-3,), (-1, -2), (0, -4, 0)])
def test_negative_rows(row: tuple[int, ...]) -> None:
    check(plan_shift_add((row,)), (row,))


def test_no_addition() -> None:
    plan = plan_shift_add(((0, 4), (1, 0)))
    assert plan.sums == ()
    assert plan.latency == 0
    check(plan, ((0, 4), (1, 0)))


def test_row_of_zeros() -> None:
    with pytest.raises(ValueError, match=r"^Rows must not be all zeros$"):
        plan_shift_add(((1, 2), (0, 0)))
