"""``eieio bench mlperf-tiny``."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from tflite_file import (
    OPERATORS,
    OPTIONS,
    SAME,
    TYPES,
    Op,
    T,
    build,
    options,
    schema,
    window,
)

from eieio.model.mlperf_tiny import REFERENCES, normalised
from eieio.scripts import routed, steps, synthesis, whole_network
from eieio.scripts.reference_kernels import ReferenceKernels
from eieio.scripts.speed import speed_of
from eieio.sim.interval import MeasuredStream

Run = Callable[..., Result]

RECORDED = Path(__file__).parents[1] / "rtl" / "boards" / "recorded"
SIZE = ("--engine", "systolic", "--rows", 2, "--columns", 2)
SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"
#: Integers of the network's tensors: input, two layers, and what is reshaped between them.
TENSORS = 4 * 4 * 2 + 4 * 4 * 3 + 48 + 5


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Write a network of two layers."""
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> T:
        return T(shape, 0.02, data=rng.integers(-127, 128, shape).astype(np.int8))

    shape = schema.ReshapeOptionsT()
    shape.newShape = [1, 48]
    path = tmp_path / "tiny.tflite"
    path.write_bytes(build(
        [T([1, 4, 4, 2]), weights(3, 3, 3, 2), T([1, 4, 4, 3], 1.0, 3),
         T([2], None, dtype=TYPES.INT32, data=np.array([1, 48], np.int32)),
         T([1, 48], 1.0, 3), weights(5, 48), T([1, 5], 4.0),
         *(T([count], 0.01, dtype=TYPES.INT32, data=rng.integers(-99, 99, count, np.int32))
           for count in (3, 5))],
        [Op(OPERATORS.CONV_2D, [0, 1, 7], [2], *window("Conv2D", SAME, dilationHFactor=1,
                                                    dilationWFactor=1)),
         Op(OPERATORS.RESHAPE, [2, 3], [4], OPTIONS.ReshapeOptions, shape),
         Op(OPERATORS.FULLY_CONNECTED, [4, 5, 8], [6], *options("FullyConnected"))]))
    return path


