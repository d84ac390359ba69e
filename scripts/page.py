"""The page of results: all figures of a run as one HTML file, which needs nothing else.

It is made from the figures that ``--json`` writes, and knows no engine: what the figures do not
have is left out, and what it does not know is listed.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from eieio.scripts.page_svg import COLOURS, TIMES, Drawing, bar, graph, stacked_bar, strip

__all__ = ["Section", "Table", "fragment", "page"]

Cell = str | Markup

_UNKNOWN = "\N{EN DASH}"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Table:
    """A table: headings, and rows whose first cell is their name."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def drawn(self, column: int) -> bool:
        """Tell whether a column has drawings."""
        return any(isinstance(row[column], Markup) for row in self.rows)


@dataclass(frozen=True)
class Section:
    """A section of its own: a heading, a text, what colours stand for, and tables and lines.

    ``legend`` has the number of a colour and a text for each name.
    """

    heading: str
    text: str = ""
    legend: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    lines: Sequence[str] = ()


def page(figures: Mapping[str, Any], title: str) -> str:
    """Write the page.

    Parameters
    ----------
    figures : dict
        Figures of a command. Beside simple values the page knows ``graph``, ``profile``,
        ``causes``, ``memories``, ``layers``, ``stages``, ``interval``, ``config``, ``choices``,
        ``sections`` (of :class:`Section`) and ``files``, all optional.
    title : :class:`str`
        Title of the page.
    """
    return _environment().get_template("page.html").render(_parts(figures, title))


def fragment(figures: Mapping[str, Any], title: str) -> str:
    """Write what the page shows for a page that is there already, such as a notebook.

    Single values that nothing else draws are left out.

    Parameters
    ----------
    figures, title :
        As for :func:`page`.
    """
    style = (_FOLDER / "page.css").read_text(encoding="utf-8").replace(":root", "&")
    return _environment().get_template("page_fragment.html").render(
        _parts(figures, title) | {"rest": [], "style": Markup(style)})


@cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(_FOLDER), autoescape=True,
                       undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _parts(figures: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Make of figures what the templates take."""
    profile = figures.get("profile", [])
    texts = figures.get("causes", {})
    present = {cause for layer in profile for cause, cycles in layer["causes"].items() if cycles}
    every = dict.fromkeys([*texts, *(cause for layer in profile for cause in layer["causes"])])
    colours = {cause: number for number, cause in enumerate(every) if cause in present}
    return dict(
        title=title,
        sections=figures.get("sections", []),
        facts=_facts(figures),
        verdict=_verdict(figures),
        drawing=_drawing(figures),
        layers=_layers(figures),
        causes=_causes(profile, colours),
        legend=[(cause, number % COLOURS, texts.get(cause, ""))
                for cause, number in colours.items()],
        used=[(unit, _used(profile, unit)) for unit in dict.fromkeys(
            unit for layer in profile for unit in layer.get("used", {}))],
        precision=_precision(figures),
        memories=_memories(figures),
        stages=_stages(figures),
        accuracy=_accuracy(figures),
        interval=_interval(figures),
        inferences=_inferences(figures),
        choices=_choices(figures),
        configs=_beside({name: value for name, value in figures.get("config", {}).items()
                       if isinstance(value, dict)}),
        options=[(name, _number(value)) for name, value in figures.get("config", {}).items()
                 if not isinstance(value, dict)],
        lists=[(name.replace("_", " "), made) for name, rows in figures.items()
               if isinstance(rows, list) and (made := _list(rows))
               and name in {"layers", "rows"}],
        rest=[(name, _number(value)) for name, value in _simple(figures)],
        files=figures.get("files", []), folder=figures.get("out"),
    )


def _simple(figures: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the figures that are simple values, or mappings of these, but no time of the run."""
    for name, value in figures.items():
        if name in {"causes", "config", "interval", "out", "waves"} or "seconds" in name:
            continue
        if isinstance(value, str | int | float):
            yield name, value
        elif isinstance(value, dict):
            yield from ((f"{name}: {key}", part) for key, part in value.items()
                        if isinstance(part, str | int | float))


def _number(value: Any) -> str:
    """Write a value as a reader likes it: thousands apart, four digits that count."""
    if value is None:
        return _UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if value.is_integer():
            return f"{value:,.0f}"
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return f" {TIMES} ".join(map(str, value)) if all(
            isinstance(part, int) for part in value) else ", ".join(map(_number, value))
    return str(value) if not isinstance(value, dict) else json.dumps(value)


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.1%}"


