"""``eieio synthesize``, with programs that leave recorded reports in place of the tools."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from onnx import TensorProto, helper, numpy_helper, save

from eieio.design import open as open_design
from eieio.model.area import estimate
from eieio.model.engine import Messages, Request
from eieio.model.engine_config import EngineConfig
from eieio.model.formats import design_folder
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.engine import ENGINE
from eieio.model.systolic.config import SystolicConfig
from eieio.network import load
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.find import find_board
from eieio.scripts import steps, synthesis
from eieio.scripts.synthesis import compile_for_board

RECORDED = Path(__file__).parents[1] / "rtl" / "boards" / "recorded"
KEYS = {"lut", "ff", "dsp", "bram", "fmax_mhz", "target_mhz", "bitstream"}


@pytest.fixture(autouse=True)
def without_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for Yosys, nextpnr and the packer, and leave Verilog out."""
    for variable, text in (
            ("YOSYS", f"cp {RECORDED}/ecp5/top.json {RECORDED}/ecp5/top.rpt ."),
            ("NEXTPNR_ECP5", f"cp ${{REPORT:-{RECORDED}/ecp5/top.report.json}} top.report.json"),
            ("ECPPACK", "printf bitstream > top.bit")):
        program = tmp_path / variable.lower()
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        monkeypatch.setenv(variable, str(program))
    monkeypatch.setattr(steps, "emit_engine", lambda config, family=None: {
        "engine.v": f"// {config.label}\n"})
    monkeypatch.setattr(synthesis, "emit_system", lambda config, board, setting, baud: {
        "system.v": f"// {config.label}, {setting.output_hz:.0f} Hz, {baud} baud\n"})


def test_synthesizes_a_network(eieio: Callable[..., Result], network: Path, samples: Path,
                               tmp_path: Path) -> None:
    out, report = tmp_path / "design", tmp_path / "report.json"
    result = eieio("synthesize", network, "--samples", samples, "--pes", 2, "--board", "ulx3s-85f",
                   "--clock", 80, "--seed", 3, "--out", out, "--json", report)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(report.read_text())
    assert set(figures) >= KEYS
    assert (figures["lut"], figures["ff"], figures["dsp"], figures["bram"]) == (55, 94, 1, 1)
    assert figures["bitstream"] == str(out / "ulx3s-85f.bit")
    assert (out / "ulx3s-85f.bit").read_text() == "bitstream"
    assert figures["config"]["pes"] == 2
    assert figures["inferences_per_second"] == pytest.approx(
        80e6 / figures["cycles_per_inference"])
    parts = figures["interval"]
    latency = sum(parts[name] for name in ("input", "inference", "output", "handshakes"))
    assert latency > parts["cycles"]
    assert figures["latency_us"] == pytest.approx(latency / 80)
    assert f"output's last: {latency / 80:,.1f} us" in result.stdout
    assert "--seed 3" in (out / "board" / "build_top.sh").read_text()
    assert "80000000 Hz" in (out / "board" / "system.v").read_text()
    assert {"design.json", "network.image", "rtl"} <= {path.name for path in out.iterdir()}
    assert "Inferences a second" in result.stdout
    assert "openFPGALoader -b ulx3s" in result.stdout


def test_from_python(eieio: Callable[..., Result], network: Path, samples: Path, tmp_path: Path
                     ) -> None:
    """A program gets the figures, the design and the bitstream that the command makes."""
    report = tmp_path / "report.json"
    assert eieio("synthesize", network, "--engine", "sparse", "--samples", samples, "--pes", 2,
                 "--board", "ulx3s-85f", "--out", tmp_path / "command", "--json", report
                 ).exit_code == 0
    design = load(network).compile("sparse", samples=samples, pes=2, board="ulx3s-85f")
    made = design.synthesize("ulx3s-85f", tmp_path / "program")
    assert made.bitstream == tmp_path / "program" / "ulx3s-85f.bit"
    names = {"bitstream", "out"}
    expected = json.loads(report.read_text())
    assert {name: value for name, value in json.loads(json.dumps(made.figures)).items()
            if name not in names} == {name: value for name, value in expected.items()
                                      if name not in names}
    files = [{path.relative_to(tmp_path / place): path.read_bytes()
              for path in (tmp_path / place).rglob("*") if path.is_file()}
             for place in ("command", "program")]
    assert files[0] == files[1]
    assert repr(made).startswith("<Bitstream for ")
    again = open_design(tmp_path / "program").synthesize("ulx3s-85f", seed=2)
    assert (again.report.seed, again.folder) == (2, tmp_path / "program")


