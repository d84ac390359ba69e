"""Engines whose memories are instances of a module that a foundry's macros replace."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from benchmark_modules import benchmark
from long_cases import long

from eieio.model.registry import engines, find_engine
from eieio.rtl.emit import write
from eieio.rtl.hardware import emit_engine, engine_top
from eieio.rtl.vendor.asic_memory import ASIC_MEMORY
from eieio.rtl.vendor.family import ASIC
from eieio.sim.lint import lint
from eieio.sim.replay import build_replay, image_line, is_replayable, replay, vector_line
from eieio.sim.simulation import build_engine, simulation_of

_SHORT = "sparse"
_ARRAY = re.compile(r"^ *reg (?:signed )?\[\d+:0\] (\S+) \[\d+:0\];$", re.MULTILINE)


@pytest.mark.parametrize("name", [_SHORT, *long(*(
    engine.name for engine in engines() if engine.name != _SHORT))])
def test_engine(name: str, tmp_path: Path) -> None:
    """Engines compute the same, in as many cycles, and what they read beside a write is undefined.

    Arrays that are left are those that are read without a clock.
    """
    engine = find_engine(name)
    with benchmark("replayed_networks") as networks:
        compiled, x = networks.random_network(engine, networks.small_options(engine, 4),
                                              np.random.default_rng(3))
    files = emit_engine(compiled.config, ASIC)
    memory = files.pop(f"{ASIC_MEMORY}.v")
    for text in files.values():
        for array in _ARRAY.findall(text):
            reads = re.findall(rf"^.*= {re.escape(array)}\[.*$", text, re.MULTILINE)
            assert reads, array
            assert all(read.lstrip().startswith("assign") for read in reads), array
    assert any(f"{ASIC_MEMORY} #(" in text for text in files.values())
    files[f"{ASIC_MEMORY}.v"] = memory
    lint(write(files, tmp_path), engine_top(compiled.config))
    if not is_replayable(compiled.config):
        assert simulation_of(compiled.config).compare(
            compiled.inner, compiled.group(x[:2 * compiled.batch]),
            build_engine(compiled.config, family=ASIC)).mismatches == 0
        return
    vectors = vector_line(compiled, x[:3 * compiled.batch])
    script = [image_line(compiled.host.words), *vectors, "case 0", "load 0"]
    for number in range(len(vectors)):
        script += [f"infer {number}", "count"]
    outcomes, _ = replay(build_replay(compiled.config, files=files), script)
    assert [outcome.what for outcome in outcomes] == ["ok"]


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus")
def test_icarus() -> None:
    """Nothing undefined that a memory returns reaches a result."""
    engine = find_engine(_SHORT)
    with benchmark("replayed_networks") as networks:
        compiled, x = networks.random_network(engine, networks.small_options(engine, 2),
                                              np.random.default_rng(4), 2)
    result = simulation_of(compiled.config).compare(
        compiled.inner, compiled.group(x[:1]),
        build_engine(compiled.config, simulator="icarus", family=ASIC))
    assert (result.mismatches, result.cycle_mismatches) == (0, 0)
