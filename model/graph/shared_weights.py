"""Weights of an integer operator that are shared: a code for each, and what the codes stand for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.codebook import decode_weights
from eieio.model.errors import InputError

__all__ = ["SharedWeights", "count_codes"]


@dataclass(frozen=True, eq=False)
class SharedWeights:
    """Weights by their codes.

    Attributes
    ----------
    codes : uint8 array
        Code of each weight, in the shape of the operator's weights. Code 0 is the weight 0.
    codebook : int32 array of shape (2 ** code width,)
        Weight of each code; the first is 0.
    scale : :class:`float` or None
        Real value of the weight 1, if it is known and one for all channels.

    Raises
    ------
    InputError
        If codes and codebook do not fit together.
    """

    codes: NDArray[np.uint8]
    codebook: NDArray[np.int32]
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.codes.dtype != np.uint8:
            raise InputError(f"codes must be a uint8 array, not {self.codes.dtype}")
        codebook = self.codebook
        if codebook.dtype != np.int32 or codebook.ndim != 1 or not codebook.size:
            raise InputError("codebook must be an int32 array of one axis, not "
                             f"{codebook.dtype} of shape {codebook.shape}")
        if codebook[0]:
            raise InputError(f"codebook must begin with the weight 0, not {codebook[0]}")
        if self.codes.max(initial=0) >= codebook.size:
            raise InputError(f"codes must be below {codebook.size}, the size of the codebook, not "
                             f"{self.codes.max()}")

    @classmethod
    def of(cls, weight: NDArray[np.integer]) -> "SharedWeights":
        """Give each of the weights that there are a code of its own, in ascending order.

        Raises
        ------
        InputError
            If there are more than 256, the 0 included.
        """
        values = np.unique(weight)
        values = np.append(0, values[values != 0])
        if values.size > 256:
            raise InputError(f"weights must have at most 256 values, the 0 included, not "
                             f"{values.size}")
        order = np.argsort(values)
        codes = order[np.searchsorted(values[order], weight)].astype(np.uint8)
        codebook = np.zeros(1 << max(1, int(values.size - 1).bit_length()), np.int32)
        codebook[:values.size] = values
        return cls(codes, codebook)

    @property
    def kind(self) -> str:
        """Name of the smallest signed type that holds the weights."""
        low, high = int(self.codebook.min()), int(self.codebook.max())
        width = max((~low if low < 0 else low).bit_length(), high.bit_length()) + 1
        return "int8" if width <= 8 else "int16" if width <= 16 else "int32"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights."""
        return self.codes.shape

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.codes.size

    @property
    def weight(self) -> NDArray[np.int32]:
        """The weights, made of codes and codebook."""
        return decode_weights(self.codes, self.codebook)

    def counts(self) -> NDArray[np.int64]:
        """Count how often each row has each code, as ``count_codes`` does."""
        return count_codes(self.codes, self.codebook.size)


def count_codes(codes: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
    """Count how often each row has each of ``size`` codes.

    Takes codes of shape (rows, columns), and returns an array of shape (rows, size).
    """
    return np.stack([np.bincount(row, minlength=size) for row in codes])
