"""A tensor of integers."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import dequantize, quantize

__all__ = ["Tensor"]

_MAX_ELEMENTS = 2**31 - 1


@dataclass(frozen=True)
class Tensor:
    """Activations: integers at one scale.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user, its own in a graph.
    shape : tuple of :class:`int`
        Shape of one sample.
    scale : :class:`float`
        Real value of one step.
    zero_point : :class:`int`
        Integer of the real 0, which fits in the width.
    width : :class:`int`
        Bits of an integer, 4 to 18.
    symmetric : bool
        Whether the most negative integer is never used, and half a step goes to the even integer,
        as in the tensors that :mod:`eieio.model.sparse.quantization` makes. Otherwise a half goes
        away from zero.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    width: int = 8
    symmetric: bool = False

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1 or self.elements > _MAX_ELEMENTS:
            raise InputError(f"Tensor {self.name!r}: shape must be positive sizes of at most "
                             f"{_MAX_ELEMENTS} elements in all, not {self.shape}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError(
                f"Tensor {self.name!r}: scale must be positive and finite, not {self.scale!r}")
        if not 4 <= self.width <= 18:
            raise InputError(
                f"Tensor {self.name!r}: width must be from 4 to 18, not {self.width!r}")
        if not self.minimum <= self.zero_point <= self.maximum:
            raise InputError(f"Tensor {self.name!r}: zero point must be from {self.minimum} to "
                             f"{self.maximum}, not {self.zero_point!r}")

    @property
    def elements(self) -> int:
        """Number of elements of one sample."""
        return math.prod(self.shape)

    @property
    def minimum(self) -> int:
        """Smallest integer."""
        return -(1 << (self.width - 1)) + self.symmetric

    @property
    def maximum(self) -> int:
        """Largest integer."""
        return (1 << (self.width - 1)) - 1

    @property
    def largest(self) -> int:
        """Largest magnitude of an integer less the zero point."""
        return max(self.maximum - self.zero_point, self.zero_point - self.minimum)

    @property
    def dtype(self) -> type[np.int8] | type[np.int32]:
        """Type of the integers in arrays: int8 for up to 8 bits, int32 for more."""
        return np.int8 if self.width <= 8 else np.int32

    def quantize(self, real: NDArray[np.floating]) -> NDArray[Any]:
        """Round real numbers to the nearest integers, of type :attr:`dtype`, and saturate.

        Raises
        ------
        InputError
            If a number is not finite.
        """
        integers = quantize(real, self.scale, self.zero_point, self.width,
                            "even" if self.symmetric else "away")
        return np.maximum(integers, self.minimum).astype(self.dtype)

    def draw(self, count: int, seed: int = 0) -> NDArray[np.float32]:
        """Draw real numbers of random integers: float32 array of shape (count, and the shape)."""
        rng = np.random.default_rng(seed)
        q = rng.integers(self.minimum, self.maximum + 1, (count, *self.shape))
        return self.dequantize(q).astype(np.float32)

    def dequantize(self, q: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the real numbers of integers."""
        return dequantize(q, self.scale, self.zero_point)
