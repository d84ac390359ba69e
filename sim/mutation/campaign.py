"""Runs the tests of a component on mutants of its netlist, each in a process of its own.

The tests are collected once, by a plugin of pytest. A process is forked for each mutant; there the
component elaborates to the mutated netlist, and the tests run until one fails. Which tests are
those of a configuration, and how long they take, is found out first in the same way.
"""

import functools
import gc
import hashlib
import json
import os
import re
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from _pytest.runner import runtestprotocol
from amaranth.sim import Simulator

from eieio.sim import runner
from eieio.sim.mutation.components import Component
from eieio.sim.mutation.netlist import Mutation, Netlist, compiled_netlists
from eieio.sim.mutation.netlists import component_rtlil

__all__ = ["Configuration", "Verdict", "configurations", "judge", "run_tests"]

#: Seconds of elapsed time after which a process is killed, whatever it does.
_PATIENCE = 1200

_ARGUMENTS = "_made_with"


@dataclass
class Verdict:
    """What became of a mutant.

    Attributes
    ----------
    killed : :class:`bool`
        Whether a test failed, or ran much longer than without the mutant.
    by : :class:`str`
        That test, and how it failed.
    seconds : :class:`float`
        CPU time of its tests.
    """

    killed: bool
    by: str
    seconds: float


@dataclass
class Configuration:
    """A component as some tests have made it.

    Attributes
    ----------
    key : :class:`str`
        Name of a folder, from the arguments.
    arguments : :class:`str`
        These, to be read.
    tests : list of :class:`str`
        Names of tests.
    """

    key: str
    arguments: str
    tests: list[str] = field(default_factory=list)


def _arguments(component: Any) -> str:
    """Write what a component was made of, the same in every process."""
    args, kwargs = vars(component).get(_ARGUMENTS, ((), {}))
    parts = [*map(repr, args), *(f"{name}={value!r}" for name, value in sorted(kwargs.items()))]
    return re.sub(r" at 0x[0-9a-f]+", "", ", ".join(parts))


def _key(arguments: str) -> str:
    return hashlib.sha256(arguments.encode()).hexdigest()[:12]


@contextmanager
def _elaborating(kind: Any, elaborate: Callable[[Any, Any, Callable[..., Any]], Any]
                 ) -> Iterator[None]:
    """Let components of a class elaborate as a function says, which is given the original."""
    originals = kind.__init__, kind.elaborate

    @functools.wraps(kind.__init__)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        vars(self).setdefault(_ARGUMENTS, (args, kwargs))
        originals[0](self, *args, **kwargs)

    def patched(self: Any, platform: Any) -> Any:
        if type(self) is not kind:
            return originals[1](self, platform)
        return elaborate(self, platform, originals[1])

    inherited = "__init__" not in vars(kind), "elaborate" not in vars(kind)
    kind.__init__, kind.elaborate = init, patched
    try:
        yield
    finally:
        kind.__init__, kind.elaborate = originals
        for name, was in zip(("__init__", "elaborate"), inherited, strict=True):
            if was:
                delattr(kind, name)


class _Collected:
    """Plugin: does something with the collected tests in place of running them."""

    def __init__(self, then: Callable[[Sequence[pytest.Item]], None]) -> None:
        self.then = then
        self.error: BaseException | None = None

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("tests cannot be collected")
        try:
            self.then(session.items)
        except Exception as error:
            self.error = error
        return True


def run_tests(files: Sequence[Path], root: Path,
              then: Callable[[Sequence[pytest.Item]], None]) -> None:
    """Collect the tests in files that `make test` runs, and call a function with them.

    Raises
    ------
    RuntimeError
        If they cannot be collected.
    """
    plugin = _Collected(then)
    # What a failure looks like is of no interest, and takes more time than to find it.
    arguments = ["-q", "-q", "--no-header", "--no-summary", "--assert=plain", "--tb=native",
                 "-m", "not long", "-p", "no:cacheprovider", "-p", "no:xdist", "--capture=no",
                 "--rootdir", str(root), "-c", str(root / "pyproject.toml"),
                 *(str(root / file) for file in files)]
    sys.stdout.flush()
    status = pytest.main(arguments, plugins=[plugin])
    if plugin.error is not None:
        raise plugin.error
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"Tests in {', '.join(map(str, files))} cannot be collected ({status})")


