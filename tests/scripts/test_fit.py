"""``eieio fit``."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from long_cases import long
from onnx import TensorProto, helper, numpy_helper, save

from eieio.model.area import estimate
from eieio.model.compress.weight_sharing import share_weights
from eieio.model.formats.npz import read as read_network
from eieio.model.sparse.choices import fit_network
from eieio.model.sparse.fitting import exact_memories
from eieio.rtl.boards.find import all_boards


def test_fits_a_network(eieio: Callable[..., Result], network: Path, samples: Path,
                        tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = eieio("fit", network, "--samples", samples, "--board", "ulx3s-85f", "--json", report)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(report.read_text())
    assert figures["board"] == "ulx3s-85f"
    found = figures["configurations"]
    assert [entry["config"]["pes"] for entry in found] == [1 << n for n in range(len(found))]
    assert found[0]["fits"]
    assert not found[-1]["fits"]
    assert found[-1]["beyond"]
    assert found[0]["inferences_per_second"] == pytest.approx(
        figures["clock_mhz"] * 1e6 / found[0]["cycles_per_inference"])
    # PEs share output lanes where there are too few multipliers for a lane each.
    shared = [entry["config"].get("pes_per_lane", 1) for entry in found]
    fitting = [entry["fits"] for entry in found].count(True)
    assert shared[:fitting] == [1, 1, 1, 1, 1, 4]
    for name, rising in (("lut", fitting), ("ff", fitting), ("dsp", shared.index(4))):
        counts = [entry[name] for entry in found[:rising]]
        assert counts == sorted(counts)
        assert all(entry[name] <= figures["capacity"][name] for entry in found if entry["fits"])
    assert "The largest that fits has " in result.stdout


@pytest.mark.parametrize("board", all_boards())
def test_knows_every_board(eieio: Callable[..., Result], board: str) -> None:
    result = eieio("fit", "--board", board, "--pes", 1)
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("board", all_boards())
def test_knows_every_board_for_the_systolic_engine(eieio: Callable[..., Result], board: str,
                                                   tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = eieio("fit", "--engine", "systolic", "--board", board, "--weight-depth", 512,
                   "--activation-depth", 512, "--no-residual", "--json", report)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(report.read_text())
    assert figures["engine"] == "systolic"
    found = figures["configurations"]
    sides = [entry["config"]["rows"] for entry in found]
    assert sides == sorted(set(sides))
    stages = 3 if all_boards()[board].family == "ecp5" else 1
    for entry in found:
        assert entry["config"]["rows"] == entry["config"]["columns"]
        assert entry["config"]["product_stages"] == stages
        if entry["fits"]:
            assert all(entry[name] <= figures["capacity"][name] for name in figures["capacity"])


def test_fits_the_most_lanes(eieio: Callable[..., Result], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    for given, lanes in (((), 3), (("--residual",), 1), (("--lanes", 2), 2)):
        result = eieio("fit", "--engine", "systolic", "--board", "ulx3s-85f", "--rows", 12,
                       "--columns", 12, "--no-residual", *given, "--json", report)
        assert result.exit_code == 0, result.stderr
        entry, = json.loads(report.read_text())["configurations"]
        assert entry["config"]["lanes"] == lanes
        assert entry["dsp"] == 144 + lanes * (12 if "--residual" in given else 4)
    assert "The largest that fits has 12 x 12 processing elements" in result.stdout
    assert "The fastest" not in result.stdout


def test_fits_a_network_to_the_systolic_engine(eieio: Callable[..., Result],
                                               tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((12, 8), np.float32), "w")
    save(helper.make_model(helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], "dense")], "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])], [weight]),
        opset_imports=[helper.make_opsetid("", 17)]), str(tmp_path / "small.onnx"))
    np.save(tmp_path / "x.npy", np.linspace(0, 1, 240, dtype=np.float32).reshape(20, 12))
    report = tmp_path / "report.json"
    result = eieio("fit", tmp_path / "small.onnx", "--engine", "systolic", "--samples",
                   tmp_path / "x.npy", "--board", "ulx3s-85f", "--columns", 4, "--json", report)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(report.read_text())
    assert figures["network"] == "small"
    found = figures["configurations"]
    assert {entry["config"]["columns"] for entry in found} == {4}
    assert [entry["config"]["lanes"] for entry in found[:3]] == [1, 2, 4]
    for entry in found:
        assert entry["config"]["residual"] is False
        if entry["fits"]:
            assert entry["inferences_per_second"] == pytest.approx(
                figures["clock_mhz"] * 1e6 / entry["cycles_per_inference"])


def test_proposes_a_shape_and_transforms(eieio: Callable[..., Result], tmp_path: Path) -> None:
    """Arrays that are not square are tried, and for filters of 3 x 3 Winograd's transforms."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.normal(size=(16, 8, 3, 3)).astype(np.float32), "w")
    save(helper.make_model(helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], "conv", kernel_shape=[3, 3],
                          pads=[1, 1, 1, 1])], "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 16, 16])], [weight]),
        opset_imports=[helper.make_opsetid("", 17)]), str(tmp_path / "conv.onnx"))
    np.save(tmp_path / "x.npy", rng.random((4, 8, 16, 16), np.float32))
    report = tmp_path / "report.json"
    arguments = ("fit", tmp_path / "conv.onnx", "--engine", "systolic", "--samples",
                 tmp_path / "x.npy", "--board", "ulx3s-85f", "--json", report)
    result = eieio(*arguments)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(report.read_text())
    found = figures["configurations"]
    shapes = {(entry["config"]["rows"], entry["config"]["columns"]) for entry in found}
    assert len(shapes) == len(found)
    assert shapes >= {(8, 8), (8, 16), (16, 8), (4, 16), (12, 12)}
    fastest = min((entry for entry in found if entry["fits"]),
                  key=lambda entry: entry["interval_cycles"])
    config = fastest["config"]
    assert config["winograd"] > 0
    flags = " ".join(f"--{name} {config[name]}"
                     for name in ("rows", "columns", "lanes", "winograd"))
    assert f"The fastest that fits, by its options: {flags}" in result.stdout
    assert "The most inferences for each multiplier, " in result.stdout
    # What is left out of the table is no faster than one with no more multipliers.
    assert len([line for line in result.stdout.splitlines() if " yes " in line]) < len(found)
    result = eieio(*arguments, "--rows", config["rows"], "--columns", config["columns"],
                   "--winograd", 0)
    entry, = json.loads(report.read_text())["configurations"]
    assert entry["interval_cycles"] > fastest["interval_cycles"]


