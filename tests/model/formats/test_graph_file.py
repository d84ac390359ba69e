"""The files of the systolic engine: a quantized network, and the image for an engine."""

import io
import json
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.formats import graph_file
from eieio.model.graph.quantized_graph import (
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Operator,
    Pad,
    QuantizedGraph,
    Reshape,
    Softmax,
    Tensor,
    Window,
)
from eieio.model.image_frame import fingerprint
from eieio.model.systolic import image as systolic_image
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.fitting import compile_fitted


def network() -> QuantizedGraph:
    """Make a network with an operator of each kind."""
    rng = np.random.default_rng(4)

    def parameters(channels: int) -> tuple[Any, Any, Any, int, int]:
        return (rng.integers(-99, 99, channels).astype(np.int32),
                np.full(channels, 1 << 30, np.int32), np.full(channels, 7, np.int32), -120, 127)

    def weight(*shape: int) -> Any:
        return rng.integers(-128, 128, shape).astype(np.int8)

    same = Window((3, 3), padding=((1, 1), (1, 1)))
    x = Tensor("x", (6, 5, 2), 0.1, -3)
    shapes = {"a": (6, 5, 4), "b": (6, 5, 4), "c": (6, 5, 4), "d": (7, 6, 4), "e": (3, 3, 4),
              "f": (2, 2, 4), "g": (16,), "h": (3,)}
    t = {name: Tensor(name, shape, 0.2, 5) for name, shape in shapes.items()}
    y = Tensor("y", (3,), 1 / 256, -128)
    return QuantizedGraph("net", x, y, (
        Conv2D("conv", (x,), t["a"], weight(4, 3, 3, 2), *parameters(4), window=same),
        DepthwiseConv2D("depthwise", (t["a"],), t["b"], weight(3, 3, 4), *parameters(4),
                        window=same),
        Add("add", (t["a"], t["b"]), t["c"], (1 << 30, 1 << 30, 1 << 30), (1, 2, 3), -100, 100),
        Pad("pad", (t["c"],), t["d"], ((1, 0), (0, 1), (0, 0))),
        MaxPool("maximum", (t["d"],), t["e"], Window((3, 2), (2, 2)), -128, 127),
        AveragePool("mean", (t["e"],), t["f"], Window((2, 2)), -128, 127),
        Reshape("reshape", (t["f"],), t["g"]),
        FullyConnected("dense", (t["g"],), t["h"], weight(3, 16), *parameters(3), bias_shift=3,
                       wraps=True),
        Softmax("softmax", (t["h"],), y, 1 << 30, -2)))


def assert_same(one: Operator, other: Operator) -> None:
    assert type(one) is type(other)
    for field in fields(one):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if isinstance(first, np.ndarray):
            assert first.dtype == second.dtype
            assert np.array_equal(first, second)
        else:
            assert first == second


def test_graph_round_trip(tmp_path: Path) -> None:
    before = network()
    graph_file.write(tmp_path / "net.graph", before)
    after = graph_file.read(tmp_path / "net.graph")
    assert (after.name, after.input, after.output) == (before.name, before.input, before.output)
    for one, other in zip(before.operators, after.operators, strict=True):
        assert_same(one, other)
    assert graph_file.dump(after) == (tmp_path / "net.graph").read_bytes()


def changed(data: bytes, change: Any) -> bytes:
    """Change the description in a file."""
    with np.load(io.BytesIO(data)) as file:
        arrays = dict(file)
    description = json.loads(arrays["graph"].tobytes())
    change(description)
    arrays["graph"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


@pytest.mark.parametrize(("change", "message"), [
    (lambda d: d.update(version=2), "Graph must have version 1, not 2"),
    (lambda d: d.pop("version"), "Graph must be readable; it is of another kind, or damaged"),
    (lambda d: d.pop("tensors"), "Graph must describe tensors and operators; it is damaged"),
    (lambda d: d["operators"][0].update(kind="Tensor"),
     "Graph must describe tensors and operators; it is damaged"),
    (lambda d: d["operators"][0].pop("window"),
     "Graph must describe tensors and operators; it is damaged"),
    (lambda d: d["operators"][3].update(padding=[[1.0, 0], [0, 1], [0, 0]]),
     "Graph must describe tensors and operators; it is damaged"),
    (lambda d: d["tensors"][0].__setitem__(3, 200),
     "Tensor 'x': zero point must be from -128 to 127, not 200"),
])
def test_refuses_graphs(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "net.graph"
    path.write_bytes(changed(graph_file.dump(network()), change))
    with pytest.raises(InputError) as caught:
        graph_file.read(path)
    assert str(caught.value) == f"{path}: {message}"


def test_truncated_graphs_are_refused() -> None:
    data = graph_file.dump(network())
    for length in (0, 1, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(InputError):
            graph_file.load(data[:length])


@pytest.mark.parametrize(("rows", "pauses"), [(2, 0), (8, 16)])
def test_image_round_trip(tmp_path: Path, rows: int, pauses: int) -> None:
    compiled = compile_fitted(network(), {"rows": rows, "columns": rows})
    systolic_image.write(tmp_path / "net.image", compiled)
    image = systolic_image.read(tmp_path / "net.image")
    assert np.array_equal(image.words, compiled.image())
    assert image.fingerprint == fingerprint("systolic", image.config)
    assert (image.network, image.config, image.batch) == ("net", compiled.config, 1)
    assert (image.input.beats, image.output.beats) == (compiled.input_beats, compiled.output_beats)
    assert astuple(image.input) == ((6, 5, 2), 0.1, -3, 30, 2, compiled.config.lanes, pauses)
    assert (image.output.shape, image.output.scale) == ((3,), 0.2)
    assert image.softmax == ((1 << 30, -2),)


def test_fits() -> None:
    """A power of two of each memory is enough, and half of it is not."""
    options: dict[str, Any] = {"rows": 4, "columns": 4}
    config = compile_fitted(network(), options).config
    assert config.residual
    for name in ("activation_depth", "weight_depth", "parameter_depth", "program_depth"):
        depth = getattr(config, name)
        assert depth & (depth - 1) == 0
        assert compile_fitted(network(), {**options, name: depth}).config == config
        with pytest.raises(InputError, match=f"option {name} must be at least"):
            compile_fitted(network(), {**options, name: depth // 2})
    with pytest.raises(InputError, match="must be configured with residual"):
        compile_fitted(network(), {**options, "residual": False})


def test_winograd_widens_operands() -> None:
    config = compile_fitted(network(), {"rows": 4, "columns": 4, "winograd": 2}).config
    assert config == SystolicConfig.for_winograd(2, **{
        name: getattr(config, name) for name in (
            "rows", "columns", "activation_depth", "weight_depth", "parameter_depth",
            "program_depth", "input_depth", "output_queue_depth", "patch_rows", "patch_columns",
            "patch_channels", "line_depth")})
