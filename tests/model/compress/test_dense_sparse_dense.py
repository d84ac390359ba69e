"""Dense-Sparse-Dense: what is held at 0, and that it is as if it were not there."""

import numpy as np
import pytest

from eieio.model.compress.dense_sparse_dense import (
    Phase,
    dsd_masks,
    dsd_phases,
    masked_step,
)
from eieio.model.errors import InputError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("sparsity", [0.0, 0.25, 0.3, 0.5, 0.9])
def test_masks(sparsity: float) -> None:
    """In each layer so many are left out, and none of them is larger than one that is kept."""
    weights = {"a": RNG.normal(size=(20, 10)), "b": RNG.normal(0, 100, (5, 4, 3))}
    masks = dsd_masks(weights, sparsity)
    for name, weight in weights.items():
        mask = masks[name]
        assert mask.shape == weight.shape
        assert np.count_nonzero(~mask) == round(sparsity * weight.size)
        if sparsity:
            # The paper's rule: larger than the k-th largest magnitude that is left out.
            threshold = np.sort(np.abs(weight), axis=None)[round(sparsity * weight.size) - 1]
            assert np.array_equal(mask, np.abs(weight) > threshold)


def test_sparse_phase_is_that_of_the_smaller_network() -> None:
    """Least squares with some weights left out is least squares without their inputs."""
    x, y = RNG.normal(size=(50, 8)), RNG.normal(size=50)
    start = RNG.normal(size=8)
    mask = dsd_masks({"": start}, 0.5)[""]
    whole, part = start * mask, start[mask]
    for _ in range(20):
        whole = masked_step(whole, x.T @ (x @ whole - y) / 50, 0.1, mask)
        part = part - 0.1 * (x[:, mask].T @ (x[:, mask] @ part - y) / 50)
        assert whole[mask] == pytest.approx(part)
        assert not whole[~mask].any()


def test_phases() -> None:
    assert dsd_phases(30, 10, 0.5, 0.25) == (
        Phase("dense", 30, 0.5), Phase("sparse", 10, 0.05, 0.25), Phase("dense again", 10, 0.05))
    with pytest.raises(InputError, match=r"^Sparsity must be from 0 up to but not 1, not 1$"):
        dsd_phases(30, 10, 0.5, 1)
