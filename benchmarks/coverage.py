"""Coverage of the emitted Verilog by the tests that simulate it, with Verilator's counters.

    python benchmarks/coverage.py --minutes 30
    python benchmarks/coverage.py --holes rtl/bus

Every file of tests in ``tests/sim`` and ``tests/rtl`` that simulates Verilog runs once, as in `make
test`, with lines, branches, toggles of named signals, and terms of expressions counted. Points are
those of all configurations together, by lines of the Amaranth sources. Points that
``tests/coverage_exclusions.toml`` excludes, with a reason, do not count. The table says per source
file how many points were met; ``--holes`` lists the others. A second table tells of what
``tests/cover_points.toml`` names how often the rarest of its points was met.

What a file of tests has met is kept in ``build/verify/coverage`` as long as it and all sources are
the same. The figures go into ``build/verify/report.json``.
"""

import argparse
import hashlib
import math
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from eieio.model.child_process import run_program
from eieio.sim.coverage.measure import measured, read_points, write_points
from eieio.sim.coverage.points import Point
from eieio.sim.verification_report import update_report

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "verify" / "coverage"
EXCLUSIONS = ROOT / "tests" / "coverage_exclusions.toml"
COVER_POINTS = ROOT / "tests" / "cover_points.toml"
KINDS = ("line", "branch", "toggle", "expression")


@dataclass(frozen=True)
class Pattern:
    """Points that no test can meet, or need not; or those that are something to be met."""

    file: str
    kind: str
    line: str
    what: str
    said: str

    def holds(self, point: Point, text: str) -> bool:
        """Whether a point at a line of the source is one of them."""
        return bool(re.fullmatch(self.file, point.file) and re.fullmatch(self.kind, point.kind)
                    and self.line in text and re.search(self.what, point.what))


