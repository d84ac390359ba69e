"""Quantized ONNX graphs: integers against ONNX's reference evaluator, and refusals."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.parser import parse_node
from onnx.reference import ReferenceEvaluator

from eieio.model.errors import InputError
from eieio.model.graph.golden import run_graph
from eieio.model.graph.load_graph import read_graph
from eieio.model.graph.quantized_graph import (
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    QuantizedGraph,
    Reshape,
    WeightedOperator,
)

SAMPLES = 20
# A result may be another by one step, where two roundings do not give what one does; means are
# often in the middle between two steps, and rounded to the other side.
RARE, RARE_OF_MEANS = 0.02, 0.08

rng = np.random.default_rng(5)


def int8(*shape: int) -> NDArray[np.int8]:
    return rng.integers(-127, 128, shape).astype(np.int8)


def scales(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


CONSTANTS: dict[str, NDArray[Any]] = {
    # Of activations: input, hidden, sum, output.
    "sx": scales(0.02).reshape(()), "zx": np.array(-3, np.int8), "ux": np.array(125, np.uint8),
    "sh": scales(0.11).reshape(()), "zh": np.array(-128, np.int8), "uh": np.array(0, np.uint8),
    "sa": scales(0.07).reshape(()), "za": np.array(11, np.int8), "ua": np.array(139, np.uint8),
    # Of weights: one, and one for each of 4 channels.
    "s1": scales(0.01).reshape(()), "z1": np.array(0, np.int8), "u1": np.array(128, np.uint8),
    "s4": scales(0.01, 0.02, 0.005, 0.017), "z4": np.zeros(4, np.int8),
    "s3": scales(0.004, 0.003, 0.002), "z3": np.zeros(3, np.int8),
    "w": int8(4, 4, 3, 3), "depth": int8(4, 1, 3, 3), "fc": int8(4, 3), "all": int8(120, 3),
    "allt": int8(3, 120), "b": rng.integers(-3000, 3000, 4).astype(np.int32),
    "b3": rng.integers(-3000, 3000, 3).astype(np.int32),
    "z32": np.zeros(4, np.int32), "z32_3": np.zeros(3, np.int32),
    "real": (rng.normal(size=(4, 4, 3, 3)) * 0.5).astype(np.float32),
    "real_b": rng.normal(size=4).astype(np.float32),
    "s_e": scales(0.25).reshape(()), "six": np.array(6, np.float32),
    "zero": np.array(0, np.float32), "flat": np.array([-1, 120]),
    # Not taken.
    "z5": np.array(5, np.int8), "i16": np.array(0, np.int16), "minus": scales(-1.0).reshape(()),
    "s_rows": scales(0.1, 0.2, 0.3), "z_rows": np.zeros(3, np.int8),
    "w16": int8(4, 4, 3, 3).astype(np.int16), "other": scales(0.5).reshape(()),
}
CONSTANTS["uw"] = (CONSTANTS["w"].astype(np.int16) + 128).astype(np.uint8)
CONSTANTS["sb"] = CONSTANTS["sx"] * CONSTANTS["s4"]
CONSTANTS["sb3"] = CONSTANTS["sx"] * CONSTANTS["s3"]

IMAGE: tuple[int | str, ...] = ("n", 4, 5, 6)
INPUT = ["qx = QuantizeLinear(x, sx, zx)", "dx = DequantizeLinear(qx, sx, zx)"]
UINPUT = ["qx = QuantizeLinear(x, sx, ux)", "dx = DequantizeLinear(qx, sx, ux)"]
WEIGHT = ["dw = DequantizeLinear<axis=0>(w, s4, z4)", "db = DequantizeLinear<axis=0>(b, sb, z32)"]
OUTPUT = ["q = QuantizeLinear(y, sa, za)"]


def build(path: Path, nodes: Sequence[str], shape: Sequence[int | str] = IMAGE,
          kind: int = onnx.TensorProto.FLOAT, *, opset: int = 19) -> Path:
    """Save a graph from x to q."""
    parsed = [parse_node(node) for node in nodes]
    used = sorted({name for node in parsed for name in node.input} & CONSTANTS.keys())
    graph = onnx.helper.make_graph(
        parsed, "graph", [onnx.helper.make_tensor_value_info("x", kind, shape)],
        [onnx.helper.make_tensor_value_info("q", onnx.TensorProto.INT8, None)],
        [onnx.numpy_helper.from_array(CONSTANTS[name], name) for name in used])
    onnx.save(onnx.helper.make_model(graph, ir_version=9, opset_imports=[
        onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("com.microsoft", 1)]), path)
    return path


def as_int8(x: NDArray[Any]) -> NDArray[np.int8]:
    return x if x.dtype == np.int8 else (x.astype(np.int16) - 128).astype(np.int8)


def compute(graph: QuantizedGraph, x: NDArray[Any]) -> NDArray[np.int8]:
    """Output, in ONNX's order of axes; inputs are real numbers or integers in that order."""
    q = graph.input.quantize(x) if x.dtype == np.float32 else as_int8(x)
    image = q.ndim == 4
    result = run_graph(graph, q.transpose(0, 2, 3, 1) if image else q)[graph.output.name]
    return result.transpose(0, 3, 1, 2) if result.ndim == 4 else result


