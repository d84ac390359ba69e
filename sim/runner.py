"""Builds and runs cocotb benches under Verilator or Icarus.

::

    built = build(sources, "codebook")
    results = run(built, "eieio.sim.bench_codebook", environment={"EIEIO_CASE": str(folder)})

A build is kept in a cache and found again by its contents: sources, flags and tool versions. Data
for a bench lies in a folder that the environment names; see :mod:`eieio.sim.case`.

The Verilator that is used is the one of the ``verilator`` package; it needs a C++ compiler, make
and perl of the system. Icarus needs ``iverilog``. Of a Verilator design only the ports of the top
module are visible to a bench: making every signal public costs most of the speed, and for large
designs the build does not finish.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cocotb_tools.config

from eieio.model.cache_folder import cache_folder
from eieio.model.errors import InputError
from eieio.model.formats.atomic import check_room, move_file, writing
from eieio.model.leftovers import forget, locked_folder, new_folder, temporary_folder
from eieio.model.plain_paths import is_plain, plain_temporary_folder
from eieio.sim.simulator_tools import (
    tool_environment,
    tool_versions,
    verilator_environment,
    waves_format,
)
from eieio.sim.tied_runner import LIBRARIES, tied_runner
from eieio.sim.verilator_runtime import shared_runtime

__all__ = ["Build", "BuildError", "Results", "SimulationError", "TestResult", "build", "run",
           "simulation_folder", "verilator_environment"]

# Increase when a change here changes what a build is.
_CACHE_VERSION = 2

# File in the folder of a build that is complete.
_DONE = "done"

class BuildError(Exception):
    """The simulator could not build the design. The message ends with the path of the log."""


class SimulationError(Exception):
    """A bench failed. The message names the test and says what failed and where the log is.

    Attributes
    ----------
    log : :class:`pathlib.Path`
        What the simulation printed. Its end is also a note of the exception.
    """

    def __init__(self, message: str, log: Path) -> None:
        super().__init__(f"{message} (log: {log})")
        self.log = log
        if log.is_file():
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            self.add_note("\n".join(["The simulation's last lines:", *lines[-40:]]))


@dataclass(frozen=True)
class Build:
    """A design that is ready to simulate.

    Attributes
    ----------
    simulator : :class:`str`
        "verilator" or "icarus".
    top : :class:`str`
        Top module.
    folder : :class:`pathlib.Path`
        Where the executable is; belongs to the cache.
    waves : :class:`str` or None
        "fst" or "vcd" if the design can record waves.
    """

    simulator: str
    top: str
    folder: Path
    waves: str | None = None

    @property
    def program(self) -> Path:
        """What the simulator runs."""
        return self.folder / ("sim.vvp" if self.simulator == "icarus" else self.top)


@dataclass(frozen=True)
class TestResult:
    """Outcome of one test of a bench.

    Attributes
    ----------
    name : :class:`str`
        Module and function of the test, with its parameters.
    skipped : :class:`bool`
        Whether the test did not run.
    nanoseconds : :class:`float`
        Simulated time.
    seconds : :class:`float`
        Elapsed time.
    """

    __test__ = False

    name: str
    skipped: bool
    nanoseconds: float
    seconds: float


@dataclass(frozen=True)
class Results:
    """Outcome of a bench whose tests all passed.

    Attributes
    ----------
    tests : tuple of :class:`TestResult`
        In the order in which they ran.
    seconds : :class:`float`
        Elapsed time of the whole simulation.
    log : :class:`pathlib.Path` or None
        What the simulation printed, if it was asked for.
    waves : :class:`pathlib.Path` or None
        Recorded waves, if the design was built to record them.
    """

    tests: tuple[TestResult, ...]
    seconds: float
    log: Path | None
    waves: Path | None


def build(sources: Sequence[Path], top: str, *, simulator: str = "verilator", waves: bool = False,
          quick: bool = False, parameters: Mapping[str, object] | None = None,
          arguments: Sequence[str] = (), cache: Path | None = None) -> Build:
    """Build a design, or find it in the cache.

    Processes that ask for the same build at the same time wait for the first of them.

    Parameters
    ----------
    sources : sequence of :class:`pathlib.Path`
        Verilog files, and ``.vlt`` files for Verilator, which Icarus does not get.
    top : :class:`str`
        Top module.
    simulator : :class:`str`
        "verilator" or "icarus".
    waves : :class:`bool`
        Whether a run records waves: as FST, or as VCD where the libraries that Verilator's FST
        writer needs (lz4 and zlib, with their headers) are not installed.
    quick : :class:`bool`
        Whether Verilator's code is compiled without optimization, in a third of the time; for
        short simulations.
    parameters : mapping of :class:`str`, optional
        Verilog parameters of the top module.
    arguments : sequence of :class:`str`
        More arguments for ``verilator`` or ``iverilog``.
    cache : :class:`pathlib.Path`, optional
        Folder of all builds, as in :func:`eieio.model.cache_folder.cache_folder`.

    Raises
    ------
    InputError
        If the simulator is unknown, a program it needs or a source is missing, or the cache cannot
        be written.
    BuildError
        If the simulator or the C++ compiler refuses the design.
    """
    environment = tool_environment(simulator)
    for source in sources:
        if not source.is_file():
            raise InputError(f"Source {source} does not exist")
    if simulator == "icarus":
        sources = [source for source in sources if source.suffix != ".vlt"]
        arguments = list(arguments)
        form = "fst" if waves else None
    else:
        form = waves_format() if waves else None
        arguments = [
            # These undo cocotb's --public-flat-rw: the ports of the top are all that is public.
            "--no-public-flat-rw", "--public-depth", "1",
            # What is undefined is random, by a seed that `run` gives.
            "--x-initial", "unique", "--x-assign", "unique",
            # Lint is a job of its own, and a design that warns must still simulate.
            "-Wno-fatal",
            *(["--trace-fst"] if form == "fst" else []),
            # In one file: what many of them have in common would take the most time.
            *(["--output-split", "0"] if quick else []),
            *arguments,
        ]

        if quick:
            environment["MAKEFLAGS"] += " OPT_FAST=-O0"

    cache = cache_folder(cache)
    identity = [_CACHE_VERSION, simulator, tool_versions(simulator), form, top, list(arguments),
                {name: str(value) for name, value in (parameters or {}).items()},
                [[source.suffix, hashlib.sha256(source.read_bytes()).hexdigest()]
                 for source in sources]]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    built = Build(simulator, top, cache / f"{simulator}-{top}-{key}", form)
    with writing(cache), locked_folder(built.folder, wait=True, done=_DONE) as needed:
        if needed:
            log = built.folder / "build.log"
            with (plain_temporary_folder(built.folder) as place, _environment(environment),
                  nullcontext() if simulator == "icarus" else
                  shared_runtime(cache, place, f"waves: {form}", quick=quick) as headers):
                try:
                    tied_runner(simulator, headers=headers).build(
                        sources=_plain_sources(sources, place), hdl_toplevel=top,
                        parameters=parameters or {}, build_args=arguments, build_dir=place,
                        timescale=("1ns", "1ps"), waves=waves, always=True, log_file=log)
                except (RuntimeError, SystemExit):
                    check_room(cache)
                    forget(built.folder)  # The message names the log in it.
                    raise BuildError(f"{simulator} cannot build {top}: "
                                     f"{_first_error(log).replace(f'{place}/', '')}") from None
                if simulator == "verilator":
                    libraries = cocotb_tools.config.libs_dir
                    if not is_plain(libraries):
                        (built.folder / LIBRARIES).unlink(missing_ok=True)
                        (built.folder / LIBRARIES).symlink_to(libraries)
                else:
                    _check_whole(place / built.program.name, cache)
                move_file(place / built.program.name, built.program)
            (built.folder / _DONE).touch()
            forget(built.folder)
    return built


def _check_whole(path: Path, cache: Path) -> None:
    """Find out whether Icarus has written its program to the end, which it does not tell."""
    _, _, end = path.read_text(encoding="utf-8", errors="replace").rpartition("\n:file_names ")
    count, *names = end.split("\n")
    if not end.endswith("\n") or count != f"{len(names) - 1};":
        check_room(cache)
        raise BuildError(f"icarus has not written all of {path}")


def _plain_sources(sources: Sequence[Path], place: Path) -> list[Path]:
    """Copy sources into a folder if a tool could not read them where they are."""
    if all(map(is_plain, sources)):
        return [source.resolve() for source in sources]
    copies = place / "sources"
    copies.mkdir()
    return [Path(shutil.copy(source, copies)) for source in sources]


@contextmanager
def simulation_folder(folder: Path | None = None, *, parent: Path | None = None) -> Iterator[Path]:
    """Give a simulation a folder: a given one, or else a temporary one.

    A temporary one stays if the simulation fails, whose error names the log in it, or if it is
    forgotten (:func:`eieio.model.leftovers.forget`).

    Parameters
    ----------
    folder : :class:`pathlib.Path`, optional
        The folder, which is made if need be.
    parent : :class:`pathlib.Path`, optional
        Where to make a temporary one.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.absolute()
        return
    with temporary_folder(parent) as place:
        try:
            yield place
        except SimulationError:
            forget(place)
            raise


