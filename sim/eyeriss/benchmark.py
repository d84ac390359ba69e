"""Runs whole layers with random numbers on the RTL of a row-stationary array."""

from collections.abc import Mapping as Figures
from dataclasses import replace
from typing import Any

import numpy as np

from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.counters import expected_counters, expected_output
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Mapping
from eieio.model.eyeriss.network import MappedLayer
from eieio.model.eyeriss.program import make_program
from eieio.model.eyeriss.timing import program_cycles
from eieio.model.graph.golden import run_operator
from eieio.model.graph.quantized_graph import Conv2D, Tensor, Window
from eieio.model.graph.rescale import quantize_factor
from eieio.sim.eyeriss.simulation import run_program
from eieio.sim.runner import Build

__all__ = ["run_layer"]


def run_layer(built: Build, layer: Layer, mapping: Mapping, config: EyerissConfig, *,
              zeros: float = 0.4, seed: int = 0) -> Figures[str, Any]:
    """Run a layer with random int8 numbers, and compare it with all models.

    Parameters
    ----------
    built : Build
        Simulation of the configuration.
    layer, mapping, config :
        What is computed, how, and by what.
    zeros : :class:`float`
        Share of zeros in the input.
    seed : :class:`int`
        Seed of all numbers.

    Returns
    -------
    mapping of :class:`str`
        ``integers`` and how many ``mismatches`` among them; ``cycles`` of the RTL and
        ``model_cycles``; ``commands`` and how many take other cycles, ``cycle_mismatches``;
        ``counters`` of the RTL and the models' ``expected_counters``; ``output_words`` that differ.
    """
    rng = np.random.default_rng(seed)
    one = replace(layer, channels=layer.channels // layer.groups, groups=1)
    groups = []
    for _ in range(layer.groups):
        conv = _operator(one, rng)
        x = rng.integers(-128, 128, (layer.batch, *conv.input.shape))
        x = np.where(rng.random(x.shape) < zeros, conv.input.zero_point, x).astype(np.int8)
        groups.append((MappedLayer(conv, one, mapping).numbers(x),
                       run_operator(conv, x).astype(np.int16) - conv.output.zero_point))
    parts = [numbers for numbers, _ in groups]
    numbers = replace(
        parts[0], x=np.concatenate([part.x for part in parts], axis=3),
        **{name: np.concatenate([getattr(part, name) for part in parts])
           for name in ("weight", "bias", "multiplier", "shift")})
    y = np.concatenate([output for _, output in groups], axis=3)
    program = make_program(layer, mapping, config, numbers)
    seen = run_program(built, program)
    cycles = program_cycles(program)
    words = expected_output(program, y)
    counters = expected_counters(program, numbers.x)
    return {
        "integers": y.size, "mismatches": int(np.count_nonzero(seen.output != y)),
        "cycles": seen.counters["cycles"], "model_cycles": sum(cycles), "commands": len(cycles),
        "cycle_mismatches": sum(a != b for a, b in zip(seen.cycles, cycles, strict=True)),
        "counters": {name: seen.counters[name] for name in counters},
        "expected_counters": counters,
        "output_word_mismatches": (int(np.count_nonzero(seen.words != words))
                                   if len(words) == len(seen.words) else len(words)),
    }


def _operator(layer: Layer, rng: np.random.Generator) -> Conv2D:
    """Make a convolution with a rectifier, whose sums fill the range."""
    window = Window((layer.kernel_height, layer.kernel_width), (layer.stride, layer.stride))
    x = Tensor("x", (layer.height, layer.width, layer.depth), 1.0, int(rng.integers(-128, 128)))
    y = Tensor("y", (layer.output_height, layer.output_width, layer.channels), 1.0, -128)
    taps = layer.depth * layer.kernel_height * layer.kernel_width
    deviation = np.sqrt(taps) * 74 * 100
    pairs = [quantize_factor(float(factor)) for factor in
             80 / deviation * rng.uniform(0.5, 2, layer.channels)]
    multiplier, shift = (np.ascontiguousarray(each) for each in np.array(pairs, np.int32).T)
    weight = rng.integers(-127, 128, (layer.channels, layer.kernel_height, layer.kernel_width,
                                      layer.depth)).astype(np.int8)
    bias = rng.normal(0, deviation, layer.channels).astype(np.int32)
    return Conv2D(layer.name, (x,), y, weight, bias, multiplier, shift, -128, 127, window)
