"""The mixed engine's RTL beside both models: integers, cycles, and when the beats of a stream move.

More networks, and other widths of the streams: ``python benchmarks/mixed_networks.py``.
"""

import shutil

import numpy as np
import pytest

from eieio.sim.mixed.random_network import SMALL, random_inputs, random_network
from eieio.sim.mixed.simulation import compare
from eieio.sim.simulation import build_engine

SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_stream(stall: float) -> None:
    """Now the one engine waits, and now the other; a pixel has three channels, a beat two."""
    rng = np.random.default_rng(1)
    compiled = random_network(SMALL, rng, max_cycles=400, channels=56)
    x = random_inputs(compiled, 4, rng)
    assert compiled.between.shape == (2, 2, 3)
    assert len(compiled.dense.layers) == 2
    found = compare(compiled, x, build_engine(SMALL, simulator=SIMULATOR, quick=True), stall=stall)
    assert found.layer_mismatches.tolist() == [0] * 4
    assert (found.mismatches, found.cycle_mismatches) == (0, 0)
    assert len({timing.dense_cycles for timing in found.timings}) > 1
    assert len(set(np.diff(found.stream.inputs).tolist())) > 1
