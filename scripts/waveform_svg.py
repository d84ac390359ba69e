"""Renders timing diagrams of WaveDrom's format as SVG, as far as this project's need it."""

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["waveform_svg"]

# Sizes in pixels. A wave is HEIGHT high, in a row of ROW; an edge takes EDGE.
_CELL, _ROW, _HEIGHT, _EDGE, _LETTER, _TOP = 40, 26, 16, 3, 7.3, 34


def waveform_svg(diagram: dict[str, Any]) -> str:
    """Render a diagram.

    Parameters
    ----------
    diagram : dict
        ``signal`` (with ``name``, ``wave`` of the characters ``p01x=.|``, and ``data``), ``head``
        and ``config`` with ``hscale``, as in https://wavedrom.com.

    Returns
    -------
    :class:`str`
        SVG.
    """
    signals = diagram["signal"]
    cell = _CELL * diagram["config"]["hscale"]
    left = 16 + _LETTER * max(len(signal["name"]) for signal in signals)
    cells = max(len(signal["wave"]) for signal in signals)
    title = diagram["head"]["text"]
    width = max(left + cell * cells, 16 + _LETTER * len(title)) + 8
    height = _TOP + _ROW * len(signals) + 6
    parts = [
        (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
         'font-family="monospace" font-size="12">'),
        f'<rect width="{width:.0f}" height="{height}" fill="white"/>',
        f'<text x="8" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for column in range(cells + 1):
        x = left + column * cell
        parts.append(f'<path d="M{x:.0f} {_TOP - 4}V{height - 6}" stroke="#ddd"/>')
    for number, signal in enumerate(signals):
        y = _TOP + number * _ROW
        parts.append(f'<text x="{left - 8:.0f}" y="{y + 13}" text-anchor="end">'
                     f'{escape(signal["name"])}</text>')
        parts += _wave(signal["wave"], signal.get("data", ()), left, y, cell)
    for column, state in enumerate(signals[0]["wave"]):
        if state == "|":
            x = left + (column + 0.5) * cell
            parts.append(f'<path d="M{x - 3:.0f} {_TOP - 4}V{height - 6}h6V{_TOP - 4}z" '
                         'fill="white"/>')
            parts.append(f'<path d="M{x - 3:.0f} {_TOP - 4}V{height - 6}m6 0V{_TOP - 4}" '
                         'stroke="#888" stroke-dasharray="3"/>')
    return "\n".join([*parts, "</svg>", ""])


def _wave(wave: str, data: Sequence[str], left: float, y: int, cell: float) -> list[str]:
    """Draw a wave: each stretch without a change at once."""
    if wave[0] == "p":
        period = f"v{-_HEIGHT}h{cell / 2:.0f}v{_HEIGHT}h{cell / 2:.0f}"
        clock = f"M{left:.0f} {y + _HEIGHT}{period * len(wave)}"
        return [f'<path d="{clock}" fill="none" stroke="black"/>']
    parts = []
    values = iter(data)
    starts = [column for column, state in enumerate(wave) if state not in ".|"]
    level = None
    for start, stop in zip(starts, [*starts[1:], len(wave)], strict=True):
        x, length, state = left + start * cell, (stop - start) * cell, wave[start]
        if state in "01":
            now = y if state == "1" else y + _HEIGHT
            begin = f"M{x:.0f} {now}" if level is None else f"M{x:.0f} {level}V{now}"
            parts.append(f'<path d="{begin}h{length:.0f}" fill="none" stroke="black"/>')
            level = now
            continue
        level = None
        fill = "#e8e8e8" if state == "x" else "#cfe3ff"
        parts.append(
            f'<path d="M{x:.0f} {y + _HEIGHT // 2}l{_EDGE} {-_HEIGHT // 2}h{length - 2 * _EDGE:.0f}'
            f'l{_EDGE} {_HEIGHT // 2}l{-_EDGE} {_HEIGHT // 2}h{2 * _EDGE - length:.0f}z" '
            f'fill="{fill}" stroke="#555"/>')
        if state == "=":
            parts.append(f'<text x="{x + length / 2:.0f}" y="{y + 12}" text-anchor="middle">'
                         f'{escape(next(values))}</text>')
    return parts
