"""What ``eieio infer`` gives for ONNX files as users have them: what the file says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import Result
from numpy.typing import NDArray

Run = Callable[..., Result]


def classifier(path: Path, ending: str = "Softmax") -> Path:
    """Save a classifier as skl2onnx writes it: labels, and a map of probabilities."""
    rng = np.random.default_rng(0)
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    # Few different weights, so that the sparse engine's codebook holds them.
    weight = rng.choice([-1.5, -0.5, 0.25, 1.0], (3, 6)).astype(np.float32)
    nodes = [helper.make_node("Gemm", ["x", "w"], ["scores"], "scores", transB=1),
             helper.make_node(ending, ["scores"], ["probabilities"], "end", axis=1),
             helper.make_node("ArgMax", ["scores"], ["label"], "label", axis=1, keepdims=0),
             helper.make_node("ZipMap", ["probabilities"], ["maps"], "maps", domain="ai.onnx.ml",
                              classlabels_int64s=[0, 1, 2])]
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(
        onnx.TensorProto.INT64, helper.make_tensor_type_proto(kind, [])))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, ["n", 6])],
        [helper.make_tensor_value_info("label", onnx.TensorProto.INT64, ["n"]),
         helper.make_value_info("maps", maps)], [onnx.numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]), path)
    return path


def reference(path: Path, name: str, x: NDArray[np.float32]) -> NDArray[Any]:
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(
        name, onnx.TensorProto.FLOAT, None))
    del model.graph.node[2:]
    result, = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    assert isinstance(result, np.ndarray)
    return result


@pytest.mark.parametrize("engine", ["sparse", "systolic"])
@pytest.mark.parametrize("ending", ["Softmax", "LogSoftmax"])
def test_chosen_output(eieio: Run, tmp_path: Path, engine: str, ending: str) -> None:
    """A classifier's logits or probabilities: softmax is not left out."""
    path = classifier(tmp_path / "a.onnx", ending)
    x = np.random.default_rng(1).uniform(-1, 1, (30, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    for name in ("scores", "probabilities"):
        result = eieio("infer", path, "--engine", engine, "--output-name", name, "--input",
                       tmp_path / "x.npy", "--output", tmp_path / "y.npy")
        assert result.exit_code == 0, result.stderr
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), reference(path, name, x),
                                   atol=0.06 if engine == "systolic" else 2e-3)


def test_softmax_of_a_design(eieio: Run, tmp_path: Path) -> None:
    """It is kept in the design's files."""
    path = classifier(tmp_path / "a.onnx")
    x = np.random.default_rng(1).uniform(-1, 1, (30, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    assert eieio("compress", path, "--output-name", "probabilities", "--out",
                 tmp_path / "a.eie").exit_code == 0
    assert eieio("generate", tmp_path / "a.eie", "--samples", tmp_path / "x.npy", "--pes", 2,
                 "--out", tmp_path / "design").exit_code == 0
    result = eieio("infer", tmp_path / "design", "--input", tmp_path / "x.npy", "--output",
                   tmp_path / "y.npy")
    assert result.exit_code == 0, result.stderr
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), reference(path, "probabilities", x),
                               atol=2e-3)
    result = eieio("infer", tmp_path / "design", "--input", tmp_path / "x.npy", "--output",
                   tmp_path / "y.npy", "--integers")
    assert "the integers are those in front of the softmax, which the host computes" \
        in result.stderr


def test_refused(refused: Callable[..., None], tmp_path: Path) -> None:
    path = classifier(tmp_path / "a.onnx")
    arguments = "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy"
    for engine in ("sparse", "systolic"):
        refused("infer", path, "--engine", engine, *arguments, message=(
            f"{path}: must have one output, not 2 ('label', 'maps'): choose one of the values of "
            "the graph as the output, here 'scores' or 'probabilities' (--output-name)"))
        refused("infer", path, "--engine", engine, "--output-name", "score", *arguments, message=(
            f"{path}: output 'score' must be a value that a node computes, such as 'scores'"))


#: Files of users' kinds: the largest difference, in steps of the output. Of asymmetric_constant, a
#: tie is doubled.
CASES = {
    "asymmetric_constant": 2, "cubic": 2, "gray_nhwc": 2, "integer_input_int8": 0,
    "integer_input_uint8": 0, "log_softmax": 1, "mean_before_quantizer": 0, "mlp_relu_bn": 2,
    "mlp_scaled_input": 2, "one_channel": 2, "qcdq_weights": 1, "qgemm": 1, "real_output": 1,
    "softmax_end": 2, "two_quantizers": 0, "zero_pad": 2}


@pytest.mark.parametrize("name", CASES)
def test_files_of_users(eieio: Run, shared_data: Path, tmp_path: Path, name: str) -> None:
    folder = shared_data.parent / "cases"
    result = eieio("infer", folder / f"{name}.onnx", "--engine", "systolic", "--input",
                   folder / f"{name}_x.npy", "--output", tmp_path / "y.npy", "--json",
                   tmp_path / "y.json")
    assert result.exit_code == 0, result.stderr
    step = float((tmp_path / "y.json").read_text().partition('"output_scale": ')[2].split(",")[0])
    y, expected = np.load(tmp_path / "y.npy"), np.load(folder / f"{name}_y.npy")
    if y.ndim == 4:
        y = y.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(y, expected, atol=CASES[name] * step + 1e-6, rtol=0)
