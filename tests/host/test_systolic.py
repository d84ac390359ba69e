"""The driver and ``eieio run`` with the systolic engine, on a board modelled in Python."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from eieio.host.device import Device
from eieio.host.images import read_host_image
from eieio.model.errors import InputError
from eieio.model.formats.design_folder import IMAGE, write_manifest
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import (
    FullyConnected,
    MaxPool,
    Operator,
    QuantizedGraph,
    Softmax,
    Tensor,
    Window,
)
from eieio.model.host_image import HostImage
from eieio.model.systolic import image as systolic_image
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.engine import ENGINE
from eieio.model.systolic.host import systolic_host_image
from eieio.model.systolic.image import describe
from eieio.model.systolic.mapping import compile_graph
from eieio.scripts.main import main
from eieio.sim.board_model import BoardModel, MemoryLine, on_terminal

CONFIG = SystolicConfig(rows=4, columns=2, lanes=2, activation_depth=128, weight_depth=256,
                        parameter_depth=16, program_depth=6)


class Systolic(NamedTuple):
    """A graph, inputs for it, and what comes out."""

    compiled: CompiledGraph
    image: HostImage
    board: BoardModel
    x: NDArray[np.floating]
    golden: NDArray[np.int8]


def make(shape: tuple[int, ...], batch: int = 1, *, softmax: bool = True) -> Systolic:
    """Make a graph of maxima, if its inputs are images, a fully connected layer and softmax."""
    rng = np.random.default_rng(3)
    source = Tensor("input", shape, 0.05, -11)
    operators: list[Operator] = []
    last = source
    if len(shape) == 3:
        pooled = Tensor("pooled", (shape[0] // 2, shape[1] // 2, shape[2]), 0.05, -11)
        operators.append(MaxPool("pool", (source,), pooled, Window((2, 2), (2, 2)), -128, 127))
        last = pooled
    logits = Tensor("logits", (5,), 0.25, 17)
    operators.append(FullyConnected(
        "dense", (last,), logits, rng.integers(-128, 128, (5, last.elements)).astype(np.int8),
        rng.integers(-500, 500, 5).astype(np.int32), np.full(5, 1 << 30, np.int32),
        np.full(5, 7, np.int32), -128, 127))
    last = logits
    if softmax:
        last = Tensor("output", (5,), Softmax.OUTPUT_SCALE, Softmax.OUTPUT_ZERO_POINT)
        operators.append(Softmax("softmax", (logits,), last, 1 << 30, -24))
    graph = QuantizedGraph("small", source, last, tuple(operators))
    compiled = compile_graph(graph, CONFIG, batch=batch)
    image = systolic_host_image(describe(compiled))

    def compute(inputs: NDArray[np.int32]) -> NDArray[np.integer]:
        values = run_graph(graph, inputs.reshape(batch, *shape).astype(np.int8))
        return values[compiled.result.name].reshape(-1)

    # Halves of a step, and values beyond the range.
    x = rng.integers(-300, 300, (7, *shape)) * 0.025
    return Systolic(compiled, image, BoardModel(image, compute), x,
                    run_graph(graph, source.quantize(x))[last.name])


@pytest.fixture
def images() -> Systolic:
    return make((4, 6, 3))


def device_on(board: BoardModel) -> Device:
    return Device(MemoryLine(board), timeout=0.002, patience=0.05)


@pytest.mark.parametrize(("shape", "batch", "softmax"), [
    ((4, 6, 3), 1, True), ((4, 6, 3), 1, False), ((2, 2, 4), 1, True), ((9,), 1, True),
    ((9,), 3, True), ((8,), 2, False)])
def test_outputs_are_the_golden_model_s(shape: tuple[int, ...], batch: int, softmax: bool) -> None:
    """Of images and vectors, of batches that samples do not fill, with softmax and without."""
    case = make(shape, batch, softmax=softmax)
    device = device_on(case.board)
    device.load(case.image)
    outputs = device.infer(case.x)
    expected = case.compiled.graph.output.dequantize(case.golden).astype(np.float32)
    assert outputs.dtype == np.float32
    assert np.array_equal(outputs, expected)
    assert len(np.unique(case.golden)) > 3
    sent = [data for kind, data in case.board.packets][1:]
    quantized = case.compiled.graph.input.quantize(case.x)
    filler = np.full((-len(case.x) % batch, *shape), -11, np.int8)
    inferences = np.concatenate([quantized, filler]).reshape(-1, batch, *shape)
    assert sent == [case.compiled.pack(inference).tobytes() for inference in inferences]
    assert device.infer(case.x[:0]).shape == (0, 5)


def test_outputs_are_found_in_their_beats() -> None:
    """Places without an output hold anything."""
    case = make((9,), 3, softmax=False)
    beats = np.arange(-9, 9, dtype=np.int8).reshape(-1, 2)
    assert np.array_equal(case.image.outputs.unpack(beats.tobytes()),
                          case.compiled.unpack(beats).reshape(-1))


def test_counters(images: Systolic) -> None:
    device = device_on(images.board)
    first, second = ENGINE.counters
    images.board.registers |= {first.address: 5, second.address: 6}
    assert device.info().engine == "systolic"
    assert device.counters().stalls == {"accumulator_stalls": 5, "transform_stalls": 6}


def test_other_orders_of_axes(images: Systolic) -> None:
    device = device_on(images.board)
    device.load(images.image)
    channels_first = device.infer(images.x.transpose(0, 3, 1, 2))
    assert np.array_equal(channels_first, device.infer(images.x))


@pytest.mark.parametrize(("x", "message"), [
    (np.zeros((2, 72)), r"^Samples must have shape \(samples, 4, 6, 3\), not \(2, 72\)$"),
    (np.full((1, 4, 6, 3), np.inf), r"^Samples must be finite$")])
def test_bad_inputs(images: Systolic, x: NDArray[np.float64], message: str) -> None:
    device = device_on(images.board)
    device.load(images.image)
    with pytest.raises(InputError, match=message):
        device.infer(x)


def write_design(folder: Path, compiled: CompiledGraph) -> Path:
    """Write what the driver needs of a design."""
    systolic_image.write(folder / IMAGE, compiled)
    write_manifest(folder, engine="systolic", top="systolic_engine",
                   config=compiled.config.to_dict(), network=compiled.graph.name)
    return folder


def test_a_design(images: Systolic, tmp_path: Path) -> None:
    """A folder and its image are as good as what was compiled."""
    folder = write_design(tmp_path, images.compiled)
    for path in (folder, folder / IMAGE):
        found = read_host_image(path)
        assert found.frame() == images.image.frame()
        device = device_on(images.board)
        device.load(path)
        assert np.array_equal(device.infer(images.x), images.compiled.graph.output.dequantize(
            images.golden).astype(np.float32))


def test_a_damaged_image(images: Systolic, tmp_path: Path) -> None:
    path = write_design(tmp_path, images.compiled) / IMAGE
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"network\.image: Image must have \d+ bytes, not \d+$"):
        read_host_image(path)


@pytest.mark.parametrize("batch", [1, 4])
def test_run(batch: int, tmp_path: Path) -> None:
    case = make((9,), batch) if batch > 1 else make((4, 6, 3))
    folder = write_design(tmp_path, case.compiled)
    labels = case.golden.argmax(axis=1)
    np.savez(tmp_path / "samples.npz", x=case.x, y=labels)
    with on_terminal(case.board) as port:
        result = CliRunner(catch_exceptions=False).invoke(main, [
            "run", str(folder), str(tmp_path / "samples.npz"), "--port", port,
            "--json", str(tmp_path / "run.json")])
    assert (result.exit_code, result.stderr) == (0, "")
    figures: dict[str, Any] = json.loads((tmp_path / "run.json").read_text())
    # Samples keep the precision of their file, so that a half of a step stays one.
    graph = case.compiled.graph
    expected = run_graph(graph, graph.input.quantize(case.x))[graph.output.name]
    assert figures["outputs"] == expected.tolist()
    assert figures["answers"] == expected.argmax(axis=1).tolist()
    assert figures["inferences"] == len(figures["cycles"]) == -(-7 // batch)
    assert (figures["engine"], figures["output_zero_point"]) == ("systolic", -128)
    assert figures["accuracy"] == np.mean(expected.argmax(axis=1) == labels)
