"""Random networks in integers, for tests that compare the mixed engine's RTL with its models."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import FullyConnected, QuantizedGraph, Tensor
from eieio.model.mixed.config import MixedConfig
from eieio.model.mixed.mapping import CompiledMixed, compile_for
from eieio.sim.systolic import random_graph as systolic

__all__ = ["SMALL", "random_inputs", "random_network"]

#: A small engine: its beats are two numbers.
SMALL = MixedConfig.from_dict({
    "rows": 2, "columns": 2, "accumulator_depth": 8, "activation_depth": 512, "weight_depth": 1024,
    "parameter_depth": 64, "program_depth": 8, "pes": 2, "io_lanes": 2, "queue_depth": 2,
    "dense_code_width": 8, "dense_activation_width": 9, "dense_weight_width": 8,
    "per_channel": True, "entry_depth": 4096, "pointer_depth": 2048, "dense_accumulator_depth": 32,
    "dense_activation_depth": 512, "output_depth": 64, "layer_depth": 3})


def random_network(config: MixedConfig, rng: np.random.Generator, *, max_cycles: int = 2000,
                   channels: int = 12) -> CompiledMixed:
    """Make a network that fits in an engine, and compile it.

    Parameters
    ----------
    config : MixedConfig
        Engine that it is for.
    rng : :class:`numpy.random.Generator`
        Source of everything.
    max_cycles : :class:`int`
        Cycles that the systolic engine may take.
    channels : :class:`int`
        Most outputs of a fully connected layer.
    """
    while True:
        try:
            first = systolic.random_graph(config.convolutions, rng, operators=3,
                                          max_cycles=max_cycles).graph
            return compile_for(_with_dense(first, config, channels, rng), config)
        except InputError:  # Of what was drawn, something does not fit.
            continue


def random_inputs(compiled: CompiledMixed, inferences: int, rng: np.random.Generator
                  ) -> NDArray[np.int8]:
    """Make inputs of shape (inferences, and the shape of the network's input)."""
    return systolic.random_inputs(compiled.convolutions, inferences, rng)[:, 0]


def _with_dense(graph: QuantizedGraph, config: MixedConfig, channels: int,
                rng: np.random.Generator) -> QuantizedGraph:
    """Put fully connected layers behind a graph."""
    layers: list[FullyConnected] = []
    source = graph.output
    for number in range(int(rng.integers(1, config.dense.layer_depth + 1))):
        outputs = int(rng.integers(1, channels + 1))
        layers.append(_dense(f"dense_{number}", source, outputs, config, rng))
        source = layers[-1].output
    return replace(graph, output=source, operators=(*graph.operators, *layers))


def _dense(name: str, source: Tensor, channels: int, config: MixedConfig,
           rng: np.random.Generator) -> FullyConnected:
    weight = rng.integers(-127, 128, (channels, source.elements)).astype(np.int8)
    weight[rng.random(weight.shape) < rng.choice([0.0, 0.5, 0.9])] = 0
    spread = np.sqrt(np.square(weight.astype(np.int64)).sum(axis=1)) * 80 + 1
    bias = np.trunc(rng.normal(0, 0.5, channels) * spread).astype(np.int32)
    shift = np.clip(np.floor(np.log2(spread / 64)) + rng.integers(-2, 3, channels), 0, 31)
    multiplier = rng.integers(1 << 30, 1 << 31, channels)
    if not config.dense.per_channel:
        shift[:], multiplier[:] = shift.max(), multiplier[0]
    zero_point = int(rng.choice([-128, 0, int(rng.integers(-128, 128))]))
    rectified = rng.random() < 0.5
    return FullyConnected(
        name, (source,), Tensor(f"{name}_output", (channels,), 1.0, zero_point), weight, bias,
        multiplier.astype(np.int32), shift.astype(np.int32), zero_point if rectified else -128,
        127, single_rounding=bool(rng.integers(2)))
