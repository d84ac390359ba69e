"""Winograd's minimal filtering: transforms, their exact integer form, and convolution by them.

F(m, r) computes m outputs of a correlation with r weights by n = m + r - 1 products instead of
m * r::

    y = A^T [(G g) * (B^T d)]

and nested with itself m x m outputs with r x r weights by n * n products::

    Y = A^T [(G g G^T) * (B^T d B)] A

The matrices come from the Toom-Cook algorithm: polynomials are multiplied by evaluating them at n
points, multiplying the values, and interpolating; the transposed algorithm filters.

**The integer form.** The fractions of the matrices cancel in the end, so nothing needs rounding:
each row of G and of B^T is taken as the smallest integer vector in its direction, and what is left
goes into the columns of A^T, over a common divisor D. Then ``D**2 * Y`` is an integer, computed
from integers, and the division by D**2 leaves no remainder: the result is the direct convolution's,
bit for bit. D**2 is 4 for F(2x2, 3x3) and 576 for F(4x4, 3x3).

**How wide accumulators must be.** Behind the products everything is a sum, so it may wrap around:
modulo 2**w, sums give ``D**2 * Y`` modulo 2**w. The odd part of D**2 is divided out by
multiplication with its inverse modulo 2**w, and the power of two, 2**s, by a shift. What has to fit
is ``Y * 2**s``, and neither the products' sums nor ``D**2 * Y``: see
:meth:`IntegerTransform.accumulator_width`.

Data is laid out as (batch, height, width, channels), weights as (outputs, height, width,
channels), as TensorFlow Lite does it.

Sources: S. Winograd, "Arithmetic Complexity of Computations", SIAM 1980; A. Lavin and S. Gray,
"Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.shift_add import plan_shift_add

__all__ = ["DEFAULT_POINTS", "IntegerTransform", "Products", "Transform", "count_products",
           "integer_transform", "toom_cook", "winograd_convolution", "winograd_convolution_float"]

#: Interpolation points, as many of them as needed; the last of a transform is infinity.
DEFAULT_POINTS = tuple(map(Fraction, (
    "0", "1", "-1", "2", "-2", "1/2", "-1/2", "3", "-3", "1/3", "-1/3", "4", "-4", "1/4", "-1/4")))

_Fractions = tuple[tuple[Fraction, ...], ...]
_Integers = tuple[tuple[int, ...], ...]


class _Sizes:
    """Sizes that both kinds of matrices share."""

    a_t: tuple[tuple[Any, ...], ...]
    g: tuple[tuple[Any, ...], ...]

    @property
    def m(self) -> int:
        """Outputs of a tile, along one side."""
        return len(self.a_t)

    @property
    def r(self) -> int:
        """Weights, along one side."""
        return len(self.g[0])

    @property
    def n(self) -> int:
        """Inputs of a tile, and products, along one side."""
        return len(self.g)


@dataclass(frozen=True)
class Transform(_Sizes):
    """Matrices of F(m, r), as exact fractions.

    Attributes
    ----------
    a_t : tuple of m tuples of n fractions
        Output transform A^T.
    g : tuple of n tuples of r fractions
        Weight transform G.
    b_t : tuple of n tuples of n fractions
        Input transform B^T.
    """

    a_t: _Fractions
    g: _Fractions
    b_t: _Fractions


@dataclass(frozen=True)
class IntegerTransform(_Sizes):
    """Matrices of F(m, r) in integers: A^T [(G g) * (B^T d)] is ``divisor`` times the result.

    Attributes
    ----------
    a_t : tuple of m tuples of n integers
        Output transform.
    g : tuple of n tuples of r integers
        Weight transform.
    b_t : tuple of n tuples of n integers
        Input transform.
    divisor : :class:`int`
        Divisor of one dimension; that of two is its square.
    """

    a_t: _Integers
    g: _Integers
    b_t: _Integers
    divisor: int

    @property
    def shift(self) -> int:
        """Power of two in the divisor of one dimension."""
        return (self.divisor & -self.divisor).bit_length() - 1

    @property
    def odd_divisor(self) -> int:
        """Divisor of one dimension, without its power of two."""
        return self.divisor >> self.shift

    def data_width(self, width: int) -> int:
        """Bits of a transformed tile's elements, of data of ``width`` signed bits.

        No fewer bits hold all of them.
        """
        return _transformed_width(self.b_t, width)

    def weight_width(self, width: int) -> int:
        """Bits of transformed weights, of weights of ``width`` signed bits.

        No fewer bits hold all of them.
        """
        return _transformed_width(self.g, width)

    def product_sum_bound(self, channels: int, data_width: int = 8, weight_width: int = 8) -> int:
        """Largest magnitude of a sum of products over ``channels``, from operands of these widths.

        This bounds accumulators that must not wrap around, whatever the weights.
        """
        return channels * max(
            max(-low_data, high_data) * max(-low_weight, high_weight)
            for (low_data, high_data), (low_weight, high_weight) in zip(
                _transformed_ranges(self.b_t, data_width),
                _transformed_ranges(self.g, weight_width), strict=True))

    def accumulator_width(self, output_width: int) -> int:
        """Bits that accumulators need, to give outputs of ``output_width`` signed bits exactly.

        They may wrap around on the way.
        """
        return output_width + 2 * self.shift

    def inverse(self, width: int) -> int:
        """Inverse of the odd part of the divisor of two dimensions, modulo ``2 ** width``.

        A number of which multiplication takes few additions: 1 if there is nothing to divide by.
        """
        odd = self.odd_divisor ** 2
        # Bits above the width do not matter, but may repeat those below.
        candidates = [pow(odd, -1, 1 << more) - negative
                      for more in range(width, width + 8) for negative in (0, 1 << more)]
        return min(candidates, key=lambda value: len(plan_shift_add(((value,),)).sums))

    @property
    def input_latency(self) -> int:
        """Cycles from a tile's last row of data to its first transformed column in hardware."""
        return 2 * plan_shift_add(self.b_t).latency + 1

    def output_latency(self, accumulator_width: int) -> int:
        """Cycles from a tile's last column of sums to its first row of outputs in hardware."""
        inverse = self.inverse(accumulator_width - 2 * self.shift)
        return (2 * plan_shift_add(self.a_t).latency + 1
                + plan_shift_add(((inverse,),)).latency)


