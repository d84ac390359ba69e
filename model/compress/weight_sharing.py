"""Weight sharing: one-dimensional k-means over the nonzero weights of each layer.

As in Han et al., "Deep Compression" (ICLR 2016), section 3; the ``"optimal"`` clustering is ours.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.float32 import as_float32
from eieio.model.graph.float_graph import FloatGraph, WeightedOperator
from eieio.model.graph.weight_codes import WeightCodes

__all__ = ["Initialisation", "centroid_gradient", "cluster", "code_widths", "reassign",
           "share_weights"]

Initialisation = Literal["linear", "density", "random", "optimal"]

# Distinct values times clusters up to which "optimal" searches all partitions: a second or two.
_EXACT_WORK = 5_000_000
# Places a boundary is tried at, in the first search and in each refinement, for more than that.
_COARSE_PLACES = 16384
_WINDOW_PLACES = 65
# Lloyd's algorithm creeps towards its fixed point when there are many clusters.
_LLOYD_ITERATIONS = 10_000


@dataclass(frozen=True, eq=False)
class _Points:
    """Distinct values in rising order, with what makes the cost of a range of them O(1).

    The inertia of a partition is a constant minus the sum of its ranges' :meth:`gain`, so the best
    partition is the one that gains most. Sums are of differences from the mean of all values,
    which keeps rounding errors small.
    """

    values: NDArray[np.float64]  # (points,)
    counts: NDArray[np.float64]  # (points + 1,), of all values before each
    sums: NDArray[np.float64]  # (points + 1,), of all values before each, centred
    centre: float

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> "_Points":
        ordered = np.sort(values)
        first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        bounds = np.append(first, ordered.size).astype(np.float64)
        distinct = ordered[first].astype(np.float64)
        centre = float(np.mean(ordered, dtype=np.float64))
        sums = np.concatenate(([0.0], np.cumsum((distinct - centre) * np.diff(bounds))))
        return cls(distinct, bounds, sums, centre)

    def gain(self, start: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[np.float64]:
        """Square of the sum, by the count, of each non-empty range."""
        total = self.sums[end] - self.sums[start]
        return total * total / (self.counts[end] - self.counts[start])

    def means(self, bounds: NDArray[np.intp]) -> NDArray[np.float64]:
        """Mean of each non-empty range of a partition, summed anew and not by differences."""
        sums = np.add.reduceat(self.values * np.diff(self.counts), bounds[:-1])
        return sums / np.diff(self.counts[bounds])

    def partition_gain(self, bounds: NDArray[np.intp]) -> float:
        return float(np.sum(self.gain(bounds[:-1], bounds[1:])))


def cluster(values: NDArray[np.float32], clusters: int,
            initialisation: Initialisation = "optimal", seed: int = 0,
            ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Cluster numbers so that their squared distances to their cluster's mean are small.

    Parameters
    ----------
    values : float32 array of shape (n_values,)
        Numbers to cluster.
    clusters : :class:`int`
        Number of clusters, from 1 to 256.
    initialisation : ``"linear"``, ``"density"``, ``"random"`` or ``"optimal"``
        The first three start Lloyd's algorithm as Deep Compression does: evenly between the
        extremes, evenly over the cumulative distribution, or at random values. ``"optimal"``
        depends on no start: it searches all partitions by dynamic programming, so that no
        clustering has a smaller sum of squares, if the distinct values times ``clusters`` are at
        most 5,000,000. Beyond, it searches all partitions with bounds at some 16,000 places, then
        refines all bounds jointly down to single values, and returns the best of that and the
        ``"linear"`` and ``"density"`` results.
    seed : :class:`int`
        Seed of ``"random"``.

    Returns
    -------
    centroids : float32 array of shape (n_centroids,)
        Means of the clusters, rising. There are fewer than ``clusters`` if there are fewer
        distinct values, or if Lloyd's algorithm leaves clusters empty.
    labels : uint8 array of shape (n_values,)
        Index of the nearest centroid of each value, the lower of two equally near.

    Raises
    ------
    InputError
        If a parameter does not fit, or a value is not finite.
    """
    if values.dtype != np.float32 or values.ndim != 1:
        raise InputError(
            f"Values must be a 1-D float32 array, not {values.ndim}-D {values.dtype}")
    if not np.isfinite(values).all():
        where = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"Values must be finite, not {values[where]} at {where}")
    if not 1 <= clusters <= 256:
        raise InputError(f"Number of clusters must be from 1 to 256, not {clusters!r}")
    _check_initialisation(initialisation)
    return _cluster(values, clusters, initialisation, seed)


