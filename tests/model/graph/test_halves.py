"""Sums of real numbers that are as good as a half go where exact numbers go."""

import math
from dataclasses import replace

import numpy as np
import pytest
from long_cases import long

from eieio.model.graph import float_graph as real
from eieio.model.graph.calibration import calibrate
from eieio.model.graph.float_graph import FloatGraph, Value, run
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantization import LEFT_SHIFT_LIMIT, Scale, quantize
from eieio.model.graph.quantized_graph import WeightedOperator, Window
from eieio.model.graph.quantizers import settle

IMAGE = (4, 4, 6)
draw = np.random.default_rng(11)


def quantizer(name: str, source: Value, scale: float, zero_point: int = 0) -> real.Quantize:
    return real.Quantize(name=f"{name}_quantizer", inputs=(source,),
                         output=Value(name, source.shape), scale=scale, zero_point=zero_point)


def product(name: str, source: Value, *, low: float = -math.inf, high: float = math.inf,
            kernel: int = 3, whole: bool = False) -> real.Conv2D:
    """Return a convolution; that of one element has sums of few steps."""
    pad, scale = kernel // 2, 1 / 256 if whole else 0.0037
    return real.Conv2D(
        name=name, inputs=(source,), output=Value(f"{name}_value", IMAGE),
        weight=draw.integers(-127, 128, (6, kernel, kernel, 6)) * scale, bias=draw.normal(size=6),
        window=Window((kernel, kernel), padding=((pad, pad), (pad, pad))),
        weight_scale=np.full(6, scale), minimum=low, maximum=high)


def mean(source: Value, size: int = 4, stride: int | None = None) -> real.AveragePool:
    stride = stride or size
    shape = (4 // stride, 4 // stride, source.shape[2])
    return real.AveragePool(name="mean", inputs=(source,), output=Value("mean_value", shape),
                            window=Window((size, size), (stride, stride)))


def network(kind: str, *, whole: bool = False) -> tuple[FloatGraph, float]:
    """Return a network and the scale of what it computes, which a quantizer rounds.

    Its scales are powers of two if they are to be whole multiples of one another.
    """
    x = Value("x", IMAGE)
    first = quantizer("q", x, 1 / 32 if whole else 0.031, 5)
    behind: list[real.Operator] = [first]

    def grid(name: str, scale: float, kernel: int = 1) -> Value:
        conv = product(name, first.output, kernel=kernel, whole=whole)
        rounded = quantizer(f"{name}_grid", conv.output,
                            2.0 ** round(math.log2(scale)) if whole else scale)
        behind.extend([conv, rounded])
        return rounded.output

    def add(a: Value, b: Value, low: float = -math.inf, high: float = math.inf) -> Value:
        total = real.Add(name="add", inputs=(a, b), output=Value("add_value", a.shape), minimum=low,
                         maximum=high)
        behind.append(total)
        return total.output

    def conv(name: str, low: float = -math.inf, high: float = math.inf, kernel: int = 3) -> Value:
        behind.append(product(name, first.output, low=low, high=high, kernel=kernel, whole=whole))
        return behind[-1].output

    match kind:
        case "products":
            end = add(conv("a", 0.0), conv("b", 0.0, 6.0))
        case "product-and-grid":
            end = add(conv("a"), first.output)
        case "mean-of-few-steps":
            behind.append(mean(conv("a", kernel=1), 2))
            end = behind[-1].output
        case "mean-of-rectified":
            behind.append(mean(conv("a", 0.0, kernel=1), 2))
            end = behind[-1].output
        case "mean-of-clipped":
            behind.append(mean(conv("a", 0.0, 2.0, kernel=1), 2))
            end = behind[-1].output
        case "every-second":
            behind.append(mean(conv("a", 0.0, kernel=1), 1, 2))
            end = behind[-1].output
        case "mean-of-grids":
            total = add(grid("a", 0.043), grid("b", 0.0719))
            pad = real.Pad(name="pad", inputs=(total,), output=Value("padded", (8, 4, 6)),
                           padding=((3, 1), (0, 0), (0, 0)))
            pool = real.AveragePool(
                name="mean", inputs=(pad.output,), window=Window((8, 4), (8, 4)),
                output=Value("mean_value", (1, 1, 6)))
            behind.extend([pad, pool])
            end = pool.output
        case "mean-of-rectified-sum":
            behind.append(mean(add(grid("a", 0.043), conv("b"), 0.0), 2))
            end = behind[-1].output
        case _:
            assert kind == "mean-of-clipped-sum"
            behind.append(mean(add(grid("a", 0.043), grid("b", 0.0719), 0.0, 3.0), 2))
            end = behind[-1].output
    scale = (1 / 64 if "mean" in kind else 1 / 32) if whole else (
        0.0173 if "mean" in kind else 0.0373)
    behind.append(quantizer("y", end, scale, -3))
    return FloatGraph("g", x, behind[-1].output, tuple(behind)), scale


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", [
    "products", "product-and-grid", "mean-of-few-steps", "mean-of-rectified", "mean-of-clipped",
    "every-second", "mean-of-grids", *long("mean-of-rectified-sum"), "mean-of-clipped-sum"])