@cache
def toom_cook(m: int, r: int, points: tuple[Fraction | float, ...] | None = None) -> Transform:
    """Generate the matrices of F(m, r).

    Parameters
    ----------
    m : :class:`int`
        Outputs, at least 1.
    r : :class:`int`
        Weights, at least 1.
    points : tuple, optional
        ``m + r - 1`` different interpolation points: integers, fractions, and at most once
        ``math.inf``. The default are the first of :data:`DEFAULT_POINTS`, and infinity. Signs and
        scales are those of Lavin and Gray, except for that of F(2, 3) at infinity, which they give
        the other sign.

    Returns
    -------
    Transform
        Matrices, one row of G and B^T and one column of A^T for each point, in order.

    Raises
    ------
    InputError
        If m or r is not positive, or points are too few, too many or repeated.
    """
    if m < 1 or r < 1:
        raise InputError(f"Winograd's F(m, r) must have m and r of at least 1, not F({m}, {r})")
    n = m + r - 1
    if points is None:
        if n > len(DEFAULT_POINTS) + 1:
            raise InputError(f"F({m}, {r}) must have m + r - 1 of at most "
                             f"{len(DEFAULT_POINTS) + 1}, or be given points")
        points = (*DEFAULT_POINTS[:n - 1], math.inf)
    if len(points) != n or len(set(points)) != n:
        raise InputError(f"F({m}, {r}) must have {n} different points, not "
                         f"{', '.join(map(str, points))}")
    finite = [Fraction(point) for point in points if point != math.inf]

    a_columns, g, b_t = [], [], []
    for point in points:
        if point == math.inf:
            a_columns.append(_powers(None, m))
            g.append(_powers(None, r))
            b_t.append(_monic(finite, n))
            continue
        point = Fraction(point)
        others = [other for other in finite if other != point]
        scale = math.prod((point - other for other in others), start=Fraction(1))
        # Lavin and Gray, and others, have no negative weights at the point 0.
        sign = -1 if point == 0 and scale < 0 else 1
        a_columns.append(_powers(point, m))
        g.append(tuple(sign * power / scale for power in _powers(point, r)))
        b_t.append(tuple(sign * coefficient for coefficient in _monic(others, n)))
    return Transform(tuple(zip(*a_columns, strict=True)), tuple(g), tuple(b_t))


def _powers(point: Fraction | None, count: int) -> tuple[Fraction, ...]:
    """Powers of a point; of infinity (None), the highest of them alone."""
    if point is None:
        return (Fraction(0),) * (count - 1) + (Fraction(1),)
    return tuple(point ** power for power in range(count))


def _monic(roots: Sequence[Fraction], count: int) -> tuple[Fraction, ...]:
    """Coefficients of the product of all ``x - root``, from the lowest."""
    polynomial = [Fraction(1)]
    for root in roots:
        polynomial = [low - root * high for low, high in zip(
            [Fraction(0), *polynomial], [*polynomial, Fraction(0)], strict=True)]
    return tuple(polynomial + [Fraction(0)] * (count - len(polynomial)))


