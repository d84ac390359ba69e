"""What the systolic engine moves."""

import numpy as np
import pytest

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.prepared import SystolicCompiled
from eieio.model.systolic.work import AddWork, ComputeWork, DepthwiseWork
from eieio.sim.systolic.random_graph import random_graph

CONFIGS = [SystolicConfig(rows=4, columns=4, lanes=2),
           SystolicConfig(rows=8, columns=4, lanes=2, code_width=4),
           SystolicConfig.for_winograd(2, rows=4, columns=4, lanes=2),
           SystolicConfig(rows=4, columns=4, lanes=2, depthwise_lanes=2)]


@pytest.mark.parametrize("config", CONFIGS, ids=["square", "tall", "winograd", "depthwise"])
@pytest.mark.parametrize("seed", range(8))
def test_counts(config: SystolicConfig, seed: int) -> None:
    """Slots and windows, one by one, count the same; and no layer is above its roof."""
    made = random_graph(config, np.random.default_rng(seed))
    compiled, graph = SystolicCompiled(made), made.graph
    layers = compiled.accesses(np.zeros((1, *graph.input.shape)))
    assert sum(counted.macs for layer, counted in zip(made.layers, layers, strict=True)
               if layer.mode != "depthwise") == compiled.timing.macs
    assert sum(layer.dense_macs for layer in layers) == sum(
        layer.operator.macs for layer in made.layers) <= graph.macs
    for layer, counted in zip(compiled.inner.layers, layers, strict=True):
        work = layer.work
        if isinstance(work, AddWork):
            assert counted.buffer - counted.outer == 3 * work.words * config.rows * 8
            continue
        if isinstance(work, DepthwiseWork):
            pixels = layer.output.pixels * layer.output.channels
            assert pixels * 9 <= counted.macs < (pixels + 4 * layer.output.pixels) * 9
            assert counted.weights == work.blocks * 9 * 4 * 8
            assert counted.buffer > work.steps * 4 * 8 + counted.weights
            assert counted.cycles >= compiled.roof.bound(counted.macs, counted.weights)
            continue
        assert isinstance(work, ComputeWork)
        vectors = tiles = sums = 0
        for windows in work.chunks:
            for _ in range(work.outputs):
                for slot in range(work.slots):
                    vectors += windows
                    tiles += slot % work.reuse == 0
                    # An addition reads the sum so far, but for the first slot of each element.
                    elements = config.transform.n ** 2 if work.winograd else 1
                    sums += windows * (1 if slot < elements else 2)
        assert counted.macs == vectors * config.pes
        loaded = tiles * config.pes
        assert counted.weights == loaded * (config.code_width or config.weight_width)
        assert counted.register == (counted.macs + loaded) * config.weight_width
        assert counted.array == counted.macs * (config.activation_width + config.sum_width)
        moved = vectors * config.rows * 8 + counted.weights + (
            sums * config.columns * config.accumulator_width)
        assert counted.buffer > moved
        assert counted.cycles >= compiled.roof.bound(counted.macs, counted.weights)
    assert layers[0].outer > 0
    assert layers[-1].outer > 0