def run(build: Build, test_module: str, *, environment: Mapping[str, str] | None = None,
        seed: int = 0, test: str | None = None, folder: Path | None = None,
        log: Path | None = None, timeout: float = 600) -> Results:
    """Run the tests of a cocotb module against a design.

    Not for several threads of one process: cocotb's runner is told its settings by the environment.

    Parameters
    ----------
    build : :class:`Build`
        Design.
    test_module : :class:`str`
        Name of the module, as Python imports it.
    environment : mapping of :class:`str`, optional
        Variables for the bench, beside this process's.
    seed : :class:`int`
        ``cocotb.RANDOM_SEED``, and the seed of what Verilator leaves undefined, such as a memory
        without initial contents, which is filled at random.
    test : :class:`str`, optional
        Name of the only test to run.
    folder : :class:`pathlib.Path`, optional
        Where the simulator runs; no two runs may share it. The default is a new folder in the
        cache, deleted after success unless it holds waves.
    log : :class:`pathlib.Path`, optional
        Where to write what the simulation prints. The default is ``simulation.log`` in ``folder``.
    timeout : :class:`float`
        Elapsed seconds after which the simulation is stopped and counts as failed.

    Raises
    ------
    SimulationError
        If a test fails, no test is found, or the simulation ends by itself or by time-out.
    """
    runs = build.folder.parent / "runs"
    if folder is None:
        new_folder(runs)
    with simulation_folder(folder, parent=runs) as place:
        results = _run(build, test_module, environment or {}, seed, test, place, log, timeout)
        if folder is None and build.waves is not None:
            forget(place)
    keep_log = log is not None or folder is not None or build.waves is not None
    return results if keep_log else replace(results, log=None)


