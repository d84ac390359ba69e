"""Compares random quantized ONNX networks with ONNX Runtime, which has also quantized them.

    export OPENBLAS_NUM_THREADS=1  # several threads are slower
    python benchmarks/random_qdq_graphs.py --graphs 2000 --placement ort
    python benchmarks/random_qdq_graphs.py --graphs 2000 --placement tensorrt

A network is drawn in floating point, quantized by ``onnxruntime.quantization``, and computed by
ONNX Runtime without graph optimizations and by the golden model of the systolic engine. Placement
``ort`` is that of ``quantize_static``: quantizers around every operator. Placement ``tensorrt`` is
NVIDIA's: quantizers in front of operators with weights, and perhaps of additions, and all else in
real numbers, the output of the network included.

Weights are uniform, as frameworks initialize them. A network takes no part only where ONNX Runtime
is itself not definite to a step: how many, and why, is printed. With ``--every`` all do, and each
one's distance is printed.

Compared are the samples that calibrate, and as many others, in steps of the output's scale. A
result that is more than two steps off fails; so does a network that eieio refuses, unless
``--refusals`` allows some: they are printed with their reasons. Exits with status 1 if one fails.
It also prints how far ONNX Runtime and eieio each are from what the file says, computed in float64
by ONNX's reference evaluator: eieio rounds its outputs, which alone is half a step.
"""

import argparse
import collections
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import onnx.version_converter
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from eieio.model.errors import InputError
from eieio.model.formats.onnx import read
from eieio.model.graph.golden import run_graph
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.quantization import LEFT_SHIFT_LIMIT, scale_of
from eieio.model.graph.quantized_graph import WeightedOperator

PLACEMENTS = ("ort", "tensorrt")
#: Steps of the output's scale that a result may be off.
TOLERANCE = 2
#: Steps by which what ONNX Runtime computes may be other than what it does if it optimizes.
INDEFINITE = 1 + 1e-3
SAMPLES = 12
_WEIGHTED = ["Conv", "Gemm", "MatMul"]


