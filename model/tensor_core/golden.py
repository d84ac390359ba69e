"""What a tensor core computes: sums of products of short floating-point numbers, with one rounding.

The rules are those that measurements of NVIDIA's V100 show, generalised by the number of products
and of extra bits to its successors: M. Fasi, N. J. Higham, M. Mikaitis, S. Pranesh, "Numerical
behavior of NVIDIA tensor cores", PeerJ Computer Science 7:e330, 2021; F. A. Khattak, M. Mikaitis,
"Accurate models of NVIDIA tensor cores", arXiv:2512.07004.

A sum has ``products`` products and one addend. Products are exact and not normalised. All terms
are shifted to the largest exponent, which need not be that of the largest number, and are cut off
below ``23 + extra_bits`` fraction bits, toward zero. What is left is added exactly, normalised, and
rounded once: to binary32 toward zero, to binary16 to the nearest, ties to even.

Numbers are given and returned as unsigned integers of their bits: ``x.view(np.uint16)`` of a
float16 array ``x``.
"""

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.float_format import FLOAT16, FLOAT32, Decoded, FloatFormat

__all__ = ["HALF_EXPONENT_MINIMUM", "dot_product", "long_dot_product", "matrix_step",
           "round_sum",
           "widen"]

#: The exponent of the largest term counts as at least this where a sum becomes a binary16.
HALF_EXPONENT_MINIMUM = -19

# Smaller than any exponent: that of a term that is 0, which takes no part.
_NO_EXPONENT = -(1 << 20)

_POWERS = np.array([2.0 ** -bits for bits in range(64)])


def widen(c: NDArray[np.uint16]) -> NDArray[np.uint32]:
    """Convert binary16 numbers to binary32; a NaN becomes the one NaN."""
    number = c.view(np.float16).astype(np.float32).view(np.uint32)
    return np.where(FLOAT16.decode(c).nan, np.uint32(FLOAT32.nan), number)


def dot_product(a: NDArray[np.uint16], b: NDArray[np.uint16], c: NDArray[np.uint32],
                config: StepConfig, *, half: bool = False) -> NDArray[np.uint32]:
    """Compute ``sum(a * b) + c`` as one sum of a tensor core.

    Parameters
    ----------
    a, b : uint16 arrays of shape (..., products)
        Bits of the factors, in the configuration's input format.
    c : uint32 array of shape (...)
        Bits of the addends, binary32. For a binary16 result they must be widened binary16, see
        :func:`widen`.
    config : StepConfig
        Number of products and of extra bits, format of the factors.
    half : :class:`bool`
        Whether the results are binary16.

    Returns
    -------
    uint32 array of shape (...)
        Bits of the results, binary32 or binary16.

    Raises
    ------
    InputError
        If a dtype or shape does not fit.
    """
    for name, array in (("a", a), ("b", b)):
        if array.dtype != np.uint16 or array.ndim < 1 or array.shape[-1] != config.products:
            raise InputError(f"Factors {name} must be a uint16 array of shape (..., "
                             f"{config.products}), not {array.dtype} of shape {array.shape}")
    if c.dtype != np.uint32:
        raise InputError(f"Addends c must be a uint32 array, not {c.dtype}")
    x, y = config.factor_format.decode(a), config.factor_format.decode(b)
    addend = FLOAT32.decode(c)

    exponent = _exponent(x) + _exponent(y)
    largest = np.maximum(exponent.max(axis=-1), _exponent(addend))
    if half:
        largest = np.maximum(largest, HALF_EXPONENT_MINIMUM)
    # Float64 holds all of this exactly: a significand has few bits, wherever it is shifted to, and
    # sums of what is cut off are integers of less than 53 bits.
    product = _signed(x) * _signed(y) * 2.0 ** (
        config.fraction_width - 2 * config.factor_format.fraction_width)
    total = np.trunc(product * _shift(largest[..., np.newaxis] - exponent)).sum(axis=-1)
    total += np.trunc(_signed(addend) * 2.0 ** config.extra_bits
                      * _shift(largest - _exponent(addend)))

    form = FLOAT16 if half else FLOAT32
    result = round_sum(total.astype(np.int64), largest - config.fraction_width, form, nearest=half)
    return _special(result, x, y, addend, form)


