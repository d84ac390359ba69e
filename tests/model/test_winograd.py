"""Winograd's matrices against known ones, and convolution against the direct one."""

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.winograd import (
    DEFAULT_POINTS,
    Transform,
    count_products,
    integer_transform,
    toom_cook,
    winograd_convolution,
    winograd_convolution_float,
)

Integers = NDArray[np.int64]
Padding = tuple[int, int, int, int]


def direct(x: NDArray[Any], weight: NDArray[Any], padding: Padding = (0, 0, 0, 0),
           pad_value: int = 0) -> NDArray[Any]:
    top, bottom, left, right = padding
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=pad_value)
    r = weight.shape[1]
    height, width = x.shape[1] - r + 1, x.shape[2] - r + 1
    result = np.zeros((x.shape[0], height, width, weight.shape[0]),
                      dtype=np.result_type(x, weight))
    for i, j in itertools.product(range(r), range(r)):
        result += x[:, i:i + height, j:j + width] @ weight[:, i, j].T
    return result


def fractions(text: str) -> list[list[Fraction]]:
    return [[Fraction(value) for value in row.split()] for row in text.strip().splitlines()]


def rows(matrix: tuple[tuple[Fraction, ...], ...]) -> list[list[Fraction]]:
    return [list(row) for row in matrix]


def test_f_2_3() -> None:
    # Lavin and Gray, section 4.1. Their signs at infinity, the last product, are the opposite:
    # both are right, as they cancel.
    transform = toom_cook(2, 3)
    lavin_a_t = fractions("1 1 1 0\n0 1 -1 -1")
    lavin_b_t = fractions("1 0 -1 0\n0 1 1 0\n0 -1 1 0\n0 1 0 -1")
    for row in lavin_a_t:
        row[3] = -row[3]
    lavin_b_t[3] = [-value for value in lavin_b_t[3]]
    assert rows(transform.a_t) == lavin_a_t
    assert rows(transform.b_t) == lavin_b_t
    assert rows(transform.g) == fractions("1 0 0\n1/2 1/2 1/2\n1/2 -1/2 1/2\n0 0 1")


def test_f_4_3() -> None:
    # Lavin and Gray, section 4.3.
    transform = toom_cook(4, 3)
    assert rows(transform.a_t) == fractions("""\
1 1  1 1  1 0
0 1 -1 2 -2 0
0 1  1 4  4 0
0 1 -1 8 -8 1""")
    assert rows(transform.b_t) == fractions("""\
4  0 -5  0 1 0
0 -4 -4  1 1 0
0  4 -4 -1 1 0
0 -2 -1  2 1 0
0  2 -1 -2 1 0
0  4  0 -5 0 1""")
    assert rows(transform.g) == fractions("""\
  1/4     0    0
 -1/6  -1/6 -1/6
 -1/6   1/6 -1/6
 1/24  1/12  1/6
 1/24 -1/12  1/6
    0     0    1""")


def check_filter(transform: Transform) -> None:
    """F(m, r) is right if it is right for every unit vector of data and of weights."""
    m, r, n = transform.m, transform.r, transform.n
    assert n == m + r - 1
    for k, j, i in itertools.product(range(m), range(r), range(n)):
        value = sum(transform.a_t[k][p] * transform.g[p][j] * transform.b_t[p][i]
                    for p in range(n))
        assert value == (i == k + j)


@pytest.mark.parametrize(("m", "r"), [
    (1, 1), (1, 3), (3, 1), (2, 2), (2, 3), (3, 2), (4, 3), (3, 4), (6, 3), (2, 5), (2, 7), (8, 3),
    (14, 3)])
def test_any_size(m: int, r: int) -> None:
    transform = toom_cook(m, r)
    assert (transform.m, transform.r) == (m, r)
    check_filter(transform)


@pytest.mark.parametrize("points", [
    (0, 1, -1, math.inf), (math.inf, 0, 1, -1), (0, 1, -1, 2), (Fraction(1, 2), 3, -5, math.inf)])
