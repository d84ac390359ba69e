"""The learning rate of large batches: in proportion to the batch, and warmed up.

Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour" (2017). Of k workers with
a batch of n each, a step has a batch of kn. k steps of one worker move the weights by

    -rate * (mean of batch 1 + ... + mean of batch k)

and if the gradients hardly change on the way, one step with ``k * rate`` and the mean of all does
the same. At the start of a training they do change: so the rate climbs to it.
"""

from eieio.model.errors import InputError

__all__ = ["gradual_rate", "linear_rate"]


def linear_rate(rate: float, batch: int, base: int) -> float:
    """Return the learning rate of a batch, in proportion to its size.

    Parameters
    ----------
    rate : :class:`float`
        Learning rate of the batch ``base``.
    batch, base : :class:`int`
        Images of the batch, and of the one whose rate is known.

    Raises
    ------
    InputError
        If a batch has no images.
    """
    if batch < 1 or base < 1:
        raise InputError(f"A batch must have at least one image, not {min(batch, base)}")
    return rate * batch / base


def gradual_rate(first: float, last: float, step: int, steps: int) -> float:
    """Return the learning rate of a step of the warm-up, which climbs by as much at each.

    Parameters
    ----------
    first : :class:`float`
        Learning rate of step 0: that of the small batch.
    last : :class:`float`
        Learning rate after the warm-up: that of the large one.
    step : :class:`int`
        Steps done.
    steps : :class:`int`
        Steps of the warm-up; 0 if there is none.
    """
    return last if step >= steps else first + (last - first) * step / steps
