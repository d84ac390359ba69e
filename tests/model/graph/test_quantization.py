"""Quantization: golden outputs near the real ones, and limits of scales."""

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph import float_graph as real
from eieio.model.graph import quantized_graph as integer
from eieio.model.graph.calibration import calibrate
from eieio.model.graph.float_graph import FloatGraph, Value, run
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantization import (
    BIAS_LIMIT,
    LEFT_SHIFT_LIMIT,
    Scale,
    choose_scales,
    quantize,
)
from eieio.model.graph.quantized_graph import (
    QuantizedGraph,
    WeightedOperator,
    Window,
)
from eieio.model.graph.weight_codes import WeightCodes

SAMPLES = 8


def calibrated(graph: FloatGraph, x: NDArray[np.float64]) -> QuantizedGraph:
    return quantize(graph, choose_scales(graph, calibrate(graph, x)))


def check_limits(graph: QuantizedGraph) -> None:
    """Assert what the engine needs of every weighted operator."""
    for operator in graph.operators:
        if isinstance(operator, WeightedOperator):
            left = np.maximum(-operator.shift.astype(int), 0)
            assert left.max() <= LEFT_SHIFT_LIMIT
            assert max(int(bound) << int(shift) for bound, shift in zip(
                operator.channel_bounds, left, strict=True)) < 1 << 31
            assert np.abs(operator.weight.astype(int)).max() <= 127


class Builder:
    """Random graphs, an operator at a time."""

    def __init__(self, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        self.rng = rng
        self.input = self.end = Value("input", shape)
        self.operators: list[real.Operator] = []
        #: What an addition may take.
        self.earlier: list[Value] = [self.input]

    def graph(self) -> FloatGraph:
        return FloatGraph("random", self.input, self.end, tuple(self.operators))

    def append(self, kind: type[real.Operator], shape: tuple[int, ...], *others: Value,
               **fields: Any) -> None:
        name = f"{kind.__name__.lower()}_{len(self.operators)}"
        output = Value(f"{name}_out", shape)
        self.operators.append(kind(name=name, inputs=(self.end, *others), output=output, **fields))
        self.end = output
        self.earlier.append(output)

    def clamp(self) -> dict[str, float]:
        return [{}, {"minimum": 0.0}, {"minimum": 0.0, "maximum": 1.5}][self.rng.integers(3)]

    def weight(self, *shape: int) -> NDArray[np.float64]:
        """Of a different size for every channel of the first axis."""
        weight = self.rng.normal(size=shape) / math.sqrt(math.prod(shape[1:]))
        return weight * self.rng.uniform(0.3, 3, (shape[0], *[1] * (len(shape) - 1)))

    def random(self, kind: str) -> None:
        rng = self.rng
        height, width, depth = self.end.shape
        window = Window((int(rng.integers(1, 4)), int(rng.integers(1, 4))),
                        (int(rng.integers(1, 3)), 1), padding=((0, 0), (0, 0)))
        window = Window(window.kernel, window.stride, padding=(
            (int(rng.integers(window.kernel[0])), window.kernel[0] - 1),
            (int(rng.integers(window.kernel[1])), window.kernel[1] - 1)))
        size = window.output_size(height, width)
        match kind:
            case "conv":
                channels = int(rng.integers(1, 5))
                self.append(real.Conv2D, (*size, channels), window=window,
                            weight=self.weight(channels, *window.kernel, depth),
                            bias=rng.normal(size=channels) * 0.3, **self.clamp())
            case "depthwise":
                channels = depth * int(rng.integers(1, 3))
                weight = self.weight(channels, *window.kernel).transpose(1, 2, 0)
                self.append(real.DepthwiseConv2D, (*size, channels), window=window, weight=weight,
                            bias=rng.normal(size=channels) * 0.3, **self.clamp())
            case "average":
                self.append(real.AveragePool, (*size, depth), window=window)
            case "max":
                self.append(real.MaxPool, (*size, depth), window=window, **self.clamp())
            case "clamp":
                self.append(real.Clamp, self.end.shape, **self.clamp())
            case "pad":
                pads = ((1, 0), (0, 2), (0, 0))
                self.append(real.Pad, (height + 1, width + 2, depth), padding=pads)
            case _:
                same = [value for value in self.earlier if value.shape == self.end.shape]
                self.append(real.Add, self.end.shape, same[rng.integers(len(same))],
                            **self.clamp())


def rounded(operator: real.WeightedOperator, quantized: integer.Operator,
            steps: NDArray[np.float64]) -> real.WeightedOperator:
    """Give an operator the weights that its quantized one has."""
    assert isinstance(quantized, WeightedOperator)
    by_channel = steps if isinstance(operator, real.DepthwiseConv2D) else steps.reshape(
        -1, *[1] * (operator.weight.ndim - 1))
    weight = quantized.weight * by_channel
    assert (np.abs(weight - operator.weight) <= 0.5001 * by_channel).all()
    return replace(operator, weight=weight)


KINDS = ["conv", "depthwise", "average", "max", "clamp", "pad", "add"]


# Channels with a bias and hardly any input: the third and the fourth operator.
@example(kinds=["conv", "conv", "depthwise", "conv"], end="", seed=43178380)
@settings(deadline=None, max_examples=60)
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
       end=st.sampled_from(["", "dense", "softmax"]), seed=st.integers(0, 2**32 - 1))
