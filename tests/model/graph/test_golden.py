"""The golden model against loops in plain Python, written from the operators' definitions."""

import itertools
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.golden import accumulate, run_graph, run_operator
from eieio.model.graph.quantized_graph import (
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Pad,
    QuantizedGraph,
    Reshape,
    Tensor,
    WeightedOperator,
    Window,
)

SAMPLES = 2


def half_away(x: Fraction) -> int:
    whole = int(abs(x) + Fraction(1, 2))
    return whole if x >= 0 else -whole


def slow_rescale(number: int, multiplier: int, shift: int, zero_point: int, minimum: int,
                 maximum: int) -> int:
    number <<= max(-shift, 0)
    number = (number * multiplier + 2**30) // 2**31
    number = half_away(Fraction(number, 2**max(shift, 0)))
    return min(max(number + zero_point, minimum), maximum)


# Inputs: random, and those with the largest sums.
fills = st.sampled_from(["random", "minimum", "maximum", "alternating"])
zero_points = st.sampled_from([-128, -1, 0, 3, 127])


def filled(fill: str, seed: int, shape: tuple[int, ...]) -> NDArray[np.int8]:
    match fill:
        case "random":
            return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
        case "alternating":
            return np.resize(np.array([-128, 127], np.int8), shape)
        case _:
            return np.full(shape, -128 if fill == "minimum" else 127, np.int8)


@st.composite
def windows(draw: st.DrawFn, *, dilated: bool) -> tuple[Window, int, int]:
    """Draw a window and the size of an image that holds at least one."""
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) if dilated else (1, 1)
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    extent = Window(kernel, stride, dilation).extent
    padding, sizes = [], []
    for span in extent:
        pads = draw(st.tuples(st.integers(0, span - 1), st.integers(0, span - 1)))
        padding.append(pads)
        sizes.append(draw(st.integers(max(1, span - sum(pads)), span + 4)))
    return Window(kernel, stride, dilation, (padding[0], padding[1])), sizes[0], sizes[1]


def weighted_parameters(channels: int, seed: int, zero_point: int) -> dict[str, Any]:
    """Parameters with factors from 2**-12 to 2; powers of two, for ties, among them."""
    rng = np.random.default_rng(seed)
    multiplier = np.where(rng.integers(0, 2, channels), 2**30,
                          rng.integers(2**30, 2**31, channels))
    minimum, maximum = [(-128, 127), (zero_point, 127), (-100, 55)][seed % 3]
    return {"bias": rng.integers(-20000, 20000, channels).astype(np.int32),
            "multiplier": multiplier.astype(np.int32),
            "shift": rng.integers(-2, 12, channels).astype(np.int32),
            "minimum": minimum, "maximum": maximum}


def positions(operator: Conv2D | DepthwiseConv2D | AveragePool | MaxPool, row: int, column: int) \
        -> list[tuple[int, int, int, int]]:
    """Elements of a window that are inside of the image: (kernel row, column, row, column)."""
    window = operator.window
    height, width, _ = operator.input.shape
    (top, _), (left, _) = window.padding
    inside = []
    for i, j in itertools.product(range(window.kernel[0]), range(window.kernel[1])):
        y = row * window.stride[0] + i * window.dilation[0] - top
        x = column * window.stride[1] + j * window.dilation[1] - left
        if 0 <= y < height and 0 <= x < width:
            inside.append((i, j, y, x))
    return inside


def check_weighted(operator: WeightedOperator, x: NDArray[np.int8],
                   slow: dict[tuple[int, ...], int]) -> None:
    """Compare with slow sums, by the index of the output, biases left out."""
    accumulators = accumulate(operator, x)
    output = run_operator(operator, x)
    assert output.dtype == np.int8
    assert output.shape == (SAMPLES, *operator.output.shape)
    assert len(slow) == output.size
    for index, total in slow.items():
        channel = index[-1]
        total += int(operator.bias[channel])
        assert accumulators[index] == total
        assert abs(total) <= operator.accumulator_bound
        assert output[index] == slow_rescale(
            total, int(operator.multiplier[channel]), int(operator.shift[channel]),
            operator.output.zero_point, operator.minimum, operator.maximum)


@settings(deadline=None)
@given(windows(dilated=True), st.integers(1, 3), st.integers(1, 3), fills, fills, zero_points,
       zero_points, st.integers(0, 2**32 - 1))
def test_conv2d(drawn: tuple[Window, int, int], depth: int, channels: int, fill: str,
                weight_fill: str, zero_in: int, zero_out: int, seed: int) -> None:
    window, height, width = drawn
    operator = Conv2D(
        "conv", (Tensor("x", (height, width, depth), 1, zero_in),),
        Tensor("y", (*window.output_size(height, width), channels), 1, zero_out), window=window,
        stored_weight=filled(weight_fill, seed + 1, (channels, *window.kernel, depth)),
        **weighted_parameters(channels, seed, zero_out))
    x = filled(fill, seed, (SAMPLES, height, width, depth))
    slow = {}
    rows, columns, _ = operator.output.shape
    for n, r, c, o in np.ndindex(SAMPLES, rows, columns, channels):
        slow[n, r, c, o] = sum(
            int(operator.weight[o, i, j, d]) * (int(x[n, y, z, d]) - zero_in)
            for i, j, y, z in positions(operator, r, c) for d in range(depth))
    check_weighted(operator, x, slow)
    assert operator.macs == rows * columns * channels * depth * window.kernel[0] * window.kernel[1]


