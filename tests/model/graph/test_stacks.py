"""Stacks: their numbers, their scales, and what is copied for their sake."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.formats import graph_file
from eieio.model.graph import float_graph as real
from eieio.model.graph.calibration import calibrate
from eieio.model.graph.float_graph import FloatGraph, Value, run
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantization import choose_scales, quantize
from eieio.model.graph.quantized_graph import MaxPool, QuantizedGraph, Stack, Tensor
from eieio.model.graph.window import Window

rng = np.random.default_rng(3)
X = Value("x", (5, 4, 3))


def conv(name: str, source: Value, channels: int, size: float = 1.0, **more: Any) -> real.Conv2D:
    weight = rng.normal(size=(channels, 1, 1, source.shape[2])) * size
    return real.Conv2D(name=name, inputs=(source,), output=Value(f"{name}_y", (
        *source.shape[:2], channels)), weight=weight, bias=rng.normal(size=channels) * size,
        window=Window((1, 1)), **more)


def join(name: str, *operands: Value) -> real.Stack:
    axis = len(operands[0].shape) - 1
    return real.Stack(name=name, inputs=operands, axis=axis, output=Value(f"{name}_y", (
        *operands[0].shape[:-1], sum(operand.shape[-1] for operand in operands))))


def quantized(*operators: real.Operator, samples: int = 20) -> tuple[QuantizedGraph, Any, Any]:
    """Quantize by samples; return the network, and its real numbers before and behind it."""
    graph = FloatGraph("net", X, operators[-1].output, operators)
    x = np.random.default_rng(4).normal(size=(samples, *X.shape))
    network = quantize(graph, choose_scales(graph, calibrate(graph, x)))
    actual = network.output.dequantize(
        run_graph(network, network.input.quantize(x))[network.output.name])
    return network, run(graph, x)[graph.output.name], actual


def kinds(network: QuantizedGraph) -> list[str]:
    return [type(operator).__name__ for operator in network.operators]


def test_branches_have_one_scale() -> None:
    """The scale covers what all of them reach, in front of a pool, too; nothing is rescaled."""
    small, large = conv("small", X, 3, 0.1, minimum=0.0), conv("large", X, 5)
    pooled = real.MaxPool(name="pool", inputs=(small.output,), output=Value("pool_y", (5, 4, 3)),
                          window=Window((3, 3), padding=((1, 1), (1, 1))))
    network, expected, actual = quantized(small, large, pooled, join("cat", pooled.output,
                                                                     large.output))
    assert kinds(network) == ["Conv2D", "Conv2D", "MaxPool", "Stack"]
    scales = {(tensor.scale, tensor.zero_point) for tensor in network.tensors[1:]}
    assert len(scales) == 1
    np.testing.assert_allclose(actual, expected, atol=2 * network.output.scale)


def test_stacks_in_stacks() -> None:
    one, two = conv("one", X, 3), conv("two", X, 2, 0.2)
    inner = join("inner", one.output, two.output)
    three = conv("three", inner.output, 4, 0.5)
    network, expected, actual = quantized(one, two, inner, three, join(
        "outer", inner.output, three.output, one.output))
    # One lies in the inner stack already.
    assert kinds(network) == ["Conv2D", "Conv2D", "Stack", "Conv2D", "MaxPool", "Stack"]
    assert len({tensor.scale for tensor in network.tensors[1:]}) == 1
    np.testing.assert_allclose(actual, expected, atol=3 * network.output.scale)


def test_input_is_rescaled() -> None:
    """The input has the scale of the samples; in a stack it has the stack's."""
    large = conv("large", X, 2, 4.0)
    network, expected, actual = quantized(large, join("cat", X, large.output))
    assert kinds(network) == ["Conv2D", "DepthwiseConv2D", "Stack"]
    assert network.input.scale < network.output.scale / 2
    np.testing.assert_allclose(actual, expected, atol=2 * network.output.scale)


def test_vectors() -> None:
    mean = real.AveragePool(name="mean", inputs=(X,), output=Value("mean_y", (1, 1, 3)),
                            window=Window((5, 4)))
    flat = real.Reshape(name="flat", inputs=(mean.output,), output=Value("flat_y", (3,)))
    dense = real.FullyConnected(name="dense", inputs=(flat.output,), output=Value("dense_y", (4,)),
                                weight=rng.normal(size=(4, 3)), bias=rng.normal(size=4))
    network, expected, actual = quantized(mean, flat, dense, join("cat", dense.output, flat.output))
    assert kinds(network)[-1] == "Stack"
    np.testing.assert_allclose(actual, expected, atol=2 * network.output.scale)


