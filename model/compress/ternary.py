"""Binary and ternary weights: one or two magnitudes a layer, and zero.

Courbariaux, Bengio and David, "BinaryConnect" (NIPS 2015); Li, Zhang and Liu, "Ternary Weight
Networks" (2016); Zhu, Han, Mao and Dally, "Trained Ternary Quantization" (ICLR 2017). A layer
trains in full precision; it computes with signs and scales, which are a codebook of 2 bits.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.weight_codes import WeightCodes

__all__ = ["binary_probability", "binary_scale", "binary_signs", "optimal_ternary", "sign_codes",
           "ternary_scale", "ternary_signs", "ttq_gradients", "ttq_threshold", "twn_threshold"]

Array = NDArray[np.floating[Any]]


def binary_scale(outputs: int, inputs: int) -> float:
    """Return the magnitude of binary weights, by Glorot and Bengio's bound on initial weights."""
    return float(np.sqrt(6 / (outputs + inputs)))


def binary_signs(weight: Array) -> NDArray[np.int8]:
    """Return 1 where a weight is not negative, and -1 elsewhere."""
    return np.where(weight >= 0, np.int8(1), np.int8(-1))


def binary_probability(weight: Array, scale: float) -> Array:
    """Return how probable 1 is where signs are drawn: BinaryConnect's hard sigmoid.

    ``clip((weight / scale + 1) / 2, 0, 1)``, so that the mean of what is drawn, times the scale, is
    the weight, as long as it is within the scale.
    """
    return np.clip((weight / scale + 1) / 2, 0, 1).astype(weight.dtype)


def twn_threshold(weight: Array) -> float:
    """Return TWN's threshold: 0.7 times the mean magnitude.

    It is near the best one (:func:`optimal_ternary`) of weights that are distributed normally, 0.77
    times their mean magnitude, or evenly, 2/3: its squared error is less than 1 % above theirs.
    """
    _check(weight)
    return 0.7 * float(np.mean(np.abs(weight), dtype=np.float64))


def ttq_threshold(weight: Array, share: float = 0.05) -> float:
    """Return TTQ's threshold: a share of the largest magnitude."""
    _check(weight)
    return share * float(np.max(np.abs(weight)))


def ternary_signs(weight: Array, threshold: float) -> NDArray[np.int8]:
    """Return 1 above the threshold, -1 below its negative, and 0 between."""
    return (weight > threshold).astype(np.int8) - (weight < -threshold).astype(np.int8)


def ternary_scale(weight: Array, signs: NDArray[np.int8]) -> float:
    """Return the scale with which the signs are nearest: the mean magnitude of what is not 0.

    It is the scale by which the sum of ``(weight - scale * signs) ** 2`` is least, where signs are
    those of the weights. Without any sign it is 0.
    """
    nonzero = signs != 0
    return float(np.mean(np.abs(weight[nonzero]), dtype=np.float64)) if nonzero.any() else 0.0


def optimal_ternary(weight: Array) -> tuple[NDArray[np.int8], float]:
    """Find the signs and the one scale that are nearest to the weights, of all there are.

    With k signs that are not 0 the squared error is the sum of the squares less
    ``(sum of the k magnitudes) ** 2 / k``: so they are those of the k largest magnitudes, and every
    k is tried.

    Parameters
    ----------
    weight : float array of any shape
        Weights.

    Returns
    -------
    signs : int8 array of the same shape
        -1, 0 or 1.
    scale : :class:`float`
        Their scale.

    Raises
    ------
    InputError
        If there are no weights, or some are not finite.
    """
    _check(weight)
    magnitudes = np.abs(weight.astype(np.float64)).ravel()
    order = np.argsort(-magnitudes, kind="stable")
    sums = np.cumsum(magnitudes[order])
    count = int(np.argmax(sums ** 2 / np.arange(1, sums.size + 1))) + 1
    signs = np.zeros(weight.size, np.int8)
    signs[order[:count]] = np.sign(weight.ravel()[order[:count]]).astype(np.int8)
    return signs.reshape(weight.shape), float(sums[count - 1] / count)


def ttq_gradients(signs: NDArray[np.int8], gradient: Array, positive: float, negative: float
                  ) -> tuple[float, float, Array]:
    """Carry the gradient of ternary weights on to what TTQ trains.

    The ternary weights are ``positive`` where a sign is 1, ``-negative`` where it is -1, and 0.

    Parameters
    ----------
    signs : int8 array of any shape
        -1, 0 or 1.
    gradient : float array of that shape
        Of the loss, by the ternary weights.
    positive, negative : :class:`float`
        The two scales.

    Returns
    -------
    of_positive, of_negative : :class:`float`
        Gradients by the scales: sums over the weights of either sign.
    of_weight : float array of the same shape
        What takes the place of a gradient by the full-precision weights: that of a ternary weight
        times its scale, or times 1 where it is 0.
    """
    return (float(np.sum(gradient[signs > 0], dtype=np.float64)),
            -float(np.sum(gradient[signs < 0], dtype=np.float64)),
            gradient * np.where(signs > 0, positive, np.where(signs < 0, negative, 1)
                                ).astype(gradient.dtype))


def sign_codes(signs: NDArray[np.int8], positive: float, negative: float) -> WeightCodes:
    """Return ternary or binary weights as codes of 2 bits: 0, the positive one, the negative one.

    Parameters
    ----------
    signs : int8 array of any shape
        -1, 0 or 1.
    positive, negative : :class:`float`
        Magnitudes of the weights of either sign.

    Returns
    -------
    WeightCodes
        Codes 0, 1 and 2; the codebook's last entry is not used, and 0.
    """
    codebook = np.array([0, positive, -negative, 0], np.float32)
    return WeightCodes((signs % 3).astype(np.uint8), codebook)


def _check(weight: Array) -> None:
    if not weight.size or not np.isfinite(weight).all():
        raise InputError("Weights must be some, and finite")
