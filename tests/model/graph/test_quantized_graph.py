"""Quantized networks: shapes, bounds and refusals."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eieio.model.errors import InputError
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
    SharedWeights,
    Softmax,
    Tensor,
    Window,
)


def test_tensor() -> None:
    tensor = Tensor("x", (2, 3), 0.5, -3)
    assert tensor.elements == 6
    real = np.array([0.0, 0.25, -0.25, 0.2, 100.0, -100.0])
    assert tensor.quantize(real).tolist() == [-3, -2, -4, -3, 127, -128]
    assert tensor.dequantize(np.array([-3, -2], np.int8)).tolist() == [0.0, 0.5]


def test_widths() -> None:
    """Of int8 and wider tensors: range, type, and where halves go."""
    real = np.array([0.25, 0.75, -0.25, 1e6, -1e6])
    wide = Tensor("x", (2,), 0.5, 100, 12)
    assert (wide.minimum, wide.maximum, wide.largest, wide.dtype) == (-2048, 2047, 2148, np.int32)
    assert wide.quantize(real).tolist() == [101, 102, 99, 2047, -2048]
    symmetric = Tensor("x", (2,), 0.5, 0, 8, symmetric=True)
    assert (symmetric.minimum, symmetric.largest, symmetric.dtype) == (-127, 127, np.int8)
    assert symmetric.quantize(real).tolist() == [0, 2, 0, 127, -127]
    for width in (3, 19):
        with pytest.raises(InputError, match=f"width must be from 4 to 18, not {width}$"):
            Tensor("x", (2,), 0.5, 0, width)
    with pytest.raises(InputError, match=r"zero point must be from -127 to 127, not -128$"):
        Tensor("x", (2,), 0.5, -128, symmetric=True)


def test_shared_weights() -> None:
    """Codes in ascending order of the weights, behind that of 0; of 8 bits for all of int8."""
    weight = np.array([[5, 0, -7], [5, 5, 2]], np.int8)
    shared = SharedWeights.of(weight)
    assert shared.codebook.tolist() == [0, -7, 2, 5]
    assert shared.codes.tolist() == [[3, 0, 1], [3, 3, 2]]
    assert np.array_equal(shared.weight, weight)
    assert (shared.kind, shared.shape, shared.size) == ("int8", (2, 3), 6)
    assert shared.counts().tolist() == [[1, 1, 0, 1], [0, 0, 1, 2]]
    every = np.arange(-128, 128, dtype=np.int8)
    assert SharedWeights.of(every).codebook.size == 256
    assert np.array_equal(SharedWeights.of(every).weight, every)
    # Without a weight that is 0 there is no code for more.
    with pytest.raises(InputError, match=r"at most 256 values, the 0 included, not 257$"):
        SharedWeights.of(np.arange(1, 257))
    for values, kind in (([0, 127, -128], "int8"), ([0, 128], "int16"), ([0, -32769], "int32")):
        codebook = np.array(values, np.int32)
        assert SharedWeights(np.zeros((1, 1), np.uint8), codebook).kind == kind


@pytest.mark.parametrize(("codes", "codebook", "message"), [
    (np.zeros(2, np.int8), np.zeros(4, np.int32), "codes must be a uint8 array, not int8"),
    (np.zeros(2, np.uint8), np.zeros(4), ("codebook must be an int32 array of one axis, not "
     "float64 of shape (4,)")),
    (np.zeros(2, np.uint8), np.ones(4, np.int32), "codebook must begin with the weight 0, not 1"),
    (np.full(2, 4, np.uint8), np.zeros(4, np.int32),
     "codes must be below 4, the size of the codebook, not 4"),
])
def test_shared_weights_refuse(codes: Any, codebook: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        SharedWeights(codes, codebook)


def test_wide_operators() -> None:
    """With biases of int64 there are 48 bits for sums, wider weights, and longer shifts."""
    wide = replace(DENSE, bias=np.full(3, 2**47 - 1 - 180 * 155, np.int64))
    assert (wide.accumulator_bound, wide.accumulator_width) == (2**47 - 1, 48)
    with pytest.raises(InputError, match="must not need more than 48 bits, not 49"):
        replace(wide, bias=wide.bias + 1)
    assert replace(wide, shift=np.full(3, 63, np.int32)).shift[0] == 63
    with pytest.raises(InputError, match="shift must be from -31 to 31, not 32"):
        replace(DENSE, shift=np.full(3, 32, np.int32))
    heavy = np.full((3, 60), 300, np.int16)
    assert replace(wide, bias=np.zeros(3, np.int64), stored_weight=heavy).weight_kind == "int16"
    shared = SharedWeights.of(heavy)
    operator = replace(wide, bias=np.zeros(3, np.int64), stored_weight=shared)
    assert operator.channel_bounds.tolist() == [60 * 300 * 155] * 3
    assert np.array_equal(operator.weight, heavy)
    with pytest.raises(InputError, match=r"weight must be an int8 array of shape .*, not int16"):
        replace(DENSE, stored_weight=shared)


@pytest.mark.parametrize(("shape", "scale", "zero_point", "message"), [
    ((), 1.0, 0,
     "Tensor 'x': shape must be positive sizes of at most 2147483647 elements in all, not ()"),
    ((2, 0), 1.0, 0,
     "Tensor 'x': shape must be positive sizes of at most 2147483647 elements in all, not (2, 0)"),
    ((2**16, 2**15), 1.0, 0,
     ("Tensor 'x': shape must be positive sizes of at most 2147483647 elements in all, not "
      "(65536, 32768)")),
    ((2,), 0.0, 0, "Tensor 'x': scale must be positive and finite, not 0.0"),
    ((2,), math.nan, 0, "Tensor 'x': scale must be positive and finite, not nan"),
    ((2,), 1.0, 128, "Tensor 'x': zero point must be from -128 to 127, not 128"),
])
def test_tensor_refuses(shape: tuple[int, ...], scale: float, zero_point: int,
                        message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Tensor("x", shape, scale, zero_point)


def test_window() -> None:
    window = Window((3, 2), (2, 1), (1, 3), ((1, 0), (3, 2)))
    assert window.extent == (3, 4)
    assert window.output_size(6, 5) == (3, 7)
    assert Window((3, 3)).output_size(3, 4) == (1, 2)


@pytest.mark.parametrize(("create", "message"), [
    (lambda: Window((0, 3)), "Kernel must be positive, not (0, 3)"),
    (lambda: Window((3, 3), (1, 0)), "Stride must be positive, not (1, 0)"),
    (lambda: Window((3, 3), dilation=(-1, 1)), "Dilation must be positive, not (-1, 1)"),
    (lambda: Window((3, 2), padding=((0, 0), (0, 2))),
     "Padding must be from 0 to 1, less than the window's extent, not (0, 2)"),
    (lambda: Window((3, 2), padding=((-1, 0), (0, 0))),
     "Padding must be from 0 to 2, less than the window's extent, not (-1, 0)"),
    (lambda: Window((3, 3)).output_size(2, 9),
     "Window must not span more than the padded image, (2, 9), not (3, 3)"),
])
def test_window_refuses(create: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        create()


IMAGE = Tensor("x", (5, 6, 2), 1.0, -28)
FACTORS: dict[str, Any] = {
    "bias": np.array([10, -20, 30], np.int32), "multiplier": np.full(3, 2**30, np.int32),
    "shift": np.zeros(3, np.int32), "minimum": -128, "maximum": 127}
CONV = Conv2D("c", (IMAGE,), Tensor("y", (3, 4, 3), 1.0, 0), window=Window((3, 3)),
              stored_weight=np.full((3, 3, 3, 2), -2, np.int8), **FACTORS)
DEPTHWISE = DepthwiseConv2D(
    "d", (Tensor("x", (5, 6, 3), 1.0, 100),), Tensor("y", (3, 4, 3), 1.0, 0),
    window=Window((3, 3)), stored_weight=np.full((3, 3, 3), -2, np.int8), **FACTORS)
DENSE = FullyConnected("f", (IMAGE,), Tensor("y", (3,), 1.0, 0),
                       stored_weight=np.full((3, 60), 3, np.int8), **FACTORS)
POOL = AveragePool("p", (IMAGE,), Tensor("y", (2, 3, 2), 1.0, -28), Window((2, 2), (2, 2)),
                   -128, 127)
ADD = Add("a", (IMAGE, IMAGE), Tensor("y", (5, 6, 2), 2.0, 0), *Add.factors(1, 1, 2), -128, 127)
RESHAPE = Reshape("r", (IMAGE,), Tensor("y", (60,), 1.0, -28))
PAD = Pad("q", (IMAGE,), Tensor("y", (6, 6, 2), 1.0, -28), ((1, 0), (0, 0), (0, 0)))
SOFTMAX = Softmax("s", (Tensor("x", (4,), 1.0, 0),), Tensor("y", (4,), 1 / 256, -128), 2**30, -2)


def test_bounds() -> None:
    # Largest distance from the zero point: 127 + 28, then 100 + 128.
    assert CONV.channel_bounds.tolist() == [36 * 155 + b for b in (10, 20, 30)]
    assert CONV.accumulator_bound == 36 * 155 + 30
    assert DEPTHWISE.accumulator_bound == 18 * 228 + 30
    assert DENSE.accumulator_bound == 180 * 155 + 30


def test_accumulator_limit() -> None:
    fits = replace(DENSE, bias=np.full(3, 2**31 - 1 - 180 * 155, np.int32))
    assert fits.accumulator_bound == 2**31 - 1
    with pytest.raises(InputError, match=r"^FullyConnected 'f': accumulator must not need more "
                                         r"than 32 bits, not 33, left shift included$"):
        replace(fits, bias=fits.bias + np.int32(1))
    replace(DENSE, bias=np.zeros(3, np.int32), shift=np.full(3, -16, np.int32))
    with pytest.raises(InputError, match="not 33, left shift"):
        replace(DENSE, bias=np.zeros(3, np.int32), shift=np.full(3, -17, np.int32))


def tensor(**changes: Any) -> Tensor:
    return replace(IMAGE, name="y", **changes)


@pytest.mark.parametrize(("operator", "changes", "message"), [
    (CONV, {"inputs": (IMAGE, IMAGE)}, "Conv2D 'c': must have 1 inputs, not 2"),
    (CONV, {"inputs": (tensor(shape=(5, 6)),)},
     "Conv2D 'c': input must have shape (height, width, channels), not (5, 6)"),
    (CONV, {"stored_weight": np.zeros((3, 3, 3), np.int8)},
     ("Conv2D 'c': weight must be an int8 array of shape ('channels', 'height', 'width', "
      "'input channels'), not int8 of shape (3, 3, 3)")),
    (CONV, {"stored_weight": np.zeros((3, 3, 3, 2), np.int16)},
     ("Conv2D 'c': weight must be an int8 array of shape ('channels', 'height', 'width', "
      "'input channels'), not int16 of shape (3, 3, 3, 2)")),
    (CONV, {"stored_weight": np.zeros((3, 3, 3, 1), np.int8)},
     "Conv2D 'c': weight must have shape (3, 3, 2), not (3, 3, 1)"),
    (CONV, {"output": tensor(shape=(3, 3, 3))},
     "Conv2D 'c': output must have shape (3, 4, 3), not (3, 3, 3)"),
    (CONV, {"bias": np.zeros(2, np.int32)},
     "Conv2D 'c': bias must be an int32 or int64 array of shape (3,), not int32 of shape (2,)"),
    (CONV, {"shift": np.zeros(3)},
     "Conv2D 'c': shift must be an int32 array of shape (3,), not float64 of shape (3,)"),
    (CONV, {"shift": np.array([0, 32, 0], np.int32)},
     "Conv2D 'c': shift must be from -31 to 31, not 32"),
    (CONV, {"multiplier": np.array([0, 5, -1], np.int32)},
     "Conv2D 'c': multiplier must be from 0 to 2147483647, not -1"),
    (CONV, {"minimum": -129},
     "Conv2D 'c': minimum and maximum must be in order, from -128 to 127, not -129 and 127"),
    (CONV, {"window": Window((9, 3))},
     "Conv2D 'c': weight must have shape (9, 3, 2), not (3, 3, 2)"),
    (DEPTHWISE, {"inputs": (IMAGE,)},
     "DepthwiseConv2D 'd': channels must be a multiple of 2, the input's, not 3"),
    (DEPTHWISE, {"window": Window((2, 3))},
     "DepthwiseConv2D 'd': weight must have shape (2, 3), not (3, 3)"),
    (DENSE, {"stored_weight": np.zeros((3, 59), np.int8)},
     "FullyConnected 'f': weight must have shape (60,), not (59,)"),
    (DENSE, {"output": tensor(shape=(4,))}, ("FullyConnected 'f': output must have 3 elements, "
     "one for each channel, not shape (4,)")),
    (POOL, {"output": tensor(shape=(2, 3, 2), scale=2.0)},
     ("AveragePool 'p': output must have scale 1.0 and zero point -28, as the input, not 2.0 and "
      "-28")),
    (POOL, {"window": Window((2, 2), dilation=(2, 2))},
     "AveragePool 'p': dilation must be (1, 1), not (2, 2)"),
    (MaxPool("m", POOL.inputs, POOL.output, POOL.window, -128, 127), {"window": Window((6, 2))},
     "MaxPool 'm': Window must not span more than the padded image, (5, 6), not (6, 2)"),
    (ADD, {"inputs": (IMAGE, tensor(shape=(1, 1, 2)))},
     "Add 'a': inputs must have shape (5, 6, 2), not (1, 1, 2)"),
    (ADD, {"shifts": (0, -1, 0)}, "Add 'a': shift must not be negative, not -1"),
    (ADD, {"shifts": (0, 1)}, "Add 'a': must have 3 multipliers and 3 shifts, not 3 and 2"),
    (RESHAPE, {"output": tensor(shape=(61,))},
     "Reshape 'r': output must have 60 elements, as the input, not 61"),
    (PAD, {"padding": ((1, 0), (0, 0))},
     ("Pad 'q': padding must be 3 pairs of numbers that are not negative, not ((1, 0), (0, 0))")),
    (PAD, {"padding": ((1, 0), (0, 1), (0, 0))},
     "Pad 'q': output must have shape (6, 7, 2), not (6, 6, 2)"),
    (SOFTMAX, {"shift": 1}, "Softmax 's': factor must be 1 or more, not 0.25"),
    (SOFTMAX, {"output": Tensor("y", (4,), 1.0, -128)},
     "Softmax 's': output must have scale 1/256 and zero point -128, not 1.0 and -128"),
    (SOFTMAX, {"inputs": (Tensor("x", (4096,), 1.0, 0),),
               "output": Tensor("y", (4096,), 1 / 256, -128)},
     "Softmax 's': last axis must have at most 4095 elements, not 4096"),
])
def test_operator_refuses(operator: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        replace(operator, **changes)


def test_add_factors() -> None:
    assert Add.factors(1.0, 1.0, 2.0) == ((2**30,) * 3, (0, 0, 19))
    assert Add.factors(1.0, 4.0, 1.0) == ((2**30,) * 3, (2, 0, 16))
    with pytest.raises(InputError, match=re.escape(
            "Output scale must be above 1.9073486328125e-06, 2**-19 of the larger operand's, not "
            "1e-06")):
        Add.factors(1.0, 1.0, 1e-6)


def test_graph() -> None:
    y = Tensor("y2", (3,), 1.0, 0)
    graph = QuantizedGraph("net", IMAGE, y, (
        RESHAPE, replace(DENSE, inputs=(RESHAPE.output,), output=y)))
    assert graph.tensors == (IMAGE, RESHAPE.output, y)
    assert graph.macs == 180


@pytest.mark.parametrize(("output", "operators", "message"), [
    (IMAGE, (), "Network 'net' must have at least one operator"),
    (RESHAPE.output, (RESHAPE, RESHAPE), "Names of operators must be different, not 'r' twice"),
    (RESHAPE.output, (RESHAPE, PAD), "Names of tensors must be different, not 'y' twice"),
    (SOFTMAX.output, (SOFTMAX,), "Names of tensors must be different, not 'x' twice"),
    (RESHAPE.output, (replace(RESHAPE, inputs=(tensor(zero_point=-28),),
                              output=replace(RESHAPE.output, name="z")),),
     ("Operator 'r' must take the network's input or outputs of operators before it, not 'y'")),
    (tensor(shape=(1,)), (RESHAPE,), "Network 'net': output 'y' must be computed by an operator"),
])
def test_graph_refuses(output: Tensor, operators: Any, message: str) -> None:
    if operators and operators[0] is SOFTMAX:
        operators = (replace(SOFTMAX, output=replace(SOFTMAX.output, name="x")),)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        QuantizedGraph("net", IMAGE, output, operators)