def test_as_exact_numbers(kind: str, whole: bool) -> None:
    """Of thousands of results none is on the wrong side of a half, but for 1/50,000 of a step."""
    graph, scale = network(kind, whole=whole)
    x = draw.normal(0, 1.3, (300, *IMAGE))
    settled, scales = settle(graph, {}, calibrate(graph, x))
    made = quantize(settled, scales)
    values = run(graph, x)
    real_numbers = values[graph.operators[-1].input.name] / scale
    wanted = np.clip(np.rint(real_numbers) - 3, -128, 127)
    wrong = run_graph(made, made.input.quantize(x))["y"] != wanted
    far = np.abs(real_numbers - np.floor(real_numbers) - 0.5)
    assert far[wrong].max(initial=0) < 2e-5
    names = {operator.output.name for operator in made.operators}
    assert whole or {"y_up", "y_down", "y_side"} <= names
    for operator in made.operators:  # What the engine's rescaling can do.
        if isinstance(operator, WeightedOperator):
            assert operator.shift.min() >= -LEFT_SHIFT_LIMIT, operator.name


def test_steps_of_sums_coarser_than_results() -> None:
    """Three times one tensor and once another: segments' biases are not rounded to such steps."""
    x = Value("x", (2, 1, 5))
    first = quantizer("q", x, 1 / 8)
    second = quantizer("r", first.output, 3 / 8)
    total = real.Add(name="add", inputs=(second.output, first.output), output=Value("s", x.shape))
    pool = real.AveragePool(name="mean", inputs=(total.output,), output=Value("m", (1, 1, 5)),
                            window=Window((2, 1), (2, 1)))
    y = quantizer("y", pool.output, 0.0913)
    graph = FloatGraph("g", x, y.output, (first, second, total, pool, y))
    inputs = np.random.default_rng(2).normal(0, 5, (400, *x.shape))
    settled, scales = settle(graph, {x.name: Scale(1 / 8, 0)}, calibrate(graph, inputs))
    made = quantize(settled, scales)
    found = run_graph(made, made.input.quantize(inputs))["y"]
    assert np.array_equal(found, np.clip(np.rint(run(graph, inputs)["m"] / 0.0913), -128, 127))
    assert all(operator.shift.min() >= -LEFT_SHIFT_LIMIT for operator in made.operators
               if isinstance(operator, WeightedOperator))


def test_real_outputs_are_rounded_once() -> None:
    """Where no quantizer of the file rounds, there is no half to be exact at."""
    graph, _ = network("products")
    last = replace(graph, operators=graph.operators[:-1], output=graph.operators[-1].input)
    settled, _ = settle(last, {}, calibrate(last, draw.normal(0, 1.3, (20, *IMAGE))))
    assert not any(operator.output.name.endswith("_side") for operator in settled.operators)
