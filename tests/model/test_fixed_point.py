"""Fixed-point arithmetic against exact fractions and the operations' own sources."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eieio.model.errors import InputError
from eieio.model.fixed_point import (
    SHIFT_MAXIMUM,
    dequantize,
    quantize,
    quantize_multiplier,
    requantize,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)

int64s = st.integers(-2**63, 2**63 - 1)
multipliers = st.integers(2**30, 2**31 - 1)
shifts = st.integers(0, SHIFT_MAXIMUM)


def half_away(x: Fraction) -> int:
    return int(math.copysign(1, x)) * math.floor(abs(x) + Fraction(1, 2))


def gemmlowp_high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul, word for word; C++ divides towards zero."""
    product = a * b
    nudge = (1 << 30) if product >= 0 else 1 - (1 << 30)
    nudged = product + nudge
    return abs(nudged) // (1 << 31) * (1 if nudged >= 0 else -1)


def gemmlowp_divide_by_pot(x: int, exponent: int) -> int:
    """RoundingDivideByPOT, word for word."""
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if remainder > threshold else 0)


@given(int64s, st.integers(0, 2**31 - 1))
@example(1, 2**30)
@example(-1, 2**30)
@example(-3, 2**30)
@example(-2**63, 2**31 - 1)
@example(2**63 - 1, 2**31 - 1)
def test_high_mul(a: int, multiplier: int) -> None:
    result = int(saturating_rounding_doubling_high_mul(np.array([a]), multiplier)[0])
    assert result == math.floor(Fraction(a * multiplier, 2**31) + Fraction(1, 2))
    assert result == gemmlowp_high_mul(a, multiplier)


@given(int64s, shifts)
@example(-2**63, 63)
@example(2**63 - 1, 63)
def test_divide_by_pot(x: int, exponent: int) -> None:
    result = int(rounding_divide_by_pot(np.array([x]), exponent)[0])
    assert result == half_away(Fraction(x, 2**exponent))
    assert result == gemmlowp_divide_by_pot(x, exponent)


@pytest.mark.parametrize(("x", "expected"), [
    (6, 2), (5, 1), (2, 1), (1, 0), (-1, 0), (-2, -1), (-5, -1), (-6, -2)])
def test_divide_by_pot_ties(x: int, expected: int) -> None:
    assert rounding_divide_by_pot(np.array([x]), 2).tolist() == [expected]


@given(st.integers(-2**47, 2**47 - 1), multipliers, shifts, st.integers(-128, 127))
def test_requantize(accumulator: int, multiplier: int, shift: int, zero_point: int) -> None:
    result = requantize(np.array([accumulator]), multiplier, shift, zero_point, -128, 127)
    high = math.floor(Fraction(accumulator * multiplier, 2**31) + Fraction(1, 2))
    expected = half_away(Fraction(high, 2**shift)) + zero_point
    assert result.tolist() == [min(max(expected, -128), 127)]


def test_requantize_rounds_twice() -> None:
    # 5 * 0.5 = 2.5 becomes 3, and 3 / 2 = 1.5 becomes 2, although 1.25 is nearer to 1.
    assert requantize(np.array([5]), 2**30, 1, 0, -128, 127).tolist() == [2]


@given(int64s, st.integers(0, 2**31 - 1), shifts, st.integers(-128, 127))
@example(2**63 - 1, 2**31 - 1, 0, 0)
@example(-2**63, 2**31 - 1, 63, 0)
@example(-1, 2**30, 0, 0)
@example(-1, 2**30, 1, 0)
def test_requantize_once(accumulator: int, multiplier: int, shift: int, zero_point: int) -> None:
    limit = 1 << 31
    result = requantize(np.array([accumulator]), multiplier, shift, zero_point, -limit, limit - 1,
                        single_rounding=True)
    expected = half_away(Fraction(accumulator * multiplier, 2**(31 + shift))) + zero_point
    assert result.tolist() == [min(max(expected, -limit), limit - 1)]


