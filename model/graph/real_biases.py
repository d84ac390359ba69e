"""Biases in real numbers: sums of products rounded as if these were exact.

Sums of products are whole numbers of steps; a real bias is between two of them, and accumulators
hold it in parts of a step. So a result is another than that of exact arithmetic where a sum comes
as near to a half as the bias was rounded. But it is only whole sums that count: each half of the
result's range has a first whole sum that reaches it. Whatever bias and factor let the same sums
reach the same halves give the exact result, whatever the input.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.rescale import quantize_factor
from eieio.model.graph.tensor import Tensor

__all__ = ["settle_halves"]

# Parts of a step that a bias is moved by at most.
_MOVES = np.array(sorted(range(-8, 9), key=abs))
# A sum this near to a half, in steps of sums, may be on either side.
_NEAR = 1e-6
# Of the room that a factor has, the share that is left at either end.
_MARGIN = 1 / 16

_Factors = tuple[NDArray[np.int32], NDArray[np.int32]]


def settle_halves(unit: NDArray[np.float64], real_bias: NDArray[Any], output: Tensor,
                  ends: tuple[int, int], bias: NDArray[np.int64], finer: int, factors: _Factors,
                  bounds: NDArray[np.int64]) -> tuple[NDArray[np.int64], _Factors]:
    """Change biases and factors so that results are those of exact biases, where that is possible.

    Parameters
    ----------
    unit : float64 array of shape (channels,)
        What a step of the sums is.
    real_bias : float array of shape (channels,)
        Biases.
    output : Tensor
        Result.
    ends : pair of :class:`int`
        Range of the result's integers.
    bias : int64 array of shape (channels,)
        Biases in steps of ``2**-finer`` of the sums' steps.
    finer : :class:`int`
        See above.
    factors : pair of int32 arrays of shape (channels,)
        Multipliers and shifts, of steps of the biases.
    bounds : int64 array of shape (channels,)
        Bounds of the sums of products.

    Returns
    -------
    int64 array, and pair of int32 arrays
        Biases, and factors.
    """
    halves = np.arange(ends[0] + 1, ends[1] + 1, dtype=np.float64) - output.zero_point - 0.5
    exact = unit / output.scale
    if not finer or not len(halves):
        return bias, factors
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        places = halves / exact[:, None] - (real_bias.astype(np.float64) / unit)[:, None]
        clear = (np.abs(places - np.rint(places)) > _NEAR) & (np.abs(places) < bounds[:, None])
    bias, multiplier, shift = bias.copy(), factors[0].copy(), factors[1].copy()
    # Factors of 1 and more leave out integers: no step of a sum is as small as theirs.
    for channel in np.flatnonzero((exact < 0.5) & clear.any(axis=1)):
        which = clear[channel]
        first: NDArray[np.float64] = np.ceil(places[channel, which])
        half: NDArray[np.float64] = halves[which]
        now = multiplier[channel] / 2.0 ** (31 + shift[channel]) * 2.0**finer
        if _agree(first + bias[channel] / 2.0**finer, half, now):
            continue
        room = (1 << 31) - (int(bounds[channel]) << finer) - int(abs(bias[channel]))
        found = _search(first, half, int(bias[channel]), finer, float(exact[channel]))
        if found is not None and room > len(_MOVES) and found[2] >= 0:
            bias[channel], multiplier[channel], shift[channel] = found
    return bias, (multiplier, shift)


def _agree(reaching: NDArray[np.float64], half: NDArray[np.float64], factor: float) -> bool:
    """Whether sums are the first ones that reach halves."""
    return bool((reaching * factor >= half).all() and ((reaching - 1) * factor < half).all())


def _search(first: NDArray[np.float64], half: NDArray[np.float64], bias: int, finer: int,
            exact: float) -> tuple[int, int, int] | None:
    """Find the nearest bias, and a factor, by which sums are the first ones that reach halves."""
    for move in _MOVES.tolist():
        reaching = first + (bias + move) / 2.0**finer
        below = reaching - 1
        with np.errstate(divide="ignore"):
            at, short = half / reaching, half / below
        # Above 0 the sum that reaches a half wants a factor so large, and the one before so small.
        low = np.concatenate([at[(half > 0) & (reaching > 0)], short[(half < 0) & (below < 0)]])
        high = np.concatenate([short[(half > 0) & (below > 0)], at[(half < 0) & (reaching < 0)]])
        least, most = low.max(initial=0.0), high.min(initial=2 * exact)
        if least >= most:
            continue
        margin = (most - least) * _MARGIN
        factor = float(np.clip(exact, least + margin, most - margin))
        multiplier, shift = quantize_factor(factor / 2**finer)
        if _agree(reaching, half, multiplier / 2.0 ** (31 + shift) * 2.0**finer):
            return bias + move, multiplier, shift
    return None
