"""Weight sharing: clustering against brute force and scikit-learn, and the codes of a network."""

import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from eieio.model.compress import weight_sharing
from eieio.model.compress.weight_sharing import (
    centroid_gradient,
    cluster,
    reassign,
    share_weights,
)
from eieio.model.errors import InputError
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph

INITIALISATIONS = ["linear", "density", "random", "optimal"]


def exactly(message: str) -> str:
    return f"^{re.escape(message)}$"


def inertia(values: Any, centroids: Any, labels: Any) -> float:
    return float(np.sum((values.astype(float) - centroids.astype(float)[labels]) ** 2))


def check_clustering(values: Any, clusters: int, centroids: Any, labels: Any) -> None:
    assert centroids.dtype == np.float32
    assert labels.dtype == np.uint8
    assert labels.shape == values.shape
    assert centroids.size <= clusters
    assert (np.diff(centroids) > 0).all()
    assert set(labels.tolist()) == set(range(centroids.size))
    distances = np.abs(values.astype(float)[:, None] - centroids.astype(float))
    np.testing.assert_array_equal(labels, np.argmin(distances, axis=1))


def dataset(seed: int) -> NDArray[np.float32]:
    """Draw data as different as pruned weights, clumps, heavy tails and repeated values."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(50, 400))
    match seed % 5:
        case 0:
            values = rng.normal(size=4 * size)
            values = values[np.abs(values) > 1]
        case 1:
            values = rng.normal(rng.normal(size=8)[rng.integers(8, size=size)], 0.02)
        case 2:
            values = rng.standard_t(2, size=size)
        case 3:
            values = rng.integers(-40, 40, size=size) / 8
        case _:
            values = rng.uniform(0.9, 1, size=size) * 1e-3 + 0.01
    return values.astype(np.float32)


@settings(deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 9), elements=st.integers(-20, 20)),
       st.integers(1, 5))
def test_optimal_against_all_partitions(values: Any, clusters: int) -> None:
    centroids, labels = cluster(values, clusters)

    check_clustering(values, clusters, centroids, labels)
    ordered = np.sort(values).astype(float)
    best = min(
        sum(float(np.var(part) * part.size) for part in np.split(ordered, cuts) if part.size)
        for cuts in itertools.combinations_with_replacement(range(values.size + 1), clusters - 1))
    assert inertia(values, centroids, labels) <= best + 1e-4


@pytest.mark.parametrize("seed", range(15))
def test_optimal_against_scikit_learn(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = dataset(seed)
    clusters = [3, 7, 15][seed % 3]
    options: Any = {"n_init": 10, "random_state": seed}
    kmeans: Any = KMeans(clusters, **options)
    with threadpool_limits(1):  # Its threads wait for each other by spinning.
        kmeans.fit(values.astype(float)[:, None])
    # Ours are float32 centroids, so theirs must be, too.
    theirs = inertia(values, kmeans.cluster_centers_[:, 0].astype(np.float32), kmeans.labels_)

    for exact in (True, False):
        if not exact:
            # As for millions of weights: few places, then refinement.
            monkeypatch.setattr(weight_sharing, "_EXACT_WORK", 0)
            monkeypatch.setattr(weight_sharing, "_COARSE_PLACES", 64)
            monkeypatch.setattr(weight_sharing, "_WINDOW_PLACES", 9)
        centroids, labels = cluster(values, clusters)
        check_clustering(values, clusters, centroids, labels)
        assert inertia(values, centroids, labels) <= theirs * (1 + 1e-7)


def test_optimal_of_many_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    values = dataset(0)
    values = np.concatenate([values] + [dataset(seed) for seed in (5, 10, 15, 20, 25, 30)])
    centroids, labels = cluster(values, 63)
    exact = inertia(values, centroids, labels)
    monkeypatch.setattr(weight_sharing, "_EXACT_WORK", 0)
    monkeypatch.setattr(weight_sharing, "_COARSE_PLACES", 1600)

    centroids, labels = cluster(values, 63)

    check_clustering(values, 63, centroids, labels)
    assert exact * (1 - 1e-9) <= inertia(values, centroids, labels) <= exact * 1.001


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
@pytest.mark.parametrize("clusters", [1, 2, 15, 255, 256])
def test_fixed_point(clusters: int, initialisation: Any) -> None:
    for seed in range(5):
        values = dataset(seed)
        centroids, labels = cluster(values, clusters, initialisation, seed)
        check_clustering(values, clusters, centroids, labels)
        means = [values[labels == label].astype(float).mean() for label in range(centroids.size)]
        np.testing.assert_allclose(centroids, means, rtol=1e-6)


@pytest.mark.parametrize("initialisation", ["linear", "density", "random"])
def test_optimal_is_the_best(initialisation: Any) -> None:
    for seed in range(5):
        values = dataset(seed)
        best = inertia(values, *cluster(values, 15))
        assert best <= inertia(values, *cluster(values, 15, initialisation, seed)) * (1 + 1e-9)


def test_starts() -> None:
    values = np.array([-3, 0, 0.5, 1, 1, 1.5, 2, 9], np.float32)
    points = weight_sharing._Points.of(values)
    linear = weight_sharing._start(points, 4, "linear", 0)
    density = weight_sharing._start(points, 4, "density", 0)
    assert linear.tolist() == pytest.approx([-3, 1, 5, 9])
    assert density.tolist() == pytest.approx([0, 1, 1.5, 9])
    drawn = {tuple(weight_sharing._start(points, 3, "random", seed)) for seed in range(9)}
    assert len(drawn) > 3
    assert all(set(draw) <= set(points.values) for draw in drawn)


def test_seed() -> None:
    values = dataset(0)
    results = [cluster(values, 63, "random", seed)[0].tolist() for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_few_distinct_values(initialisation: Any) -> None:
    values = np.array([2, -1, 2, 2, 3e38, -1], np.float32)
    centroids, labels = cluster(values, 15, initialisation)
    assert centroids.tolist() == np.array([-1, 2, 3e38], np.float32).tolist()
    assert labels.tolist() == [1, 0, 1, 1, 2, 0]


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_no_value(initialisation: Any) -> None:
    centroids, labels = cluster(np.zeros(0, np.float32), 3, initialisation)
    assert (centroids.size, labels.size) == (0, 0)
    assert (centroids.dtype, labels.dtype) == (np.float32, np.uint8)


@pytest.mark.parametrize(("arguments", "message"), [
    ((np.ones(3), 2), "Values must be a 1-D float32 array, not 1-D float64"),
    ((np.ones((2, 2), np.float32), 2), "Values must be a 1-D float32 array, not 2-D float32"),
    ((np.array([1, np.inf], np.float32), 2), "Values must be finite, not inf at 1"),
    ((np.ones(3, np.float32), 0), "Number of clusters must be from 1 to 256, not 0"),
    ((np.ones(3, np.float32), 257), "Number of clusters must be from 1 to 256, not 257"),
    ((np.ones(3, np.float32), 2, "best"),
     "Initialisation must be 'linear', 'density', 'random' or 'optimal', not 'best'"),
])
def test_wrong_clustering(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=exactly(message)):
        cluster(*arguments)


def network() -> FloatGraph:
    rng = np.random.default_rng(3)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((30, 20), (10, 30), (4, 10))]
    weights[0][np.abs(weights[0]) < 1.2] = 0
    weights[1][np.arange(10), np.arange(10)] = -0.0
    weights[2][:] = 0
    return chain("net", tuple(
        fully_connected(name, weight, rng.normal(size=len(weight)).astype(np.float32), name != "c")
        for name, weight in zip("abc", weights, strict=True)))


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_share_weights(initialisation: Any) -> None:
    before = network()
    after = share_weights(before, [2, 4, 8], initialisation)

    assert after.name == "net"
    for old, new, width in zip(before.weighted, after.weighted, [2, 4, 8], strict=True):
        assert (new.name, new.rectified, new.code_width) == (old.name, old.rectified, width)
        np.testing.assert_array_equal(new.bias, old.bias)
        np.testing.assert_array_equal(new.codes == 0, old.weight == 0)
        used = np.unique(new.codes[new.codes > 0])
        assert used.tolist() == list(range(1, used.size + 1))
        assert not new.codebook[used.size + 1:].any()
        nonzeros = old.weight[old.weight != 0]
        centroids, labels = cluster(nonzeros, 2 ** width - 1, initialisation)
        np.testing.assert_array_equal(new.codebook[1:used.size + 1], centroids)
        np.testing.assert_array_equal(new.codes[new.codes > 0], labels + 1)


def test_share_weights_of_one_width() -> None:
    assert [layer.code_width for layer in share_weights(network(), 3).weighted] == [3, 3, 3]


@pytest.mark.parametrize(("arguments", "message"), [
    ((1,), "Code width of layer 'a' must be from 2 to 8, not 1"),
    (([2, 9, 2],), "Code width of layer 'b' must be from 2 to 8, not 9"),
    (([2, 2],), "Code widths must be given for 3 layers, not 2"),
    ((4, "best"), "Initialisation must be 'linear', 'density', 'random' or 'optimal', not 'best'"),
])
def test_wrong_sharing(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=exactly(message)):
        share_weights(network(), *arguments)


def test_reassign() -> None:
    codebook = np.array([0, 4, 0, -2, 1], np.float32)
    weight = np.array([[0, 0.1, 2.5, 2.6], [-0.0, -0.5, -0.6, 9]], np.float32)
    assert reassign(weight, codebook).tolist() == [[0, 4, 4, 1], [0, 3, 3, 1]]


def test_reassign_unchanged_weights() -> None:
    for layer in share_weights(network(), 4).weighted:
        np.testing.assert_array_equal(
            reassign(layer.weight, layer.codebook), layer.codes)


@pytest.mark.parametrize(("weight", "codebook", "message"), [
    (np.ones(2), np.zeros(4, np.float32), "Weight must be a float32 array, not float64"),
    (np.ones(2, np.float32), np.zeros(4),
     "Codebook must be a 1-D float32 array, not 1-D float64"),
    (np.ones(2, np.float32), np.ones(4, np.float32),
     "Codebook must be finite, hold 1 to 256 weights and begin with 0"),
    (np.full(2, np.nan, np.float32), np.zeros(4, np.float32), "Weight must be finite"),
    (np.ones(2, np.float32), np.zeros(4, np.float32),
     "Codebook must hold a nonzero weight, since there are nonzero weights"),
])
def test_wrong_reassign(weight: Any, codebook: Any, message: str) -> None:
    with pytest.raises(InputError, match=exactly(message)):
        reassign(weight, codebook)


def test_centroid_gradient_is_the_derivative() -> None:
    # The loss sum(codebook[codes] * gradient) has that gradient by its weights.
    rng = np.random.default_rng(4)
    codes = rng.integers(8, size=(12, 9), dtype=np.uint8)
    gradient = rng.integers(-9, 9, size=codes.shape).astype(np.float32)
    expected = [0] + [float(gradient[codes == code].sum()) for code in range(1, 8)]

    result = centroid_gradient(codes, gradient, 3)

    assert result.dtype == np.float32
    assert result.tolist() == expected
    assert centroid_gradient(codes, gradient, 5).tolist() == expected + [0] * 24


@pytest.mark.parametrize(("arguments", "message"), [
    ((np.zeros(3, np.uint8), np.zeros(3), 1), "Code width must be from 2 to 8, not 1"),
    ((np.zeros(3, int), np.zeros(3), 2), "Codes must be a uint8 array, not int64"),
    ((np.zeros(3, np.uint8), np.zeros(3, int), 2),
     "Gradient must be an array of floats, not int64"),
    ((np.zeros(3, np.uint8), np.zeros(4), 2), "Gradient must have shape (3,), not (4,)"),
    ((np.full(3, 4, np.uint8), np.zeros(3), 2), "Codes must be below 4, not 4"),
])
def test_wrong_gradient(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=exactly(message)):
        centroid_gradient(*arguments)
