"""Drawings of the page of results: bars, strips, and the graph of a network, as SVG.

Colours are classes of the page's style sheet, so that they follow its light and dark scheme.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from markupsafe import Markup, escape

__all__ = ["COLOURS", "TIMES", "Drawing", "bar", "graph", "stacked_bar", "strip"]

#: Between the sides of a shape.
TIMES = "\N{MULTIPLICATION SIGN}"
#: Number of colours that the style sheet has for causes.
COLOURS = 8

_NODE_WIDTH, _NODE_HEIGHT, _ACROSS, _DOWN, _MARGIN = 220, 46, 20, 24, 4
#: Characters of a name, and of smaller text, that fit in a node.
_NAME, _SMALL = 26, 32


def _svg(width: float, height: float, title: str, body: str, attributes: str) -> Markup:
    return Markup(f'<svg viewBox="0 0 {width:g} {height:g}" role="img" {attributes}>'
                  f"<title>{escape(title)}</title>{body}</svg>")


def _stretched(title: str, rectangles: Sequence[tuple[float, float, str, str]], *,
               class_: str = "bar") -> Markup:
    """Draw rectangles side by side: begin and width in shares, attributes, and title."""
    body = "".join(
        f'<rect x="{1000 * x:.2f}" width="{1000 * width:.2f}" height="10" {attributes}>'
        f"<title>{escape(what)}</title></rect>" for x, width, attributes, what in rectangles)
    return _svg(1000, 10, title, body, f'preserveAspectRatio="none" class="{class_}"')


def bar(share: float, title: str) -> Markup:
    """Draw a share from 0 to 1."""
    return _stretched(title, [(0, min(max(share, 0), 1), 'class="used"', title)])


def stacked_bar(parts: Mapping[str, float], whole: float, colours: Mapping[str, int],
                title: str, unit: str = "cycles") -> Markup:
    """Draw the parts of a whole in their colours, of which there are :data:`COLOURS`."""
    rectangles = []
    begin = 0.0
    for name, value in parts.items():
        if value > 0:
            rectangles.append((begin / whole, value / whole, f'class="c{colours[name] % COLOURS}"',
                               f"{name}: {value:,.1f} {unit}"))
            begin += value
    return _stretched(title, rectangles)


def strip(values: Sequence[float], unit: str, title: str) -> Markup:
    """Draw a share from 0 to 1 for each of many units, the darker the larger."""
    rectangles = []
    begin = 0
    for share, equal in groupby(f"{value:.3f}" for value in values):
        count = len(list(equal))
        which = f"{unit} {begin}" if count == 1 else f"{unit} {begin} to {begin + count - 1}"
        rectangles.append((begin / len(values), count / len(values),
                           f'class="used" fill-opacity="{share}"', f"{which}: {float(share):.1%}"))
        begin += count
    return _stretched(title, rectangles, class_="bar strip")


@dataclass(frozen=True)
class Drawing:
    """A drawing, and how wide it is in pixels."""

    svg: Markup
    width: int


def graph(network: Mapping[str, Any], shares: Mapping[str, float], title: str) -> Drawing:
    """Draw a network from its input down to its output.

    Parameters
    ----------
    network : dict
        ``input``, with ``name`` and ``shape``, and ``operators``, each with ``name``, ``operator``
        (its kind), ``inputs`` and ``output`` (names of values), ``shape`` and ``place``.
    shares : mapping of :class:`float` by :class:`str`
        Share of the cycles that an operator takes, by its name.
    title : :class:`str`
        Title of the drawing.
    """
    operators = network["operators"]
    ranks = {network["input"]["name"]: 0}
    for operator in operators:
        ranks[operator["output"]] = 1 + max(ranks[name] for name in operator["inputs"])
    # A column for each value; one that is read later than in the next rank keeps its own till then.
    last_use = {name: rank for name, rank in ranks.items()}
    for operator in operators:
        for name in operator["inputs"]:
            last_use[name] = max(last_use[name], ranks[operator["output"]])
    columns = _columns(operators, ranks, last_use, network["input"]["name"])
    places = {name: (_MARGIN + columns[name] * (_NODE_WIDTH + _ACROSS),
                     _MARGIN + rank * (_NODE_HEIGHT + _DOWN)) for name, rank in ranks.items()}
    edges = [_edge(places[name], places[operator["output"]])
             for operator in operators for name in dict.fromkeys(operator["inputs"])]
    nodes = [_node(places[network["input"]["name"]], network["input"]["name"], "input",
                   network["input"]["shape"], "free", None)]
    nodes += [_node(places[operator["output"]], operator["name"], operator["operator"],
                    operator["shape"], operator["place"], shares.get(operator["name"]))
              for operator in operators]
    width = 2 * _MARGIN + (max(columns.values()) + 1) * (_NODE_WIDTH + _ACROSS) - _ACROSS
    height = 2 * _MARGIN + (max(ranks.values()) + 1) * (_NODE_HEIGHT + _DOWN) - _DOWN
    return Drawing(_svg(width, height, title, "".join([*edges, *nodes]),
                        f'class="graph" width="{width}" height="{height}"'), width)


def _columns(operators: Sequence[Mapping[str, Any]], ranks: Mapping[str, int],
             last_use: Mapping[str, int], source: str) -> dict[str, int]:
    """Give each value a column, that of an input if possible, which no other needs meanwhile."""
    taken: list[list[tuple[int, int]]] = []
    columns: dict[str, int] = {}

    def place(name: str, wanted: Sequence[int]) -> None:
        begin, end = ranks[name], max(ranks[name], last_use[name] - 1)
        column = next(number for number in [*wanted, *range(len(taken)), len(taken)]
                      if number == len(taken) or all(
                          end < first or begin > last for first, last in taken[number]))
        if column == len(taken):
            taken.append([])
        taken[column].append((begin, end))
        columns[name] = column

    place(source, [])
    for operator in operators:
        place(operator["output"], sorted(columns[name] for name in operator["inputs"]))
    return columns


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    """Draw down from a node, and across just above the other one."""
    x, y = start[0] + _NODE_WIDTH // 2, start[1] + _NODE_HEIGHT
    to_x, to_y = end[0] + _NODE_WIDTH // 2, end[1]
    across = f"V{to_y - _DOWN} C{x} {to_y - 4} {to_x} {to_y - _DOWN + 4} {to_x} {to_y - 5}"
    return (f'<path class="edge" d="M{x} {y}{across if x != to_x else f"V{to_y - 5}"}"/>'
            f'<path class="tip" d="M{to_x - 4} {to_y - 6}h8l-4 6z"/>')


def _node(place: tuple[int, int], name: str, kind: str, shape: Sequence[int], where: str,
          share: float | None) -> str:
    x, y = place
    cycles = "" if share is None else f", {share:.1%} of the cycles"
    size = f" {TIMES} ".join(map(str, shape))
    full = f"{name}: {kind}, {size}{cycles}" + {
        "host": ", computed by the host", "free": "", "engine": ""}.get(where, "")
    shown = name if len(name) <= _NAME else f"{name[:_NAME // 2]}…{name[-_NAME // 2 + 1:]}"
    heat = "" if not share else (
        f'<rect class="heat" x="{x}" y="{y + _NODE_HEIGHT - 4}" height="4" '
        f'width="{share * _NODE_WIDTH:.1f}"/>')
    room = _SMALL - len(size)
    detail = kind if share is None else f"{kind}, {share:.0%}"
    detail = detail if len(detail) <= room else kind if len(kind) <= room else (
        f"{kind[:max(room - 1, 1)]}…")
    return (f'<g class="node {where}"><title>{escape(full)}</title>'
            f'<rect x="{x}" y="{y}" width="{_NODE_WIDTH}" height="{_NODE_HEIGHT}" rx="4"/>{heat}'
            f'<text x="{x + 8}" y="{y + 18}">{escape(shown)}</text>'
            f'<text class="small" x="{x + 8}" y="{y + 35}">{escape(detail)}</text>'
            f'<text class="small" x="{x + _NODE_WIDTH - 8}" y="{y + 35}" text-anchor="end">'
            f"{escape(size)}</text></g>")