@cache
def integer_transform(transform: Transform) -> IntegerTransform:
    """Bring the matrices of F(m, r) into the integer form.

    Each row of G and B^T is multiplied by the smallest positive number that makes it integer, and
    the column of A^T divided by both.
    """
    g, b_t, columns = [], [], []
    for g_row, b_row, column in zip(transform.g, transform.b_t, zip(*transform.a_t, strict=True),
                                    strict=True):
        g_scale, b_scale = _integer_scale(g_row), _integer_scale(b_row)
        g.append(tuple(int(value * g_scale) for value in g_row))
        b_t.append(tuple(int(value * b_scale) for value in b_row))
        columns.append([value / (g_scale * b_scale) for value in column])
    divisor = math.lcm(*(value.denominator for column in columns for value in column))
    a_t = tuple(tuple(int(value * divisor) for value in row)
                for row in zip(*columns, strict=True))
    return IntegerTransform(a_t, tuple(g), tuple(b_t), divisor)


def _integer_scale(row: Sequence[Fraction]) -> Fraction:
    return Fraction(math.lcm(*(value.denominator for value in row)),
                    math.gcd(*(value.numerator for value in row)))


def _transformed_ranges(matrix: _Integers, width: int) -> list[tuple[int, int]]:
    """Least and largest value of each element of ``matrix @ tile @ matrix.T``."""
    bound = 1 << (width - 1)
    ranges = []
    for row in matrix:
        for column in matrix:
            products = [a * b for a in row for b in column]
            positive = sum(max(product, 0) for product in products)
            negative = sum(min(product, 0) for product in products)
            ranges.append((-positive * bound + negative * (bound - 1),
                           positive * (bound - 1) - negative * bound))
    return ranges


@cache
def _transformed_width(matrix: _Integers, width: int) -> int:
    return max(max((~low).bit_length(), high.bit_length())
               for low, high in _transformed_ranges(matrix, width)) + 1


@dataclass(frozen=True)
class Products:
    """Multiplications of a convolution.

    Attributes
    ----------
    direct : :class:`int`
        Of the direct convolution.
    winograd : :class:`int`
        By Winograd, tiles that stand out over the border included.
    """

    direct: int
    winograd: int

    @property
    def saving(self) -> float:
        """How many times fewer there are by Winograd."""
        return self.direct / self.winograd