def patterns(path: Path, table: str, said: str) -> list[Pattern]:
    """Read patterns of file, kind and point, and a part of the line."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get(table, [])
    return [Pattern(one["file"], one.get("kind", ".*"), one.get("line", ""),
                    one.get("what", ""), one[said]) for one in entries]


def test_files() -> list[Path]:
    """Find the files of tests that simulate Verilog."""
    simulates = re.compile(r"eieio\.sim\.(?!amaranth_streams|mutation|coverage)|record_ports")
    return [path.relative_to(ROOT)
            for folder in ("tests/rtl", "tests/sim") for path in sorted(
                (ROOT / folder).rglob("test_*.py"))
            if simulates.search(path.read_text(encoding="utf-8"))]


def identity(test: Path) -> str:
    """Digest of all that the coverage by a file of tests depends on."""
    paths = [ROOT / test, *(path for folder in ("model", "rtl", "sim", "tests/helpers")
                            for path in sorted((ROOT / folder).rglob("*"))
                            if path.suffix in (".py", ".sv", ".vlt")
                            and path.parent != ROOT / "sim" / "mutation")]
    texts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]


def run_file(test: Path, kept: Path, log: Path, seconds: float | None, *, long: bool) -> str:
    """Run a file of tests in a process of its own, and return how it ended."""
    environment = os.environ | {"EIEIO_CACHE": str(FOLDER / "cache")}
    try:
        reply = run_program([sys.executable, __file__, "--measure", str(test), str(kept),
                             *["--long"] * long], cwd=ROOT, env=environment, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "left for want of time"
    log.write_text(reply.stdout + reply.stderr, encoding="utf-8")
    ends = re.findall(r"(?m)^.*\d+ (?:passed|failed|skipped|deselected).*$", reply.stdout)
    return ends[-1].strip("= ") if ends else f"status {reply.returncode}, see {log}"


def measure(test: str, kept: Path, *, long: bool) -> int:
    """Run a file of tests in this process, those that take long, too, if wanted."""
    import pytest

    # Icarus counts nothing: tests that take what there is take Verilator.
    which = shutil.which
    with measured() as points, patch.object(
            shutil, "which", lambda name, *args, **options: None if name == "iverilog"
            else which(name, *args, **options)):
        status = pytest.main(["-q", "--tb=short", "-m", "" if long else "not long",
                              "-p", "no:cacheprovider", "-p", "no:xdist", test])
    # Tests of the Verilog's text fail, since it holds more than it should.
    if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED,
                  pytest.ExitCode.NO_TESTS_COLLECTED):
        write_points(kept, points)
    return int(status)


def lines_of(place: str, texts: dict[str, list[str]]) -> str:
    """Return the line of the source at a place."""
    file, _, number = place.partition(":")
    if file and file not in texts:
        texts[file] = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return texts[file][int(number) - 1].strip() if file else ""


def tell(points: Mapping[Point, int]) -> tuple[dict[str, Counter[str]], list[Point]]:
    """Count points by source file, and list those that were not met.

    Keys of a counter are a kind, the kind with "met", and with "excluded".
    """
    excluded = patterns(EXCLUSIONS, "exclusion", "reason")
    texts: dict[str, list[str]] = {}
    table: dict[str, Counter[str]] = defaultdict(Counter)
    holes = []
    for point, count in sorted(points.items()):
        row = table[point.file or "of no source in rtl"]
        if not count and any(one.holds(point, lines_of(point.place, texts)) for one in excluded):
            row[f"{point.kind} excluded"] += 1
            continue
        row[point.kind] += 1
        row[f"{point.kind} met"] += bool(count)
        if not count:
            holes.append(point)
    return table, holes


def cover_points(points: Mapping[Point, int]) -> Iterator[str]:
    """Write how often the rarest point was met of each thing to be met."""
    texts: dict[str, list[str]] = {}
    yield "| what must happen | points | least often |"
    yield "|---|---:|---:|"
    for one in patterns(COVER_POINTS, "cover", "name"):
        counts = [count for point, count in points.items()
                  if re.fullmatch(one.file, point.file)
                  and one.holds(point, lines_of(point.place, texts))]
        yield f"| {one.said} | {len(counts)} | {min(counts, default=0)} |"


def share(row: Mapping[str, int], kind: str) -> str:
    total = row.get(kind, 0)
    return f"{row.get(f'{kind} met', 0) / total:.1%} of {total}" if total else "-"


def report(table: Mapping[str, Counter[str]]) -> Iterator[str]:
    """Write the table: files, folders, and all together."""
    yield "| source | lines | branches | toggles | expressions | excluded |"
    yield "|---|---:|---:|---:|---:|---:|"
    folders: dict[str, Counter[str]] = defaultdict(Counter)
    for file, row in sorted(table.items()):
        folders[file.rpartition("/")[0]].update(row)
        yield _row(file, row)
    for folder, row in sorted(folders.items()):
        if folder:
            yield _row(f"{folder}/", row)
    yield _row("together", sum(table.values(), Counter()))


def _row(name: str, row: Mapping[str, int]) -> str:
    excluded = sum(row.get(f"{kind} excluded", 0) for kind in KINDS)
    return f"| {name} | {' | '.join(share(row, kind) for kind in KINDS)} | {excluded} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[],
                        help="run only files of tests whose paths hold one of these")
    parser.add_argument("--minutes", type=float, default=float("inf"),
                        help="begin no file of tests later; the next call goes on")
    parser.add_argument("--holes", nargs="*", metavar="FILE",
                        help="list what was not met in sources whose paths begin so")
    parser.add_argument("--report", action="store_true",
                        help="run nothing, and take what is kept, of older sources too")
    parser.add_argument("--long", action="store_true",
                        help="run what `make test-long` runs, too")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        return measure(options.measure[0], Path(options.measure[1]), long=options.long)

    end = time.monotonic() + 60 * options.minutes
    FOLDER.mkdir(parents=True, exist_ok=True)
    points: Counter[Point] = Counter()
    failed = False
    measured_files, left = [], []
    for test in test_files():
        name = "-".join(test.with_suffix("").parts[1:])
        kept = FOLDER / f"{name}.json"
        mark = FOLDER / f"{name}.identity"
        wanted = any(part in str(test) for part in options.only) or not options.only
        now = identity(test)
        known = mark.read_text().split() if mark.exists() else []
        fresh = kept.exists() and (options.report or (
            known[:1] == [now] and (not options.long or known[1:] == ["long"])))
        if not fresh and wanted and not options.report and time.monotonic() < end:
            started = time.monotonic()
            kept.unlink(missing_ok=True)
            how = run_file(test, kept, FOLDER / f"{name}.log",
                           None if math.isinf(end) else max(end - time.monotonic(), 60) + 600,
                           long=options.long)
            mark.write_text(f"{now} long" if options.long else now)
            fresh = kept.exists()
            failed |= not fresh
            print(f"{test}: {how}, {time.monotonic() - started:.0f} s", flush=True)
        if fresh:
            measured_files.append(test)
            points.update(read_points(kept))
        else:
            left.append(test)
    table, holes = tell(points)
    print("\n".join([*report(table), "", *cover_points(points)]))
    print(f"Files of tests: {len(measured_files)} measured, {len(left)} left"
          + "".join(f"\n  left: {test}" for test in left))
    texts: dict[str, list[str]] = {}
    for point in holes:
        if options.holes is not None and (
                not options.holes or point.file.startswith(tuple(options.holes))):
            print(f"{point.kind} {point.place or point.file}: {point.what}: "
                  f"{lines_of(point.place, texts)}")
    together = sum(table.values(), Counter())
    update_report(ROOT / "build" / "verify", "coverage_files",
                  {"measured": len(measured_files), "left": len(left)})
    for kind in KINDS:
        if together[kind]:
            update_report(ROOT / "build" / "verify", f"{kind}_coverage",
                          round(together[f"{kind} met"] / together[kind], 5))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
