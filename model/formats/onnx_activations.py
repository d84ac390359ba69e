"""Activations along an ONNX graph: where they are, in which order, and whether they are integers.

ONNX has images in the order channels, height, width. The operators of
:mod:`eieio.model.graph.float_graph` have them in the order height, width, channels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.float_graph import Value
from eieio.model.graph.quantization import Scale

__all__ = ["Activations", "Affine", "Weights", "image_order", "is_natural"]


@dataclass(frozen=True)
class Affine:
    """What is still to be done to a vector: ``scale * x + shift``, float64 arrays (elements,)."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


@dataclass(frozen=True)
class Activations:
    """Activations of the graph.

    Attributes
    ----------
    value : Value
        Where they are.
    order : int64 array
        Index in the value, of every element of the tensor in ONNX, in the shape it has there.
    integers : bool
        Whether the tensor in ONNX is a quantized one.
    exclusive : bool
        Whether nothing else takes the value.
    scale : Scale, optional
        Scale at which they are quantized, also where they have been dequantized since. None for
        other real numbers, and for an integer input whose scale no node has told yet.
    affine : Affine, optional
        What is to be done to the elements, in the tensor's order, before they are what they should
        be: only vectors have it.
    """

    value: Value
    order: NDArray[np.int64]
    integers: bool
    exclusive: bool
    scale: Scale | None = None
    affine: Affine | None = None


@dataclass(frozen=True)
class Weights:
    """Constant numbers, and their steps if they are quantized: float64 arrays of one shape."""

    number: NDArray[np.float64]
    step: NDArray[np.float64] | None

    def map(self, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> "Weights":
        """Change the order or the shape."""
        return Weights(function(self.number), None if self.step is None else function(self.step))

    @property
    def scale(self) -> NDArray[np.float64] | None:
        """Steps of the channels, along the first axis, if there are any."""
        if self.step is None:
            return None
        steps = self.step.reshape(len(self.step), -1)
        if (steps != steps[:, :1]).any():
            raise ValueError("must have weights with one scale for each output channel, not along "
                             "another axis")
        return np.abs(steps[:, 0])


def image_order(height: int, width: int, channels: int) -> NDArray[np.int64]:
    """Order of an image: of shape (channels, height, width)."""
    return np.arange(height * width * channels).reshape(height, width, channels).transpose(2, 0, 1)


def is_natural(order: NDArray[np.int64]) -> bool:
    """Whether a tensor of ONNX is an image, or a vector, whose value has its elements in order."""
    if order.ndim == 3:
        order = order.transpose(1, 2, 0)
    elif order.ndim != 1:
        return False
    return bool((order.ravel() == np.arange(order.size)).all())