def test_every_operator_is_near(kinds: list[str], end: str, seed: int) -> None:
    """Each operator, on the integers before it: within a step of the real numbers.

    With its weights as they have been rounded, which is to within half a step of their own.
    """
    rng = np.random.default_rng(seed)
    builder = Builder((5, 6, int(rng.integers(1, 4))), rng)
    for kind in kinds:
        builder.random(kind)
    if end:
        elements = builder.end.elements
        builder.append(real.FullyConnected, (5,), weight=builder.weight(5, elements),
                       bias=rng.normal(size=5))
        if end == "softmax":
            builder.append(real.Softmax, (5,))
    graph = builder.graph()
    x = rng.normal(size=(SAMPLES, *graph.input.shape))
    network = calibrated(graph, x)
    check_limits(network)
    integers = {operator.name: operator for operator in network.operators}
    tensors = {tensor.name: tensor for tensor in network.tensors}
    values = run_graph(network, network.input.quantize(x))
    for operator in graph.operators:
        operands = [tensors[value.name].dequantize(values[value.name]) for value in operator.inputs]
        allowed = 1.01 * tensors[operator.output.name].scale
        if isinstance(operator, real.WeightedOperator):
            source = tensors[operator.input.name].scale
            # An input that is hardly ever anything but 0 has a scale so fine that the bias, in
            # steps of the sums, is what sets the step of the weights.
            steps = np.maximum(np.abs(operator.by_channel).max(axis=1) / 127,
                               np.abs(operator.bias) / (source * BIAS_LIMIT))
            operator = rounded(operator, integers[operator.name], steps)
            allowed += float(steps.max()) * source / 2
        elif isinstance(operator, real.Softmax):
            allowed *= 2
        if len(operands) == 2:
            expected = np.clip(sum(operands), operator.minimum, operator.maximum)
        else:
            alone = FloatGraph("alone", operator.input, operator.output, (operator,))
            expected = run(alone, operands[0])[operator.output.name]
        tensor = tensors[operator.output.name]
        least, most = (tensor.dequantize(np.array(q, np.int8)) for q in (-128, 127))
        error = np.abs(tensor.dequantize(values[tensor.name]) - np.clip(expected, least, most))
        assert error.max() <= allowed


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_whole_network_is_near(seed: int) -> None:
    """A network like those that are trained: a few steps at its output."""
    rng = np.random.default_rng(seed)
    builder = Builder((8, 8, 2), rng)
    same = Window((3, 3), padding=((1, 1), (1, 1)))
    builder.append(real.Conv2D, (8, 8, 6), window=same, weight=builder.weight(6, 3, 3, 2),
                   bias=rng.normal(size=6) * 0.2, minimum=0.0)
    skipped = builder.end
    builder.append(real.Conv2D, (8, 8, 6), window=same, weight=builder.weight(6, 3, 3, 6),
                   bias=rng.normal(size=6) * 0.2)
    builder.append(real.Add, (8, 8, 6), skipped, minimum=0.0)
    builder.append(real.MaxPool, (4, 4, 6), window=Window((2, 2), (2, 2)))
    builder.append(real.Reshape, (96,))
    builder.append(real.FullyConnected, (10,), weight=builder.weight(10, 96),
                   bias=rng.normal(size=10) * 0.2)
    graph = builder.graph()
    x = rng.normal(size=(32, 8, 8, 2))
    expected = run(graph, x)[graph.output.name]
    network = calibrated(graph, x)
    check_limits(network)
    actual = network.output.dequantize(
        run_graph(network, network.input.quantize(x))[network.output.name])
    error = (actual - expected) / network.output.scale
    assert np.abs(error).max() < 8
    assert np.sqrt(np.mean(error ** 2)) < 2


