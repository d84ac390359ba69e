"""Plots of the benchmark, as SVG; the same figures give the same file."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from eieio.model.sparse.timing import LayerTiming
from eieio.scripts.plots import COLOURS, MARKERS, figure

__all__ = ["plot_depths", "plot_fillers", "plot_ratios", "plot_scaling", "plot_utilisation"]


def plot_ratios(path: Path, pes: int, layers: Sequence[str],
                series: dict[str, Sequence[float]]) -> None:
    """Plot cycles by ideal: bars side by side for each layer."""
    with figure(path, f"Layers of the EIE paper on {pes} PEs", width=8.4) as (_, (axes,)):
        width = 0.8 / len(series)
        for number, (label, ratios) in enumerate(series.items()):
            offset = (number - (len(series) - 1) / 2) * width
            axes.bar([place + offset for place in range(len(layers))], ratios, width,
                     label=label, color=("#BBBBBB", *COLOURS[1::-1], COLOURS[2])[number % 4])
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
    with figure(path, "Strong scaling", len(cycles), width=9.0, height=3.6) as (_, every):
        for axes, (name, variants) in zip(every, cycles.items(), strict=True):
            axes.plot(counts, counts, color="black", linewidth=0.8, linestyle="--", label="ideal")
            for number, (label, taken) in enumerate(variants.items()):
                axes.plot(counts, [work[name] / count for count in taken], label=label,
                          marker=MARKERS[number], markersize=4,
                          color=(COLOURS[1], COLOURS[0], COLOURS[2])[number % 3])
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
    with figure(path, "Load balance by queue depth", len(panels), width=9.0,
                 height=4.0) as (drawing, every):
        for axes, (title, layers) in zip(every, panels.items(), strict=True):
            for number, (name, shares) in enumerate(layers.items()):
                axes.plot(depths, [100 * share for share in shares], label=name,
                          color=COLOURS[number % 9], marker=MARKERS[number % 9], markersize=4)
            axes.set_xscale("log", base=2)
            axes.set_xticks(depths, depths)
            axes.minorticks_off()
            axes.set_title(title)
            axes.set_xlabel("queue depth")
            axes.grid(color="#DDDDDD", linewidth=0.6)
        every[0].set_ylabel("cycles in which a PE has work, %")
        every[0].set_ylim(top=100)
        drawing.legend(*every[0].get_legend_handles_labels(), loc="outside right center")


def plot_fillers(path: Path, run_width: int, counts: Sequence[int],
                 shares: dict[str, list[float]]) -> None:
    """Plot how many entries are weights, over the number of PEs."""
    with figure(path, f"Weights and fillers, runs of {run_width} bits") as (drawing, (axes,)):
        curves = [*shares.values()]
        for number, (name, mine) in enumerate(shares.items()):
            # Layers of the same density lie on each other: the one below is drawn wide.
            hidden = any(max(abs(a - b) for a, b in zip(mine, later, strict=True)) < 0.02
                         for later in curves[number + 1:])
            axes.plot(counts, [100 * share for share in mine], label=name,
                      color=COLOURS[number % 9], marker=MARKERS[number % 9],
                      linewidth=5.0 if hidden else 1.5, markersize=9.0 if hidden else 4.0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, counts)
        axes.minorticks_off()
        axes.set_ylim(top=101)
        axes.set_xlabel("PEs")
        axes.set_ylabel("entries that are weights, %")
        axes.grid(color="#DDDDDD", linewidth=0.6)
        drawing.legend(*axes.get_legend_handles_labels(), loc="outside right center")


def plot_utilisation(path: Path, layer: str, panels: dict[str, LayerTiming]) -> None:
    """Plot what each PE does in the cycles of a layer."""
    with figure(path, f"What each PE does during {layer}", len(panels), width=9.0,
                 height=4.0) as (drawing, every):
        for axes, (title, timing) in zip(every, panels.items(), strict=True):
            pes = range(timing.products.size)
            bottom = 0 * timing.products
            parts = (("products", timing.products, COLOURS[0]),
                     ("fillers", timing.filler_cycles, COLOURS[3]),
                     ("empty columns", timing.empty_cycles, COLOURS[1]),
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
        drawing.legend(*every[0].get_legend_handles_labels(), loc="outside right center")
