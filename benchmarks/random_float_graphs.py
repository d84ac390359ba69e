"""Compares random ONNX networks of real numbers with ONNX Runtime.

    python benchmarks/random_float_graphs.py --graphs 2000 --seed 0

Networks are small, and made of every kind of operator that the importer takes, in all its forms:
convolutions (grouped, depthwise, dilated, padded on any side or by ``auto_pad``), pools with
``ceil_mode`` and counted padding, normalizations, clamps, constants that are added and multiplied,
additions, concatenations, means, paddings, changes of shape, and fully connected layers. The graph
that the importer makes must compute what ONNX Runtime does, but for rounding. Exits with status 1
if a result is off by more than 1e-3 of the largest. What the importer refuses is told.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from eieio.model.errors import InputError
from eieio.model.formats.onnx import read
from eieio.model.graph.float_graph import run

__all__ = ["Draw", "compare", "save_random"]

TOLERANCE = 1e-3
_SAMPLES = 3
#: What every engine for images takes; the others are for the importer alone.
PLAIN = ("conv", "conv", "depthwise", "max", "average", "relu")
ALL = (*PLAIN, "residual", "residual", "norm", "clip", "pad", "concat", "affine", "grouped",
       "swapped")


class Draw:
    """A random network of an image or a vector.

    Parameters
    ----------
    rng : :class:`numpy.random.Generator`
        Source of everything.
    kinds : sequence of :class:`str`
        Methods that add an operator.
    most : :class:`int`
        Channels at most.
    """

    def __init__(self, rng: np.random.Generator, kinds: tuple[str, ...] = ALL, most: int = 6
                 ) -> None:
        self.rng, self.kinds, self.most = rng, kinds, most
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.images: list[tuple[str, tuple[int, int, int]]] = []
        self.shape: tuple[int, ...] = ()

    def images_model(self, operators: int, *, dense: int | None = None) -> onnx.ModelProto:
        """Draw a network of images, with so many layers behind them, or any."""
        rng = self.rng
        self.shape = tuple(int(number) for number in (
            rng.integers(1, 5), rng.integers(3, 9), rng.integers(3, 9)))
        self.images = [self.conv("x", (self.shape[0], self.shape[1], self.shape[2]))]
        for _ in range(operators):
            source = self.images[-1 if rng.random() < 0.75 else int(rng.integers(len(self.images)))]
            self.images.append(getattr(self, str(rng.choice(self.kinds)))(*source))
        name, shape = self.images[-1]
        if dense is None and rng.random() < 0.2:
            return self.save(name)
        return self.save(self.head(name, shape, dense))

    def chain_model(self, layers: int) -> onnx.ModelProto:
        """Draw a chain of fully connected layers."""
        features = int(self.rng.integers(1, 24))
        self.shape = (features,)
        return self.save(self.dense("x", features, layers))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(
            kind, inputs, [output], name=f"{kind.lower()}{len(self.nodes)}", **attributes))
        return output

    def constant(self, array: Any, kind: Any = np.float32) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors.append(onnx.numpy_helper.from_array(np.asarray(array, kind), name))
        return name

    def weights(self, *shape: int) -> NDArray[Any]:
        array = self.rng.normal(size=shape) / np.sqrt(max(1, np.prod(shape[1:])))
        if self.rng.random() < 0.3:
            array[self.rng.random(shape) < 0.6] = 0
        return array

    def channels(self) -> int:
        return int(self.rng.integers(1, self.most + 1))

    def conv(self, name: str, shape: tuple[int, int, int], outputs: int = 0, *, group: int = 1,
             same: bool = False) -> tuple[str, tuple[int, int, int]]:
        rng, (channels, *size) = self.rng, shape
        outputs = outputs or self.channels()
        kernel = [1 if same else int(rng.integers(1, min(extent, 3) + 1)) for extent in size]
        dilation = [1, 1]
        if "grouped" in self.kinds and rng.random() < 0.3:
            dilation = [int(rng.integers(1, 3)) for _ in size]
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        stride = [1 if same else int(rng.integers(1, 3)) for _ in size]
        attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": stride,
                                      "dilations": dilation, "group": group}
        pads = [0] * 4
        automatic = ("grouped" in self.kinds and not same and dilation == [1, 1]
                     and rng.random() < 0.2)
        if automatic:
            attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER"]))
            result = [-(-extent // step) for extent, step in zip(size, stride, strict=True)]
        else:
            if not same:
                pads = [int(rng.integers(0, k)) for k in kernel * 2]
            for i in range(2):
                pads[i] = max(pads[i], reach[i] - size[i] - pads[i + 2])
            result = [(size[i] + pads[i] + pads[i + 2] - reach[i]) // stride[i] + 1
                      for i in range(2)]
            attributes["pads"] = pads
        inputs = [name, self.constant(self.weights(outputs, channels // group, *kernel))]
        if rng.random() < 0.8:
            inputs.append(self.constant(rng.normal(size=outputs) * 0.3))
        return self.node("Conv", *inputs, **attributes), (outputs, result[0], result[1])

    def depthwise(self, name: str, shape: tuple[int, int, int]) -> Any:
        times = int(self.rng.integers(1, 3)) if "grouped" in self.kinds else 1
        return self.conv(name, shape, shape[0] * times, group=shape[0])

    def grouped(self, name: str, shape: tuple[int, int, int]) -> Any:
        groups = [g for g in range(1, shape[0] + 1) if shape[0] % g == 0]
        group = int(self.rng.choice(groups))
        return self.conv(name, shape, group * int(self.rng.integers(1, 4)), group=group)

    def relu(self, name: str, shape: tuple[int, int, int]) -> Any:
        return self.node("Relu", name), shape

    def clip(self, name: str, shape: tuple[int, int, int]) -> Any:
        low = self.constant(self.rng.choice([0, -0.5, -2]))
        high = self.constant(self.rng.choice([6, 1, 0.25]))
        choice = self.rng.integers(3)
        return self.node("Clip", name, *((low, high), (low,), ("", high))[choice]), shape

    def norm(self, name: str, shape: tuple[int, int, int]) -> Any:
        rng, channels = self.rng, shape[0]
        tables = (rng.normal(size=channels), rng.normal(size=channels) * 0.3,
                  rng.normal(size=channels) * 0.3, rng.uniform(0.3, 2, channels))
        return self.node("BatchNormalization", name, *map(self.constant, tables)), shape

    def affine(self, name: str, shape: tuple[int, int, int]) -> Any:
        kind = str(self.rng.choice(["Add", "Sub", "Mul", "Div"]))
        size = (1, shape[0], 1, 1) if self.rng.random() < 0.6 else (1,)
        number = self.constant(self.rng.uniform(0.5, 2, size) * self.rng.choice([-1, 1], size))
        inputs = [name, number]
        if kind != "Div" and self.rng.random() < 0.4:
            inputs.reverse()
        return self.node(kind, *inputs), shape

    def residual(self, name: str, shape: tuple[int, int, int]) -> Any:
        others = [other for other, size in self.images if size == shape]
        if self.rng.random() < 0.5:
            other, _ = self.conv(name, shape, shape[0], same=True)
        else:
            other = str(self.rng.choice(others))
        return self.node("Add", other, name), shape

    def concat(self, name: str, shape: tuple[int, int, int]) -> Any:
        others = [(other, size) for other, size in self.images if size[1:] == shape[1:]]
        other, size = others[int(self.rng.integers(len(others)))]
        axis = int(self.rng.choice([1, -3]))
        return self.node("Concat", name, other, axis=axis), (shape[0] + size[0], *shape[1:])

    def pad(self, name: str, shape: tuple[int, int, int]) -> Any:
        a, b, c, d = (int(number) for number in self.rng.integers(0, 2, 4))
        pads = self.constant([0, 0, a, b, 0, 0, c, d], np.int64)
        return self.node("Pad", name, pads), (shape[0], shape[1] + a + c, shape[2] + b + d)

    def swapped(self, name: str, shape: tuple[int, int, int]) -> Any:
        """Bring the channels to the end and back, with a rectifier between."""
        name = self.node("Transpose", name, perm=[0, 2, 3, 1])
        name = self.node("Relu", name)
        return self.node("Transpose", name, perm=[0, 3, 1, 2]), shape

    def max(self, name: str, shape: tuple[int, int, int]) -> Any:
        return self.pool("MaxPool", name, shape)

    def average(self, name: str, shape: tuple[int, int, int]) -> Any:
        return self.pool("AveragePool", name, shape)

    def pool(self, kind: str, name: str, shape: tuple[int, int, int]) -> Any:
        rng, (channels, *size) = self.rng, shape
        kernel = [int(rng.integers(1, min(extent, 3) + 1)) for extent in size]
        stride = [int(rng.integers(1, 3)) for _ in size]
        pads, up = [0] * 4, False
        attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": stride}
        if "grouped" in self.kinds:
            if rng.random() < 0.4:
                pads = [int(rng.integers(0, k)) for k in kernel * 2]
            up = bool(rng.random() < 0.3)
            attributes |= {"pads": pads, "ceil_mode": int(up)}
            if kind == "AveragePool":
                attributes["count_include_pad"] = int(rng.random() < 0.5)
        result = []
        for i in range(2):
            rest = size[i] + pads[i] + pads[i + 2] - kernel[i]
            count = (-(-rest // stride[i]) if up else rest // stride[i]) + 1
            # A last window that would begin behind the image and what is in front of it is none.
            if up and (count - 1) * stride[i] >= size[i] + pads[i]:
                count -= 1
            result.append(count)
        return self.node(kind, name, **attributes), (channels, result[0], result[1])

    def head(self, name: str, shape: tuple[int, int, int], dense: int | None) -> str:
        """Draw what comes behind the images."""
        rng, features = self.rng, int(np.prod(shape))
        choice = rng.random() if dense is None else 0.9
        if choice < 0.2:
            name, features = self.node("GlobalAveragePool", name), shape[0]
            name = self.node("Flatten", name)
        elif choice < 0.4:
            name, features = self.node("ReduceMean", name, axes=[2, 3], keepdims=0), shape[0]
        elif choice < 0.5:
            name = self.node("Reshape", name, self.constant([0, -1], np.int64))
        else:
            name = self.node("Flatten", name)
        name = self.dense(name, features, int(rng.integers(1, 3)) if dense is None else dense)
        if dense is None and rng.random() < 0.3:
            kind = str(rng.choice(["Softmax", "LogSoftmax"]))
            name = self.node(kind, name, axis=int(rng.choice([1, -1])))
        return name

    def dense(self, name: str, features: int, layers: int) -> str:
        rng = self.rng
        for layer in range(layers):
            if layer and rng.random() < 0.8:
                name = self.node("Relu", name)
            outputs = int(rng.integers(1, 4 * self.most))
            weight = self.weights(outputs, features)
            choice = rng.random()
            if choice < 0.4:
                name = self.node("Gemm", name, self.constant(weight),
                                 self.constant(rng.normal(size=outputs)), transB=1)
            elif choice < 0.6:
                alpha, beta = (float(number) for number in rng.choice([0.5, 1.0, 2.0], 2))
                name = self.node("Gemm", name, self.constant(weight.T),
                                 self.constant(rng.normal(size=outputs)), alpha=alpha, beta=beta)
            else:
                name = self.node("MatMul", name, self.constant(weight.T))
                if rng.random() < 0.5:
                    name = self.node("Add", name, self.constant(rng.normal(size=outputs)))
            features = outputs
        return name

    def save(self, output: str) -> onnx.ModelProto:
        wanted, kept = {output}, []
        for node in self.nodes[::-1]:
            if node.output[0] in wanted:
                kept.insert(0, node)
                wanted.update(node.input)
        graph = onnx.helper.make_graph(
            kept, "random",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", *self.shape])],
            [onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)],
            [tensor for tensor in self.tensors if tensor.name in wanted])
        return onnx.helper.make_model(graph, ir_version=8,
                                      opset_imports=[onnx.helper.make_opsetid("", 13)])


def save_random(path: Path, seed: int) -> tuple[int, ...]:
    """Draw a network into a file; return the shape of its input in ONNX's order."""
    rng = np.random.default_rng(seed)
    draw = Draw(rng)
    model = (draw.chain_model(int(rng.integers(1, 5))) if rng.random() < 0.1 else
             draw.images_model(int(rng.integers(0, 8))))
    onnx.save(model, path)
    return draw.shape


