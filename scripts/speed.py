"""How fast a compiled network is, by the cycle model."""

import numpy as np

from eieio.model.formats.samples import Samples
from eieio.model.sparse.golden import run_network
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.timing import NetworkTimer

__all__ = ["inference_cycles"]

#: Samples, from the first on, of which the mean is taken.
_TIMED_SAMPLES = 16


def inference_cycles(compiled: CompiledNetwork, samples: Samples) -> float:
    """Return the mean cycles of an inference, over the first 16 samples."""
    x = compiled.network.quantize_input(samples.x[:_TIMED_SAMPLES])
    layers = run_network(compiled.network, x)
    timer = NetworkTimer(compiled)
    return float(np.mean([
        sum(layer.cycles for layer in timer(sample, [outputs[number] for outputs in layers]))
        for number, sample in enumerate(x)]))
