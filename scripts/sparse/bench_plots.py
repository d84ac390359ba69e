"""Plots of the benchmark, as SVG; the same figures give the same file."""

import io
from collections.abc import Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.sparse.timing import LayerTiming

__all__ = ["plot_depths", "plot_fillers", "plot_ratios", "plot_scaling", "plot_utilisation",
           "require_matplotlib"]

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000",
            "#8C6D31", "#7F7F7F")
_MARKERS = "osD^vP*Xh"
_STYLE = {
    "svg.hashsalt": "eieio",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def require_matplotlib() -> None:
    """Refuse, before a long run, to plot without matplotlib.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        import_module("matplotlib")
    except ImportError:
        raise InputError("Plots need the Python package matplotlib: "
                         "pip install matplotlib") from None


@contextmanager
def _figure(path: Path, title: str, columns: int = 1, width: float = 7.2, height: float = 3.6,
            share_y: bool = True) -> Any:
    """Make a figure with axes side by side, and write it."""
    require_matplotlib()
    # By name: the checkers of the sources do without matplotlib.
    with import_module("matplotlib").rc_context(_STYLE):
        figure = import_module("matplotlib.figure").Figure(
            figsize=(width, height), layout="constrained")
        figure.suptitle(title, fontsize=12)
        axes = figure.subplots(1, columns, squeeze=False, sharey=share_y)[0]
        yield figure, axes
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    # matplotlib ends lines of path data with spaces.
    lines = [line.rstrip() for line in buffer.getvalue().decode().splitlines()]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def plot_ratios(path: Path, pes: int, layers: Sequence[str],
                series: dict[str, Sequence[float]]) -> None:
    """Plot cycles by ideal: bars side by side for each layer."""
    with _figure(path, f"Layers of the EIE paper on {pes} PEs", width=8.4) as (_, (axes,)):
        width = 0.8 / len(series)
        for number, (label, ratios) in enumerate(series.items()):
            offset = (number - (len(series) - 1) / 2) * width
            axes.bar([place + offset for place in range(len(layers))], ratios, width,
                     label=label, color=("#BBBBBB", *_COLOURS[1::-1], _COLOURS[2])[number % 4])
        axes.set_xticks(range(len(layers)), layers)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("cycles / ideal")
        # What is above 1 is lost.
        axes.set_ylim(bottom=1)
        axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        axes.legend(ncols=len(series), loc="upper center", bbox_to_anchor=(0.5, 1.1))


def plot_scaling(path: Path, counts: Sequence[int], cycles: dict[str, dict[str, list[int]]],
                 work: dict[str, int]) -> None:
    """Plot the speed of layers on rising numbers of PEs, in products a cycle."""
    with _figure(path, "Strong scaling", len(cycles), width=9.0, height=3.6) as (_, every):
        for axes, (name, variants) in zip(every, cycles.items(), strict=True):
            axes.plot(counts, counts, color="black", linewidth=0.8, linestyle="--", label="ideal")
            for number, (label, taken) in enumerate(variants.items()):
                axes.plot(counts, [work[name] / count for count in taken], label=label,
                          marker=_MARKERS[number], markersize=4,
                          color=(_COLOURS[1], _COLOURS[0], _COLOURS[2])[number % 3])
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2)
            axes.set_xticks(counts, counts)
            axes.set_yticks(counts, counts)
            axes.tick_params(axis="x", labelsize=8)
            axes.minorticks_off()
            axes.set_title(name)
            axes.set_xlabel("PEs")
            axes.grid(color="#DDDDDD", linewidth=0.6)
        every[0].set_ylabel("products / cycle")
        every[0].legend(loc="upper left")


def plot_depths(path: Path, depths: Sequence[int],
                panels: dict[str, dict[str, list[float]]]) -> None:
    """Plot how evenly PEs work, over the depth of their queues."""
    with _figure(path, "Load balance by queue depth", len(panels), width=9.0,
                 height=4.0) as (figure, every):
        for axes, (title, layers) in zip(every, panels.items(), strict=True):
            for number, (name, shares) in enumerate(layers.items()):
                axes.plot(depths, [100 * share for share in shares], label=name,
                          color=_COLOURS[number % 9], marker=_MARKERS[number % 9], markersize=4)
            axes.set_xscale("log", base=2)
            axes.set_xticks(depths, depths)
            axes.minorticks_off()
            axes.set_title(title)
            axes.set_xlabel("queue depth")
            axes.grid(color="#DDDDDD", linewidth=0.6)
        every[0].set_ylabel("cycles in which a PE has work, %")
        every[0].set_ylim(top=100)
        figure.legend(*every[0].get_legend_handles_labels(), loc="outside right center")


def plot_fillers(path: Path, run_width: int, counts: Sequence[int],
                 shares: dict[str, list[float]]) -> None:
    """Plot how many entries are weights, over the number of PEs."""
    with _figure(path, f"Weights and fillers, runs of {run_width} bits") as (figure, (axes,)):
        curves = [*shares.values()]
        for number, (name, mine) in enumerate(shares.items()):
            # Layers of the same density lie on each other: the one below is drawn wide.
            hidden = any(max(abs(a - b) for a, b in zip(mine, later, strict=True)) < 0.02
                         for later in curves[number + 1:])
            axes.plot(counts, [100 * share for share in mine], label=name,
                      color=_COLOURS[number % 9], marker=_MARKERS[number % 9],
                      linewidth=5.0 if hidden else 1.5, markersize=9.0 if hidden else 4.0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, counts)
        axes.minorticks_off()
        axes.set_ylim(top=101)
        axes.set_xlabel("PEs")
        axes.set_ylabel("entries that are weights, %")
        axes.grid(color="#DDDDDD", linewidth=0.6)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")


def plot_utilisation(path: Path, layer: str, panels: dict[str, LayerTiming]) -> None:
    """Plot what each PE does in the cycles of a layer."""
    with _figure(path, f"What each PE does during {layer}", len(panels), width=9.0,
                 height=4.0) as (figure, every):
        for axes, (title, timing) in zip(every, panels.items(), strict=True):
            pes = range(timing.products.size)
            bottom = 0 * timing.products
            parts = (("products", timing.products, _COLOURS[0]),
                     ("fillers", timing.filler_cycles, _COLOURS[3]),
                     ("empty columns", timing.empty_cycles, _COLOURS[1]),
                     ("starved", timing.starved_cycles, "#BBBBBB"),
                     ("start, drain", bottom + timing.overhead_cycles, "#555555"))
            for label, heights, colour in parts:
                axes.bar(pes, heights, 1.0, bottom, label=label, color=colour)
                bottom = bottom + heights
            axes.axhline(timing.ideal, color="black", linewidth=0.8, linestyle="--",
                         label="ideal")
            axes.set_xlim(-0.5, len(pes) - 0.5)
            axes.set_title(title)
            axes.set_xlabel("PE")
            axes.yaxis.set_major_formatter(
                import_module("matplotlib.ticker").StrMethodFormatter("{x:,.0f}"))
        every[0].set_ylabel("cycles")
        figure.legend(*every[0].get_legend_handles_labels(), loc="outside right center")
