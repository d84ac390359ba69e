"""ONNX graphs of images: accepted ones against ONNX's reference evaluator, and refusals."""

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx.parser import parse_node
from onnx.reference import ReferenceEvaluator

from eieio.model.errors import InputError
from eieio.model.formats.onnx import read
from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    run,
)


def rand(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def ints(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


# Operands of the graphs below, whose input is mostly an image of 4 channels, 5 high and 6 wide.
CONSTANTS: dict[str, NDArray[Any]] = {
    "w3": rand(2, 4, 3, 3), "w1": rand(8, 4, 1, 1), "depth": rand(4, 1, 3, 3),
    "depth2": rand(8, 1, 2, 3), "group2": rand(6, 2, 3, 3), "whole": rand(3, 4, 5, 6),
    "b2": rand(2), "b3": rand(3), "b4": rand(4), "b6": rand(6), "b8": rand(8),
    "m4": rand(4), "v4": rand(4) ** 2 + 1, "v3": rand(3) ** 2 + 1,
    "m2": rand(2), "v2": rand(2) ** 2 + 0.5,
    "one": rand(1), "column2": rand(1, 2, 1, 1), "column4": rand(4, 1, 1), "pixels": rand(4, 5, 6),
    "d120": rand(120, 3), "d120t": rand(3, 120), "d3": rand(3, 2), "d4": rand(4, 3),
    "d123": rand(123, 2),
    "d24": rand(24, 3), "d8": rand(8, 3),
    "six": np.array(6, np.float32), "zero": np.array(0, np.float32),
    "low": np.array(-0.5, np.float32), "high": np.array([0.75], np.float32),
    "flat": ints(-1, 120), "keep": ints(0, -1), "hw": ints(2, 3), "back": ints(-1, -2),
    "pads": ints(0, 0, 1, 2, 0, 0, 0, 1), "pads_channel": ints(0, 1, 0, 0, 0, 2, 0, 0),
    "pads_axes": ints(1, 0, 2, 1), "axes": ints(2, -1), "pads_vector": ints(0, 1, 0, 2),
    "pads_batch": ints(1, 0, 0, 0, 0, 0, 0, 0), "pads_cut": ints(0, 0, -1, 0, 0, 0, 0, 0),
    "two120": rand(120), "gray": ints(-1, 1, 5, 6), "v1": rand(2, 1, 3, 3),
    "cube": rand(1, 3, 1, 1),
    "four": ints(4), "lrtb": ints(1, 1, 0, 2), "pairs": ints(-1, 2), "last": ints(-1),
    "first": ints(-(1 << 62)), "zeroth": ints(0), "back1": ints(-1),
    "image": ints(-1, 4, 5, 6), "minus": ints(-1), "int_w": np.ones((2, 4, 3, 3), np.int64),
    "nan": np.full((2, 4, 3, 3), np.nan, np.float32), "true": np.array(True),
}

IMAGE: tuple[int | str, ...] = ("n", 4, 5, 6)


def build(path: Path, nodes: Sequence[str], shape: Sequence[int | str] = IMAGE, *,
          outputs: Sequence[str] = ("y",), opset: int = 15) -> Path:
    """Save a graph from x to y."""
    parsed = [parse_node(node) for node in nodes]
    used = sorted({name for node in parsed for name in node.input} & CONSTANTS.keys())
    float_type = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        parsed, "graph", [onnx.helper.make_tensor_value_info("x", float_type, shape)],
        [onnx.helper.make_tensor_value_info(name, float_type, None) for name in outputs],
        [onnx.numpy_helper.from_array(CONSTANTS[name], name) for name in used])
    onnx.save(onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", opset)]), path)
    return path


def check(path: Path, x: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Compare with ONNX's evaluator; return all values."""
    found = read(path)
    assert found.scales == {}
    reference: Any = ReferenceEvaluator(str(path)).run(None, {"x": x})
    expected = reference[0]
    image = x.ndim == 4 and found.graph.channels_first
    values = run(found.graph, x.transpose(0, 2, 3, 1) if image else x)
    actual = values[found.graph.output.name]
    if expected.ndim == 4 and actual.shape != expected.shape:
        actual = actual.transpose(0, 3, 1, 2)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
    for operator in found.graph.operators:
        assert values[operator.output.name].shape[1:] == operator.output.shape
    return values


FLATTEN = ["f = Flatten(x)", "y = Gemm(f, d120, b3)"]

ACCEPTED: dict[str, tuple[Sequence[str], Sequence[int | str], int]] = {
    "conv": (["y = Conv(x, w3, b2)"], IMAGE, 15),
    "conv-without-bias": (["y = Conv<kernel_shape=[3, 3]>(x, w3)"], IMAGE, 15),
    "conv-padded": (["y = Conv<pads=[1, 2, 0, 1], strides=[2, 1]>(x, w3, b2)"], IMAGE, 15),
    "conv-padded-widely": (["y = Conv<pads=[1, 2, 3, 0]>(x, w1)"], IMAGE, 15),
    "conv-same-upper": (['y = Conv<auto_pad="SAME_UPPER", strides=[2, 2]>(x, depth2, b8)'],
                        ("n", 1, 5, 6), 15),
    "conv-same-lower": (['y = Conv<auto_pad="SAME_LOWER", strides=[2, 1]>(x, w3)'], IMAGE, 15),
    "conv-valid": (['y = Conv<auto_pad="VALID">(x, w3)'], IMAGE, 15),
    "concat": (["a = Conv<pads=[1, 1, 1, 1]>(x, w3, b2)", "r = Relu(a)", "b = Conv(x, w1)",
                "y = Concat<axis=1>(r, x, b, r)"], IMAGE, 15),
    "concat-rectified": (["a = Conv(x, w1)", "c = Concat<axis=-3>(a, x)", "d = Relu(c)",
                          "p = MaxPool<kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1>(d)",
                          "y = GlobalAveragePool(p)"], IMAGE, 15),
    "concat-of-vectors": (["m = GlobalAveragePool(x)", "f = Flatten(m)", "g = Gemm(f, d4, b3)",
                           "y = Concat<axis=-1>(g, f)"], IMAGE, 15),
    "concat-of-flattened": (["f = Flatten(x)", "p = Gemm(f, d120, b3)",
                             "c = Concat<axis=1>(p, f)", "y = Gemm(c, d123)"], IMAGE, 15),
    "conv-dilated": (["y = Conv<dilations=[2, 1], pads=[2, 0, 1, 0]>(x, w3)"], IMAGE, 15),
    "conv-grouped": (["y = Conv<group=2>(x, group2, b6)"], IMAGE, 15),
    "conv-depthwise": (["y = Conv<group=4, pads=[1, 1, 1, 1]>(x, depth, b4)"], IMAGE, 15),
    "conv-depthwise-multiplied": (["y = Conv<group=4>(x, depth2, b8)"], IMAGE, 15),
    "conv-all": (["c = Conv(x, whole, b3)", "y = Flatten(c)"], IMAGE, 15),
    "flatten-gemm": (FLATTEN, IMAGE, 15),
    "gemm-options": (["f = Flatten(x)", "y = Gemm<transB=1, alpha=0.5, beta=2.0>(f, d120t, b3)"],
                     IMAGE, 15),
    "gemm-of-pixels": (["y = Gemm(x, d4, one)"], ("n", 4), 15),
    "reshape-matmul": (["f = Reshape(x, flat)", "m = MatMul(f, d120)", "y = Add(b3, m)"],
                       IMAGE, 15),
    "reshape-keeps-the-batch": (["f = Reshape(x, keep)", "y = MatMul(f, d120)"], IMAGE, 15),
    "reshape-by-shape": (["s = Shape<start=0, end=1>(x)", "m = Concat<axis=0>(s, minus)",
                          "f = Reshape(x, m)", "y = MatMul(f, d120)"], IMAGE, 15),
    "relu-flatten": (["r = Relu(x)", "f = Flatten(r)", "y = Gemm(f, d120, b3)"], IMAGE, 15),
    "flatten-relu": (["c = Conv(x, w1)", "p = AveragePool<kernel_shape=[5, 6]>(c)",
                      "f = Flatten(p)", "r = Relu(f)", "y = MatMul(r, d8)"], IMAGE, 15),
    "two-layers": ([*FLATTEN[:1], "h = Gemm(f, d120, b3)", "r = Relu(h)", "y = Gemm(r, d3, b2)"],
                   IMAGE, 15),
    "relu-alone": (["y = Relu(x)"], IMAGE, 15),
    "relu-of-one-of-two": (["c = Conv(x, w1)", "r = Relu(c)", "y = Add(c, r)"], IMAGE, 15),
    "relu6": (["c = Conv(x, w3)", "y = Clip(c, zero, six)"], IMAGE, 15),
    "clip-twice": (["c = Conv(x, w3)", "d = Clip(c, low, high)", "y = Relu(d)"], IMAGE, 15),
    "clip-of-old": (["c = Conv(x, w3)", "y = Clip<min=-0.5, max=0.25>(c)"], IMAGE, 9),
    "max-pool": (["y = MaxPool<kernel_shape=[2, 3], strides=[2, 1], pads=[1, 0, 0, 2]>(x)"],
                 IMAGE, 15),
    "max-pool-ceil": (["y = MaxPool<kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1>(x)"],
                      IMAGE, 15),
    "max-pool-same": (['y = MaxPool<kernel_shape=[3, 2], auto_pad="SAME_UPPER">(x)'], IMAGE, 15),
    "max-pool-relu": (["m = MaxPool<kernel_shape=[2, 2]>(x)", "y = Relu(m)"], IMAGE, 15),
    "average-pool": (["y = AveragePool<kernel_shape=[2, 3], strides=[1, 2]>(x)"], IMAGE, 15),
    "average-pool-padded": (["y = AveragePool<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x)"],
                            IMAGE, 15),
    "average-pool-with-padding":
        (["y = AveragePool<kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1>(x)"],
         IMAGE, 15),
    "global-average-pool": (["g = GlobalAveragePool(x)", "f = Flatten(g)", "y = MatMul(f, d4)"],
                            IMAGE, 15),
    "global-average-pool-alone": (["g = GlobalAveragePool(x)", "y = Flatten(g)"], IMAGE, 15),
    "squeeze": (["g = GlobalAveragePool(x)", "y = Squeeze(g, hw)"], IMAGE, 15),
    "unsqueeze": (["u = Unsqueeze(x, hw)", "y = Conv(u, w1)"], ("n", 4), 15),
    "reduce-mean": (["g = ReduceMean<axes=[2, 3], keepdims=0>(x)", "y = MatMul(g, d4)"], IMAGE, 15),
    "reduce-mean-18": (["y = ReduceMean(x, back)"], IMAGE, 18),
    "residual": (["c = Conv<group=4, pads=[1, 1, 1, 1]>(x, depth, b4)", "a = Add(c, x)",
                  "y = Relu(a)"], IMAGE, 15),
    "batch-normalization": (["c = Conv(x, w3, b2)", "n = BatchNormalization(c, b2, m2, m2, v2)",
                             "y = Relu(n)"], IMAGE, 15),
    "batch-normalization-depthwise":
        (["c = Conv<group=4>(x, depth)", "y = BatchNormalization<epsilon=0.1>(c, b4, m4, m4, v4)"],
         IMAGE, 15),
    "batch-normalization-first": (["n = BatchNormalization(x, b4, m4, m4, v4)", "y = Conv(n, w3)"],
                                  IMAGE, 15),
    "batch-normalization-of-vector":
        (["m = MatMul(x, d24)", "y = BatchNormalization(m, b3, b3, b3, v3)"], ("n", 24), 15),
    "batch-normalization-between":
        (["c = Conv<group=4, pads=[1, 1, 1, 1]>(x, depth)", "a = Add(c, x)",
          "n = BatchNormalization(a, b4, m4, m4, v4)", "r = Relu(n)", "y = Add(r, a)"], IMAGE, 15),
    "arithmetic": (["c = Conv(x, w3, b2)", "d = Mul(c, column2)", "e = Sub(one, d)",
                    "y = Div(e, column2)"], IMAGE, 15),
    "arithmetic-first": (["s = Sub(x, column4)", "d = Div(s, six)", "y = Conv(d, w3)"], IMAGE, 15),
    "arithmetic-behind-relu": (["c = Conv(x, w3)", "r = Relu(c)", "y = Add(r, column2)"],
                               IMAGE, 15),
    "pad": (["p = Pad(x, pads)", "y = Conv(p, w3)"], IMAGE, 15),
    "pad-channels": (['y = Pad<mode="constant">(x, pads_channel, zero)'], IMAGE, 15),
    "pad-axes": (["y = Pad(x, pads_axes, , axes)"], IMAGE, 18),
    "pad-old": (["y = Pad<pads=[0, 0, 1, 0, 0, 0, 0, 2]>(x)"], IMAGE, 9),
    "pad-vector": (["m = MatMul(x, d24)", "y = Pad(m, pads_vector)"], ("n", 24), 15),
    "softmax": ([*FLATTEN[:1], "g = Gemm(f, d120, b3)", "y = Softmax(g)"], IMAGE, 15),
    "softmax-of-channels": (["c = Conv(x, w3)", "y = Softmax<axis=1>(c)"], IMAGE, 15),
    "softmax-old": ([*FLATTEN[:1], "g = Gemm(f, d120, b3)", "y = Softmax(g)"], IMAGE, 9),
    "skipped": (["i = Identity(x)", "d = Dropout(i)", "e = Cast<to=1>(d)", "y = Conv(e, w3)"],
                IMAGE, 15),
    "channels-last": (["t = Transpose<perm=[0, 3, 1, 2]>(x)", "c = Conv(t, w3, b2)",
                       "y = Transpose<perm=[0, 2, 3, 1]>(c)"], ("n", 5, 6, 4), 15),
    "transpose-there-and-back":
        (["t = Transpose<perm=[0, 2, 3, 1]>(x)", "r = Relu(t)",
          "s = Transpose<perm=[0, 3, 1, 2]>(r)", "y = Conv(s, w3)"], IMAGE, 15),
    "transpose-flatten": (["t = Transpose<perm=[0, 2, 3, 1]>(x)", "f = Flatten(t)",
                           "y = MatMul(f, d120)"], IMAGE, 15),
    "vector-to-image": (["f = Flatten(x)", "i = Reshape(f, image)", "y = Conv(i, w3)"], IMAGE, 15),
    "fixed-batch": (FLATTEN, (3, 4, 5, 6), 15),
    "gemm-negative": (["f = Flatten(x)", "y = Gemm<alpha=-1.5>(f, d120, b3)"], IMAGE, 15),
    "affine-of-vector": (["f = Flatten(x)", "m = MatMul(f, d120)", "r = Relu(m)",
                          "y = Mul(r, b3)"], IMAGE, 15),
    "affine-between-layers":
        (["f = Flatten(x)", "m = MatMul(f, d120)", "r = Relu(m)",
          "n = BatchNormalization(r, b3, b3, b3, v3)", "s = Sub(one, n)", "y = Gemm(s, d3, b2)"],
         IMAGE, 15),
    "affine-of-input": (["f = Flatten(x)", "s = Mul(f, two120)", "y = MatMul(s, d120)"], IMAGE, 15),
    "log-softmax": ([*FLATTEN[:1], "g = Gemm(f, d120, b3)", "y = LogSoftmax<axis=1>(g)"],
                    IMAGE, 15),
    "gray-channels-last": (["i = Reshape(x, gray)", "y = Conv(i, v1)"], ("n", 5, 6, 1), 15),
    "channels-last-behind-arithmetic":
        (["s = Mul(x, six)", "t = Transpose<perm=[0, 3, 1, 2]>(s)", "y = Conv(t, w3, b2)"],
         ("n", 5, 6, 4), 15),
    "flatten-all": (["f = Flatten<axis=0>(x)", "y = MatMul(f, d120)"], (1, 4, 5, 6), 15),
    "padding-computed":
        (["z = ConstantOfShape<value=int64[1] {0}>(four)", "p = Concat<axis=0>(lrtb, z)",
          "q = Reshape(p, pairs)", "s = Slice(q, last, first, zeroth, back1)",
          "t = Transpose<perm=[1, 0]>(s)", "u = Reshape(t, minus)", "c = Cast<to=7>(u)",
          "d = Pad(x, c, zero)", "y = Conv(d, w3)"], IMAGE, 15),
    "dead-branch": (["c = Conv(x, w3)", "y = Relu(c)", "l = ArgMax<axis=1>(y)", "s = Sigmoid(c)"],
                    IMAGE, 15),
    "cubic": (["y = Conv(x, cube)"], ("n", 3, 3, 3), 15),
}


@pytest.mark.parametrize(("nodes", "shape", "opset"), ACCEPTED.values(), ids=ACCEPTED)
def test_equals_the_evaluator(nodes: Sequence[str], shape: Sequence[int | str], opset: int,
                              tmp_path: Path) -> None:
    batch = shape[0] if isinstance(shape[0], int) else 3
    x = rand(batch, *(size for size in shape[1:] if isinstance(size, int)))
    check(build(tmp_path / "a.onnx", nodes, shape, opset=opset), x)


def kinds(path: Path) -> list[type]:
    return [type(operator) for operator in read(path).graph.operators]


def test_names_and_fusing(tmp_path: Path) -> None:
    path = build(tmp_path / "net.onnx", [
        "[first] c = Conv<pads=[1, 1, 1, 1], group=4>(x, depth)",
        "n = BatchNormalization(c, b4, m4, m4, v4)", "r = Relu(n)", "a = Add(r, x)", "q = Relu(a)",
        "g = GlobalAveragePool(q)", "f = Flatten(g)", "m = MatMul(f, d4)", "y = Add(m, b3)"])
    graph = read(path).graph
    assert graph.name == "net"
    assert [(type(o), o.name, o.output.name, o.clamps) for o in graph.operators] == [
        (DepthwiseConv2D, "first", "r", True), (Add, "add_1", "q", True),
        (AveragePool, "globalaveragepool_2", "g", False),
        (FullyConnected, "matmul_3", "y", False)]
    assert graph.input.shape == (5, 6, 4)


def test_groups(tmp_path: Path) -> None:
    """One group for each channel is depthwise, unless there is one channel."""
    one = build(tmp_path / "a.onnx", ["y = Conv(x, depth, b4)"], ("n", 1, 5, 6))
    assert kinds(one) == [Conv2D]
    assert kinds(build(tmp_path / "b.onnx", ["y = Conv<group=4>(x, depth2)"])) == [DepthwiseConv2D]
    two = read(build(tmp_path / "c.onnx", ["y = Conv<group=2>(x, group2)"])).graph.operators[0]
    assert isinstance(two, Conv2D)
    assert np.count_nonzero(two.weight) == CONSTANTS["group2"].size
    assert not two.weight[:3, ..., 2:].any()


def slow_windows(x: NDArray[np.float32], weight: NDArray[np.float32], kind: str,
                 attributes: dict[str, Any]) -> NDArray[np.float64]:
    """Conv, MaxPool and AveragePool of images (samples, channels, height, width), by loops.

    From ONNX's definitions; its evaluator is not to be relied on for all combinations.
    """
    kernel, stride = weight.shape[2:], attributes["strides"]
    dilation = attributes.get("dilations", [1, 1])
    starts: list[list[int]] = []
    for axis in range(2):
        size, extent = x.shape[2 + axis], (kernel[axis] - 1) * dilation[axis] + 1
        auto = attributes.get("auto_pad", "NOTSET")
        if auto.startswith("SAME"):
            count = math.ceil(size / stride[axis])
            total = max((count - 1) * stride[axis] + extent - size, 0)
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
        else:
            before, after = attributes.get("pads", [0] * 4)[axis::2]
            count = (size + before + after - extent) / stride[axis] + 1
            count = math.ceil(count) if attributes.get("ceil_mode", 0) else math.floor(count)
            if (count - 1) * stride[axis] >= size + before:
                count -= 1
        starts.append([i * stride[axis] - before for i in range(count)])
    outputs = len(weight) if kind == "Conv" else x.shape[1]
    y = np.empty((len(x), outputs, len(starts[0]), len(starts[1])))
    for (i, top), (j, left) in itertools.product(*map(enumerate, starts)):
        elements, taps = [], []
        for tap in itertools.product(*map(range, kernel)):
            at = top + tap[0] * dilation[0], left + tap[1] * dilation[1]
            if 0 <= at[0] < x.shape[2] and 0 <= at[1] < x.shape[3]:
                elements.append(x[:, :, at[0], at[1]])
                taps.append(weight[:, :, *tap])
        if kind == "Conv":
            y[:, :, i, j] = sum(
                element @ tap.T for element, tap in zip(elements, taps, strict=True))
        elif kind == "MaxPool":
            y[:, :, i, j] = np.max(elements, axis=0)
        else:
            whole = attributes.get("count_include_pad", 0)
            y[:, :, i, j] = sum(elements) / (math.prod(kernel) if whole else len(elements))
    return y


small = st.integers(1, 3)


@settings(deadline=None, max_examples=60,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_windows(tmp_path: Path, data: st.DataObject) -> None:
    """Attributes of windows in any combination that fits."""
    kernel, stride, dilation = ([data.draw(small), data.draw(small)] for _ in range(3))
    size = [data.draw(st.integers(7, 10)), data.draw(st.integers(7, 10))]
    kind = data.draw(st.sampled_from(["Conv", "MaxPool", "AveragePool"]))
    attributes: dict[str, Any] = {"strides": stride}
    if kind == "Conv":
        attributes["dilations"] = dilation
    else:
        attributes["kernel_shape"] = kernel
    auto = data.draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto == "NOTSET":
        attributes["pads"] = [data.draw(st.integers(0, kernel[axis % 2] - 1)) for axis in range(4)]
        if kind == "MaxPool":
            attributes["ceil_mode"] = data.draw(st.integers(0, 1))
        elif kind == "AveragePool":
            attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    else:
        attributes["auto_pad"] = auto
    weight, x = rand(2, 3, *kernel), rand(2, 3, *size)
    node = onnx.helper.make_node(kind, ["x", "w"] if kind == "Conv" else ["x"], ["y"], **attributes)
    graph = onnx.helper.make_graph(
        [node], "g", [onnx.helper.make_tensor_value_info("x", 1, ["n", 3, *size])],
        [onnx.helper.make_tensor_value_info("y", 1, None)],
        [onnx.numpy_helper.from_array(weight, "w")])
    path = tmp_path / "a.onnx"
    onnx.save(onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 19)]), path)
    values = run(read(path).graph, x.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(values["y"].transpose(0, 3, 1, 2),
                               slow_windows(x, weight, kind, attributes), rtol=1e-5, atol=1e-5)


def refuse(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {message}')}$"):
        read(path)


SUPPORTED = ("Add, AveragePool, BatchNormalization, Cast, Clip, Concat, Conv, DequantizeLinear, "
             "Div, Dropout, Flatten, Gemm, GlobalAveragePool, Identity, LogSoftmax, MatMul, "
             "MaxPool, Mul, Pad, QGemm, QLinearAdd, QLinearAveragePool, QLinearConcat, "
             "QLinearConv, QLinearGlobalAveragePool, QLinearMatMul, QLinearSoftmax, "
             "QuantizeLinear, ReduceMean, Relu, Reshape, Softmax, Squeeze, Sub, Transpose, "
             "Unsqueeze")

REFUSED = [
    pytest.param(
        ["y = Sigmoid(x)"],
        f"node 0 (Sigmoid) must be one of {SUPPORTED}", id="sigmoid"),
    pytest.param(
        ["[cat] y = Concat<axis=2>(x, x)"],
        "node 'cat' (Concat) must join channels, along axis 1, not 2", id="concat-below"),
    pytest.param(
        ["[cat] y = Concat<axis=1>(x, w1)"],
        "node 'cat' (Concat) must take activations as operand 1, not 'w1'", id="concat-constant"),
    pytest.param(
        ["p = MaxPool<kernel_shape=[2, 2]>(x)", "[cat] y = Concat<axis=1>(x, p)"],
        "node 'cat' (Concat) must join activations of one size, not (?, 4, 5, 6) and (?, 4, 4, 5)",
        id="concat-sizes"),
    pytest.param(
        ["y = ConvInteger(x, int_w)"],
        f"node 0 (ConvInteger) must be one of {SUPPORTED}: quantize the network statically "
        "(quantize_static), not dynamically", id="conv-integer"),
    pytest.param(
        ["y = Conv(x, w3)"],
        "node 0 (Conv) must take images, with 4 axes: batch, channels, height, width, not 2 axes",
        id="conv-vector"),
    pytest.param(
        ["y = Conv(x, x)"],
        "node 0 (Conv) must take 'x' as a constant", id="conv-variable"),
    pytest.param(
        ["y = Conv(x, b4)"],
        "node 0 (Conv) must have weights of 4 axes, not of shape (4,)", id="conv-weights"),
    pytest.param(
        ["y = Conv(x, depth)"],
        "node 0 (Conv) must have group and weights that fit 4 channels, not group 1 and weights "
        "of shape (4, 1, 3, 3)", id="conv-channels"),
    pytest.param(
        ["y = Conv<kernel_shape=[3, 2]>(x, w3)"],
        "node 0 (Conv) must have kernel_shape (3, 3), that of its weights, not (3, 2)",
        id="conv-kernel"),
    pytest.param(
        ["y = Conv<strides=[0, 1]>(x, w3)"],
        "node 0 (Conv) must have strides as 2 numbers of at least 1, not [0, 1]", id="conv-stride"),
    pytest.param(
        ["y = Conv<pads=[0, -1, 0, 0]>(x, w3)"],
        "node 0 (Conv) must have pads as 4 numbers of at least 0, not [0, -1, 0, 0]",
        id="conv-pads"),
    pytest.param(
        ['y = Conv<auto_pad="SAME">(x, w3)'],
        "node 0 (Conv) must have auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER, not SAME",
        id="conv-auto-pad"),
    pytest.param(
        ['y = Conv<auto_pad="VALID", pads=[1, 0, 0, 0]>(x, w3)'],
        "node 0 (Conv) must have either pads or auto_pad, not pads [1, 0, 0, 0] and auto_pad "
        "VALID", id="conv-two-pads"),
    pytest.param(
        ["y = Conv<dilations=[3, 1]>(x, w3)"],
        "node 0 (Conv) must have a window of at most the padded image, 5, not 7",
        id="conv-too-large"),
    pytest.param(
        ["y = Conv(x, w3, b3)"],
        "node 0 (Conv) must take 'b3' of shape (2,), not (3,)", id="conv-bias"),
    pytest.param(
        ["y = Conv(x, int_w)"],
        "node 0 (Conv) must take 'int_w' as a float16, float32 or float64 tensor, not int64",
        id="conv-type"),
    pytest.param(
        ["y = Conv(x, nan)"],
        "node 0 (Conv) must take 'nan' as finite numbers", id="conv-nan"),
    pytest.param(
        ["f = Flatten(x)", "y = Gemm<transA=1>(f, d120)"],
        "node 1 (Gemm) must have transA 0, not 1", id="gemm-trans"),
    pytest.param(
        ["f = Flatten(x)", "y = Gemm<alpha=0.0>(f, d120)"],
        "node 1 (Gemm) must have alpha above 0, not 0.0", id="gemm-alpha"),
    pytest.param(
        ["f = Flatten(x)", "y = Gemm(f, d24)"],
        "node 1 (Gemm) must take activations of shape (batch, 24), to fit its weights, not (?, "
        "120)", id="gemm-shape"),
    pytest.param(
        ["f = Flatten(x)", "y = MatMul(d24, f)"],
        "node 1 (MatMul) must take activations as operand 0, not 'd24'", id="matmul-first"),
    pytest.param(
        ["y = Mul(x, x)"],
        "node 0 (Mul) must take a constant, not two activations: eieio takes Add", id="mul-two"),
    pytest.param(
        ["y = Div(one, x)"],
        "node 0 (Div) must divide the activations by constants other than 0", id="div-by"),
    pytest.param(
        ["f = Flatten(x)", "y = Add(f, x)"],
        "node 1 (Add) must add activations of one shape, not (?, 120) and (?, 4, 5, 6)",
        id="add-shapes"),
    pytest.param(
        ["f = Flatten(x)", "t = Transpose<perm=[0, 2, 3, 1]>(x)", "g = Flatten(t)",
         "y = Add(f, g)"],
        "node 3 (Add) must add activations whose elements have one order, not such as a Reshape "
        "or Transpose makes of one of them", id="add-orders"),
    pytest.param(
        ["y = Add(x, pixels)"],
        "node 0 (Add) must take one constant, or one for each channel, not for pixels",
        id="add-pixels"),
    pytest.param(
        ["y = Add(x, b3)"],
        "node 0 (Add) must take a constant that fits activations of shape (4, 5, 6), not one of "
        "shape (3,)", id="add-constant"),
    pytest.param(
        ["f = Flatten(x)", "y = Mul(f, two120)"],
        "output 'y' must follow a Conv, Gemm or MatMul whose result nothing else takes, come "
        "before one, or take images or vectors of channels", id="affine-of-vector"),
    pytest.param(
        ["y = BatchNormalization<training_mode=1>(x, b4, m4, m4, v4)"],
        "node 0 (BatchNormalization) must be for inference, with training_mode 0 and spatial 1",
        id="norm-training"),
    pytest.param(
        ["y = BatchNormalization(x, b4, m4, m4, v2)"],
        "node 0 (BatchNormalization) must take 'v2' of shape (4,), not (2,)", id="norm-shape"),
    pytest.param(
        ["y = BatchNormalization<epsilon=-9.0>(x, b4, m4, m4, v4)"],
        "node 0 (BatchNormalization) must take 'v4' above minus epsilon", id="norm-variance"),
    pytest.param(
        ["y = Clip(x, six, zero)"],
        "node 0 (Clip) must have min and max in order, not 6.0 and 0.0", id="clip-bounds"),
    pytest.param(
        ["y = Clip(x, b2)"],
        "node 0 (Clip) must take 'b2' as one number, not 2", id="clip-many"),
    pytest.param(
        ["y = MaxPool<kernel_shape=[2]>(x)"],
        "node 0 (MaxPool) must have kernel_shape as 2 positive numbers, not [2]", id="pool-1d"),
    pytest.param(
        ["y = MaxPool<kernel_shape=[2, 2], dilations=[2, 1]>(x)"],
        "node 0 (MaxPool) must have dilations (1, 1), not (2, 1)", id="pool-dilated"),
    pytest.param(
        ["y = MaxPool<kernel_shape=[2, 2], storage_order=1>(x)"],
        "node 0 (MaxPool) must have storage_order 0, not 1", id="pool-storage"),
    pytest.param(
        ["m, i = MaxPool<kernel_shape=[2, 2]>(x)", "y = Add(m, i)"],
        "node 0 (MaxPool) must have one output in use, not 2", id="pool-indices"),
    pytest.param(
        ["y = MaxPool<kernel_shape=[2, 2], pads=[2, 0, 0, 0]>(x)"],
        "node 0 (MaxPool) must have pads of less than the window, (2, 2), not ((2, 0), (0, 0))",
        id="pool-pads"),
    pytest.param(
        [("y = AveragePool<kernel_shape=[2, 2], strides=[2, 2], pads=[0, 1, 0, 0], "
          "ceil_mode=1, count_include_pad=1>(x)")],
        "node 0 (AveragePool) must have count_include_pad 0, or ceil_mode 0, where ceil_mode "
        "adds a window", id="pool-ceil"),
    pytest.param(
        ["y = ReduceMean<axes=[1]>(x)"],
        "node 0 (ReduceMean) must take the means of images over axes 2 and 3", id="mean-axes"),
    pytest.param(
        ['y = Pad<mode="reflect">(x, pads)'],
        "node 0 (Pad) must have mode constant, not reflect", id="pad-mode"),
    pytest.param(
        ["y = Pad(x, pads, six)"],
        "node 0 (Pad) must pad with 0, not another number", id="pad-value"),
    pytest.param(
        ["y = Pad(x, pads_batch)"],
        "node 0 (Pad) must leave the batch as it is, and not cut off, with pads that are not "
        "negative, not [1, 0, 0, 0, 0, 0, 0, 0]", id="pad-batch"),
    pytest.param(
        ["y = Pad(x, pads_cut)"],
        "node 0 (Pad) must leave the batch as it is, and not cut off, with pads that are not "
        "negative, not [0, 0, -1, 0, 0, 0, 0, 0]", id="pad-cut"),
    pytest.param(
        ["y = Pad(x, pads_vector)"],
        "node 0 (Pad) must have two pads for each axis, not 4 for 4", id="pad-count"),
    pytest.param(
        ["y = Softmax<axis=2>(x)"],
        "node 0 (Softmax) must run along the channels, axis 1, not 2", id="softmax-axis"),
    pytest.param(
        ["y = Flatten<axis=2>(x)"],
        "node 0 (Flatten) must have axis 1, so that the batch stays, not 2", id="flatten-axis"),
    pytest.param(
        ["y = Transpose<perm=[1, 0, 2, 3]>(x)"],
        "node 0 (Transpose) must leave the batch as the first axis, not have perm [1, 0, 2, 3]",
        id="transpose-batch"),
    pytest.param(
        ["t = Transpose<perm=[0, 1, 3, 2]>(x)", "y = Conv(t, w3)"],
        "node 1 (Conv) must take images whose channels, height and width have their order from "
        "the input on, not such as a Reshape or Transpose makes", id="reordered-image"),
    pytest.param(
        ["r = Conv(x, w3)", "y = Flatten(r)"],
        "output 'y' must be an image, or a vector of channels: what flattens an image must have "
        "a Gemm or MatMul behind it", id="flat-output"),
    pytest.param(
        ["y = Cast<to=6>(x)"],
        "node 0 (Cast) must cast to FLOAT16, FLOAT or DOUBLE, not INT32", id="cast"),
    pytest.param(
        ["y = Dropout(x, , true)"],
        "node 0 (Dropout) must be for inference, not in training mode", id="dropout"),
    pytest.param(
        ["y = Identity(x)"],
        "output 'y' must be computed from the input", id="nothing"),
    pytest.param(
        ["y = Identity(w3)"],
        "output 'y' must be computed from the input", id="constant"),
]


@pytest.mark.parametrize(("nodes", "message"), REFUSED)
def test_refused(nodes: Sequence[str], message: str, tmp_path: Path) -> None:
    # Of vectors where the graph needs them.
    shape = ("n", 120) if "not 2 axes" in message else IMAGE
    refuse(build(tmp_path / "a.onnx", nodes, shape), message)


def test_refused_graphs(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    refuse(build(path, ["y = Relu(x)"], ("n", 4, "h", 6)),
           "input 'x' must have a batch axis, and others of fixed sizes behind it")
    refuse(build(path, ["y = Relu(x)", "z = Relu(y)"], outputs=["y", "z"]),
           "must have one output, not 2 ('y', 'z'): choose one of the values of the graph as the "
           "output, here 'y' or 'z' (--output-name)")
    refuse(build(path, ["y = Relu(x)"], opset=6), "opset must be 7 or later, not 6")
    path.write_bytes(b"no model")
    with pytest.raises(InputError, match="must be a valid ONNX model"):
        read(path)


def test_sizes(tmp_path: Path) -> None:
    """Sizes that no memory holds are refused before anything is computed."""
    path = tmp_path / "a.onnx"
    refuse(build(path, ["y = Relu(x)"], ("n", 4, 1 << 20, 1 << 20)),
           f"input 'x' must have at most 8388608 elements, not {1 << 42}")
    refuse(build(path, ["y = Pad<pads=[0, 0, 1000000, 0, 0, 0, 0, 1000000]>(x)"], opset=9),
           f"node 0 (Pad) must have activations of at most 8388608 elements, not "
           f"{4 * 1_000_005 * 1_000_006}")
