"""Rescaling by any positive factor: TensorFlow Lite's multipliers, with shifts to either side.

:mod:`eieio.model.fixed_point` holds factors below 1, which is all that an engine with scales of its
own choice needs. A network that somebody else has quantized may also have factors of 1 and more.
These shift to the left before the multiplication; the right shift of such a factor is negative.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import MULTIPLIER_WIDTH, requantize

__all__ = [
    "LEFT_SHIFT_MAXIMUM",
    "RIGHT_SHIFT_MAXIMUM",
    "quantize_factor",
    "quantize_factor_rounded_once",
    "quantize_factors",
    "rescale",
]

#: Largest right shift. A smaller factor becomes 0: it takes every 32-bit number to 0.
RIGHT_SHIFT_MAXIMUM = 31

#: Largest left shift.
LEFT_SHIFT_MAXIMUM = 31


def quantize_factor(real: float) -> tuple[int, int]:
    """Find the multiplier and the shift of a factor, by TensorFlow Lite's rule.

    Parameters
    ----------
    real : :class:`float`
        Factor, not negative.

    Returns
    -------
    multiplier : :class:`int`
        In [2**30, 2**31), or 0 if the factor is below about 2**-32.
    shift : :class:`int`
        Right shift, -:data:`LEFT_SHIFT_MAXIMUM` to :data:`RIGHT_SHIFT_MAXIMUM`: ``real`` is about
        ``multiplier / 2 ** (31 + shift)``, to one part in 2**31.

    Raises
    ------
    InputError
        If ``real`` is negative, not finite, or about 2**31 or more.
    """
    if not (math.isfinite(real) and real >= 0):
        raise InputError(f"Factor must be finite and not negative, not {real!r}")
    mantissa, exponent = math.frexp(real)
    multiplier = math.floor(mantissa * 2**MULTIPLIER_WIDTH + 0.5)
    if multiplier == 1 << MULTIPLIER_WIDTH:  # the mantissa was rounded up to 1
        multiplier, exponent = multiplier >> 1, exponent + 1
    if exponent < -RIGHT_SHIFT_MAXIMUM:
        return 0, 0
    if exponent > LEFT_SHIFT_MAXIMUM:
        raise InputError(f"Factor must be below 2**{LEFT_SHIFT_MAXIMUM}, not {real!r}")
    return multiplier, -exponent


def quantize_factors(real: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find the multipliers and the shifts of several factors.

    Parameters
    ----------
    real : float array of shape (channels,)
        Factors, as :func:`quantize_factor` takes them.

    Returns
    -------
    multiplier, shift : int32 arrays of shape (channels,)
        As :func:`quantize_factor` returns them.

    Raises
    ------
    InputError
        If a factor is outside the range of :func:`quantize_factor`.
    """
    pairs = [quantize_factor(float(factor)) for factor in np.asarray(real, np.float64)]
    array = np.array(pairs, np.int32).reshape(-1, 2)
    return array[:, 0].copy(), array[:, 1].copy()


def quantize_factor_rounded_once(real: float, bound: int, below: int,
                                 above: int) -> tuple[int, int] | None:
    """Find a factor by which :func:`rescale`, in one rounding, gives what float64 gives.

    That is ``round(number * real)``, a half away from zero, with the product rounded to float64, as
    in TensorFlow Lite's fully connected reference kernel. A multiplier has fewer bits than that;
    but only results that are not clamped count, and their halves leave a range of multipliers, of
    which the nearest to ``real`` is taken.

    Parameters
    ----------
    real : :class:`float`
        Factor, above 0.
    bound : :class:`int`
        Largest magnitude of a number.
    below, above : :class:`int`
        How far below and above 0 a result is not clamped.

    Returns
    -------
    multiplier, shift : :class:`int`, or None
        Factor for :func:`rescale`; None if no multiplier of 31 bits rounds every number so. For
        results of 8 bits there is one for factors above about 2**-14, whatever the bound, and for
        most down to 2**-17.

    Raises
    ------
    InputError
        As :func:`quantize_factor`.
    """
    multiplier, shift = quantize_factor(real)
    if not multiplier:
        return multiplier, shift
    low, high = 1, (1 << MULTIPLIER_WIDTH) - 1
    for level in range(1, max(below, above) + 1):
        # The smallest number whose result reaches the level: it must reach the half before the
        # level, and the number before it must not. Negative numbers are their mirror image.
        number = _reaching(level, real) if level / real <= 2 * bound else bound + 1
        half = (2 * level - 1) << (MULTIPLIER_WIDTH - 1 + max(shift, 0))
        reaching, short = number << max(-shift, 0), min(number - 1, bound) << max(-shift, 0)
        if number <= bound:
            low = max(low, -(-half // reaching))
        if short:
            high = min(high, -(-half // short) - 1)
        if number > bound:
            break
    return (min(max(multiplier, low), high), shift) if low <= high else None


def _reaching(level: int, real: float) -> int:
    """Return the smallest positive number for which number * real rounds to the level or beyond."""
    number = max(math.ceil((level - 0.5) / real) - 2, 1)
    while not _reaches(number * real, level):
        number += 1
    return number


def _reaches(product: float, level: int) -> bool:
    whole = math.floor(product)
    return whole + (product - whole >= 0.5) >= level


def rescale(numbers: NDArray[np.integer], multiplier: ArrayLike, shift: ArrayLike,
            zero_point: ArrayLike, minimum: ArrayLike, maximum: ArrayLike, *,
            single_rounding: bool = False, wraps: bool = False) -> NDArray[np.int64]:
    """Multiply by a factor, add a zero point and clamp.

    As :func:`eieio.model.fixed_point.requantize`, but a negative ``shift`` shifts the numbers to
    the left before all else.

    Parameters
    ----------
    numbers : integer array
        Signed numbers of up to 32 bits. Channels are on the last axis.
    multiplier, shift : integer or integer array
        Factor, as :func:`quantize_factor` returns it.
    zero_point, minimum, maximum : integer or integer array
        Zero point and range of the result.
    single_rounding : :class:`bool`
        Whether to round once, and not twice.
    wraps : :class:`bool`
        Whether results above the maximum wrap, and are not clamped.

    Returns
    -------
    int64 array
        Rescaled numbers.
    """
    shifts = np.asarray(shift, np.int64)
    return requantize(np.asarray(numbers, np.int64) << np.maximum(-shifts, 0), multiplier,
                      np.maximum(shifts, 0), zero_point, minimum, maximum,
                      single_rounding=single_rounding, wraps=wraps)
