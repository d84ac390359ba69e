"""Factors and rescaling, against exact fractions."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eieio.model.errors import InputError
from eieio.model.graph.rescale import (
    quantize_factor,
    quantize_factor_rounded_once,
    quantize_factors,
    rescale,
)


def half_away(x: Fraction) -> int:
    return int(math.copysign(1, x)) * math.floor(abs(x) + Fraction(1, 2))


@settings(deadline=None)
@given(st.floats(2.0**-31, 2.0**30))
@example(1.0)
@example(0.5)
@example(math.nextafter(1.0, 0))  # rounded up to 1
@example(2.0**30)
def test_quantize_factor(real: float) -> None:
    multiplier, shift = quantize_factor(real)
    assert 2**30 <= multiplier < 2**31
    assert -31 <= shift <= 31
    error = abs(Fraction(multiplier, 2**31) * Fraction(2)**-shift / Fraction(real) - 1)
    assert error <= Fraction(1, 2**31)


@pytest.mark.parametrize(("real", "expected"), [
    (0.0, (0, 0)), (2.0**-33, (0, 0)), (2.0**-32, (2**30, 31)), (1.0, (2**30, -1)),
    (3.0, (3 * 2**29, -2)), (0.75, (3 * 2**29, 0)), (1 - 2.0**-33, (2**30, -1)),
    (1 - 2.0**-31, (2**31 - 1, 0)), (2.0**-32 * (1 - 2.0**-33), (2**30, 31)),
])
def test_quantize_factor_examples(real: float, expected: tuple[int, int]) -> None:
    assert quantize_factor(real) == expected


@pytest.mark.parametrize(("real", "message"), [
    (-0.5, "Factor must be finite and not negative, not -0.5"),
    (math.inf, "Factor must be finite and not negative, not inf"),
    (math.nan, "Factor must be finite and not negative, not nan"),
    (2.0**31, "Factor must be below 2**31, not 2147483648.0"),
])
def test_quantize_factor_refuses(real: float, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        quantize_factor(real)


def test_quantize_factors() -> None:
    multiplier, shift = quantize_factors([0.5, 4.0, 0.0])
    assert (multiplier.dtype, shift.dtype) == (np.int32, np.int32)
    assert multiplier.tolist() == [2**30, 2**30, 0]
    assert shift.tolist() == [0, -3, 0]


@settings(deadline=None)
@given(st.integers(-2**31, 2**31 - 1), st.integers(2**30, 2**31 - 1), st.integers(-31, 31),
       st.integers(-128, 127))
@example(-3, 2**30, 1, 0)
@example(-1, 3 * 2**29, -1, 0)
def test_rescale(number: int, multiplier: int, shift: int, zero_point: int) -> None:
    result = rescale(np.array([number]), multiplier, shift, zero_point, -128, 127)
    left, right = max(-shift, 0), max(shift, 0)
    product = math.floor(Fraction((number << left) * multiplier, 2**31) + Fraction(1, 2))
    expected = half_away(Fraction(product, 2**right)) + zero_point
    assert result.tolist() == [min(max(expected, -128), 127)]


@settings(deadline=None, max_examples=50)
@given(st.floats(2.0**-12, 300), st.integers(-128, 127), st.integers(1, 2**22))
@example(1 / 12, 0, 4000)
@example(1 / 16, 0, 4000)
@example(1.5, 3, 200)
@example(0.022592034071161442, 24, 574772)
def test_rounded_once(real: float, zero_point: int, bound: int) -> None:
    factor = quantize_factor_rounded_once(real, bound, zero_point + 128, 127 - zero_point)
    assert factor is not None
    # Every accumulator whose result is not clamped, and some beyond on both sides.
    reach = min(bound, math.ceil(260 / real))
    numbers = np.unique(np.concatenate([np.arange(-reach, reach + 1), [-bound, bound]]))
    product = numbers * real
    whole = np.floor(np.abs(product))
    once = np.sign(product) * (whole + (np.abs(product) - whole >= 0.5)) + zero_point
    result = rescale(numbers, *factor, zero_point, -128, 127, single_rounding=True)
    np.testing.assert_array_equal(result, np.clip(once, -128, 127))


@settings(deadline=None, max_examples=100)
@given(st.integers(-2**31, 2**31 - 1), st.integers(2**30, 2**31 - 1), st.integers(-31, 31),
       st.integers(-128, 127))
@example(-3, 2**30, 1, 0)
@example(-1, 3 * 2**29, -1, 0)
def test_rescale_in_one_rounding(number: int, multiplier: int, shift: int,
                                 zero_point: int) -> None:
    result = rescale(np.array([number]), multiplier, shift, zero_point, -128, 127,
                     single_rounding=True)
    expected = half_away(number * Fraction(multiplier, 2**31) / Fraction(2)**shift) + zero_point
    assert result.tolist() == [min(max(expected, -128), 127)]


def test_rounded_once_is_the_nearest() -> None:
    assert quantize_factor_rounded_once(0.75, 1000, 128, 127) == quantize_factor(0.75)
    # A half of it must not be missed: 6 / 12.
    assert quantize_factor_rounded_once(1 / 12, 1000, 128, 127) == (
        quantize_factor(1 / 12)[0] + 1, 3)


def test_rounded_once_without_a_factor() -> None:
    assert quantize_factor_rounded_once(1e-130, 2**31 - 1, 128, 127) == (0, 0)
    assert quantize_factor_rounded_once(1.1e-7, 2**31 - 1, 128, 127) is None
    assert quantize_factor_rounded_once(1.1e-7, 2**20, 128, 127) == quantize_factor(1.1e-7)
    with pytest.raises(InputError, match=r"^Factor must be below 2\*\*31, not 4294967296.0$"):
        quantize_factor_rounded_once(2.0**32, 2**31 - 1, 128, 127)