def long_dot_product(a: NDArray[np.uint16], b: NDArray[np.uint16], c: NDArray[np.uint32],
                     config: StepConfig, *, half: bool = False) -> NDArray[np.uint32]:
    """Compute ``sum(a * b) + c`` of any length: each block's result is the next one's addend.

    Parameters are those of :func:`dot_product`, but that ``a`` and ``b`` may have any number of
    products; what is missing in the last block is 0.
    """
    missing = -a.shape[-1] % config.products
    padding = [(0, 0)] * (a.ndim - 1) + [(0, missing)]
    a, b = np.pad(a, padding), np.pad(b, padding)
    d = c
    for first in range(0, a.shape[-1], config.products):
        block = slice(first, first + config.products)
        c = widen(d.astype(np.uint16)) if half and first else d
        d = dot_product(a[..., block], b[..., block], c, config, half=half)
    return d


def matrix_step(a: NDArray[np.uint16], b: NDArray[np.uint16], c: NDArray[np.uint32],
                config: StepConfig, *, half: bool = False) -> NDArray[np.uint32]:
    """Compute ``a @ b + c`` of matrices, each element as one sum.

    Parameters
    ----------
    a : uint16 array of shape (..., rows, products)
        Left factors.
    b : uint16 array of shape (..., products, columns)
        Right factors.
    c : uint32 array of shape (..., rows, columns)
        Addends.
    config, half :
        As in :func:`dot_product`.

    Returns
    -------
    uint32 array of shape (..., rows, columns)
        Results, as :func:`dot_product` gives them.
    """
    shape = (*c.shape, config.products)
    rows = np.broadcast_to(a[..., :, None, :], shape)
    columns = np.broadcast_to(np.swapaxes(b, -1, -2)[..., None, :, :], shape)
    return dot_product(rows, columns, c, config, half=half)


def _exponent(number: Decoded) -> NDArray[np.int64]:
    """Exponents of numbers; those of 0 are below all others."""
    return np.where(number.significand != 0, number.exponent, _NO_EXPONENT)


def _signed(number: Decoded) -> NDArray[np.float64]:
    """Significands with the numbers' signs."""
    return np.where(number.negative, -number.significand, number.significand).astype(np.float64)


def _shift(bits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what shifts right by some bits; nothing is left of a number after 63."""
    return _POWERS[np.minimum(bits, 63)]


def round_sum(total: NDArray[np.int64], exponent: NDArray[np.int64], form: FloatFormat, *,
           nearest: bool) -> NDArray[np.uint32]:
    """Round ``total * 2**exponent`` to a format, to nearest even or toward zero."""
    magnitude = np.abs(total)
    length = np.frexp(magnitude.astype(np.float64))[1]  # Exact: sums have far less than 53 bits.
    leading = np.maximum(length - 1 + exponent, form.exponent_minimum)
    # Bits to drop: of the sum, below the last bit of the result. Negative ones are added.
    drop = np.minimum(leading - form.fraction_width - exponent, 62)
    kept = np.where(drop > 0, magnitude >> np.maximum(drop, 0), magnitude << np.maximum(-drop, 0))
    if nearest:
        dropped = magnitude - np.where(drop > 0, kept << np.maximum(drop, 0), magnitude)
        half = np.where(drop > 0, np.int64(1) << np.maximum(drop - 1, 0), 0)
        kept += (drop > 0) & ((dropped > half) | ((dropped == half) & (kept & 1 == 1)))
    # The leading bit of a normal number adds 1 to the field; a carry out of the fraction as well.
    field = leading - form.exponent_minimum << form.fraction_width
    bits = np.minimum(np.where(magnitude == 0, 0, field + kept), form.infinity)
    return (bits | np.where(total < 0, 1 << form.width - 1, 0)).astype(np.uint32)


def _special(result: NDArray[np.uint32], x: Decoded, y: Decoded, addend: Decoded,
             form: FloatFormat) -> NDArray[np.uint32]:
    """Put infinities and NaN in place of results of which a term is none."""
    if not any(each.infinite.any() or each.nan.any() for each in (x, y, addend)):
        return result
    infinite = x.infinite | y.infinite
    zero = ((x.significand == 0) & ~x.nan) | ((y.significand == 0) & ~y.nan)
    nan = (x.nan | y.nan | (infinite & zero)).any(axis=-1) | addend.nan
    negative = x.negative ^ y.negative
    below = (infinite & negative).any(axis=-1) | (addend.infinite & addend.negative)
    above = (infinite & ~negative).any(axis=-1) | (addend.infinite & ~addend.negative)
    result = np.where(above, np.uint32(form.infinity), result)
    result = np.where(below, np.uint32(form.infinity | 1 << form.width - 1), result)
    return np.where(nan | (above & below), np.uint32(form.nan), result).astype(np.uint32)
