"""The commands with the systolic engine, and the RTL of a small one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper, save

from eieio.model.engine import Messages, Request
from eieio.model.formats.graph_file import read as read_file
from eieio.model.formats.samples import read as read_samples
from eieio.model.graph.float_graph import run as run_float
from eieio.model.graph.golden import run_graph
from eieio.model.graph.load_graph import read_graph
from eieio.model.graph.quantized_graph import WeightedOperator
from eieio.model.systolic import image as systolic_image
from eieio.model.systolic.engine import ENGINE
from eieio.model.systolic.prepared import SystolicPrepared
from eieio.scripts import steps
from eieio.scripts.main import main
from eieio.sim.simulation import build_engine
from eieio.sim.systolic import simulation
from eieio.sim.systolic.simulation import Comparison, compare

Run = Callable[..., Result]

#: Options of the one engine that tests simulate.
SIZE = ("--engine", "systolic", "--rows", "2", "--columns", "2")
#: Memories of an engine for published networks.
DEPTHS = ("--activation-depth", "4096", "--weight-depth", "8192", "--parameter-depth", "128",
          "--program-depth", "16", "--residual")
FILES = {"design.json", "network.graph", "network.image", "rtl"}


def write_network(path: Path) -> None:
    """Write a convolution, a maximum, a fully connected layer and softmax."""
    rng = np.random.default_rng(7)

    def constant(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], "conv", kernel_shape=[3, 3],
                         pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["g"], "dense", transB=1),
        helper.make_node("Softmax", ["g"], ["y"], "softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [constant("w1", 3, 1, 3, 3), constant("b1", 3), constant("w2", 3, 27), constant("b2", 3)])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a network, samples, and the design that is made of them, with its report."""
    folder = tmp_path_factory.mktemp("systolic")
    write_network(folder / "net.onnx")
    rng = np.random.default_rng(8)
    x = rng.integers(0, 256, (12, 1, 6, 6), np.uint8)
    np.savez(folder / "samples.npz", x=x, y=rng.integers(0, 3, 12))
    result = CliRunner(catch_exceptions=False).invoke(main, [
        "build", str(folder / "net.onnx"), *SIZE, "--samples", str(folder / "samples.npz"),
        "--simulate", "2", "--out", str(folder / "design"), "--json", str(folder / "report.json")])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "RTL against the golden model" in result.stdout
    return folder


@pytest.fixture
def made(kept: Path, tmp_path: Path) -> Path:
    """Folder of copies that a test may change."""
    return Path(shutil.copytree(kept, tmp_path / "made"))


def test_builds(kept: Path) -> None:
    assert {path.name for path in (kept / "design").iterdir()} == FILES
    figures = json.loads((kept / "report.json").read_text())
    assert (figures["engine"], figures["images"]) == ("systolic", 2)
    assert (figures["mismatches"], figures["cycle_mismatches"]) == (0, 0)
    # What three layers write, twice, and what is sent; softmax is the host's.
    assert figures["compared_integers"] == 2 * (108 + 27 + 3 + 3)
    assert figures["host_operators"] == ["Softmax"]
    assert [layer["mode"] for layer in figures["layers"]] == ["patches", "channelwise", "direct"]
    assert figures["macs"] == 36 * 27 + 81 == sum(layer["macs"] for layer in figures["layers"])
    assert figures["cycles_rtl"] == [figures["cycles_per_inference"]] * 2
    for layer in figures["layers"]:
        assert layer["cycles"] == layer["model_cycles"] > 0
        assert layer["utilisation"] == layer["macs"] / (4 * layer["cycles"])
    config = figures["config"]
    assert (config["rows"], config["columns"], config["residual"]) == (2, 2, False)
    # Beside the input of 36 words, 36 pixels of two words each.
    assert (config["activation_depth"], config["program_depth"]) == (128, 8)
    assert figures["image_bytes"] == systolic_image.read(
        kept / "design" / "network.image").words.nbytes
    found = read_samples(kept / "samples.npz", 36, 3)
    graph = read_graph(kept / "net.onnx", kept / "samples.npz")
    y = run_graph(graph, graph.input.quantize(found.x.reshape(12, 6, 6, 1)))[graph.output.name]
    assert figures["accuracy_integer"] == np.mean(y.argmax(axis=1) == found.labels)
    prepared = ENGINE.prepare(
        ENGINE.read(kept / "net.onnx"),
        Request(kept / "samples.npz", settings=ENGINE.all_settings()), Messages())
    assert isinstance(prepared, SystolicPrepared)
    reference = prepared.reference
    assert reference is not None
    assert all(layer["snr_db"] is None or 20 < layer["snr_db"] < 60 for layer in figures["layers"])
    assert any(layer["snr_db"] for layer in figures["layers"])
    expected = run_float(reference, found.x.reshape(12, 6, 6, 1))[reference.output.name]
    assert figures["accuracy_float"] == np.mean(expected.argmax(axis=1) == found.labels)