def count_products(height: int, width: int, channels: int, outputs: int, *, m: int,
                   r: int = 3) -> Products:
    """Count the multiplications of a convolution.

    Parameters
    ----------
    height, width : :class:`int`
        Size of the output.
    channels, outputs : :class:`int`
        Channels in and out.
    m, r : :class:`int`
        Side of a tile and of the weights.
    """
    tiles = -(-height // m) * -(-width // m)
    return Products(height * width * r * r * channels * outputs,
                    tiles * (m + r - 1) ** 2 * channels * outputs)


def winograd_convolution(x: NDArray[np.integer], weight: NDArray[np.integer], m: int, *,
                         padding: tuple[int, int, int, int] = (0, 0, 0, 0),
                         pad_value: int = 0) -> NDArray[np.int64]:
    """Convolve in integers by F(m x m, r x r): exactly what the direct convolution gives.

    Parameters
    ----------
    x : integer array of shape (batch, height, width, channels)
        Data, of any size.
    weight : integer array of shape (outputs, r, r, channels)
        Weights.
    m : :class:`int`
        Side of a tile of outputs.
    padding : tuple of 4 :class:`int`
        Rows above and below, and columns left and right of the data.
    pad_value : :class:`int`
        What they hold: the data's zero point.

    Returns
    -------
    int64 array of shape (batch, height + padding - r + 1, width + padding - r + 1, outputs)
        Sums of products.

    Raises
    ------
    TypeError
        If an array is not of integers.
    InputError
        If the shapes do not fit, or the numbers are so large that 64 bits could overflow.
    """
    for what, array in (("Data", x), ("Weights", weight)):
        if not np.issubdtype(array.dtype, np.integer):
            raise TypeError(f"{what} must be integers, not {array.dtype}")
    _check_shapes(x, weight, padding)
    transform = integer_transform(toom_cook(m, weight.shape[1]))
    x_largest = max(_magnitude(x), abs(pad_value))
    weight_largest = _magnitude(weight)

    # Sums that wrap around do no harm as long as the result fits. Where nothing wraps, float64 is
    # exact as well, and much faster.
    divisor = transform.divisor ** 2
    count = weight.shape[1] ** 2 * weight.shape[3]
    if count * x_largest * weight_largest * divisor >= 1 << 63:
        raise InputError(f"F({m}, {weight.shape[1]}) must have smaller numbers or fewer channels: "
                         f"{divisor} times the result could exceed 64 bits")
    bound = (_gain(transform.a_t) * _gain(transform.b_t) * x_largest
             * _gain(transform.g) * weight_largest * weight.shape[3])
    dtype = np.float64 if bound < 1 << 53 else np.int64
    a_t, g, b_t = (np.array(matrix, dtype=dtype)
                   for matrix in (transform.a_t, transform.g, transform.b_t))
    result = _convolve(x.astype(dtype), weight.astype(dtype), a_t, g, b_t, padding, pad_value)
    return result.astype(np.int64) // divisor


def winograd_convolution_float(x: NDArray[np.floating], weight: NDArray[np.floating], m: int, *,
                               padding: tuple[int, int, int, int] = (0, 0, 0, 0),
                               points: tuple[Fraction | float, ...] | None = None,
                               ) -> NDArray[np.floating]:
    """Convolve in floating point by F(m x m, r x r), which rounds otherwise than the direct way.

    Parameters
    ----------
    x : float array of shape (batch, height, width, channels)
        Data, of any size.
    weight : float array of shape (outputs, r, r, channels)
        Weights.
    m : :class:`int`
        Side of a tile of outputs.
    padding : tuple of 4 :class:`int`
        Rows of zeros above and below, and columns left and right of the data.
    points : tuple, optional
        Interpolation points, see :func:`toom_cook`.

    Returns
    -------
    array of shape (batch, height + padding - r + 1, width + padding - r + 1, outputs)
        Sums of products, in the data type that the arguments have in common.

    Raises
    ------
    TypeError
        If an array is not of floating-point numbers.
    InputError
        If the shapes do not fit.
    """
    for what, array in (("Data", x), ("Weights", weight)):
        if not np.issubdtype(array.dtype, np.floating):
            raise TypeError(f"{what} must be floating-point numbers, not {array.dtype}")
    _check_shapes(x, weight, padding)
    transform = toom_cook(m, weight.shape[1], points)
    dtype = np.result_type(x, weight)
    a_t, g, b_t = (np.array(matrix, dtype=np.float64).astype(dtype)
                   for matrix in (transform.a_t, transform.g, transform.b_t))
    return _convolve(x.astype(dtype), weight.astype(dtype), a_t, g, b_t, padding, 0)


def _check_shapes(x: NDArray[np.generic], weight: NDArray[np.generic],
                  padding: tuple[int, int, int, int]) -> None:
    if weight.ndim != 4 or weight.shape[1] != weight.shape[2] or not weight.shape[1]:
        raise InputError(f"Weights must have shape (outputs, r, r, channels), not {weight.shape}")
    if x.ndim != 4 or x.shape[3] != weight.shape[3]:
        raise InputError(f"Data must have shape (batch, height, width, {weight.shape[3]}), "
                         f"not {x.shape}")
    if len(padding) != 4 or min(padding) < 0:
        raise InputError(f"Padding must be 4 integers of at least 0, not {padding}")
    r = weight.shape[1]
    if x.shape[1] + padding[0] + padding[1] < r or x.shape[2] + padding[2] + padding[3] < r:
        raise InputError(f"Data with its padding must be at least {r} x {r}, "
                         f"not {x.shape[1:3]} with {padding}")


def _magnitude(values: NDArray[np.integer]) -> int:
    return max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0


def _gain(matrix: _Integers) -> int:
    """How much larger two transforms can make a number."""
    return max(sum(map(abs, row)) for row in matrix) ** 2


def _convolve(x: NDArray, weight: NDArray, a_t: NDArray, g: NDArray, b_t: NDArray,
              padding: tuple[int, int, int, int], pad_value: int) -> NDArray:
    m, n = a_t.shape
    top, bottom, left, right = padding
    height = x.shape[1] + top + bottom - (n - m)
    width = x.shape[2] + left + right - (n - m)
    tile_rows, tile_columns = -(-height // m), -(-width // m)
    # Tiles stand out over the lower and the right border, where their outputs are not used.
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=pad_value)
    x = np.pad(x, ((0, 0), (0, tile_rows * m - height), (0, tile_columns * m - width), (0, 0)))
    tiles = np.lib.stride_tricks.sliding_window_view(x, (n, n), axis=(1, 2))[:, ::m, ::m]

    data = np.einsum("pi,thwcij,qj->pqthwc", b_t, tiles, b_t, optimize=True)
    weights = np.einsum("pi,oijc,qj->pqco", g, weight, g, optimize=True)
    products = data.reshape(n, n, -1, x.shape[3]) @ weights
    outputs = np.einsum("ip,pqto,jq->tijo", a_t, products, a_t, optimize=True)

    outputs = outputs.reshape(x.shape[0], tile_rows, tile_columns, m, m, -1)
    outputs = outputs.transpose(0, 1, 3, 2, 4, 5)
    outputs = outputs.reshape(x.shape[0], tile_rows * m, tile_columns * m, -1)
    return outputs[:, :height, :width]
