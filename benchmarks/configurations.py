"""Lints and runs engines whose options stand at their ends, in every pair.

    python benchmarks/configurations.py                      # every engine
    python benchmarks/configurations.py --engine sparse --rows 4 --seed 1
    python benchmarks/configurations.py --lint               # Verilog and lint alone
    python benchmarks/configurations.py --largest 512        # each option at its true ends

An engine's options, and the ends of their ranges, are what its configuration checks when it is
made. Each row of the matrix is a configuration that a random network fits; together the rows have
every pair of ends of every two options that can go together. What cannot must be refused in one
line. The Verilog of each row passes ``verilator -Wall`` with the project's waivers, and pyslang if
it is installed; then the network runs on the RTL, and all integers, cycles and counters must be the
golden and the cycle model's. Large ends of sizes are small here, as the matrix would not build
otherwise: of memories 1,024 words, of processing elements 16 or 4 x 4. With ``--largest`` there is
no matrix: each option in turn stands at its true ends, with no more beside it than these need.

Rows are chosen greedily. A generator of pairs from PyPI would have to be told which options go
together; here only the configuration knows. What has passed is kept in
``build/verify/configurations``, and not repeated while its Verilog, its network and what the models
say of it are the same; ``build/verify/report.json`` gets the sums. Exits with status 1 if a row
fails.
"""

import argparse
import contextlib
import hashlib
import itertools
import json
import math
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from replayed_networks import Network, random_network

from eieio.model.engine import Compiled, Engine
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_text
from eieio.model.registry import engines, find_engine
from eieio.rtl.emit import write
from eieio.rtl.hardware import emit_engine, engine_top
from eieio.sim.lint import LintError, lint
from eieio.sim.runner import SimulationError
from eieio.sim.simulation import build_engine, simulation_of
from eieio.sim.verification_report import update_report

__all__ = ["Matrix", "Passed", "ends_of", "main"]

_FOLDER = Path(__file__).parents[1] / "build" / "verify"
_SIZE, _SIDE, _WORDS, _TRIES = 16, 4, 1024, 90
#: Options that multiply each other's size.
_SIDES = frozenset({"rows", "columns", "tiles", "inputs", "outputs", "nodes"})
#: Options that cost no more at their true ends.
_KEPT = frozenset({"clock_mhz", "watchdog", "dense_watchdog"})
#: Options whose product has little room.
_SMALLEST = {"patch_rows": 2, "patch_columns": 1, "patch_channels": 1}
#: Values next to an end that are tried in its place.
_NEAR = 16
_LINES = ("\n", "\r")
#: Orders of options that are tried for a row, hints that are followed, rows that are tried until a
#: network fits, and what no option is.
_ORDERS, _HINTS, _ROWS, _NONE = 8, 12, 4, object()
#: Rows that are tried until an option at an end has what it needs beside it.
_COMPANIONS = 3000

#: What pyslang may find is what ``sim/lint.vlt`` waives, with the same reasons.
_WAIVED = frozenset(f"DiagCode({name})" for name in (
    "ArithOpMismatch", "CaseDefault", "SignConversion", "UnusedButSetNet", "WidthTruncate"))

Row = dict[str, Any]


def ends_of(engine: Engine) -> dict[str, tuple[Any, ...]]:
    """Return the ends of each option's range, which its configuration checks; flags have two.

    Options that are checked when they are on alone, as the watchdog, are off, 0, or at their upper
    end.
    """
    names = {option.name for option in engine.options}
    ends: dict[str, tuple[Any, ...]] = {}
    for name, values in _checked(engine, {}):
        # An engine of two others has some of their options by another name.
        own = next((own for own in (name, f"dense_{name}") if own in names and own not in ends), "")
        if own:
            ends[own] = values
    for option in engine.options:
        if option.kind == "integer" and option.name not in ends:
            ranges = dict(_checked(engine, {option.name: 1}))
            ends[option.name] = (0, ranges[option.name.removeprefix("dense_")][1])
    for option in engine.options:
        if option.kind == "text":
            refused = refusal(engine, {option.name: "?"}) or ""
            choices = re.findall(r"must be (?:one of )?(.*), not", refused)
            ends[option.name] = tuple(re.split(", | or ", choices[0]))
    return ends


