"""Random networks of real numbers, and of int8 numbers: slices of two benchmarks."""

from pathlib import Path

import numpy as np
from benchmark_modules import benchmark
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from eieio.model.errors import InputError
from eieio.model.formats.tflite import read
from eieio.model.graph.golden import run_graph

_GRAPHS = 60


def test_onnx_runtime(tmp_path: Path) -> None:
    """The importer's graph of a float network computes what ONNX Runtime does."""
    path, compared = tmp_path / "net.onnx", 0
    with benchmark("random_float_graphs") as graphs:
        for seed in range(_GRAPHS):
            shape = graphs.save_random(path, seed)
            try:
                distance = graphs.compare(path, shape, seed)
            except (Fail, InputError):  # Some of either are refused.
                continue
            assert distance <= graphs.TOLERANCE, seed
            compared += 1
    assert compared > 0.9 * _GRAPHS


def test_litert(tmp_path: Path) -> None:
    """The golden model gives every integer of LiteRT's reference kernels."""
    path = tmp_path / "net.tflite"
    with benchmark("random_tflite_graphs") as graphs:
        for seed in range(_GRAPHS):
            data = graphs.draw(seed)
            path.write_bytes(data)
            graph = read(path)
            x = np.random.default_rng(seed).integers(
                -128, 128, (2, *graph.input.shape)).astype(np.int8)
            np.testing.assert_array_equal(
                run_graph(graph, x)[graph.output.name], graphs.lite.reference(data, x), str(seed))
