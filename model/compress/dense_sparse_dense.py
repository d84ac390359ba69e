"""Dense-Sparse-Dense training: prune, train what is left, and let the pruned weights grow again.

Han et al., "DSD: Dense-Sparse-Dense Training for Deep Neural Networks" (ICLR 2017).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.compress.pruning import magnitude_mask
from eieio.model.errors import InputError

__all__ = ["Phase", "dsd_masks", "dsd_phases", "masked_step"]

_Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Phase:
    """One of the three trainings.

    Attributes
    ----------
    name : :class:`str`
        ``"dense"``, ``"sparse"`` or ``"dense again"``.
    epochs : :class:`int`
        Passes over the images.
    rate : :class:`float`
        Highest learning rate.
    sparsity : :class:`float`
        Share of the weights that are held at 0.
    """

    name: str
    epochs: int
    rate: float
    sparsity: float = 0.0


def dsd_phases(epochs: int, more_epochs: int, rate: float, sparsity: float, *,
               slower: float = 0.1) -> tuple[Phase, Phase, Phase]:
    """Return the three phases; the last two train more slowly.

    Parameters
    ----------
    epochs, more_epochs : :class:`int`
        Passes of the first phase, and of each of the other two.
    rate : :class:`float`
        Learning rate of the first phase.
    sparsity : :class:`float`
        Share of the weights that the second phase holds at 0, from 0 up to but not 1. With 0 it is
        the control: dense all the time.
    slower : :class:`float`
        Learning rate of the other phases, as a share of the first one's.

    Raises
    ------
    InputError
        If the sparsity is out of range.
    """
    if not 0 <= sparsity < 1:
        raise InputError(f"Sparsity must be from 0 up to but not 1, not {sparsity!r}")
    return (Phase("dense", epochs, rate), Phase("sparse", more_epochs, slower * rate, sparsity),
            Phase("dense again", more_epochs, slower * rate))


def dsd_masks(weights: Mapping[str, _Floats], sparsity: float) -> dict[str, NDArray[np.bool_]]:
    """Mark the weights that the sparse phase trains: the largest magnitudes of each layer.

    Parameters
    ----------
    weights : mapping of :class:`str` to float arrays
        Weights of each layer.
    sparsity : :class:`float`
        Share of the weights of each layer to hold at 0, from 0 to 1.

    Returns
    -------
    dict of :class:`str` to bool arrays of the weights' shapes
        False for ``round(sparsity * size)`` weights, but for a rounding of half an element.
    """
    return {name: magnitude_mask(weight, 1 - sparsity) for name, weight in weights.items()}


def masked_step(weight: _Floats, gradient: _Floats, rate: float, mask: NDArray[np.bool_]
                ) -> NDArray[Any]:
    """Return the weights after a step of the sparse phase: gradient descent, and the mask after it.

    Since what the mask leaves out is 0 before and after, the network and the gradients of the
    others are those of a network that does not have these weights.
    """
    return (weight - rate * gradient) * mask
