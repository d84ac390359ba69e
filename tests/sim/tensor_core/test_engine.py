"""The tensor core as an engine, in Verilog: every number, cycle and counter against the models."""

import shutil
from typing import Any

import numpy as np
import pytest

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.conversion import to_real
from eieio.model.tensor_core.mapping import compile_network
from eieio.model.tensor_core.network import round_network
from eieio.sim.simulation import build_engine
from eieio.sim.tensor_core.random_network import random_inputs, random_network
from eieio.sim.tensor_core.simulation import compare

SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"
DEPTHS: dict[str, Any] = {"activation_depth": 2048, "weight_depth": 2048, "bias_depth": 64,
                          "program_depth": 256}

#: All operators, those twice that have several ways to be done.
ALL = ("conv", "depthwise", "maximum", "add", "pad", "clamp", "conv", "mean", "depthwise", "mean")


@pytest.mark.parametrize(("config", "seeds", "specials"), [
    (TensorCoreConfig(2, 2, 4, accumulators=4, **DEPTHS), (10,), (0.0, 0.5)),
    pytest.param(TensorCoreConfig(2, 2, 4, accumulators=4, **DEPTHS), (0, 1), (0.0, 0.2),
                 marks=pytest.mark.long),
    pytest.param(TensorCoreConfig(3, 2, 2, 2, "bfloat16", accumulators=16, **DEPTHS), (8,),
                 (0.0, 0.5), marks=pytest.mark.long),
    pytest.param(TensorCoreConfig(1, 3, 8, 1, accumulators=8, **DEPTHS), (4,), (0.0, 0.5),
                 marks=pytest.mark.long),
], ids=["2x2x4", "2x2x4 again", "3x2x2 bfloat16", "1x3x8"])
def test_all_operators(config: TensorCoreConfig, seeds: tuple[int, ...],
                       specials: tuple[float, ...]) -> None:
    built = build_engine(config, simulator=SIMULATOR, quick=True)
    nothing = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        graph = random_network(rng, kinds=ALL)
        compiled = compile_network(round_network(graph, config.factor_format), config)
        # All numbers are ordinary in the first input, and some are anything in the second.
        x = np.concatenate([random_inputs(graph, 1, config.factor_format, rng, special=each)
                            for each in specials])
        found = compare(compiled, x, built, stall=0.2)
        assert (found.layer_mismatches, found.mismatches, found.cycle_mismatches) == (
            [0] * len(compiled.layers), 0, 0), seed
        nothing += sum(np.isnan(to_real(each, config.factor_format)).sum()
                       for each in found.golden)
    assert nothing, "NaN must go through some layer"