def test_image_is_for_a_host(kept: Path) -> None:
    """Its ports say how the integers lie in the streams."""
    image = systolic_image.read(kept / "design" / "network.image")
    compiled = ENGINE.open(kept / "design").inner
    assert (image.network, image.batch, image.layers) == (
        compiled.graph.name, 1, tuple(layer.name for layer in compiled.layers))
    x = np.random.default_rng(0).integers(-128, 128, (6, 6, 1)).astype(np.int8)
    places = np.zeros(image.input.beats * image.input.lanes, np.int8)
    places[image.input.positions] = x.reshape(-1)
    assert np.array_equal(places.reshape(-1, image.input.lanes), compiled.pack(x))
    beats = np.arange(image.output.beats * image.output.lanes, dtype=np.int8)
    assert np.array_equal(beats[image.output.positions],
                          compiled.unpack(beats.reshape(-1, image.output.lanes)).reshape(-1))
    assert (image.input.scale, image.output.zero_point) == (
        compiled.graph.input.scale, compiled.result.zero_point)
    assert len(image.softmax) == 1


def test_simulates_and_infers_a_design(eieio: Run, made: Path) -> None:
    design = made / "design"
    result = eieio("simulate", design, "--input", made / "samples.npz", "--count", 1)
    assert (result.exit_code, result.stderr) == (0, "")
    result = eieio("simulate", design, "--count", 1)
    assert result.exit_code == 0
    assert "they are random integers" in result.stderr
    np.save(made / "x.npy", np.load(made / "samples.npz")["x"][:2])
    outputs = {}
    for name, args in {
            "golden": (design,), "rtl": (design, "--on", "rtl"),
            "integers": (design, "--on", "rtl", "--integers"),
            "network": (made / "net.onnx", *SIZE, "--samples", made / "samples.npz")}.items():
        result = eieio("infer", *args, "--input", made / "x.npy", "--output", made / "y.npy")
        assert (result.exit_code, result.stderr) == (0, "")
        outputs[name] = np.load(made / "y.npy")
    assert (outputs["golden"].dtype, outputs["golden"].shape) == (np.float32, (2, 3))
    assert outputs["integers"].dtype == np.int8
    for name in ("rtl", "network"):
        assert np.array_equal(outputs["golden"], outputs[name])
    assert np.array_equal((outputs["integers"] + 128.0) / 256, outputs["rtl"])
    assert np.allclose(outputs["golden"].sum(axis=1), 1, atol=0.02)


def test_is_chosen_for_convolutions(eieio: Run, made: Path) -> None:
    """Without --engine it is the first engine that takes the network, and a note says why."""
    result = eieio("infer", made / "net.onnx", "--input", made / "samples.npz", "--output",
                   made / "y.npy", "--rows", 2, "--columns", 2)
    assert result.exit_code == 0
    first, second = result.stderr.splitlines()
    assert first.startswith("eieio: note: the systolic engine is chosen, since the sparse one does "
                            f"not take this network: {made / 'net.onnx'}")
    assert second == ("eieio: note: no samples are given: the inputs calibrate the integers' "
                      "ranges")