def test_one_memory_of_activations_where_there_is_no_room_for_two(network: Path, samples: Path
                                                                  ) -> None:
    board = find_board("ulx3s-85f")
    options = {"pes": 2, "activation_depth": 256}
    request = Request(samples, options=options, settings=ENGINE.all_settings())
    prepared = ENGINE.prepare(ENGINE.read(network), request, Messages())

    def make(board: Board, **more: bool) -> SparseConfig:
        made = compile_for_board(prepared, {**options, **more}, board, messages=Messages()).config
        assert isinstance(made, SparseConfig)
        return made

    full = make(board)
    assert full.double_buffered
    smaller = replace(board, capacity=replace(
        board.capacity, bram=estimate(full, board.family).bram - 1))
    small = make(smaller)
    assert small == replace(full, double_buffered=False, io_lanes=small.io_lanes)
    # What is asked for is kept, in the smallest memories.
    kept = make(smaller, double_buffered=True)
    assert kept.double_buffered
    assert kept.entry_depth < full.entry_depth


def write_graph(folder: Path, *, adds: bool = False) -> list[object]:
    """Write a fully connected layer, and an addition behind it; return the command's arguments."""
    rng = np.random.default_rng(1)
    weight = numpy_helper.from_array(rng.normal(size=(12, 12)).astype(np.float32), "w")
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y" if not adds else "g"], "dense")]
    if adds:
        nodes.append(helper.make_node("Add", ["g", "x"], ["y"], "sum"))
    save(helper.make_model(helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 12])], [weight]),
        opset_imports=[helper.make_opsetid("", 17)]), str(folder / "small.onnx"))
    np.savez(folder / "inputs.npz", x=rng.random((20, 12), np.float32))
    return [folder / "small.onnx", "--engine", "systolic", "--rows", 4, "--columns", 4,
            "--samples", folder / "inputs.npz"]


def test_synthesizes_a_network_for_the_systolic_engine(eieio: Callable[..., Result],
                                                       tmp_path: Path) -> None:
    out, report = tmp_path / "design", tmp_path / "report.json"
    result = eieio("synthesize", *write_graph(tmp_path), "--board", "ulx3s-85f", "--out", out,
                   "--json", report)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(report.read_text())
    assert set(figures) >= KEYS
    assert (figures["engine"], figures["network"]) == ("systolic", "small")
    assert figures["config"]["product_stages"] == 3
    assert figures["config"]["residual"] is False
    assert figures["inferences_per_second"] == pytest.approx(
        figures["target_mhz"] * 1e6 / figures["cycles_per_inference"])
    assert {"design.json", "network.image", "network.graph", "rtl"} <= {
        path.name for path in out.iterdir()}
    assert "Inferences a second" in result.stdout
    # The design alone is as fast.
    result = eieio("synthesize", out, "--board", "ulx3s-85f", "--json", report)
    assert result.exit_code == 0, result.stderr
    assert json.loads(report.read_text()) == {**figures, "out": str(out)}
    result = eieio("synthesize", out, "--board", "ulx3s-85f", "--calibration", "minmax")
    assert result.exit_code == 2
    assert "Option --calibration goes with a network" in result.stderr


@pytest.mark.parametrize(("board", "given", "stages"), [
    ("ulx3s-85f", (), 3), ("ulx3s-85f", ("--product-stages", 2), 2)])
def test_sizes_the_systolic_engine(eieio: Callable[..., Result], tmp_path: Path, board: str,
                                   given: tuple[object, ...], stages: int) -> None:
    out = tmp_path / "design"
    result = eieio("synthesize", *write_graph(tmp_path, adds=True), *given, "--board", board,
                   "--out", out)
    assert result.exit_code == 0, result.stderr
    config = json.loads((out / "design.json").read_text())["config"]
    assert config["product_stages"] == stages
    assert config["residual"] is True
    assert "the network adds tensors" in result.stderr


