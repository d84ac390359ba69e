"""Phases of Dense-Sparse-Dense training: held at 0, free again, and alike but for that."""

from pathlib import Path

import numpy as np
import pytest

from eieio.model.compress.dense_sparse_dense import Phase
from eieio.model.formats.image_set import ImageSet

torch = pytest.importorskip("torch")

from eieio.training.networks import mlp  # noqa: E402
from eieio.training.recipes.dense_sparse_dense import (  # noqa: E402
    RECIPE,
    few_images,
    train_phase,
)
from eieio.training.session import Session  # noqa: E402

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
IMAGES = ImageSet("noise", *(array for count in (60, 20) for array in (
    RNG.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count) % 10)))


def make() -> torch.nn.Sequential:
    return mlp(784, 16, 10)


def test_phases(tmp_path: Path) -> None:
    session = Session(0, tmp_path, IMAGES, {"batch": 10})
    places = torch.arange(60)
    dense = train_phase(session, "d", Phase("dense", 1, 1e-3), None, make, places)
    sparse = train_phase(session, "s", Phase("sparse", 2, 1e-3, 0.5), dense, make, places)
    again = train_phase(session, "a", Phase("dense again", 1, 1e-3), sparse, make, places)
    before, held, free = (model.fc1.weight.detach().abs() for model in (dense, sparse, again))
    zero = held == 0
    assert int(zero.sum()) == zero.numel() // 2
    assert before[zero].max() <= before[~zero].min()
    assert not torch.equal(before[~zero], held[~zero])
    # Half of the units or so say nothing to any of these images, and do not learn.
    assert float((free[zero] > 0).float().mean()) > 0.2
    # Biases are not pruned.
    assert sparse.fc2.bias.detach().abs().min() > 0


def test_images_differ_between_seeds(tmp_path: Path) -> None:
    first, again, other = (few_images(Session(seed, tmp_path, IMAGES, {"few": 15}))
                           for seed in (1, 1, 2))
    assert len(first.unique()) == 15
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_recipe(tmp_path: Path) -> None:
    settings = {**RECIPE.settings, "few": 20, "batch": 10, "sparsities": (0.5,), "epochs": 1,
                "more_epochs": 1}
    arms = RECIPE.measure(Session(0, tmp_path, IMAGES, settings))
    assert [arm.name for arm in arms] == [
        "dense, first phase alone", "control: dense in all three", "sparse, 50% off",
        "DSD, 50% off", "control: dense, all epochs in one phase",
        "DSD, 50% off, minus the first control"]
    assert arms[-1].value == pytest.approx(arms[3].value - arms[1].value)