def test_mismatch_is_status_1(eieio: Run, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: Any, **kwargs: Any) -> Comparison:
        right = compare(*args, **kwargs)
        return Comparison(right.rtl, right.golden, right.timing, right.layer_mismatches + 1, 3, 2)

    monkeypatch.setattr(simulation, "compare", wrong)
    result = eieio("simulate", made / "design", "--count", 1)
    assert result.exit_code == 1
    assert "The RTL differs from the models: 3 integers and 2 cycle counts" in result.stderr
    assert "1 differ" in result.stdout


@pytest.fixture
def without_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave Verilog out, where a test is about something else."""
    monkeypatch.setattr(steps, "emit_engine", lambda config, family: {
        "systolic_engine.v": f"// {config.label}\n"})


def test_generates(eieio: Run, made: Path, without_yosys: None) -> None:
    out = made / "new"
    result = eieio("generate", made / "net.onnx", *SIZE, "--winograd", 2, "--calibration",
                   "percentile", "--percentile", 99, "--samples", made / "samples.npz",
                   "--out", out, "--json", made / "r.json")
    assert (result.exit_code, result.stderr) == (0, "")
    figures = json.loads((made / "r.json").read_text())
    assert (figures["config"]["winograd"], figures["config"]["activation_width"]) == (2, 10)
    assert {path.name for path in out.iterdir()} == FILES
    graph = read_file(out / "network.graph")
    assert graph.input.scale == read_file(made / "design" / "network.graph").input.scale
    # From the manifest of a design, and from options; no network.
    for args in ((out / "design.json",), (made / "c.json", "--engine", "systolic")):
        (made / "c.json").write_text(json.dumps(figures["config"]))
        result = eieio("generate", *args, "--rows", 4, "--columns", 4, "--out", made / "bare")
        assert (result.exit_code, result.stderr) == (0, "")
        manifest = json.loads((made / "bare" / "design.json").read_text())
        assert (manifest["engine"], manifest["config"]["rows"]) == ("systolic", 4)
        assert not (made / "bare" / "network.image").exists()


def test_codes(eieio: Run, made: Path, without_yosys: None) -> None:
    """A compressed network has codes in the engine: half the weights' image, as many cycles."""
    shared, samples = made / "net.eie", made / "samples.npz"
    assert eieio("compress", made / "net.onnx", "--code-width", 4, "--out", shared).exit_code == 0
    figures = {}
    for width in (0, 4, 8):
        out, report = made / f"codes_{width}", made / f"{width}.json"
        result = eieio("build", shared, *SIZE, "--columns", 8, "--code-width", width, "--samples",
                       samples, "--simulate", 0, "--out", out, "--json", report)
        assert (result.exit_code, result.stderr) == (0, "")
        figures[width] = json.loads(report.read_text())
        config = systolic_image.read(out / "network.image").config
        assert config.code_width == figures[width]["config"].get("code_width", 0) == width
        assert ENGINE.open(out).config == config  # compiles the network anew
        layers = [operator for operator in read_file(out / "network.graph").operators
                  if isinstance(operator, WeightedOperator)]
        values = [np.unique(operator.weight).size for operator in layers]
        assert len(values) == 2
        assert (max(values) <= 16) == (width == 4), values
    widths = {width: found["memories"][0]["width"] for width, found in figures.items()}
    assert widths == {0: 8, 4: 4, 8: 8}
    cycles = [[layer["model_cycles"] for layer in found["layers"]] for found in figures.values()]
    assert cycles == cycles[:1] * 3


