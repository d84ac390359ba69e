"""Plots of recipes, as SVG: curves of arms that lie on curves, or a bar for each arm."""

from itertools import groupby
from pathlib import Path
from typing import Any

from eieio.scripts.plots import COLOURS, MARKERS, figure
from eieio.training.recipes.recipe import Recipe

__all__ = ["plot_recipe"]


def plot_recipe(path: Path, recipe: Recipe, figures: dict[str, Any]) -> None:
    """Draw means, with bars of the spread.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        File to write.
    recipe : Recipe
        What was measured.
    figures : dict
        What ``eieio train`` writes.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    arms = [arm for arm in figures["arms"] if "unit" not in arm]
    curves = [arm for arm in arms if "series" in arm]
    bars = [arm for arm in arms if "series" not in arm]
    title = f"{recipe.method}, {figures['data']}, {_seeds(figures)}"
    height = 4.2 if curves else 1.2 + 0.34 * len(bars)
    with figure(path, title, height=height) as (_, (axes,)):
        if curves:
            _draw_curves(axes, curves, bars)
            axes.set_xlabel(recipe.axis)
            axes.set_ylabel(recipe.unit)
        else:
            _draw_bars(axes, bars)
            axes.set_xlabel(recipe.unit)


def _seeds(figures: dict[str, Any]) -> str:
    count = len(figures["seeds"])
    return "1 seed" if count == 1 else f"{count} seeds, mean and standard deviation"


def _draw_curves(axes: Any, curves: list[dict[str, Any]], levels: list[dict[str, Any]]) -> None:
    for number, (series, group) in enumerate(groupby(curves, key=lambda arm: arm["series"])):
        points = sorted(group, key=lambda arm: arm["x"])
        axes.errorbar([arm["x"] for arm in points], [arm["mean"] for arm in points],
                      [arm["spread"] for arm in points], label=series, capsize=2, linewidth=1.2,
                      color=COLOURS[number % len(COLOURS)], markersize=4,
                      marker=MARKERS[number % len(MARKERS)])
    for number, arm in enumerate(levels):
        axes.axhline(arm["mean"], label=arm["name"], color="#7F7F7F", linewidth=1,
                     linestyle=("--", ":", "-.")[number % 3])
    places = [arm["x"] for arm in curves]
    if 0 < min(places) <= max(places) / 32:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    values = [arm["mean"] for arm in curves if arm["mean"] > 0]
    if len(values) == len(curves) and max(values) > 10 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.legend()


def _draw_bars(axes: Any, arms: list[dict[str, Any]]) -> None:
    places = [*range(len(arms))]
    axes.barh(places, [arm["mean"] for arm in arms], xerr=[arm["spread"] for arm in arms],
              color=COLOURS[0], capsize=3, height=0.6)
    for place, arm in enumerate(arms):
        axes.plot(arm["runs"], [place] * len(arm["runs"]), "|", color=COLOURS[6], markersize=7)
    axes.set_yticks(places, [arm["name"] for arm in arms])
    axes.invert_yaxis()