def _forked(works: Sequence[Callable[[Callable[[Any], None]], None]], jobs: int
            ) -> Iterator[tuple[int, list[Any]]]:
    """Run functions in processes of their own, several at a time.

    Each is given a function by which it sends what it has found out.

    Yields
    ------
    int, list
        Number of a function that has ended, and what it has sent.
    """
    gc.freeze()  # So that collections of the processes leave memory shared.
    waiting = list(range(len(works)))[::-1]
    running: dict[int, tuple[int, int, float]] = {}  # by the pipe: number, process, since
    heard: dict[int, bytes] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                number = waiting.pop()
                reading, writing = os.pipe()
                sys.stdout.flush()
                sys.stderr.flush()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of other threads, which only wait
                    process = os.fork()
                if process == 0:
                    os.close(reading)
                    _child(works[number], writing)
                os.close(writing)
                running[reading] = number, process, time.monotonic()
                heard[reading] = b""
            ready, _, _ = select.select(list(running), [], [], 1)
            for pipe, (number, process, since) in list(running.items()):
                if pipe in ready:
                    piece = os.read(pipe, 1 << 16)
                    heard[pipe] += piece
                    if piece:
                        continue
                elif time.monotonic() - since < _PATIENCE:
                    continue
                else:
                    os.kill(process, signal.SIGKILL)
                os.close(pipe)
                os.waitpid(process, 0)
                del running[pipe]
                yield number, [json.loads(line) for line in heard.pop(pipe).splitlines()]
    finally:
        gc.unfreeze()
        for pipe, (_, process, _) in running.items():
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            os.close(pipe)


