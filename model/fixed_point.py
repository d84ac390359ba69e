"""Fixed-point arithmetic of all engines: quantization and requantization.

A tensor is integers q with a scale and a zero point: ``real = scale * (q - zero_point)``. The sum
of products of two tensors has the product of their scales, and requantization takes it to the
scale of the next tensor. The quotient of the scales, a real number in (0, 1), is held as
``multiplier / 2**31 / 2**shift`` with a 31-bit multiplier in [2**30, 2**31). The result is rounded
by one of two rules:

Twice
    By the doubling high multiplication, and by the shift. This is the reference rule of TensorFlow
    Lite: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, section 2.2, with the two operations as
    gemmlowp's ``fixedpoint.h`` defines them. They are written here from their mathematical
    definitions, for accumulators of up to 64 bits.
Once
    The exact quotient, to the nearest integer, and a half away from zero: what is left of a product
    of real numbers that a kernel rounds.

Nothing overflows: every intermediate result is exact in 64 bits. All arrays broadcast, so the
parameters of a layer may be integers, or arrays with one value for each output channel.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eieio.model.errors import InputError

__all__ = [
    "MULTIPLIER_WIDTH",
    "SHIFT_MAXIMUM",
    "Half",
    "dequantize",
    "quantize",
    "quantize_multiplier",
    "requantize",
    "rounding_divide_by_pot",
    "saturating_rounding_doubling_high_mul",
]

#: Bits of a multiplier, which is not signed.
MULTIPLIER_WIDTH = 31

#: Largest right shift.
SHIFT_MAXIMUM = 63

#: Where a quotient halfway between two integers goes: to the even one, or the one away from 0.
Half = Literal["even", "away"]


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Find the multiplier and the right shift nearest to a real factor.

    Parameters
    ----------
    real : :class:`float`
        Factor, above 0 and below 1.

    Returns
    -------
    multiplier : :class:`int`
        In [2**30, 2**31).
    shift : :class:`int`
        Right shift, 0 to :data:`SHIFT_MAXIMUM`: ``real`` is about
        ``multiplier / 2 ** (31 + shift)``, to one part in 2**31.

    Raises
    ------
    InputError
        If ``real`` is outside, or so small that it would need a larger shift.
    """
    if not 0 < real < 1:
        raise InputError(f"Factor must be above 0 and below 1, not {real!r}")
    mantissa, exponent = math.frexp(real)
    multiplier = math.floor(mantissa * 2**MULTIPLIER_WIDTH + 0.5)
    shift = -exponent
    if multiplier == 1 << MULTIPLIER_WIDTH:  # the mantissa was rounded up to 1
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < 0:  # a factor within 2**-32 of 1, which is not a factor of this form
        multiplier, shift = (1 << MULTIPLIER_WIDTH) - 1, 0
    if shift > SHIFT_MAXIMUM:
        raise InputError(f"Factor must be at least 2**-{SHIFT_MAXIMUM + 1}, not {real!r}")
    return multiplier, shift


def saturating_rounding_doubling_high_mul(a: NDArray[np.integer],
                                          multiplier: ArrayLike) -> NDArray[np.int64]:
    """Multiply by ``multiplier / 2**31`` and round to the nearest integer.

    A half is rounded towards positive infinity: the result is
    ``floor((a * multiplier + 2**30) / 2**31)``, to which gemmlowp's nudge and truncating division
    amount. The operation is called saturating for the sake of its one overflow, the product of two
    most negative numbers; a multiplier that is not negative never meets it.

    Parameters
    ----------
    a : integer array
        Signed numbers of up to 64 bits.
    multiplier : integer or integer array
        Not negative, and below 2**31.

    Returns
    -------
    int64 array
        Rounded products, no larger in magnitude than ``a``.

    Raises
    ------
    TypeError
        If an argument does not hold signed integers.
    ValueError
        If a multiplier is outside its range.
    """
    numbers = _integers("Numbers", a)
    multipliers = _integers("Multiplier", multiplier)
    _check_range("Multiplier", multipliers, 0, (1 << MULTIPLIER_WIDTH) - 1)
    return _high_mul(numbers, multipliers)


