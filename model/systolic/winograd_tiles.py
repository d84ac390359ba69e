"""Winograd's tiles as the systolic engine takes them: transformed weights, and how many tiles.

The array multiplies one element of the transforms at a time, for all tiles of a phase, before it
goes to the next. Elements come in row-major order: number f is ``[f // n, f % n]``.
"""

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.winograd import integer_transform, toom_cook

__all__ = ["tile_grid", "transform_weights"]


def transform_weights(weights: NDArray[np.int8], m: int) -> NDArray[np.int64]:
    """Transform the weights of a convolution, ``G g G^T``, exactly.

    Parameters
    ----------
    weights : int8 array of shape (outputs, 3, 3, inputs)
        Weights.
    m : :class:`int`
        Side of a tile of outputs: the m of F(m x m, 3 x 3).

    Returns
    -------
    int64 array of shape (n * n, inputs, outputs), n = m + 2
        The matrix that the array multiplies by for each element of a tile's transform. Its numbers
        have at most ``integer_transform(toom_cook(m, 3)).weight_width(8)`` bits: 12 for m = 2, 14
        for m = 4.

    Raises
    ------
    InputError
        If weights are not int8, or not 3 x 3.
    """
    if weights.dtype != np.int8 or weights.ndim != 4 or weights.shape[1:3] != (3, 3):
        raise InputError("Weights must be an int8 array of shape (outputs, 3, 3, inputs), not "
                         f"{weights.dtype} of shape {weights.shape}")
    g = np.array(integer_transform(toom_cook(m, 3)).g, dtype=np.int64)
    transformed = g @ weights.astype(np.int64).transpose(3, 0, 1, 2) @ g.T
    inputs, outputs = transformed.shape[:2]
    return transformed.reshape(inputs, outputs, -1).transpose(2, 0, 1)


def tile_grid(height: int, width: int, m: int) -> tuple[int, int]:
    """Return how many rows and columns of m x m tiles cover a height x width output.

    The last ones stand out over the border if m does not divide the size.
    """
    return -(-height // m), -(-width // m)
