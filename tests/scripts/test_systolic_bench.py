"""``eieio bench systolic``."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from eieio.model.systolic.benchmark_layers import NETWORKS, WINOGRAD_LAYER
from eieio.scripts.systolic import bench as systolic_bench
from eieio.sim.systolic.benchmark import MODES, quick_suite, run_case
from eieio.sim.systolic.benchmark import Result as Measured

Run = Callable[..., Result]


def test_layers_are_those_of_the_networks() -> None:
    """Products of all convolutions, as published for these networks."""
    macs = {name: sum(shape.graph().macs for shape in shapes)
            for name, shapes in NETWORKS.items()}
    # Without LeNet-5's and ResNet-8's fully connected layers; SqueezeNet has none.
    assert macs["LeNet-5"] == 117_600 + 240_000
    assert macs["ResNet-8"] == 12_501_632 - 640
    assert macs["SqueezeNet 1.1"] == 349_151_936
    parameters = {name: sum(shape.channels * (shape.kernel ** 2 * shape.depth + 1)
                            for shape in shapes) for name, shapes in NETWORKS.items()}
    assert parameters["SqueezeNet 1.1"] == 1_235_496


@pytest.mark.long
def test_quick_in_rtl(eieio: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Winograd's transforms, whose engines take long to build."""
    for mode in list(MODES)[1:]:
        monkeypatch.delitem(MODES, mode)
    path = tmp_path / "new" / "bench.json"
    result = eieio("bench", "systolic", "--quick", "--rows", 2, "--columns", 2, "--json", path)
    assert (result.exit_code, result.stderr) == (0, "")
    product, large, convolution = json.loads(path.read_text())["rows"]
    for row in (product, convolution):
        assert row["cycles"] == row["model_cycles"]
        assert (row["mismatches"], row["cycle_mismatches"]) == (0, 0)
        assert row["utilisation"] == row["macs"] / (4 * row["cycles"])
    assert (product["name"], product["mode"], product["macs"]) == ("matmul_16", "direct", 16 ** 3)
    assert (large["cycles"], large["mismatches"]) == (None, None)
    assert "not run" in result.stdout


def test_full_by_the_model(eieio: Run, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    result = eieio("bench", "systolic", "--model-only", "--json", path)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = {(row["name"], row["mode"]): row for row in json.loads(path.read_text())["rows"]}
    assert {row["mismatches"] for row in rows.values()} == {None}
    for size in (1024, 2048, 4096):
        assert rows[f"matmul_{size}", "direct"]["utilisation"] > 0.95
    layer = {mode: rows[WINOGRAD_LAYER.name, mode]["model_cycles"] for mode in MODES}
    assert layer["winograd F2"] <= layer["direct"] / 2.1
    assert layer["winograd F4"] <= layer["direct"] / 3.3
    assert rows[WINOGRAD_LAYER.name, "winograd F4"]["multiplications_saved"] == 0.75
    wide = [shape for shape in NETWORKS["ResNet-8"] if shape.kernel == 3 and shape.depth >= 16]
    assert len(wide) == 6
    for shape in wide:
        assert rows[shape.name, "direct"]["utilisation"] >= 0.9


@pytest.fixture
def fake_rtl(monkeypatch: pytest.MonkeyPatch) -> type:
    """Let the cycle model stand in for the RTL, in a few layers; mismatches can be set."""

    class Fake:
        mismatches = 0

        @classmethod
        def run(cls, case: Any, built: object, config: Any) -> Measured:
            result = run_case(case, None, config)
            return result if case.model_only else replace(
                result, cycles=result.model_cycles, mismatches=cls.mismatches, cycle_mismatches=0)

    monkeypatch.setattr(systolic_bench, "run_case", Fake.run)
    monkeypatch.setattr(systolic_bench, "full_suite", quick_suite)
    monkeypatch.setattr(systolic_bench, "build_engine", lambda config, quick: object())
    return Fake


def test_docs(eieio: Run, fake_rtl: type, tmp_path: Path) -> None:
    """The part of the other benchmark stays."""
    docs = tmp_path / "benchmarks.md"
    other = ("# Benchmarks of the sparse engine\n\n<!-- Written by `eieio bench eie --docs docs`: "
             "change the command, not this file. -->\n\n## Cycles\n\nMany.\n")
    arguments = ("bench", "systolic", "--rows", 4, "--columns", 4, "--docs", tmp_path)
    assert eieio(*arguments).exit_code == 0
    alone = docs.read_text()
    docs.write_text(other)
    for _ in range(2):
        assert eieio(*arguments, "--json", tmp_path / "r.json").exit_code == 0
        assert docs.read_text().startswith(other + "\n# Benchmarks of the systolic engine\n\n<!--")
    text = docs.read_text()
    tables = [line for line in alone.splitlines() if line.startswith("|")]
    assert tables == [line for line in text.splitlines() if line.startswith("|")]
    for row in json.loads((tmp_path / "r.json").read_text())["rows"]:
        assert f"| {row['model_cycles']:,} | {row['macs']:,} |" in text
    # Outputs of four layers: as they are written, and as they are sent.
    assert "All 2,048 integers equal the golden model's, and all 4 cycle counts" in alone
    assert max(len(line) for line in text.splitlines() if line[:1] not in "|<") <= 100
    assert "None" not in text


def test_mismatch(eieio: Run, fake_rtl: Any) -> None:
    fake_rtl.mismatches = 2
    result = eieio("bench", "systolic", "--quick", "--rows", 2, "--columns", 2)
    assert result.exit_code == 1
    assert result.stderr == ("eieio: The RTL differs from the models: 8 integers and 0 cycle "
                             "counts\n")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--rows", 0], "Option rows must be an integer from 1 to 256, not 0"),
    (["--quick", "--docs", "docs"], ("Option --docs goes without --quick and --model-only (try "
                                     "'eieio bench systolic --help')")),
])
def test_refusals(refused: Callable[..., None], arguments: list[object], message: str) -> None:
    refused("bench", "systolic", *arguments, message=message)