def _checked(engine: Engine, given: Row) -> list[tuple[str, tuple[Any, Any]]]:
    """Return options with the ranges that they are checked for, in turn."""
    found: list[tuple[str, tuple[Any, Any]]] = []
    integers, booleans = EngineConfig._check_integers, EngineConfig._check_flags

    def check(config: EngineConfig, *ranges: tuple[str, int, int]) -> None:
        found.extend((name, (low, high)) for name, low, high in ranges)
        integers(config, *ranges)

    def check_flags(config: EngineConfig, *names: str) -> None:
        found.extend((name, (False, True)) for name in names)
        booleans(config, *names)

    with patch.object(EngineConfig, "_check_integers", check), \
            patch.object(EngineConfig, "_check_flags", check_flags), \
            contextlib.suppress(InputError):
        engine.make_config(given)
    return found


def _stands_alone(engine: Engine, name: str, value: Any) -> bool:
    try:
        engine.make_config({name: value})
    except InputError:
        return False
    return True


def small_ends(engine: Engine) -> dict[str, tuple[Any, ...]]:
    """Return ends that can be built in every combination; None leaves a depth to the network.

    An end that no configuration has, though it is in the range, is the next value that one has.
    """
    ends = ends_of(engine)
    small: dict[str, tuple[Any, ...]] = {}
    for name, values in ends.items():
        low, high = values[0], values[-1]
        if isinstance(low, bool) or not isinstance(low, int) or name in _KEPT:
            small[name] = values
        elif name in _SMALLEST:
            small[name] = (low, _SMALLEST[name])
        elif name in _SIDES or name.endswith("lanes"):
            small[name] = (low, min(high, _SIDE))
        elif high > 64 and name.endswith("_depth"):
            small[name] = (None, min(high, _WORDS))
        elif name.endswith("_bytes"):
            small[name] = (low, min(high, _WORDS))
        elif high > 64:
            small[name] = (low, min(high, _SIZE))
        else:
            small[name] = values
        if (isinstance(low, int) and name not in _SIDES | _SMALLEST.keys()
                and small[name][0] is not None
                and not name.endswith(("lanes", "_bytes"))):
            small[name] = tuple(dict.fromkeys(
                next((near for near in range(value, value + step * _NEAR, step)
                      if _stands_alone(engine, name, near)), value)
                for value, step in zip(map(int, small[name]), (1, -1), strict=True)
            )) if not isinstance(low, bool) else tuple(
                value for value in small[name] if _stands_alone(engine, name, value))
    return {name: values for name, values in small.items() if values}


