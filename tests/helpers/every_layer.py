"""A small network of integers that has every kind of layer, for engines that take them all."""

from typing import Any

import numpy as np

from eieio.model.graph.quantized_graph import (
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    QuantizedGraph,
    Reshape,
    Tensor,
    Window,
)


def every_layer(dilation: int = 1) -> QuantizedGraph:
    """Make one with padding, a stride beyond the window, depthwise, pooling, dense, left shifts."""
    rng = np.random.default_rng(5)

    def weights(*shape: int) -> Any:
        return rng.integers(-127, 128, shape).astype(np.int8)

    def parameters(channels: int) -> tuple[Any, ...]:
        return (rng.integers(-5000, 5000, channels).astype(np.int32),
                rng.integers(1 << 30, (1 << 31) - 1, channels).astype(np.int32),
                rng.integers(-1, 10, channels).astype(np.int32), -100, 127)

    x = Tensor("x", (7, 8, 3), 0.5, 3)
    a, b, c = (Tensor("a", (7, 8, 5), 0.5, -100), Tensor("b", (4, 4, 4), 0.5, -7),
               Tensor("c", (4, 4, 8), 0.5, 9))
    d, e, f = Tensor("d", (2, 2, 8), 0.5, 9), Tensor("e", (32,), 0.5, 9), Tensor("f", (6,), 0.5, 1)
    pair = dilation, dilation
    same = Window((3, 3), dilation=pair, padding=(pair, pair))
    return QuantizedGraph("net", x, f, (
        Conv2D("padded", (x,), a, weights(5, 3, 3, 3), *parameters(5), window=same),
        Conv2D("far", (a,), b, weights(4, 1, 1, 5), *parameters(4),
               window=Window((1, 1), (2, 2))),
        DepthwiseConv2D("depthwise", (b,), c, weights(3, 3, 8), *parameters(8),
                        window=Window((3, 3), padding=((1, 1), (1, 1))), single_rounding=True),
        MaxPool("pool", (c,), d, Window((2, 2), (2, 2)), -128, 127),
        Reshape("flat", (d,), e),
        FullyConnected("dense", (e,), f, weights(6, 32), *parameters(6))))