def _check_initialisation(initialisation: str) -> None:
    if initialisation not in get_args(Initialisation):
        raise InputError("Initialisation must be 'linear', 'density', 'random' or 'optimal', "
                         f"not {initialisation!r}")


def _cluster(values: NDArray[np.float32], clusters: int, initialisation: Initialisation,
             seed: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    if not values.size:
        return np.zeros(0, np.float32), np.zeros(0, np.uint8)
    points = _Points.of(values)
    if points.values.size <= clusters:
        bounds = np.arange(points.values.size + 1)
    elif initialisation == "optimal":
        bounds = _optimal(points, clusters)
    else:
        bounds = _lloyd(points, _start(points, clusters, initialisation, seed))
    centroids = points.means(bounds).astype(np.float32)
    labels = _nearest(values, centroids)
    # Only a tie or the rounding of a mean can empty a cluster here.
    used = np.bincount(labels, minlength=centroids.size) > 0
    if not used.all():
        labels = (np.cumsum(used) - 1).astype(np.uint8)[labels]
        centroids = centroids[used]
    return centroids, labels


def _nearest(values: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.uint8]:
    exact = centroids.astype(np.float64)
    # Rounded down to float32, a midpoint still separates the same float32 values.
    middle = (exact[:-1] + exact[1:]) / 2
    below = middle.astype(np.float32)
    below = np.where(below > middle, np.nextafter(below, np.float32(-np.inf)), below)
    return np.searchsorted(below, values, side="left").astype(np.uint8)


def _start(points: _Points, clusters: int, initialisation: Initialisation,
           seed: int) -> NDArray[np.float64]:
    """Choose the rising first centroids of Lloyd's algorithm."""
    if initialisation == "linear":
        return np.linspace(points.values[0], points.values[-1], clusters)
    total = points.counts[-1]
    if initialisation == "density":
        ranks = (np.arange(clusters) + 0.5) * (total / clusters)
    else:
        ranks = np.random.default_rng(seed).choice(int(total), clusters, replace=False)
    return np.unique(points.values[np.searchsorted(points.counts, ranks, side="right") - 1])


def _lloyd(points: _Points, centroids: NDArray[np.float64]) -> NDArray[np.intp]:
    """Improve centroids until they stay; returns the bounds of the non-empty clusters."""
    bounds = np.zeros(0, np.intp)
    for _ in range(_LLOYD_ITERATIONS):
        middle = (centroids[:-1] + centroids[1:]) / 2
        inner = np.searchsorted(points.values, middle, side="right")
        moved = np.concatenate(([0], inner, [points.values.size]))
        if np.array_equal(moved, bounds):
            break
        bounds = moved
        sums, counts = np.diff(points.sums[bounds]), np.diff(points.counts[bounds])
        # An empty cluster waits where it is until others leave values to it.
        shifts = np.divide(sums, counts, out=centroids - points.centre, where=counts > 0)
        centroids = shifts + points.centre
    return np.unique(bounds)


def _optimal(points: _Points, clusters: int) -> NDArray[np.intp]:
    size = points.values.size
    if size * clusters <= _EXACT_WORK:
        return _search(points, np.arange(size + 1), clusters)
    # Half the places follow the data, half the axis, so that tails are resolved as well.
    even = np.linspace(0, size, _COARSE_PLACES // 2).round().astype(np.intp)
    axis = np.linspace(points.values[0], points.values[-1], _COARSE_PLACES // 2)
    places = np.unique(np.concatenate((even, np.searchsorted(points.values, axis))))
    bounds = _refine(points, _search(points, places, clusters), places)
    starts = [points.means(bounds), _start(points, clusters, "linear", 0),
              _start(points, clusters, "density", 0)]
    return max((_lloyd(points, start) for start in starts), key=points.partition_gain)


def _search(points: _Points, places: NDArray[np.intp], clusters: int) -> NDArray[np.intp]:
    """Find the best partition with bounds at the places, by dynamic programming.

    The best last bound never falls as the range grows. So every round of a level takes the
    middles of what is undecided, and looks only between the bounds found for their neighbours:
    O(places) work a round, all of it in NumPy.

    Parameters
    ----------
    points : _Points
        Values.
    places : intp array of shape (n_places,)
        Rising bounds to choose from, first 0 and last the number of values; more than
        ``clusters``.
    clusters : :class:`int`
        Number of clusters.

    Returns
    -------
    intp array of shape (clusters + 1,)
        Bounds of the clusters, with both ends.
    """
    last = places.size - 1
    sums, counts = points.sums[places], points.counts[places]
    if clusters == 1:
        return places[[0, last]]
    # best[i]: largest gain of the values before place i in one more cluster each level.
    best = np.full(last + 1, -np.inf)
    best[1:] = sums[1:] * sums[1:] / counts[1:]
    choices = np.zeros((clusters, last + 1), np.int32)
    for level in range(1, clusters):
        # Place i is ended by cluster `level` and so has at least `level` places before it. The
        # last level only matters for the last place.
        choice = choices[level]
        fresh = np.full(last + 1, -np.inf)
        low, high = (last, last) if level == clusters - 1 else (level + 1, last)
        ends = np.array([low]) if low == high else np.array([low, high])
        lows = np.full(ends.size, level)
        _choose(best, sums, counts, ends, lows, ends - 1, fresh, choice)
        stride = 1
        while stride < high - low:
            stride *= 2
        while stride > 1:
            half = stride // 2
            ends = np.arange(low + half, high, stride)
            before = ends - half
            after = np.minimum(ends + half, high)
            _choose(best, sums, counts, ends, choice[before].astype(np.intp),
                    np.minimum(choice[after], ends - 1), fresh, choice)
            stride = half
        best = fresh
    bounds = [last]
    for level in range(clusters - 1, 0, -1):
        bounds.append(int(choices[level][bounds[-1]]))
    return places[[0, *bounds[::-1]]]


def _choose(best: NDArray[np.float64], sums: NDArray[np.float64], counts: NDArray[np.float64],
            ends: NDArray[np.intp], lows: NDArray[np.intp], highs: NDArray[np.intp],
            fresh: NDArray[np.float64], choice: NDArray[np.int32]) -> None:
    """For each end, set ``fresh`` and ``choice`` to the best start from its low to its high."""
    lengths = highs - lows + 1
    offsets = np.cumsum(lengths) - lengths
    starts = np.repeat(lows - offsets, lengths)
    starts += np.arange(starts.size)
    gains = np.repeat(sums[ends], lengths)
    gains -= sums[starts]
    gains *= gains
    widths = np.repeat(counts[ends], lengths)
    widths -= counts[starts]
    gains /= widths
    gains += best[starts]
    top = np.maximum.reduceat(gains, offsets)
    hits = np.flatnonzero(gains == np.repeat(top, lengths))
    # Of equal gains the first start wins: it is assigned last.
    ranges = np.searchsorted(offsets, hits, side="right") - 1
    choice[ends[ranges[::-1]]] = starts[hits[::-1]]
    fresh[ends] = top


def _refine(points: _Points, bounds: NDArray[np.intp],
            places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Improve a partition with bounds at the places, all bounds jointly, to single values."""
    size = points.values.size
    where = np.searchsorted(places, bounds[1:-1])
    lows = places[np.maximum(where - 2, 0)]
    highs = places[np.minimum(where + 2, places.size - 1)]
    shares = np.linspace(0, 1, _WINDOW_PLACES)
    inner = bounds[1:-1]
    while True:
        windows = (lows[:, None] + (highs - lows)[:, None] * shares).round().astype(np.intp)
        # With what was found before among the choices, a round never loses.
        bounds = _search_windows(points, np.column_stack((windows, inner)))
        inner = bounds[1:-1]
        if (highs - lows < _WINDOW_PLACES).all():
            return bounds
        # A quarter of the window, around what was found: eight steps to either side.
        reach = np.maximum((highs - lows) // 8, _WINDOW_PLACES // 2 - 1)
        lows = np.maximum(inner - reach, 0)
        highs = np.minimum(inner + reach, size)


def _search_windows(points: _Points, windows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Find the best partition with each inner bound in its own window.

    Parameters
    ----------
    points : _Points
        Values.
    windows : intp array of shape (clusters - 1, n_places)
        Places each inner bound may take; at least one choice must leave no cluster empty.

    Returns
    -------
    intp array of shape (clusters + 1,)
        Bounds of the clusters, with both ends.
    """
    ends = [np.array([0]), *windows, np.array([points.values.size])]
    best = np.zeros(1)
    choices = []
    for before, after in itertools.pairwise(ends):
        fits = before[:, None] < after
        counts = np.where(fits, points.counts[after] - points.counts[before][:, None], 1)
        gains = (points.sums[after] - points.sums[before][:, None]) ** 2 / counts
        gains = np.where(fits, gains + best[:, None], -np.inf)
        choices.append(np.argmax(gains, axis=0))
        best = np.max(gains, axis=0)
    bounds = [points.values.size]
    chosen = 0
    for choice, before in zip(choices[::-1], ends[-2::-1], strict=True):
        chosen = int(choice[chosen])
        bounds.append(int(before[chosen]))
    return np.array(bounds[::-1])


def share_weights(network: FloatGraph, code_width: int | Sequence[int],
                  initialisation: Initialisation = "optimal", seed: int = 0) -> FloatGraph:
    """Share the weights of each layer: cluster its nonzeros and replace each by its centroid.

    Parameters
    ----------
    network : FloatGraph
        Pruned network. A zero stays a zero: it becomes code 0.
    code_width : :class:`int` or sequence of :class:`int`
        Bits of a code, from 2 to 8, for all layers or for each operator with weights. A width
        of w gives ``2 ** w - 1`` clusters; their codes rise with their weights, and the codebook
        ends in zeros where a layer needs fewer.
    initialisation, seed
        See :func:`cluster`.

    Returns
    -------
    FloatGraph
        Network of the same operators, with shared weights and biases in float32.

    Raises
    ------
    InputError
        If a parameter does not fit, or weights are too large for float32.
    """
    _check_initialisation(initialisation)
    return network.with_weighted(
        _share_layer(layer, width, initialisation, seed)
        for layer, width in zip(network.weighted, code_widths(network, code_width), strict=True))


def code_widths(network: FloatGraph, code_width: int | Sequence[int]) -> list[int]:
    """Return the bits of a code of each operator with weights, as :func:`share_weights` takes them.

    Raises
    ------
    InputError
        If there is another number of widths, or one is out of its range.
    """
    layers = network.weighted
    widths = [code_width] if isinstance(code_width, int) else [*code_width]
    if len(widths) == 1:
        widths *= len(layers)
    if len(widths) != len(layers):
        raise InputError(f"Code widths must be given for {len(layers)} layers, not {len(widths)}")
    for layer, width in zip(layers, widths, strict=True):
        _check_code_width(width, f"Code width of layer {layer.name!r}")
    return widths


def _check_code_width(width: int, what: str) -> None:
    if not 2 <= width <= 8:
        raise InputError(f"{what} must be from 2 to 8, not {width!r}")


def _share_layer(layer: WeightedOperator, width: int, initialisation: Initialisation,
                 seed: int) -> WeightedOperator:
    weight = as_float32(layer.weight, f"Layer {layer.name!r}: weight")
    nonzero = np.flatnonzero(weight)
    centroids, labels = _cluster(weight.ravel()[nonzero], 2 ** width - 1, initialisation, seed)
    codebook = np.zeros(2 ** width, np.float32)
    codebook[1:centroids.size + 1] = centroids
    codes = np.zeros(weight.size, np.uint8)
    codes[nonzero] = labels + np.uint8(1)
    shared = WeightCodes(codes.reshape(weight.shape), codebook)
    return replace(layer, weight=shared.weight, shared=shared,
                   bias=as_float32(layer.bias, f"Layer {layer.name!r}: bias"))


def reassign(weight: NDArray[np.float32], codebook: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Code weights by the nearest weight of a codebook.

    After the codebook was trained, this codes the unshared weights anew.

    Parameters
    ----------
    weight : float32 array of any shape
        Weights.
    codebook : float32 array of shape (depth,)
        Shared weights, in any order; the first is 0, and further zeros are unused entries.

    Returns
    -------
    uint8 array of the shape of ``weight``
        Codes. A weight that is 0, and no other, is code 0.

    Raises
    ------
    InputError
        If an array does not fit, or there is a nonzero weight but no nonzero to code it by.
    """
    if weight.dtype != np.float32:
        raise InputError(f"Weight must be a float32 array, not {weight.dtype}")
    if codebook.dtype != np.float32 or codebook.ndim != 1:
        raise InputError(
            f"Codebook must be a 1-D float32 array, not {codebook.ndim}-D {codebook.dtype}")
    if not 1 <= codebook.size <= 256 or codebook[0] != 0 or not np.isfinite(codebook).all():
        raise InputError("Codebook must be finite, hold 1 to 256 weights and begin with 0")
    if not np.isfinite(weight).all():
        raise InputError("Weight must be finite")
    nonzero = np.flatnonzero(weight)
    used = np.flatnonzero(codebook)
    if nonzero.size and not used.size:
        raise InputError("Codebook must hold a nonzero weight, since there are nonzero weights")
    codes = np.zeros(weight.size, np.uint8)
    if nonzero.size:
        used = used[np.argsort(codebook[used], kind="stable")]
        codes[nonzero] = used[_nearest(weight.ravel()[nonzero], codebook[used])]
    return codes.reshape(weight.shape)


def centroid_gradient(codes: NDArray[np.uint8], gradient: NDArray[np.floating[Any]],
                      code_width: int) -> NDArray[np.float32]:
    """Sum the gradient of the weights over the weights that share each codebook entry.

    This is the gradient of the codebook (Deep Compression, section 3.3).

    Parameters
    ----------
    codes : uint8 array of any shape
        Codes of the weights.
    gradient : float array of the shape of ``codes``
        Gradient of the loss by each weight.
    code_width : :class:`int`
        Bits of a code, from 2 to 8.

    Returns
    -------
    float32 array of shape (2 ** code_width,)
        Gradient of the loss by each codebook entry; the first, whose weight stays 0, is 0.

    Raises
    ------
    InputError
        If a parameter does not fit.
    """
    _check_code_width(code_width, "Code width")
    if codes.dtype != np.uint8:
        raise InputError(f"Codes must be a uint8 array, not {codes.dtype}")
    if not np.issubdtype(gradient.dtype, np.floating):
        raise InputError(f"Gradient must be an array of floats, not {gradient.dtype}")
    if gradient.shape != codes.shape:
        raise InputError(f"Gradient must have shape {codes.shape}, not {gradient.shape}")
    depth = 2 ** code_width
    if codes.size and codes.max() >= depth:
        raise InputError(f"Codes must be below {depth}, not {codes.max()}")
    nonzero = np.flatnonzero(codes)
    sums = np.bincount(codes.ravel()[nonzero], gradient.ravel()[nonzero], depth)
    return sums.astype(np.float32)