def test_fits_a_network_to_an_engine_without_a_shell(
        eieio: Callable[..., Result], network: Path, samples: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = eieio("fit", network, "--samples", samples, "--engine", "eyeriss", "--board",
                   "ulx3s-85f", "--columns", 14, "--json", report)
    assert result.exit_code == 0, result.stderr
    found = json.loads(report.read_text())["configurations"]
    assert [entry["config"]["rows"] for entry in found] == [3, 5, 6, 8, 12]
    assert (found[0]["fits"], found[-1]["fits"]) == (True, False)
    assert "inferences_per_second" in found[0]
    assert "inferences_per_second_serial" not in found[0]
    assert "has no shell, so no board takes it yet: this is of the engine alone" in result.stdout
    assert "1/s serial" not in result.stdout


@pytest.mark.parametrize(("board", "width"), [
    ("orangecrab", 500), *long(("tang-nano-9k", 700))])
def test_proposes_what_compiles(eieio: Callable[..., Result], board: str, width: int,
                                tmp_path: Path) -> None:
    """The network compiles for all that fits, with the very memories that are listed."""
    rng = np.random.default_rng(0)
    weight = (rng.normal(size=(30, width)) * (rng.random((30, width)) < 0.3)).astype(np.float32)
    np.savez(tmp_path / "n.npz", a_weight=weight)
    x = rng.random((8, width), np.float32)
    np.save(tmp_path / "x.npy", x)
    report = tmp_path / "report.json"
    narrow = {"activation_width": 8, "weight_width": 8, "accumulator_width": 24}
    given = [part for name, value in narrow.items()
               for part in (f"--{name.replace('_', '-')}", value)]
    result = eieio("fit", tmp_path / "n.npz", "--samples", tmp_path / "x.npy", "--board", board,
                   *given, "--json", report)
    assert result.exit_code == 0, result.stderr
    found = json.loads(report.read_text())["configurations"]
    network = share_weights(read_network(tmp_path / "n.npz"), 4)
    fitting = [entry for entry in found if entry["fits"]]
    assert fitting
    for entry in fitting:
        options = narrow | {"pes": entry["config"]["pes"]}
        if not entry["config"].get("double_buffered"):
            options["double_buffered"] = False
        options["pes_per_lane"] = entry["config"].get("pes_per_lane", 1)
        compiled = fit_network(network, x, options, board=True).compiled
        if entry["exact_depths"]:
            compiled = exact_memories(compiled, options)
        assert compiled.config.to_dict() == entry["config"]
        assert not estimate(compiled.config, all_boards()[board].family).beyond(
            all_boards()[board].capacity)


def test_exact_depths(eieio: Callable[..., Result], tmp_path: Path) -> None:
    """A dense network whose weights fit, though not the next power of two; and what helps it."""
    rng = np.random.default_rng(0)
    shapes = [(128, 640), *[(128, 128)] * 5, (640, 128)]
    names = [f"w{number}" for number in range(len(shapes))]
    nodes, values = [], "x"
    for number, name in enumerate(names):
        nodes.append(helper.make_node("Gemm", [values, name], [f"y{number}"], transB=1))
        values = f"y{number}"
    save(helper.make_model(helper.make_graph(
        nodes, "auto", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 640])],
        [helper.make_tensor_value_info(values, TensorProto.FLOAT, [1, 640])],
        [numpy_helper.from_array(rng.normal(size=shape).astype(np.float32) / 16, name)
         for shape, name in zip(shapes, names, strict=True)]),
        opset_imports=[helper.make_opsetid("", 17)]), str(tmp_path / "auto.onnx"))
    np.save(tmp_path / "x.npy", rng.normal(size=(4, 640)).astype(np.float32))
    report = tmp_path / "report.json"
    result = eieio("fit", tmp_path / "auto.onnx", "--engine", "systolic", "--samples",
                   tmp_path / "x.npy", "--board", "ulx3s-85f", "--rows", 12, "--columns", 12,
                   "--lanes", 2, "--json", report)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(report.read_text())
    entry, = figures["configurations"]
    assert (entry["fits"], entry["exact_depths"]) == (True, True)
    assert entry["config"]["weight_depth"].bit_count() > 1
    assert 170 < entry["bram"] <= figures["capacity"]["bram"]
    assert entry["interval_cycles"] > entry["cycles_per_inference"]
    assert any("--batch 12" in hint for hint in figures["hints"])
    for hint in figures["hints"]:
        assert hint in result.stdout


