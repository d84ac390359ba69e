"""Random small networks with all operators of a tensor core, and inputs of all kinds."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Clamp,
    Conv2D,
    DepthwiseConv2D,
    FloatGraph,
    FullyConnected,
    MaxPool,
    Operator,
    Pad,
    Reshape,
    Value,
)
from eieio.model.graph.window import Window
from eieio.model.tensor_core.conversion import from_real
from eieio.model.tensor_core.float_format import FloatFormat

__all__ = ["random_inputs", "random_network"]

_Make = Callable[[Value, str, np.random.Generator], Operator]


def random_network(rng: np.random.Generator, *, operators: int = 6, scale: float = 1.0,
                   kinds: tuple[str, ...] = ()) -> FloatGraph:
    """Draw a network that ends with a fully connected layer.

    Parameters
    ----------
    rng : :class:`numpy.random.Generator`
        Source of all that is random.
    operators : :class:`int`
        Operators on images.
    scale : :class:`float`
        What weights and biases are multiplied by: results are infinite if it is large, and
        subnormal if it is small.
    kinds : tuple of :class:`str`
        The operators, if they are not to be drawn: see :data:`_KINDS`.
    """
    shape = (*rng.integers(4, 8, 2).tolist(), int(rng.integers(1, 8)))
    first = value = Value("x", shape)
    made: list[Operator] = []
    same: dict[tuple[int, ...], list[Value]] = {shape: [first]}
    for number in range(len(kinds) or operators):
        kind = kinds[number] if kinds else str(rng.choice([*_KINDS, "add"]))
        name = f"{kind}_{number}"
        if kind == "add":
            other = same[value.shape][int(rng.integers(len(same[value.shape])))]
            operator: Operator = Add(name=name, inputs=(value, other),
                                     output=Value(f"y_{number}", value.shape), **_clamps(rng))
        else:
            operator = _KINDS[kind](value, name, rng)
        made.append(_scaled(operator, scale))
        value = operator.output
        same.setdefault(value.shape, []).append(value)
    flat = Value("flat", (value.elements,))
    made.append(Reshape(name="reshape", inputs=(value,), output=flat))
    made.append(_scaled(_dense(flat, "dense", rng), scale))
    return FloatGraph("random", first, made[-1].output, tuple(made))


def random_inputs(graph: FloatGraph, count: int, form: FloatFormat, rng: np.random.Generator, *,
                  special: float = 0.0) -> NDArray[np.uint16]:
    """Draw the bits of inputs.

    ``special`` is the share of those that may be anything; a tenth of them are infinite.
    """
    shape = (count, *graph.input.shape)
    ordinary = from_real(rng.normal(size=shape), form)
    anything = rng.integers(0, 1 << 16, shape)
    infinite = anything & 1 << form.width - 1 | form.infinity
    anything = np.where(rng.random(shape) < 0.1, infinite, anything).astype(np.uint16)
    return np.where(rng.random(shape) < special, anything, ordinary)


def _scaled(operator: Operator, scale: float) -> Operator:
    for name in ("weight", "bias"):
        array: NDArray[np.float32] | None = getattr(operator, name, None)
        if array is not None:
            array *= scale
    return operator


def _clamps(rng: np.random.Generator) -> dict[str, Any]:
    return [{}, {"minimum": 0.0}, {"minimum": -0.5, "maximum": 1.5}][int(rng.integers(3))]


def _numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return rng.normal(size=shape).astype(np.float32)


def _window(value: Value, rng: np.random.Generator, *, dilated: bool = True, padded: bool = True
            ) -> Window:
    """Draw a window that fits; padding is less than what the window spans."""
    kernel, dilation, padding = [], [], []
    for size in value.shape[:2]:
        length = int(rng.integers(1, min(size, 3) + 1))
        step = int(rng.integers(1, 3)) if dilated and 2 * (length - 1) < size else 1
        extent = (length - 1) * step + 1
        kernel.append(length)
        dilation.append(step)
        padding.append(tuple(rng.integers(0, extent, 2).tolist()) if padded else (0, 0))
    stride = rng.integers(1, 3, 2).tolist()
    return Window((kernel[0], kernel[1]), (stride[0], stride[1]),
                  dilation=(dilation[0], dilation[1]), padding=(padding[0], padding[1]))


def _image(value: Value, name: str, window: Window, channels: int) -> Value:
    return Value(f"of_{name}", (*window.output_size(*value.shape[:2]), channels))


def _conv(value: Value, name: str, rng: np.random.Generator) -> Operator:
    window, channels = _window(value, rng), int(rng.integers(1, 13))
    return Conv2D(name=name, inputs=(value,), output=_image(value, name, window, channels),
                  window=window, weight=_numbers(rng, (channels, *window.kernel, value.shape[2])),
                  bias=_numbers(rng, (channels,)), **_clamps(rng))


def _depthwise(value: Value, name: str, rng: np.random.Generator) -> Operator:
    window, channels = _window(value, rng), value.shape[2] * int(rng.integers(1, 4))
    return DepthwiseConv2D(
        name=name, inputs=(value,), output=_image(value, name, window, channels), window=window,
        weight=_numbers(rng, (*window.kernel, channels)), bias=_numbers(rng, (channels,)),
        **_clamps(rng))


def _maximum(value: Value, name: str, rng: np.random.Generator) -> Operator:
    window = _window(value, rng, dilated=False)
    return MaxPool(name=name, inputs=(value,), window=window,
                   output=_image(value, name, window, value.shape[2]), **_clamps(rng))


def _mean(value: Value, name: str, rng: np.random.Generator) -> Operator:
    window = _window(value, rng, dilated=False, padded=False)
    if rng.random() < 0.5:  # Of all there is across: then blocks of channels are windows.
        window = Window((window.kernel[0], value.shape[1]), (window.stride[0], value.shape[1]))
    return AveragePool(name=name, inputs=(value,), window=window,
                       output=_image(value, name, window, value.shape[2]), **_clamps(rng))


def _pad(value: Value, name: str, rng: np.random.Generator) -> Operator:
    around = [tuple(rng.integers(0, 2, 2).tolist()) for _ in range(2)]
    shape = tuple(size + sum(pads) for size, pads in zip(value.shape[:2], around, strict=True))
    return Pad(name=name, inputs=(value,), output=Value(f"of_{name}", (*shape, value.shape[2])),
               padding=(around[0], around[1], (0, 0)), **_clamps(rng))


def _clamp(value: Value, name: str, rng: np.random.Generator) -> Operator:
    del rng
    return Clamp(name=name, inputs=(value,), output=Value(f"of_{name}", value.shape), minimum=0.0,
                 maximum=6.0)


def _dense(value: Value, name: str, rng: np.random.Generator) -> Operator:
    channels = int(rng.integers(1, 40))
    return FullyConnected(
        name=name, inputs=(value,), output=Value(f"of_{name}", (channels,)),
        weight=_numbers(rng, (channels, math.prod(value.shape))), bias=_numbers(rng, (channels,)),
        **_clamps(rng))


_KINDS: dict[str, _Make] = {"conv": _conv, "depthwise": _depthwise, "maximum": _maximum,
                            "mean": _mean, "pad": _pad, "clamp": _clamp}
