"""The mixed engine's RTL beside both models: integers, cycles, and when the beats of a stream move.

More networks, and other widths of the streams: ``python benchmarks/mixed_networks.py``.
"""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from long_cases import long

from eieio.model.engine import Rows
from eieio.model.mixed.prepared import MixedCompiled
from eieio.model.systolic.timing import FETCH
from eieio.scripts.speed import speed_of
from eieio.sim.mixed.random_network import SMALL, random_inputs, random_network
from eieio.sim.mixed.simulation import compare
from eieio.sim.simulation import build_engine

#: Icarus, if it is there: to compile two engines takes longer than to simulate a little.
SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"


def test_stream() -> None:
    """First no engine waits, then the systolic one; a pixel has three channels, and a beat two."""
    rng = np.random.default_rng(38)
    compiled = random_network(SMALL, rng, max_cycles=250, channels=40)
    x = random_inputs(compiled, 3, rng)
    assert compiled.between.shape == (5, 1, 3)
    found = compare(compiled, x, build_engine(SMALL, simulator=SIMULATOR, quick=True))
    assert found.layer_mismatches.tolist() == [0] * 4
    assert (found.mismatches, found.cycle_mismatches) == (0, 0)
    assert found.intervals == [307, 388]
    # And a report of it.
    made = MixedCompiled(compiled)
    figures = made.figures(found, precise=True)
    assert figures["cycles_rtl"] == figures["cycles_model"] == found.rtl.counters[:, 0].tolist()
    assert figures["interval_cycles_rtl"] == found.intervals
    names = [layer["name"] for layer in figures["layers"]]
    assert names == [*compiled.layer_names[:3], "hand-over", *compiled.layer_names[3:]]
    assert [row[-1] for table in made.tables(figures)
            if isinstance(table, Rows) for row in table.rows] == ["equal"] * 4
    described = made.describe(x.astype(np.float32), found)
    assert [layer["name"] for layer in described["profile"]] == names
    assert sum(layer["cycles"] for layer in described["profile"]) == np.mean(figures["cycles_rtl"])


def test_short_input_and_hand_over() -> None:
    """The systolic engine waits for the descriptor of its first layer between short tensors."""
    rng = np.random.default_rng(80)
    compiled = random_network(SMALL, rng, max_cycles=250, channels=12)
    x = random_inputs(compiled, 4, rng)
    assert (MixedCompiled(compiled).host.inputs.beats, compiled.handed_beats) == (1, 3)
    found = compare(compiled, x, build_engine(SMALL, simulator=SIMULATOR, quick=True))
    assert (found.mismatches, found.cycle_mismatches) == (0, 0)
    cycles = found.timings[0].convolutions.cycles
    assert found.intervals[1:] == [cycles + FETCH] * 2
    made = MixedCompiled(compiled)
    assert speed_of(made.host, found.rtl.counters[0, 0]).interval.cycles == cycles + FETCH


@pytest.mark.parametrize(("lanes", "io_lanes", "winograd", "seeds"), long(
    (1, 2, 0, (2, 21)), (2, 1, 2, (20, 51))))
def test_widths(lanes: int, io_lanes: int, winograd: int, seeds: tuple[int, ...]) -> None:
    """Beats that are joined between the engines, and divided; accumulators for which it waits."""
    convolutions = replace(SMALL.convolutions, lanes=lanes, **(
        {"winograd": winograd, "activation_width": 12, "weight_width": 12,
         "accumulator_depth": 32} if winograd else {}))
    config = replace(SMALL, dense=replace(SMALL.dense, io_lanes=io_lanes),
                     convolutions=convolutions)
    built = build_engine(config)
    for seed in seeds:
        rng = np.random.default_rng([lanes, seed])
        compiled = random_network(config, rng, max_cycles=900)
        x = random_inputs(compiled, 4, rng)
        assert MixedCompiled(compiled).timings(x)[0].convolutions.accumulator_stalls > 60
        for stall in (0.0, 0.3):
            found = compare(compiled, x, built, stall=stall)
            assert (found.mismatches, found.cycle_mismatches) == (0, 0)