@given(st.integers(-2**20, 2**20), st.sampled_from([1, 3, 5, 7]), st.integers(0, 32),
       st.integers(-1, 1))
def test_requantize_once_at_ties(number: int, factor: int, shift: int, off: int) -> None:
    # number * factor and a half, and its neighbours.
    multiplier = factor << (31 - factor.bit_length())
    accumulator = (2 * number + 1 << shift + factor.bit_length() - 1) + off
    result = requantize(np.array([accumulator]), multiplier, shift, 0, -2**31, 2**31 - 1,
                        single_rounding=True)
    exact = Fraction(accumulator * multiplier, 2**(31 + shift))
    assert (2 * exact).denominator == 1 or off
    assert result.tolist() == [half_away(exact)]


def test_requantize_once_does_not_round_twice() -> None:
    assert requantize(np.array([5]), 2**30, 1, 0, -128, 127, single_rounding=True).tolist() == [1]


def test_requantize_per_channel() -> None:
    accumulators = np.array([[1000, 1000], [-1000, -1000]])
    result = requantize(accumulators, np.array([2**30, 2**30]), np.array([0, 1]),
                        np.array([0, 5]), np.array([-128, 5]), np.array([127, 127]))
    assert result.tolist() == [[127, 127], [-128, 5]]
    assert result.dtype == np.int64


def test_requantize_clamps_without_overflow() -> None:
    accumulators = np.array([2**63 - 1, -2**63])
    assert requantize(accumulators, 2**31 - 1, 0, 127, -128, 127).tolist() == [127, -128]


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"accumulators": np.array([1.5])}, TypeError,
     r"^Accumulators must be integers that fit in int64, not float64$"),
    ({"accumulators": np.array([1], dtype=np.uint64)}, TypeError,
     r"^Accumulators must be integers that fit in int64, not uint64$"),
    ({"multiplier": 2**31}, ValueError,
     r"^Multiplier must be from 0 to 2147483647, not 2147483648$"),
    ({"multiplier": -1}, ValueError, r"^Multiplier must be from 0 to 2147483647, not -1$"),
    ({"shift": 64}, ValueError, r"^Shift must be from 0 to 63, not 64$"),
    ({"shift": np.array([0, -1])}, ValueError, r"^Shift must be from 0 to 63, not -1$"),
    ({"zero_point": 2**31}, ValueError,
     r"^Zero point must be from -2147483648 to 2147483647, not 2147483648$"),
    ({"minimum": 128}, ValueError, r"^Minimum must not be above the maximum, not 128 above 127$"),
])
def test_requantize_wrong(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"accumulators": np.array([1]), "multiplier": 2**30, "shift": 0, "zero_point": 0,
                 "minimum": -128, "maximum": 127}
    with pytest.raises(error, match=message):
        requantize(**(arguments | change))


@pytest.mark.parametrize("exponent", [-1, 64])
def test_divide_by_pot_wrong(exponent: int) -> None:
    with pytest.raises(ValueError, match=rf"^Exponent must be from 0 to 63, not {exponent}$"):
        rounding_divide_by_pot(np.array([1]), exponent)


def test_empty() -> None:
    assert requantize(np.zeros((0, 3), np.int64), 2**30, 0, 0, -1, 1).shape == (0, 3)


@given(st.floats(2**-63, 1, exclude_max=True))
@example(0.5)
@example(0.25)
@example(1 - 2**-31)
@example(0.5 - 2**-53)
def test_quantize_multiplier(real: float) -> None:
    multiplier, shift = quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    assert 0 <= shift <= SHIFT_MAXIMUM
    assert abs(Fraction(multiplier, 2**(31 + shift)) / Fraction(real) - 1) <= Fraction(1, 2**31)


