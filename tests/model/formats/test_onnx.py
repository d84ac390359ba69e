"""ONNX: accepted graphs against ONNX's reference evaluator, and refusals."""

import contextlib
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
from onnx_writer import write
from pruned_file import dump_pruned

from eieio.model.compress.weight_sharing import share_weights
from eieio.model.errors import InputError
from eieio.model.formats import compressed, npz
from eieio.model.formats.onnx import read as read_graph
from eieio.model.graph.chain import as_chain, chain, ending, fully_connected
from eieio.model.graph.chain import end as finish
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.sparse.engine import ENGINE


def rand(*shape: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(shape)
    return rng.normal(size=shape).astype(np.float32)


# Operands of the graphs below.
CONSTANTS: dict[str, NDArray[Any]] = {
    "w": rand(6, 4), "wt": rand(4, 6), "v": rand(4, 3), "u": rand(3, 2), "half": rand(6, 4) / 2,
    "f16": rand(6, 4).astype(np.float16), "f64": rand(6, 4).astype(np.float64),
    "int": np.ones((6, 4), np.int64), "nan": np.full((6, 4), np.nan, np.float32),
    "b": rand(4), "row": rand(1, 4), "c": rand(3), "b6": rand(6), "column": rand(2, 1, 1),
    "one": np.float32(3).reshape(1), "two": np.array(2, np.float32),
    "zero": np.zeros(6, np.float32), "s2": rand(2), "o2": rand(2) + 1, "v2": rand(2) ** 2,
    "s4": rand(4), "v4": rand(4) ** 2 + 1,
    "flat": np.array([-1, 6]), "copy": np.array([0, -1]), "fixed": np.array([1, 6]),
    "image": np.array([0, 2, 3, 1]), "short": np.array([-1, 3]), "axis1": np.array([1]),
    "axis0": np.array([0]), "last": np.array([-1]), "true": np.array(True), "i0": np.array(0),
    "ratio": np.array(0.5, np.float32), "i_zero": np.array(0, np.float32),
    "i_six": np.array(6, np.float32), "huge": np.array([1 << 20, 1 << 20]),
}


def build(path: Path, nodes: Sequence[str], shape: Sequence[int | str | None] = ("n", 6), *,
          outputs: Sequence[str] = ("y",), opset: int = 13, listed: bool = False) -> Path:
    """Save a graph from x to y; `listed` lists the initializers as inputs, as old files do."""
    parsed = [parse_node(node) for node in nodes]
    used = sorted({name for node in parsed for name in node.input} & CONSTANTS.keys())
    tensors = [onnx.numpy_helper.from_array(CONSTANTS[name], name) for name in used]
    inputs = [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)]
    if listed:
        inputs += [onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
    graph = onnx.helper.make_graph(parsed, "graph", inputs, [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        tensors)
    onnx.save(onnx.helper.make_model(
        graph, ir_version=3 if listed else 7,
        opset_imports=[onnx.helper.make_opsetid("", opset)]), path)
    return path


def reference(path: Path, x: NDArray[np.float32]) -> NDArray[Any]:
    outputs: Any = ReferenceEvaluator(str(path)).run(None, {"x": x})
    return outputs[0].reshape(len(x), -1)


def read(path: Path, output: str | None = None) -> FloatGraph:
    """Read a chain of fully connected layers."""
    return as_chain(read_graph(path, output).graph)


def refuse(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {message}')}$"):
        ENGINE.read(path)


IMAGE = ("n", 2, 3, 1)
SCALED = "DepthwiseConv2D 'r_scale' must have a fully connected layer behind it, to fold into"
# Why a network is none for the sparse engine.
OTHER = ": the sparse engine takes fully connected layers in a chain"


# BatchNormalization is of opset 15: of older ones, the evaluator computes the training form.
@pytest.mark.parametrize(("nodes", "shape", "opset"), [
    pytest.param(["y = Gemm(x, w, b)"], ("n", 6), 13, id="gemm"),
    pytest.param(["y = Gemm<transB=1, alpha=0.5, beta=3.0>(x, wt, row)"], (5, 6), 13,
                 id="gemm-options"),
    pytest.param(["y = Gemm(x, w)"], ("n", 6), 13, id="gemm-without-bias"),
    pytest.param(["y = Gemm(x, w, one)"], ("n", 6), 13, id="gemm-one-bias"),
    pytest.param(["m = MatMul(x, w)", "y = Add(m, b)"], (None, None), 13, id="matmul-add"),
    pytest.param(["m = MatMul(x, w)", "y = Add(row, m)"], ("n", 6), 7, id="add-matmul"),
    pytest.param(["m = MatMul(x, w)", "a = Add(m, b)", "r = Relu(a)", "y = Gemm(r, v, c)"],
                 ("n", 6), 13, id="two-layers"),
    pytest.param(["a = Gemm(x, w, b)", "r = Relu(a)", "q = Relu(r)", "i = Gemm(q, v, c)",
                  "s = Gemm(i, u)", "y = Relu(s)"], ("n", 6), 13, id="three-layers"),
    pytest.param(["f = Flatten(x)", "y = Gemm(f, w)"], IMAGE, 13, id="flatten"),
    pytest.param(["f = Flatten<axis=-3>(x)", "y = Gemm(f, w)"], IMAGE, 13, id="flatten-negative"),
    pytest.param(["f = Reshape(x, flat)", "y = Gemm(f, w)"], IMAGE, 13, id="reshape"),
    pytest.param(["f = Reshape(x, flat)", "y = Gemm(f, w)"], (None,) * 4, 13, id="reshape-unknown"),
    pytest.param(["f = Reshape(x, copy)", "y = Gemm(f, w)"], IMAGE, 13, id="reshape-copy"),
    pytest.param(["f = Reshape(x, fixed)", "y = Gemm(f, w)"], (1, 2, 3), 13, id="reshape-fixed"),
    pytest.param(["i = Reshape(x, image)", "f = Flatten(i)", "y = Gemm(f, w)"], ("n", 6), 13,
                 id="reshape-to-image"),
    pytest.param(["s = Shape(x)", "n = Gather(s, i0)", "l = Unsqueeze(n, axis0)",
                  "t = Concat<axis=0>(l, last)", "f = Reshape(x, t)", "y = Gemm(f, w)"], IMAGE, 13,
                 id="reshape-computed"),
    pytest.param(["a = Unsqueeze(x, axis1)", "s = Squeeze(a, axis1)", "y = Gemm(s, w)"], ("n", 6),
                 13, id="squeeze"),
    pytest.param(["a = Unsqueeze<axes=[-1]>(x)", "s = Squeeze<axes=[2]>(a)", "y = Gemm(s, w)"],
                 ("n", 6), 11, id="squeeze-attribute"),
    pytest.param(["a = Identity(x)", "d = Cast<to=1>(a)", "e, m = Dropout(d, ratio)",
                  "y = Gemm(e, w)"], ("n", 6), 13, id="skipped"),
    pytest.param(["d = Dropout<ratio=0.5>(x)", "y = Gemm(d, w, b)"], ("n", 6), 10,
                 id="old-dropout"),
    pytest.param(["d = Div(x, two)", "s = Sub(d, b6)", "y = Gemm(s, w, b)"], ("n", 6), 13,
                 id="scaled-input"),
    pytest.param(["d = Mul(b6, x)", "s = Sub(two, d)", "y = Gemm(s, w, b)"], ("n", 6), 13,
                 id="reversed-input"),
    pytest.param(["s = Sub(x, column)", "d = Div(s, one)", "f = Flatten(d)", "y = Gemm(f, w, b)"],
                 IMAGE, 13, id="scaled-image"),
    pytest.param(["n = BatchNormalization(x, s2, s2, o2, v2)", "f = Flatten(n)",
                  "y = Gemm(f, w, b)"], IMAGE, 15, id="normalized-image"),
    pytest.param(["g = Gemm(x, w, b)", "n = BatchNormalization<epsilon=0.01>(g, s4, b, b, v4)",
                  "r = Relu(n)", "y = Gemm(r, v, c)"], ("n", 6), 15, id="normalized-layer"),
    pytest.param(["g = Gemm(x, w, b)", "r = Relu(g)", "n = BatchNormalization(r, s4, b, b, v4)",
                  "m = Mul(n, two)", "y = Gemm(m, v, c)"], ("n", 6), 15, id="normalized-relu"),
    pytest.param(["t = Transpose(wt)", "d = Sub(t, half)", "y = MatMul(x, d)"], ("n", 6), 13,
                 id="computed-weights"),
    pytest.param(["t = Constant<value_floats=[1.0, -2.0, 0.5, 4.0]>()", "m = MatMul(x, w)",
                  "y = Add(m, t)"], ("n", 6), 13, id="constant-node"),
    pytest.param(["g = Gemm(x, w)", "k = Clip(g, i_zero)", "y = Gemm(k, v)"], ("n", 6), 13,
                 id="clip"),
    pytest.param(["y = Gemm(x, f16, b)"], ("n", 6), 13, id="float16"),
    pytest.param(["d = Cast<to=11>(x)", "y = MatMul(d, f64)"], ("n", 6), 13, id="float64"),
])
def test_matches_reference(tmp_path: Path, nodes: list[str], shape: tuple, opset: int) -> None:
    path = build(tmp_path / "net.onnx", nodes, shape, opset=opset)
    network = read(path)
    batch = shape[0] if isinstance(shape[0], int) else 5
    dims = [d for d in shape[1:] if isinstance(d, int)] or ([2, 3, 1] if len(shape) == 4 else [6])
    x = rand(batch, *dims)

    assert network.name == "net"
    np.testing.assert_allclose(
        network.forward(x.reshape(batch, -1)), reference(path, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("end", ["Softmax", "Softmax<axis=1>", "LogSoftmax<axis=-1>"])
def test_softmax_is_the_ending(tmp_path: Path, end: str) -> None:
    path = build(tmp_path / "net.onnx", ["g = Gemm(x, w, b)", f"s = {end}(g)", "y = Identity(s)"])
    plain = build(tmp_path / "plain.onnx", ["y = Gemm(x, w, b)"])
    x = rand(50, 6)
    logits = read(path).forward(x)
    assert (logits == read(plain).forward(x)).all()
    assert (logits.argmax(axis=1) == reference(path, x).argmax(axis=1)).all()
    network = read(path)
    assert ending(network) == ("log_softmax" if end.startswith("Log") else "softmax")
    np.testing.assert_allclose(finish(ending(network), logits), reference(path, x), rtol=1e-5,
                               atol=1e-6)
    for written in (compressed.load(compressed.dump(share_weights(network, 4))),
                    compressed.load(dump_pruned(network))):
        assert ending(written) == ending(network)


def test_chosen_output(tmp_path: Path) -> None:
    """Any value can be the output, and what it does not need does not matter."""
    path = build(tmp_path / "net.onnx", [
        "g = Gemm(x, w, b)", "s = Softmax(g)", "y = ArgMax<axis=1>(g)", "z = Sigmoid(s)"],
        outputs=("y", "z"))
    refuse(path, "must have one output, not 2 ('y', 'z'): choose one of the values of the graph as "
           "the output, here 'g' or 'z' (--output-name)")
    assert ending(read(path, "g")) == "none"
    assert ending(read(path, "s")) == "softmax"
    with pytest.raises(InputError, match="output 'q' must be a value that a node computes, such "):
        read(path, "q")


def test_names(tmp_path: Path) -> None:
    path = build(tmp_path / "net.onnx", [
        "[fc] a = Gemm(x, w)", "r = Relu(a)", "i = Gemm(r, v)", "[fc] y = Gemm(i, u)"])
    layers = read(path).weighted
    assert [layer.name for layer in layers] == ["fc", "gemm_1", "fc_"]
    assert [layer.rectified for layer in layers] == [True, False, False]


def test_initializers_as_inputs(tmp_path: Path) -> None:
    path = build(tmp_path / "net.onnx", ["y = Gemm(x, w, b)"], opset=8, listed=True)
    assert (read(path).weighted[0].weight == CONSTANTS["w"].T).all()


def test_external_data(tmp_path: Path) -> None:
    path = build(tmp_path / "net.onnx", ["y = Gemm(x, w, b)"])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="net.bin",
              size_threshold=0)
    assert (read(path).weighted[0].weight == CONSTANTS["w"].T).all()
    (tmp_path / "net.bin").unlink()
    with pytest.raises(InputError, match=r"net\.onnx: must be a valid ONNX model: .*net\.bin"):
        read(path)


@pytest.mark.parametrize(("nodes", "message"), [
    (["[c1] y = Conv(x, w)"],
     "node 'c1' (Conv) must have weights of 4 axes, not of shape (6, 4)"),
    (["a = Sigmoid(x)", "[t] t = Tanh(a)", "y = Gemm(t, w)"],
     ("node 0 (Sigmoid), node 't' (Tanh) must be one of Add, AveragePool, BatchNormalization, "
      "Cast, Clip, Concat, Conv, DequantizeLinear, Div, Dropout, Flatten, Gemm, GlobalAveragePool, "
      "Identity, LogSoftmax, MatMul, MaxPool, Mul, Pad, QGemm, QLinearAdd, QLinearAveragePool, "
      "QLinearConcat, QLinearConv, QLinearGlobalAveragePool, QLinearMatMul, QLinearSoftmax, "
      "QuantizeLinear, ReduceMean, Relu, Reshape, Softmax, Squeeze, Sub, Transpose, Unsqueeze")),
    (["g = Gemm(x, w)", "y = Clip(g, i_six)"],
     ("FullyConnected 'gemm_0' must clamp its results as a rectifier does, if at all, not to 6 and "
      "inf" + OTHER)),
    (["a = Gemm(x, w)", "b1 = Relu(a)", "y = Add(a, b1)"],
     "Add 'add_2' must take 'b1', the end of the chain so far, not 'a', 'b1'" + OTHER),
    (["a = Gemm(x, w)", "y = Add(a, a)"],
     "Add 'add_1' must take 'a', the end of the chain so far, not 'a', 'a'" + OTHER),
    (["a = Gemm(x, w)", "i = Identity(x)", "y = Add(a, i)"],
     "node 2 (Add) must add activations of one shape, not (?, 4) and (?, 6)"),
    (["y = MatMul(wt, x)"],
     "node 0 (MatMul) must take activations as operand 0, not 'wt'"),
    (["y = Gemm(w, v, x)"], "node 0 (Gemm) must take activations as operand 0, not 'w'"),
    (["y = Gemm<transA=1>(x, w)"], "node 0 (Gemm) must have transA 0, not 1"),
    (["y = Gemm(x, v)"],
     ("node 0 (Gemm) must take activations of shape (batch, 4), to fit its weights, not "
      "(?, 6)")),
    (["y = Gemm(x, b)"], "node 0 (Gemm) must have weights of 2 axes, not of shape (4,)"),
    (["y = Gemm(x, w, c)"],
     "node 0 (Gemm) must take 'c' of shape (4,), not (3,)"),
    (["y = Gemm(x, int)"],
     "node 0 (Gemm) must take 'int' as a float16, float32 or float64 tensor, not int64"),
    (["y = Gemm(x, nan)"], "node 0 (Gemm) must take 'nan' as finite numbers"),
    (["y = Relu(x)"], "Clamp 'relu_0' must follow a fully connected layer" + OTHER),
    (["y = Identity(x)"], "output 'y' must be computed from the input"),
    (["a = Gemm(x, w)", "r = Relu(a)", "m = Mul(r, two)", "y = Relu(m)"],
     SCALED + OTHER),
    (["a = Gemm(x, w)", "r = Relu(a)", "y = Mul(r, two)"],
     SCALED + OTHER),
    (["a = Gemm(x, w)", "r = Relu(a)", "m = Mul(r, two)", "y = Softmax(m)"],
     SCALED + OTHER),
    (["a = Gemm(x, w)", "s = Softmax(a)", "y = Gemm(s, v)"],
     "FullyConnected 'gemm_2' must not follow softmax, which must be the last" + OTHER),
    (["a = Gemm(x, w)", "y = Softmax<axis=0>(a)"],
     "node 1 (Softmax) must run along the channels, axis 1, not 0"),
    (["d = Div(two, x)", "y = Gemm(d, w)"],
     "node 0 (Div) must divide the activations by constants other than 0"),
    (["d = Div(x, zero)", "y = Gemm(d, w)"],
     "node 0 (Div) must divide the activations by constants other than 0"),
    (["f = Flatten<axis=0>(x)", "y = Gemm(f, w)"],
     "node 0 (Flatten) must have axis 1, so that the batch stays, not 0"),
    (["f = Reshape(x, short)", "y = Gemm(f, w)"],
     ("node 0 (Reshape) must keep the batch as the first axis, and all features, not change (?, 6) "
      "to (-1, 3)")),
    (["f = Squeeze(x)", "y = Gemm(f, w)"],
     "node 0 (Squeeze) must name different axes from 1 to 1, behind the batch, not []"),
    (["f = Squeeze(x, axis1)", "y = Gemm(f, w)"],
     ("node 0 (Squeeze) must remove axes of size 1, and leave the batch and one more, not remove "
      "[1] from (?, 6)")),
    (["f = Unsqueeze(x, axis0)", "y = Gemm(f, w)"],
     "node 0 (Unsqueeze) must name different axes from 1 to 2, behind the batch, not [0]"),
    (["f = Cast<to=7>(x)", "y = Gemm(f, w)"],
     "node 0 (Cast) must cast to FLOAT16, FLOAT or DOUBLE, not INT64"),
    (["d = Dropout(x, ratio, true)", "y = Gemm(d, w)"],
     "node 0 (Dropout) must be for inference, not in training mode"),
    (["n = BatchNormalization(x, s4, b, b, v4)", "y = Gemm(n, w)"],
     "node 0 (BatchNormalization) must take 's4' of shape (6,), not (4,)"),
    (["r = RandomNormal<shape=[6, 4]>()", "y = MatMul(x, r)"],
     ("node 0 (RandomNormal) must be one of Abs, Add, Cast, Ceil, Clip, Concat, Constant, "
      "ConstantOfShape, DequantizeLinear, Div, Equal, Expand, Flatten, Floor, Gather, Identity, "
      "Max, Min, Mul, Neg, Reciprocal, ReduceProd, Reshape, Round, Shape, Slice, Split, Sqrt, "
      "Squeeze, Sub, Transpose, Unsqueeze, Where where all inputs are constants")),
    (["k = ConstantOfShape(huge)", "y = MatMul(x, k)"],
     "node 0 (ConstantOfShape) must give at most 67108864 elements"),
])
def test_refuses_node(tmp_path: Path, nodes: list[str], message: str) -> None:
    refuse(build(tmp_path / "net.onnx", nodes), message)


def test_refuses_weights_beyond_float32(tmp_path: Path) -> None:
    path = build(tmp_path / "net.onnx", ["[fc] m = MatMul(x, w)", "y = Mul(m, two)"])
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(
            np.full(tensor.dims, 3e38, np.float32), tensor.name))
    onnx.save(model, path)
    with pytest.raises(InputError, match="FullyConnected 'fc': weight must be finite in float32"):
        read(path)


def test_refuses_graph(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    refuse(build(path, ["y = Gemm(x, w)", "z = Relu(y)"], outputs=("y", "z")),
           "must have one output, not 2 ('y', 'z'): choose one of the values of the graph as the "
           "output, here 'y' or 'z' (--output-name)")
    refuse(build(path, ["y = Identity(w)"]), "output 'y' must be computed from the input")
    build(path, ["q = QuantizeLinear(x, two)", "d = DequantizeLinear(q, two)", "y = Gemm(d, w)"])
    with pytest.raises(InputError, match=f"^{re.escape(str(path))} is a network of 8-bit integers, "
                       "not of real numbers$"):
        ENGINE.read(path)
    refuse(build(path, ["y = Gemm(x, w)"], ("n",)),
           "input 'x' must have a batch axis, and others of fixed sizes behind it")
    refuse(build(path, ["y = Gemm(x, w, b)"], opset=6), "opset must be 7 or later, not 6")


def test_refuses_other_files(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(InputError, match=r"net\.onnx must be an existing file$"):
        read(path)
    build(path, ["y = Gemm(x, w)"])
    data = path.read_bytes()
    for content in (b"", b"hello world", data[:-9], data[:40], bytes(100)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"net\.onnx: must be a valid ONNX model: .+$"):
            read(path)


def test_damage_raises_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = build(tmp_path / "net.onnx", [
        "f = Flatten(x)", "m = MatMul(f, w)", "a = Add(m, b)", "r = Relu(a)", "y = Gemm(r, v, c)"])
    data = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):  # some bits, such as a name's, do not matter
            read(path)


def test_written_file(tmp_path: Path) -> None:
    network = chain("net", (
        fully_connected("fc1", rand(4, 6), rand(4), True),
        fully_connected("fc2", rand(3, 4), rand(3), True),
        fully_connected("fc3", rand(2, 3), rand(2))))
    path = tmp_path / "net.onnx"
    write(path, network)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Relu", "Gemm", "Relu", "Gemm"]
    x = rand(7, 6)
    outputs: Any = ReferenceEvaluator(model).run(None, {"input": x})
    np.testing.assert_allclose(outputs[0], network.forward(x), rtol=1e-5, atol=1e-6)


def test_lenet(tmp_path: Path, shared_data: Path) -> None:
    network = npz.read(shared_data / "lenet" / "lenet_300_100_sparse.npz")
    write(tmp_path / "lenet.onnx", network)
    other = read(tmp_path / "lenet.onnx")
    for one, two in zip(network.weighted, other.weighted, strict=True):
        assert (one.name, one.rectified) == (two.name, two.rectified)
        assert (one.weight == two.weight).all()
        assert (one.bias == two.bias).all()
