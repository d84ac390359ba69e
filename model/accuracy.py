"""How often a network is right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["accuracy"]


def accuracy(outputs: NDArray[Any], labels: NDArray[np.integer]) -> float:
    """Share of the samples whose largest output is the one that the label names.

    Parameters
    ----------
    outputs : array of shape (samples, outputs)
        Outputs of a network; of equal ones the first counts as the largest.
    labels : integer array of shape (samples,)
        Index of the right output.
    """
    return float(np.mean(np.argmax(outputs, axis=1) == labels))
