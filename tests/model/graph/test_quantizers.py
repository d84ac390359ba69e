"""Quantizers anywhere in a network: each tensor gets a scale, and what it costs."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from long_cases import long
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph import float_graph as real
from eieio.model.graph.calibration import calibrate
from eieio.model.graph.float_graph import FloatGraph, Value, run
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantization import Scale, quantize
from eieio.model.graph.quantized_graph import (
    QuantizedGraph,
    Softmax,
    WeightedOperator,
    Window,
)
from eieio.model.graph.quantizers import RangesNeededError, settle

IMAGE = (4, 5, 3)
rng = np.random.default_rng(3)
WEIGHT = rng.integers(-90, 91, (3, 3, 3, 3)) / 64
X = rng.normal(0, 1.5, (50, *IMAGE))


def quantizer(name: str, source: Value, scale: float, zero_point: int = 0) -> real.Quantize:
    return real.Quantize(name=f"{name}_quantizer", inputs=(source,),
                         output=Value(name, source.shape), scale=scale, zero_point=zero_point)


def convolution(source: Value, maximum: float = math.inf) -> real.Conv2D:
    return real.Conv2D(
        name="conv", inputs=(source,), output=Value("c", IMAGE), weight=WEIGHT, bias=np.array(
            [0.5, -1, 2]), window=Window((3, 3), padding=((1, 1), (1, 1))),
        weight_scale=np.full(3, 1 / 64), minimum=0.0 if maximum < math.inf else -math.inf,
        maximum=maximum)


def chain(*operators: real.Operator) -> FloatGraph:
    return FloatGraph("g", operators[0].input, operators[-1].output, operators)


def steps_off(graph: FloatGraph, *, samples: bool = False, x: NDArray[np.float64] = X
              ) -> tuple[QuantizedGraph, float]:
    """Network of integers, and how far it is from the one in real numbers, in steps."""
    ranges = calibrate(graph, x) if samples else None
    network = quantize(*settle(graph, {}, ranges))
    output = network.output
    expected = run(graph, x)[graph.output.name]
    values = run_graph(network, network.input.quantize(x))[output.name]
    low, high = output.dequantize(np.array([-128, 127], np.int8))
    difference: NDArray[np.float64] = output.dequantize(values) - np.clip(expected, low, high)
    return network, float(np.abs(difference).max() / output.scale)


def test_scales_spread() -> None:
    """Through operators that commute with rounding, from a quantizer on either side."""
    x, y, z, end = (Value(name, (4,)) for name in ("x", "y", "z", "end"))
    scale = Scale(0.5, 3)
    first = quantizer("x_quantized", x, scale.scale, scale.zero_point)
    for place in range(3):
        moved = [first.output, y, z] if place == 0 else [x, y, z]
        operators: list[real.Operator] = [first] if place == 0 else []
        for number in range(2):
            operators.append(real.Reshape(name=f"move_{number}", inputs=(moved[number],),
                                          output=moved[number + 1]))
            if place == number + 1:
                behind = quantizer(f"q_{number}", moved[number + 1], scale.scale, scale.zero_point)
                operators.append(behind)
                moved[number + 1] = behind.output
        operators.append(real.Softmax(name="softmax", inputs=(moved[2],), output=end))
        settled, scales = settle(FloatGraph("g", x, end, tuple(operators)), {})
        assert {scales[operator.output.name] for operator in settled.operators[:-1]} == {scale}
        assert scales["x"] == scale
        assert scales["end"] == Scale(1 / 256, -128)
        assert isinstance(quantize(settled, scales).operators[-1], Softmax)


def test_unknown_ranges() -> None:
    """Not past another reader of a real value."""
    x, y, z = (Value(name, (4,)) for name in ("x", "y", "z"))
    move = real.Reshape(name="a", inputs=(x,), output=y)
    behind = quantizer("q", y, 0.5, 3)
    total = real.Add(name="b", inputs=(x, behind.output), output=z)
    with pytest.raises(RangesNeededError, match="^" + re.escape(
            "activations 'x' are real numbers in the file, without a scale: sample inputs must be "
            "given, to find their range") + "$"):
        settle(FloatGraph("g", x, z, (move, behind, total)), {})


def test_clamps_and_maxima_are_behind_one_rounding() -> None:
    first = quantizer("q", Value("x", IMAGE), 1 / 16)
    conv = convolution(first.output)
    clamp = real.Clamp(name="clamp", inputs=(conv.output,), output=Value("r", IMAGE), minimum=0.0,
                       maximum=6.0)
    pool = real.MaxPool(name="pool", inputs=(clamp.output,), output=Value("m", (3, 4, 3)),
                        window=Window((2, 2)))
    network, off = steps_off(chain(first, conv, clamp, pool, quantizer("y", pool.output, 0.037)))
    assert [type(operator).__name__ for operator in network.operators] == ["Conv2D", "MaxPool"]
    assert off < 1e-9


@pytest.mark.parametrize("step", [1 / 2, 1 / 16, 1 / 90])
def test_means_of_real_numbers(step: float) -> None:
    """As fine as the quantizer behind, however much wider the terms are than their mean."""
    first = quantizer("q", Value("x", IMAGE), 1 / 16)
    conv = convolution(first.output, 30.0)
    mean = real.AveragePool(name="mean", inputs=(conv.output,), output=Value("m", (1, 1, 3)),
                            window=Window(IMAGE[:2], IMAGE[:2]))
    network, off = steps_off(chain(first, conv, mean, quantizer("y", mean.output, step)))
    assert off < 1e-9
    assert type(network.operators[-1]).__name__ == "DepthwiseConv2D"
    # Lowest bits of the terms, and of what they are beyond 30; and 30 and two bytes by 255 steps,
    # each 248 fine ones: 4,096 of the quantizer's, no more than 96, or 128 of the sums.
    fine = max(step / 4096, 30 / (96 * 255 * 248), 2**-17 * (1 + 2**-20))
    names = [operator.output.name for operator in network.operators
             if type(operator).__name__ == "Conv2D"]
    # Of those, finer ones: of what is above 0, less of what is above 30.
    finer = sum(name.startswith("c_bits") for name in names)
    assert finer == (2 if step == 1 / 2 else 4)
    assert len(names) - finer == 2 + math.ceil((30 + 512 * fine) / (255 * 248 * fine))


@pytest.mark.parametrize("zero_point", [-128, -3, 0, 127])
@pytest.mark.parametrize("kernel", [(2, 2), (1, 6), (3, 3)])
def test_halves_of_means(kernel: tuple[int, int], zero_point: int) -> None:
    """A mean that is a half goes to the even integer at the same scale: for every sum there is."""
    elements = math.prod(kernel)
    first = quantizer("q", Value("x", (*kernel, 1)), 1 / 16, zero_point)
    mean = real.AveragePool(name="mean", inputs=(first.output,), output=Value("m", (1, 1, 1)),
                            window=Window(kernel))
    graph = chain(first, mean, quantizer("y", mean.output, 1 / 16, zero_point))
    sums = np.arange(-128 * elements, 127 * elements + 1)
    # As even as can be: all elements of a window are one of two neighbours.
    low, rest = sums // elements, sums % elements
    levels = low[:, None] + (np.arange(elements) < rest[:, None])
    x = ((levels - zero_point) / 16).reshape(-1, *kernel, 1)
    network = quantize(*settle(graph, {}))
    values = run_graph(network, network.input.quantize(x))[network.output.name]
    expected = run(graph, x)[graph.output.name]
    assert (network.output.dequantize(values) == expected).all()
    exact = (sums / elements - zero_point) % 1
    assert (exact == 0.5).sum() == (0 if elements == 9 else len(sums) // elements)


def test_single_weights() -> None:
    """What scales and shifts each channel of integers is exact for all integers."""
    channels = 64
    draw = np.random.default_rng(5)
    first = quantizer("q", Value("x", (16, 16, channels)), 1 / 16, -7)
    weight = draw.uniform(0.5, 2, channels) * draw.choice([-1, 1], channels)
    norm = real.DepthwiseConv2D(
        name="norm", inputs=(first.output,), output=Value("n", first.output.shape),
        weight=weight.reshape(1, 1, -1), bias=draw.normal(size=channels), window=Window((1, 1)))
    graph = chain(first, norm, quantizer("y", norm.output, 1 / 9, 3))
    levels = np.arange(-128, 128).reshape(1, 16, 16, 1)
    x = np.repeat((levels + 7) / 16, channels, axis=3)
    network = quantize(*settle(graph, {}))
    assert len(network.operators) == 1
    values = run_graph(network, network.input.quantize(x))[network.output.name]
    expected = run(graph, x)[graph.output.name]
    assert (np.abs(network.output.dequantize(values) - expected) < 1e-9).all()


def test_mean_of_one() -> None:
    """It is that one, at any scale."""
    first = quantizer("q", Value("x", IMAGE), 1 / 16)
    conv = convolution(first.output, 30.0)
    mean = real.AveragePool(name="mean", inputs=(conv.output,), output=Value("m", IMAGE),
                            window=Window((1, 1)))
    network, off = steps_off(chain(first, conv, mean, quantizer("y", mean.output, 1 / math.tau)))
    assert [type(operator).__name__ for operator in network.operators] == ["Conv2D"]
    assert off < 1e-9


def test_segments_of_both_signs() -> None:
    """Padding in front of a mean stays a real 0 in each of them, and in the remainder."""
    first = quantizer("q", Value("x", IMAGE), 1 / 16)
    conv = convolution(first.output)
    pad = real.Pad(name="pad", inputs=(conv.output,), output=Value("p", (6, 5, 3)),
                   padding=((1, 1), (0, 0), (0, 0)))
    mean = real.AveragePool(name="mean", inputs=(pad.output,), output=Value("m", (3, 2, 3)),
                            window=Window((2, 3), (2, 2)))
    network, off = steps_off(chain(first, conv, pad, mean, quantizer("y", mean.output, 1 / 8)),
                             samples=True)
    assert off <= 1 + 1e-9
    zero_points = {operator.output.zero_point for operator in network.operators
                   if type(operator).__name__ == "Pad"}
    assert zero_points == {-128, 0, 127}


def test_sums_of_sums() -> None:
    """Both operands in segments, one of them a sum itself: no weight is beyond 8 bits."""
    first = quantizer("q", Value("x", IMAGE), 1 / 16)
    conv = convolution(first.output)
    other = replace(convolution(first.output), name="other", output=Value("o", IMAGE),
                    weight=rng.integers(-90, 91, (3, 3, 3, 3)) / 4096,
                    weight_scale=np.full(3, 1 / 4096))
    inner = real.Add(name="inner", inputs=(other.output, first.output), output=Value("i", IMAGE),
                     minimum=0.0)
    outer = real.Add(name="outer", inputs=(conv.output, inner.output), output=Value("s", IMAGE))
    mean = real.AveragePool(name="mean", inputs=(outer.output,), output=Value("m", (1, 1, 3)),
                            window=Window(IMAGE[:2], IMAGE[:2]))
    graph = FloatGraph("g", first.input, Value("y", (1, 1, 3)), (
        first, conv, other, inner, outer, mean, quantizer("y", mean.output, 1 / 32)))
    _, off = steps_off(graph, samples=True, x=X[:15])
    assert off <= 1 + 1e-9


@pytest.mark.parametrize("clamp", ["none", "below", "both", "beyond"])
def test_remainders(clamp: str) -> None:
    """Few numbers are rounded to the other side of a half: 1 of 16,384 on the average."""
    first = quantizer("q", Value("x", IMAGE), 1 / 16)
    low, high = {"none": (-math.inf, math.inf), "below": (0.0, math.inf), "both": (-1.0, 6.0),
                 "beyond": (0.3, 900.0)}[clamp]
    conv = replace(convolution(first.output), minimum=low, maximum=high)
    mean = real.AveragePool(name="mean", inputs=(conv.output,), output=Value("m", (3, 4, 3)),
                            window=Window((2, 2)))
    y = quantizer("y", mean.output, 0.0437, 5)
    graph = chain(first, conv, mean, y)
    network, off = steps_off(graph, samples=True)
    assert off <= 1 + 1e-9
    assert any(getattr(operator, "wraps", False) for operator in network.operators)
    wrong = run_graph(network, network.input.quantize(X))["y"] - (
        np.rint(run(graph, X)["y"] / 0.0437) + 5)
    assert np.count_nonzero(wrong) <= 2  # of 1,800


@pytest.mark.parametrize(("kernel", "stride", "pad", "low"), [
    (2, 2, 0, -math.inf), (1, 2, 0, -math.inf),
    *long((3, 1, 1, 0.0), (2, 1, 1, 0.0), (2, 2, 1, -math.inf), (3, 2, 1, -5.0))])
def test_maxima_of_real_numbers(kernel: int, stride: int, pad: int, low: float) -> None:
    """As fine as sums: they are computed of differences. Around positive numbers, padding is 0."""
    first = quantizer("q", Value("x", IMAGE), 1 / 16)
    conv = replace(convolution(first.output), minimum=low)
    window = Window((kernel, kernel), (stride, stride), padding=((pad, pad), (pad, 0)))
    shape = (*window.output_size(*IMAGE[:2]), 3)
    pool = real.MaxPool(name="pool", inputs=(conv.output,), output=Value("p", shape), window=window,
                        maximum=7.0)
    mean = real.AveragePool(name="mean", inputs=(pool.output,), output=Value("m", (1, 1, 3)),
                            window=Window(shape[:2], shape[:2]))
    y = quantizer("y", mean.output, 0.0037)
    graph = chain(first, conv, pool, mean, y)
    x = X[:10]  # The network has hundreds of operators.
    network, off = steps_off(graph, samples=True, x=x)
    assert off <= 1 + 1e-9
    wanted = np.rint(run(graph, x)["m"] / 0.0037)
    wrong = run_graph(network, network.input.quantize(x))["y"] != np.clip(wanted, -128, 127)
    assert np.count_nonzero(wrong) <= 1  # of 30


@pytest.mark.parametrize("clamp", [False, True])
def test_maxima_of_one_number(clamp: bool) -> None:
    """Exporters leave windows of 1 x 1 where an image has shrunk to that."""
    first = quantizer("q", Value("x", IMAGE), 1 / 16)
    conv = convolution(first.output)
    second, third = (Value(name, IMAGE) for name in ("p", "p2"))
    pool = real.MaxPool(name="pool", inputs=(conv.output,), output=second, window=Window((1, 1)),
                        minimum=0.0 if clamp else -math.inf)
    again = real.MaxPool(name="again", inputs=(second,), output=third, window=Window((1, 1)))
    mean = real.AveragePool(name="mean", inputs=(third,), output=Value("m", (1, 1, 3)),
                            window=Window(IMAGE[:2], IMAGE[:2]))
    _, off = steps_off(chain(first, conv, pool, again, mean, quantizer("y", mean.output, 0.0037)),
                       samples=True, x=X[:10])
    assert off <= 1 + 1e-9


def test_biases_in_parts_of_a_step() -> None:
    """Real biases of a file are rounded to 1/128 of a step of the sums, where there is room."""
    first = quantizer("q", Value("x", IMAGE), 1 / 16)
    conv = replace(convolution(first.output), bias=np.array([0.5003, -1.00051, 2.00017]))
    network, _ = steps_off(chain(first, conv, quantizer("y", conv.output, 1 / 64)))
    operator, = network.operators
    assert isinstance(operator, WeightedOperator)
    assert operator.bias_shift == 7
    assert operator.bias.tolist() == [round(bias * 1024 * 128) for bias in conv.bias.tolist()]
    sums = run(chain(first, conv), X)["c"] * 64
    expected = np.clip(np.trunc(sums + np.copysign(0.5, sums)), -128, 127)
    assert np.array_equal(run_graph(network, network.input.quantize(X))["y"], expected)


def test_refused() -> None:
    x = Value("x", IMAGE)
    first, second = quantizer("a", x, 1 / 4), quantizer("b", x, 1 / 64)
    total = real.Add(name="sum", inputs=(first.output, second.output), output=Value("s", IMAGE))
    with pytest.raises(InputError, match="^" + re.escape(
            "input 'x' must not be quantized at scales so different as ")):
        settle(chain(first, second, total, quantizer("y", total.output, 1 / 4)), {})
