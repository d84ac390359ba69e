"""Recipes run, small; what some of them promise of their stages."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eieio.model.formats import compressed
from eieio.model.formats.image_set import ImageSet
from eieio.training.recipes.catalogue import open_recipe

torch = pytest.importorskip("torch")

from eieio.training.run import run_recipe  # noqa: E402

RNG = np.random.default_rng(0)
SMALL: dict[str, dict[str, Any]] = {
    "dynamic-fixed-point": {"epochs": 1, "bits": (4,), "rule_bits": (4,)},
    "low-rank": {"epochs": 1, "tuning": 1, "speedups": (2.0,)},
    "ternary": {"epochs": 1},
    "pruning": {"epochs": 1, "retraining": 1, "densities": (0.1,), "qualities": (1.0,),
                "pes": 4, "form_densities": (0.1,)},
    "parallel-training": {
        "epochs": 1, "shared_batch": 16, "workers": (2,), "servers": (2,), "processes": (2,),
        "batches": 3, "split_images": 4, "search_workers": 2, "search_images": 40,
        "search_hidden": 4,
        "search_rates": (0.1,), "search_momenta": (0.0,), "search_batches": (8, 16)},
}
#: What takes long, and has tests of its parts.
LONG = {"pruning", "parallel-training"}


@pytest.fixture(scope="module")
def images() -> ImageSet:
    """Make images of ten kinds that are easy to tell: a row of each is bright."""
    halves = []
    for count in (256, 60):
        y = RNG.integers(0, 10, count)
        x = RNG.integers(0, 60, (count, 28, 28), np.uint8)
        x[np.arange(count), 2 * y + 3] += 190
        halves += [x, y]
    return ImageSet("rows", *halves)


@pytest.fixture(scope="module", params=[
    pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in SMALL])
def ran(request: pytest.FixtureRequest, images: ImageSet, tmp_path_factory: pytest.TempPathFactory
        ) -> tuple[str, Path, dict[str, Any]]:
    """Run a recipe: its name, its folder, and what comes of it."""
    if request.param == "parallel-training":
        pytest.importorskip("optuna")
    recipe = open_recipe(request.param)
    folder = tmp_path_factory.mktemp(recipe.name)
    result = run_recipe(recipe, images, (0,), dict(recipe.settings) | SMALL[recipe.name], folder)
    return recipe.name, folder, result


def test_runs(ran: tuple[str, Path, dict[str, Any]]) -> None:
    name, folder, result = ran
    names = [arm["name"] for arm in result["arms"]]
    assert len(names) == len(set(names)) > 2, name
    assert all(np.isfinite(arm["mean"]) for arm in result["arms"])
    assert not [*folder.rglob("*.checkpoint")]
    for path in folder.rglob("*.eie"):
        network = compressed.read(path)
        if name == "ternary":
            assert {layer.code_width for layer in network.weighted} == {2}
        if "-of-" in path.stem:
            keep, of = map(int, path.stem.split("-of-"))
            for layer in network.weighted:
                whole = layer.codes[:, :layer.codes.shape[1] // of * of]
                assert np.count_nonzero(whole.reshape(len(whole), -1, of), axis=2).max() <= keep
        if path.stem in {"any-10", "blocks-10", "balanced-10"}:
            assert network.density == pytest.approx(0.1, abs=0.01)
    if name == "pruning":
        gradual = torch.load(folder / "seed-0" / "gradual-10.pt")
        for layer in ("fc1", "fc2", "fc3"):
            weight, mask = gradual[f"{layer}.weight"], gradual[f"{layer}.mask"]
            assert torch.all(weight[mask == 0] == 0)
            assert mask.mean().item() == pytest.approx(0.1, abs=0.001)
