"""Mixed precision: binary16 for products, binary32 for sums and for the weights that are trained.

Micikevicius et al., "Mixed Precision Training" (ICLR 2018). The products and sums are those of the
tensor core's golden model.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.golden import long_dot_product

__all__ = ["LossScale", "half_product", "to_half", "vanished"]

_Floats = NDArray[np.floating[Any]]

# Where a dynamic scale stays, so that it and what it multiplies are numbers of binary32.
_LEAST, _LARGEST = 2.0 ** -24, 2.0 ** 40


def to_half(values: _Floats) -> NDArray[np.float32]:
    """Round to the nearest binary16, a half to the even one; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def vanished(gradients: _Floats, scale: float = 1.0) -> int:
    """Count the gradients that are not 0, but are 0 in binary16 when multiplied by a scale."""
    return int(np.count_nonzero((gradients != 0) & (to_half(gradients * np.float64(scale)) == 0)))


def half_product(a: _Floats, b: _Floats, c: _Floats, config: TensorCoreConfig | None = None
                 ) -> NDArray[np.float32]:
    """Compute ``a @ b + c`` with products of binary16 and sums of a tensor core.

    Parameters
    ----------
    a : float array of shape (rows, terms)
        Left factors, rounded to binary16.
    b : float array of shape (terms, columns)
        Right factors, rounded to binary16.
    c : float array that broadcasts to (rows, columns)
        Addends, in binary32.
    config : TensorCoreConfig, optional
        The tensor core. The default is NVIDIA's V100.

    Returns
    -------
    float32 array of shape (rows, columns)
        Sums, not rounded to binary16.
    """
    config = config or TensorCoreConfig()
    with np.errstate(over="ignore"):
        left, right = (x.astype(np.float16).view(np.uint16) for x in (a, b))
    shape = (len(a), b.shape[1])
    addends = np.broadcast_to(c, shape).astype(np.float32).view(np.uint32)
    terms = a.shape[1]
    rows = np.broadcast_to(left[:, None, :], (*shape, terms))
    columns = np.broadcast_to(np.ascontiguousarray(right.T)[None], (*shape, terms))
    return long_dot_product(rows, columns, addends, config).view(np.float32)


@dataclass(frozen=True)
class LossScale:
    """What the loss is multiplied by, so that its gradients are numbers of binary16.

    A step whose gradients are not all finite is left out. A dynamic scale is then halved, and it is
    doubled after so many steps without that.

    Attributes
    ----------
    scale : :class:`float`
        The factor, positive.
    interval : :class:`int`
        Steps after which the scale is doubled; with 0 it never changes.
    clean : :class:`int`
        Steps since the scale changed.

    Raises
    ------
    InputError
        If an attribute is out of range.
    """

    scale: float = 2.0 ** 16
    interval: int = 2000
    clean: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.scale < float("inf"):
            raise InputError(f"Scale must be positive and finite, not {self.scale!r}")
        if self.interval < 0 or self.clean < 0:
            raise InputError(f"Steps must not be negative, not {min(self.interval, self.clean)!r}")

    def after(self, finite: bool) -> "LossScale":
        """Return the scale after a step, whose gradients were all finite or not."""
        if not self.interval:
            return self
        if not finite:
            return replace(self, scale=max(self.scale / 2, _LEAST), clean=0)
        if self.clean + 1 == self.interval:
            return replace(self, scale=min(self.scale * 2, _LARGEST), clean=0)
        return replace(self, clean=self.clean + 1)