def test_any_points(points: tuple[Fraction | float, ...]) -> None:
    transform = toom_cook(2, 3, points)
    check_filter(transform)
    assert (transform == toom_cook(2, 3)) == (points == (0, 1, -1, math.inf))


def test_wrong_size_and_points() -> None:
    with pytest.raises(InputError, match=r"must have m and r of at least 1, not F\(0, 3\)$"):
        toom_cook(0, 3)
    with pytest.raises(InputError, match=r"^F\(2, 3\) must have 4 different points, not 0, 1, 0, "
                                         r"inf$"):
        toom_cook(2, 3, (0, 1, 0, math.inf))
    with pytest.raises(InputError, match=r"^F\(2, 3\) must have 4 different points, not 0, 1$"):
        toom_cook(2, 3, (0, 1))
    with pytest.raises(InputError, match=r"^F\(15, 3\) must have m \+ r - 1 of at most 16, "):
        toom_cook(15, 3)
    assert len(set(DEFAULT_POINTS)) == len(DEFAULT_POINTS) == 15


def test_integer_form() -> None:
    small, large = (integer_transform(toom_cook(m, 3)) for m in (2, 4))
    assert (small.divisor, large.divisor) == (2, 24)
    assert (small.shift, large.shift) == (1, 3)
    assert (small.odd_divisor, large.odd_divisor) == (1, 3)
    assert small.a_t == ((2, 1, 1, 0), (0, 1, -1, 2))
    assert large.a_t == ((6, 4, 4, 1, 1, 0), (0, 4, -4, 2, -2, 0), (0, 4, 4, 4, 4, 0),
                         (0, 4, -4, 8, -8, 24))
    assert large.g == ((1, 0, 0), (-1, -1, -1), (-1, 1, -1), (1, 2, 4), (1, -2, 4), (0, 0, 1))
    assert [list(row) for row in large.b_t] == rows(toom_cook(4, 3).b_t)


@pytest.mark.parametrize(("m", "data_width", "zero_point_width", "weight_width"), [
    (2, 10, 11, 12), (4, 15, 16, 14)])
def test_widths(m: int, data_width: int, zero_point_width: int, weight_width: int) -> None:
    transform = integer_transform(toom_cook(m, 3))
    assert transform.data_width(8) == data_width
    assert transform.data_width(9) == zero_point_width
    assert transform.weight_width(8) == weight_width


@pytest.mark.parametrize("m", [2, 4, 6])
@pytest.mark.parametrize("width", [4, 8])
def test_widths_are_tight(m: int, width: int) -> None:
    # The extremes come from operands that follow the signs of a coefficient pattern.
    transform = integer_transform(toom_cook(m, 3))
    bound = 1 << (width - 1)
    largest = np.ones(transform.n ** 2, dtype=int)
    for matrix, bits in ((transform.b_t, transform.data_width(width)),
                         (transform.g, transform.weight_width(width))):
        extremes = []
        for a, b in itertools.product(matrix, matrix):
            pattern = np.outer(a, b)
            extremes.append([np.sum(pattern * np.where(sign * pattern > 0, bound - 1, -bound))
                             for sign in (1, -1)])
        least, most = np.min(extremes), np.max(extremes)
        assert -(1 << (bits - 1)) <= least
        assert most < 1 << (bits - 1)
        assert least < -(1 << (bits - 2)) or most >= 1 << (bits - 2)
        largest *= np.max(np.abs(extremes), axis=1)
    assert transform.product_sum_bound(7, width, width) == 7 * largest.max()