def _high_mul(a: NDArray[np.int64], multiplier: NDArray[np.int64]) -> NDArray[np.int64]:
    # The product may have 95 bits. With a = 2**31 * high + low and 0 <= low < 2**31, the term of
    # `high` is divided without a remainder, and the term of `low` has 62 bits.
    high, low = a >> 31, a & 0x7FFF_FFFF
    return high * multiplier + ((low * multiplier + (1 << 30)) >> 31)


def rounding_divide_by_pot(x: NDArray[np.integer], exponent: ArrayLike) -> NDArray[np.int64]:
    """Divide by a power of two and round to the nearest integer, a half away from zero.

    Parameters
    ----------
    x : integer array
        Signed numbers of up to 64 bits.
    exponent : integer or integer array
        Logarithm of the divisor, 0 to :data:`SHIFT_MAXIMUM`.

    Returns
    -------
    int64 array
        Rounded quotients.

    Raises
    ------
    TypeError
        If an argument does not hold signed integers.
    ValueError
        If an exponent is outside its range.
    """
    numbers = _integers("Numbers", x)
    exponents = _integers("Exponent", exponent)
    _check_range("Exponent", exponents, 0, SHIFT_MAXIMUM)
    return _divide_by_pot(numbers, exponents)


def _divide_by_pot(x: NDArray[np.int64], exponent: NDArray[np.int64]) -> NDArray[np.int64]:
    # Floor division leaves a remainder in [0, 2**exponent). The quotient is one more when the
    # remainder is above a half, or is a half and the number is not negative.
    mask = ~(np.int64(-1) << exponent)
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def requantize(accumulators: NDArray[np.integer], multiplier: ArrayLike, shift: ArrayLike,
               zero_point: ArrayLike, minimum: ArrayLike, maximum: ArrayLike, *,
               single_rounding: bool = False, wraps: bool = False) -> NDArray[np.int64]:
    """Take accumulators to the scale, zero point and range of the next tensor.

    Bit-exact reference of :class:`eieio.rtl.requantize.Requantize`.

    Parameters
    ----------
    accumulators : integer array
        Sums of products, signed, of up to 64 bits. Channels are on the last axis.
    multiplier, shift : integer or integer array
        Factor, as :func:`quantize_multiplier` returns it.
    zero_point : integer or integer array
        Integer of the next tensor's real 0.
    minimum, maximum : integer or integer array
        Range of the next tensor's integers, within 32 bits. A rectifier has the zero point as its
        minimum.
    single_rounding : :class:`bool`
        Whether to round once, ``acc * multiplier / 2**(31 + shift)`` to the nearest integer and a
        half away from zero. The default is to round twice.
    wraps : :class:`bool`
        Whether results are not clamped to the maximum, which is of the form ``2**k - 1`` then, but
        taken modulo ``2**(k + 1)``, into the range of a signed integer of k + 1 bits. The minimum
        counts before.

    Returns
    -------
    int64 array
        Integers of the next tensor.

    Raises
    ------
    TypeError
        If an argument does not hold signed integers.
    ValueError
        If a parameter is outside its range, or a minimum is above its maximum, or a maximum is not
        of this form.
    """
    numbers = _integers("Accumulators", accumulators)
    multipliers = _integers("Multiplier", multiplier)
    shifts = _integers("Shift", shift)
    zero_points = _integers("Zero point", zero_point)
    minima, maxima = _integers("Minimum", minimum), _integers("Maximum", maximum)
    _check_range("Multiplier", multipliers, 0, (1 << MULTIPLIER_WIDTH) - 1)
    _check_range("Shift", shifts, 0, SHIFT_MAXIMUM)
    for what, values in (("Zero point", zero_points), ("Minimum", minima), ("Maximum", maxima)):
        _check_range(what, values, -(1 << 31), (1 << 31) - 1)
    if np.any(minima > maxima):
        raise ValueError(f"Minimum must not be above the maximum, not {minimum!r} above "
                         f"{maximum!r}")
    scaled = (_multiply_once(numbers, multipliers, shifts) if single_rounding
              else _divide_by_pot(_high_mul(numbers, multipliers), shifts))
    if wraps:
        if np.any(maxima < 0) or np.any(maxima & (maxima + 1)):
            raise ValueError("Maximum of what wraps must be a power of two less 1, not "
                             f"{maximum!r}")
        above = np.maximum(scaled, minima - zero_points) + zero_points
        return ((above + maxima + 1) & (2 * maxima + 1)) - maxima - 1
    # Clamping before the zero point is added gives the same, and cannot overflow.
    return np.clip(scaled, minima - zero_points, maxima - zero_points) + zero_points


