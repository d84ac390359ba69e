"""Runner: builds, their cache, results, and what goes wrong."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.sim import simulator_tools
from eieio.sim.case import case_environment, load_case, load_outputs, save_case
from eieio.sim.runner import (
    Build,
    BuildError,
    SimulationError,
    build,
    run,
    verilator_environment,
)

SOURCE = Path(__file__).with_name("counter.v")
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus")
simulators = pytest.mark.parametrize(
    "simulator", [pytest.param("icarus", marks=needs_icarus), "verilator"])


@pytest.fixture(autouse=True)
def bench_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the simulation find ``bench_counter.py``."""
    monkeypatch.syspath_prepend(Path(__file__).parent)


@simulators
def test_run(simulator: str) -> None:
    built = build([SOURCE], "counter", simulator=simulator)
    results = run(built, "bench_counter", test="test_counts")
    assert [(test.name, test.skipped) for test in results.tests] == [
        ("bench_counter.test_counts", False)]
    assert 100 <= results.tests[0].nanoseconds <= 200
    assert results.log is None
    assert results.waves is None


@simulators
def test_environment_is_restored(simulator: str) -> None:
    built = build([SOURCE], "counter", simulator=simulator)
    before = dict(os.environ)
    run(built, "bench_counter", test="test_counts", environment={"COCOTB_LOG_LEVEL": "WARNING"})
    assert dict(os.environ) == before


@simulators
def test_failure(simulator: str, tmp_path: Path) -> None:
    built = build([SOURCE], "counter", simulator=simulator)
    with pytest.raises(SimulationError) as info:
        run(built, "bench_counter", test="test_fails", seed=7, folder=tmp_path)
    message = str(info.value)
    assert re.match(r"Test bench_counter\.test_fails failed: AssertionError: Word is [01X]{32}, "
                    r"seed \d+ \(log: .*simulation\.log\)$", message)
    assert "and more" in info.value.log.read_text()
    assert "bench_counter.test_fails failed" in info.value.__notes__[0]


def test_undefined_memory_is_random(tmp_path: Path) -> None:
    built = build([SOURCE], "counter")
    found = []
    for seed in (1, 1, 2):
        with pytest.raises(SimulationError) as info:
            run(built, "bench_counter", test="test_fails", seed=seed, folder=tmp_path)
        found.append(re.findall(r"[01]{32}|seed \d+", str(info.value)))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]
    assert found[0][1] != found[2][1]


@needs_icarus
class TestIcarus:
    """What does not depend on the simulator, on the one that builds at once."""

    @pytest.fixture
    def built(self) -> Build:
        return build([SOURCE], "counter", simulator="icarus")

    def test_first_failure_and_number(self, built: Build, tmp_path: Path) -> None:
        with pytest.raises(SimulationError, match=r"test_fails failed: .*; 1 more failed \(log: "):
            run(built, "bench_counter", test="test_fails,test_does_not_end", folder=tmp_path)

    def test_time_out(self, built: Build, tmp_path: Path) -> None:
        with pytest.raises(SimulationError, match=r"test_does_not_end failed: SimTimeoutError \("):
            run(built, "bench_counter", test="test_does_not_end", folder=tmp_path)

    def test_skipped(self, built: Build) -> None:
        results = run(built, "bench_skipped")
        assert [test.skipped for test in results.tests] == [True]

    def test_no_such_test(self, built: Build, tmp_path: Path) -> None:
        with pytest.raises(SimulationError, match=r"^(Simulation of counter with bench_counter "
                                                  r"ended without results|Module bench_counter "
                                                  r"must have a test that can run) \(log: "):
            run(built, "bench_counter", test="test_none", folder=tmp_path)

    def test_no_such_module(self, built: Build, tmp_path: Path) -> None:
        with pytest.raises(SimulationError, match=r"^Simulation of counter with bench_none ended "
                                                  r"without results \(log: ") as info:
            run(built, "bench_none", folder=tmp_path)
        assert "No module named 'bench_none'" in info.value.__notes__[0]

    def test_simulator_stops(self, built: Build, tmp_path: Path) -> None:
        with pytest.raises(SimulationError, match=r" ended without results \(log: "):
            run(built, "bench_counter", test="test_stops_the_simulator", folder=tmp_path)

    @pytest.mark.skipif(shutil.which("timeout") is None, reason="needs the program timeout")
    def test_elapsed_time_out(self, built: Build, tmp_path: Path) -> None:
        with pytest.raises(SimulationError, match=r"^Simulation of counter did not end in 0\.01 "):
            run(built, "bench_counter", test="test_counts", timeout=0.01, folder=tmp_path)

    def test_environment(self, built: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STEP", "3")
        run(built, "bench_counter", test="test_counts", environment={"STEP": "1"})

    def test_case(self, built: Build, tmp_path: Path) -> None:
        numbers = np.arange(5, dtype=np.int16)
        folder = tmp_path / "case"
        save_case(folder, {"numbers": numbers}, offset=3)
        run(built, "bench_counter", test="test_case", environment=case_environment(folder))
        doubled = load_outputs(folder)["doubled"]
        assert doubled.tolist() == [3, 5, 7, 9, 11]
        assert doubled.dtype == np.int16

    def test_folder_and_log(self, built: Build, tmp_path: Path) -> None:
        log = tmp_path / "logs" / "log.txt"
        results = run(built, "bench_counter", test="test_counts", folder=tmp_path / "run", log=log)
        assert results.log == log
        assert "test_counts passed" in log.read_text()
        assert (tmp_path / "run" / "results.xml").is_file()

    def test_success_leaves_nothing(self, tmp_path: Path) -> None:
        built = build([SOURCE], "counter", simulator="icarus", cache=tmp_path)
        run(built, "bench_counter", test="test_counts")
        assert not list((tmp_path / "runs").iterdir())

    def test_parameters(self) -> None:
        built = build([SOURCE], "counter", simulator="icarus", parameters={"STEP": 3})
        run(built, "bench_counter", test="test_counts", environment={"STEP": "3"})

    def test_cache(self, tmp_path: Path) -> None:
        source = tmp_path / "counter.v"
        shutil.copy(SOURCE, source)
        cache = tmp_path / "cache"
        first = build([source], "counter", simulator="icarus", cache=cache)
        stamp = (first.folder / "sim.vvp").stat().st_mtime_ns
        assert build([SOURCE], "counter", simulator="icarus", cache=cache) == first
        assert (first.folder / "sim.vvp").stat().st_mtime_ns == stamp
        assert build([source], "counter", simulator="icarus", cache=cache, parameters={"STEP": 2}) \
            != first
        assert build([source], "counter", simulator="icarus", cache=cache, waves=True) != first
        source.write_text(source.read_text() + "\n// changed\n")
        assert build([source], "counter", simulator="icarus", cache=cache) != first

    def test_unfinished_build_is_repeated(self, tmp_path: Path) -> None:
        first = build([SOURCE], "counter", simulator="icarus", cache=tmp_path)
        (first.folder / "done").unlink()
        (first.folder / "sim.vvp").write_text("damaged")
        second = build([SOURCE], "counter", simulator="icarus", cache=tmp_path)
        assert second == first
        assert (first.folder / "sim.vvp").stat().st_size > 100

    def test_two_processes(self, tmp_path: Path) -> None:
        program = (f"from pathlib import Path; from eieio.sim.runner import build; "
                   f"b = build([Path({str(SOURCE)!r})], 'counter', simulator='icarus', "
                   f"cache=Path({str(tmp_path)!r})); "
                   f"print((b.folder / 'sim.vvp').stat().st_mtime_ns)")
        processes = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
                     for _ in range(2)]
        stamps = {process.communicate(timeout=60)[0] for process in processes}
        assert len(stamps) == 1

    def test_build_error(self, tmp_path: Path) -> None:
        source = tmp_path / "wrong.v"
        source.write_text("module wrong; wire a = b +; endmodule\n")
        with pytest.raises(BuildError, match=r"^icarus cannot build wrong: .*wrong\.v:1: "):
            build([source], "wrong", simulator="icarus", cache=tmp_path)