def test_averages_have_a_finer_scale() -> None:
    """Means of what is mostly small fill little of the range, and get steps of their own."""
    one = replace(conv("one", X, 3, minimum=0.0), bias=np.full(3, -1.0))
    mean = real.AveragePool(name="mean", inputs=(one.output,), output=Value("mean_y", (1, 1, 3)),
                            window=Window((5, 4)))
    network, expected, actual = quantized(one, mean)
    assert kinds(network) == ["Conv2D", "DepthwiseConv2D"]
    before = network.tensors[1].scale
    assert network.output.scale < before / 2
    # Rounding in front of the mean is the larger part, and averages out.
    np.testing.assert_allclose(actual, expected, atol=before / 2)


def test_outputs_that_cannot_be_so_fine_are_rescaled() -> None:
    """Weights of one branch are so large that its sums cannot have the scale of the others."""
    fine = conv("fine", X, 2, 1e-7)
    weight = np.array([[[[1.0, 1.0, -1.0]]]]) * 1e5
    coarse = real.Conv2D(name="coarse", inputs=(X,), output=Value("coarse_y", (5, 4, 1)),
                         weight=weight, bias=np.zeros(1), window=Window((1, 1)), minimum=-1e-7,
                         maximum=1e-7)
    network, *_ = quantized(fine, coarse, join("cat", fine.output, coarse.output))
    assert kinds(network) == ["Conv2D", "Conv2D", "DepthwiseConv2D", "Stack"]


def test_rows_need_one_scale() -> None:
    """Of rows it is the integers that are joined: none of them is rescaled."""
    one = conv("one", X, 3)

    def below(first: Value) -> real.Stack:
        return real.Stack(name="rows", inputs=(first, one.output), axis=0,
                          output=Value("rows_y", (10, 4, 3)))

    two = conv("two", X, 3)
    network, expected, actual = quantized(one, two, below(two.output))
    np.testing.assert_allclose(actual, expected, atol=2 * network.output.scale)
    with pytest.raises(InputError, match=r"^Stack 'rows' must join channels, or what can have one "
                       r"scale, not along axis 0$"):
        quantized(one, below(X))


IMAGE = Tensor("a", (2, 3, 4), 0.5, 1)


@pytest.mark.parametrize(("other", "output", "axis", "message"), [
    (Tensor("b", (2, 3, 4), 0.25, 1), (2, 3, 8), 2,
     "output must have scale 0.25 and zero point 1, as the input, not 0.5 and 1"),
    (Tensor("b", (2, 3, 4), 0.5, 2), (2, 3, 8), 2,
     "output must have scale 0.5 and zero point 2, as the input, not 0.5 and 1"),
    (Tensor("b", (2, 2, 4), 0.5, 1), (2, 3, 8), 2,
     "inputs must have shape (2, 3, 4), not (2, 2, 4)"),
    (Tensor("b", (2, 3), 0.5, 1), (2, 3, 8), 2, "inputs must have shape (2, 3, 4), not (2, 3)"),
    (Tensor("b", (2, 3, 4), 0.5, 1), (2, 3, 7), 2,
     "output must have shape (2, 3, 8), not (2, 3, 7)"),
    (Tensor("b", (2, 3, 4), 0.5, 1), (2, 3, 8), 3, "axis must be from 0 to 2, not 3"),
])
def test_refuses(other: Tensor, output: tuple[int, ...], axis: int, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"Stack 's': {message}") + "$"):
        Stack("s", (IMAGE, other), Tensor("y", output, 0.5, 1), axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_golden_model_and_file(axis: int) -> None:
    pool = MaxPool("p", (IMAGE,), Tensor("p_y", (2, 3, 4), 0.5, 1), Window((1, 1)), 0, 127)
    shape = list(IMAGE.shape)
    shape[axis] *= 2
    stack = Stack("s", (pool.output, IMAGE), Tensor("y", tuple(shape), 0.5, 1), axis)
    network = graph_file.load(graph_file.dump(QuantizedGraph(
        "net", IMAGE, stack.output, (pool, stack))))
    x = rng.integers(-128, 128, (3, 2, 3, 4)).astype(np.int8)
    np.testing.assert_array_equal(run_graph(network, x)["y"], np.concatenate(
        [np.maximum(x, 0), x], axis=axis + 1))
