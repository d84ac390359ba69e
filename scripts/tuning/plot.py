"""Plots of what a search has found, as SVG; the same figures give the same file."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from eieio.scripts.plots import COLOURS, MARKERS, figure, require_matplotlib

__all__ = ["plot_front"]


def plot_front(path: Path, figures: Mapping[str, Any]) -> None:
    """Draw all that fits against the first objective, and the front above it.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        File to write.
    figures : dict
        What ``eieio tune --json`` writes.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    require_matplotlib()
    ticker = import_module("matplotlib.ticker")
    objectives = figures["objectives"]
    fitting = [trial for trial in figures["trials"] if trial["fits"]]
    engines = [*dict.fromkeys(trial["engine"] for trial in fitting)]
    title = (f"{figures['network']} on {figures['board']}: {len(figures['front'])} of "
             f"{len(fitting)} that fit are Pareto-optimal")
    with figure(path, title, len(objectives) - 1, 3.6 * (len(objectives) - 1) + 0.6, 3.6,
                share_y=False) as (_, axes):
        first = objectives[0]
        for part, objective in zip(axes, objectives[1:], strict=True):
            for engine, colour, marker in zip(engines, COLOURS, MARKERS, strict=False):
                for points, style in (
                        (fitting, {"alpha": 0.25, "s": 10, "linewidths": 0}),
                        (figures["front"], {"s": 22, "label": engine})):
                    own = [point["values"] for point in points if point["engine"] == engine]
                    part.scatter([values[first["name"]] for values in own],
                                 [values[objective["name"]] for values in own], color=colour,
                                 marker=marker, **style)
            part.set_xscale("log")
            part.set_yscale("log")
            part.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            part.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
            part.xaxis.set_minor_formatter(ticker.NullFormatter())
            part.set_xlabel(first["title"])
            part.set_ylabel(objective["title"])
        axes[0].legend()
