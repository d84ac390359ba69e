"""How fast a compiled network is, by the cycle model."""

import numpy as np

from eieio.model.formats.samples import Samples
from eieio.model.sparse.golden import run_network
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.timing import NetworkTimer
from eieio.model.systolic.mapping import CompiledGraph
from eieio.model.systolic.timing import time_graph

__all__ = ["graph_cycles", "inference_cycles"]

#: Samples, from the first on, of which the mean is taken.
_TIMED_SAMPLES = 16


def inference_cycles(compiled: CompiledNetwork, samples: Samples) -> float:
    """Return the mean cycles of an inference of the sparse engine, over the first 16 samples."""
    x = compiled.network.quantize_input(samples.x[:_TIMED_SAMPLES])
    layers = run_network(compiled.network, x)
    timer = NetworkTimer(compiled)
    return float(np.mean([
        sum(layer.cycles for layer in timer(sample, [outputs[number] for outputs in layers]))
        for number, sample in enumerate(x)]))


def graph_cycles(compiled: CompiledGraph) -> int:
    """Return the cycles of any inference of the systolic engine."""
    timing = time_graph(compiled.config, [layer.work for layer in compiled.layers])
    return sum(layer.cycles for layer in timing.layers)
