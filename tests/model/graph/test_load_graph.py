"""One entry for all formats, samples in any shape, and LeNet-5 in integers."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.golden import run_graph
from eieio.model.graph.load_graph import arrange, read_graph, read_samples
from eieio.model.graph.quantized_graph import Conv2D, FullyConnected, MaxPool, WeightedOperator

EXAMPLES = Path(__file__).parents[3] / "examples"
LENET = EXAMPLES / "lenet_5" / "lenet_5.onnx"
TRAINING = EXAMPLES / "lenet_5" / "mnist_train_256.npz"
TEST = EXAMPLES / "lenet_300_100" / "mnist_test_1000.npz"


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_lenet_5(method: Any) -> None:
    """The example reads 99 % of the test images here, in integers."""
    graph = read_graph(LENET, TRAINING, method)
    assert graph.name == "lenet_5"
    assert [type(operator) for operator in graph.operators] == [
        Conv2D, MaxPool, Conv2D, MaxPool, FullyConnected, FullyConnected, FullyConnected]
    weighted = [o for o in graph.operators if isinstance(o, WeightedOperator)]
    assert [o.name for o in weighted] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert sum(o.weight.size + o.bias.size for o in weighted) == 61_706
    assert graph.macs == 416_520
    assert (graph.input.scale, graph.input.zero_point) == (1 / 256, -128)
    assert max(o.accumulator_bound for o in weighted) < 1 << 23
    samples = read_samples(TEST, graph.input.shape, graph.output.elements)
    output = run_graph(graph, graph.input.quantize(samples.x))[graph.output.name]
    assert (output.argmax(axis=1) == samples.labels).mean() >= 0.99


def rgb(path: Path) -> Path:
    """Save a network of images of 3 channels, 4 high and 5 wide."""
    weight = np.random.default_rng(1).normal(size=(2, 3, 2, 2)).astype(np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"])], "g",
        [onnx.helper.make_tensor_value_info("x", 1, ["n", 3, 4, 5])],
        [onnx.helper.make_tensor_value_info("y", 1, None)],
        [onnx.numpy_helper.from_array(weight, "w")])
    onnx.save(onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 13)]), path)
    return path


def test_samples(tmp_path: Path) -> None:
    """Images in either order calibrate the same, from an array or a file."""
    path = rgb(tmp_path / "rgb.ONNX")
    images = np.random.default_rng(2).integers(0, 256, (9, 3, 4, 5)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", x=images, y=np.zeros(9, np.uint8))
    np.save(tmp_path / "x.npy", images.transpose(0, 2, 3, 1))
    expected = read_graph(path, images / 256)
    assert expected.input.scale == images.max() / 256 / 255
    for samples in (images.transpose(0, 2, 3, 1) / 256, tmp_path / "x.npz", tmp_path / "x.npy"):
        assert read_graph(path, samples).tensors == expected.tensors
    doubled = read_graph(path, tmp_path / "x.npy", scale=1 / 128)
    assert doubled.input.scale == 2 * expected.input.scale
    found = read_samples(tmp_path / "x.npz", (4, 5, 3), 12)
    np.testing.assert_array_equal(found.x, images.transpose(0, 2, 3, 1) / 256)
    assert found.labels is not None


@pytest.mark.parametrize(("given", "shape"), [
    ((2, 4, 5, 3), (4, 5, 3)), ((2, 3, 4, 5), (4, 5, 3)), ((2, 4, 5), (4, 5, 1)),
    ((2, 20), (4, 5, 1)), ((2, 1, 4, 5), (4, 5, 1)), ((2, 3, 4, 5), (60,)), ((2, 60), (3, 20))])
def test_arrange(given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = np.arange(float(np.prod(given))).reshape(given)
    y = arrange(x, shape)
    assert y.shape == (2, *shape)
    if given == (2, 3, 4, 5) and len(shape) == 3:
        np.testing.assert_array_equal(y[1, ..., 2], x[1, 2])
    else:
        np.testing.assert_array_equal(y.ravel(), x.ravel())


@pytest.mark.parametrize(("given", "shape"), [
    ((2, 60), (4, 5, 3)), ((2, 5, 4, 3), (4, 5, 3)), ((2, 21), (4, 5, 1))])
def test_arrange_refused(given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    wanted = ", ".join(map(str, shape))
    with pytest.raises(InputError, match="^" + re.escape(
            f"Samples must have shape (samples, {wanted}), not {given}") + "$"):
        arrange(np.zeros(given), shape)


def test_tflite(shared_data: Path) -> None:
    """Samples are not asked for, where the network is quantized."""
    path = shared_data / "tflite" / "kws_dscnn_int8.tflite"
    assert read_graph(path).macs == 2_656_768


def refuse(message: str, *arguments: Any, **options: Any) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        read_graph(*arguments, **options)


def test_refused(tmp_path: Path) -> None:
    path = rgb(tmp_path / "a.onnx")
    images: NDArray[Any] = np.zeros((2, 3, 4, 5))
    refuse(f"{path} is a network of floating-point numbers: sample inputs must be given, to "
           "quantize it by", path)
    refuse(f"{path}: Percentile must be above 50 and at most 100, not 0", path, images,
           "percentile", 0)
    refuse(f"{tmp_path} must be a file, not a folder", tmp_path)
    refuse(f"{tmp_path / 'b.onnx'} must be an existing file", tmp_path / "b.onnx")
    other = tmp_path / "a.txt"
    other.write_bytes(b"")
    refuse(f"{other} must end in .npz, .onnx, .net, .eie, .tflite, not '.txt'", other)
    np.save(tmp_path / "flat.npy", images.reshape(2, 60))
    refuse(f"{tmp_path / 'flat.npy'}: Samples must have shape (samples, 4, 5, 3), not (2, 60)",
           path, tmp_path / "flat.npy")
