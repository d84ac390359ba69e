"""Data parallel training: each worker has a shard of a batch, and the gradients are summed.

A gradient of a batch is the mean over its images. Where each worker's gradient is the sum over its
shard, divided by the images of the whole batch, the sum over the workers is that mean, whatever the
sizes of the shards. Sums of floating-point numbers depend on their order, though: so it is fixed as
that of the ranks. Then any number of processes gives the same bits as one that computes shard after
shard.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError

__all__ = ["ordered_sum"]


def ordered_sum(gradients: Sequence[NDArray[np.floating[Any]]]) -> NDArray[Any]:
    """Add the workers' gradients in the order of their ranks: ``((g0 + g1) + g2) + ...``.

    Parameters
    ----------
    gradients : sequence of float arrays of one shape and dtype
        Of each worker: the sum over its shard, divided by the images of the whole batch.

    Returns
    -------
    float array of that shape and dtype
        Gradient of the mean over the batch.

    Raises
    ------
    InputError
        If there are none, or they differ in shape or dtype.
    """
    if not gradients or any((one.shape, one.dtype) != (gradients[0].shape, gradients[0].dtype)
                            for one in gradients):
        raise InputError("Gradients must be some, of one shape and dtype")
    total = gradients[0].copy()
    for one in gradients[1:]:
        total += one
    return total
