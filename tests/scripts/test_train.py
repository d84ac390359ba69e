"""``eieio train``: lists recipes, runs one, and says in one line what is missing."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from eieio.scripts.main import main
from eieio.training.recipes.catalogue import RECIPES, open_recipe


def eieio(*args: object) -> Result:
    return CliRunner(catch_exceptions=False).invoke(main, [*map(str, args)], prog_name="eieio")


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of ten kinds that are easy to tell: a row of each is bright."""
    path = tmp_path_factory.mktemp("mnist") / "mnist.npz"
    rng = np.random.default_rng(0)
    arrays = {}
    for half, count in (("train", 256), ("test", 60)):
        y = rng.integers(0, 10, count)
        x = rng.integers(0, 60, (count, 28, 28), np.uint8)
        x[np.arange(count), 2 * y + 3] += 190
        arrays |= {f"x_{half}": x, f"y_{half}": y}
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("args", [("train",), ("train", "--help")])
def test_lists_recipes(args: tuple[str, ...]) -> None:
    result = eieio(*args)
    assert result.exit_code == 0
    assert all(f"  {name}  " in result.stdout for name in RECIPES)


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch, mnist: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    result = eieio("train", "dynamic-fixed-point", "--mnist", mnist)
    assert (result.exit_code, result.stderr) == (
        2, "eieio: Training needs the Python package torch: pip install 'eieio[train]'\n")


def test_unknown_recipe() -> None:
    result = eieio("train", "alchemy")
    assert (result.exit_code, result.stderr.partition(",")[0]) == (
        2, f"eieio: Recipe must be one of {next(iter(RECIPES))}")


def test_without_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    result = eieio("train", "dynamic-fixed-point")
    assert result.exit_code == 2
    assert result.stderr == (
        f"eieio: MNIST is not at {tmp_path / 'datasets' / 'mnist.npz'}, where Keras keeps it: name "
        "the file by --mnist FILE.npz\n")


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_is_named_after_its_module(name: str) -> None:
    pytest.importorskip("torch")
    assert open_recipe(name).name == name


def test_runs_a_recipe(mnist: Path, tmp_path: Path) -> None:
    """Results, plot and page are written; the second time nothing is trained again."""
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    (tmp_path / "docs" / "methods").mkdir(parents=True)
    page = tmp_path / "docs" / "methods" / "dynamic-fixed-point.md"
    page.write_text("# Dynamic fixed point\n\nWords.\n")
    command = ("train", "dynamic-fixed-point", "--mnist", mnist, "--seeds", 2, "--set", "epochs=1",
               "--set", "bits=2,8", "--set", "rule_bits=4", "--out", tmp_path / "run", "--docs",
               tmp_path / "docs")
    result = eieio(*command)
    assert result.exit_code == 0, result.stderr
    assert "seed 2 of 2: float\n" in result.stderr
    figures = json.loads((tmp_path / "run" / "dynamic-fixed-point.json").read_text())
    assert [*figures][:2] == ["method", "command"]
    assert figures["command"] == ("eieio train dynamic-fixed-point --seeds 2 --mnist mnist.npz "
                                  "--set epochs=1 --set bits=2,8 --set rule_bits=4")
    assert figures["seeds"] == [0, 1]
    assert [arm["name"] for arm in figures["arms"]] == [
        "float32", "weights, 2 bits", "weights, 8 bits", "activations, 2 bits",
        "activations, 8 bits", "both, 2 bits", "both, 8 bits", "both, by maximum, 4 bits",
        "both, by percentile, 4 bits"]
    assert all(len(arm["runs"]) == 2 for arm in figures["arms"])
    methods = tmp_path / "docs" / "methods"
    for name in ("results/dynamic-fixed-point.json", "images/dynamic-fixed-point.svg"):
        assert (methods / name).read_bytes() == (
            tmp_path / "run" / Path(name).name).read_bytes()
    text = page.read_text()
    assert text.startswith("# Dynamic fixed point\n\nWords.\n\n# Measured\n")
    assert "| 8 |" in text
    again = eieio(*command)
    assert (again.exit_code, again.stderr) == (0, "")
    assert page.read_text() == text
