"""Networks of integers as real numbers: each operator is its own, but for rounding."""

from typing import Any

import numpy as np

from eieio.model.graph import float_graph
from eieio.model.graph.dequantization import dequantize_graph
from eieio.model.graph.golden import run_operator
from eieio.model.graph.quantized_graph import (
    Add,
    Conv2D,
    DepthwiseConv2D,
    MaxPool,
    QuantizedGraph,
    Tensor,
    Window,
)
from eieio.model.graph.rescale import quantize_factors


def network() -> QuantizedGraph:
    rng = np.random.default_rng(1)
    x, a, b, c, d = (Tensor(name, shape, scale, zero) for name, shape, scale, zero in (
        ("x", (5, 5, 3), 0.02, -4), ("a", (5, 5, 4), 0.03, 5), ("b", (5, 5, 4), 0.03, -128),
        ("c", (5, 5, 4), 0.07, -9), ("d", (4, 4, 4), 0.07, -9)))
    same = Window((3, 3), padding=((1, 1), (1, 1)))

    def parameters(channels: int, mean: float, maximum: int) -> tuple[Any, ...]:
        factors = quantize_factors(mean * rng.uniform(0.5, 2, channels))
        return rng.integers(-500, 500, channels).astype(np.int32), *factors, -128, maximum

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-127, 128, shape).astype(np.int8)

    add = Add.factors(a.scale, b.scale, c.scale)
    return QuantizedGraph("net", x, d, (
        Conv2D("conv", (x,), a, weights(4, 3, 3, 3), *parameters(4, 0.002, 127),
               window=same, single_rounding=True),
        DepthwiseConv2D("depthwise", (a,), b, weights(3, 3, 4), *parameters(4, 0.003, 100),
                        window=same, single_rounding=True),
        Add("add", (a, b), c, *add, -128, 127, single_rounding=True),
        MaxPool("pool", (c,), d, Window((2, 2)), -9, 127)))


def test_operators() -> None:
    graph = network()
    real = dequantize_graph(graph)
    rng = np.random.default_rng(2)
    for operator, other in zip(graph.operators, real.operators, strict=True):
        operands = [rng.integers(-128, 128, (3, *each.shape)).astype(np.int8)
                    for each in operator.inputs]
        integers = run_operator(operator, *operands)
        found = float_graph.compute(other, *(
            each.dequantize(q) for each, q in zip(operator.inputs, operands, strict=True)))
        steps = (operator.output.dequantize(integers) - found) / operator.output.scale
        assert np.abs(steps).max() <= 0.5 + 1e-5, operator.name
        assert len(np.unique(integers)) > 20
    assert [each.minimum for each in real.operators][1] == 0