@dataclass
class Matrix:
    """Configurations that together have every pair of ends.

    Attributes
    ----------
    only_lint : :class:`bool`
        Whether no networks are wanted.
    most : :class:`int` or None
        The most rows that are wanted.
    rows : list of dict
        Options of each.
    networks : list of tuple
        A network that fits each, and its inputs; none if the matrix is for lint alone.
    refused : dict of :class:`str`
        Why pairs are not in any row, by the pair: they do not go together, or no network fits.
    """

    engine: Engine
    seed: int = 0
    only_lint: bool = False
    most: int | None = None
    networks: list[Network] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    refused: dict[Any, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        ends = small_ends(self.engine)
        for name, values in ends.items():
            possible = tuple(value for value in values
                             if self._row({name: value}, ends, set(), rng) is not None)
            ends[name] = possible or (None,)
        left = {((a, x), (b, y)) for a, b in itertools.combinations(ends, 2)
                for x in ends[a] for y in ends[b]}
        while left and (self.most is None or len(self.rows) < self.most):
            pair = min(left, key=str) if rng.random() < 0.5 else rng.choice(sorted(left, key=str))
            row = self._row_with_network(dict(pair), ends, left, rng)
            if row is None:
                left.discard(pair)
                continue
            self.rows.append(row)
            left -= {pair for pair in left
                     if all(row.get(name, _NONE) == value for name, value in pair)}

    def _row_with_network(self, pair: Row, ends: Mapping[str, tuple[Any, ...]], left: set[Any],
                          rng: random.Random) -> Row | None:
        """Complete a pair to a row that a network fits, at last with few other options."""
        for attempt in range(_ROWS):
            row = (self._row(pair, ends, left, rng) if attempt < _ROWS - 1 else
                   self._row(pair, {name: ends[name] for name in ends if name in pair}, left, rng))
            if row is None or self.only_lint:
                return row
            numbers = np.random.default_rng([self.seed, len(self.rows), attempt])
            try:
                self.networks.append(random_network(
                    self.engine, _given(row), numbers, int(numbers.integers(1, 4))))
            except InputError as error:
                self.refused[tuple(pair.items())] = _why(error)
            else:
                self.refused.pop(tuple(pair.items()), None)
                return row
        return None

    def _row(self, pair: Row, ends: Mapping[str, tuple[Any, ...]], left: set[Any],
             rng: random.Random) -> Row | None:
        """Complete a pair to the best of many random rows that are configurations."""
        best: Row | None = None
        most, reason = -1, ""
        for attempt in range(_TRIES):
            row = dict(pair) if attempt % 3 else {
                name: pair.get(name, rng.choice(values)) for name, values in ends.items()}
            found = refusal(self.engine, row)
            reason = reason or refusal(self.engine, pair) or ""
            # Where a pair needs others beside it, the configuration names them.
            for _ in range(_HINTS):
                if found is None:
                    break
                for name in ends:
                    if name not in pair and re.search(rf"\b{name}\b", found):
                        row[name] = rng.choice(ends[name])
                found = refusal(self.engine, row)
            if found is not None:
                continue
            for name in rng.sample([*ends], len(ends)):
                for value in rng.sample(ends[name], len(ends[name])):
                    if name not in row and refusal(self.engine, {**row, name: value}) is None:
                        row[name] = value
            if refusal(self.engine, row) is not None:
                continue
            new = sum(all(row.get(name, _NONE) == value for name, value in each) for each in left)
            if new > most:
                best, most = row, new
            if attempt >= _ORDERS:
                break
        if best is None:
            self.refused[tuple(pair.items())] = reason
        return best


def refusal(engine: Engine, row: Row) -> str | None:
    """Tell why options do not go together; None if they do.

    Raises
    ------
    InputError
        If that is no single line.
    """
    try:
        engine.make_config(_given(row))
    except InputError as error:
        if any(line in str(error) for line in _LINES):
            raise
        return str(error)
    return None


def _given(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None}


class OutOfTime(Exception):
    """The time is up, and something is not known."""


class Passed:
    """What has passed, in a file.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        The file: JSON, what was compared by the digest of what was checked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = (json.loads(path.read_text(encoding="utf-8"))
                                       if path.is_file() else {})

    def lint(self, config: EngineConfig, end_time: float = math.inf) -> str:
        """Lint an engine's Verilog; return with what.

        Raises
        ------
        LintError
            If there is a warning.
        """
        files, top = dict(emit_engine(config)), engine_top(config)
        return self.check(lambda: check_lint(files, top), "lint", files, end_time=end_time)

    def check(self, check: Callable[[], str], *what: Any, end_time: float = math.inf) -> str:
        """Return what was compared, after a check if it is not known.

        ``what`` is all that it depends on, as JSON takes it.

        Raises
        ------
        OutOfTime
            If it is not known, and the end of the time has come.
        """
        key = hashlib.sha256(json.dumps(what, default=str).encode()).hexdigest()[:24]
        if key not in self._known:
            if time.monotonic() > end_time:
                raise OutOfTime
            self._known[key] = check()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(self._known, indent=1) + "\n")
        return self._known[key]


def check_lint(files: Mapping[str, str], top: str) -> str:
    """Lint the Verilog of an engine, by file name; return what found nothing.

    Raises
    ------
    LintError
        If there is a warning.
    """
    with tempfile.TemporaryDirectory() as name:
        sources = write(files, Path(name))
        lint(sources, top)
        try:
            import pyslang
        except ImportError:
            return "Verilator"
        driver: Any = pyslang.driver.Driver()
        driver.addStandardArgs()
        driver.parseCommandLine(" ".join(["slang", "-Wextra", "-Wunused", *map(str, sources)]))
        if not (driver.processOptions() and driver.parseAllSources()):
            raise LintError("pyslang cannot read it")
        found = [each for each in driver.createCompilation().getAllDiagnostics()
                 if str(each.code) not in _WAIVED]
        if found:
            told = pyslang.DiagnosticEngine.reportAll(driver.sourceManager, found)
            raise LintError(f"pyslang: {told.strip()}")
        return "Verilator and pyslang"


def check_network(compiled: Compiled, x: NDArray[np.integer]) -> str:
    """Run two inferences of a network on its engine; return what was compared.

    Raises
    ------
    SimulationError, AssertionError
        If something is wrong.
    """
    result = simulation_of(compiled.config).compare(
        compiled.inner, compiled.group(x), build_engine(compiled.config, quick=True))
    if result.mismatches or result.cycle_mismatches:
        raise AssertionError(f"{result.mismatches} integers and {result.cycle_mismatches} cycles "
                             "differ")
    return f"{result.compared_integers} integers, {int(result.layer_cycles.sum())} cycles"


def row_at_end(engine: Engine, name: str, value: Any, *, most: int) -> tuple[Row | None, str]:
    """Return the smallest row that has an option at an end, or None and why there is none.

    Other options are in the row where the configuration asks for them, or where the engine would
    have more than so many processing elements.
    """
    ends, small = ends_of(engine), small_ends(engine)
    rows, reason = [{name: value}], ""
    for _ in range(_COMPANIONS):
        if not rows:
            break
        row = rows.pop(0)
        refused = refusal(engine, row)
        if refused is None:
            config = engine.make_config(row)
            # An engine of two others has the configurations of both.
            pes = max(max(getattr(part, "pes", 0),
                          getattr(part, "rows", 0) * getattr(part, "columns", 0))
                      for part in (config, *vars(config).values()))
            if pes <= most:
                return row, ""
            reason = f"{pes} processing elements"
            others = [other for other in small if other in _SIDES]
        else:
            reason = reason or refused
            others = re.findall(r"\w+", refused)
        for other in [other for other in others if other in ends and other not in row][:1]:
            low = ends[other][0]
            values = (*small[other], value, *ends[other], *([low + 1] if type(low) is int else []))
            rows += [{**row, other: each} for each in dict.fromkeys(values)
                     if type(each) is type(low)]
    return None, reason


def check_ends(engine: Engine, options: argparse.Namespace, end_time: float = math.inf
               ) -> dict[str, int]:
    """Check each option at its true ends, the others small, print what was found, and count it.

    After the end of the time no row begins whose result is not kept.
    """
    passed = Passed(_FOLDER / "configurations" / f"{engine.name}.json")
    sums = {"ends": 0, "refused": 0, "passed": 0, "failed": 0, "left": 0}
    print(f"{engine.name}: options at their true ends", flush=True)
    for name, values in ends_of(engine).items():
        for value in dict.fromkeys(values):
            sums["ends"] += 1
            row, reason = row_at_end(engine, name, value, most=options.largest)
            if row is None:
                sums["refused"] += 1
                print(f"  {name}={value}: refused: {reason}", flush=True)
                continue
            with counted(sums, _written(row), row) as tell:
                tell(check_end(engine, row, passed, options, end_time))
    return sums


def check_end(engine: Engine, row: Row, passed: Passed, options: argparse.Namespace,
              end_time: float) -> str:
    """Lint a row, and run a network on it if there is one that fits; return what was compared."""
    reason = ""
    for attempt in range(0 if options.lint else _ROWS):
        numbers = np.random.default_rng([options.seed, attempt])
        try:
            network = random_network(engine, row, numbers, int(numbers.integers(1, 4)))
        except InputError as error:
            reason = f"; no random network fits: {_why(error)}"
        else:
            return check_row(network, passed, end_time)
    return passed.lint(engine.make_config(row), end_time) + reason


@contextlib.contextmanager
def counted(sums: dict[str, int], label: str, row: Row) -> Iterator[Callable[[str], None]]:
    """Count whether a check passes, fails or is left, and print what it tells or why it fails."""
    def tell(done: str) -> None:
        sums["passed"] += 1
        print(f"  {label}: {done}", flush=True)

    try:
        yield tell
    except (LintError, SimulationError, AssertionError) as error:
        sums["failed"] += 1
        print(f"  {label}: FAILED: {' '.join(str(error).split())[:400]}\n    {row}", flush=True)
    except OutOfTime:
        sums["left"] += 1


def _written(row: Row) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items())


def _why(error: InputError) -> str:
    """Return an error of a random network, whose file is of no interest."""
    return re.sub(r"^\S*\.onnx: ", "", str(error))


def check_row(network: Network, passed: Passed, end_time: float = math.inf) -> str:
    """Lint an engine and run a network on it; return what was compared.

    Raises
    ------
    LintError, SimulationError, AssertionError
        If something is wrong.
    OutOfTime
        If it is not known, and the time is up.
    """
    compiled, x = network
    linted = passed.lint(compiled.config, end_time)
    x = x[:2 * compiled.batch]
    said = [compiled.run(x).tolist(), compiled.counters(x)]
    ran = passed.check(lambda: check_network(compiled, x), "network",
                       dict(emit_engine(compiled.config)), compiled.host.words.tolist(),
                       x.tolist(), said, end_time=end_time)
    return f"{linted}; {ran}"


def check_engine(engine: Engine, options: argparse.Namespace, end_time: float = math.inf
                 ) -> dict[str, int]:
    """Check an engine's matrix, print what was found, and return how much it was.

    After the end of the time no row begins whose result is not kept.
    """
    matrix = Matrix(engine, options.seed, options.lint)
    passed = Passed(_FOLDER / "configurations" / f"{engine.name}.json")
    print(f"{engine.name}: {len(matrix.rows)} rows; {len(matrix.refused)} pairs refused",
          flush=True)
    for pair, reason in matrix.refused.items():
        print(f"  {_written(dict(pair))}: {reason}")
    sums = {"rows": len(matrix.rows), "refused": len(matrix.refused), "passed": 0, "failed": 0,
            "left": 0}
    end = None if options.rows is None else options.start + options.rows
    for number, row in [*enumerate(matrix.rows)][options.start:end]:
        with counted(sums, f"row {number}", _given(row)) as tell:
            tell(passed.lint(engine.make_config(_given(row))) if options.lint else
                 check_row(matrix.networks[number], passed, end_time))
    return sums


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", help="engine (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the matrix (default: 0)")
    parser.add_argument("--rows", type=int, help="run so many rows of each matrix (default: all)")
    parser.add_argument("--minutes", type=float, default=math.inf,
                        help="begin no row later, and go on when called again")
    parser.add_argument("--start", type=int, default=0, help="first row to run (default: 0)")
    parser.add_argument("--lint", action="store_true", help="do not simulate")
    parser.add_argument("--largest", type=int, metavar="PES", help="in place of the matrix, each "
                        "option at both its true ends, in engines of up to so many processing "
                        "elements")
    options = parser.parse_args()
    found: dict[str, dict[str, int]] = {}
    end_time = time.monotonic() + 60 * options.minutes
    for engine in [find_engine(options.engine)] if options.engine else [*engines()]:
        began = time.process_time()
        check = check_engine if options.largest is None else check_ends
        found[engine.name] = check(engine, options, end_time)
        print(f"  {time.process_time() - began:.0f} s of CPU time of this process",
              file=sys.stderr)
    sums = Counter[str]()
    for each in found.values():
        sums.update(each)
    print(f"Together: {', '.join(f'{name} {count}' for name, count in sums.items())}")
    if not options.engine and not options.lint:
        update_report(_FOLDER, "configurations" if options.largest is None else "true_ends",
                      {**sums, "engines": found})
    return int(sums["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
