"""Shared weights: every weight of an operator is a code into a codebook."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from eieio.model.codebook import decode_weights
from eieio.model.errors import InputError

__all__ = ["WeightCodes"]


@dataclass(frozen=True, eq=False)
class WeightCodes:
    """Weights of an operator as codes: ``weight = codebook[codes]``.

    Attributes
    ----------
    codes : uint8 array
        Row of the codebook of each weight, in the weights' shape. Code 0 is the weight 0.
    codebook : float32 array of shape (2 ** code_width,)
        Shared weights; the first is 0.
    """

    codes: NDArray[np.uint8]
    codebook: NDArray[np.float32]

    @property
    def code_width(self) -> int:
        """Bits of a code."""
        return self.codebook.size.bit_length() - 1

    @cached_property
    def weight(self) -> NDArray[np.float32]:
        """Every weight, in the shape of the codes."""
        return decode_weights(self.codes, self.codebook)

    def check(self, where: str) -> None:
        """Check that codes and codebook fit.

        Raises
        ------
        InputError
            If a dtype, the codebook or a code does not fit; `where` comes first in the message.
        """
        if self.codes.dtype != np.uint8:
            raise InputError(f"{where}: codes must be a uint8 array, not {self.codes.dtype}")
        if self.codebook.dtype != np.float32 or self.codebook.ndim != 1:
            raise InputError(f"{where}: codebook must be a 1-D float32 array, not "
                             f"{self.codebook.ndim}-D {self.codebook.dtype}")
        depth = self.codebook.size
        if not 4 <= depth <= 256 or depth.bit_count() != 1:
            raise InputError(f"{where}: codebook must hold a power of two from 4 to 256 weights, "
                             f"not {depth}")
        if self.codebook[0] != 0 or not np.isfinite(self.codebook).all():
            raise InputError(f"{where}: codebook must be finite and begin with the weight 0")
        if self.codes.size and self.codes.max() >= depth:
            raise InputError(f"{where}: codes must be below {depth}, not {self.codes.max()}")