@pytest.mark.parametrize(("m", "accumulator_width"), [(2, 28), (4, 32), (6, 32)])
def test_accumulators_may_wrap(m: int, accumulator_width: int) -> None:
    # Far more channels than 32 bits could sum without wrapping, by sums modulo 2**width alone.
    transform = integer_transform(toom_cook(m, 3))
    assert transform.accumulator_width(26) == accumulator_width
    rng = np.random.default_rng(m)
    channels, n = 200, transform.n
    tile = np.full((channels, n, n), -128) if m == 4 else rng.integers(-128, 128, (channels, n, n))
    weight = rng.choice([-128, 127], (channels, 3, 3))
    assert (transform.product_sum_bound(channels) > 1 << (accumulator_width - 1)) == (m > 2)
    a_t, g, b_t = map(np.array, (transform.a_t, transform.g, transform.b_t))
    products = np.sum((g @ weight @ g.T) * (b_t @ tile @ b_t.T), axis=0) % (1 << accumulator_width)
    modulus = 1 << accumulator_width
    inverse = pow(transform.odd_divisor ** 2, -1, modulus)
    for i, j in itertools.product(range(m), range(m)):
        total = sum(int(a_t[i, p]) * int(products[p, q]) * int(a_t[j, q])
                    for p in range(n) for q in range(n)) * inverse % modulus
        total -= modulus * (total >> (accumulator_width - 1))
        exact = np.sum(tile[:, i:i + 3, j:j + 3] * weight)
        assert total == exact << 2 * transform.shift


@pytest.mark.parametrize("m", [2, 4, 6])
@pytest.mark.parametrize("width", [8, 26, 32])
def test_inverse(m: int, width: int) -> None:
    transform = integer_transform(toom_cook(m, 3))
    assert transform.inverse(width) * transform.odd_divisor**2 % (1 << width) == 1


def test_count_products() -> None:
    counts = count_products(32, 32, 32, 16, m=2)
    assert (counts.direct, counts.winograd) == (32 * 32 * 9 * 32 * 16, 256 * 16 * 32 * 16)
    assert counts.saving == 2.25
    assert count_products(32, 32, 32, 16, m=4).saving == 4
    # 9 tiles of 36 products for 81 outputs.
    assert count_products(9, 9, 1, 1, m=4).winograd == 9 * 36
    assert count_products(4, 4, 1, 1, m=2, r=5).winograd == 4 * 36


@pytest.mark.parametrize("m", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1), (1, 0, 2, 0),
                                     (2, 2, 2, 2), (0, 5, 3, 1)])
def test_sizes(m: int, padding: Padding) -> None:
    rng = np.random.default_rng(m)
    weight = rng.integers(-128, 128, (3, 3, 3, 2))
    for height, width in ((3, 3), (4, 7), (5, 3), (8, 9), (11, 6)):
        x = rng.integers(-128, 128, (2, height, width, 2))
        result = winograd_convolution(x, weight, m, padding=padding)
        assert result.dtype == np.int64
        assert np.array_equal(result, direct(x, weight, padding))


def test_smaller_than_the_weights() -> None:
    x, weight = np.arange(2).reshape(1, 1, 2, 1), np.arange(9).reshape(1, 3, 3, 1)
    for m in (2, 4):
        assert np.array_equal(winograd_convolution(x, weight, m, padding=(1, 1, 1, 1)),
                              direct(x, weight, (1, 1, 1, 1)))


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("pattern", ["low", "high", "alternating", "checkerboard", "signs"])
@pytest.mark.parametrize("weights", [-128, 127, None])
def test_extremes(m: int, pattern: str, weights: int | None) -> None:
    channels, height, width = 64, 9, 10
    rng = np.random.default_rng(0)
    parity = np.indices((1, height, width, channels)).sum(axis=0) % 2
    x = {"low": np.full(parity.shape, -128),
         "high": np.full(parity.shape, 127),
         "alternating": np.where(np.arange(width)[:, None] % 2, 127, -128) + 0 * parity,
         "checkerboard": np.where(parity, 127, -128),
         "signs": rng.choice([-128, 127], parity.shape)}[pattern].astype(np.int8)
    weight = (rng.choice([-128, 127], (4, 3, 3, channels)) if weights is None
              else np.full((4, 3, 3, channels), weights)).astype(np.int8)
    for padding in ((0, 0, 0, 0), (1, 1, 1, 1)):
        assert np.array_equal(winograd_convolution(x, weight, m, padding=padding),
                              direct(x.astype(np.int64), weight.astype(np.int64), padding))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.sampled_from([1, 2, 3, 5]), st.tuples(*[st.integers(0, 4)] * 4),
       st.tuples(*[st.integers(1, 9)] * 2), st.integers(-128, 127), st.integers(0, 2**32 - 1))
