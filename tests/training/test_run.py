"""Recipes are run whole, in pieces, and not with what does not fit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.formats.image_set import ImageSet
from eieio.training.recipes.recipe import Measured, Recipe

torch = pytest.importorskip("torch")

from eieio.training.run import run_recipe  # noqa: E402
from eieio.training.session import Session  # noqa: E402

RNG = np.random.default_rng(0)
IMAGES = ImageSet("noise", RNG.integers(0, 256, (64, 28, 28), np.uint8), RNG.integers(0, 10, 64),
                  RNG.integers(0, 256, (20, 28, 28), np.uint8), RNG.integers(0, 10, 20))


def measure(session: Session) -> list[Measured]:
    model = session.train("only", lambda: torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 10)), epochs=session.settings["epochs"], rate=0.01,
        batch=16)
    return [Measured("error", session.error(model))]


RECIPE = Recipe("noise", "Noise", "%", measure, settings={"epochs": 2})


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Twenty deaths later, all weights and results are those of a run that never died."""
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed.py"), whole, pieces, "20"],
        capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "20\n"), done.stderr
    names = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert [*map(str, names)] == ["lock", *(
        f"seed-{seed}/{name}" for seed in (0, 1)
        for name in ("first.pt", "result.json", "second.pt")), "settings.json"]
    for name in names:
        if name.suffix == ".pt":
            expected, found = (torch.load(folder / name) for folder in (whole, pieces))
            assert list(expected) == list(found)
            assert all(torch.equal(expected[key], found[key]) for key in expected)
        else:
            assert (whole / name).read_bytes() == (pieces / name).read_bytes()
    assert not [*pieces.rglob("*.checkpoint")]


def test_result(tmp_path: Path) -> None:
    found = run_recipe(RECIPE, IMAGES, (0, 1), {"epochs": 1}, tmp_path, limit=32)
    assert found == {
        "method": "Noise", "recipe": "noise", "unit": "%", "data": "noise", "images": 32,
        "settings": {"epochs": 1}, "torch": torch.__version__, "device": "cpu", "seeds": [0, 1],
        "arms": found["arms"]}
    arm, = found["arms"]
    assert arm["runs"] == [json.loads((tmp_path / f"seed-{seed}" / "result.json").read_text())
                           ["arms"][0]["value"] for seed in (0, 1)]
    # More seeds take what is there.
    more = run_recipe(RECIPE, IMAGES, (0, 1, 2), {"epochs": 1}, tmp_path, limit=32)
    assert more["arms"][0]["runs"][:2] == arm["runs"]


@pytest.mark.parametrize(("settings", "limit", "what"), [
    ({"epochs": 2}, 32, "settings {'epochs': 1}, not {'epochs': 2}"),
    ({"epochs": 1}, 16, "images 32, not 16")])
def test_other_settings_are_refused(tmp_path: Path, settings: dict[str, int], limit: int,
                                    what: str) -> None:
    run_recipe(RECIPE, IMAGES, (0,), {"epochs": 1}, tmp_path, limit=32)
    with pytest.raises(InputError) as error:
        run_recipe(RECIPE, IMAGES, (0,), dict(settings), tmp_path, limit=limit)
    assert str(error.value) == (f"{tmp_path} holds a run with {what}: give the same, or another "
                                "folder by --out")


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    run_recipe(RECIPE, IMAGES, (0,), {"epochs": 1}, tmp_path)
    (tmp_path / "seed-0" / "result.json").unlink()
    stage = tmp_path / "seed-0" / "only.pt"
    stage.write_bytes(stage.read_bytes()[:100])
    with pytest.raises(InputError, match=r"only\.pt must be a checkpoint, and is damaged"):
        run_recipe(RECIPE, IMAGES, (0,), {"epochs": 1}, tmp_path)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    def again(session: Session) -> list[Measured]:
        with pytest.raises(InputError, match="is in use by another run"):
            run_recipe(RECIPE, IMAGES, (1,), {"epochs": 1}, tmp_path)
        return measure(session)

    run_recipe(Recipe("noise", "Noise", "%", again), IMAGES, (0,), {"epochs": 1}, tmp_path)


def test_stages_of_one_draw_begin_alike(tmp_path: Path) -> None:
    """What differs between arms is the method: not their first weights, not the images' order."""
    session = Session(3, tmp_path, IMAGES, {})

    def make() -> Any:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))

    first, second, other = (
        session.train(name, make, epochs=1, rate=0.01, batch=16, draw=draw).state_dict()
        for name, draw in (("a", ""), ("b", ""), ("c", "other")))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    session = Session(0, tmp_path, IMAGES, {})
    counted: list[int] = []

    def count() -> list[Measured]:
        counted.append(1)
        return [Measured("first", 1.5, "curve", 2.0), Measured("second", 3, unit="of 4")]

    assert session.once("part", count) == session.once("part", count) == count()
    assert len(counted) == 2
    (tmp_path / "part.json").write_text("[1, 2")
    with pytest.raises(InputError, match=r"part\.json must be JSON, as this command writes it"):
        session.once("part", count)
