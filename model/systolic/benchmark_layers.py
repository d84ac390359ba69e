"""Layers that the systolic engine is measured by, with random weights.

Matrix products, and the convolutions of three networks:

- LeNet-5: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proceedings of
  the IEEE, 1998; its first convolution padded, so that it takes images of 28 x 28.
- ResNet-8: the image classification network of MLPerf Tiny; Banbury et al., "MLPerf Tiny
  Benchmark", NeurIPS Datasets and Benchmarks, 2021.
- SqueezeNet 1.1, for images of 224 x 224: Iandola et al., "SqueezeNet: AlexNet-level accuracy with
  50x fewer parameters and <0.5MB model size", 2016, and its authors' version 1.1.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from eieio.model.graph.quantized_graph import (
    Conv2D,
    FullyConnected,
    QuantizedGraph,
    Tensor,
    Window,
)
from eieio.model.graph.rescale import quantize_factor

__all__ = ["MATRIX_SIZES", "MODEL_SIZES", "NETWORKS", "WINOGRAD_LAYER", "ConvolutionShape",
           "matrix_product"]

#: Sizes of square matrices whose product the RTL computes, and of those for the cycle model alone.
MATRIX_SIZES = (16, 32, 64, 128, 256, 512, 1024)
MODEL_SIZES = (2048, 4096)

# Spread of the outputs, in steps.
_SPREAD = 40.0


@dataclass(frozen=True)
class ConvolutionShape:
    """A convolution layer.

    Attributes
    ----------
    name : :class:`str`
        Name, of network and layer.
    height, width, depth : :class:`int`
        Shape of its input.
    channels : :class:`int`
        Output channels.
    kernel, stride : :class:`int`
        Side of the window, and its step.
    padding : pair of :class:`int`
        Padding at the top and the left, and at the bottom and the right.
    """

    name: str
    height: int
    width: int
    depth: int
    channels: int
    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)

    @property
    def winograd(self) -> bool:
        """Whether Winograd's transforms can compute it."""
        return (self.kernel, self.stride) == (3, 1)

    def graph(self) -> QuantizedGraph:
        """Make a network of the layer alone, with weights drawn for its name."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        window = Window((self.kernel, self.kernel), (self.stride, self.stride),
                        padding=(self.padding, self.padding))
        x = Tensor("x", (self.height, self.width, self.depth), 1.0, int(rng.integers(-128, 128)))
        size = window.output_size(self.height, self.width)
        y = Tensor("y", (*size, self.channels), 1.0, int(rng.integers(-20, 21)))
        weight = rng.integers(-127, 128, (self.channels, self.kernel, self.kernel, self.depth))
        operator = Conv2D(self.name, (x,), y, weight.astype(np.int8), *_parameters(
            rng, self.channels, self.kernel ** 2 * self.depth), -128, 127, window)
        return QuantizedGraph(self.name, x, y, (operator,))


def matrix_product(size: int) -> QuantizedGraph:
    """Make a network that multiplies a square matrix by weights: its batch is the other matrix."""
    rng = np.random.default_rng(size)
    name = f"matmul_{size}"
    x, y = Tensor("x", (size,), 1.0, int(rng.integers(-128, 128))), Tensor("y", (size,), 1.0, 0)
    weight = rng.integers(-127, 128, (size, size), np.int8)
    operator = FullyConnected(name, (x,), y, weight, *_parameters(rng, size, size), -128, 127)
    return QuantizedGraph(name, x, y, (operator,))


def _parameters(rng: np.random.Generator, channels: int, terms: int
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw biases, and factors that spread the sums of so many products over all activations."""
    deviation = np.sqrt(terms) * 74 * 128
    bias = rng.normal(0, deviation, channels).astype(np.int32)
    factors = _SPREAD / deviation * rng.uniform(0.5, 2, channels)
    pairs = [quantize_factor(float(factor)) for factor in factors]
    multiplier, shift = np.array(pairs, np.int32).T
    return bias, np.ascontiguousarray(multiplier), np.ascontiguousarray(shift)


def _lenet_5() -> tuple[ConvolutionShape, ...]:
    return (ConvolutionShape("lenet_5_conv1", 28, 28, 1, 6, 5, padding=(2, 2)),
            ConvolutionShape("lenet_5_conv2", 14, 14, 6, 16, 5))


def _resnet_8() -> tuple[ConvolutionShape, ...]:
    layers = [ConvolutionShape("resnet_8_conv", 32, 32, 3, 16, 3, padding=(1, 1))]
    for number, (size, depth, channels) in enumerate(((32, 16, 16), (32, 16, 32), (16, 32, 64)), 1):
        stride = 1 if channels == depth else 2
        name = f"resnet_8_block{number}"
        padding = (1, 1) if stride == 1 else (0, 1)
        layers.append(ConvolutionShape(f"{name}_conv1", size, size, depth, channels, 3, stride,
                                       padding))
        size //= stride
        layers.append(ConvolutionShape(f"{name}_conv2", size, size, channels, channels, 3,
                                       padding=(1, 1)))
        if stride == 2:
            layers.append(ConvolutionShape(f"{name}_shortcut", 2 * size, 2 * size, depth, channels,
                                           1, stride))
    return tuple(layers)


def _squeezenet() -> tuple[ConvolutionShape, ...]:
    layers = [ConvolutionShape("squeezenet_conv1", 224, 224, 3, 64, 3, 2)]
    depth = 64
    for number, size, squeezed, expanded in (
            (2, 55, 16, 64), (3, 55, 16, 64), (4, 27, 32, 128), (5, 27, 32, 128), (6, 13, 48, 192),
            (7, 13, 48, 192), (8, 13, 64, 256), (9, 13, 64, 256)):
        name = f"squeezenet_fire{number}"
        layers += [
            ConvolutionShape(f"{name}_squeeze1x1", size, size, depth, squeezed, 1),
            ConvolutionShape(f"{name}_expand1x1", size, size, squeezed, expanded, 1),
            ConvolutionShape(f"{name}_expand3x3", size, size, squeezed, expanded, 3,
                             padding=(1, 1)),
        ]
        depth = 2 * expanded
    layers.append(ConvolutionShape("squeezenet_conv10", 13, 13, depth, 1000, 1))
    return tuple(layers)


#: Convolution layers, by the name of their network.
NETWORKS = {"LeNet-5": _lenet_5(), "ResNet-8": _resnet_8(), "SqueezeNet 1.1": _squeezenet()}

#: A layer that suits both of Winograd's transforms.
WINOGRAD_LAYER = ConvolutionShape("conv3x3_32ch_32x32", 32, 32, 32, 32, 3, padding=(1, 1))
