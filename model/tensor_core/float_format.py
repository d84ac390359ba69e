"""Binary floating-point formats of IEEE 754's kind, by their bits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BFLOAT16", "FLOAT16", "FLOAT32", "Decoded", "FloatFormat"]


@dataclass(frozen=True, eq=False)
class Decoded:
    """Numbers taken apart: ``(-1)**negative * significand * 2**(exponent - fraction_width)``.

    Attributes
    ----------
    negative : bool array
        Signs.
    exponent : int64 array
        Exponents; that of subnormal numbers and of 0 is the smallest of normal ones.
    significand : int64 array
        Significands with their leading bit, not normalised.
    infinite, nan : bool arrays
        Which are not numbers; their other fields mean nothing.
    """

    negative: NDArray[np.bool_]
    exponent: NDArray[np.int64]
    significand: NDArray[np.int64]
    infinite: NDArray[np.bool_]
    nan: NDArray[np.bool_]


@dataclass(frozen=True)
class FloatFormat:
    """A format: a sign, an exponent, a fraction; with subnormal numbers, infinities and NaN.

    Attributes
    ----------
    exponent_width, fraction_width : :class:`int`
        Bits of the fields.
    """

    exponent_width: int
    fraction_width: int

    @property
    def width(self) -> int:
        """Bits of a number."""
        return 1 + self.exponent_width + self.fraction_width

    @property
    def bias(self) -> int:
        """What is added to an exponent in its field."""
        return (1 << self.exponent_width - 1) - 1

    @property
    def exponent_minimum(self) -> int:
        """Exponent of the smallest normal number, and of all subnormal ones."""
        return 1 - self.bias

    @property
    def infinity(self) -> int:
        """Bits of the positive infinity."""
        return ((1 << self.exponent_width) - 1) << self.fraction_width

    @property
    def nan(self) -> int:
        """Bits of the NaN that operations give: all but the sign are 1, as on NVIDIA's GPUs."""
        return (1 << self.width - 1) - 1

    def decode(self, bits: NDArray[np.unsignedinteger]) -> Decoded:
        """Take numbers apart, given as unsigned integers of their bits."""
        wide = bits.astype(np.int64)
        field = wide >> self.fraction_width & (1 << self.exponent_width) - 1
        fraction = wide & (1 << self.fraction_width) - 1
        top = field == (1 << self.exponent_width) - 1
        return Decoded(
            negative=(wide >> self.width - 1 & 1).astype(bool),
            exponent=np.maximum(field, 1) - self.bias,
            significand=fraction | np.where(field > 0, 1 << self.fraction_width, 0),
            infinite=top & (fraction == 0), nan=top & (fraction != 0))


FLOAT16 = FloatFormat(5, 10)
BFLOAT16 = FloatFormat(8, 7)
FLOAT32 = FloatFormat(8, 23)