def test_random(m: int, r: int, padding: Padding, size: tuple[int, int], pad_value: int,
                seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = max(size[0], r), max(size[1], r)
    batch, channels, outputs = rng.integers(1, 4, 3)
    x = rng.integers(-128, 128, (batch, height, width, channels))
    weight = rng.integers(-128, 128, (outputs, r, r, channels))
    assert np.array_equal(
        winograd_convolution(x, weight, m, padding=padding, pad_value=pad_value),
        direct(x, weight, padding, pad_value))


@pytest.mark.parametrize("m", [2, 4, 6, 10])
def test_large_numbers(m: int) -> None:
    # So large that float64 would round, and that sums wrap around; the result is exact, or refused.
    divisor = integer_transform(toom_cook(m, 3)).divisor ** 2
    bits = (62 - divisor.bit_length() - 5) // 2
    rng = np.random.default_rng(m)
    x = rng.integers(-1 << bits, 1 << bits, (1, 12, 12, 2))
    weight = rng.integers(-1 << bits, 1 << bits, (2, 3, 3, 2))
    assert np.array_equal(winograd_convolution(x, weight, m), direct(x, weight))
    with pytest.raises(InputError, match=rf"^F\({m}, 3\) must have smaller numbers or fewer "
                                         rf"channels: {divisor} times the result could exceed "):
        winograd_convolution(x << 4, weight << 4, m)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-12)])
@pytest.mark.parametrize("m", [2, 4])
def test_floating_point(m: int, dtype: type[np.floating], tolerance: float) -> None:
    rng = np.random.default_rng(m)
    x = rng.standard_normal((2, 9, 14, 8)).astype(dtype)
    weight = rng.standard_normal((5, 3, 3, 8)).astype(dtype)
    exact = direct(x.astype(np.float64), weight.astype(np.float64), (1, 1, 1, 1))
    errors = []
    for points in (None, (*range(m + 1), math.inf)):
        result = winograd_convolution_float(x, weight, m, padding=(1, 1, 1, 1), points=points)
        assert result.dtype == dtype
        errors.append(np.max(np.abs(result - exact)) / np.max(np.abs(exact)))
    # Points far from 0 are right as well, but round worse.
    assert errors[0] < tolerance
    assert errors[0] < errors[1] < 1e4 * tolerance


def test_wrong_arguments() -> None:
    x, weight = np.zeros((1, 4, 4, 2), dtype=int), np.zeros((1, 3, 3, 2), dtype=int)
    with pytest.raises(TypeError, match=r"^Data must be integers, not float64$"):
        winograd_convolution(x.astype(float), weight, 2)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^Weights must be floating-point numbers, not int64$"):
        winograd_convolution_float(x.astype(float), weight, 2)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^Weights must have shape \(outputs, r, r, channels\), "
                                         r"not \(1, 3, 2, 2\)$"):
        winograd_convolution(x, weight[:, :, :2], 2)
    with pytest.raises(InputError, match=r"^Data must have shape \(batch, height, width, 2\), not "
                                         r"\(1, 4, 4, 1\)$"):
        winograd_convolution(x[..., :1], weight, 2)
    with pytest.raises(InputError, match=r"^Padding must be 4 integers of at least 0, not "):
        winograd_convolution(x, weight, 2, padding=(0, 0, -1, 0))
    with pytest.raises(InputError, match=r"^Data with its padding must be at least 3 x 3, not "):
        winograd_convolution(x[:, :2], weight, 2, padding=(0, 0, 1, 1))