@pytest.mark.parametrize(("real", "expected"), [
    (0.5, (2**30, 0)),
    (0.75, (3 * 2**29, 0)),
    (0.25, (2**30, 1)),
    (2.0**-64, (2**30, 63)),
    (1 - 2**-53, (2**31 - 1, 0)),
    (0.5 - 2**-54, (2**30, 0)),
])
def test_quantize_multiplier_values(real: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [0.0, 1.0, -0.5, 2.0, math.inf, math.nan])
def test_quantize_multiplier_outside(real: float) -> None:
    with pytest.raises(InputError, match=rf"^Factor must be above 0 and below 1, not {real}$"):
        quantize_multiplier(real)


def test_quantize_multiplier_too_small() -> None:
    with pytest.raises(InputError, match=r"^Factor must be at least 2\*\*-64, not "):
        quantize_multiplier(2.0**-65)


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(0, (1 << 31) - 1), st.integers(0, 31),
       st.integers(-128, 127), st.integers(-128, 127), st.booleans())
def test_requantize_wraps(number: int, multiplier: int, shift: int, zero_point: int, minimum: int,
                          once: bool) -> None:
    """The lowest bits of what is above the maximum, of exact numbers."""
    product = Fraction(number * multiplier, 1 << 31)
    if not once:
        product = Fraction(math.floor(product + Fraction(1, 2)))
    expected = max(half_away(product / (1 << shift)) + zero_point, minimum)
    result = requantize(np.array([number]), multiplier, shift, zero_point, minimum, 127,
                        single_rounding=once, wraps=True)
    assert result.tolist() == [(expected + 128) % 256 - 128]


@pytest.mark.parametrize("maximum", [-1, 126, 128])
def test_requantize_wraps_at_powers_of_two(maximum: int) -> None:
    with pytest.raises(ValueError, match=r"^Maximum of what wraps must be a power of two less 1, "
                                         rf"not {maximum}$"):
        requantize(np.array([1]), 1, 0, 0, -128, maximum, wraps=True)


def test_quantize() -> None:
    real = np.array([0.0, 0.25, -0.25, 0.75, -0.75, 100, -100, 0.24999999999999997])
    assert quantize(real, 0.5, 3, 8).tolist() == [3, 4, 2, 5, 1, 127, -128, 3]


def test_quantize_half_to_even() -> None:
    real = np.array([0.25, -0.25, 0.75, -0.75, 1.25, 0.26, 100])
    assert quantize(real, 0.5, 3, 8, half="even").tolist() == [3, 3, 5, 1, 5, 4, 127]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64])
def test_integers_of_any_kind(dtype: type[np.integer[Any]]) -> None:
    """All that fits in int64 is taken; uint64 is refused, as real numbers are."""
    assert dequantize(np.array([7], dtype), 0.5, 3).tolist() == [2.0]
    for wrong in (np.array([7], np.uint64), np.array([7.0])):
        with pytest.raises(TypeError, match="must be integers that fit in int64"):
            dequantize(wrong, 0.5, 3)


@given(st.floats(-1e300, 1e300), st.integers(2, 32))
def test_quantize_is_nearest(real: float, width: int) -> None:
    result = int(quantize(np.array([real]), 0.25, 0, width)[0])
    exact = half_away(Fraction(real) * 4)
    assert result == min(max(exact, -2**(width - 1)), 2**(width - 1) - 1)


def test_dequantize_returns() -> None:
    q = np.arange(-128, 128, dtype=np.int8)
    real = dequantize(q, 0.125, -7)
    assert real.dtype == np.float64
    assert quantize(real, 0.125, -7, 8).tolist() == q.tolist()


@pytest.mark.parametrize(("arguments", "message"), [
    ((np.array([math.nan]), 1.0, 0, 8), r"^Numbers to quantize must be finite$"),
    ((np.array([1.0]), 0.0, 0, 8), r"^Scale must be positive and finite, not 0.0$"),
    ((np.array([1.0]), math.inf, 0, 8), r"^Scale must be positive and finite, not inf$"),
    ((np.array([1.0]), 1.0, 0, 33), r"^Width must be from 2 to 32, not 33$"),
    ((np.array([1.0]), 1.0, 128, 8), r"^Zero point must fit in 8 bits, not 128$"),
])
def test_quantize_wrong(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantize(*arguments)