def _multiply_once(a: NDArray[np.int64], multiplier: NDArray[np.int64],
                   shift: NDArray[np.int64]) -> NDArray[np.int64]:
    # The product is 2**31 * high + low, as in _high_mul. Rounding adds the highest bit that the
    # shifts drop, which sends a half up. To send a half away from zero, a negative product becomes
    # one less first: no other is moved across a half.
    mask = (1 << 31) - 1
    low = (a & mask) * multiplier
    high, low = (a >> 31) * multiplier + (low >> 31), low & mask
    negative = high < 0
    high, low = high - (negative & (low == 0)), (low - negative) & mask
    dropped = np.where(shift > 0, high >> np.maximum(shift - 1, 0), low >> 30)
    return (high >> shift) + (dropped & 1)


def quantize(real: ArrayLike, scale: float, zero_point: int, width: int,
             half: Half = "away") -> NDArray[np.int64]:
    """Round real numbers to the integers of a tensor, and saturate.

    The integer is ``round(real / scale) + zero_point``, with the quotient in double precision
    whatever the type of the numbers. All that makes integers of a network's inputs calls this.

    Parameters
    ----------
    real : array of any shape, of floating-point numbers, integers or truth values
        Real numbers.
    scale : :class:`float`
        Real value of one step; positive.
    zero_point : :class:`int`
        Integer of the real 0; fits in ``width`` bits.
    width : :class:`int`
        Bits of a signed integer, 2 to 32.
    half : :data:`Half`
        Where a half is rounded to.

    Returns
    -------
    int64 array
        Integers, of ``real``'s shape.

    Raises
    ------
    InputError
        If a number is not finite, or a parameter is outside its range.
    """
    numbers = np.asarray(real, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise InputError("Numbers to quantize must be finite")
    _check_tensor(scale, zero_point, width)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = numbers / scale
        if half == "even":
            rounded = np.rint(steps)
        else:
            # Not floor(|x| + 0.5): the addition would round the number just below a half up to 1.
            whole = np.trunc(steps)
            rounded = whole + np.copysign(np.abs(steps - whole) >= 0.5, steps)
    bound = 1 << (width - 1)
    low, high = -bound - zero_point, bound - 1 - zero_point
    return np.clip(rounded, low, high).astype(np.int64) + zero_point


def dequantize(q: NDArray[np.integer], scale: float, zero_point: int) -> NDArray[np.float64]:
    """Return the real numbers of a tensor's integers.

    Parameters
    ----------
    q : integer array
        Integers.
    scale : :class:`float`
        Real value of one step.
    zero_point : :class:`int`
        Integer of the real 0.

    Returns
    -------
    float64 array
        ``scale * (q - zero_point)``, of ``q``'s shape.
    """
    return scale * (_integers("Integers", q) - zero_point).astype(np.float64)


def _integers(what: str, values: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.dtype == np.uint64:
        raise TypeError(f"{what} must be integers that fit in int64, not {array.dtype}")
    return array.astype(np.int64)


def _check_range(what: str, values: NDArray[np.int64], low: int, high: int) -> None:
    if values.size and not (low <= values.min() and values.max() <= high):
        wrong = int(values[(values < low) | (values > high)].flat[0])
        raise ValueError(f"{what} must be from {low} to {high}, not {wrong}")


def _check_tensor(scale: float, zero_point: int, width: int) -> None:
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"Scale must be positive and finite, not {scale!r}")
    if not 2 <= width <= 32:
        raise InputError(f"Width must be from 2 to 32, not {width!r}")
    if not -(1 << (width - 1)) <= zero_point < 1 << (width - 1):
        raise InputError(f"Zero point must fit in {width} bits, not {zero_point!r}")