def test_verilator_build_error(tmp_path: Path) -> None:
    source = tmp_path / "wrong.v"
    source.write_text("module wrong; wire a = b +; endmodule\n")
    with pytest.raises(BuildError, match=r"^verilator cannot build wrong: %Error: .*wrong\.v:1:"):
        build([source], "wrong", cache=tmp_path)


@pytest.mark.long
@simulators
def test_waves(simulator: str) -> None:
    built = build([SOURCE], "counter", simulator=simulator, waves=True)
    assert built.waves in {"fst", "vcd"}
    results = run(built, "bench_counter", test="test_counts")
    assert results.waves is not None
    assert results.waves.suffix == f".{built.waves}"
    assert results.waves.stat().st_size > 100
    shutil.rmtree(results.waves.parent)


@pytest.mark.parametrize(("simulator", "program", "package"), [
    ("verilator", "make", "make"), ("verilator", "perl", "perl"), ("verilator", "c++", "g++"),
    ("icarus", "iverilog", "iverilog"), ("icarus", "vvp", "iverilog")])
def test_missing_program(simulator: str, program: str, package: str, tmp_path: Path,
                         monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("make", "perl", "c++", "iverilog", "vvp"):
        if name != program:
            (tmp_path / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    message = (rf"^Simulator {simulator} needs the program '{re.escape(program)}', which is not on "
               rf"PATH \(Debian, Ubuntu: apt install {re.escape(package)}\)$")
    with pytest.raises(InputError, match=message):
        build([SOURCE], "counter", simulator=simulator, cache=tmp_path)


def test_vcd_without_lz4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    assert simulator_tools.waves_format() == "vcd"


def test_unknown_simulator() -> None:
    with pytest.raises(InputError, match=r"^Simulator must be 'verilator' or 'icarus', not 'vcs'$"):
        build([SOURCE], "counter", simulator="vcs")


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Source .*none\.v does not exist$"):
        build([tmp_path / "none.v"], "counter")


@simulators
def test_folders_that_make_and_the_shell_misread(simulator: str, tmp_path: Path) -> None:
    first = build([SOURCE], "counter", simulator=simulator)
    place = tmp_path / "-a b#c:d;e$f'g\"h\u00e9`i`\\&%(j)"
    cache = place / "cache"
    for objects in first.folder.parent.glob("runtime-*"):  # They take most of the time.
        shutil.copytree(objects, cache / objects.name)
    source = Path(shutil.copy(SOURCE, place))
    built = build([source], "counter", simulator=simulator, cache=cache)
    assert {path.name for path in built.folder.iterdir()} - {"libs"} == {
        "build.log", "done", "lock", built.program.name}
    run(built, "bench_counter", test="test_counts", folder=place / "run")
    assert build([source], "counter", simulator=simulator, cache=cache) == built


def test_verilator_environment() -> None:
    environment = verilator_environment()
    result = subprocess.run(["verilator", "--version"], env=os.environ | environment,
                            capture_output=True, encoding="utf-8", check=True)
    assert "rev" in result.stdout


def test_load_case_without_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EIEIO_CASE", raising=False)
    with pytest.raises(RuntimeError, match=r"^Environment must name the folder of a case as "):
        load_case()