def dense(weight: NDArray[np.floating], bias: NDArray[np.float64], **fields: Any) -> FloatGraph:
    x, y = Value("x", (weight.shape[1],)), Value("y", (len(weight),))
    return FloatGraph("dense", x, y, (real.FullyConnected(
        name="fc", inputs=(x,), output=y, weight=weight, bias=bias, **fields),))


def test_scales() -> None:
    """Symmetric weights for each channel; activations from end to end, 0 always among them."""
    graph = dense(np.array([[1.0, -2], [0.5, 0.25]]), np.array([0.0, 1]))
    scales = choose_scales(graph, {"x": (1.0, 5.1), "y": (-10.2, 15.3)})
    assert scales["x"] == Scale(5.1 / 255, -128)
    assert scales["y"] == Scale(25.5 / 255, -26)
    (operator,) = quantize(graph, scales).operators
    assert isinstance(operator, WeightedOperator)
    assert operator.weight.tolist() == [[64, -127], [127, 64]]
    assert operator.bias.tolist() == [0, round(1 / (0.02 * 0.5 / 127))]
    assert choose_scales(graph, {"x": (-2.0, -1.0), "y": (0.0, 0.0)})["x"] == Scale(2 / 255, 127)


@pytest.mark.parametrize(("weight", "bias", "ranges"), [
    # Outputs that hardly change, next to what the weights could do.
    ([[1.0] * 4, [0.001] * 4], [0.0, 0], {"x": (0.0, 255.0), "y": (0.0, 1e-3)}),
    ([[1.0] * 900], [0.0], {"x": (0.0, 255.0), "y": (-1e-9, 1e-9)}),
    # Biases far above the weights, with weights or without.
    ([[1e-9] * 4, [1.0] * 4], [5.0, 0], {"x": (0.0, 1.0), "y": (0.0, 9.0)}),
    ([[0.0] * 4, [1.0] * 4], [5.0, 0], {"x": (0.0, 1.0), "y": (0.0, 9.0)}),
    ([[0.0] * 4], [-3.0], {"x": (0.0, 1.0), "y": (-3.0, -3.0)}),
    # Nothing at all.
    ([[0.0] * 4], [0.0], {"x": (0.0, 0.0), "y": (0.0, 0.0)}),
    ([[1e-300] * 4], [1e-300], {"x": (-1e-300, 0.0), "y": (-1e-300, 1e-300)}),
    ([[1e30] * 4], [1e30], {"x": (-1e30, 1e30), "y": (-1e60, 1e60)}),
])
def test_limits(weight: list[list[float]], bias: list[float],
                ranges: dict[str, tuple[float, float]]) -> None:
    graph = dense(np.array(weight), np.array(bias))
    network = quantize(graph, choose_scales(graph, ranges))
    check_limits(network)
    (operator,) = network.operators
    assert isinstance(operator, WeightedOperator)
    assert np.abs(operator.bias.astype(int)).max() <= BIAS_LIMIT
    x = np.linspace(*ranges["x"], 5)[:, None] * np.ones(graph.input.shape)
    y = run(graph, x)["y"]
    out = network.output.dequantize(run_graph(network, network.input.quantize(x))["y"])
    error = np.abs(out - np.clip(y, min(ranges["y"][0], 0), max(ranges["y"][1], 0)))
    assert error.max() <= 1.5 * network.output.scale + 0.01 * np.abs(y).max()


