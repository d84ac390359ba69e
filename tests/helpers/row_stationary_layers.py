"""Convolutions of integers for a row-stationary array, and what it is told of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.program import LayerData
from eieio.model.graph.quantized_graph import Conv2D, Tensor, Window
from eieio.model.graph.rescale import quantize_factor

__all__ = ["numbers", "operator"]


def operator(layer: Layer, seed: int) -> Conv2D:
    """Make a convolution whose sums fill the range: of int8 with zero points, or of int16."""
    wide = layer.name == "int16"
    rng = np.random.default_rng(seed)
    window = Window((layer.kernel_height, layer.kernel_width), (layer.stride, layer.stride))
    bits = 16 if wide else 8
    x = Tensor("x", (layer.height, layer.width, layer.depth), 1.0,
               0 if wide else int(rng.integers(-9, 10)), bits)
    y = Tensor("y", (layer.output_height, layer.output_width, layer.channels), 1.0,
               0 if wide else int(rng.integers(-40, 41)), bits)
    terms = layer.depth * layer.kernel_height * layer.kernel_width
    factors = [quantize_factor(float(factor)) for factor in
               1 / (100 * np.sqrt(terms)) * rng.uniform(0.5, 2, layer.channels)]
    multiplier, shift = np.array(factors, np.int32).T
    weight = rng.integers(-127, 128, (layer.channels, layer.kernel_height, layer.kernel_width,
                                      layer.depth))
    bias = rng.integers(-9000, 9000, layer.channels)
    return Conv2D("conv", (x,), y, weight.astype(np.int8),
                  bias.astype(np.int64) if wide else bias.astype(np.int32),
                  np.ascontiguousarray(multiplier), np.ascontiguousarray(shift), y.zero_point,
                  y.maximum,
                  window)


def numbers(conv: Conv2D, x: NDArray[Any]) -> LayerData:
    """Take the numbers that an array needs of a convolution and its input."""
    zero_point = conv.output.zero_point
    return LayerData((x.astype(np.int16) - conv.input.zero_point).astype(np.int16),
                     conv.weight.transpose(0, 3, 1, 2).astype(np.int16), conv.bias,
                     conv.multiplier, conv.shift, conv.minimum - zero_point,
                     conv.maximum - zero_point)
