"""The benchmark layers of the EIE paper, as seeded random layers of the same sizes and densities.

Source: Han et al., "EIE: Efficient Inference Engine on Compressed Deep Neural Network", ISCA 2016:
sizes and densities from table III, times of 64 PEs at 800 MHz from table IV.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.fixed_point import quantize_multiplier
from eieio.model.graph.quantized_graph import QuantizedGraph, SharedWeights
from eieio.model.sparse.chain import chain, dense_layer, source_tensor

__all__ = ["EIE_LAYERS", "EieLayer", "random_layer"]

#: Clock of the paper's EIE, in MHz.
PAPER_MHZ = 800

_ACTIVATION_WIDTH = 16
_CODES = 16


@dataclass(frozen=True)
class EieLayer:
    """A layer of the paper.

    Attributes
    ----------
    name : :class:`str`
        The paper's name.
    inputs, outputs : :class:`int`
        Size.
    weight_density, activation_density : :class:`float`
        Share of the weights, and of the source activations, that are not 0.
    paper_us : :class:`float`
        The paper's time in microseconds, with 64 PEs at 800 MHz.
    """

    name: str
    inputs: int
    outputs: int
    weight_density: float
    activation_density: float
    paper_us: float

    @property
    def paper_cycles(self) -> float:
        """The paper's time in cycles."""
        return self.paper_us * PAPER_MHZ


EIE_LAYERS = (
    EieLayer("Alex-6", 9216, 4096, 0.09, 0.351, 30.3),
    EieLayer("Alex-7", 4096, 4096, 0.09, 0.353, 12.2),
    EieLayer("Alex-8", 4096, 1000, 0.25, 0.375, 9.9),
    EieLayer("VGG-6", 25088, 4096, 0.04, 0.183, 34.4),
    EieLayer("VGG-7", 4096, 4096, 0.04, 0.375, 8.7),
    EieLayer("VGG-8", 4096, 1000, 0.23, 0.411, 8.4),
    EieLayer("NT-We", 4096, 600, 0.10, 1.0, 8.0),
    EieLayer("NT-Wd", 600, 8791, 0.11, 1.0, 13.9),
    EieLayer("NT-LSTM", 1201, 2400, 0.10, 1.0, 7.5),
)


def random_layer(layer: EieLayer, seed: int = 0
                 ) -> tuple[QuantizedGraph, NDArray[np.int32]]:
    """Draw a layer, and source activations for it.

    Each weight and each activation is nonzero by chance, independently. The nonzero weights are
    shared among 15 values whose size keeps a 32-bit accumulator from overflowing.

    Parameters
    ----------
    layer : EieLayer
        Size and densities.
    seed : :class:`int`
        Seed; equal seeds give equal layers.

    Returns
    -------
    network : QuantizedGraph
        Network of the one layer.
    activations : int32 array of shape (1, inputs)
        Source activations.
    """
    rng = np.random.default_rng([seed, *layer.name.encode()])
    maximum = (1 << (_ACTIVATION_WIDTH - 1)) - 1
    codes = np.zeros((layer.outputs, layer.inputs), np.uint8)
    for row in codes:
        kept = np.flatnonzero(rng.random(layer.inputs, np.float32) < layer.weight_density)
        row[kept] = rng.integers(1, _CODES, kept.size, np.uint8)
    activations = rng.integers(1, maximum + 1, layer.inputs, np.int32)
    activations[rng.random(layer.inputs) >= layer.activation_density] = 0
    bias = rng.integers(-maximum, maximum + 1, layer.outputs)

    fullest = int(np.count_nonzero(codes, axis=1).max())
    largest = min(maximum, ((1 << 31) - 1 - maximum) // max(1, fullest * maximum))
    levels = np.linspace(-largest, largest, _CODES - 1).round()
    codebook = np.concatenate([[0], levels]).astype(np.int32)
    # Outputs of six standard deviations just fit.
    products = layer.inputs * layer.weight_density * layer.activation_density
    deviation = math.sqrt(max(1.0, products)) * largest * maximum / 3
    multiplier, shift = quantize_multiplier(min(0.5, maximum / (6 * deviation)))
    quantized = dense_layer(
        layer.name, source_tensor(layer.inputs, _ACTIVATION_WIDTH),
        SharedWeights(codes, codebook, 1.0), bias, (multiplier, shift), (-maximum, maximum))
    return chain(layer.name, [quantized]), activations[None]
