"""Kinds of quantized ONNX files that common tools write: each gives what ONNX Runtime gives."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx.parser import parse_node

from eieio.model.errors import InputError
from eieio.model.formats import graph_file
from eieio.model.formats.input_file import read_bytes
from eieio.model.formats.samples import read as read_plain_samples
from eieio.model.graph.golden import run_graph
from eieio.model.graph.load_graph import NetworkFile, arrange, read_graph
from eieio.model.graph.quantized_graph import (
    Conv2D,
    DepthwiseConv2D,
    LogSoftmax,
    MaxPool,
    QuantizedGraph,
    Stack,
)
from eieio.model.systolic import image as systolic_image
from eieio.model.systolic.fitting import compile_fitted
from eieio.model.systolic.host import systolic_host_image

rng = np.random.default_rng(11)


def scale(number: float) -> NDArray[np.float32]:
    return np.array(number, np.float32)


def zero(number: int, kind: Any = np.int8) -> NDArray[Any]:
    return np.array(number, kind)


def levels(*shape: int) -> NDArray[np.int8]:
    return rng.integers(-90, 91, shape).astype(np.int8)


CONSTANTS: dict[str, NDArray[Any]] = {
    "s16": scale(1 / 16), "s64": scale(1 / 64), "s128": scale(1 / 128), "s8": scale(1 / 8),
    "s4": scale(1 / 4), "s32": scale(1 / 32), "s256": scale(1 / 256), "s_odd": scale(0.0371),
    "z": zero(0), "z5": zero(5), "zmin": zero(-128), "u": zero(128, np.uint8),
    "u81": zero(81, np.uint8), "u0": zero(0, np.uint8), "u255": zero(255, np.uint8),
    "one16": np.full((1, 1, 1, 1), 16, np.int8), "one8": np.full((1, 1, 1, 1), 8, np.int8),
    "conv": levels(3, 2, 3, 3), "same": levels(2, 2, 3, 3), "mat": levels(6, 4),
    "matt": levels(4, 6), "fc": levels(4, 3), "bias": np.array([300, -200, 10, 0], np.int32),
    "real": (rng.normal(size=(3, 2, 3, 3)) * 0.4).astype(np.float32), "real_b": np.array(
        [0.4, -0.3, 0.1], np.float32),
    "lo": zero(-8), "hi": zero(7), "lo7": zero(-127), "hi7": zero(127),
    "gain": np.array([1.5, -0.75, 0.5], np.float32), "mean3": np.array([0.2, -0.1, 0],
                                                                       np.float32),
    "var3": np.array([1, 2, 0.5], np.float32), "flat2": np.array([-1, 2], np.int64),
    "low": np.array(-0.5, np.float32),
    "high": np.array(2, np.float32), "gain4": np.array([1.5, -0.75, 0.5, 0], np.float32),
    "mean4": np.array([0.2, -0.1, 0, 1], np.float32),
    "var4": np.array([1, 2, 0.5, 1], np.float32),
}


def build(path: Path, nodes: Sequence[str], shape: Sequence[int | str],
          kind: int = onnx.TensorProto.FLOAT, result: int = onnx.TensorProto.FLOAT) -> Path:
    """Save a graph from x to y."""
    parsed = [parse_node(node) for node in nodes]
    used = sorted({name for node in parsed for name in node.input} & CONSTANTS.keys())
    graph = onnx.helper.make_graph(
        parsed, "graph", [onnx.helper.make_tensor_value_info("x", kind, shape)],
        [onnx.helper.make_tensor_value_info("y", result, None)],
        [onnx.numpy_helper.from_array(CONSTANTS[name], name) for name in used])
    onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=[
        onnx.helper.make_opsetid("", 13), onnx.helper.make_opsetid("com.microsoft", 1)]), path)
    return path


def reference(path: Path, x: NDArray[Any]) -> NDArray[Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    result, = session.run(None, {"x": x})
    assert isinstance(result, np.ndarray)
    return result


def compute(path: Path, x: NDArray[Any]) -> tuple[QuantizedGraph, NDArray[np.float64]]:
    """Network, and real outputs for samples from a file, in ONNX's order of axes."""
    np.save(path.with_suffix(".npy"), x)
    file = NetworkFile(path)
    samples = file.read_samples(path.with_suffix(".npy"), 1.0 if x.dtype == np.float32 else None)
    graph = file.quantize(samples.x)
    output = graph.output
    y = output.dequantize(run_graph(graph, graph.input.quantize(samples.x))[output.name])
    return graph, y.transpose(0, 3, 1, 2) if y.ndim == 4 and file.channels_first else y


