"""Conversion of stored numbers to float32."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError

__all__ = ["as_float32"]


def as_float32(array: NDArray[Any], what: str) -> NDArray[np.float32]:
    """Convert floating-point numbers to float32, rounding to nearest.

    Parameters
    ----------
    array : float16, float32 or float64 array of any shape
        Numbers to convert, in either byte order.
    what : :class:`str`
        What an error message calls the array.

    Returns
    -------
    float32 array of the same shape
        The numbers, C-contiguous, in native byte order.

    Raises
    ------
    InputError
        If the array has another dtype, or a number is not finite or is beyond float32.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise InputError(
            f"{what} must be a float16, float32 or float64 array, not {array.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        # ascontiguousarray would turn a scalar into a vector.
        converted = np.asarray(array, dtype=np.float32, order="C")
    if not np.isfinite(converted).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(converted))[0])
        raise InputError(f"{what} must be finite in float32, not {array[where]} at {where}")
    return converted
