"""Graphs of Caffe's prototxt, with weights from a .net file, against Caffe's own rules."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from net_files import compressed_layer, write
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats import compressed
from eieio.model.formats.deep_compression import read, read_network
from eieio.model.formats.prototxt import parse_net, weight_shapes
from eieio.model.graph.float_graph import (
    Clamp,
    Conv2D,
    DepthwiseConv2D,
    FloatGraph,
    MaxPool,
    Pad,
    Softmax,
    Stack,
    run,
)
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.systolic.fitting import compile_fitted


def layer(kind: str, name: str, bottoms: str, top: str, options: str = "") -> str:
    listed = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {listed} top: "{top}" {options} }}\n'


def conv(name: str, bottom: str, outputs: int, options: str) -> str:
    return layer("Convolution", name, bottom, name,
                 f"convolution_param {{ num_output: {outputs} {options} }}")


def pool(name: str, bottom: str, options: str) -> str:
    return layer("Pooling", name, bottom, name, f"pooling_param {{ {options} }}")


INPUT = 'input: "data" input_shape { dim: 1 dim: 4 dim: 11 dim: 9 }\n'
FIRE = (conv("squeeze", "data", 3, "kernel_size: 1") + layer("ReLU", "r1", "squeeze", "squeeze")
        + conv("one", "squeeze", 5, "kernel_size: 1") + layer("ReLU", "r2", "one", "one")
        + conv("three", "squeeze", 6, "kernel_size: 3 pad: 1")
        + layer("ReLU", "r3", "three", "three") + layer("Concat", "cat", "one three", "cat"))
NETWORKS = {
    "fire": (FIRE + pool("most", "cat", "pool: MAX kernel_size: 3 stride: 2")
             + layer("Dropout", "drop", "most", "most")
             + conv("last", "most", 7, "kernel_size: 1 pad: 2")
             + layer("ReLU", "r4", "last", "last")
             + pool("mean", "last", "pool: AVE global_pooling: true")
             + layer("Softmax", "prob", "mean", "prob")),
    "windows": (conv("a", "data", 6, "kernel_size: 3 dilation: 2 group: 2 pad_h: 1 pad_w: 3")
                + pool("b", "a", "kernel_h: 2 kernel_w: 3 stride: 2 pad: 1")
                + conv("c", "b", 12, "kernel_size: 2 stride_h: 1 stride_w: 2 group: 6")
                + pool("d", "c", "pool: AVE kernel_size: 3 stride: 2 pad: 1")
                + pool("e", "d", "kernel_size: 2 stride: 2 round_mode: FLOOR")),
    "dense": (FIRE + layer("ReLU", "again", "cat", "other")
              + layer("Concat", "both", "other cat", "both") + layer("Flatten", "f", "both", "f")
              + layer("InnerProduct", "ip", "f", "ip", "inner_product_param { num_output: 3 }")
              + layer("ReLU", "r", "ip", "ip")),
}


def save(folder: Path, text: str, density: float = 0.6) -> Path:
    """Write a .net file with random weights, and its prototxt beside it."""
    rng = np.random.default_rng(0)
    (folder / "net.prototxt").write_text(text)
    layers = []
    for weights in weight_shapes(parse_net(text.encode(), "net"), "net"):
        depth = 256 if len(weights.shape) == 4 else 16
        codes = rng.integers(1, depth, weights.shape).astype(np.uint8)
        codes[rng.random(weights.shape) >= density] = 0
        codebook = np.concatenate([[0], rng.normal(size=depth - 1)]).astype(np.float32)
        layers.append(compressed_layer(
            weights.name, codes, codebook,
            rng.normal(size=weights.shape[0]).astype(np.float32)))
    write(folder / "net.net", layers)
    return folder / "net.net"


# Caffe's layers, one sample at a time, in the order channels, height, width.

Array = NDArray[np.float64]


def caffe_conv(x: Array, weight: Array, bias: Array, param: Any) -> Array:
    down, across = stride(param)
    dilation = param.dilation[0] if param.dilation else 1
    pads = pad(param)
    x = np.pad(x, ((0, 0), (pads[0], pads[0]), (pads[1], pads[1])))
    outputs, part, height, width = weight.shape
    rows = (x.shape[1] - dilation * (height - 1) - 1) // down + 1
    columns = (x.shape[2] - dilation * (width - 1) - 1) // across + 1
    y = np.zeros((outputs, rows, columns))
    for o in range(outputs):
        first = o // (outputs // param.group) * part
        for i in range(rows):
            for j in range(columns):
                window = x[first:first + part, i * down:i * down + dilation * height:dilation,
                           j * across:j * across + dilation * width:dilation]
                y[o, i, j] = (window[:, :height, :width] * weight[o]).sum() + bias[o]
    return y


def stride(param: Any) -> tuple[int, int]:
    if param.HasField("stride_h"):
        return param.stride_h, param.stride_w
    plain = param.stride if isinstance(param.stride, int) else [*param.stride, 1][0]
    return plain, plain


def pad(param: Any) -> tuple[int, int]:
    if param.HasField("pad_h"):
        return param.pad_h, param.pad_w
    plain = param.pad if isinstance(param.pad, int) else [*param.pad, 0][0]
    return plain, plain


def caffe_pool(x: Array, param: Any) -> Array:
    """Pool as ``pooling_layer.cpp`` does."""
    channels, height, width = x.shape
    size = (height, width)
    kernel = ((param.kernel_h, param.kernel_w) if param.HasField("kernel_h")
              else (param.kernel_size,) * 2)
    if param.global_pooling:
        kernel = size
    step, pads = stride(param), pad(param)
    rounded = math.floor if param.round_mode else math.ceil
    pooled = []
    for axis in range(2):
        count = rounded((size[axis] + 2 * pads[axis] - kernel[axis]) / step[axis]) + 1
        if pads[axis] and (count - 1) * step[axis] >= size[axis] + pads[axis]:
            count -= 1
        pooled.append(count)
    y = np.zeros((channels, *pooled))
    for i in range(pooled[0]):
        for j in range(pooled[1]):
            starts = i * step[0] - pads[0], j * step[1] - pads[1]
            ends = [min(starts[axis] + kernel[axis], size[axis] + pads[axis]) for axis in range(2)]
            elements = (ends[0] - starts[0]) * (ends[1] - starts[1])
            window = x[:, max(starts[0], 0):min(ends[0], height),
                       max(starts[1], 0):min(ends[1], width)]
            y[:, i, j] = (window.sum(axis=(1, 2)) / elements if param.pool
                          else window.max(axis=(1, 2)))
    return y


def caffe(text: str, path: Path, x: Array) -> Array:
    weights = {found.name: found for found in read(path)}
    blobs = {"data": x}
    net = parse_net(text.encode(), "net")
    for one in net.layer:
        operands = [blobs[bottom] for bottom in one.bottom]
        y = operands[0]
        match one.type:
            case "Convolution":
                found = weights[one.name]
                y = caffe_conv(y, found.weight.astype(float),
                               found.bias.astype(float), one.convolution_param)
            case "InnerProduct":
                found = weights[one.name]
                y = found.weight.astype(float) @ y.ravel() + found.bias
            case "Pooling":
                y = caffe_pool(y, one.pooling_param)
            case "ReLU":
                y = np.maximum(y, 0)
            case "Concat":
                y = np.concatenate(operands)
            case "Softmax":
                y = np.exp(y - y.max())
                y /= y.sum()
        blobs[one.top[0]] = y
    return blobs[net.layer[-1].top[0]]


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_caffe(name: str, tmp_path: Path) -> None:
    text = INPUT + NETWORKS[name]
    path = save(tmp_path, text)
    graph = read_network(path)
    assert graph.channels_first
    x = np.random.default_rng(1).normal(size=(2, 11, 9, 4))
    y = run(graph, x)[graph.output.name]
    for sample, result in zip(x, y, strict=True):
        expected = caffe(text, path, sample.transpose(2, 0, 1))
        if expected.ndim == 3:
            expected = expected.transpose(1, 2, 0)
        np.testing.assert_allclose(result.reshape(expected.shape), expected, rtol=1e-6, atol=1e-9)
    again = compressed.load(compressed.dump(graph))
    assert np.array_equal(run(again, x)[graph.output.name], y)
    assert all(operator.shared is not None for operator in again.weighted)


def kinds(graph: FloatGraph) -> list[tuple[str, type]]:
    return [(operator.name, type(operator)) for operator in graph.operators]


def test_operators(tmp_path: Path) -> None:
    graph = read_network(save(tmp_path, INPUT + NETWORKS["fire"]))
    assert [name for name, _ in kinds(graph)] == [
        "squeeze", "one", "three", "cat", "most", "last_pad", "last", "mean", "prob"]
    rectified = {operator.name for operator in graph.operators if operator.rectified}
    assert rectified == {"squeeze", "one", "three", "last"}
    assert isinstance(graph.operators[3], Stack)
    assert isinstance(graph.operators[4], MaxPool)
    assert graph.operators[4].window.padding == ((0, 0), (0, 0))
    assert isinstance(graph.operators[5], Pad)
    assert isinstance(graph.operators[8], Softmax)
    graph = read_network(save(tmp_path, INPUT + NETWORKS["windows"]))
    assert [kind for _, kind in kinds(graph)][:3] == [Conv2D, MaxPool, DepthwiseConv2D]
    graph = read_network(save(tmp_path, INPUT + NETWORKS["dense"]))
    # Something else takes what it rectifies.
    assert ("again", Clamp) in kinds(graph)


def test_systolic_engine(tmp_path: Path) -> None:
    """From the file to an engine: branches are computed in their places beside one another."""
    path = save(tmp_path, INPUT + NETWORKS["fire"])
    graph = NetworkFile(path).quantize(np.random.default_rng(1).normal(size=(4, 11, 9, 4)))
    compiled = compile_fitted(graph, {"rows": 4, "columns": 4})
    assert [layer.name for layer in compiled.layers] == [
        "squeeze", "one", "three", "most", "last_pad", "last", "mean"]
    one, three = compiled.layers[1].output, compiled.layers[2].output
    assert (one.step, three.base - one.base) == (4, 2)


@pytest.mark.parametrize(("text", "message"), [
    (FIRE + layer("LRN", "norm", "cat", "cat"),
     ("layer 'norm' must be of type Concat, Convolution, Dropout, Flatten, InnerProduct, Input, "
      "Pooling, ReLU, Softmax, to be run, not 'LRN'")),
    (FIRE + pool("p", "cat", "pool: STOCHASTIC kernel_size: 2"),
     "layer 'p' must pool by MAX or AVE, not STOCHASTIC"),
    (FIRE + pool("p", "cat", "kernel_size: 1 stride: 4"),
     ("layer 'p' must have windows with an element of its 11 x 9 input each, not kernel (1, 1), "
      "stride (4, 4) and padding (0, 0)")),
    (FIRE + layer("Eltwise", "sum", "one three", "sum"),
     ("layer 'sum' must be of type Concat, Convolution, Dropout, Flatten, InnerProduct, Input, "
      "Pooling, ReLU, Softmax, to be run, not 'Eltwise'")),
    (FIRE + layer("Softmax", "s", "cat", "s"),
     "layer 's' must take a vector, not shape (11, 11, 9)"),
    (FIRE + conv("end", "one", 2, "kernel_size: 1"), "must have one output, not 2: cat, end"),
])
def test_refuses(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(INPUT + text)
    with pytest.raises(InputError, match=re.escape(message)):
        read_network(save(tmp_path, INPUT + text))
