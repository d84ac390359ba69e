"""``eieio run``, on a board modelled in Python behind a pseudo-terminal."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from eieio.host.serial_link import SerialLine
from eieio.model import registers
from eieio.model.sparse import image
from eieio.model.sparse.host import sparse_host_image
from eieio.model.sparse.timing import NetworkTimer
from eieio.sim.board_model import BoardModel, on_terminal

Run = Callable[..., Result]


@pytest.fixture
def board(design: Path) -> BoardModel:
    compiled = image.read(design / "network.image")

    def compute(sample: Any) -> Any:
        return compiled.run(sample[np.newaxis])[-1][0]

    return BoardModel(sparse_host_image(compiled), compute)


@pytest.fixture
def port(board: BoardModel) -> Iterator[str]:
    with on_terminal(board) as name:
        yield name


def test_answers_and_figures(eieio: Run, design: Path, samples: Path, port: str, tmp_path: Path
                             ) -> None:
    result = eieio("run", design, samples, "--port", port, "--json", tmp_path / "run.json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads((tmp_path / "run.json").read_text())
    compiled = image.read(design / "network.image")
    with np.load(samples) as file:
        arrays = dict(file)
    golden = compiled.run(compiled.network.quantize_input(arrays["x"]))[-1]
    assert figures["outputs"] == golden.tolist()
    assert figures["answers"] == golden.argmax(axis=1).tolist()
    assert figures["accuracy"] == np.mean(golden.argmax(axis=1) == arrays["y"])
    assert figures["cycles"] == [100] * 20
    assert figures["retries"] == 0
    assert figures["clock_hz"] == 1_000_000
    assert f"{figures['accuracy']:.2%}" in result.stdout
    assert "10,000" in result.stdout  # inferences a second of the engine alone
    answers = " ".join(str(answer) for answer in figures["answers"][:10])
    assert f"Answers: {answers} ...\n" in result.stdout
    assert result.stderr == ""


def test_inputs_without_labels(eieio: Run, design: Path, samples: Path, port: str, tmp_path: Path
                               ) -> None:
    with np.load(samples) as file:
        np.save(tmp_path / "x.npy", file["x"])
    result = eieio("run", design / "network.image", tmp_path / "x.npy", "--port", port,
                   "--count", 3, "--baud", 9600)
    assert result.exit_code == 0, result.stderr
    assert "accuracy" not in result.stdout
    assert "..." not in result.stdout


def test_simulated_board(eieio: Run, design: Path, samples: Path, tmp_path: Path) -> None:
    """The Verilog of the board gives the golden model's integers in the cycle model's cycles."""
    result = eieio("run", design, samples, "--simulated", "--count", 3,
                   "--json", tmp_path / "run.json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads((tmp_path / "run.json").read_text())
    compiled = image.read(design / "network.image")
    with np.load(samples) as file:
        x = compiled.network.quantize_input(file["x"][:3])
    layers = compiled.run(x)
    assert figures["outputs"] == layers[-1].tolist()
    timer = NetworkTimer(compiled)
    assert figures["cycles"] == [
        sum(layer.cycles for layer in timer(sample, [outputs[number] for outputs in layers]))
        for number, sample in enumerate(x)]
    assert figures["simulated"] is True
    assert "on the simulated board" in result.stdout
    assert "inferences/s" not in result.stdout


def test_a_board_with_another_engine(refused: Callable[..., None], board: BoardModel, design: Path,
                                     samples: Path, port: str) -> None:
    ours = board.registers[registers.CONFIG.address]
    board.registers[registers.CONFIG.address] = 0xABC
    refused("run", design, samples, "--port", port,
            message=f"{port}: the board holds another engine (sparse, configuration 00000abc) than "
                    f"the image of 'small' is for (sparse, {ours:08x})")


def test_a_port_that_does_not_exist(refused: Callable[..., None], design: Path, samples: Path
                                    ) -> None:
    refused("run", design, samples, "--port", "/dev/nowhere",
            message="Serial port /dev/nowhere cannot be opened: No such file or directory")


def test_a_port_in_use(refused: Callable[..., None], design: Path, samples: Path, port: str
                       ) -> None:
    with contextlib.closing(SerialLine(port, 9600)):
        refused("run", design, samples, "--port", port,
                message=f"Serial port {port} cannot be opened: another program has it open")
    refused("run", design, samples, "--port", samples,
            message=f"Serial port {samples} cannot be opened: it is no serial port")


def test_bad_arguments(refused: Callable[..., None], design: Path, samples: Path) -> None:
    for port in ((), ("--port", "x", "--simulated")):
        refused("run", design, samples, *port,
                message="Give either --port, for a board, or --simulated "
                        "(try 'eieio run --help')")
    refused("run", design, samples, "--port", "x", "--count", 21,
            message="Option --count must be at most 20, the number of inputs, not 21")
    (design / "network.image").unlink()
    refused("run", design, samples, "--port", "x",
            message=f"{design} must hold network.image: generate the design from a network")
