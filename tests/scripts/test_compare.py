"""``eieio compare`` and ``eieio roofline``."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

Run = Callable[..., Result]

LENET = Path(__file__).parents[2] / "examples" / "lenet_5" / "lenet_5.onnx"


def few_digits(folder: Path) -> Path:
    """Write some of the example's samples: golden models of real networks take their time."""
    with np.load(LENET.parent / "mnist_train_256.npz") as digits:
        np.savez(folder / "few.npz", x=digits["x"][:6], y=digits["y"][:6])
    return folder / "few.npz"


def test_compares(eieio: Run, network: Path, samples: Path, tmp_path: Path) -> None:
    """All machines, with their figures, and energy by the user's table."""
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"name": "streams only", "unit": "bit", "multiply": 0, "add": 0,
                                 "register": 0, "array": 0, "buffer": 0, "outer": 32}))
    result = eieio("compare", network, "--samples", samples, "--multipliers", 4, "--simulate", 0,
                   "--energy", table, "--json", tmp_path / "c.json")
    assert result.exit_code == 0
    figures = json.loads((tmp_path / "c.json").read_text())
    sparse, systolic, _, tensor_core = figures["machines"]
    assert [machine["engine"] for machine in figures["machines"]] == [
        "sparse", "systolic", "eyeriss", "tensor_core"]
    assert (sparse["config"]["pes"], systolic["config"]["rows"], systolic["config"]["columns"]) == (
        4, 2, 2)
    for machine in figures["machines"]:
        assert machine["dense_macs"] == 12 * 8 + 8 * 4
        assert machine["energy"]["streams only"]["total"] == machine["bits"]["outer"]
        assert sum(layer["cycles"] for layer in machine["layers"]) == machine["cycles"]
        assert machine["utilisation"] == machine["dense_macs"] / (4 * machine["cycles"])
        assert machine["accuracy_integer"] is not None
        assert machine is tensor_core or machine["area"]["memory_bits"] > 0
    assert sparse["macs"] < 12 * 8 + 8 * 4 <= systolic["macs"]
    assert sparse["bits"]["outer"] == 16 * (12 + 4)
    assert "streams only" in result.stdout
    assert "RTL of the systolic engine: not simulated" in result.stdout


def test_leaves_out(eieio: Run, tmp_path: Path) -> None:
    """An engine that does not take a network is left out, with its reason, or refused if named."""
    options = ("--samples", few_digits(tmp_path), "--simulate", 0)
    lenet = LENET
    reason = "the sparse engine takes fully connected layers in a chain"
    result = eieio("compare", lenet, *options)
    assert result.exit_code == 0
    assert "eieio: note: the sparse engine is left out: " in result.stderr
    assert reason in result.stderr
    result = eieio("compare", lenet, *options, "--engines", "sparse")
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr


@pytest.mark.parametrize(("options", "message"), [
    (("--engines", "eniac"), "Option --engines must name some of "),
    (("--energy", "none"), "Energy table must be one of horowitz, eyeriss, or a JSON file, not"),
    (("--simulate", 21), "Option --simulate must be at most 20, the number of samples, not 21"),
])
def test_refuses(eieio: Run, network: Path, samples: Path, options: tuple[object, ...],
                 message: str) -> None:
    result = eieio("compare", network, "--samples", samples, "--multipliers", 4, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_roofline(eieio: Run, network: Path, samples: Path, tmp_path: Path) -> None:
    """The TPU's table without a network; with one, no layer is above its machine's roof."""
    result = eieio("roofline")
    assert result.exit_code == 0
    assert [line.split()[:4] for line in result.stdout.splitlines() if "MLP1" in line] == [
        ["MLP1", "5M", "168", "11.42"]]
    result = eieio("roofline", network, "--samples", samples, "--multipliers", 4,
                   "--json", tmp_path / "r.json")
    assert result.exit_code == 0
    figures = json.loads((tmp_path / "r.json").read_text())
    assert [layer["int8"] for layer in figures["layers"]] == [1, 1]
    assert [engine["engine"] for engine in figures["engines"]] == [
        "sparse", "systolic", "eyeriss", "tensor_core"]
    for engine in figures["engines"]:
        assert engine["layers"]
        for layer in engine["layers"]:
            assert layer["macs_per_cycle"] <= layer["roof"] <= engine["macs_per_cycle"]


def test_page(eieio: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has a part for the network, and no folder of the machine it was written on."""
    drawn: list[Path] = []
    monkeypatch.setattr("eieio.scripts.compare.require_matplotlib", lambda: None)
    monkeypatch.setattr("eieio.scripts.compare.plot_comparison",
                        lambda path, figures: drawn.append(path))
    lenet = LENET
    result = eieio("compare", lenet, "--samples", few_digits(tmp_path), "--simulate", 0,
                   "--docs", tmp_path)
    assert result.exit_code == 0
    page = (tmp_path / "comparison.md").read_text()
    assert "# lenet_5, 64 multipliers\n" in page
    assert "- Left out: lenet_5.onnx: Conv2D 'conv1' must be a fully connected layer" in page
    assert str(lenet.parent) not in page
    assert "](images/comparison_lenet_5.svg)" in page
    assert drawn == [tmp_path / "images" / "comparison_lenet_5.svg"]
