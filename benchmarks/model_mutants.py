"""Mutants of golden and cycle models: Cosmic Ray makes them, the models' own tests must see them.

    python benchmarks/model_mutants.py --per-file 60
    python benchmarks/model_mutants.py --only model/sparse/timing.py --per-file 200 --jobs 2

A mutant has another operator, number, condition or loop in one place of a file. Places are drawn
at random, and then a change of each. Each mutant runs, in a process of its own, the tests that
``make test`` has of the file, until one fails or takes far more time. Survivors that
``tests/mutation_reasons.toml`` explains are told apart; with others the status is 1.

Results are kept in ``build/verify/model_mutants`` as long as the file is the same; survivors are
tried again when its tests change. The sums go into ``build/verify/report.json``.
"""

import argparse
import ast
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import sys
import time
import tomllib
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import CodeType
from typing import Any

import hypothesis
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from eieio.sim.verification_report import update_report

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "verify" / "model_mutants"
REASONS = ROOT / "tests" / "mutation_reasons.toml"

#: Files, and the tests that are theirs.
FILES = {
    "model/fixed_point.py": ("tests/model/test_fixed_point.py",),
    "model/graph/golden.py": ("tests/model/graph/test_golden.py",
                              "tests/model/graph/test_rescale.py",
                              "tests/model/graph/test_stacks.py"),
    "model/winograd.py": ("tests/model/test_winograd.py",),
    "model/sparse/csc.py": ("tests/model/sparse/test_csc.py",),
    "model/sparse/timing.py": ("tests/model/sparse/test_timing.py",
                               "tests/model/sparse/test_accesses.py"),
    "model/systolic/timing.py": ("tests/model/systolic/test_timing.py",),
}
#: Gigabytes of memory, and seconds beyond twice what the tests take.
MEMORY, PATIENCE = 4, 5


@dataclass(frozen=True)
class Mutant:
    """A change of a file.

    Attributes
    ----------
    operator, occurrence : :class:`str`, :class:`int`
        What Cosmic Ray calls it.
    line : :class:`int`
        Line of the source, from 1 on.
    """

    operator: str
    occurrence: int
    line: int

    @property
    def key(self) -> str:
        return f"{self.operator} {self.occurrence}"


def list_mutants(source: str, count: int, seed: int) -> list[Mutant]:
    """Draw mutants of a source, each in a place of its own as long as there are places."""
    tree = get_ast(source)
    places: dict[Any, list[Mutant]] = defaultdict(list)
    for name in sorted(operator_names()):
        # Numbers are not told apart by what they are stored in, and annotations are not run.
        kind = name.partition("/")[2]
        if kind.startswith("Variable") or kind.endswith(("_Is", "_IsNot")):
            continue
        operator = get_operator(name)()
        occurrence = 0
        for node in ast_nodes(tree):
            for begin, _ in operator.mutation_positions(node):
                places[begin].append(Mutant(name, occurrence, begin[0]))
                occurrence += 1
    draw = random.Random(seed)
    same = ast.dump(_without_annotations(source))
    chosen: list[Mutant] = []
    order = sorted(places)
    draw.shuffle(order)
    for begin in order:
        draw.shuffle(places[begin])
    while len(chosen) < count and any(places.values()):
        for begin in order:
            if places[begin] and len(chosen) < count:
                mutant = places[begin].pop()
                try:
                    if ast.dump(_without_annotations(mutated(source, mutant))) != same:
                        chosen.append(mutant)
                except SyntaxError:
                    pass
    return chosen


def _without_annotations(source: str) -> ast.AST:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Name("object")
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    return tree


def mutated(source: str, mutant: Mutant) -> str:
    """Return the source with a change."""
    text = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    assert text is not None
    return text


class Replaced(MetaPathFinder):
    """Lets a module have another source."""

    def __init__(self, module: str, source: str) -> None:
        self.module, self.source = module, source

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        source = self.source

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", SyntaxWarning)
                    return compile(source, self.path, "exec")

        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=Loader(fullname, spec.origin))


class Failures:
    """Plugin: remembers the first test that failed."""

    def __init__(self) -> None:
        self.first = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.first:
            self.first = report.nodeid.rpartition("/")[2]