@pytest.mark.parametrize("channels", [16, 40])
def test_one_scale(channels: int) -> None:
    """Shared weights have no more values as integers than before, and are near them."""
    rng = np.random.default_rng(channels)
    # The largest weights of channels differ.
    limits = np.arange(channels, 0, -1)[:, None] % 16 + 1
    codes = rng.integers(0, limits, (channels, 40)).astype(np.uint8)
    book = np.append(0, rng.normal(size=15)).astype(np.float32)
    shared = WeightCodes(codes, book)
    graph = dense(shared.weight, rng.normal(size=channels), shared=shared)
    x = rng.normal(size=(SAMPLES, 40))
    values = {}
    for one_scale in (False, True):
        each = replace(graph, operators=(replace(graph.operators[0], one_scale=one_scale),))
        network = calibrated(each, x)
        check_limits(network)
        operator, = network.operators
        assert isinstance(operator, WeightedOperator)
        values[one_scale] = np.unique(operator.weight).size
        factors = set(zip(operator.multiplier.tolist(), operator.shift.tolist(), strict=True))
        assert (len(factors) == 1) == one_scale
        error = network.output.dequantize(
            run_graph(network, network.input.quantize(x))["y"]) - run(graph, x)["y"]
        step = float(np.abs(book).max()) / 127
        assert np.abs(error).max() < network.output.scale + step / 2 * float(
            np.abs(x).sum(axis=1).max()) + network.input.scale * float(np.abs(shared.weight).sum())
    assert values[True] <= 16 < values[False]


def test_sums_are_rounded_once() -> None:
    """Of 1.25 two roundings make 1.5 first, and 2."""
    x, y, z = (Value(name, (1,)) for name in "xyz")
    graph = FloatGraph("g", x, z, (
        real.FullyConnected(name="fc", inputs=(x,), output=y, weight=np.ones((1, 1)),
                            bias=np.zeros(1), weight_scale=np.ones(1)),
        real.Add(name="add", inputs=(y, y), output=z)))
    network = quantize(graph, {"x": Scale(1.0, 0), "y": Scale(4.0, 0), "z": Scale(32.0, 0)})
    q = np.arange(-128, 128).astype(np.int8)[:, np.newaxis]
    values = run_graph(network, q)
    np.testing.assert_array_equal(
        values["y"], np.trunc(q / 4 + np.copysign(0.5, q)).astype(int))
    sums = values["y"].astype(int) * 8
    np.testing.assert_array_equal(
        values["z"], np.trunc(sums / 32 + np.copysign(0.5, sums)).astype(int))


def test_names_and_moves() -> None:
    """A clamp of a vector is a pool of an image; names stay different."""
    x, y, z = Value("x", (4,)), Value("y", (4,)), Value("y_image", (4,))
    graph = FloatGraph("g", x, z, (
        real.Clamp(name="c", inputs=(x,), output=y, minimum=0.0),
        real.Clamp(name="c_before", inputs=(y,), output=z, maximum=1.0)))
    network = calibrated(graph, np.linspace(-2, 2, 12).reshape(3, 4))
    assert [type(operator) for operator in network.operators] == [
        integer.Reshape, integer.MaxPool, integer.Reshape] * 2
    inputs = np.array([[-128, -1, 0, 127]], np.int8)
    values = run_graph(network, inputs)
    zero_point = network.input.zero_point
    assert values["y"].tolist() == [[zero_point, zero_point, 0, 127]]
    assert values["y_image"].max() == zero_point + round(1 / network.input.scale)


def test_refused() -> None:
    """With scales that are given, not chosen, a network may not fit."""
    graph = dense(np.array([[1.0]]), np.array([1.0]))
    scales = {"x": Scale(1e-9, 0), "y": Scale(1.0, 0)}
    with pytest.raises(InputError, match="^" + re.escape(
            "FullyConnected 'fc': accumulator must not need more than 32 bits, not ")):
        quantize(dense(np.array([[1.0]]), np.array([0.0])), {"x": Scale(1.0, 0),
                                                             "y": Scale(1e-9, 0)})
    given_scale = FloatGraph("g", graph.input, graph.output, (real.FullyConnected(
        name="fc", inputs=(graph.input,), output=graph.output, weight=np.array([[1.0]]),
        bias=np.array([1e3]), weight_scale=np.array([0.01])),))
    with pytest.raises(InputError, match="^" + re.escape(
            "FullyConnected 'fc': bias must be below 2**31 steps of the sums, not 1e+14") + "$"):
        quantize(given_scale, scales)
