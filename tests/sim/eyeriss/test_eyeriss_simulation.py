"""A network in Verilog, layer by layer, beside all models; and a wrong one is seen."""

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from every_layer import every_layer

from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.prepared import EyerissCompiled
from eieio.sim.eyeriss import simulation
from eieio.sim.eyeriss.simulation import LayerRun, compare, run_program
from eieio.sim.simulation import build_engine

#: A bus of one word, and sums of 64 bits.
CONFIG = EyerissConfig(rows=3, columns=2, filter_words=32, ifmap_words=8, psum_words=4,
                       glb_bytes=8192, glb_banks=8, bus_words=1, psum_width=64)

#: Icarus, if it is there: to compile takes longer than to simulate a little.
SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"


def test_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = EyerissCompiled(every_layer(), CONFIG)
    x = compiled.quantize(compiled.random_inputs(1))
    built = build_engine(CONFIG, simulator=SIMULATOR, quick=True)
    runs: list[LayerRun] = []

    def record(*args: Any, **options: Any) -> LayerRun:
        runs.append(run_program(*args, **options))
        return runs[-1]
    monkeypatch.setattr(simulation, "run_program", record)
    found = compare(compiled, x, built)
    assert (found.mismatches, found.cycle_mismatches, found.layer_mismatches) == (0, 0, [0] * 4)
    assert np.array_equal(found.outputs, compiled.run(x))
    figures = compiled.figures(found)
    assert found.layer_cycles.sum() == compiled.cycles()
    assert figures["cycles_rtl"] == figures["cycles_model"] == [compiled.cycles()]
    assert found.profiles["RTL"] == found.profiles["cycle model"]
    assert found.compared_integers == sum(run.output.size for run in runs) + 6

    # The same runs, each with something else that is wrong.
    def again(**change: Any) -> tuple[int, int]:
        given = iter([replace(runs[0], **change), *runs[1:]])
        monkeypatch.setattr(simulation, "run_program", lambda *_, **__: next(given))
        wrong = compare(compiled, x, built)
        return wrong.layer_mismatches[0], wrong.cycle_mismatches

    first = runs[0]
    cycles, counters, words = first.cycles, first.counters, first.words
    assert again() == (0, 0)
    assert again(cycles=[cycles[0] + 1, *cycles[1:]]) == (0, 1)
    assert again(counters=counters | {"psum_spad_reads": counters["psum_spad_reads"] + 1}) == (0, 1)
    assert again(words=words[::-1]) == (0, 1)
    assert again(output=first.output + (np.arange(first.output.size) == 9).reshape(
        first.output.shape))[0] == 1
