"""Pruning: masks, schedule and the step-by-step pruner."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eieio.model.compress.pruning import (
    IterativePruner,
    cubic_density,
    magnitude_mask,
    quality_mask,
)
from eieio.model.errors import InputError

WEIGHTS = hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=6),
                     elements=st.sampled_from([0, -0.0, 0.25, -0.25, 0.5, -0.75, 1, -2]))


def exactly(message: str) -> str:
    return f"^{re.escape(message)}$"


@settings(deadline=None)
@given(weight=WEIGHTS, density=st.floats(0, 1))
def test_magnitude_mask(weight: Any, density: float) -> None:
    mask = magnitude_mask(weight, density)

    assert mask.shape == weight.shape
    assert mask.dtype == np.bool_
    count = min(round(density * weight.size), np.count_nonzero(weight))
    # A stable sort keeps the first of equal magnitudes, as the mask must.
    kept = np.argsort(-np.abs(weight).ravel(), kind="stable")[:count]
    assert np.flatnonzero(mask.ravel()).tolist() == sorted(kept.tolist())


@pytest.mark.parametrize("density", [-0.1, 1.1, float("nan")])
def test_wrong_density(density: float) -> None:
    message = exactly(f"Density must be from 0 to 1, not {density!r}")
    with pytest.raises(InputError, match=message):
        magnitude_mask(np.ones(3, np.float32), density)


@pytest.mark.parametrize(("weight", "message"), [
    (np.ones(3, np.int8), "Weight must be an array of floats, not int8"),
    (np.ones((0, 3), np.float32), "Weight must not be empty, not of shape (0, 3)"),
    (np.array([[1, np.nan]], np.float32), "Weight must be finite, not nan at (0, 1)"),
])
def test_wrong_weight(weight: Any, message: str) -> None:
    with pytest.raises(InputError, match=exactly(message)):
        magnitude_mask(weight, 0.5)
    with pytest.raises(InputError, match=exactly(message)):
        quality_mask(weight, 0.5)


def test_quality_mask() -> None:
    weight = np.array([[3, -1], [0, -3]], np.float32)  # standard deviation 2.16506
    assert quality_mask(weight, 1).tolist() == [[True, False], [False, True]]
    assert quality_mask(weight, 0.4).tolist() == [[True, True], [False, True]]
    assert quality_mask(weight, 0).tolist() == [[True, True], [False, True]]


@pytest.mark.parametrize("quality", [-1.0, float("inf"), float("nan")])
def test_wrong_quality(quality: float) -> None:
    message = exactly(f"Quality must be finite and not negative, not {quality!r}")
    with pytest.raises(InputError, match=message):
        quality_mask(np.ones(3, np.float32), quality)


def test_cubic_density() -> None:
    densities = [cubic_density(step, start=2, end=6, initial=0.9, final=0.1)
                 for step in (0, 2, 3, 4, 5, 6, 9)]
    expected = [0.9, 0.9, 0.4375, 0.2, 0.1125, 0.1, 0.1]
    assert densities == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("options", "message"), [
    ({"end": 2}, "Last step must come after the first, 2, not 2"),
    ({"initial": 1.5}, "Initial density must be from 0 to 1, not 1.5"),
    ({"final": -0.5}, "Final density must be from 0 to 1, not -0.5"),
    ({"final": 0.95}, "Final density must not exceed the initial 0.9, not 0.95"),
])
def test_wrong_schedule(options: Any, message: str) -> None:
    arguments = {"start": 2, "end": 6, "initial": 0.9, "final": 0.1} | options
    with pytest.raises(InputError, match=exactly(message)):
        cubic_density(3, **arguments)


@pytest.mark.parametrize("criterion", ["density", "quality"])
def test_pruner(criterion: Any) -> None:
    rng = np.random.default_rng(1)
    weights = {"a": rng.normal(size=(20, 30)).astype(np.float32),
               "b": rng.normal(size=(10, 20)), "bias": np.ones(20, np.float32)}
    targets = {"a": 0.1, "b": 0.25} if criterion == "density" else {"a": 1.5, "b": 0.5}
    thresholds = {name: targets[name] * weights[name].std() for name in targets}
    pruner = IterativePruner(targets, steps=4, criterion=criterion)
    assert pruner.masks == {}
    assert pruner.densities == {}

    before = {name: np.ones(weights[name].shape, bool) for name in targets}
    for step in range(1, 5):
        assert not pruner.done
        current = pruner.apply(weights)
        masks = pruner.prune(current)
        assert pruner.step == step
        for name, mask in masks.items():
            assert not (mask & ~before[name]).any()
            if criterion == "density":
                density = cubic_density(step, start=0, end=4, initial=1, final=targets[name])
                assert np.count_nonzero(mask) == round(density * mask.size)
            else:
                share = 1 - (1 - step / 4) ** 3
                expected = before[name] & (np.abs(current[name]) > share * thresholds[name])
                np.testing.assert_array_equal(mask, expected)
            assert pruner.densities[name] == mask.mean()
        before = masks
        # An optimizer moves every weight, pruned or not.
        weights = {name: weight + rng.normal(size=weight.shape).astype(weight.dtype) / 10
                   for name, weight in weights.items()}

    assert pruner.done
    assert set(pruner.masks) == set(targets)
    masked = pruner.apply(weights)
    for name, weight in weights.items():
        assert masked[name].dtype == weight.dtype
        assert masked[name] is not weight
        np.testing.assert_array_equal(
            masked[name], weight * pruner.masks[name] if name in targets else weight)


def test_pruner_after_the_last_step() -> None:
    pruner = IterativePruner({"a": 0.5}, steps=1)
    first = pruner.prune({"a": np.arange(1.0, 9.0)})
    # The largest weights are now among the pruned ones, which must not come back.
    second = pruner.prune({"a": np.arange(9.0, 1.0, -1.0)})
    assert first["a"].tolist() == second["a"].tolist() == [False] * 4 + [True] * 4
    assert pruner.step == 1


@pytest.mark.parametrize(("arguments", "message"), [
    (({}, 1), "Targets must name at least one layer"),
    (({"a": 0.5}, 0), "Number of steps must be positive, not 0"),
    (({"a": 0.5}, 1, "size"), "Criterion must be 'density' or 'quality', not 'size'"),
    (({"a": 2}, 1), "Density of layer 'a' must be from 0 to 1, not 2"),
    (({"a": -1}, 1, "quality"), "Quality of layer 'a' must be finite and not negative, not -1"),
])
def test_wrong_pruner(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=exactly(message)):
        IterativePruner(*arguments)


@pytest.mark.parametrize(("weights", "message"), [
    ({"b": np.ones(4)}, "Weights must hold layer 'a'"),
    ({"a": np.ones(5)}, "Weight of layer 'a' must have shape (4,), not (5,)"),
    ({"a": np.ones(4, int)}, "Weight of layer 'a' must be an array of floats, not int64"),
])
def test_wrong_step(weights: Any, message: str) -> None:
    pruner = IterativePruner({"a": 0.5}, steps=2)
    pruner.prune({"a": np.ones(4)})
    with pytest.raises(InputError, match=exactly(message)):
        pruner.prune(weights)
    assert pruner.step == 1


def test_apply_to_another_shape() -> None:
    pruner = IterativePruner({"a": 0.5}, steps=2)
    pruner.prune({"a": np.ones(4)})
    message = exactly("Weight of layer 'a' must have shape (4,), not (2, 2)")
    with pytest.raises(InputError, match=message):
        pruner.apply({"a": np.ones((2, 2))})
