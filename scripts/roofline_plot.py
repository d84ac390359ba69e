"""The plot of ``eieio roofline``, as SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eieio.scripts.plots import COLOURS, MARKERS, figure

__all__ = ["plot_rooflines"]


def plot_rooflines(path: Path, figures: dict[str, Any]) -> None:
    """Draw the TPU's roof with what runs under it, and that of each of eieio's machines.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        File to write.
    figures : dict
        What ``eieio roofline --json`` writes.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    own = figures["engines"]
    panels = 1 + len(own)
    with figure(path, "Rooflines", panels, 2.4 + 4.4 * panels, 4.4, share_y=False) as (_, axes):
        _draw_tpu(axes[0], figures)
        for each, measured in zip(axes[1:], own, strict=True):
            _draw_engine(each, measured)
        for each in axes:
            each.set_xscale("log")
            each.set_yscale("log")
            each.set_xlabel("MAC a byte of weights")
            each.grid(color="#EEEEEE", linewidth=0.6)
            if each.get_legend_handles_labels()[0]:
                each.legend(fontsize=7, loc="lower right")


def _roof(axes: Any, least: float, most: float, peak: float, slope: float) -> None:
    """Draw a roof: ``slope`` times the intensity up to the peak."""
    ends = [least, peak / slope, most]
    axes.plot(ends, [min(peak, slope * end) for end in ends], color="black", linewidth=1)


def _span(values: Sequence[float], ridge: float) -> tuple[float, float]:
    return min(*values, ridge) / 2, max(*values, ridge) * 2


def _draw_tpu(axes: Any, figures: dict[str, Any]) -> None:
    machine = figures["machines"][0]
    applications, layers = figures["applications"], figures["layers"]
    found = [each["intensity"] for each in applications]
    found += [value for layer in layers for value in
              (layer["float32"], layer["int8"], layer["compressed"]) if value]
    slope = 2 * machine["bandwidth"] / 1e12
    peak = machine["peak"] / 1e12
    _roof(axes, *_span(found, machine["ridge"]), peak, slope)
    for number, each in enumerate(applications):
        axes.plot(each["intensity"], each["measured"] / 1e12, MARKERS[number], color="#555555",
                  markersize=5, linestyle="none", label=f"{each['name']}, measured")
    for number, form in enumerate(("float32", "int8", "compressed")):
        points = [layer[form] for layer in layers if layer[form]]
        if points:
            axes.plot(points, [min(peak, slope * value) for value in points], "o", fillstyle="none",
                      color=COLOURS[number], linestyle="none", label=f"layers, {form}")
    axes.set_title(machine["name"])
    axes.set_ylabel("TOPS")


def _draw_engine(axes: Any, measured: dict[str, Any]) -> None:
    layers = measured["layers"]
    peak = measured["macs_per_cycle"]
    slope = measured["weight_bits_per_cycle"] / 8
    _roof(axes, *_span([layer["intensity"] for layer in layers], peak / slope), peak, slope)
    for number, layer in enumerate(layers):
        axes.plot(layer["intensity"], layer["macs_per_cycle"], MARKERS[number % len(MARKERS)],
                  color=COLOURS[number % len(COLOURS)], markersize=5, linestyle="none",
                  label=layer["name"] if len(layers) <= len(MARKERS) else None)
    axes.set_title(f"{measured['engine']}, {peak:g} multipliers")
    axes.set_ylabel("MAC a cycle")
