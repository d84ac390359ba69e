"""Distillation: a small network learns the softened outputs of a large one, or of several.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015). The geometric mean
of an ensemble is one of the two that section 1 names.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError

__all__ = ["Distillation", "geometric_mean", "soften"]

_Floats = NDArray[np.floating[Any]]


def _check_temperature(temperature: float) -> None:
    if not 0 < temperature < float("inf"):
        raise InputError(f"Temperature must be positive and finite, not {temperature!r}")


def soften(logits: _Floats, temperature: float) -> NDArray[np.float64]:
    """Return the softmax of ``logits / temperature``: the hotter, the more alike are the kinds.

    Parameters
    ----------
    logits : float array of shape (..., kinds)
        Outputs of a network, before its softmax.
    temperature : :class:`float`
        Positive; 1 is the plain softmax.

    Returns
    -------
    float64 array of the same shape
        Probabilities, whose sum over the last axis is 1.

    Raises
    ------
    InputError
        If the temperature is out of range.
    """
    _check_temperature(temperature)
    return np.exp(_log_soften(logits, temperature))


def _log_soften(logits: _Floats, temperature: float) -> NDArray[np.float64]:
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))


def geometric_mean(probabilities: _Floats) -> NDArray[np.float64]:
    """Return what an ensemble says: the geometric mean of its members' probabilities.

    It is divided by its sum. For softmax outputs of one temperature it is the softmax of the mean
    of the logits at this temperature.

    Parameters
    ----------
    probabilities : float array of shape (members, ..., kinds)
        What each member says, not negative. A kind that one member rules out has 0.

    Returns
    -------
    float64 array of shape (..., kinds)
        Probabilities, whose sum over the last axis is 1.

    Raises
    ------
    InputError
        If there is no member, a probability is negative or not finite, or every kind of a sample
        is ruled out by some member.
    """
    if probabilities.ndim < 2 or not len(probabilities):
        raise InputError("Probabilities must be of shape (members, ..., kinds) with a member, not "
                         f"of shape {probabilities.shape}")
    if not (np.isfinite(probabilities) & (probabilities >= 0)).all():
        raise InputError("Probabilities must be finite and not negative")
    with np.errstate(divide="ignore"):
        logarithm = np.log(probabilities.astype(np.float64)).mean(axis=0)
    if np.isneginf(logarithm).all(axis=-1).any():
        raise InputError("Probabilities must leave a kind of each sample that no member rules out")
    return np.exp(_log_soften(logarithm, 1.0))


@dataclass(frozen=True)
class Distillation:
    """The loss of a student: cross entropy with soft targets, and with the true kinds.

    ``(1 - hard) * T**2 * H(targets, softmax(z / T)) + hard * H(kinds, softmax(z))``, as the mean
    over the samples. The gradient of the soft part would shrink with ``1 / T**2``; the factor
    ``T**2`` keeps the share of both parts when the temperature changes.

    Attributes
    ----------
    temperature : :class:`float`
        ``T``, that of the targets as well; positive.
    hard : :class:`float`
        Share of the true kinds, 0 to 1.

    Raises
    ------
    InputError
        If an attribute is out of range.
    """

    temperature: float
    hard: float = 0.0

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)
        if not 0 <= self.hard <= 1:
            raise InputError(f"Share of the true kinds must be from 0 to 1, not {self.hard!r}")

    def loss(self, logits: _Floats, kinds: NDArray[np.integer[Any]], targets: _Floats) -> float:
        """Return the loss.

        Parameters
        ----------
        logits : float array of shape (samples, kinds)
            The student's outputs, before its softmax.
        kinds : integer array of shape (samples,)
            True kinds.
        targets : float array of shape (samples, kinds)
            The teacher's probabilities at the temperature, see :func:`soften`.
        """
        soft = -(targets * _log_soften(logits, self.temperature)).sum(axis=-1).mean()
        true = -_log_soften(logits, 1.0)[np.arange(len(kinds)), kinds].mean()
        return float((1 - self.hard) * self.temperature ** 2 * soft + self.hard * true)

    def gradient(self, logits: _Floats, kinds: NDArray[np.integer[Any]], targets: _Floats
                 ) -> NDArray[np.float64]:
        """Return the gradient of :meth:`loss`, of which the parameters are, by the logits.

        With soft targets alone and a temperature far above the logits it is that of half the square
        of the difference to the teacher's logits, divided by the number of kinds, if the mean of
        each sample's logits is 0.

        Returns
        -------
        float64 array of shape (samples, kinds)
        """
        soft = soften(logits, self.temperature) - targets
        true = soften(logits, 1.0)
        true[np.arange(len(kinds)), kinds] -= 1
        return ((1 - self.hard) * self.temperature * soft + self.hard * true) / len(kinds)
