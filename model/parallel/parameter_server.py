"""A parameter server: workers push changes of the parameters, and get the new parameters back.

Dean et al., "Large Scale Distributed Deep Networks" (NIPS 2012). A worker that has the parameters p
sends its change, -rate * gradient(p); the server adds it, p' = p + change, and sends p' back.

- *Synchronous*: the server waits for the changes of all workers, and adds them in the order of
  their ranks. With shards of one batch it is one worker's step.
- *Asynchronous*: it adds whatever comes, and answers at once. A worker of W then computes its
  gradient at parameters that are W - 1 changes old by the time that they are added, if the workers
  are equally fast.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError

__all__ = ["ParameterServer", "stale_limit"]


class ParameterServer:
    """Holds parameters.

    Parameters
    ----------
    parameters : float array of any shape
        The first parameters; they are copied.

    Attributes
    ----------
    parameters : float array
        What they are now.
    pushed : :class:`int`
        Changes that were added.
    """

    def __init__(self, parameters: NDArray[np.floating[Any]]) -> None:
        self.parameters = parameters.copy()
        self.pushed = 0

    def push(self, *changes: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Add changes in this order, and return the parameters.

        Parameters
        ----------
        *changes : float arrays of the parameters' shape and dtype
            That of one worker, or those of all.

        Returns
        -------
        float array of that shape and dtype
            A copy, which a worker may keep.

        Raises
        ------
        InputError
            If a change has another shape or dtype.
        """
        own = self.parameters
        for change in changes:
            if (change.shape, change.dtype) != (own.shape, own.dtype):
                raise InputError(f"A change must have shape {own.shape} and dtype {own.dtype}, not "
                                 f"{change.shape} and {change.dtype}")
        for change in changes:
            own += change
            self.pushed += 1
        return own.copy()


def stale_limit(delay: int) -> float:
    """Return the rate times the curvature up to which descent with old gradients converges.

    On the parabola ``c x^2 / 2`` a gradient that is ``delay`` changes old gives
    ``x[t + 1] = x[t] - rate * c * x[t - delay]``, which tends to 0 for
    ``0 < rate * c < 2 sin(pi / (4 delay + 2))``: 2 without a delay, 1 with one of 1, and about
    ``pi / (2 delay + 1)`` with a long one. So W workers of an asynchronous server may need a rate
    that is W times as small. (Levin and May, "A note on difference-delay equations", Theoretical
    Population Biology, 1976.)

    Raises
    ------
    InputError
        If the delay is negative.
    """
    if delay < 0:
        raise InputError(f"Delay must not be negative, not {delay!r}")
    return 2 * math.sin(math.pi / (4 * delay + 2))