def real(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(shape).normal(0, 1.2, (40, *shape)).astype(np.float32)


def pair(name: str, source: str, at: str = "s16", zero_point: str = "z") -> list[str]:
    """Quantize and dequantize a value."""
    return [f"{name}_q = QuantizeLinear({source}, {at}, {zero_point})",
            f"{name} = DequantizeLinear({name}_q, {at}, {zero_point})"]


X = pair("d", "x")
W = ["w = DequantizeLinear(conv, s64, z)"]
IMAGE = ("n", 2, 6, 5)

#: Nodes, shape, and the largest difference in steps.
KINDS: dict[str, tuple[Sequence[str], Sequence[int | str], float]] = {
    "mean-before-quantizer": (
        [*X, *W, "c = Conv(d, w)", "m = GlobalAveragePool(c)", *pair("y", "m", "s128")],
        IMAGE, 1),
    "mean-of-rectified": (
        [*X, *W, "c = Conv(d, w, real_b)", "r = Relu(c)",
         "m = GlobalAveragePool(r)", *pair("y", "m", "s64")], IMAGE, 1),
    "means-of-windows": (
        [*X, *W, "c = Conv(d, w)",
         "m = AveragePool<kernel_shape=[2, 2], strides=[1, 1]>(c)", *pair("y", "m", "s32")],
        IMAGE, 1),
    "two-quantizers": (
        [*X, "v = DequantizeLinear(one16, s8, z)", "c = Conv(d, v)", *pair("a", "c", "s128"),
         *pair("b", "c", "s8"), "v2 = DequantizeLinear(one8, s8, z)", "e = Conv(a, v2)",
         *pair("f", "e", "s128"), "g = Add(f, b)", *pair("y", "g", "s4")], ("n", 1, 3, 3), 1),
    "real-addition": (
        [*X, "w = DequantizeLinear(same, s128, z)", "c = Conv<pads=[1, 1, 1, 1]>(d, w)",
         "a = Add(c, d)", "r = Relu(a)", *pair("y", "r", "s32", "zmin")], IMAGE, 1),
    "real-stream": (
        [*X, "w = DequantizeLinear(same, s128, z)", "c = Conv<pads=[1, 1, 1, 1]>(d, w)",
         "a = Add(c, d)", "r = Relu(a)", *pair("q", "r", "s_odd"),
         "e = Conv<pads=[1, 1, 1, 1]>(q, w)", "f = Add(e, r)", "m = GlobalAveragePool(f)",
         *pair("y", "m", "s32")], IMAGE, 2),
    "norm-behind-rectifier": (
        [*X, *W, "c = Conv(d, w)", "r = Relu(c)",
         "n = BatchNormalization(r, gain, mean3, mean3, var3)", *pair("y", "n", "s8")], IMAGE, 1),
    "norm-behind-clip": (
        [*X, *W, "c = Conv(d, w)", "r = Clip(c, low, high)",
         "n = BatchNormalization(r, gain, mean3, mean3, var3)", *pair("y", "n", "s32")], IMAGE, 1),
    "norm-of-rectified-vector": (
        [*X, "w = DequantizeLinear(mat, s64, z)", "c = MatMul(d, w)", "r = Relu(c)",
         "n = BatchNormalization(r, gain4, mean4, mean4, var4)", *pair("y", "n", "s8")],
        ("n", 6), 1),
    "norm-folded": (
        [*X, *W, "c = Conv(d, w, real_b)", "n = BatchNormalization(c, gain, mean3, mean3, var3)",
         "r = Relu(n)", *pair("y", "r", "s8")], IMAGE, 1),
    "max-between": (
        [*X, *W, "c = Conv(d, w)", "m = MaxPool<kernel_shape=[2, 2]>(c)", *pair("y", "m", "s8"),
         ], IMAGE, 1),
    "clip-of-integers": (
        ["q = QuantizeLinear(x, s4, z)", "k = Clip(q, lo, hi)", "d = DequantizeLinear(k, s4, z)",
         "v = QuantizeLinear(real, s64, z)", "l = Clip(v, lo7, hi7)",
         "w = DequantizeLinear(l, s64, z)", "c = Conv(d, w)", *pair("y", "c")], IMAGE, 1),
    "asymmetric-constant": (
        [*X, *W, "c = Conv(d, w)", *pair("e", "c", "s8"), "k = DequantizeLinear(u255, s128, u0)",
         "m = Mul(e, k)", *pair("y", "m", "s8")], IMAGE, 2),
    "scaled-quantized-vector": (
        [*X, "w = DequantizeLinear(mat, s64, z)", "c = MatMul(d, w)", *pair("e", "c", "s8"),
         "n = Mul(e, s_odd)", *pair("y", "n", "s256")], ("n", 6), 2),
    "real-output": ([*X, "w = DequantizeLinear(matt, s64, z)", "y = Gemm<transB=1>(d, w)"],
                    ("n", 6), 1),
    "weights-less-their-zero-point": (
        [*X, "w = DequantizeLinear(conv, s64, z5)", "c = Conv(d, w)", *pair("y", "c", "s8")],
        IMAGE, 1),
    "qgemm": (
        ["q = QuantizeLinear(x, s_odd, u)",
         "g = com.microsoft.QGemm<transB=1>(q, s_odd, u, matt, s64, z, bias, s8, u81)",
         "y = DequantizeLinear(g, s8, u81)"], ("n", 6), 1),
    "qgemm-alpha-real": (
        ["q = QuantizeLinear(x, s_odd, z5)",
         "y = com.microsoft.QGemm<alpha=0.5>(q, s_odd, z5, mat, s64, z, bias)"], ("n", 6), 1),
    # Rounded once, each branch at the scale behind; and by scales of its own first.
    "concat": (
        [*X, *W, "c = Conv(d, w, real_b)", "r = Relu(c)",
         "m = MaxPool<kernel_shape=[3, 3]>(d)", "t = Concat<axis=1>(r, m)",
         *pair("y", "t", "s_odd", "z5")], IMAGE, 1),
    "concat-of-quantized": (
        [*X, *W, "c = Conv(d, w)", *pair("a", "c", "s32", "z5"),
         "m = MaxPool<kernel_shape=[3, 3]>(d)", "t = Concat<axis=1>(m, a, m)",
         *pair("y", "t", "s_odd")], IMAGE, 1),
    "concat-of-integers": (
        ["q = QuantizeLinear(x, s16, z)", "p = MaxPool<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(q)",
         "t = Concat<axis=1>(p, q, p)", "y = DequantizeLinear(t, s16, z)"], IMAGE, 0),
    "concat-in-front-of-a-mean": (
        [*X, *W, "c = Conv(d, w)", "r = Relu(c)", "t = Concat<axis=1>(c, r)",
         "m = GlobalAveragePool(t)", *pair("y", "m", "s64")], IMAGE, 1),
    "concat-of-real-and-quantized": (
        [*X, *W, "c = Conv(d, w)", *pair("a", "c", "s32", "z5"), "r = Relu(c)",
         "t = Concat<axis=1>(a, r)", "m = AveragePool<kernel_shape=[2, 2]>(t)",
         *pair("y", "m", "s128")], IMAGE, 1),
    "qlinear-concat": (
        ["q = QuantizeLinear(x, s_odd, u81)",
         "w = QLinearConv<pads=[1, 1, 1, 1]>(q, s_odd, u81, same, s128, z, s16, u)",
         "t = com.microsoft.QLinearConcat<axis=1>(s32, u, w, s16, u, q, s_odd, u81)",
         "y = DequantizeLinear(t, s32, u)"], IMAGE, 0),
    "qlinear-average-pool": (
        ["q = QuantizeLinear(x, s_odd, u81)",
         "a = com.microsoft.QLinearAveragePool<kernel_shape=[2, 3]>(q, s_odd, u81, s64, u)",
         "y = DequantizeLinear(a, s64, u)"], IMAGE, 1),
    "qlinear-mean-and-add": (
        ["q = QuantizeLinear(x, s_odd, u81)",
         "w = QLinearConv<pads=[1, 1, 1, 1]>(q, s_odd, u81, same, s128, z, s16, u)",
         "a = com.microsoft.QLinearAdd(w, s16, u, q, s_odd, u81, s16, u)",
         "m = com.microsoft.QLinearGlobalAveragePool(a, s16, u, s64, u)",
         "f = Reshape(m, flat2)", "y = DequantizeLinear(f, s64, u)"], IMAGE, 1),
}


@pytest.mark.parametrize("name", KINDS)
def test_equals_onnx_runtime(name: str, tmp_path: Path) -> None:
    nodes, shape, steps = KINDS[name]
    path = build(tmp_path / "a.onnx", nodes, shape)
    x = real(*(size for size in shape[1:] if isinstance(size, int)))
    graph, y = compute(path, x)
    expected = reference(path, x)
    output = graph.output
    low, high = output.dequantize(np.array([-128, 127], np.int8))
    np.testing.assert_allclose(y.reshape(expected.shape), np.clip(expected, low, high),
                               atol=steps * output.scale + 1e-6, rtol=0)
    # A test of something: most results are not clamped, and many are different.
    assert len(np.unique(y)) > 10


@pytest.mark.parametrize("name", ["mean-of-rectified", "real-addition", "means-of-windows"])
def test_engine_and_files(name: str, tmp_path: Path) -> None:
    """What is in segments compiles, keeps in its file, and has an image."""
    nodes, shape, _ = KINDS[name]
    path = build(tmp_path / "a.onnx", nodes, shape)
    x = real(*(size for size in shape[1:] if isinstance(size, int)))
    graph, _ = compute(path, x)
    assert any(isinstance(operator, Stack) for operator in graph.operators)
    compiled = compile_fitted(graph, {"rows": 4, "columns": 4, "lanes": 2})
    assert len(compiled.layers) == len([o for o in graph.operators
                                        if type(o).__name__ not in ("Stack", "Reshape")])
    again = graph_file.load(graph_file.dump(graph))
    assert again.channels_first
    assert [type(o) for o in again.operators] == [type(o) for o in graph.operators]
    q = graph.input.quantize(x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(run_graph(again, q)[again.output.name],
                                  run_graph(graph, q)[graph.output.name])


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_integers_of_the_input_type(kind: Any, tmp_path: Path) -> None:
    """An array of the input's own type holds the integers, in the file and on the host."""
    points = "u" if kind == np.uint8 else "z"
    path = build(tmp_path / "a.onnx", [
        f"d = DequantizeLinear(x, s64, {points})", "w = DequantizeLinear(mat, s64, z)",
        "p = MatMul(d, w)", *pair("y", "p", "s8")], ("n", 6),
        onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
    x = rng.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, (30, 6)).astype(kind)
    graph, y = compute(path, x)
    assert graph.integer_input == np.dtype(kind).name
    np.testing.assert_allclose(y, reference(path, x), atol=1e-6)
    image = systolic_image.describe(compile_fitted(graph, {"rows": 2, "columns": 2}))
    assert systolic_host_image(image).integer_input == graph.integer_input


def test_one_quantizer_needs_no_segments(tmp_path: Path) -> None:
    """What commutes costs nothing: rounding goes in front of it."""
    nodes, shape, _ = KINDS["max-between"]
    graph, _ = compute(build(tmp_path / "a.onnx", nodes, shape), real(2, 6, 5))
    assert [type(operator) for operator in graph.operators] == [Conv2D, MaxPool]
    nodes, shape, _ = KINDS["norm-folded"]
    graph, _ = compute(build(tmp_path / "b.onnx", nodes, shape), real(2, 6, 5))
    assert [type(operator) for operator in graph.operators] == [Conv2D]
    nodes, shape, _ = KINDS["norm-behind-rectifier"]
    graph, y = compute(build(tmp_path / "d.onnx", nodes, shape), real(2, 6, 5))
    assert [type(operator) for operator in graph.operators] == [
        Conv2D, DepthwiseConv2D, DepthwiseConv2D]
    # But for biases, which are rounded to steps of the sums.
    off = np.abs(y - reference(tmp_path / "d.onnx", real(2, 6, 5)))
    assert off.max() <= 1 / 8 + 1e-6
    assert (off > 1e-6).mean() < 0.002
    nodes, shape, _ = KINDS["two-quantizers"]
    graph, _ = compute(build(tmp_path / "c.onnx", nodes, shape), real(1, 3, 3))
    assert [type(operator).__name__ for operator in graph.operators] == [
        "Conv2D", "Conv2D", "Conv2D", "Add"]


def test_ranges_are_needed(tmp_path: Path) -> None:
    """What no quantizer bounds takes samples, or is refused."""
    nodes, shape, _ = KINDS["real-output"]
    path = build(tmp_path / "a.onnx", nodes, shape)
    assert NetworkFile(path).needs_samples
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: activations 'y' are real "
                       "numbers in the file, without a scale: sample inputs must be given, to find "
                       "their range$"):
        read_graph(path)
    nodes, shape, _ = KINDS["max-between"]
    assert not NetworkFile(build(path, nodes, shape)).needs_samples


def test_two_quantizers_of_the_input(tmp_path: Path) -> None:
    """The host rounds once: to steps that serve both, or not at all."""
    nodes = ["v = DequantizeLinear(one8, s8, z)", "c = Conv(a, v)", "e = Conv(b, v)",
             "f = Add(c, e)", *pair("y", "f", "s8")]
    path = build(tmp_path / "a.onnx", [*pair("a", "x", "s16"), *pair("b", "x", "s64"), *nodes],
                 ("n", 1, 3, 3))
    with pytest.raises(InputError, match="input 'x' must not be quantized at scales so different "):
        read_graph(path)


def test_log_softmax(tmp_path: Path) -> None:
    path = build(tmp_path / "a.onnx", [
        *X, "w = DequantizeLinear(mat, s64, z)", "c = MatMul(d, w)", *pair("e", "c", "s32"),
        "y = LogSoftmax(e)"], ("n", 6))
    x = real(6)
    graph, y = compute(path, x)
    assert isinstance(graph.operators[-1], LogSoftmax)
    # Half a step of the result, and a step of what goes in.
    np.testing.assert_allclose(y, np.maximum(reference(path, x), -255 / 16), atol=1.01 / 16)
    compiled = compile_fitted(graph, {"rows": 2, "columns": 2})
    host = systolic_host_image(systolic_image.load(systolic_image.dump(compiled)))
    q = graph.input.quantize(x)
    values = run_graph(graph, q)
    finished = host.finish(values[graph.operators[-1].input.name][0].astype(np.int32))
    np.testing.assert_array_equal(finished, values["y"][0])
    np.testing.assert_allclose(host.output_numbers.dequantize(finished), y[0])


def test_cubic_images_are_in_the_file_s_order() -> None:
    """A shape that does not tell the order of its axes is read in the order of the file."""
    x = np.arange(54.0).reshape(2, 3, 3, 3)
    np.testing.assert_array_equal(arrange(x, (3, 3, 3)), x)
    np.testing.assert_array_equal(arrange(x, (3, 3, 3), channels_first=True),
                                  x.transpose(0, 2, 3, 1))
    other = np.arange(24.0).reshape(2, 3, 2, 2)
    for first in (False, True):
        np.testing.assert_array_equal(arrange(other, (2, 2, 3), channels_first=first),
                                      other.transpose(0, 2, 3, 1))


def test_depthwise_copies(tmp_path: Path) -> None:
    """A real tensor that two quantizers read is computed for each, not rounded twice."""
    path = build(tmp_path / "a.onnx", [
        *X, *W, "c = Conv(d, w)", "r = Relu(c)", *pair("a", "r", "s_odd"), *pair("b", "r", "s8"),
        "e = Add(a, b)", *pair("y", "e", "s8")], IMAGE)
    graph, y = compute(path, real(2, 6, 5))
    kinds = [type(operator) for operator in graph.operators]
    assert kinds.count(Conv2D) == 2
    assert DepthwiseConv2D not in kinds
    np.testing.assert_allclose(y, reference(path, real(2, 6, 5)), atol=1 / 8 + 1e-6)


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".npy", ".eie"])
def test_pointers_of_git_lfs(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    message = re.escape(f"{path} must be the file itself, not the pointer that Git LFS keeps in "
                        "its place: fetch it with 'git lfs pull', or download it")
    with pytest.raises(InputError, match=f"^{message}$"):
        read_bytes(path)
    if suffix in (".onnx", ".tflite"):
        with pytest.raises(InputError, match=f"^{message}$"):
            read_graph(path)
    if suffix == ".npy":
        with pytest.raises(InputError, match=f"^{message}$"):
            read_plain_samples(path, 1, 1)


def test_all_reasons_at_once(tmp_path: Path) -> None:
    path = build(tmp_path / "a.onnx", [
        "[s] a = Sigmoid(x)", "[c] b = Conv<group=3>(x, real)", "[t] c = Tanh(a)",
        "y = Add(b, c)"], IMAGE)
    with pytest.raises(InputError) as raised:
        read_graph(path)
    message = str(raised.value)
    for part in ("node 's' (Sigmoid), node 't' (Tanh) must be one of ",
                 "node 'c' (Conv) must have group"):
        assert part in message
    assert "\n" not in message


def test_steps_too_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real numbers are not cut into thousands of segments to go with a far finer operand."""
    nodes = [*X, "w = DequantizeLinear(same, s128, z)", "c = Conv<pads=[1, 1, 1, 1]>(d, w)",
             *pair("e", "d", "fine"), "a = Add(c, e)", *pair("y", "a", "s32")]
    monkeypatch.setitem(CONSTANTS, "fine", scale(1e-6))
    path, x = build(tmp_path / "a.onnx", nodes, IMAGE), real(2, 6, 5)
    _, y = compute(path, x)
    np.testing.assert_allclose(y, np.clip(reference(path, x), -4, 127 / 32), atol=1 / 32 + 1e-6)
    monkeypatch.setitem(CONSTANTS, "fine", scale(1e-9))
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: 'c' must not add real numbers "
                       "of such different steps: quantizers in front of it would fit$"):
        compute(build(path, nodes, IMAGE), x)
