"""A board's shell whose streams never wait: what a DMA in place of the serial port would see."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.engine import Compiled
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.prepared import SparseCompiled
from eieio.model.sparse.timing import time_stream
from eieio.sim.interval import MeasuredStream, measure_stream
from eieio.sim.shell_session import build_shell
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network

SMALL = SparseConfig(pes=4, queue_depth=2, entry_depth=256, pointer_depth=128, accumulator_depth=16,
                     activation_depth=16, output_depth=32, layer_depth=2, io_lanes=2,
                     pes_per_lane=2, double_buffered=True)


def stream(compiled: Compiled, x: NDArray[np.integer]) -> MeasuredStream:
    return measure_stream(compiled.host, x, build_shell(compiled.config, serial=True), shell=True)


def check(compiled: Compiled, x: NDArray[np.integer]) -> NDArray[np.int64]:
    """Compare with both models; returns the cycles of an inference."""
    seen = stream(compiled, x)
    assert np.array_equal(seen.outputs, compiled.run(x))
    cycles = [entry.cycles for entry in compiled.counters(x)]
    host = compiled.host
    expected = time_stream(compiled.config, cycles, host.inputs.beats, host.outputs.beats)
    # The first input meets empty queues, which take beats of the second one earlier.
    assert np.diff(seen.outputs_from).tolist() == np.diff(expected.outputs).tolist()
    return np.array(cycles)


@pytest.mark.parametrize(("config", "sizes"), [
    (SMALL, (20, 12, 7)), (SMALL, (64, 3)), (replace(SMALL, double_buffered=False), (20, 12, 7))],
    ids=["inference", "input", "single"])
def test_stream(config: SparseConfig, sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    network = random_network(config, sizes, [0.4] * (len(sizes) - 1), rng)
    compiled = compile_random(network, config, [1] * (len(sizes) - 1), "all", rng)
    check(SparseCompiled(compiled), random_inputs(config, 8, sizes[0], 0.6, rng))
