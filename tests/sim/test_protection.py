"""Engines with parity and a watchdog: as they are without, and what becomes of faults."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_modules import benchmark
from long_cases import long

import eieio.sim
from eieio.model.engine import Compiled
from eieio.model.registers import ErrorCode
from eieio.model.registry import engines, find_engine
from eieio.rtl.emit import write
from eieio.rtl.hardware import emit_engine, engine_top
from eieio.sim.lint import lint
from eieio.sim.replay import (
    build_replay,
    engine_ports,
    image_line,
    inference_script,
    replay,
    vector_line,
)
from eieio.sim.shell_session import ShellSession, build_shell, traffic
from eieio.sim.simulation import build_engine, simulation_of
from eieio.sim.strikes import TOP, places_of, strikable

CELLS = Path(str(eieio.sim.__file__)).parent / "ecp5_cells.sv"
PROTECTED = [engine.name for engine in engines()
             if {"parity", "watchdog"} <= {option.name for option in engine.options}]


def network(name: str, seed: int, **options: Any) -> tuple[Compiled, Any]:
    engine = find_engine(name)
    with benchmark("replayed_networks") as networks:
        return networks.random_network(engine, {**networks.small_options(engine, 4), **options},
                                       np.random.default_rng(seed))


@pytest.mark.parametrize("name", ["sparse", *long(*(
    name for name in PROTECTED if name != "sparse"))])
def test_lint(name: str, tmp_path: Path) -> None:
    """Protected engines are clean; all memories but those of the models have a bit more."""
    engine = find_engine(name)
    with benchmark("replayed_networks") as networks:
        config = engine.make_config({**networks.small_options(engine, 2), "parity": True,
                                     "watchdog": 5000})
    files = emit_engine(config)
    lint(write(files, tmp_path), engine_top(config))
    arrays = [line for text in files.values() for line in text.splitlines()
              if line.startswith("  reg ") and line.endswith("];")]
    assert arrays
    assert all(" coded [" in line for line in arrays), arrays


@pytest.mark.long
@pytest.mark.parametrize("name", PROTECTED)
def test_counters(name: str) -> None:
    """Outputs and counters are those of the models, which know nothing of it."""
    compiled, x = network(name, 5, parity=True, watchdog=100_000)
    script = inference_script(compiled, x[:3 * compiled.batch])
    outcomes, _ = replay(build_replay(compiled.config), script)
    assert [outcome.what for outcome in outcomes] == ["ok"]


@pytest.mark.long
@pytest.mark.parametrize("name", PROTECTED)
def test_equal(name: str) -> None:
    """Integers and cycles of all layers, too, are those of the models."""
    compiled, x = network(name, 5, parity=True, watchdog=100_000)
    result = simulation_of(compiled.config).compare(
        compiled.inner, compiled.group(x[:3 * compiled.batch]), build_engine(compiled.config))
    assert (result.mismatches, result.cycle_mismatches) == (0, 0)


@pytest.mark.long
def test_interleaved() -> None:
    """Two inferences at a time take the cycles that they take without; a fault ends both."""
    compiled, x = network("sparse", 5, parity=True, watchdog=100_000, double_buffered=True,
                          interleaved=True)
    x = x[:6]
    result = simulation_of(compiled.config).compare(
        compiled.inner, compiled.group(x), build_engine(compiled.config))
    assert (result.mismatches, result.cycle_mismatches) == (0, 0)

    files, top = emit_engine(compiled.config), engine_top(compiled.config)
    places = places_of(files, top)
    program = build_replay(compiled.config, {
        f"{TOP}.sv": strikable(places, top, engine_ports(compiled.config))}, TOP)
    longest = max(each.cycles for each in compiled.counters(x))
    rng = np.random.default_rng(0)
    memories = [number for number, place in enumerate(places) if place.depth]
    script = [f"limit {20 * longest + 5000}", image_line(compiled.host.words),
              *vector_line(compiled, x)]
    for number in range(120):
        place = int(rng.choice(memories))
        addr, bit = int(rng.integers(places[place].depth)), int(rng.integers(places[place].width))
        strike = [f"strike {place} {addr} {bit} {int(rng.integers(longest))}"] * (number > 0)
        script += [f"case {number}", "load 0", "infer 0", *strike,
                   *(f"infer {vector}" for vector in range(1, 6)), "drain", "recover 0 2"]
    outcomes, _ = replay(program, script)
    found = [outcome.what for outcome in outcomes]
    assert found[0] == "ok"
    assert set(found) == {"ok", "error"}
    assert found.count("error") > 20


@pytest.mark.long
@pytest.mark.parametrize("name", ["sparse", "systolic"])
def test_cells(name: str) -> None:
    """The block RAMs of an FPGA have parity as well, and no word of them is wrong."""
    compiled, x = network(name, 6, parity=True, watchdog=100_000)
    script = inference_script(compiled, x[:2 * compiled.batch])
    program = build_replay(compiled.config, {"ecp5_cells.sv": CELLS.read_text()},
                           files=emit_engine(compiled.config, "ecp5"))
    outcomes, _ = replay(program, script)
    assert [outcome.what for outcome in outcomes] == ["ok"]


@pytest.mark.long
def test_faults() -> None:
    """No flip of a memory is silent, nothing hangs, and the engine is usable after every error."""
    with benchmark("faults") as faults:
        found, _ = faults.Campaign(find_engine("sparse"), 1, protect=True).chunk(0, 300)
    assert found["memories"]["silent"] == 0
    assert found["memories"]["detected"] > 30
    for counts in found.values():
        assert counts["hang"] == counts["unusable"] == 0


@pytest.mark.long
def test_shell(tmp_path: Path) -> None:
    """The shell tells of the watchdog, forgets the image, and takes the next one."""
    # The image is taken beat by beat, but an inference takes longer than the watchdog allows.
    compiled, x = network("sparse", 7, parity=True, watchdog=16)
    session = ShellSession(compiled.config, [traffic(compiled, x[:2])], {}, 1)
    for _ in range(2):
        session.load(0)
        session.send_input(session.inputs[0][0])
        session.error(ErrorCode.WATCHDOG, loaded=False)
    session.run(build_shell(compiled.config), tmp_path)
    compiled, x = network("sparse", 7, parity=True, watchdog=100_000)
    session = ShellSession(compiled.config, [traffic(compiled, x[:3])], {}, 1)
    session.use(0)
    session.use(0)
    session.run(build_shell(compiled.config), tmp_path / "slow", stall=0.2)
