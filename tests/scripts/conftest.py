"""Fixtures for the commands: a small network, samples for it, and a way to run ``eieio``."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from eieio.model.formats import npz
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph, FullyConnected
from eieio.scripts.main import main

Run = Callable[..., Result]

#: Options of the one engine that tests simulate.
SIZE = ("--engine", "sparse", "--pes", "2", "--queue-depth", "2")


def small_network(scale: float = 1.0) -> FloatGraph:
    """12 inputs, 8 hidden, 4 outputs; half of the weights are 0."""
    rng = np.random.default_rng(5)

    def layer(name: str, inputs: int, outputs: int, relu: bool) -> FullyConnected:
        weight = rng.normal(size=(outputs, inputs)) * (rng.random((outputs, inputs)) < 0.5)
        bias = rng.normal(size=outputs)
        return fully_connected(name, (weight * scale).astype(np.float32), bias.astype(np.float32),
                               relu)

    return chain("small", (layer("fc1", 12, 8, True), layer("fc2", 8, 4, False)))


@pytest.fixture
def eieio() -> Run:
    """Run the command with arguments; a traceback is not caught."""
    def run(*args: object) -> Result:
        return CliRunner(catch_exceptions=False).invoke(
            main, [str(arg) for arg in args], prog_name="eieio")
    return run


@pytest.fixture
def refused(eieio: Run) -> Callable[..., None]:
    """Run the command and check that it ends with status 2 and exactly this line."""
    def check(*args: object, message: str) -> None:
        result = eieio(*args)
        lines = [line for line in result.stderr.splitlines()
                 if not line.startswith("eieio: note: ")]
        assert (result.exit_code, result.stdout, lines) == (2, "", [f"eieio: {message}"])
    return check


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder of what tests get copies of: a network, samples and a design."""
    folder = tmp_path_factory.mktemp("files")
    npz.write(folder / "small.npz", small_network())
    rng = np.random.default_rng(6)
    x = rng.random((20, 12), np.float32) * (rng.random((20, 12)) < 0.7)
    y = np.argmax(small_network().forward(x.astype(np.float32)), axis=1)
    y[:2] = (y[:2] + 1) % 4  # two of twenty are labelled wrong
    np.savez(folder / "samples.npz", x=x.astype(np.float32), y=y)
    return folder


@pytest.fixture(scope="session")
def made_design(files: Path) -> Path:
    """Generate the design, once."""
    result = CliRunner(catch_exceptions=False).invoke(main, [
        "generate", str(files / "small.npz"), "--samples", str(files / "samples.npz"), *SIZE,
        "--out", str(files / "design")])
    assert result.exit_code == 0, result.stderr
    return files / "design"


@pytest.fixture
def network(files: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(files / "small.npz", tmp_path))


@pytest.fixture
def samples(files: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(files / "samples.npz", tmp_path))


@pytest.fixture
def design(made_design: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_design, tmp_path / "design"))
