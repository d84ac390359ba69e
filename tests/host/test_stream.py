"""A board's shell whose streams never wait: what a DMA in place of the serial port would see."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from long_cases import long
from numpy.typing import NDArray

from eieio.model.engine import TIMED_SAMPLES, Messages, Request
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.engine import ENGINE
from eieio.model.sparse.prepared import SparseCompiled
from eieio.model.sparse.timing import time_stream
from eieio.rtl.boards.find import find_board
from eieio.scripts.speed import speed_of
from eieio.scripts.synthesis import compile_for_board
from eieio.sim.interval import measure_stream
from eieio.sim.shell_session import build_shell
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "lenet_300_100"

SMALL = SparseConfig(pes=4, queue_depth=2, entry_depth=256, pointer_depth=300, accumulator_depth=16,
                     activation_depth=16, output_depth=32, layer_depth=2, io_lanes=2,
                     pes_per_lane=2, double_buffered=True)


def check(compiled: SparseCompiled, x: NDArray[np.integer], *, serial: bool = True
          ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Compare with both models; returns cycles from each input and output to the next one."""
    host, config = compiled.host, compiled.inner.config
    seen = measure_stream(host, x, build_shell(config, serial=serial), shell=True)
    assert np.array_equal(seen.outputs, compiled.run(x))
    cycles = [entry.cycles for entry in compiled.counters(x)]
    expected = time_stream(config, cycles, host.inputs.beats, host.outputs.beats)
    apart = np.diff(seen.outputs_from)
    assert apart.tolist() == np.diff(expected.outputs).tolist()
    # Registers of the shell are in the way of the first input and of its output.
    latency = seen.outputs_from[0] - seen.inputs_from[0]
    assert latency == expected.outputs[0] + (2 if serial else 4)
    return np.diff(seen.inputs_from), apart


@pytest.mark.parametrize(("config", "sizes", "density", "limit", "serial"), [
    (SMALL, (64, 12), 0.4, "inference", True), (SMALL, (256, 3), 0.1, "input", False),
    *long((replace(SMALL, double_buffered=False), (64, 12), 0.4, "inference", True))],
    ids=["inference", "input", "single"])
def test_stream(config: SparseConfig, sizes: tuple[int, ...], density: float, limit: str,
                serial: bool) -> None:
    rng = np.random.default_rng(5)
    config = replace(config, activation_depth=64)
    layers = len(sizes) - 1
    network = random_network(config, sizes, [density] * layers, rng)
    compiled = SparseCompiled(compile_random(network, config, [1] * layers, "all", rng))
    x = random_inputs(config, 8, sizes[0], density, rng)
    inputs, outputs = check(compiled, x, serial=serial)
    assert len(np.unique(compiled.run(x), axis=0)) > 1
    # What tables tell of an inference is how far its output is from the one before; where inputs
    # limit, those are as far from one another.
    told = [speed_of(compiled.host, entry.cycles).interval for entry in compiled.counters(x)]
    assert {each.limit for each in told} == {limit}
    apart = inputs if limit == "input" else outputs
    assert apart[2:].tolist() == [each.cycles for each in told][3:]


@pytest.mark.long
@pytest.mark.parametrize("options", [{"pes": 16}], ids=["16"])
def test_what_a_dma_sees(options: dict[str, Any]) -> None:
    """The README's inferences a second on a board are those of its shell in simulation."""
    board = find_board("ulx3s-85f")
    request = Request(EXAMPLE / "mnist_test_1000.npz", settings=ENGINE.all_settings())
    prepared = ENGINE.prepare(ENGINE.read(EXAMPLE / "lenet_300_100.npz"), request, Messages())
    compiled = compile_for_board(prepared, options, board, messages=Messages())
    assert isinstance(compiled, SparseCompiled)
    samples = prepared.samples.x[:TIMED_SAMPLES]
    x = compiled.quantize(samples)
    _, apart = check(compiled, np.concatenate([x, x[:1]]))
    cycles = compiled.cycles(samples)
    assert cycles is not None
    speed = speed_of(compiled.host, cycles)
    # Between two slow inferences a fast one may wait for its input.
    assert np.mean(apart) == pytest.approx(speed.interval.cycles, rel=0.002)
    row = re.search(rf"\| ULX3S 85F \| sparse, {options['pes']} PEs, .*",
                    (ROOT / "README.md").read_text(encoding="utf-8"))
    assert row
    cells = [cell.strip() for cell in row[0].split("|")]
    figures = speed.figures(1e6 * float(cells[3].removesuffix(" MHz")), board.baud)
    assert cells[5:7] == [
        f"{figures[f'inferences_per_second{which}']:,.0f}" for which in ("_with_data", "")]
