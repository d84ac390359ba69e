"""Compares random TensorFlow Lite networks of int8 numbers with LiteRT's reference kernels.

    python benchmarks/random_tflite_graphs.py --graphs 1000 --seed 0

Networks are drawn of the operators that the importer takes: convolutions, also depthwise and
dilated, fully connected layers, additions, concatenations, pools, means, paddings, changes of
shape, and softmax; with scales by channel or one, any zero points, fused clamps, and several
readers of a tensor. Every integer of the golden model's output must be LiteRT's. A network that is
refused is counted by its reason: factors and sums that integers have no room for. Exits with status
1 if an integer differs.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_seeds import load_module

from eieio.model.errors import InputError
from eieio.model.formats.tflite import read
from eieio.model.graph.golden import run_graph

__all__ = ["draw", "main"]

lite = load_module("tests/helpers/tflite_file.py")
_KINDS = ("conv", "conv", "depthwise", "add", "max", "average", "pad", "concat", "mean")
_SAMPLES = 3


class _Draw:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.images: list[int] = []

    def tensor(self, shape: Any, scale: float | None = None, zero_point: int | None = None) -> int:
        """Add activations, at a scale of their own unless told."""
        rng = self.rng
        scale = float(np.float32(rng.uniform(0.01, 0.5))) if scale is None else scale
        zero = int(rng.choice([-128, 0, int(rng.integers(-128, 128))])) if zero_point is None \
            else zero_point
        self.tensors.append(lite.T([1, *shape], scale, zero))
        return len(self.tensors) - 1

    def constant(self, array: Any, scale: Any = None, axis: int = 0) -> int:
        kind = lite.TYPES.INT8 if array.dtype == np.int8 else lite.TYPES.INT32
        self.tensors.append(lite.T(array.shape, scale, 0, kind, array, axis))
        return len(self.tensors) - 1

    def shape(self, number: int) -> tuple[int, ...]:
        return tuple(self.tensors[number].shape[1:])

    def operator(self, kind: int, inputs: Any, output: int, options: tuple[int, Any]) -> int:
        self.operators.append(lite.Op(kind, inputs, [output], *options))
        return output

    def activation(self) -> int:
        return int(self.rng.choice([lite.NONE, lite.NONE, lite.RELU, lite.RELU6,
                                    lite.RELU_N1_TO_1]))

    def parameters(self, source: int, shape: tuple[int, ...], channels: int, axis: int
                   ) -> tuple[int, int, float]:
        """Add weights and biases; return them and the scale that the results would fill."""
        rng = self.rng
        scale = rng.uniform(0.002, 0.02, channels if rng.random() < 0.6 else 1).astype(np.float32)
        fan = int(np.prod(shape)) // channels
        sums = np.float32(self.tensors[source].scale) * scale
        weight = self.constant(rng.integers(-127, 128, shape).astype(np.int8), scale, axis)
        bias = self.constant(rng.integers(-4000, 4001, channels).astype(np.int32), sums)
        # Results that are lost below a step, or saturate, are drawn too.
        typical = float(sums.mean()) * 5000 * np.sqrt(fan) / 100 * 2.0 ** rng.uniform(-2, 2)
        return weight, bias, float(np.float32(typical))

    def window(self, size: Any) -> tuple[Any, Any, Any, int, list[int]]:
        rng = self.rng
        kernel = [int(rng.integers(1, min(extent, 3) + 1)) for extent in size]
        stride = [int(rng.integers(1, 3)) for _ in size]
        dilation = [1, 1]
        if rng.random() < 0.2 and stride == [1, 1]:
            dilation = [int(rng.integers(1, 3)) for _ in size]
        same = rng.random() < 0.5
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        if not same and any(r > s for r, s in zip(reach, size, strict=True)):
            dilation, reach = [1, 1], kernel
        out = [-(-extent // step) if same else (extent - r) // step + 1
               for extent, r, step in zip(size, reach, stride, strict=True)]
        return kernel, stride, dilation, lite.SAME if same else lite.VALID, out

    def conv(self, source: int) -> int:
        *size, depth = self.shape(source)
        channels = int(self.rng.integers(1, 7))
        kernel, stride, dilation, padding, out = self.window(size)
        weight, bias, scale = self.parameters(source, (channels, *kernel, depth), channels, 0)
        return self.operator(
            lite.OPERATORS.CONV_2D, [source, weight, bias], self.tensor((*out, channels), scale),
            lite.window("Conv2D", padding, tuple(stride), self.activation(),
                        dilationHFactor=dilation[0], dilationWFactor=dilation[1]))

    def depthwise(self, source: int) -> int:
        *size, depth = self.shape(source)
        channels = depth * int(self.rng.integers(1, 3))
        kernel, stride, dilation, padding, out = self.window(size)
        weight, bias, scale = self.parameters(source, (1, *kernel, channels), channels, 3)
        return self.operator(
            lite.OPERATORS.DEPTHWISE_CONV_2D, [source, weight, bias],
            self.tensor((*out, channels), scale),
            lite.window("DepthwiseConv2D", padding, tuple(stride), self.activation(),
                        depthMultiplier=channels // depth, dilationHFactor=dilation[0],
                        dilationWFactor=dilation[1]))

    def add(self, source: int) -> int:
        others = [image for image in self.images if self.shape(image) == self.shape(source)]
        other = int(self.rng.choice(others))
        return self.operator(lite.OPERATORS.ADD, [source, other], self.tensor(self.shape(source)),
                             lite.options("Add", fusedActivationFunction=self.activation()))

    def pool(self, source: int, kind: str) -> int:
        *size, depth = self.shape(source)
        kernel, stride, _, padding, out = self.window(size)
        if padding == lite.VALID:
            out = [(s - k) // step + 1 for s, k, step in zip(size, kernel, stride, strict=True)]
        made = self.tensors[source]
        output = self.tensor((*out, depth), made.scale, made.zero_point)
        return self.operator(
            getattr(lite.OPERATORS, f"{kind}_POOL_2D"), [source], output,
            lite.window("Pool2D", padding, tuple(stride), self.activation(),
                        filterHeight=kernel[0], filterWidth=kernel[1]))

    def max(self, source: int) -> int:
        return self.pool(source, "MAX")

    def average(self, source: int) -> int:
        return self.pool(source, "AVERAGE")

    def pad(self, source: int) -> int:
        height, width, depth = self.shape(source)
        a, b, c, d = (int(number) for number in self.rng.integers(0, 2, 4))
        pads = self.constant(np.array([[0, 0], [a, b], [c, d], [0, 0]], np.int32))
        made = self.tensors[source]
        output = self.tensor((height + a + b, width + c + d, depth), made.scale, made.zero_point)
        return self.operator(lite.OPERATORS.PAD, [source, pads], output, lite.options("Pad"))

    def concat(self, source: int) -> int:
        made = self.tensors[source]
        others = [image for image in self.images
                  if self.shape(image)[:2] == self.shape(source)[:2]
                  and (self.tensors[image].scale, self.tensors[image].zero_point)
                  == (made.scale, made.zero_point)]
        other = int(self.rng.choice(others))
        shape = (*self.shape(source)[:2], self.shape(source)[2] + self.shape(other)[2])
        return self.operator(
            lite.OPERATORS.CONCATENATION, [other, source],
            self.tensor(shape, made.scale, made.zero_point),
            lite.options("Concatenation", axis=3, fusedActivationFunction=lite.NONE))

    def mean(self, source: int) -> int:
        axes = self.constant(np.array([1, 2], np.int32))
        table = lite.schema.ReducerOptionsT()
        table.keepDims = True
        return self.operator(
            lite.OPERATORS.MEAN, [source, axes], self.tensor((1, 1, self.shape(source)[2])),
            (lite.OPTIONS.ReducerOptions, table))

    def head(self, source: int) -> int:
        made = self.tensors[source]
        features = int(np.prod(self.shape(source)))
        flat = self.operator(
            lite.OPERATORS.RESHAPE, [source], self.tensor((features,), made.scale, made.zero_point),
            lite.options("Reshape", newShape=[1, features]))
        for _ in range(int(self.rng.integers(1, 3))):
            channels = int(self.rng.integers(1, 12))
            weight, bias, scale = self.parameters(flat, (channels, features), channels, 0)
            flat = self.operator(
                lite.OPERATORS.FULLY_CONNECTED, [flat, weight, bias],
                self.tensor((channels,), scale),
                lite.options("FullyConnected", fusedActivationFunction=self.activation()))
            features = channels
        if self.rng.random() < 0.3:
            flat = self.operator(lite.OPERATORS.SOFTMAX, [flat],
                                 self.tensor((features,), 1 / 256, -128),
                                 lite.options("Softmax", beta=1.0))
        return flat


def draw(seed: int) -> bytes:
    """Draw a network."""
    rng = np.random.default_rng(seed)
    draw = _Draw(rng)
    source = draw.tensor(tuple(int(number) for number in (
        rng.integers(2, 9), rng.integers(2, 9), rng.integers(1, 4))))
    draw.images = [draw.conv(source)]
    for _ in range(int(rng.integers(0, 6))):
        chosen = draw.images[-1 if rng.random() < 0.75 else int(rng.integers(len(draw.images)))]
        draw.images.append(getattr(draw, str(rng.choice(_KINDS)))(chosen))
    last = draw.head(draw.images[-1]) if rng.random() < 0.7 else draw.images[-1]
    return lite.build(draw.tensors, draw.operators, outputs=[last])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=1000, help="networks (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first (default: 0)")
    parser.add_argument("--keep", type=Path, help="folder for the files of those that fail")
    options = parser.parse_args()
    began = time.process_time()
    integers = failed = compared = 0
    refused: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "net.tflite"
        for seed in range(options.seed, options.seed + options.graphs):
            data = draw(seed)
            path.write_bytes(data)
            try:
                graph = read(path)
            except InputError as error:
                reason = re.sub(r"\d[\d.e-]*", "N", str(error).partition(": ")[2])
                refused[reason[:120]] += 1
                continue
            x = np.random.default_rng(seed).integers(
                -128, 128, (_SAMPLES, *graph.input.shape)).astype(np.int8)
            expected = lite.reference(data, x)
            result = run_graph(graph, x)[graph.output.name]
            compared += 1
            integers += result.size
            if not np.array_equal(result, expected):
                failed += 1
                print(f"seed {seed}: {int((result != expected).sum())} of {result.size} differ, "
                      f"{[type(each).__name__ for each in graph.operators]}", file=sys.stderr)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{seed}.tflite").write_bytes(data)
    print(f"{options.graphs} networks from seed {options.seed}: {compared} compared, {integers} "
          f"integers; networks that differ: {failed}; refused: {refused.total()}")
    for reason, count in refused.most_common(12):
        print(f"  {count} x {reason}")
    print(f"took {time.process_time() - began:.0f} s of CPU time", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