def test_refuses(refused: Callable[..., None], made: Path, without_yosys: None) -> None:
    network, samples, out = made / "net.onnx", made / "samples.npz", made / "other"
    before = sorted(made.rglob("*"))
    build = ("build", network, "--engine", "systolic", "--samples", samples, "--out", out)
    for args, message in (
        ((*build, "--pes", 4), ("Option --pes goes with --engine sparse, not with the systolic "
                                "engine (try 'eieio build --help')")),
        ((*build, "--density", 0.1), ("Option --density goes with --engine sparse, not with the "
                                      "systolic engine (try 'eieio build --help')")),
        (("build", network, "--engine", "sparse", "--batch", 2, "--out", out),
         ("Option --batch goes with --engine systolic, not with the sparse engine (try 'eieio "
          "build --help')")),
        (("build", made / "net.net", "--engine", "systolic", "--out", out),
         f"{made / 'net.net'} must be an existing file"),
        (("build", made / "net.tflite", "--engine", "sparse", "--out", out),
         f"{made / 'net.tflite'} must be an existing file"),
        (("build", made / "net.tflite", "--out", out),
         f"{made / 'net.tflite'} must be an existing file"),
        ((*build, "--simulate", 13),
         "Option --simulate must be at most 12, the number of samples, not 13"),
        ((*build, "--rows", 0), "Option rows must be an integer from 1 to 256, not 0"),
        ((*build, "--winograd", 3), "Option winograd must be 0, 2 or 4, not 3"),
        ((*build, "--code-width", 4),
         ("Conv2D 'conv': weights must have at most 16 values for code_width=4, the 0 included, "
          "not 25; code_width=8 would fit, or a network of `eieio compress --code-width 4`")),
        ((*build, "--batch", 2), ("Conv2D 'conv': a batch must be of fully connected layers only; "
                                  "batch 1 would fit")),
        ((*build, "--rows", 2, "--columns", 2, "--weight-depth", 8),
         ("Network 'net' needs 100 rows of weights; option weight_depth must be at least that, not "
          "8")),
        (("build", network, *SIZE, "--out", out),
         (f"{network} is a network of floating-point numbers: sample inputs must be given, to "
          "quantize it by")),
        (("simulate", made / "design", "--rows", 4),
         ("Option --rows goes with a network, not with a design, whose engine is fixed (try 'eieio "
          "simulate --help')")),
        (("simulate", made / "design", "--batch", 4),
         ("Option --batch goes with a network, not with a design, whose ranges are fixed (try "
          "'eieio simulate --help')")),
        (("simulate", made / "design", "--engine", "sparse"),
         ("Option --engine must be systolic for this design, not sparse (try 'eieio simulate "
          "--help')")),
    ):
        refused(*args, message=message)
    assert sorted(made.rglob("*")) == before


@pytest.mark.parametrize(("name", "place", "message"), [
    ("network.image", 200, "Image must have the checksum that it ends with; it is damaged"),
    ("network.graph", 0, "Graph must be readable; it is of another kind, or damaged"),
])
def test_refuses_damage(refused: Callable[..., None], made: Path, name: str, place: int,
                        message: str) -> None:
    path = made / "design" / name
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(data)
    refused("simulate", made / "design", message=f"{path}: {message}")
    path.unlink()
    refused("simulate", made / "design",
            message=f"{made / 'design'} must hold {name}: generate the design from a network")


@pytest.mark.parametrize("name", ["kws_dscnn_int8", "ic_resnet8_int8"])
@pytest.mark.long
def test_published_networks(eieio: Run, shared_data: Path, tmp_path: Path, name: str,
                            monkeypatch: pytest.MonkeyPatch) -> None:
    """They run whole on an engine of 16 x 16; the same one, so that it is built once."""
    path = shared_data / "tflite" / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"needs {path}")
    monkeypatch.setattr(steps, "build_simulation", lambda compiled, *_, **__:
                        build_engine(compiled.config, quick=True))
    result = eieio("build", path, "--engine", "systolic", "--rows", 16, "--columns", 16,
                   *DEPTHS, "--simulate", 1, "--out", tmp_path / "design",
                   "--json", tmp_path / "r.json")
    assert result.exit_code == 0
    figures = json.loads((tmp_path / "r.json").read_text())
    assert (figures["mismatches"], figures["cycle_mismatches"]) == (0, 0)
    most = {"kws_dscnn_int8": 52_000, "ic_resnet8_int8": 65_000}[name]
    assert figures["cycles_rtl"] == [figures["cycles_per_inference"]]
    assert figures["cycles_per_inference"] < most
    assert figures["host_operators"] == ["Softmax"]
    # What was written is the same network.
    graph, _ = read_graph(path), ENGINE.open(tmp_path / "design")
    x = np.random.default_rng(1).integers(-128, 128, (1, *graph.input.shape)).astype(np.int8)
    again = read_file(tmp_path / "design" / "network.graph")
    assert np.array_equal(run_graph(graph, x)[graph.output.name],
                          run_graph(again, x)[again.output.name])
