"""Conversions between real numbers, binary32, and the short formats of a tensor core."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.tensor_core.float_format import FLOAT16, FLOAT32, FloatFormat
from eieio.model.tensor_core.golden import round_sum

__all__ = ["clamp", "from_real", "narrow", "order", "to_real"]


def narrow(bits: NDArray[np.uint32], form: FloatFormat) -> NDArray[np.uint16]:
    """Round binary32 numbers to a short format, to nearest even; a NaN becomes the one NaN.

    Parameters
    ----------
    bits : uint32 array
        Bits of the numbers.
    form : FloatFormat
        Format of the results, of 16 bits.
    """
    number = FLOAT32.decode(bits)
    total = np.where(number.negative, -number.significand, number.significand)
    result = round_sum(total, number.exponent - FLOAT32.fraction_width, form, nearest=True)
    # A sum that is 0 has no sign, and a number has.
    sign = np.where(number.negative, 1 << form.width - 1, 0)
    result = np.where(number.infinite, form.infinity, result) | sign
    return np.where(number.nan, form.nan, result).astype(np.uint16)


def from_real(x: NDArray[np.floating], form: FloatFormat) -> NDArray[np.uint16]:
    """Round real numbers to a short format, to nearest even: bits, of the same shape.

    What is too large becomes an infinity.
    """
    with np.errstate(over="ignore"):
        if form == FLOAT16:
            return np.asarray(x).astype(np.float16).view(np.uint16)
        # Of float64 numbers to odd first: then the second rounding is as if it were the only one.
        wide = np.asarray(x, np.float64)
        single = wide.astype(np.float32)
    bits = single.view(np.uint32).copy()
    inexact = np.isfinite(single) & (single != wide)
    away = inexact & (np.abs(single.astype(np.float64)) > np.abs(wide))
    bits = np.where(inexact, bits - away | 1, bits)
    return narrow(bits.astype(np.uint32), form)


def to_real(bits: NDArray[np.uint16], form: FloatFormat) -> NDArray[np.float32]:
    """Return the values of numbers of a short format, which binary32 holds exactly."""
    if form == FLOAT16:
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def order(bits: NDArray[np.uint16]) -> NDArray[np.int32]:
    """Return integers in the order of the numbers; -0 is below 0, and a positive NaN the last."""
    signed = bits.astype(np.int32)
    return np.where(signed >> 15, 0x7FFF - signed, signed)


def clamp(bits: NDArray[np.uint16], minimum: int, maximum: int, form: FloatFormat
          ) -> NDArray[np.uint16]:
    """Clamp numbers of a short format between two, given by their bits; NaN stays NaN."""
    key = order(bits)
    low, high = (order(np.array(end, np.uint16)) for end in (minimum, maximum))
    found: NDArray[Any] = np.where(key < low, minimum, np.where(key > high, maximum, bits))
    return np.where(form.decode(bits).nan, bits, found).astype(np.uint16)