def test_says_if_none_fits(eieio: Callable[..., Result], tmp_path: Path) -> None:
    config = tmp_path / "engine.json"
    config.write_text(json.dumps({"pes": 8, "entry_depth": 65536}))
    result = eieio("fit", config, "--board", "icebreaker")
    assert result.exit_code == 0, result.stderr
    assert "None fits: 8 processing elements take " in result.stdout
    assert " of 30 block RAMs" in result.stdout


def test_leaves_out_what_cannot_be(eieio: Callable[..., Result], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = eieio("fit", "--board", "ulx3s-85f", "--column-groups", 4, "--json", report)
    assert result.exit_code == 0, result.stderr
    assert json.loads(report.read_text())["configurations"][0]["config"]["pes"] == 4


@pytest.mark.parametrize(("arguments", "message"), [
    (("--board", "nonesuch"), "'nonesuch' is not one of"),
    (("--board", "icebreaker", "--pes", "0"), "Option pes must be an integer from 1 to 256"),
    (("--board", "icebreaker", "--code-width", "9"), "Option code_width must be an integer"),
    (("--board", "icebreaker", "--rows", "8"), "Option --rows goes with --engine systolic"),
    (("--board", "icebreaker", "--engine", "systolic", "--rows", "257"),
     "Option rows must be an integer from 1 to 256"),
    (("--board", "icebreaker", "--engine", "systolic", "--winograd", "2"),
     "Area of a systolic engine must be asked for without winograd on ice40"),
    (("/", "--board", "icebreaker"), "/ must be a network or a file of options, not a folder"),
])
def test_refuses(eieio: Callable[..., Result], arguments: tuple[str, ...], message: str) -> None:
    result = eieio("fit", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