def _run(build: Build, test_module: str, environment: Mapping[str, str], seed: int,
         test: str | None, place: Path, log: Path | None, timeout: float) -> Results:
    log_path = (log or place / "simulation.log").absolute()
    log_path.parent.mkdir(parents=True, exist_ok=True)
    results_path = place / "results.xml"
    waves = place / f"{'dump' if build.simulator == 'verilator' else build.top}.{build.waves}"

    variables = {
        "COCOTB_ANSI_OUTPUT": "0",
        # By default cocotb lets pytest rewrite whatever is imported, which takes seconds.
        "COCOTB_REWRITE_ASSERTION_FILES": f"{test_module.rpartition('.')[2]}.py",
        # For that it starts pytest, which needs no plugins.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "SIM_CMD_PREFIX": "",
        **environment,
    }
    plusargs = [f"+verilator+seed+{seed % 0x7FFFFFFF + 1}", "+verilator+rand+reset+2"]
    if build.simulator == "icarus":
        plusargs = [f"+dumpfile_path={waves}"] if build.waves else []

    started = time.monotonic()
    ended_well = True
    with _environment(tool_environment(build.simulator) | variables):
        try:
            tied_runner(build.simulator, timeout).test(
                test_module, build.top, hdl_toplevel_lang="verilog", seed=seed,
                testcase=test, plusargs=plusargs, waves=build.waves is not None,
                build_dir=build.folder, test_dir=place, results_xml=str(results_path),
                log_file=log_path)
        except (RuntimeError, SystemExit):
            ended_well = False
    seconds = time.monotonic() - started

    tests = _check(results_path, ended_well, build.top, test_module, seconds, timeout, log_path)
    return Results(tests, seconds, log_path, waves if build.waves else None)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for cocotb's runner, which takes its settings from this process."""
    before = dict(os.environ)
    # Under pytest the runner would end the process when a test fails; its other two could undo
    # what the caller asks for.
    for name in ("PYTEST_CURRENT_TEST", "WAVES", "GUI", "COCOTB_RESULTS_FILE"):
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _first_error(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    for number, line in enumerate(lines):
        if line.startswith("%Error") or "error:" in line:
            return f"{line} (log: {log})"
        if line.startswith("make: ***"):  # What went wrong is in front of it.
            return f"{lines[max(number - 1, 0)]} (log: {log})"
    return f"{lines[-1] if lines else 'it printed nothing'} (log: {log})"


def _check(results: Path, ended_well: bool, top: str, test_module: str, seconds: float,
           timeout: float, log: Path) -> tuple[TestResult, ...]:
    if not results.is_file():
        if seconds >= timeout:
            raise SimulationError(f"Simulation of {top} did not end in {timeout:g} seconds", log)
        raise SimulationError(
            f"Simulation of {top} with {test_module} ended without results", log)
    tests: list[TestResult] = []
    failures: list[str] = []
    try:
        root = ElementTree.parse(results).getroot()
    except ElementTree.ParseError:  # It was cut off, such as by a full disk.
        raise SimulationError(
            f"Simulation of {top} with {test_module} ended within its results", log) from None
    for case in root.iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        for failure in (*case.iter("failure"), *case.iter("error")):
            message = (failure.get("message") or "").partition("\n")[0]
            reason = ": ".join(filter(None, [failure.get("type"), message]))
            failures.append(f"Test {name} failed: {reason}")
        properties: dict[str | None, Any] = {
            item.get("name"): item.get("value") for item in case.iter("property")}
        tests.append(TestResult(name, case.find("skipped") is not None,
                                float(properties.get("sim_time_duration", 0)),
                                float(case.get("time", 0))))
    if failures:
        more = f"; {len(failures) - 1} more failed" if len(failures) > 1 else ""
        raise SimulationError(failures[0] + more, log)
    if not tests:
        raise SimulationError(f"Module {test_module} must have a test that can run", log)
    if not ended_well:
        raise SimulationError(
            f"Simulation of {top} with {test_module} passed its tests but ended with an error", log)
    return tuple(tests)