def test_synthesizes_a_systolic_configuration(eieio: Callable[..., Result],
                                              tmp_path: Path) -> None:
    config, out = tmp_path / "engine.json", tmp_path / "design"
    for options, rows, stages in (({"rows": 4}, 4, 3), ({"rows": 4, "product_stages": 1}, 4, 1)):
        config.write_text(json.dumps(options))
        result = eieio("synthesize", config, "--engine", "systolic", "--columns", 4, "--board",
                       "ulx3s-85f", "--out", out)
        assert result.exit_code == 0, result.stderr
        made = json.loads((out / "design.json").read_text())
        assert made["engine"] == "systolic"
        assert (made["config"]["rows"], made["config"]["columns"]) == (rows, 4)
        assert made["config"]["product_stages"] == stages
    assert "Inferences a second" not in result.stdout
    for board, known in (("ulx3s-85f", True), ("tang-primer-20k", False)):
        result = eieio("synthesize", config, "--engine", "systolic", "--winograd", 2, "--board",
                       board, "--out", out)
        assert not known or result.exit_code == 0, result.stderr
        assert ("the area model does not know Winograd's transforms" in result.stderr) != known


def test_a_sparse_design_is_timed_by_samples(eieio: Callable[..., Result], network: Path,
                                             samples: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "design", tmp_path / "report.json"
    assert eieio("generate", network, "--samples", samples, "--pes", 2, "--interleaved",
                 "--double-buffered", "--io-lanes", 2, "--out", out
                 ).exit_code == 0
    assert eieio("synthesize", out, "--board", "ulx3s-85f", "--json", report).exit_code == 0
    assert "cycles_per_inference" not in json.loads(report.read_text())
    result = eieio("synthesize", out, "--samples", samples, "--board", "ulx3s-85f", "--json",
                   report)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(report.read_text())
    assert 10 < figures["interval_cycles"] < figures["cycles_per_inference"]


def test_synthesizes_a_configuration_again(eieio: Callable[..., Result], tmp_path: Path) -> None:
    config, out = tmp_path / "engine.json", tmp_path / "design"
    config.write_text(json.dumps({"pes": 2, "entry_depth": 512}))
    for pes in (2, 4):
        result = eieio("synthesize", config, "--pes", pes, "--board", "ulx3s-85f", "--out", out)
        assert result.exit_code == 0, result.stderr
        design = json.loads((out / "design.json").read_text())
        assert design["config"] == SparseConfig(pes=pes, entry_depth=512).to_dict()
    assert "Inferences a second" not in result.stdout


@pytest.mark.parametrize(("engine", "config"), [
    ("sparse", SparseConfig(pes=2)), ("systolic", SystolicConfig(rows=4, columns=4))])
def test_adds_to_a_design(eieio: Callable[..., Result], tmp_path: Path, engine: str,
                          config: EngineConfig) -> None:
    folder = tmp_path / "design"
    folder.mkdir()
    design_folder.write_manifest(folder, engine=engine, top="top", network=None,
                                 config=config.to_dict())
    manifest = (folder / "design.json").read_bytes()
    report = tmp_path / "report.json"
    result = eieio("synthesize", folder, "--board", "ulx3s-85f", "--json", report)
    assert result.exit_code == 0, result.stderr
    assert json.loads(report.read_text())["engine"] == engine
    assert (folder / "ulx3s-85f.bit").exists()
    assert (folder / "design.json").read_bytes() == manifest
    assert config.label in (folder / "board" / "system.v").read_text()
    result = eieio("synthesize", folder, "--board", "ulx3s-85f", "--pes", 3)
    assert result.exit_code == 2
    assert "Option --pes goes with a network, not with a design" in result.stderr
    result = eieio("synthesize", folder, "--board", "ulx3s-85f", "--out", tmp_path / "other")
    assert result.exit_code == 2
    assert "Option --out goes with a network or a configuration" in result.stderr


def test_fails_if_timing_fails(eieio: Callable[..., Result], tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    timing = json.loads((RECORDED / "ecp5" / "top.report.json").read_text())
    clock, = timing["fmax"].values()
    clock |= {"achieved": 81.26, "constraint": 100}
    (tmp_path / "slow.json").write_text(json.dumps(timing))
    monkeypatch.setenv("REPORT", str(tmp_path / "slow.json"))
    config, report = tmp_path / "engine.json", tmp_path / "report.json"
    config.write_text("{}")
    result = eieio("synthesize", config, "--board", "ulx3s-85f", "--out", tmp_path / "design",
                   "--json", report)
    assert result.exit_code == 1
    assert result.stderr == ("eieio: Timing fails: 81.3 MHz, but the clock is 100 MHz; try more "
                             "--attempts, or --clock 81\n")
    figures = json.loads(report.read_text())
    assert figures["bitstream"] is None
    assert (figures["fmax_mhz"], figures["target_mhz"]) == (81.26, 100)
    assert not (tmp_path / "design" / "ulx3s-85f.bit").exists()


def test_tells_what_the_pll_makes(eieio: Callable[..., Result], tmp_path: Path) -> None:
    config = tmp_path / "engine.json"
    config.write_text("{}")
    result = eieio("synthesize", config, "--board", "ulx3s-85f", "--out", tmp_path / "design",
                   "--clock", 9.7)
    assert result.exit_code == 0, result.stderr
    assert "the PLL makes 9.375 MHz, the nearest clock below 9.7 MHz" in result.stderr


@pytest.mark.parametrize(("arguments", "message"), [
    (("--board", "nonesuch"), "'nonesuch' is not one of"),
    (("--board", "ulx3s-85f", "--clock", "1000"), "Clock must be one that the board's PLL"),
    (("--board", "ulx3s-85f", "--pes", "0"), "Option pes must be an integer from 1 to 256"),
    (("--board", "ulx3s-85f", "--pes", "64"),
     "Radiona ULX3S 85F must have room for the engine, which takes about "),
    (("--board", "ulx3s-85f", "--pes", "64"), "320 of 156 multipliers"),
    (("--board", "ulx3s-85f", "--pes", "64"), "'eieio fit --board ulx3s-85f' lists what fits"),
    ((), "Missing option '--board'"),
])
def test_refuses(eieio: Callable[..., Result], tmp_path: Path, arguments: tuple[str, ...],
                 message: str) -> None:
    config = tmp_path / "engine.json"
    config.write_text("{}")
    result = eieio("synthesize", config, *arguments, "--out", tmp_path / "design")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "design").exists()


def test_reports_a_tool_that_fails(eieio: Callable[..., Result], tmp_path: Path,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTPNR_ECP5", "false")
    config = tmp_path / "engine.json"
    config.write_text("{}")
    result = eieio("synthesize", config, "--board", "ulx3s-85f", "--out", tmp_path / "design")
    assert result.exit_code == 2
    assert result.stderr == (f"eieio: false failed: no message (logs: "
                             f"{tmp_path / 'design' / 'board'})\n")


def test_attempts(eieio: Callable[..., Result], tmp_path: Path,
                  monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds follow one another until the clock is met, and the one that meets it is named."""
    timing = json.loads((RECORDED / "ecp5" / "top.report.json").read_text())
    clock, = timing["fmax"].values()
    for name, achieved in (("slow", 81.26), ("fast", 104.5)):
        clock |= {"achieved": achieved, "constraint": 100}
        (tmp_path / f"{name}.json").write_text(json.dumps(timing))
    tool = tmp_path / "nextpnr"
    tool.write_text(f"""#!/bin/sh
case "$*" in *"--seed 6 "*) name=fast ;; *) name=slow ;; esac
cp {tmp_path}/$name.json top.report.json
echo run >> {tmp_path}/runs
""")
    tool.chmod(0o755)
    monkeypatch.setenv("NEXTPNR_ECP5", str(tool))
    config, report = tmp_path / "engine.json", tmp_path / "report.json"
    config.write_text("{}")
    result = eieio("synthesize", config, "--board", "ulx3s-85f", "--seed", 4, "--attempts", 5,
                   "--out", tmp_path / "design", "--json", report)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "runs").read_text() == "run\n" * 3
    figures = json.loads(report.read_text())
    assert (figures["seed"], figures["fmax_mhz"]) == (6, 104.5)
    assert (tmp_path / "design" / "ulx3s-85f.bit").exists()
