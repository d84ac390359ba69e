"""Random networks in integers, for tests that compare the RTL with the models.

They are not quantized from real ones: every layer draws its own pattern of zeros, codebook, biases,
requantization and range, so that all of an engine's numbers are used, and not only likely ones.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import (
    FullyConnected,
    QuantizedGraph,
    SharedWeights,
    Tensor,
)
from eieio.model.sparse.chain import chain, dense_layer, layers_of, shared_weights, source_tensor
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import CompiledNetwork, compile_network

__all__ = ["compile_random", "random_inputs", "random_network"]


def random_network(config: SparseConfig, sizes: Sequence[int], densities: Sequence[float],
                   rng: np.random.Generator) -> QuantizedGraph:
    """Make a network whose accumulators cannot overflow.

    Parameters
    ----------
    config : SparseConfig
        Engine that it is for; only widths matter.
    sizes : sequence of :class:`int`
        Inputs of the first layer, then outputs of each.
    densities : sequence of :class:`float`
        Share of nonzero weights in each layer, about.
    rng : :class:`numpy.random.Generator`
        Source of everything else.
    """
    layers: list[FullyConnected] = []
    source = source_tensor(sizes[0], config.activation_width)
    for number, (outputs, density) in enumerate(zip(sizes[1:], densities, strict=True)):
        layers.append(_random_layer(f"layer_{number}", config, outputs, source, density, rng))
        source = layers[-1].output
    return chain("random", layers)


def random_inputs(config: SparseConfig, samples: int, inputs: int, density: float,
                  rng: np.random.Generator) -> NDArray[np.int32]:
    """Make inputs of shape (samples, inputs), of which about a share of ``density`` is nonzero."""
    maximum = config.activation_maximum
    x = rng.integers(-maximum, maximum + 1, (samples, inputs))
    # Extremes are as likely as all else together.
    x = np.where(rng.random(x.shape) < 0.5, x, rng.choice([-maximum, -1, 1, maximum], x.shape))
    return np.where(rng.random(x.shape) < density, x, 0).astype(np.int32)


def compile_random(network: QuantizedGraph, config: SparseConfig, groups: Sequence[int],
                   balance: str, rng: np.random.Generator) -> CompiledNetwork:
    """Compile a network, without half of its weights, at random, as often as it is too large."""
    for _ in range(20):
        try:
            return compile_network(network, config, groups=groups, balance=balance)
        except InputError as error:
            if "weight entries" not in str(error):
                raise
        network = chain(network.name, [_thinned(layer, rng) for layer in layers_of(network)])
    raise InputError("Network must fit without its weights")


def _thinned(layer: FullyConnected, rng: np.random.Generator) -> FullyConnected:
    weights = shared_weights(layer)
    codes = np.where(rng.random(weights.shape) < 0.5, weights.codes, 0).astype(np.uint8)
    return replace(layer, stored_weight=replace(weights, codes=codes))


def _random_layer(name: str, config: SparseConfig, outputs: int, source: Tensor, density: float,
                  rng: np.random.Generator) -> FullyConnected:
    inputs = source.elements
    depth = 1 << config.code_width
    codes = np.where(rng.random((outputs, inputs)) < _fullness(outputs, inputs, density, rng),
                     rng.integers(1, depth, (outputs, inputs)), 0).astype(np.uint8)
    bias_limit = min((1 << (config.accumulator_width - 2)) - 1, (1 << 31) - 1)
    bound = (1 << (config.accumulator_width - 1)) - 1 - bias_limit
    # In a layer with too many weights for the narrowest codebook, rows keep their first weights.
    most = max(1, bound // config.activation_maximum)
    codes[np.cumsum(codes != 0, axis=1) > most] = 0
    fullest = int(np.count_nonzero(codes, axis=1).max())
    weight_limit = min((1 << (config.weight_width - 1)) - 1,
                       bound // (config.activation_maximum * max(fullest, 1)))
    codebook = rng.integers(-weight_limit, weight_limit + 1, depth).astype(np.int32)
    codebook[0] = 0
    codebook[rng.integers(1, depth)] = weight_limit * rng.choice([-1, 1])

    # Sums are about this large, and biases shift them up or down by a few times as much, so that
    # a rectifier lets few, or nearly all, activations through.
    spread = max(1.0, float(np.sqrt(max(fullest, 1))) * weight_limit * config.activation_maximum
                 / 2)
    bias = rng.normal(rng.choice([-2, -0.7, 0, 0, 1]) * spread, spread / 4 + 1, outputs)
    bias = np.clip(np.rint(bias), -bias_limit, bias_limit).astype(np.int64)
    # The gain may leave only the last bit of an activation, or saturate most of them.
    gain = np.clip(config.activation_maximum / spread * 2.0 ** rng.integers(-4, 4), 0, 0.99)
    shift = max(0, -int(np.floor(np.log2(gain))) - 1)
    maximum = config.activation_maximum
    minimum = int(rng.choice([0, 0, -maximum, -maximum // 3]))
    if rng.random() < 0.25:
        maximum //= 2
    layer = dense_layer(
        name, source, SharedWeights(codes, codebook, 1.0), bias,
        (int(rng.integers(1 << 30, 1 << 31)), shift), (minimum, maximum),
        # By itself, so that all else is drawn as before there were two modes.
        single_rounding=bool(rng.spawn(1)[0].integers(2)))
    assert layer.accumulator_width <= config.accumulator_width
    return layer


def _fullness(outputs: int, inputs: int, density: float, rng: np.random.Generator
              ) -> NDArray[np.float64]:
    """Probability that a weight is not zero: uniform, or in one of the shapes that matter."""
    fullness = np.full((outputs, inputs), float(density))
    shape = rng.integers(6)
    if shape == 1:  # Rows and columns differ.
        fullness *= 4 * rng.random((outputs, 1)) * rng.random((1, inputs))
    elif shape == 2:  # One PE has nearly all the work: its queue fills.
        fullness[::rng.integers(1, 9)] = max(density, 0.9)
    elif shape == 3:  # Empty columns, one by one and in rows.
        fullness[:, rng.random(inputs) < 0.6] = 0
        fullness[:, :rng.integers(0, inputs)] *= rng.integers(0, 2)
    elif shape == 4:  # Empty rows: long runs.
        fullness[rng.random(outputs) < 0.9] = 0
    elif shape == 5:  # Columns that are full beside columns that are nearly empty.
        fullness[:, rng.random(inputs) < 0.2] = 1
    return fullness