@settings(deadline=None)
@given(windows(dilated=True), st.integers(1, 3), st.integers(1, 3), fills, fills, zero_points,
       zero_points, st.integers(0, 2**32 - 1))
def test_depthwise(drawn: tuple[Window, int, int], depth: int, multiple: int, fill: str,
                   weight_fill: str, zero_in: int, zero_out: int, seed: int) -> None:
    window, height, width = drawn
    channels = depth * multiple
    operator = DepthwiseConv2D(
        "depthwise", (Tensor("x", (height, width, depth), 1, zero_in),),
        Tensor("y", (*window.output_size(height, width), channels), 1, zero_out), window=window,
        stored_weight=filled(weight_fill, seed + 1, (*window.kernel, channels)),
        **weighted_parameters(channels, seed, zero_out))
    x = filled(fill, seed, (SAMPLES, height, width, depth))
    slow = {}
    rows, columns, _ = operator.output.shape
    for n, r, c, o in np.ndindex(SAMPLES, rows, columns, channels):
        slow[n, r, c, o] = sum(
            int(operator.weight[i, j, o]) * (int(x[n, y, z, o // multiple]) - zero_in)
            for i, j, y, z in positions(operator, r, c))
    check_weighted(operator, x, slow)
    assert operator.macs == rows * columns * channels * window.kernel[0] * window.kernel[1]


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 4), fills, fills,
       zero_points, zero_points, st.integers(0, 2**32 - 1), st.booleans())
def test_fully_connected(shape: list[int], channels: int, fill: str, weight_fill: str,
                         zero_in: int, zero_out: int, seed: int, keep_axes: bool) -> None:
    source = Tensor("x", tuple(shape), 1, zero_in)
    axes = (1,) * (len(shape) - 1) if keep_axes else ()
    operator = FullyConnected(
        "dense", (source,), Tensor("y", (*axes, channels), 1, zero_out),
        stored_weight=filled(weight_fill, seed + 1, (channels, source.elements)),
        **weighted_parameters(channels, seed, zero_out))
    x = filled(fill, seed, (SAMPLES, *shape))
    flat = x.reshape(SAMPLES, -1)
    output = run_operator(operator, x)
    assert output.shape == (SAMPLES, *axes, channels)
    for n, o in np.ndindex(SAMPLES, channels):
        total = int(operator.bias[o]) + sum(
            int(operator.weight[o, d]) * (int(flat[n, d]) - zero_in)
            for d in range(source.elements))
        assert accumulate(operator, x)[n, o] == total
        assert output.reshape(SAMPLES, -1)[n, o] == slow_rescale(
            total, int(operator.multiplier[o]), int(operator.shift[o]), zero_out,
            operator.minimum, operator.maximum)
    assert operator.macs == channels * source.elements


@pytest.mark.parametrize("create", [AveragePool, MaxPool])
@settings(deadline=None)
@given(drawn=windows(dilated=False), depth=st.integers(1, 3), fill=fills,
       limits=st.sampled_from([(-128, 127), (-5, 127), (-100, 55)]),
       seed=st.integers(0, 2**32 - 1))
def test_pool(create: type[AveragePool] | type[MaxPool], drawn: tuple[Window, int, int],
              depth: int, fill: str, limits: tuple[int, int], seed: int) -> None:
    window, height, width = drawn
    operator = create(
        "pool", (Tensor("x", (height, width, depth), 1, 3),),
        Tensor("y", (*window.output_size(height, width), depth), 1, 3), window, *limits)
    x = filled(fill, seed, (SAMPLES, height, width, depth))
    output = run_operator(operator, x)
    assert output.shape == (SAMPLES, *operator.output.shape)
    for n, r, c, d in np.ndindex(*output.shape):
        values = [int(x[n, y, z, d]) for _, _, y, z in positions(operator, r, c)]
        result = max(values) if create is MaxPool \
            else half_away(Fraction(sum(values), len(values)))
        assert output[n, r, c, d] == min(max(result, limits[0]), limits[1])


scales = st.floats(2.0**-10, 10, width=32)


@settings(deadline=None)
@given(st.tuples(scales, scales, scales), st.tuples(zero_points, zero_points, zero_points), fills,
       fills, st.integers(0, 2**32 - 1))
def test_add(scale: tuple[float, float, float], zero: tuple[int, int, int], first: str,
             second: str, seed: int) -> None:
    a, b, y = (Tensor(name, (7,), s, z)
               for name, s, z in zip("aby", scale, zero, strict=True))
    multipliers, shifts = Add.factors(*scale)
    operator = Add("add", (a, b), y, multipliers, shifts, -120, 127)
    x = filled(first, seed, (SAMPLES, 7)), filled(second, seed + 1, (SAMPLES, 7))
    output = run_operator(operator, *x)
    for n, i in np.ndindex(SAMPLES, 7):
        total = sum(
            slow_rescale((int(values[n, i]) - tensor.zero_point) << 20, multipliers[k], shifts[k],
                         0, -2**31, 2**31 - 1)
            for k, (tensor, values) in enumerate(zip((a, b), x, strict=True)))
        assert output[n, i] == slow_rescale(
            total, multipliers[2], shifts[2], y.zero_point, -120, 127)
    # And it is a sum, of real numbers.
    real = a.dequantize(x[0]) + b.dequantize(x[1])
    inside = (output > -120) & (output < 127)
    np.testing.assert_allclose(y.dequantize(output)[inside], real[inside], rtol=0,
                               atol=0.501 * y.scale + 1e-4 * max(scale))


def test_fine_biases_and_lowest_bits() -> None:
    """Biases in parts of a step decide halves; what wraps is the exact result modulo 256."""
    rng = np.random.default_rng(4)
    x = Tensor("x", (9,), 1.0, 3)
    weight = rng.integers(-128, 128, (6, 9)).astype(np.int8)
    bias = rng.integers(-99999, 99999, 6).astype(np.int32)
    shift = np.array([9, 5, 3, 7, -1, 8], np.int32)
    for wraps in (False, True):
        operator = FullyConnected(
            "f", (x,), Tensor("y", (6,), 1.0, -7), weight, bias, np.full(6, 1 << 30, np.int32),
            shift, -100, 127, single_rounding=True, bias_shift=5, wraps=wraps)
        q = filled("random", 5, (30, 9))
        sums = (q.astype(int) - 3) @ weight.T.astype(int) * 32 + bias
        assert np.array_equal(accumulate(operator, q), sums)
        for row, result in zip(sums.tolist(), run_operator(operator, q).tolist(), strict=True):
            exact = [max(half_away(Fraction(number, 2) / Fraction(2)**places) - 7, -100)
                     for number, places in zip(row, shift.tolist(), strict=True)]
            assert result == [(number + 128) % 256 - 128 if wraps else min(number, 127)
                              for number in exact]


def test_add_of_one_tensor_twice() -> None:
    x = Tensor("x", (3,), 1.0, 0)
    operator = Add("add", (x, x), Tensor("y", (3,), 1.0, 0), *Add.factors(1, 1, 1), -128, 127)
    values = np.array([[1, -2, 100]], np.int8)
    assert run_operator(operator, values, values).tolist() == [[2, -4, 127]]


def test_reshape_and_pad() -> None:
    x = Tensor("x", (2, 3, 1), 0.5, 7)
    values = np.arange(12, dtype=np.int8).reshape(2, 2, 3, 1)
    reshape = Reshape("reshape", (x,), Tensor("y", (6,), 0.5, 7))
    np.testing.assert_array_equal(run_operator(reshape, values), values.reshape(2, 6))
    pad = Pad("pad", (x,), Tensor("z", (3, 6, 1), 0.5, 7), ((0, 1), (2, 1), (0, 0)))
    padded = run_operator(pad, values)
    np.testing.assert_array_equal(padded[:, :2, 2:5], values)
    padded[:, :2, 2:5] = 7
    assert (padded == 7).all()


def small_graph() -> QuantizedGraph:
    x = Tensor("x", (2,), 1.0, 0)
    y, z = Tensor("y", (2, 1, 1), 1.0, 0), Tensor("z", (2, 1, 1), 1.0, 0)
    return QuantizedGraph("net", x, z, (
        Reshape("reshape", (x,), y), Add("add", (y, y), z, *Add.factors(1, 1, 1), -128, 127)))


def test_run_graph() -> None:
    graph = small_graph()
    x = np.array([[1, 2], [3, -100]], np.int8)
    values = run_graph(graph, x)
    assert list(values) == ["x", "y", "z"]
    assert values["x"] is x
    assert values["z"].ravel().tolist() == [2, 4, 6, -128]
    assert run_graph(graph, x[:0])["z"].shape == (0, 2, 1, 1)


@pytest.mark.parametrize(("x", "message"), [
    (np.zeros((1, 2), np.int16),
     "Tensor 'x' must be an int8 array of shape (samples, 2), not int16 of shape (1, 2)"),
    (np.zeros(2, np.int8),
     "Tensor 'x' must be an int8 array of shape (samples, 2), not int8 of shape (2,)"),
    (np.zeros((2, 3), np.int8),
     "Tensor 'x' must be an int8 array of shape (samples, 2), not int8 of shape (2, 3)"),
])
def test_run_graph_refuses(x: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        run_graph(small_graph(), x)


def test_run_operator_refuses() -> None:
    operator = small_graph().operators[1]
    with pytest.raises(InputError, match=r"^Operator 'add' must have 2 operands, not 1$"):
        run_operator(operator, np.zeros((1, 2, 1, 1), np.int8))
