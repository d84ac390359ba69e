"""Whole published networks on the golden model, against TensorFlow Lite's reference kernels."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.tflite import read
from eieio.model.graph.golden import run_graph, run_operator
from eieio.model.graph.quantized_graph import FullyConnected, WeightedOperator

RANDOM_INPUTS = 20
# Operators, and products of a weight and an activation, of the networks.
NETWORKS = {"ad01_int8": (10, 264_192), "ic_resnet8_int8": (16, 12_501_632),
            "kws_dscnn_int8": (13, 2_656_768), "sww_int8": (11, 826_368)}


@pytest.fixture(scope="module", params=NETWORKS)
def path(request: pytest.FixtureRequest, shared_data: Path) -> Path:
    file = shared_data / "tflite" / f"{request.param}.tflite"
    if not file.exists():
        pytest.skip(f"needs {file}")
    return file


def inputs(shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Random and extreme inputs."""
    rng = np.random.default_rng(3)
    size = (RANDOM_INPUTS, *shape)
    alternating = np.resize(np.array([-128, 127], np.int8), (1, *shape))
    halves = np.where(np.arange(shape[0]) % 2, 127, -128)
    rows = np.broadcast_to(halves.reshape(-1, *(1 for _ in shape[1:])), (1, *shape))
    return np.concatenate([
        rng.integers(-128, 128, size),
        rng.choice([-128, 127], size),
        np.clip(rng.normal(0, 30, size), -128, 127),
        np.full((1, *shape), -128), np.full((1, *shape), 127), np.zeros((1, *shape)),
        alternating, -1 - alternating, rows]).astype(np.int8)


def test_every_tensor_equals_the_reference(path: Path) -> None:
    interpreter: Any = pytest.importorskip(
        "ai_edge_litert.interpreter", reason="compares with ai-edge-litert")
    graph = read(path)
    x = inputs(graph.input.shape)
    values = run_graph(graph, x)
    model = interpreter.Interpreter(
        model_path=str(path), experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF)
    model.allocate_tensors()
    numbers = {entry["name"]: entry["index"] for entry in model.get_tensor_details()}
    source = model.get_input_details()[0]["index"]
    for i, sample in enumerate(x):
        model.set_tensor(source, sample[np.newaxis])
        model.invoke()
        for name, value in values.items():
            np.testing.assert_array_equal(value[i], model.get_tensor(numbers[name])[0],
                                          err_msg=f"tensor {name!r}, input {i}")
    assert len(values) == len(graph.operators) + 1


def test_ad01_on_400_inputs(shared_data: Path) -> None:
    """Its last layer, with a factor of 2**-9.6, is where two roundings differ from one."""
    interpreter: Any = pytest.importorskip(
        "ai_edge_litert.interpreter", reason="compares with ai-edge-litert")
    path = shared_data / "tflite" / "ad01_int8.tflite"
    graph = read(path)
    rng = np.random.default_rng(1)
    x = np.concatenate([np.zeros((1, 640)), rng.integers(-128, 128, (199, 640)),
                        np.clip(rng.normal(0, 30, (200, 640)), -128, 127)]).astype(np.int8)
    found = run_graph(graph, x)[graph.output.name]
    assert found[0, 314] == -6
    model = interpreter.Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF)
    model.allocate_tensors()
    source, output = model.get_input_details()[0], model.get_output_details()[0]
    for sample, integers in zip(x, found, strict=True):
        model.set_tensor(source["index"], sample[np.newaxis])
        model.invoke()
        np.testing.assert_array_equal(integers, model.get_tensor(output["index"])[0])
    # By the rule of the other kernels some would be another.
    last = graph.operators[-1]
    assert isinstance(last, FullyConnected)
    twice = replace(last, single_rounding=False)
    between = run_graph(graph, x)[last.input.name]
    assert np.count_nonzero(run_operator(twice, between) != found)


def test_structure(path: Path) -> None:
    graph = read(path)
    assert graph.name == path.stem
    assert (len(graph.operators), graph.macs) == NETWORKS[path.stem]
    weighted = [operator for operator in graph.operators if isinstance(operator, WeightedOperator)]
    # With room to spare in accumulators of 24 bits.
    assert max(operator.accumulator_bound for operator in weighted) < 2**23
    # Fully connected layers round once, as the later reference kernels do.
    dense = [operator for operator in weighted if isinstance(operator, FullyConnected)]
    assert dense
    assert all(operator.single_rounding == (operator in dense) for operator in weighted)


def test_damage(path: Path, tmp_path: Path) -> None:
    data, rng = path.read_bytes(), np.random.default_rng(4)
    damaged = tmp_path / "damaged.tflite"
    refused = 0
    for _ in range(60):
        content = bytearray(data[:rng.integers(len(data))]) if rng.integers(2) else bytearray(data)
        for at in rng.integers(0, max(len(content), 1), 20 if len(content) == len(data) else 0):
            content[at] = rng.integers(256)
        damaged.write_bytes(content)
        with contextlib.suppress(InputError):  # other weights are as good
            read(damaged)
            continue
        refused += 1
    assert refused