class _Draw:
    """A random network of images, or of vectors, in floating point."""

    def __init__(self, rng: np.random.Generator, *, joins: bool = False) -> None:
        self.rng = rng
        self.kinds = ["conv", "conv", "depthwise", "residual", "residual", "max", "average", "pad",
                      "norm", "relu", *["concat"] * (3 if joins else 0)]
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        channels, height, width = (int(rng.choice(sizes)) for sizes in (
            (1, 3, 3), (6, 7, 8, 9), (6, 7, 8, 9)))
        self.input = channels, height, width
        self.images: list[tuple[str, tuple[int, int, int]]] = []

    def model(self) -> onnx.ModelProto:
        """Draw a whole network."""
        rng = self.rng
        name, shape = self.conv("x", self.input)
        self.images = [(name, shape)]
        for _ in range(int(rng.integers(1, 7))):
            # Mostly on from the last image; else from an earlier one, which then has two readers.
            source = self.images[-1 if rng.random() < 0.75 else int(rng.integers(len(self.images)))]
            kind = rng.choice(self.kinds)
            self.images.append(getattr(self, str(kind))(*source))
        unread = [image for image in self.images
                  if not any(image[0] in node.input for node in self.nodes)]
        name, shape = self.images[-1]
        for other, size in unread:
            if other != name and size == shape:
                name = self.node("Add", name, other)
        return self.save(self.head(name, shape))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(
            kind, inputs, [output], name=f"{kind.lower()}{len(self.nodes)}", **attributes))
        return output

    def constant(self, array: NDArray[Any]) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors.append(onnx.numpy_helper.from_array(array, name))
        return name

    def weights(self, *shape: int) -> NDArray[np.float32]:
        fan = float(np.prod(shape[1:]))
        # As frameworks initialize them, for rectifiers; channels differ, as they do when trained.
        spread = self.rng.uniform(0.6, 1.4, (shape[0], *[1] * (len(shape) - 1)))
        return (self.rng.uniform(-1, 1, shape) * spread * np.sqrt(6 / fan)).astype(np.float32)

    def clamp(self, name: str) -> str:
        choice = self.rng.random()
        if choice < 0.5:
            return self.node("Relu", name)
        if choice < 0.65:
            return self.node("Clip", name, self.constant(np.array(0, np.float32)),
                             self.constant(np.array(6, np.float32)))
        return name

    def convolved(self, name: str, weight: NDArray[np.float32], size: tuple[int, int],
                  group: int) -> tuple[str, tuple[int, int, int]]:
        rng, kernel = self.rng, weight.shape[2]
        stride = int(rng.choice([1, 1, 2])) if min(size) > 3 else 1
        pad = int(rng.integers(0, kernel // 2 + 1)) if min(size) > 3 else kernel // 2
        inputs = [name, self.constant(weight)]
        if rng.random() < 0.8:
            inputs.append(self.constant(
                (rng.normal(size=len(weight)) * 0.1).astype(np.float32)))
        result = self.node("Conv", *inputs, group=group, kernel_shape=[kernel, kernel],
                           strides=[stride, stride], pads=[pad] * 4)
        height, width = ((extent + 2 * pad - kernel) // stride + 1 for extent in size)
        shape = len(weight), height, width
        if rng.random() < 0.3:
            result, shape = self.norm(result, shape)
        return self.clamp(result), shape

    def conv(self, name: str, shape: tuple[int, int, int], outputs: int = 0, *, same: bool = False
             ) -> tuple[str, tuple[int, int, int]]:
        outputs = outputs or int(self.rng.integers(12, 25))
        small = 3 if name == "x" else int(self.rng.choice([1, 3]))
        kernel = 1 if min(shape[1:]) < 3 else small
        weight = self.weights(outputs, shape[0], kernel, kernel)
        if not same:
            return self.convolved(name, weight, shape[1:], 1)
        result = self.node("Conv", name, self.constant(weight), kernel_shape=[kernel, kernel],
                           pads=[kernel // 2] * 4)
        return result, (outputs, *shape[1:])

    def depthwise(self, name: str, shape: tuple[int, int, int]
                  ) -> tuple[str, tuple[int, int, int]]:
        kernel = 1 if min(shape[1:]) < 3 else 3
        return self.convolved(name, self.weights(shape[0], 1, kernel, kernel), shape[1:], shape[0])

    def norm(self, name: str, shape: tuple[int, int, int]) -> tuple[str, tuple[int, int, int]]:
        rng, channels = self.rng, shape[0]
        tables = (rng.uniform(0.7, 1.3, channels) * rng.choice([-1, *[1] * 9], channels),
                  rng.normal(size=channels) * 0.3, rng.normal(size=channels) * 0.3,
                  rng.uniform(0.8, 1.5, channels))
        return self.node("BatchNormalization", name, *(
            self.constant(table.astype(np.float32)) for table in tables)), shape

    def residual(self, name: str, shape: tuple[int, int, int]) -> tuple[str, tuple[int, int, int]]:
        others = [other for other, size in self.images if size == shape and other != name]
        if others and self.rng.random() < 0.4:
            branch = str(self.rng.choice(others))
        else:
            branch, _ = self.conv(name, shape, shape[0], same=True)
        return self.clamp(self.node("Add", branch, name)), shape

    def concat(self, name: str, shape: tuple[int, int, int]) -> tuple[str, tuple[int, int, int]]:
        """Join channels: of another image, of one behind this one, or of this one again."""
        others = [(other, size) for other, size in self.images if size[1:] == shape[1:]]
        if self.rng.random() < 0.5:
            branch, (more, *_) = others[int(self.rng.integers(len(others)))]
        else:
            branch, (more, *_) = self.conv(name, shape, int(self.rng.integers(4, 9)), same=True)
        order = [branch, name] if self.rng.random() < 0.5 else [name, branch]
        return self.clamp(self.node("Concat", *order, axis=1)), (shape[0] + more, *shape[1:])

    def relu(self, name: str, shape: tuple[int, int, int]) -> tuple[str, tuple[int, int, int]]:
        return self.node("Relu", name), shape

    def max(self, name: str, shape: tuple[int, int, int]) -> tuple[str, tuple[int, int, int]]:
        return self.pool("MaxPool", name, shape)

    def average(self, name: str, shape: tuple[int, int, int]) -> tuple[str, tuple[int, int, int]]:
        return self.pool("AveragePool", name, shape)

    def pool(self, kind: str, name: str, shape: tuple[int, int, int]
             ) -> tuple[str, tuple[int, int, int]]:
        channels, *size = shape
        kernel = min(int(self.rng.choice([2, 2, 3])), *size)
        stride = int(self.rng.choice([1, 2]))
        pad = kernel // 2 if self.rng.random() < 0.25 else 0
        attributes: dict[str, Any] = {"kernel_shape": [kernel, kernel], "strides": [stride, stride]}
        if pad:
            attributes["pads"] = [pad] * 4
            if kind == "AveragePool":
                attributes["count_include_pad"] = 1
        height, width = ((extent + 2 * pad - kernel) // stride + 1 for extent in size)
        return self.node(kind, name, **attributes), (channels, height, width)

    def pad(self, name: str, shape: tuple[int, int, int]) -> tuple[str, tuple[int, int, int]]:
        top, left, bottom, right = (int(number) for number in self.rng.integers(0, 2, 4))
        pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
        channels, height, width = shape
        return (self.node("Pad", name, self.constant(pads)),
                (channels, height + top + bottom, width + left + right))

    def head(self, name: str, shape: tuple[int, int, int]) -> str:
        """Draw what comes behind the images."""
        rng, features = self.rng, shape[0]
        choice = rng.random()
        if choice < 0.15:
            return name
        if choice < 0.45:
            name = self.node("GlobalAveragePool", name)
            name = (self.node("Flatten", name) if rng.random() < 0.5 else
                    self.node("Reshape", name, self.constant(np.array([-1, features], np.int64))))
        elif choice < 0.6:
            name = self.node("ReduceMean", name, axes=[2, 3], keepdims=0)
        else:
            features = int(np.prod(shape))
            name = (self.node("Flatten", name) if rng.random() < 0.5 else
                    self.node("Reshape", name, self.constant(np.array([0, -1], np.int64))))
        for layer in range(int(rng.integers(1, 3))):
            outputs = int(rng.integers(16, 33))
            if layer:
                name = self.clamp(name)
            weight = self.weights(outputs, features)
            if rng.random() < 0.6:
                bias = (rng.normal(size=outputs) * 0.3).astype(np.float32)
                name = self.node("Gemm", name, self.constant(weight), self.constant(bias), transB=1)
            else:
                name = self.node("MatMul", name, self.constant(weight.T.copy()))
            features = outputs
        return name

    def save(self, output: str) -> onnx.ModelProto:
        # What the output does not need goes.
        wanted, kept = {output}, []
        for node in self.nodes[::-1]:
            if node.output[0] in wanted:
                kept.insert(0, node)
                wanted.update(node.input)
        graph = onnx.helper.make_graph(
            kept, "random",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", *self.input])],
            [onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)],
            [tensor for tensor in self.tensors if tensor.name in wanted])
        model = onnx.helper.make_model(graph, ir_version=8,
                                       opset_imports=[onnx.helper.make_opsetid("", 13)])
        return onnx.shape_inference.infer_shapes(model)


class _Reader(CalibrationDataReader):
    def __init__(self, x: NDArray[np.float32]) -> None:
        self.batches: Iterator[dict[str, Any]] = iter([{"x": x}])

    def get_next(self) -> Any:
        return next(self.batches, None)


@dataclass
class Case:
    """A quantized network: its file, samples that calibrate it, and all inputs to compare."""

    path: Path
    samples: NDArray[np.float32]
    inputs: NDArray[np.float32]

    @cached_property
    def expected(self) -> NDArray[np.float32]:
        """What ONNX Runtime computes."""
        return reference(self)

    @cached_property
    def exact(self) -> NDArray[np.float64]:
        """What the file says."""
        return definition(self)


def draw_case(folder: Path, placement: str, seed: int, *, every: bool = False,
              joins: bool = False) -> tuple[Case, list[str]]:
    """Draw a network, and let ONNX Runtime quantize it.

    Networks are drawn until one takes part: see :func:`indefinite`. Returns also why the others do
    not. If every network takes part, it is the first.
    """
    rng = np.random.default_rng([seed, PLACEMENTS.index(placement)])
    reasons: list[str] = []
    while True:
        case = draw_any_case(folder, placement, rng, joins=joins)
        reason = indefinite(case)
        if reason is not None:
            reasons.append(reason)
        if reason is None or every:
            return case, reasons


def draw_any_case(folder: Path, placement: str, rng: np.random.Generator, *, joins: bool = False
                  ) -> Case:
    """Draw a network, and let ONNX Runtime quantize it, whether or not it takes part."""
    draw = _Draw(rng, joins=joins)
    source, path = folder / "float.onnx", folder / "quantized.onnx"
    onnx.save(draw.model(), source)
    x = rng.normal(size=(2 * SAMPLES, *draw.input)).astype(np.float32)
    if rng.random() < 0.4:
        x = np.abs(x)
    options: dict[str, Any] = {}
    activations = QuantType.QInt8 if rng.random() < 0.5 else QuantType.QUInt8
    kinds = None
    if placement == "tensorrt":
        kinds = [*_WEIGHTED, "Add"] if rng.random() < 0.6 else _WEIGHTED
        options = {"OpTypesToExcludeOutputQuantization": kinds, "AddQDQPairToWeight": True,
                   "DedicatedQDQPair": bool(rng.random() < 0.5), "QuantizeBias": False,
                   "ActivationSymmetric": True, "WeightSymmetric": True}
        activations = QuantType.QInt8
    elif rng.random() < 0.3:
        options = {"AddQDQPairToWeight": bool(rng.random() < 0.5),
                   "ActivationSymmetric": bool(rng.random() < 0.5)}
    quantize_static(source, path, _Reader(x[:SAMPLES]), op_types_to_quantize=kinds,
                    per_channel=bool(rng.random() < 0.5), activation_type=activations,
                    weight_type=QuantType.QInt8, extra_options=options)
    return Case(path, x[:SAMPLES], x)


def indefinite(case: Case) -> str | None:
    """Tell why what ONNX Runtime computes is not definite to a step of the output, if it is not.

    It is where ONNX Runtime agrees with itself, whatever it optimizes, and with ONNX's own
    reference evaluator. Where it does not, numbers that are a half, or as good as one, have been
    rounded to either side, as float32 has it; or real biases have been rounded to steps of the
    sums, as ONNX Runtime does where it fuses a convolution with the quantizers around it.
    """
    expected = case.expected
    found = read(case.path)
    last = found.scales.get(found.graph.output.name)
    limit = INDEFINITE * (last or scale_of((float(expected[:SAMPLES].min()),
                                            float(expected[:SAMPLES].max())))).scale
    for level in ("BASIC", "EXTENDED", "ALL"):
        if np.abs(reference(case, f"ORT_ENABLE_{level}") - expected).max() > limit:
            return "ONNX Runtime differs from itself at another optimization level"
    if np.abs(case.exact - expected).max() > limit:
        return "ONNX Runtime differs from ONNX's reference evaluator"
    return None


def definition(case: Case) -> NDArray[np.float64]:
    """Compute a network by ONNX's reference evaluator, in float64."""
    # Its quantizers are those of opset 19.
    model = onnx.version_converter.convert_version(onnx.load(case.path), 19)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            array = onnx.numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    evaluator = onnx.reference.ReferenceEvaluator(model)
    defined, = evaluator.run(None, {"x": case.inputs.astype(np.float64)})
    assert isinstance(defined, np.ndarray)
    return defined


def reference(case: Case, level: str = "ORT_DISABLE_ALL") -> NDArray[np.float32]:
    """Compute a network by ONNX Runtime, as the file says unless it shall optimize."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(case.path, options, ["CPUExecutionProvider"])
    expected, = session.run(None, {"x": case.inputs})
    assert isinstance(expected, np.ndarray)
    return expected


@dataclass
class Result:
    """How far a network is off: steps of its output's scale, or why it is refused.

    ``theirs`` and ``ours`` are the largest distances of ONNX Runtime and of eieio from what the
    file says.
    """

    steps: NDArray[np.float64]
    refusal: str | None = None
    operators: tuple[str, ...] = field(default=())
    theirs: float = 0.0
    ours: float = 0.0


def compare(case: Case) -> Result:
    """Compute a network by ONNX Runtime and by the golden model."""
    expected = case.expected
    try:
        file = NetworkFile(case.path)
        graph = file.quantize(case.samples.transpose(0, 2, 3, 1) if file.channels_first
                              else case.samples)
    except InputError as error:
        return Result(np.zeros(0), str(error).partition(": ")[2])
    if any(isinstance(operator, WeightedOperator) and operator.shift.min() < -LEFT_SHIFT_LIMIT
           for operator in graph.operators):
        return Result(np.zeros(0), "sums are shifted by more than engines can")
    x = case.inputs.transpose(0, 2, 3, 1) if file.channels_first else case.inputs
    output = graph.output
    result = output.dequantize(run_graph(graph, graph.input.quantize(x))[output.name])
    if expected.ndim == 4 and file.channels_first:
        result = result.transpose(0, 3, 1, 2)
    # An output that the file does not round saturates where the samples end.
    low, high = output.dequantize(np.array([-128, 127], np.int8))
    wanted, exact, result = (each.reshape(expected.shape) / output.scale for each in (
        np.clip(expected.astype(np.float64), low, high), np.clip(case.exact, low, high), result))
    return Result(np.abs(result - wanted), None,
                  tuple(type(operator).__name__ for operator in graph.operators),
                  float(np.abs(wanted - exact).max()), float(np.abs(result - exact).max()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=2000, help="networks (default: 2000)")
    parser.add_argument("--placement", choices=PLACEMENTS, default="ort",
                        help="where the quantizers are (default: ort)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first (default: 0)")
    parser.add_argument("--refusals", type=int, default=0,
                        help="networks that may be refused (default: 0)")
    parser.add_argument("--joins", action="store_true", help="concatenations of channels, too")
    parser.add_argument("--every", action="store_true",
                        help="leave out none, and print how far each is off")
    parser.add_argument("--keep", type=Path, help="folder for the files of those that fail")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    worst: collections.Counter[int] = collections.Counter()
    refused: collections.Counter[str] = collections.Counter()
    left_out: collections.Counter[str] = collections.Counter()
    integers = off = 0
    largest = theirs = ours = 0.0
    started, cpu = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as name:
        for seed in range(options.seed, options.seed + options.graphs):
            case, reasons = draw_case(Path(name), options.placement, seed,
                                      every=options.every, joins=options.joins)
            left_out.update(reasons)
            result = compare(case)
            if result.refusal is not None:
                refused[result.refusal] += 1
                print(f"seed {seed}: refused: {result.refusal}", file=sys.stderr)
                continue
            farthest = float(result.steps.max())
            largest = max(largest, farthest)
            theirs, ours = max(theirs, result.theirs), max(ours, result.ours)
            worst[int(np.ceil(farthest - 1e-3))] += 1
            if options.every:
                print(f"seed {seed}: {farthest:.2f} steps off; "
                      f"{reasons[0] if reasons else 'definite'}")
            integers += result.steps.size
            off += int((result.steps > 1 + 1e-3).sum())
            if farthest > TOLERANCE + 1e-3:
                print(f"seed {seed}: {farthest:.2f} steps off ({result.ours:.2f} from what the "
                      f"file says, ONNX Runtime {result.theirs:.2f}), {len(result.operators)} "
                      "operators", file=sys.stderr)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    onnx.save(onnx.load(case.path), options.keep / f"{seed}.onnx")
    failed = sum(count for steps, count in worst.items() if steps > TOLERANCE)
    print(f"placement {options.placement}: {options.graphs} networks from seed {options.seed}, "
          f"{integers} results; {off} more than a step off, the farthest {largest:.2f} steps")
    print(f"farthest from what the files say, in float64: ONNX Runtime {theirs:.2f} steps, "
          f"eieio {ours:.2f}")
    print("networks by their largest difference in steps: "
          + ", ".join(f"{steps}: {count}" for steps, count in sorted(worst.items())))
    print(f"{'not definite' if options.every else 'others drawn, and left out'}: "
          f"{left_out.total()}")
    for reason, count in left_out.most_common():
        print(f"  {count} x {reason}, by more than a step")
    print(f"more than {TOLERANCE} steps off: {failed}; refused: {refused.total()}")
    for reason, count in refused.most_common():
        print(f"  {count} x {reason}")
    print(f"took {time.process_time() - cpu:.0f} s of CPU time, {time.monotonic() - started:.0f} s",
          file=sys.stderr)
    return int(failed > 0 or refused.total() > options.refusals)


if __name__ == "__main__":
    sys.exit(main())