def _child(work: Callable[[Callable[[Any], None]], None], pipe: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)

    def send(message: Any) -> None:
        os.write(pipe, json.dumps(message).encode() + b"\n")

    try:
        with patch.object(runner, "tool_environment", _no_verilog):
            work(send)
    except BaseException as error:
        send({"error": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(0)


def _no_verilog(simulator: str) -> dict[str, str]:
    raise RuntimeError("Only tests in Amaranth's simulator are of use here")


def _run(item: pytest.Item, limit: float | None, send: Callable[[Any], None]) -> bool:
    """Run a test, send how it went, and return whether it passed."""
    if limit is not None:
        def stop(*_: Any) -> None:
            send({"test": item.nodeid, "outcome": "timeout", "seconds": limit})
            os._exit(0)

        signal.signal(signal.SIGPROF, stop)
        signal.setitimer(signal.ITIMER_PROF, limit)
    started = time.process_time()
    reports = runtestprotocol(item, log=False, nextitem=None)
    signal.setitimer(signal.ITIMER_PROF, 0)
    outcome = next((report.outcome for report in reports if report.outcome != "passed"), "passed")
    send({"test": item.nodeid, "outcome": outcome, "seconds": time.process_time() - started})
    return outcome == "passed"


def configurations(component: Component, items: Sequence[pytest.Item], folder: Path, jobs: int
                   ) -> list[Configuration]:
    """Find out which configurations of a component the tests simulate, and write their RTLIL.

    A test is ended when it has made its first simulator.

    Parameters
    ----------
    component : Component
        The component.
    items : sequence of tests
        Its tests.
    folder : :class:`pathlib.Path`
        Where a folder named after each configuration gets the file ``component.il``.
    jobs : :class:`int`
        Processes at a time.

    Returns
    -------
    list of Configuration
        Those with the most kinds of tests, and then the most tests, first.
    """
    def work(item: pytest.Item) -> Callable[[Callable[[Any], None]], None]:
        def probe(send: Callable[[Any], None]) -> None:
            seen: set[str] = set()

            def elaborate(self: Any, platform: Any, original: Callable[..., Any]) -> Any:
                arguments = _arguments(self)
                if platform is None and arguments not in seen:
                    seen.add(arguments)
                    _write_rtlil(self, folder / _key(arguments))
                return original(self, platform)

            with _elaborating(component.type, elaborate), _not_simulating():
                _run(item, None, lambda message: None)
            send({"test": item.nodeid, "configurations": sorted(seen)})
        return probe

    found: dict[str, Configuration] = {}
    for _, messages in _forked([work(item) for item in items], jobs):
        for message in messages:
            for arguments in message.get("configurations", ()):
                key = _key(arguments)
                if (folder / key / "component.il").exists():
                    found.setdefault(key, Configuration(key, arguments)).tests += [message["test"]]
    return sorted(found.values(), key=lambda one: (
        -len({test.partition("[")[0] for test in one.tests}), -len(one.tests),
        -(folder / one.key / "component.il").stat().st_size, one.key))


@contextmanager
def _not_simulating() -> Iterator[None]:
    original: Any = Simulator.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        raise RuntimeError("There is no need to simulate")

    with patch.object(Simulator, "__init__", init):
        yield


def _write_rtlil(component: Any, folder: Path) -> None:
    """Convert a component made of the same arguments, in another process."""
    path = folder / "component.il"
    if path.exists():
        return
    process = os.fork()
    if process == 0:
        try:
            args, kwargs = vars(component).get(_ARGUMENTS, ((), {}))
            text = component_rtlil(type(component)(*args, **kwargs))
            folder.mkdir(parents=True, exist_ok=True)
            new = folder / f"component.{os.getpid()}"
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        finally:
            os._exit(0)
    os.waitpid(process, 0)


def judge(component: Component, key: str, items: Sequence[pytest.Item], netlist: Netlist,
          mutations: Sequence[Mutation | None], jobs: int, *, times: Mapping[str, float],
          whole: bool = False) -> Iterator[tuple[int, Verdict, list[dict[str, Any]]]]:
    """Run tests on mutants of a configuration.

    Parameters
    ----------
    component : Component
        The component.
    key : :class:`str`
        Name of its configuration.
    items : sequence of tests
        Tests that simulate the configuration.
    netlist : Netlist
        Of the configuration.
    mutations : sequence of Mutation
        Mutants; with None, the netlist as it is.
    jobs : :class:`int`
        Processes at a time.
    times : mapping
        CPU seconds of each test.
    whole : :class:`bool`
        Whether to run all tests, for as long as they take, and not to end with the first that
        fails.

    Yields
    ------
    int, Verdict, list
        Number of a mutant, what became of it, and what each test did.
    """
    kills = dict.fromkeys((item.nodeid for item in items), 0.5)
    runs = dict.fromkeys(kills, 1.0)

    def promise(item: pytest.Item) -> float:
        """How soon a test may be expected to find a mutant: by what it has found."""
        test = item.nodeid
        return -kills[test] / runs[test] / (0.02 + times.get(test, 0))

    def work(mutation: Mutation | None) -> Callable[[Callable[[Any], None]], None]:
        def run(send: Callable[[Any], None]) -> None:
            used = []

            def elaborate(self: Any, platform: Any, original: Callable[..., Any]) -> Any:
                if platform is not None or _key(_arguments(self)) != key:
                    return original(self, platform)
                used.append(1)
                return netlist.module(self, mutation)

            with _elaborating(component.type, elaborate), compiled_netlists():
                for item in sorted(items, key=promise):
                    limit = None if whole else 3 + 6 * times.get(item.nodeid, 0)
                    if not _run(item, limit, send) and not whole:
                        break
            send({"used": len(used)})
        return run

    # In lots, so that what each one finds orders the tests of the next.
    lot = 2 * jobs
    for first in range(0, len(mutations), lot):
        some = mutations[first:first + lot]
        for number, messages in _forked([work(mutation) for mutation in some], jobs):
            tests = [message for message in messages if "test" in message]
            failed = [message for message in tests if message["outcome"] in ("failed", "timeout")]
            ended = bool(failed) or any("used" in message for message in messages)
            for message in tests:
                runs[message["test"]] += 1
            for message in failed[:1]:
                kills[message["test"]] += 1
            by = f"{failed[0]['test']} ({failed[0]['outcome']})" if failed else \
                "" if ended else "the process ended"
            verdict = Verdict(bool(failed) or not ended, by,
                              sum(message["seconds"] for message in tests))
            yield first + number, verdict, messages
