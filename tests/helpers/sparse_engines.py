"""Small sparse engines, their simulations, and random networks for them."""

import functools
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.sim.runner import Build
from eieio.sim.simulation import build_engine
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network

__all__ = ["INTERLEAVED", "SMALL", "built", "cases", "few"]

SMALL = SparseConfig(entry_depth=4096, pointer_depth=600, accumulator_depth=64, output_depth=120,
                     layer_depth=6)
INTERLEAVED = replace(SMALL, pes=4, column_groups=2, queue_depth=3, run_width=3, io_lanes=4,
                      accumulator_depth=128, double_buffered=True, interleaved=True,
                      lut_codebooks=True)

# Examples cost a simulation each, so they are few, the same each time, and are not shrunk.
few = functools.partial(settings, deadline=None, derandomize=True,
                        phases=[Phase.explicit, Phase.generate],
                        suppress_health_check=[HealthCheck.too_slow])


@functools.cache
def built(config: SparseConfig, simulator: str = "verilator") -> Build:
    return build_engine(config, simulator=simulator, quick=True, traced=True)


@st.composite
def cases(draw: st.DrawFn, config: SparseConfig) -> tuple[CompiledNetwork, Any, float]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = draw(st.integers(1, config.layer_depth))
    largest = min(90, config.activation_depth * config.pes,
                  config.accumulator_depth // config.column_groups * config.pes)
    sizes = draw(st.lists(st.integers(1, largest), min_size=layers + 1, max_size=layers + 1))
    densities = draw(st.lists(st.sampled_from([0, 0.03, 0.1, 0.3, 1]),
                              min_size=layers, max_size=layers))
    groups = draw(st.lists(st.sampled_from(config.column_group_choices),
                           min_size=layers, max_size=layers))
    network = random_network(config, sizes, densities, rng)
    balance = draw(st.sampled_from(["none", "hidden", "all"]))
    compiled = compile_random(network, config, groups, balance, rng)
    density = draw(st.sampled_from([0, 0.05, 0.4, 1]))
    x = random_inputs(config, draw(st.integers(1, 4)), sizes[0], density, rng)
    return compiled, x, draw(st.sampled_from([0, 0, 0.3, 0.7]))
