"""Lints and runs engines whose options stand at their ends, in every pair.

    python benchmarks/configurations.py                      # every engine
    python benchmarks/configurations.py --engine sparse --rows 4 --seed 1
    python benchmarks/configurations.py --lint               # Verilog and lint alone

An engine's options, and the ends of their ranges, are what its configuration checks when it is
made. Each row of the matrix is a configuration that a random network fits; together the rows have
every pair of ends of every two options that can go together. What cannot must be refused in one
line. The Verilog of each row passes ``verilator -Wall`` with the project's waivers, and pyslang if
it is installed; then the network runs on the RTL, and all integers, cycles and counters must be the
golden and the cycle model's. Large ends of sizes are small here, as the matrix would not build
otherwise: of memories 1,024 words, of processing elements 16 or 4 x 4. With ``--largest`` each
option stands alone at its true ends, for lint.

Rows are chosen greedily. A generator of pairs from PyPI would have to be told which options go
together; here only the configuration knows. What has passed is kept in
``build/verify/configurations``, and not repeated while its Verilog, its network and what the models
say of it are the same; ``build/verify/report.json`` gets the sums. Exits with status 1 if a row
fails.
"""

import argparse
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
from collections.abc import Callable, Mapping
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
#: Options whose product has little room.
_SMALLEST = {"patch_rows": 2, "patch_columns": 1, "patch_channels": 1}
#: Values next to an end that are tried in its place.
_NEAR = 16
_LINES = ("\n", "\r")
#: Orders of options that are tried for a row, hints that are followed, rows that are tried until a
#: network fits, and what no option is.
_ORDERS, _HINTS, _ROWS, _NONE = 8, 12, 4, object()

#: What pyslang may find is what ``sim/lint.vlt`` waives, with the same reasons.
_WAIVED = frozenset(f"DiagCode({name})" for name in (
    "ArithOpMismatch", "CaseDefault", "SignConversion", "UnusedButSetNet", "WidthTruncate"))

Row = dict[str, Any]


def ends_of(engine: Engine) -> dict[str, tuple[Any, ...]]:
    """Return the ends of each option's range, which its configuration checks; flags have two."""
    ends: dict[str, tuple[Any, ...]] = {}
    parts: list[tuple[EngineConfig, tuple[tuple[str, int, int], ...]]] = []
    flags: list[tuple[EngineConfig, tuple[str, ...]]] = []
    integers, booleans = EngineConfig._check_integers, EngineConfig._check_flags

    def check(config: EngineConfig, *ranges: tuple[str, int, int]) -> None:
        parts.append((config, ranges))
        integers(config, *ranges)

    def check_flags(config: EngineConfig, *names: str) -> None:
        flags.append((config, names))
        booleans(config, *names)

    with patch.object(EngineConfig, "_check_integers", check), \
            patch.object(EngineConfig, "_check_flags", check_flags):
        engine.make_config({})
    names = {option.name for option in engine.options}
    for _, ranges in parts:
        for name, low, high in ranges:
            # An engine of two others has some of their options by another name.
            for own in (name, f"dense_{name}"):
                if own in names and own not in ends:
                    ends[own] = (low, high)
                    break
    for _, given in flags:
        for name in given:
            if name in names:
                ends[name] = (False, True)
    for option in engine.options:
        if option.kind == "text":
            try:
                engine.make_config({option.name: "?"})
            except InputError as error:
                found = re.search(r"one of (.*), not", str(error))
                ends[option.name] = tuple(found[1].split(", ")) if found else (option.default,)
    return ends


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
        if isinstance(low, bool) or not isinstance(low, int) or name == "clock_mhz":
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
                self.refused[tuple(pair.items())] = str(error).split(": ", 1)[-1]
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
            found = self._refusal(row)
            reason = reason or self._refusal(pair) or ""
            # Where a pair needs others beside it, the configuration names them.
            for _ in range(_HINTS):
                if found is None:
                    break
                for name in ends:
                    if name not in pair and re.search(rf"\b{name}\b", found):
                        row[name] = rng.choice(ends[name])
                found = self._refusal(row)
            if found is not None:
                continue
            for name in rng.sample([*ends], len(ends)):
                for value in rng.sample(ends[name], len(ends[name])):
                    if name not in row and self._refusal({**row, name: value}) is None:
                        row[name] = value
            if self._refusal(row) is not None:
                continue
            new = sum(all(row.get(name, _NONE) == value for name, value in each) for each in left)
            if new > most:
                best, most = row, new
            if attempt >= _ORDERS:
                break
        if best is None:
            self.refused[tuple(pair.items())] = reason
        return best

    def _refusal(self, row: Row) -> str | None:
        """Tell why options do not go together; None if they do.

        Raises
        ------
        InputError
            If that is no single line.
        """
        try:
            self.engine.make_config(_given(row))
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


def check_largest(engine: Engine, passed: Passed, *, most: int) -> list[str]:
    """Lint an engine with each option at its true ends, the others small; return failures."""
    failures = []
    for name, values in ends_of(engine).items():
        for value in dict.fromkeys((values[0], values[-1])):
            try:
                config = engine.make_config({name: value})
            except InputError as error:
                if any(line in str(error) for line in _LINES):
                    failures.append(f"{name}={value}: refused in more than a line")
                continue
            if getattr(config, "pes", 0) > most or (isinstance(value, int) and value > most
                                                    and not name.endswith(("_depth", "_bytes"))):
                continue
            try:
                passed.lint(config)
            except LintError as error:
                failures.append(f"{name}={value}: {str(error).splitlines()[0]}")
    return failures


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
        print(f"  {', '.join(f'{name}={value}' for name, value in pair)}: {reason}")
    sums = {"rows": len(matrix.rows), "refused": len(matrix.refused), "passed": 0, "failed": 0,
            "left": 0}
    end = None if options.rows is None else options.start + options.rows
    for number, row in [*enumerate(matrix.rows)][options.start:end]:
        try:
            done = (passed.lint(engine.make_config(_given(row))) if options.lint else
                    check_row(matrix.networks[number], passed, end_time))
        except (LintError, SimulationError, AssertionError) as error:
            sums["failed"] += 1
            print(f"  row {number}: FAILED: {' '.join(str(error).split())[:400]}\n"
                  f"    {_given(row)}", flush=True)
        except OutOfTime:
            sums["left"] += 1
        else:
            sums["passed"] += 1
            print(f"  row {number}: {done}", flush=True)
    if options.largest is not None:
        failures = check_largest(engine, passed, most=options.largest)
        sums["failed"] += len(failures)
        print(f"  true ends: {len(failures)} failed", flush=True)
        for failure in failures:
            print(f"    {failure}")
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
    parser.add_argument("--largest", type=int, metavar="PES", help="lint each option at both its "
                        "true ends, too, in engines of up to so many processing elements")
    options = parser.parse_args()
    found: dict[str, dict[str, int]] = {}
    end_time = time.monotonic() + 60 * options.minutes
    for engine in [find_engine(options.engine)] if options.engine else [*engines()]:
        began = time.process_time()
        found[engine.name] = check_engine(engine, options, end_time)
        print(f"  {time.process_time() - began:.0f} s of CPU time of this process",
              file=sys.stderr)
    sums = Counter[str]()
    for each in found.values():
        sums.update(each)
    print(f"Together: {', '.join(f'{name} {count}' for name, count in sums.items())}")
    if not options.engine and not options.lint:
        update_report(_FOLDER, "configurations", {**sums, "engines": found})
    return int(sums["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
