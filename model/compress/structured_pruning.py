"""Pruning in forms that hardware likes: so many of each few, whole blocks, as much for each PE."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.compress.pruning import magnitude_mask
from eieio.model.errors import InputError

__all__ = ["balanced_mask", "block_mask", "few_of_each_mask"]

Weight = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def few_of_each_mask(weight: Weight, keep: int = 2, of: int = 4) -> Mask:
    """Mark the largest magnitudes of each few neighbouring inputs of an output.

    With 2 of 4 it is the form of Mishra et al., "Accelerating Sparse Deep Neural Networks" (2021).

    Parameters
    ----------
    weight : float array of shape (outputs, inputs)
        Weights of a layer.
    keep, of : :class:`int`
        How many of how many inputs. Of the inputs that are left at the end as many are kept, if
        there are so many.

    Returns
    -------
    bool array of the shape of ``weight``
        Of equal magnitudes the first are kept.

    Raises
    ------
    InputError
        If a parameter does not fit.
    """
    if weight.ndim != 2:
        raise InputError(f"Weight must have shape (outputs, inputs), not {weight.shape}")
    if not 0 < keep <= of:
        raise InputError(f"As many must be kept as 1 to {of}, not {keep!r}")
    outputs, inputs = weight.shape
    padded = np.full((outputs, -(-inputs // of) * of), -1.0)
    padded[:, :inputs] = np.abs(weight)
    order = np.argsort(-padded.reshape(outputs, -1, of), axis=2, kind="stable")
    mask = np.zeros(order.shape, np.bool_)
    np.put_along_axis(mask, order[..., :keep], True, axis=2)
    return mask.reshape(outputs, -1)[:, :inputs]


def block_mask(weight: Weight, density: float, block: tuple[int, int] = (4, 4)) -> Mask:
    """Mark the blocks with the largest mean squares.

    Parameters
    ----------
    weight : float array of shape (outputs, inputs)
        Weights of a layer.
    density : :class:`float`
        Share of the blocks to keep, from 0 to 1.
    block : pair of :class:`int`
        Outputs and inputs of a block; those at the ends may be smaller. It is why means are
        compared: by sums, outputs in smaller blocks would lose all their weights.

    Returns
    -------
    bool array of the shape of ``weight``
        Whole blocks. Blocks of zeros are never kept.

    Raises
    ------
    InputError
        If a parameter does not fit.
    """
    if weight.ndim != 2:
        raise InputError(f"Weight must have shape (outputs, inputs), not {weight.shape}")
    if min(block) < 1:
        raise InputError(f"Block must have at least 1 x 1 weights, not {block!r}")
    rows, columns = (-(-size // part) for size, part in zip(weight.shape, block, strict=True))
    padded = np.zeros((rows * block[0], columns * block[1]))
    padded[:weight.shape[0], :weight.shape[1]] = weight
    squares = np.einsum("rhcw,rhcw->rc", *[padded.reshape(rows, block[0], columns, block[1])] * 2)
    heights, widths = (np.minimum(part, size - part * np.arange(count)) for size, part, count
                       in zip(weight.shape, block, (rows, columns), strict=True))
    mask = magnitude_mask(squares / np.outer(heights, widths), density)
    return np.kron(mask, np.ones(block, np.bool_))[:weight.shape[0], :weight.shape[1]]


def balanced_mask(weight: Weight, density: float, pes: int) -> Mask:
    """Mark the largest magnitudes of each PE's rows, so that all PEs have as many.

    As Han et al., "ESE: Efficient Speech Recognition Engine with Sparse LSTM on FPGA" (FPGA 2017).

    Parameters
    ----------
    weight : float array of shape (outputs, inputs)
        Weights of a layer.
    density : :class:`float`
        Share of the weights to keep, from 0 to 1, of each PE.
    pes : :class:`int`
        Processing elements; row i belongs to PE i mod ``pes``.

    Returns
    -------
    bool array of the shape of ``weight``
        PEs that have as many rows have as many weights.

    Raises
    ------
    InputError
        If a parameter does not fit.
    """
    if weight.ndim != 2:
        raise InputError(f"Weight must have shape (outputs, inputs), not {weight.shape}")
    if pes < 1:
        raise InputError(f"There must be at least one PE, not {pes!r}")
    mask = np.zeros(weight.shape, np.bool_)
    for pe in range(min(pes, len(weight))):
        mask[pe::pes] = magnitude_mask(weight[pe::pes], density)
    return mask