@pytest.fixture
def fake_rtl(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let the models stand in for the RTL; ``late`` cycles and ``wrong`` integers can be added."""
    wrong: dict[str, Any] = {"late": 0, "wrong": 0}

    def compare(compiled: Any, x: Any, built: object) -> Any:
        outputs = compiled.run(compiled.quantize(x))
        cycles = [[entry.cycles] for entry in compiled.counters(compiled.quantize(x))]
        return SimpleNamespace(outputs=outputs, layer_cycles=np.array(cycles), mismatches=0,
                               cycle_mismatches=0, compared_integers=outputs.size)

    def stream(host: Any, x: Any, built: object, **settings: Any) -> MeasuredStream:
        compiled = compiled_of[0]
        outputs = compiled.run(x.reshape(len(x), *host.input_shape)).reshape(len(x), -1)
        outputs = outputs.astype(np.int32)
        outputs.ravel()[:wrong["wrong"]] += 1
        cycles = compiled.counters(x)[0].cycles
        interval = speed_of(host, cycles).interval.cycles
        starts = np.int64(interval) * np.arange(len(x))
        starts[-1] += wrong["late"]
        return MeasuredStream(outputs, starts, starts)

    compiled_of: list[Any] = []

    def built(compiled: Any, x: Any, simulator: str) -> None:
        compiled_of[:] = [compiled]

    monkeypatch.setattr(steps, "build_simulation", built)
    monkeypatch.setattr(steps, "simulate", compare)
    monkeypatch.setattr(whole_network, "measure_stream", stream)
    return wrong


def test_small_network_in_rtl(eieio: Run, tiny: Path, tmp_path: Path) -> None:
    result = eieio("bench", "mlperf-tiny", tiny, *SIZE, "--inputs", 2, "--simulator", SIMULATOR,
                   "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.stderr
    network, = json.loads((tmp_path / "r.json").read_text())["networks"]
    assert (network["name"], network["engine"]) == ("tiny", "systolic")
    assert (network["configuration"]["rows"], network["configuration"]["columns"]) == (2, 2)
    assert (network["mismatches"], network["cycle_mismatches"]) == (0, 0)
    assert network["rtl_cycles"] == network["cycles"]
    assert network["rtl_interval"] == network["interval"] > network["cycles"]
    # Each of both inputs, and what the RTL made of it.
    assert network["reference_integers"] == 2 * (TENSORS + 5)
    # Both layers and the output of two inputs, and the outputs of the stream.
    assert network["compared_integers"] == 2 * (48 + 5 + 5) + 4 * 5
    for name in ("dsp", "lut", "bram", "mhz", "inferences_per_second"):
        assert network[name] is None
    assert network["multipliers"] == network["estimate"]["dsp"]
    assert network["normalised"] == pytest.approx(
        1e9 / (network["interval"] * network["multipliers"]))
    assert sum(network["causes"].values()) == network["cycles"]
    assert network["operators"].keys() == {"Conv2D", "FullyConnected"}
    assert "integers: equal" in result.stdout


@pytest.mark.parametrize(("late", "wrong"), [(0, 0), (1, 0), (-1, 0), (0, 2)])
def test_differences_are_told(eieio: Run, tiny: Path, tmp_path: Path, fake_rtl: dict[str, Any],
                              late: int, wrong: int) -> None:
    fake_rtl |= {"late": late, "wrong": wrong}
    result = eieio("bench", "mlperf-tiny", tiny, *SIZE, "--json", tmp_path / "r.json")
    network, = json.loads((tmp_path / "r.json").read_text())["networks"]
    assert (network["mismatches"], network["cycle_mismatches"]) == (wrong, int(late != 0))
    assert result.exit_code == int(bool(late or wrong))
    assert ("The RTL differs" in result.stderr) == bool(late or wrong)


def test_differences_from_the_kernels_are_told(
        eieio: Run, tiny: Path, tmp_path: Path, fake_rtl: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = ReferenceKernels.run

    def run(self: ReferenceKernels, sample: Any) -> Any:
        values = kernels(self, sample)
        values["t6"] = values["t6"] ^ 1  # The output: in the tensors, and as the RTL sends it.
        return values

    monkeypatch.setattr(ReferenceKernels, "run", run)
    result = eieio("bench", "mlperf-tiny", tiny, *SIZE, "--json", tmp_path / "r.json")
    network, = json.loads((tmp_path / "r.json").read_text())["networks"]
    assert network["mismatches"] == network["reference_mismatches"] == 3 * 2 * 5
    assert result.exit_code == 1


def test_places_once(eieio: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                     ) -> None:
    """What place and route found is in the table, and found again, unless the Verilog changed."""
    for variable, text in (
            ("YOSYS", f"cp {RECORDED}/ecp5/top.json {RECORDED}/ecp5/top.rpt ."),
            ("NEXTPNR_ECP5", f"cp {RECORDED}/ecp5/top.report.json top.report.json"),
            ("ECPPACK", "printf bitstream > top.bit")):
        program = tmp_path / variable.lower()
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        monkeypatch.setenv(variable, str(program))
    text = {"system.v": "module\n"}
    monkeypatch.setattr(steps, "emit_engine", lambda config, family: {"engine.v": "\n"})
    monkeypatch.setattr(synthesis, "emit_system", lambda config, board, setting, baud: text)
    monkeypatch.setattr(routed, "emit_system", lambda config, board, setting: text)
    arguments = ("bench", "mlperf-tiny", tiny, *SIZE, "--model-only", "--clock", 80)
    placed = tmp_path / "placed.json"
    result = eieio(*arguments, "--place", "--out", tmp_path / "out", "--json", placed)
    assert result.exit_code == 0, result.stderr
    network, = json.loads(placed.read_text())["networks"]
    assert [network[name] for name in ("lut", "dsp", "bram")] == [55, 1, 1]
    mhz = network["mhz"]
    assert network["inferences_per_second"] == pytest.approx(mhz * 1e6 / network["interval"])
    assert network["normalised"] == pytest.approx(normalised(
        network["inferences_per_second"], 1, mhz))
    assert f" {mhz:.1f} " in result.stdout
    assert "~" not in result.stdout
    again = tmp_path / "again.json"
    assert eieio(*arguments, "--routed", placed, "--json", again).exit_code == 0
    assert json.loads(again.read_text()) == json.loads(placed.read_text())
    text["system.v"] = "module changed\n"
    result = eieio(*arguments, "--routed", placed, "--json", again)
    network, = json.loads(again.read_text())["networks"]
    assert [network[name] for name in ("lut", "dsp", "bram", "mhz")] == [None] * 4
    assert "~" in result.stdout
    (tmp_path / "nextpnr_ecp5").write_text("#!/bin/sh\necho ERROR: no room; exit 1\n")
    result = eieio(*arguments, "--place", "--out", tmp_path / "out", "--json", again)
    assert result.exit_code == 0
    assert "eieio: note: tiny is not placed: " in result.stderr
    network, = json.loads(again.read_text())["networks"]
    assert network["routed"] is None


def test_docs(eieio: Run, tiny: Path, tmp_path: Path, fake_rtl: dict[str, Any]) -> None:
    result = eieio("bench", "mlperf-tiny", tiny, *SIZE, "--docs", tmp_path, "--json",
                   tmp_path / "r.json")
    assert result.exit_code == 0, result.stderr
    network, = json.loads((tmp_path / "r.json").read_text())["networks"]
    text = (tmp_path / "mlperf_tiny.md").read_text()
    assert text.startswith("# MLPerf Tiny\n\n<!-- Written by `eieio bench mlperf-tiny --docs")
    assert f"| tiny | {network['cycles']:,.0f} | {network['interval']:,.0f} | - | - |" in text
    assert all(reference.file in text for reference in REFERENCES)
    assert "None" not in text
    assert max(len(line) for line in text.splitlines() if line[:1] not in "|<") <= 100


def test_reference_networks_by_the_model(eieio: Run, shared_data: Path, tmp_path: Path) -> None:
    """The five are known by what they are, and each has options of its own."""
    result = eieio("bench", "mlperf-tiny", shared_data / "tflite", "--model-only", "--json",
                   tmp_path / "r.json")
    assert result.exit_code == 0, result.stderr
    networks = json.loads((tmp_path / "r.json").read_text())["networks"]
    assert [network["name"] for network in networks] == [
        reference.name for reference in REFERENCES]
    for network, reference in zip(networks, REFERENCES, strict=True):
        assert network["options"]
        best = reference.best
        assert (network["published"] is None) == (best is None)
        if best is not None and network["name"] != "ic":
            assert network["normalised"] > best.normalised


def test_published() -> None:
    """As the submissions say it, of inferences a second, multipliers and clocks."""
    found = {reference.name: reference.best and round(reference.best.normalised, 1)
             for reference in REFERENCES}
    assert found == {"kws": 114.9, "ic": 80.6, "vww": 13.5, "ad": None, "sww": None}


@pytest.mark.parametrize(("arguments", "message"), [
    ((".",), ". must hold a reference network of MLPerf Tiny"),
    (("none.tflite",), "none.tflite must be an existing file"),
    (("none.tflite", "--model-only", "--docs", "docs"),
     "Option --docs goes without --model-only (try 'eieio bench mlperf-tiny --help')"),
    (("none.tflite", "--routed", "other.json"),
     "other.json must be the report of an earlier run, with its networks"),
])
def test_refuses(refused: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                 arguments: tuple[str, ...], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.json").write_text("[]")
    refused("bench", "mlperf-tiny", *arguments, message=message)


def test_refuses_an_option_of_another_engine(refused: Callable[..., None], tiny: Path) -> None:
    refused("bench", "mlperf-tiny", tiny, "--engine", "systolic", "--pes", 4, message=(
        "Option --pes goes with --engine sparse, not with the systolic engine (try 'eieio bench "
        "mlperf-tiny --help')"))
