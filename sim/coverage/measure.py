"""Lets simulations of this process count what they do."""

import functools
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from eieio.rtl.emit import sources_kept
from eieio.sim import replay, runner
from eieio.sim.coverage.points import Point, count_points
from eieio.sim.coverage.sources import ModuleSources, module_sources
from eieio.sim.tied_runner import tied_runner

__all__ = ["ARGUMENTS", "measured", "read_points", "write_points"]

#: How Verilator is to count.
ARGUMENTS = ("--coverage-line", "--coverage-toggle", "--coverage-expr")

_SOURCES = "coverage-sources"


@contextmanager
def measured() -> Iterator[Counter[Point]]:
    """Build all simulations within so that they count, and give what they count.

    Their cache must be one of its own: an ordinary simulation counts nothing.
    """
    points: Counter[Point] = Counter()
    original = tied_runner

    def counting(simulator: str, *args: Any, **kwargs: Any) -> Any:
        tied = original(simulator, *args, **kwargs)
        return _counting(tied, points) if simulator == "verilator" else tied

    def take(counts: Path, sources: Path) -> None:
        points.update(count_points(counts, _modules(sources)))

    with sources_kept(), patch.object(runner, "tied_runner", counting), \
            replay.counted(ARGUMENTS, take):
        yield points


def _counting(tied: Any, points: Counter[Point]) -> Any:
    build, test = tied.build, tied.test

    def counted_build(*, sources: Sequence[Path], build_args: Sequence[str], log_file: Path,
                      **options: Any) -> None:
        build(sources=sources, build_args=[*build_args, *ARGUMENTS], log_file=log_file, **options)
        # The log is in the folder that stays.
        kept = log_file.parent / _SOURCES
        kept.mkdir(exist_ok=True)
        for source in sources:
            if source.suffix in (".v", ".sv"):
                shutil.copy(source, kept)

    def counted_test(*args: Any, plusargs: Sequence[str], build_dir: Path, test_dir: Path,
                     **options: Any) -> None:
        counts = Path(test_dir) / "coverage.dat"
        try:
            test(*args, plusargs=[*plusargs, f"+verilator+coverage+file+{counts}"],
                 build_dir=build_dir, test_dir=test_dir, **options)
        finally:
            if counts.exists():
                points.update(count_points(counts, _modules(Path(build_dir) / _SOURCES)))
                counts.unlink()

    tied.build, tied.test = counted_build, counted_test
    return tied


@functools.cache
def _modules(folder: Path) -> dict[str, list[ModuleSources]]:
    return {path.name: module_sources(path) for path in sorted(folder.iterdir())}


def write_points(path: Path, points: Counter[Point]) -> None:
    """Write counts of points into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps([[one.file, one.kind, one.place, one.what, count]
                               for one, count in sorted(points.items())]), encoding="utf-8")
    new.replace(path)


def read_points(path: Path) -> Counter[Point]:
    """Read what :func:`write_points` wrote."""
    return Counter({Point(*one): count
                    for *one, count in json.loads(path.read_text(encoding="utf-8"))})
