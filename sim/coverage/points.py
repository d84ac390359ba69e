"""Coverage that Verilator has counted: its files, and points that do not depend on a configuration.

Verilator counts by lines of Verilog, which are others in each configuration. A point is told here
by the component's file, the line of Amaranth's source, and what it is there, so that points of all
configurations that are the same count together.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eieio.sim.coverage.sources import ModuleSources

__all__ = ["Point", "count_points", "read_counts", "same_signal"]


@dataclass(frozen=True, order=True)
class Point:
    """Something that a simulation does or does not do.

    Attributes
    ----------
    file : :class:`str`
        Source file that the place is in, or else most of the module.
    kind : :class:`str`
        "line", "branch", "toggle" or "expression".
    place : :class:`str`
        File and line of the source.
    what : :class:`str`
        Which one: the signal, bit and edge, or the branch of the register.
    """

    file: str
    kind: str
    place: str
    what: str


def read_counts(path: Path) -> Iterator[tuple[dict[str, str], int]]:
    """Read a file that Verilator's simulation has written: keys and values of points, and counts.

    The keys are Verilator's: ``f`` file, ``l`` line, ``n`` column, ``page`` kind and module, ``o``
    comment, ``S`` lines, ``h`` instance.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("C '"):
                text, _, count = line[3:].rpartition("' ")
                parts = [part.partition("\x02") for part in text.split("\x01") if part]
                fields = {key: value for key, _, value in parts}
                yield fields, int(count)


def count_points(path: Path, modules: Mapping[str, Sequence[ModuleSources]]) -> Counter[Point]:
    """Count what a simulation did.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        What Verilator wrote.
    modules : mapping
        Modules of each file of Verilog, by the file's name.

    Returns
    -------
    Counter of Point
        All points, those with a count of 0 included.
    """
    found: Counter[Point] = Counter()
    same: Counter[tuple[str, Point]] = Counter()
    by_name = {(file, module.name): module for file, those in modules.items() for module in those}
    # In the order of lines, so that the first of several that look alike is the first.
    everything = sorted(read_counts(path), key=lambda one: (
        one[0].get("f", ""), int(one[0].get("l", 0)), int(one[0].get("n", 0))))
    for fields, count in everything:
        page, _, name = fields.get("page", "").partition("/")
        module = by_name.get((Path(fields.get("f", "")).name, name.partition("__P")[0]))
        module = module or by_name.get((Path(fields.get("f", "")).name, name))
        if module is None:
            continue
        point = _point(page, module, fields)
        if point is None:
            continue
        number = same[name, point] if point.kind != "toggle" else 0
        same[name, point] += 1
        if number:
            point = Point(point.file, point.kind, point.place, f"{point.what} #{number}")
        found[point] += count
    return found


def same_signal(what: str) -> str:
    """Leave out of a toggle the number that tells apart signals of one name and one line.

    They are ports of equal submodules, whose inside counts together as well.
    """
    return re.sub(r"\$\d+(?=[\[:])", "", what)


def _point(page: str, module: ModuleSources, fields: Mapping[str, str]) -> Point | None:
    line, comment = int(fields.get("l", 0)), fields.get("o", "")
    place = module.lines.get(line, "")
    file = place.partition(":")[0] or module.file
    if page == "v_toggle":
        # Verilator spells what C++ cannot have in a name, as in i___05Fvalid.
        comment = re.sub(r"__0([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)),
                         comment)
        if "." in comment.partition("[")[0] or comment.startswith(("$", "\\$", "port$")):
            return None  # a part of a signal under a name of its own, or Yosys's, or Amaranth's
        # A memory's words are not told apart.
        comment = re.sub(r"\[\d+\](?=\[)", "[]", comment)
        return Point(file, "toggle", place, same_signal(comment))
    if page == "v_expr":
        return Point(file, "expression", place, re.sub(r"\b_\d+_", "_", comment))
    if page not in ("v_line", "v_branch") or (not place and line not in module.targets):
        return None
    target = re.sub(r"^_\d+_$", "_", module.targets.get(line, ""))
    kind = "line" if fields.get("S") else "branch"
    return Point(file, kind, place, f"{comment} {target}".strip())