def run(file: str, source: str, limit: float | None) -> dict[str, Any]:
    """Run the tests of a file that has another source, in another process."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which only wait
        process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            _child(file, source, limit, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, _, usage = os.wait4(process, 0)
    seconds = round(usage.ru_utime + usage.ru_stime, 2)
    result = json.loads(said) if said else {"killed": True, "by": "time or memory"}
    return {**result, "seconds": seconds}


def _child(file: str, source: str, limit: float | None, pipe: int) -> None:
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY << 30, MEMORY << 30))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.chdir(ROOT)
    module = ".".join(["eieio", *Path(file).with_suffix("").parts])
    sys.meta_path.insert(0, Replaced(module, source))
    # That a test fails is enough, what the smallest example is nobody asks.
    profile = hypothesis.settings.register_profile
    type.__setattr__(hypothesis.settings, "register_profile", partial(profile, phases=(
        hypothesis.Phase.explicit, hypothesis.Phase.generate)))
    failures = Failures()
    status = pytest.main(
        ["-x", "-q", "--no-header", "--no-summary", "--assert=plain", "--tb=no", "-m", "not long",
         "-p", "no:cacheprovider", "-p", "no:xdist", "-c", "pyproject.toml", *FILES[file]],
        plugins=[failures])
    os.write(pipe, json.dumps({"killed": status != pytest.ExitCode.OK, "by": (
        failures.first or str(status)) if status else ""}).encode())
    os._exit(0)


def test_file(file: str, options: argparse.Namespace) -> Iterator[tuple[Mutant, dict[str, Any]]]:
    """Run mutants of a file, or find what became of them."""
    source = (ROOT / file).read_text(encoding="utf-8")
    digest, tests = (hashlib.sha256("".join(texts).encode()).hexdigest() for texts in (
        [source], [(ROOT / test).read_text(encoding="utf-8") for test in FILES[file]]))
    path = FOLDER / f"{file.replace('/', '.')}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if known.get("digest") != digest:
        known = {"digest": digest, "tests": tests, "mutants": {}}
    if known["tests"] != tests:
        known = {"digest": digest, "tests": tests, "mutants": {
            key: one for key, one in known["mutants"].items() if one["killed"]}}
    mutants = list_mutants(source, options.per_file, options.seed)
    todo = [mutant for mutant in mutants if mutant.key not in known["mutants"]]
    if todo and "seconds" not in known:
        original = run(file, source, None)
        if original["killed"]:
            raise SystemExit(f"{file}: {original['by']} fails without a mutant")
        known["seconds"] = original["seconds"]
    FOLDER.mkdir(parents=True, exist_ok=True)

    def judge(mutant: Mutant) -> tuple[Mutant, dict[str, Any] | None]:
        if time.monotonic() > options.end:
            return mutant, None
        return mutant, run(file, mutated(source, mutant), PATIENCE + 2 * known["seconds"])

    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, result in pool.map(judge, todo):
            if result is not None:
                known["mutants"][mutant.key] = result
                new = path.with_suffix(".new")
                new.write_text(json.dumps(known, indent=1), encoding="utf-8")
                new.replace(path)
    for mutant in mutants:
        if mutant.key in known["mutants"]:
            yield mutant, known["mutants"][mutant.key]


def reason_of(file: str, line: str, mutant: Mutant, reasons: Sequence[dict[str, str]]) -> str:
    """Return why a survivor in a line of a file is none of the tests' business, or nothing."""
    return next((one["reason"] for one in reasons if one["file"] == file and one["line"] in line
                 and one.get("operator", "") in mutant.operator), "")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(FILES), choices=FILES, metavar="FILE",
                        help=f"files: {', '.join(FILES)} (default: all)")
    parser.add_argument("--per-file", type=int, default=60, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"),
                        help="end in about so much time, and go on when called again")
    options = parser.parse_args()
    options.end = time.monotonic() + 60 * options.minutes

    reasons = tomllib.loads(REASONS.read_text(encoding="utf-8")).get("model", [])
    total: Counter[str] = Counter()
    rows, unexplained = [], 0
    for file in options.only:
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        count: Counter[str] = Counter()
        for mutant, result in test_file(file, options):
            text = lines[mutant.line - 1].strip()
            reason = reason_of(file, text, mutant, reasons)
            status = "killed" if result["killed"] else "explained" if reason else "survived"
            count[status] += 1
            if not result["killed"]:
                unexplained += not reason
                print(f"{file}:{mutant.line}: {mutant.key}: {text}"
                      + (f" -- {reason}" if reason else ""), flush=True)
        rows.append(f"| `{file}` | {count.total()} | {count['killed']} | {count['explained']} "
                    f"| {count['survived']} |")
        total += count
    print("| file | mutants | killed | explained | survived |\n|---|---:|---:|---:|---:|")
    print("\n".join(rows))
    print(f"| together | {total.total()} | {total['killed']} | {total['explained']} "
          f"| {total['survived']} |")
    if set(options.only) == set(FILES):
        update_report(ROOT / "build" / "verify", "model_mutants", {
            "total": total.total(), **{name: total[name] for name in (
                "killed", "explained", "survived")}})
    return int(bool(unexplained))


if __name__ == "__main__":
    sys.exit(main())