def _facts(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Choose what a reader wants to know first: name, and value."""
    known: list[tuple[str, str, Callable[[Any], str]]] = [
        ("engine", "engine", str), ("cycles_per_inference", "cycles an inference", _number),
        ("interval_cycles", "cycles with input and output", _number),
        ("utilisation", "multipliers used", _percent),
        ("accuracy_integer", "accuracy in integers", lambda value: f"{value:.2%}"),
        ("ratio", "smaller by compression", lambda value: f"{value:.1f}{TIMES}"),
        ("parameters", "weights and biases", _number), ("macs", "products", _number),
        ("image_bytes", "bytes of the image", _number)]
    return [(name, shown(figures[key])) for key, name, shown in known
            if figures.get(key) is not None]


def _verdict(figures: Mapping[str, Any]) -> tuple[str, str] | None:
    """Say whether the RTL equals the models: a class of the style sheet, and a line."""
    counts = [figures.get(name) for name in ("mismatches", "cycle_mismatches")]
    if not all(isinstance(count, int) for count in counts):
        rows = [row for name in ("layers", "rows") for row in figures.get(name, [])
                if "cycle_mismatches" in row or "mismatches" in row]
        if not rows:
            return None
        ran = [row for row in rows if row.get("mismatches") is not None]
        differ = sum(row["mismatches"] + (row.get("cycle_mismatches") or 0) for row in ran)
        if not ran:
            return "open", "The RTL has not been simulated"
        return ("bad", f"{differ:,} integers or cycle counts of the RTL differ from the models'"
                ) if differ else ("good", f"RTL and models are equal in {len(ran)} runs")
    if not figures.get("images"):
        return "open", "The RTL has not been simulated"
    said = (f"{figures['compared_integers']:,} integers and every cycle count of "
            f"{figures['images']:,} sample{'s' if figures['images'] > 1 else ''}")
    if any(counts):
        return "bad", (f"The RTL differs from the models: {counts[0]:,} integers and {counts[1]:,} "
                       f"cycle counts, of {said}")
    return "good", f"The RTL ({figures.get('simulator')}) equals the models: {said}"


def _drawing(figures: Mapping[str, Any]) -> Drawing | None:
    if not figures.get("graph"):
        return None
    profile = figures.get("profile", [])
    total = sum(layer["cycles"] for layer in profile) or 1
    return graph(figures["graph"], {layer["name"]: layer["cycles"] / total for layer in profile},
                 f"Network {figures.get('network')}")


def _layers(figures: Mapping[str, Any]) -> Table | None:
    """Put what is known of each layer beside its cycles."""
    profile = figures.get("profile", [])
    if not profile:
        return None
    described = figures.get("layers", [])
    if len(described) != len(profile):
        described = [{}] * len(profile)
    total = sum(layer["cycles"] for layer in profile)
    columns: list[tuple[str, str, Callable[[Any], str]]] = [
        ("operator", "operator", str), ("mode", "mode", str), ("order", "order of rows", str),
        ("inputs", "inputs", _number), ("outputs", "outputs", _number),
        ("output_shape", "output", _number), ("macs", "products", _number),
        ("density", "density", _percent), ("column_groups", "column groups", _number)]
    columns = [column for column in columns if any(column[0] in layer for layer in described)]
    verdict = any(layer.get("mismatches") is not None for layer in described)
    rows = [[layer["name"], *(shown(values[key]) if key in values else ""
                              for key, _, shown in columns),
             _number(layer["cycles"]), f"{layer['cycles'] / total:.1%}",
             *([_equal(values.get("mismatches"))] if verdict else [])]
            for layer, values in zip(profile, described, strict=True)]
    return Table(["layer", *(name for _, name, _ in columns), "cycles", "share",
                  *(["RTL"] if verdict else [])], rows)


def _equal(mismatches: int | None) -> str:
    return _UNKNOWN if mismatches is None else f"{mismatches:,} differ" if mismatches else "equal"


def _causes(profile: Sequence[Mapping[str, Any]], colours: Mapping[str, int]) -> Table | None:
    if not profile:
        return None
    longest = max(layer["cycles"] for layer in profile)
    return Table(
        ["layer", "cycles", "beside the longest layer", "shares", *colours],
        [[layer["name"], _number(layer["cycles"]),
          stacked_bar(layer["causes"], longest, colours,
                      f"Cycles of {layer['name']} by cause, beside the longest layer"),
          stacked_bar(layer["causes"], layer["cycles"] or 1, colours,
                      f"Shares of the cycles of {layer['name']} by cause"),
          *(_number(layer["causes"].get(cause, 0)) for cause in colours)] for layer in profile])


def _used(profile: Sequence[Mapping[str, Any]], unit: str) -> Table:
    rows = []
    for layer in profile:
        values = layer.get("used", {}).get(unit)
        if values:
            rows.append([layer["name"], f"{sum(values) / len(values):.1%}", f"{min(values):.1%}",
                         f"{max(values):.1%}", strip(values, unit, f"Use of each {unit} by "
                                                     f"{layer['name']}")])
    return Table(["layer", "mean", "least", "most", f"each {unit}, the busier the fuller"], rows)


def _precision(figures: Mapping[str, Any]) -> Table | None:
    layers = [layer for layer in figures.get("layers", []) if "snr_db" in layer]
    known = [layer["snr_db"] for layer in layers if layer["snr_db"] is not None]
    if not known:
        return None
    most, worst = max(known), min(known)
    return Table(["layer", "signal to noise", "error", f"0 to {most:.0f} dB"], [
        [layer["name"], *(
            ("exact or not known", "", "") if ratio is None else
            (f"{ratio:.1f} dB" + (", the least" if ratio == worst and len(known) > 1 else ""),
             f"{10 ** (-ratio / 20):.2g} of the signal",
             bar(ratio / max(most, 1), f"{layer['name']}: {ratio:.1f} dB")))]
        for layer in layers for ratio in [layer["snr_db"]]])


def _memories(figures: Mapping[str, Any]) -> Table | None:
    memories = figures.get("memories", [])
    return Table(["memory", "used", "of", "share", "full", "bits of a word", "memories",
                  "bytes in all"], [
        [memory["memory"], _number(memory["used"]), _number(memory["depth"]),
         _percent(memory["used"] / memory["depth"]),
         bar(memory["used"] / memory["depth"],
             f"{memory['memory']}: {memory['used']:,} of {memory['depth']:,}"),
         _number(memory["width"]), _number(memory["copies"]),
         _number(memory["width"] * memory["copies"] * memory["depth"] // 8)]
        for memory in memories]) if memories else None


def _stages(figures: Mapping[str, Any]) -> Table | None:
    stages = figures.get("stages", [])
    largest = max((stage["bytes"] for stage in stages), default=1)
    return Table(["stage", "density", "bits of a weight", "bytes", "ratio", "size"], [
        [stage["name"], f"{stage['density']:.2%}", f"{stage['bits_per_weight']:.2f}",
         _number(stage["bytes"]), f"{stage['ratio']:.1f}{TIMES}",
         bar(stage["bytes"] / largest, f"{stage['name']}: {stage['bytes']:,} bytes")]
        for stage in stages]) if stages else None


def _accuracy(figures: Mapping[str, Any]) -> Table | None:
    rows = [[name.removeprefix("accuracy_"), f"{value:.2%}",
             bar(value, f"{name.removeprefix('accuracy_')}: {value:.2%}")]
            for name, value in figures.items()
            if name.startswith("accuracy_") and value is not None]
    return Table(["network", f"of {_number(figures.get('samples'))} samples right", "0 to 100 %"],
                 rows) if rows else None


def _interval(figures: Mapping[str, Any]) -> Table | None:
    interval = figures.get("interval")
    if not interval or "cycles" not in interval:
        return None
    rows: list[list[Cell]] = []
    before = 0.0
    for name in ("input", "inference", "output", "handshakes"):
        share = interval[name] / interval["cycles"]
        rows.append([name, _number(interval[name]), _percent(share),
                     bar(share, f"{name}: {interval[name]:,.1f} cycles")])
        before += interval[name]
    rows.append(["from one input to the next", _number(interval["cycles"]), _percent(1), ""])
    return Table(["part", "cycles", "share", ""], rows)


def _inferences(figures: Mapping[str, Any]) -> Table | None:
    rows = []
    for name, key in (("RTL", "cycles_rtl"), ("cycle model", "cycles_model"),
                      ("ideal: every multiplier always busy", "cycles_ideal")):
        cycles = figures.get(key)
        if cycles:
            rows.append([name, _number(sum(cycles) / len(cycles)), _number(min(cycles)),
                         _number(max(cycles))])
    count = len(figures.get("inferences", []))
    return Table([f"cycles of {count:,} inference{'s' if count > 1 else ''}", "mean", "least",
                  "most"], rows) if rows else None


def _choices(figures: Mapping[str, Any]) -> Table | None:
    choices = figures.get("choices", [])
    return Table(["option", "chosen", "why"], [
        [choice["option"], "yes" if choice["value"] is True else _number(choice["value"]),
         choice["reason"]]
        for choice in choices]) if choices else None


def _beside(values: Mapping[str, Any]) -> Table | None:
    """Put mappings beside one another by name."""
    names = dict.fromkeys(name for value in values.values() for name in value)
    return Table(["name", *values], [
        [name, *(_number(value.get(name)) for value in values.values())]
        for name in names]) if values else None


def _list(rows: Sequence[Any]) -> Table | None:
    """List rows of figures, all that are simple values."""
    if not rows or not all(isinstance(row, dict) and "name" in row for row in rows):
        return None
    names = [name for name in dict.fromkeys(name for row in rows for name in row)
             if name != "name" and "seconds" not in name
             and not any(isinstance(row.get(name), dict) for row in rows)]
    return Table(["name", *(name.replace("_", " ") for name in names)],
                 [[row["name"], *(_number(row.get(name)) for name in names)] for row in rows])
