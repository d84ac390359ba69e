"""Softmax of 8-bit integers in fixed point, as TensorFlow Lite's reference kernel computes it.

``exp(-d)`` of the distance ``d`` to the largest input, with 31 fractional bits: a Taylor
polynomial of degree 4 around -1/8 for the part of ``d`` below a quarter, times a constant for each
higher bit of ``d``. The exponentials are summed with 19 fractional bits. The reciprocal of the sum,
scaled to [1, 2), comes from three steps of Newton and Raphson's division. The arithmetic, with each
rounding, is that of gemmlowp's ``fixedpoint.h``; all of it is exact in int64 here.

It needs some 20 multiplications of 32 bits for each input, once for a network: work for a host.
"""

import numpy as np
from numpy.typing import NDArray

from eieio.model.fixed_point import rounding_divide_by_pot

__all__ = ["exp_of_negative", "log_softmax", "reciprocal", "softmax", "softmax_factor"]

#: Fractional bits of the distance to the largest input.
DISTANCE_FRACTION = 26
#: Bits of that distance before the point.
DISTANCE_INTEGER_BITS = 5
#: Fractional bits of the sum of exponentials.
SUM_FRACTION = 19

_ONE = (1 << 31) - 1  # 1 with 31 fractional bits, or next to it
# exp(-2**k) with 31 fractional bits, for every bit of the distance from a quarter up.
_EXPONENTIALS = {-2: 1672461947, -1: 1302514674, 0: 790015084, 1: 290630308, 2: 39332535,
                 3: 720401, 4: 242}
_EXP_EIGHTH = 1895147668  # exp(-1/8)
_THIRD = 715827883
_48_OVER_17 = 1515870810  # with 29 fractional bits, as the next
_32_OVER_17 = 1010580540


def softmax_factor(beta: float, input_scale: float) -> float:
    """Return the factor from a difference of two inputs to :data:`DISTANCE_FRACTION` bits."""
    return min(beta * input_scale * (1 << DISTANCE_FRACTION), (1 << 31) - 1.0)


def exp_of_negative(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute exponentials.

    Parameters
    ----------
    x : int64 array
        Numbers from -32 to 0, with :data:`DISTANCE_FRACTION` fractional bits.

    Returns
    -------
    int64 array
        ``exp(x)`` with 31 fractional bits.
    """
    quarter = 1 << (DISTANCE_FRACTION - 2)
    part = (x & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_of_part(part << DISTANCE_INTEGER_BITS)
    rest = part - x
    for exponent, factor in _EXPONENTIALS.items():
        bit = (rest >> (DISTANCE_FRACTION + exponent)) & 1
        result = np.where(bit, _multiply(result, factor), result)
    return np.where(x == 0, _ONE, result)


def _exp_of_part(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute exp(x) for x in [-1/4, 0), both with 31 fractional bits."""
    y = x + (1 << 28)
    y2 = _multiply(y, y)
    y3, y4 = _multiply(y2, y), _multiply(y2, y2)
    # y**2 / 2 + y**3 / 6 + y**4 / 24
    higher = rounding_divide_by_pot(
        _multiply(rounding_divide_by_pot(y4, 2) + y3, _THIRD) + y2, 1)
    return _EXP_EIGHTH + _multiply(y + higher, _EXP_EIGHTH)


def reciprocal(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute reciprocals.

    Parameters
    ----------
    x : int64 array
        Numbers in [0, 1), with 31 fractional bits.

    Returns
    -------
    int64 array
        ``1 / (1 + x)`` with 31 fractional bits.
    """
    half = (x + (1 << 31)) >> 1  # (1 + x) / 2, with 31 fractional bits
    # Its reciprocal, with 29 fractional bits.
    y = _48_OVER_17 + _multiply(half, -_32_OVER_17)
    for _ in range(3):
        y = y + (_multiply(y, (1 << 29) - _multiply(half, y)) << 2)
    return np.minimum(y << 1, _ONE)


def softmax(x: NDArray[np.int8], multiplier: int, shift: int) -> NDArray[np.int8]:
    """Compute softmax along the last axis.

    Parameters
    ----------
    x : int8 array of shape (..., classes)
        Inputs; 1 to 4095 classes.
    multiplier, shift : :class:`int`
        :func:`softmax_factor` as :func:`eieio.model.graph.rescale.quantize_factor` returns it.

    Returns
    -------
    int8 array of shape (..., classes)
        Probabilities, of scale 1/256 and zero point -128.
    """
    # A distance beyond the range has the exponential 0.
    distance_maximum = ((1 << DISTANCE_INTEGER_BITS) - 1 << DISTANCE_FRACTION) >> -shift
    difference = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
    counts = difference >= -distance_maximum
    scaled = _multiply(np.where(counts, difference, 0) << -shift, multiplier)
    exponentials = np.where(counts, exp_of_negative(scaled), 0)
    total = rounding_divide_by_pot(exponentials, 31 - SUM_FRACTION).sum(axis=-1, keepdims=True)
    # Scale the sum to [1, 2). It has a bit above the point for every doubling of 1.
    bits = np.frexp(total)[1].astype(np.int64) - 1
    inverse = reciprocal((total << (31 - bits)) - (1 << 31))
    product = _multiply(exponentials, inverse)
    return np.clip(rounding_divide_by_pot(product, bits - SUM_FRACTION + 31 - 8) - 128,
                   -128, 127).astype(np.int8)


def log_softmax(x: NDArray[np.int8], scale: float) -> NDArray[np.int8]:
    """Compute the logarithm of softmax along the last axis.

    In float64, rounded to the nearest integer: what is not next to the middle between two is the
    same by any library.

    Parameters
    ----------
    x : int8 array of shape (..., classes)
        Inputs.
    scale : :class:`float`
        Real value of their step.

    Returns
    -------
    int8 array of shape (..., classes)
        Logarithms of probabilities, of scale 1/16 and zero point 127.
    """
    below = (x.astype(np.float64) - x.max(axis=-1, keepdims=True)) * scale
    logarithms = below - np.log(np.exp(below).sum(axis=-1, keepdims=True))
    return np.maximum(np.rint(logarithms * 16) + 127, -128).astype(np.int8)


def _multiply(a: NDArray[np.int64], b: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Return a * b / 2**31, rounded to the nearest, a half up: both of at most 32 bits."""
    return (a * b + (1 << 30)) >> 31