def compare(path: Path, shape: tuple[int, ...], seed: int) -> float:
    """Return how far the importer's graph is from ONNX Runtime, as a part of the largest result."""
    x = np.random.default_rng(seed).normal(size=(_SAMPLES, *shape)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    expected = np.asarray(session.run(None, {"x": x})[0])
    found = read(path)
    image = x.ndim == 4 and found.graph.channels_first
    result = run(found.graph, x.transpose(0, 2, 3, 1) if image else x)[found.graph.output.name]
    if expected.ndim == 4 and found.graph.channels_first:
        result = result.transpose(0, 3, 1, 2)
    if result.shape != expected.shape:
        return float("inf")
    largest = max(float(np.abs(expected).max()), 1e-2)
    return float(np.abs(result - expected).max()) / largest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=2000, help="networks (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first (default: 0)")
    parser.add_argument("--keep", type=Path, help="folder for the files of those that fail")
    options = parser.parse_args()
    began, worst, failed, ours, theirs = time.process_time(), 0.0, 0, 0, 0
    operators: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "net.onnx"
        for seed in range(options.seed, options.seed + options.graphs):
            shape = save_random(path, seed)
            model = onnx.load(path)
            operators.update(node.op_type for node in model.graph.node)
            try:
                distance = compare(path, shape, seed)
            except Fail:
                theirs += 1
                continue
            except InputError as error:
                ours += 1
                print(f"seed {seed}: refused: {error}", file=sys.stderr)
                continue
            if distance <= TOLERANCE:
                worst = max(worst, distance)
                continue
            failed += 1
            print(f"seed {seed}: {distance:.3g} off", file=sys.stderr)
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                onnx.save(model, options.keep / f"{seed}.onnx")
    print(f"{options.graphs} networks from seed {options.seed}, {operators.total()} operators of "
          f"{len(operators)} kinds; the farthest {worst:.1e} of the largest result; off: {failed}; "
          f"refused: {ours}, and by ONNX Runtime itself: {theirs}")
    print(f"took {time.process_time() - began:.0f} s of CPU time", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
