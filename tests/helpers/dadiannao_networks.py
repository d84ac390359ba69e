"""Networks for tests of the DaDianNao engine: random numbers in operators of any shape."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.quantized_graph import (
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Operator,
    Pad,
    QuantizedGraph,
    Reshape,
    Tensor,
    Window,
)
from eieio.model.graph.rescale import quantize_factors

__all__ = ["Builder"]


class Builder:
    """Adds operators one behind the other; each gives the tensor that the next one takes."""

    def __init__(self, shape: tuple[int, ...], seed: int, width: int = 8, *,
                 name: str = "network") -> None:
        self.name = name
        self.rng = np.random.default_rng(seed)
        self.width = width
        self.input = self.last = Tensor("input", shape, 0.1, self._zero_point(), width)
        self.operators: list[Operator] = []

    def _zero_point(self) -> int:
        return int(self.rng.integers(-100, 101))

    def _tensor(self, shape: Sequence[int], zero_point: int | None = None) -> Tensor:
        return Tensor(f"tensor_{len(self.operators)}", tuple(map(int, shape)), 0.1,
                      self._zero_point() if zero_point is None else zero_point, self.width)

    def _add(self, operator: Operator) -> Tensor:
        self.operators.append(operator)
        self.last = operator.output
        return self.last

    @property
    def _name(self) -> str:
        return f"operator_{len(self.operators)}"

    def _numbers(self, shape: tuple[int, ...], channels: int, terms: int, output: Tensor
                 ) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.int32],
                            NDArray[np.int32], int, int]:
        rng = self.rng
        deviation = np.sqrt(terms) * 74 * (1 << self.width - 2)
        multiplier, shift = quantize_factors(
            (1 << self.width - 1) / 2 / deviation * rng.uniform(0.5, 2, channels))
        low = int(rng.choice([output.minimum, output.zero_point]))
        weight = rng.integers(-128, 128, shape).astype(np.int8)
        bias = rng.normal(0, deviation, channels).astype(np.int32)
        return weight, bias, multiplier, shift, low, output.maximum

    def dense(self, channels: int, *, once: bool = False, bias_shift: int = 0,
              wraps: bool = False) -> Tensor:
        """Add a fully connected layer."""
        x, y = self.last, self._tensor((channels,))
        return self._add(FullyConnected(
            self._name, (x,), y, *self._numbers((channels, x.elements), channels, x.elements, y),
            single_rounding=once, bias_shift=bias_shift, wraps=wraps))

    def conv(self, channels: int, window: Window, *, once: bool = False) -> Tensor:
        """Add a convolution."""
        x = self.last
        y = self._tensor((*window.output_size(*x.shape[:2]), channels))
        shape = (channels, *window.kernel, x.shape[2])
        return self._add(Conv2D(
            self._name, (x,), y, *self._numbers(shape, channels, int(np.prod(shape[1:])), y),
            window=window, single_rounding=once))

    def depthwise(self, window: Window, multiple: int = 1) -> Tensor:
        """Add a depthwise convolution."""
        x = self.last
        channels = x.shape[2] * multiple
        y = self._tensor((*window.output_size(*x.shape[:2]), channels))
        shape = (*window.kernel, channels)
        return self._add(DepthwiseConv2D(
            self._name, (x,), y, *self._numbers(shape, channels, int(np.prod(window.kernel)), y),
            window=window))

    def pool(self, kind: type[MaxPool | AveragePool], window: Window) -> Tensor:
        """Add maxima or means."""
        x = self.last
        y = self._tensor((*window.output_size(*x.shape[:2]), x.shape[2]), x.zero_point)
        return self._add(kind(self._name, (x,), y, window, y.minimum + 3, y.maximum - 5))

    def pad(self, *padding: tuple[int, int]) -> Tensor:
        """Add zeros around an image."""
        x = self.last
        shape = [size + sum(pads) for size, pads in zip(x.shape, padding, strict=True)]
        return self._add(Pad(self._name, (x,), self._tensor(shape, x.zero_point), padding))

    def add(self, other: Tensor) -> Tensor:
        """Add another tensor."""
        x, y = self.last, self._tensor(self.last.shape)
        multipliers, shifts = Add.factors(0.11, 0.07, 0.15)
        return self._add(Add(self._name, (x, other), y, multipliers, shifts, y.minimum, y.maximum,
                             single_rounding=bool(self.rng.integers(2))))

    def flat(self) -> Tensor:
        """Make a vector of the image."""
        x = self.last
        return self._add(Reshape(self._name, (x,), self._tensor((x.elements,), x.zero_point)))

    @property
    def graph(self) -> QuantizedGraph:
        """The network."""
        return QuantizedGraph(self.name, self.input, self.last, tuple(self.operators))
