"""Dynamic fixed point: each layer has its own place of the binary point, chosen by its statistics.

Courbariaux, Bengio and David, "Training deep neural networks with low precision multiplications"
(ICLR 2015 workshop), and Qiu et al., "Going Deeper with Embedded FPGA Platform for Convolutional
Neural Network" (FPGA 2016), where a search finds the place with the least error.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError

__all__ = ["FixedPoint", "Statistics", "choose", "fix"]

Rule = Literal["maximum", "percentile", "histogram"]

# Bins of the magnitudes, from their largest down to 0, and how far from the maximum's place a
# search goes: farther, so many values saturate that the error cannot be less.
_BINS, _REACH = 4096, 8


@dataclass(frozen=True)
class FixedPoint:
    """Signed integers of so many bits, with so many of these behind the binary point.

    Attributes
    ----------
    bits : :class:`int`
        Bits of an integer, sign included, from 2 to 32.
    fraction : :class:`int`
        Bits behind the point; also negative, or more than there are.

    Raises
    ------
    InputError
        If the bits are out of range.
    """

    bits: int
    fraction: int

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 32:
            raise InputError(f"Bits must be from 2 to 32, not {self.bits!r}")

    @property
    def step(self) -> float:
        """Difference of neighbouring numbers."""
        return math.ldexp(1.0, -self.fraction)

    @property
    def lowest(self) -> int:
        """Least integer."""
        return -(1 << (self.bits - 1))

    @property
    def highest(self) -> int:
        """Greatest integer."""
        return (1 << (self.bits - 1)) - 1


@dataclass(frozen=True, eq=False)
class Statistics:
    """What is known of a layer's values.

    Attributes
    ----------
    maximum : :class:`float`
        Largest magnitude.
    counts : int64 array of shape (bins,)
        How many magnitudes lie in each of as many parts of the range from 0 to the maximum.
    """

    maximum: float
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]]) -> "Statistics":
        """Look at values.

        Raises
        ------
        InputError
            If there are none, or some are not finite.
        """
        if not values.size or not np.isfinite(values).all():
            raise InputError("Values must be some, and finite")
        magnitudes = np.abs(values.astype(np.float64)).ravel()
        maximum = float(magnitudes.max())
        counts, _ = np.histogram(magnitudes, _BINS, (0.0, maximum or 1.0))
        return cls(maximum, counts)

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middle of each bin."""
        width = np.float64(self.maximum or 1.0) / self.counts.size
        return (np.arange(self.counts.size, dtype=np.float64) + 0.5) * width

    def percentile(self, percent: float) -> float:
        """Return the least bin's end below which so many percent of the magnitudes are."""
        needed = percent / 100 * self.counts.sum()
        place = int(np.searchsorted(np.cumsum(self.counts), needed))
        return min(place + 1, self.counts.size) / self.counts.size * self.maximum


def choose(statistics: Statistics, bits: int, rule: Rule = "histogram",
           percent: float = 99.9) -> FixedPoint:
    """Choose the place of the binary point.

    Parameters
    ----------
    statistics : Statistics
        Of the values.
    bits : :class:`int`
        Bits of an integer, from 2 to 32.
    rule : ``"maximum"``, ``"percentile"`` or ``"histogram"``
        The most bits behind the point with which the largest magnitude does not saturate; or the
        percentile of the magnitudes; or the place with the least mean square error, by the
        histogram.
    percent : :class:`float`
        Percentile, above 0 and up to 100.

    Raises
    ------
    InputError
        If a parameter does not fit.
    """
    if rule not in {"maximum", "percentile", "histogram"}:
        raise InputError(f"Rule must be 'maximum', 'percentile' or 'histogram', not {rule!r}")
    if not 0 < percent <= 100:
        raise InputError(f"Percentile must be above 0 and up to 100, not {percent!r}")
    bound = statistics.percentile(percent) if rule == "percentile" else statistics.maximum
    widest = FixedPoint(bits, _fraction(bound, bits))
    if rule != "histogram" or not statistics.maximum:
        return widest
    centres = statistics.centres
    # The earliest of the best: with as small an error, as few values as possible saturate.
    candidates = [FixedPoint(bits, widest.fraction + more) for more in range(_REACH + 1)]
    return min(candidates, key=lambda place: float(
        statistics.counts @ (fix(centres, place) - centres) ** 2))


def _fraction(bound: float, bits: int) -> int:
    """Return the most bits behind the point with which a bound, rounded, does not saturate."""
    if bound <= 0:
        return bits - 1
    highest = (1 << (bits - 1)) - 1
    # One more than the bound's own exponent allows: it is 1 or 2 too many.
    fraction = bits - math.frexp(bound)[1]
    while np.rint(math.ldexp(bound, fraction)) > highest:
        fraction -= 1
    return fraction


def fix(values: NDArray[np.floating[Any]], place: FixedPoint) -> NDArray[Any]:
    """Round values to the nearest number of a fixed point, a half to the even one, and saturate.

    Parameters
    ----------
    values : float array of any shape
        What to round.
    place : FixedPoint
        Bits and place of the point.

    Returns
    -------
    float array of the same shape and dtype
        Rounded values. They are exact where the dtype's fraction has as many bits.
    """
    integers = np.clip(np.rint(np.ldexp(values, place.fraction)), place.lowest, place.highest)
    return np.ldexp(integers, -place.fraction).astype(values.dtype)