def equals(actual: NDArray[np.int8], expected: NDArray[Any], rare: float = RARE) -> None:
    assert actual.shape == expected.shape
    difference = np.abs(actual.astype(int) - as_int8(expected))
    assert difference.max() <= 1
    assert (difference > 0).mean() < rare
    # A test of something: not clamped throughout.
    assert len(np.unique(actual)) > 10


def check(path: Path, x: NDArray[Any]) -> QuantizedGraph:
    reference: Any = ReferenceEvaluator(str(path)).run(None, {"x": x})
    graph = read_graph(path)
    means = any(isinstance(operator, AveragePool) for operator in graph.operators)
    equals(compute(graph, x), reference[0], RARE_OF_MEANS if means else RARE)
    return graph


def real(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(shape).normal(0, 1.1, (SAMPLES, *shape)).astype(np.float32)


ACCEPTED = {
    "conv": [*INPUT, *WEIGHT, "y = Conv(dx, dw, db)", *OUTPUT],
    "conv-uint8": [*UINPUT, "dw = DequantizeLinear(uw, s1, u1)", "y = Conv<pads=[1,1,1,1]>(dx, dw)",
                   "q = QuantizeLinear(y, sa, ua)"],
    "conv-real-bias": [*INPUT, WEIGHT[0], "y = Conv(dx, dw, real_b)", *OUTPUT],
    "conv-fake-quantized": [*INPUT, "qw = QuantizeLinear<axis=0>(real, s4, z4)",
                            "dw = DequantizeLinear<axis=0>(qw, s4, z4)", "y = Conv(dx, dw)",
                            *OUTPUT],
    "conv-fake-quantized-one": [*INPUT, "qw = QuantizeLinear(real, s1, z1)",
                                "dw = DequantizeLinear(qw, s1, z1)", "y = Conv(dx, dw)", *OUTPUT],
    "conv-relu": [*INPUT, *WEIGHT, "c = Conv(dx, dw, db)", "y = Relu(c)",
                  "q = QuantizeLinear(y, sh, zh)"],
    "conv-relu6": [*INPUT, *WEIGHT, "c = Conv(dx, dw, db)", "y = Clip(c, zero, six)", *OUTPUT],
    "depthwise": [*INPUT, "dw = DequantizeLinear<axis=0>(depth, s4, z4)",
                  "y = Conv<group=4>(dx, dw)", *OUTPUT],
    "gemm": [*INPUT, "dw = DequantizeLinear<axis=1>(all, s3, z3)", "f = Flatten(dx)",
             "db = DequantizeLinear<axis=0>(b3, sb3, z32_3)", "y = Gemm(f, dw, db)",
             "q = QuantizeLinear(y, sh, za)"],
    "gemm-transposed": [*INPUT, "dw = DequantizeLinear<axis=0>(allt, s3, z3)",
                        "f = Reshape(dx, flat)", "y = Gemm<transB=1>(f, dw)",
                        "q = QuantizeLinear(y, sh, za)"],
    "matmul-of-transposed": [*INPUT, "dw = DequantizeLinear<axis=0>(allt, s3, z3)",
                             "wt = Transpose<perm=[1, 0]>(dw)", "f = Flatten(dx)",
                             "y = MatMul(f, wt)", "q = QuantizeLinear(y, sh, za)"],
    "max-pool": [*INPUT, "y = MaxPool<kernel_shape=[2, 2]>(dx)", "q = QuantizeLinear(y, sx, zx)"],
    "max-pool-of-integers": [INPUT[0], "q = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(qx)"],
    "max-pool-rescaled": [*INPUT, "y = MaxPool<kernel_shape=[2, 2]>(dx)", *OUTPUT],
    "average-pool": [*INPUT, "y = AveragePool<kernel_shape=[2, 3]>(dx)", *OUTPUT],
    "average-pool-padded": [*INPUT, "y = AveragePool<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(dx)",
                            "q = QuantizeLinear(y, sx, zx)"],
    "global-average-pool": [*INPUT, "g = GlobalAveragePool(dx)", "y = Flatten(g)",
                            "q = QuantizeLinear(y, s1, za)"],
    "add": [*INPUT, *WEIGHT, "c = Conv<pads=[1, 1, 1, 1]>(dx, dw, db)",
            "qc = QuantizeLinear(c, sa, za)", "dc = DequantizeLinear(qc, sa, za)",
            "a = Add(dc, dx)", "y = Relu(a)", "q = QuantizeLinear(y, sh, zh)"],
    "scaled-behind": [*INPUT, *WEIGHT, "c = Conv(dx, dw, db)", "m = Mul(c, six)",
                      "y = Sub(zero, m)", "q = QuantizeLinear(y, s_e, za)"],
    "relu-alone": [*INPUT, "y = Relu(dx)", "q = QuantizeLinear(y, sx, zx)"],
    "relu-rescaled": [*INPUT, "y = Relu(dx)", "q = QuantizeLinear(y, sx, zh)"],
    "rescaled": [*INPUT, "q = QuantizeLinear(dx, sa, za)"],
    "pad": [*INPUT, "y = MaxPool<kernel_shape=[1, 1]>(dx)", "q = QuantizeLinear(y, sx, zx)"],
    "scale-from-behind": [*INPUT, *WEIGHT, "c = Conv(dx, dw, db)",
                          "y = MaxPool<kernel_shape=[2, 2]>(c)", *OUTPUT],
    "flatten-of-integers": [INPUT[0], "qf = Flatten(qx)", "df = DequantizeLinear(qf, sx, zx)",
                            "dw = DequantizeLinear<axis=1>(all, s3, z3)", "y = MatMul(df, dw)",
                            "q = QuantizeLinear(y, sh, za)"],
    "qlinear-conv": [INPUT[0],
                     "q = QLinearConv<pads=[1, 0, 0, 1]>(qx, sx, zx, w, s4, z4, sa, za, b)"],
    "qlinear-conv-uint8": [UINPUT[0], "q = QLinearConv(qx, sx, ux, uw, s1, u1, sa, ua)"],
    "qlinear-matmul": [INPUT[0], "f = Flatten(qx)",
                       "q = QLinearMatMul(f, sx, zx, all, s3, z3, sh, za)"],
}


@pytest.mark.parametrize("nodes", ACCEPTED.values(), ids=ACCEPTED)
def test_within_one_of_the_evaluator(nodes: Sequence[str], tmp_path: Path) -> None:
    check(build(tmp_path / "a.onnx", nodes), real(4, 5, 6))


def kinds(graph: QuantizedGraph) -> list[type]:
    return [type(operator) for operator in graph.operators]


def test_integer_input(tmp_path: Path) -> None:
    """The input may be quantized already."""
    x = rng.integers(0, 256, (SAMPLES, 4, 5, 6)).astype(np.uint8)
    nodes = [UINPUT[1].replace("qx", "x"), *WEIGHT, "y = Conv(dx, dw, db)", *OUTPUT]
    graph = check(build(tmp_path / "a.onnx", nodes, kind=onnx.TensorProto.UINT8), x)
    assert (graph.input.scale, graph.input.zero_point) == (np.float32(0.02), -3)


def test_integers_are_kept(tmp_path: Path) -> None:
    """Weights and biases are the file's, also in uint8; scales are the file's."""
    graph = read_graph(build(tmp_path / "a.onnx", ACCEPTED["conv"]))
    (operator,) = graph.operators
    assert isinstance(operator, WeightedOperator)
    np.testing.assert_array_equal(operator.weight, CONSTANTS["w"].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(operator.bias, CONSTANTS["b"])
    assert (graph.output.scale, graph.output.zero_point) == (np.float32(0.07), 11)
    unsigned = read_graph(build(tmp_path / "b.onnx", ACCEPTED["qlinear-conv-uint8"])).operators[0]
    assert isinstance(unsigned, Conv2D)
    np.testing.assert_array_equal(unsigned.weight, CONSTANTS["w"].transpose(0, 2, 3, 1))
    fused = read_graph(build(tmp_path / "c.onnx", ACCEPTED["conv-relu6"])).operators
    assert [(o.minimum, o.maximum) for o in fused if isinstance(o, Conv2D)] == [(11, 11 + 86)]


@pytest.mark.parametrize(("name", "expected"), [
    ("max-pool", [MaxPool]), ("max-pool-rescaled", [MaxPool, DepthwiseConv2D]),
    ("average-pool", [DepthwiseConv2D]), ("average-pool-padded", [AveragePool]),
    ("global-average-pool", [DepthwiseConv2D, Reshape]), ("relu-alone", [MaxPool]),
    ("relu-rescaled", [DepthwiseConv2D]), ("rescaled", [DepthwiseConv2D]),
    ("scale-from-behind", [Conv2D, MaxPool]), ("flatten-of-integers", [FullyConnected])])
def test_operators(name: str, expected: list[type], tmp_path: Path) -> None:
    """Other scales cost an operator only where they are other."""
    assert kinds(read_graph(build(tmp_path / "a.onnx", ACCEPTED[name]))) == expected


def test_qlinear_add_and_mean(tmp_path: Path) -> None:
    """Operators that the evaluator has not, from their definitions."""
    path = build(tmp_path / "a.onnx", [
        INPUT[0], "qc = QLinearConv<pads=[1, 1, 1, 1]>(qx, sx, zx, w, s4, z4, sa, za, b)",
        "q = com.microsoft.QLinearAdd(qc, sa, za, qx, sx, zx, sh, zh)"])
    x = real(4, 5, 6)
    graph = read_graph(path)
    values = run_graph(graph, graph.input.quantize(x.transpose(0, 2, 3, 1)))
    tensors = {tensor.name: tensor.dequantize(values[tensor.name]) for tensor in graph.tensors}
    total = tensors["qc"] + tensors["x"]
    equals(values["q"], np.clip(np.rint(total / np.float32(0.11)) - 128, -128, 127).astype(np.int8))

    path = build(path, [INPUT[0], "q = com.microsoft.QLinearGlobalAveragePool(qx, sx, zx, s1, za)"])
    graph = read_graph(path)
    means = graph.input.dequantize(graph.input.quantize(x)).mean(axis=(2, 3), keepdims=True)
    equals(compute(graph, x),
           np.clip(np.rint(means / np.float32(0.01)) + 11, -128, 127).astype(np.int8))


def test_whole_network(tmp_path: Path) -> None:
    """A network with all of it: real outputs within a few steps."""
    path = build(tmp_path / "a.onnx", [
        *INPUT, *WEIGHT, "c = Conv<pads=[1, 1, 1, 1]>(dx, dw, db)", "r = Relu(c)",
        "qr = QuantizeLinear(r, sh, zh)", "dr = DequantizeLinear(qr, sh, zh)",
        "m = MaxPool<kernel_shape=[2, 2]>(dr)", "qm = QuantizeLinear(m, sh, zh)",
        "dm = DequantizeLinear(qm, sh, zh)", "dd = DequantizeLinear<axis=0>(depth, s4, z4)",
        "e = Conv<group=4, pads=[1, 1, 1, 1]>(dm, dd)", "qe = QuantizeLinear(e, s_e, za)",
        "de = DequantizeLinear(qe, s_e, za)", "a = Add(de, dm)", "qa = QuantizeLinear(a, s_e, zh)",
        "da = DequantizeLinear(qa, s_e, zh)", "g = GlobalAveragePool(da)",
        "qg = QuantizeLinear(g, sh, zh)", "dg = DequantizeLinear(qg, sh, zh)", "f = Flatten(dg)",
        "df = DequantizeLinear<axis=1>(fc, s3, z3)", "y = MatMul(f, df)",
        "qy = QuantizeLinear(y, sx, zx)", "dy = DequantizeLinear(qy, sx, zx)", "q = Softmax(dy)"])
    x = real(4, 5, 6)
    reference: Any = ReferenceEvaluator(str(path)).run(None, {"x": x})
    graph = read_graph(path)
    assert graph.output.scale == 1 / 256
    probabilities = graph.output.dequantize(compute(graph, x))
    np.testing.assert_allclose(probabilities, reference[0], atol=3 / 256)


REFUSED = [
    pytest.param([*INPUT, "dw = DequantizeLinear(w, s1, z5)", "y = Conv(dx, dw)", *OUTPUT],
                 "node 2 (DequantizeLinear) must have symmetric weights, of zero point 0 for int8, "
                 "not 5", id="weights-asymmetric"),
    pytest.param([*INPUT, "dw = DequantizeLinear(uw, s1)", "y = Conv(dx, dw)", *OUTPUT],
                 "node 2 (DequantizeLinear) must have symmetric weights, of zero point 128 for "
                 "uint8, not 0", id="weights-asymmetric-unsigned"),
    pytest.param([*INPUT, "dw = DequantizeLinear(w16, s1, i16)", "y = Conv(dx, dw)", *OUTPUT],
                 "node 2 (DequantizeLinear) must have weights of int8, or of uint8 with zero point "
                 "128, and biases of int32, not constants of int16", id="weights-int16"),
    pytest.param([*INPUT, "dw = DequantizeLinear<axis=1>(w, s4, z4)", "y = Conv(dx, dw)", *OUTPUT],
                 "node 3 (Conv) must have weights with one scale for each output channel, not "
                 "along another axis", id="weights-along-inputs"),
    pytest.param([*INPUT, "dw = DequantizeLinear<axis=0>(w, s3, z3)", "y = Conv(dx, dw)", *OUTPUT],
                 "node 2 (DequantizeLinear) must have one scale for all weights, or one for each "
                 "channel, not scales of shape (3,) for weights of shape (4, 4, 3, 3)",
                 id="weights-scales"),
    pytest.param([*INPUT, "dw = DequantizeLinear(w, minus, z1)", "y = Conv(dx, dw)", *OUTPUT],
                 "node 2 (DequantizeLinear) must have positive scales", id="weights-negative"),
    pytest.param(["qx = QuantizeLinear(x, sx, i16)", "dx = DequantizeLinear(qx, sx, i16)",
                  "y = Relu(dx)", *OUTPUT],
                 "node 0 (QuantizeLinear) must quantize activations to int8 or uint8, not int16",
                 id="activations-int16"),
    pytest.param(["qx = QuantizeLinear(x, s4, z4)", "q = Relu(qx)"],
                 "node 0 (QuantizeLinear) must have one scale and one zero point for all "
                 "activations, not 4 and 4", id="activations-by-channel"),
    pytest.param(["qx = QuantizeLinear(x, minus, z1)", "q = Relu(qx)"],
                 "node 0 (QuantizeLinear) must have a positive scale, not -1.0",
                 id="activations-negative"),
    pytest.param([INPUT[0], "dx = DequantizeLinear(qx, other, zx)", "y = Relu(dx)", *OUTPUT],
                 "node 1 (DequantizeLinear) must take 'qx' at the scale and the zero point at "
                 "which it was quantized, 0.019999999552965164 and -3, not 0.5 and -3 (for int8)",
                 id="other-scale"),
    pytest.param([*INPUT, *WEIGHT, "q = Conv(dx, dw, db)"],
                 "activations 'q' are real numbers in the file, without a scale: sample inputs "
                 "must be given, to find their range", id="output-real"),
    pytest.param([INPUT[0], "q = AveragePool<kernel_shape=[2, 2]>(qx)"],
                 "node 1 (AveragePool) must take real numbers, not 'qx', which is quantized: "
                 "DequantizeLinear must be between", id="integers-into-real"),
    pytest.param(["q = QLinearConv(x, sx, zx, w, s4, z4, sa, za)"],
                 "node 0 (QLinearConv) must take quantized numbers, not 'x'",
                 id="real-into-integers"),
    pytest.param([INPUT[0], "q = QLinearConv(qx, sx, zx, w, s4, z4, sa, za, b3)"],
                 "node 1 (QLinearConv) must have biases of int32, of shape (4,), not int32 of "
                 "shape (3,)", id="qlinear-bias"),
    pytest.param([INPUT[0], "q = com.microsoft.QLinearSigmoid(qx, sx, zx, sa, za)"],
                 "node 1 (QLinearSigmoid) must be one of Add, ", id="qlinear-other"),
]


@pytest.mark.parametrize(("nodes", "message"), REFUSED)
def test_refused(nodes: Sequence[str], message: str, tmp_path: Path) -> None:
    path = build(tmp_path / "a.onnx", nodes)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {message}')}"):
        read_graph(path)
