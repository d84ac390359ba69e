"""Tables of what recipes measured, for the terminal and for the pages of methods."""

from typing import Any

from eieio.model.engine import Rows
from eieio.scripts.benchmark_page import markdown_table
from eieio.training.recipes.recipe import Recipe

__all__ = ["measured_part", "measured_tables"]


def measured_tables(recipe: Recipe, figures: dict[str, Any]) -> list[Rows]:
    """Return a table of the arms on curves, and one of the others, if there are some of each.

    Parameters
    ----------
    recipe : Recipe
        What was measured.
    figures : dict
        What ``eieio train`` writes.
    """
    curves = [arm for arm in figures["arms"] if "series" in arm]
    others = [arm for arm in figures["arms"] if "series" not in arm]
    tables = []
    if others:
        digits = max(map(_digits, others))
        tables.append(Rows(("arm", "mean", "spread", "runs"), [
            (f"{arm['name']} [{arm['unit']}]" if "unit" in arm else arm["name"],
             f"{arm['mean']:.{digits}f}", f"{arm['spread']:.{digits}f}",
             " ".join(f"{run:.{digits}f}" for run in arm["runs"])) for arm in others]))
    if curves:
        series = list(dict.fromkeys(arm["series"] for arm in curves))
        cells = {(arm["series"], arm["x"]): f"{arm['mean']:.2f} ± {arm['spread']:.2f}"
                 for arm in curves}
        tables.append(Rows((recipe.axis, *series), [
            (f"{x:.3g}", *(cells.get((name, x), "") for name in series))
            for x in sorted({arm["x"] for arm in curves})]))
    return tables


def _digits(arm: dict[str, Any]) -> int:
    return 0 if all(float(run).is_integer() for run in arm["runs"]) and not arm["spread"] else 2


def measured_part(recipe: Recipe, figures: dict[str, Any]) -> str:
    """Return the part of a method's page that says what was measured, in Markdown."""
    count = len(figures["seeds"])
    seeds = "one seed" if count == 1 else (
        f"{count} seeds: means, and standard deviations of a sample")
    settings = ", ".join(
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in figures["settings"].items())
    name = recipe.name
    about = (f"{recipe.unit[0].upper()}{recipe.unit[1:]}; {figures['data']}, "
             f"{figures['images']:,} images to train on, {seeds}. Settings: {settings}. PyTorch "
             f"{figures['torch']} on {figures['device']}.\n")
    return "\n".join((
        about,
        f"```\n{figures['command']}\n```\n",
        *(markdown_table(*rows) for rows in measured_tables(recipe, figures)),
        f"![{recipe.method}](images/{name}.svg)\n",
        f"The figures of each run are in [results/{name}.json](results/{name}.json)."))
