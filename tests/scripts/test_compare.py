"""``eieio compare`` and ``eieio roofline``."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from eieio.scripts.comparison_area import rtl_memory_bits

from .test_page import check_page

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
    sparse, systolic, dadiannao, _, tensor_core = figures["machines"]
    assert [machine["engine"] for machine in figures["machines"]] == [
        "sparse", "systolic", "dadiannao", "eyeriss", "tensor_core"]
    assert (sparse["config"]["pes"], systolic["config"]["rows"], systolic["config"]["columns"]) == (
        4, 2, 2)
    for machine in figures["machines"]:
        assert machine["dense_macs"] == 12 * 8 + 8 * 4
        assert machine["energy"]["streams only"]["total"] == machine["bits"]["outer"]
        assert sum(layer["cycles"] for layer in machine["layers"]) == machine["cycles"]
        assert machine["utilisation"] == machine["dense_macs"] / (4 * machine["cycles"])
        assert machine["accuracy_integer"] is not None
        if machine not in (dadiannao, tensor_core):     # they have no area model
            assert machine["area"]["lut"] > 0
            assert machine["memory_bits"] > 0
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
        "sparse", "systolic", "dadiannao", "eyeriss", "tensor_core"]
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


def test_equal_memory(eieio: Run, network: Path, samples: Path, tmp_path: Path) -> None:
    """Each machine has as much as the one with the most; of less, what needs more is marked."""
    options = ("compare", network, "--samples", samples, "--multipliers", 4, "--simulate", 0,
               "--engines", "sparse,systolic", "--json", tmp_path / "c.json")
    assert eieio(*options).exit_code == 0
    figures = json.loads((tmp_path / "c.json").read_text())
    needs = [machine["memory_bits"] for machine in figures["machines"]]
    assert figures["memory_bits"] == max(needs) > min(needs) > 0
    kib = (max(needs) - 1) / 8192
    result = eieio(*options, "--memory", kib, "--report", tmp_path / "c.html")
    assert result.exit_code == 0
    most = ("sparse", "systolic")[needs.index(max(needs))]
    assert result.stdout.count("no: needs more") == 1
    line = (f"The {most} engine needs more than the equal memory: {max(needs):,} of "
            f"{max(needs) - 1:,} bits")
    assert line in result.stdout
    page = check_page((tmp_path / "c.html").read_text())
    assert page.count("table") == 7
    assert line in page.texts
    assert "The RTL has not been simulated" in page.texts


def test_counts_memory_in_rtl() -> None:
    """Memories of instances count as often as there are instances."""
    files = {"a.v": "module top(clk);\n  input clk;\n  reg [7:0] \\m  [15:0];\n  child a (\n  );\n"
                    "  child \\b.c  (\n  );\n  reg [3:0] state;\nendmodule\n",
             "b.v": "module child(clk);\n  reg signed [2:0] n [3:0];\nendmodule\n"}
    assert rtl_memory_bits(files, "top") == 8 * 16 + 2 * 3 * 4


def test_synthesizes(eieio: Run, network: Path, samples: Path, tmp_path: Path,
                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Yosys is given the machine's Verilog, and its cells stand beside the model's."""
    asked: list[str] = []

    def emit(component: object, name: str, *, header: str, family: str) -> dict[str, str]:
        assert (type(component).__name__, family) == ("SystolicEngine", "ecp5")
        return {f"{name}.v": f"// {header}\nmodule {name}();\nendmodule\n"}

    def run(program: str, arguments: list[str], folder: Path) -> None:
        script = (folder / arguments[-1]).read_text()
        asked.append(script.splitlines()[-1])
        for line in script.splitlines()[:-1]:
            assert "module" in (folder / line.removeprefix("read_verilog ")).read_text()
        cells = ["LUT4"] * 5 + ["CCU2C"] * 2 + ["TRELLIS_FF"] * 3 + ["MULT18X18D", "DP16KD"]
        top = asked[-1].split()[2]
        (folder / "top.json").write_text(json.dumps({"modules": {top: {"cells": {
            str(number): {"type": cell} for number, cell in enumerate(cells)}}}}))
        (folder / "top.rpt").write_text("")

    monkeypatch.setattr("eieio.scripts.comparison_area.emit", emit)
    monkeypatch.setattr("eieio.rtl.boards.build._find", lambda name: name)
    monkeypatch.setattr("eieio.rtl.boards.build._run", run)
    result = eieio("compare", network, "--samples", samples, "--multipliers", 1, "--simulate", 0,
                   "--engines", "systolic", "--synthesize", "--json", tmp_path / "c.json")
    assert result.exit_code == 0, result.stderr
    machine, = json.loads((tmp_path / "c.json").read_text())["machines"]
    assert machine["synthesized"] == {"lut": 9, "ff": 3, "dsp": 1, "bram": 1}
    assert asked == ["synth_ecp5 -top systolic_engine -json top.json"]
    assert "lut, Yosys" in " ".join(result.stdout.split())


def test_says_why_there_is_no_accuracy(eieio: Run, network: Path) -> None:
    result = eieio("compare", network, "--multipliers", 4, "--simulate", 0, "--engines", "sparse")
    assert result.exit_code == 0
    assert "Accuracy is not told (-), for want of samples with labels" in result.stdout
