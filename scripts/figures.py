"""Figures that several commands show, and their tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from eieio.model.engine import Compiled, Prepared, Rows
from eieio.model.registry import engine_of
from eieio.scripts.console import show, table
from eieio.scripts.speed import interval_lines, speed_of
from eieio.sim.simulation import Comparison

__all__ = ["accuracy_table", "choice_lines", "compiled_figures", "design_figures", "show_compiled",
           "show_parts", "simulation_figures"]


def accuracy_table(figures: dict[str, Any], samples: int) -> Table | str:
    """Show accuracies: the figures whose names begin with ``accuracy_``."""
    rows = [(name.removeprefix("accuracy_"), f"{value:.2%}") for name, value in figures.items()
            if name.startswith("accuracy_") and value is not None]
    if not rows:
        return "Accuracy: not measured, for want of samples with labels"
    return table(("network", f"accuracy on {samples:,} samples"), rows)


def choice_lines(choices: Sequence[dict[str, Any]]) -> list[str]:
    """Say what was chosen because nobody gave the option, and why."""
    return [f"{_given(choice)}: {choice['reason']}" for choice in choices]


def _given(choice: dict[str, Any]) -> str:
    """Return the option as it would have been given."""
    flag = f"--{choice['option'].replace('_', '-')}"
    return flag if choice["value"] is True else f"{flag} {choice['value']}"


def show_parts(*parts: Rows | Table | str) -> None:
    """Show tables and lines, also those of an engine."""
    show(*(table(*part) if isinstance(part, Rows) else part for part in parts))


def compiled_figures(compiled: Compiled, comparison: Comparison | None = None, images: int = 0, *,
                     cycles: float | None = None, steady: float | None = None,
                     precise: bool = False) -> dict[str, Any]:
    """Return figures of a compiled network.

    Parameters
    ----------
    compiled : Compiled
        Network.
    comparison : Comparison, optional
        What a simulation has found.
    images : :class:`int`
        Samples that it ran.
    cycles : :class:`float`, optional
        Cycles of an inference. The default are the RTL's mean, or the cycle model's if these are
        the same for all inputs.
    steady : :class:`float`, optional
        Cycles from one input to the next, if they do not follow from these.
    precise : :class:`bool`
        As in :meth:`eieio.model.engine.Compiled.figures`.
    """
    if cycles is None:
        cycles = compiled.cycles() if comparison is None else float(
            comparison.layer_cycles.sum(axis=1).mean())
    figures: dict[str, Any] = {"images": 0, "mismatches": 0, "cycle_mismatches": 0,
                               "compared_integers": 0, "inferences": []}
    if comparison is not None:
        figures = {name: getattr(comparison, name) for name in (
            "mismatches", "cycle_mismatches", "compared_integers")} | {"images": images}
    if cycles is not None:
        figures |= speed_of(compiled.host, cycles, steady).cycles()
    return figures | compiled.figures(comparison, precise=precise)


def design_figures(compiled: Compiled, prepared: Prepared | None, x: NDArray[np.floating],
                   comparison: Comparison | None = None, *, images: int = 0,
                   simulator: str | None = None) -> dict[str, Any]:
    """Return all figures of a design.

    Parameters
    ----------
    compiled, prepared :
        The network in its engine, and what it was made of, if that is known.
    x : float array
        Typical inputs.
    comparison, images, simulator :
        What a simulation has found, of how many samples, and what simulated.
    """
    return {
        "engine": engine_of(compiled.config).name, "simulator": simulator,
        **({} if prepared is None else prepared.figures(compiled)),
        **compiled_figures(compiled, comparison, images, cycles=compiled.cycles(x),
                           steady=compiled.steady(x), precise=True),
        **compiled.describe(x, comparison)}


def simulation_figures(compiled: Compiled, x: NDArray[np.floating], comparison: Comparison,
                       simulator: str, waves: Path | None) -> dict[str, Any]:
    """Return all figures of a simulation of inputs."""
    return {"engine": engine_of(compiled.config).name, "simulator": simulator,
            **compiled_figures(compiled, comparison, len(x), steady=compiled.steady(x)),
            **compiled.describe(x, comparison),
            "waves": None if waves is None else str(waves)}


def show_compiled(compiled: Compiled, figures: dict[str, Any]) -> None:
    """Show a network in its engine, its cycles, and whether the RTL equals the models."""
    show_parts(*compiled.tables(figures), *choice_lines(figures.get("choices", [])))
    show(*_simulation_tables(figures),
         *(interval_lines(figures["interval"]) if "interval" in figures else []))


def _cycle_table(figures: dict[str, Any]) -> Table:
    """Show the cycles of an inference: RTL, cycle model and ideal."""
    rows = []
    for name, key in (("RTL", "cycles_rtl"), ("cycle model", "cycles_model"),
                      ("ideal", "cycles_ideal")):
        if figures.get(key):
            cycles = np.array(figures[key])
            rows.append((name, f"{cycles.mean():,.1f}", f"{cycles.min():,.0f}",
                         f"{cycles.max():,.0f}"))
    return table((f"cycles of {len(figures['inferences'])} inferences", "mean", "min", "max"),
                 rows)


def _simulation_tables(figures: dict[str, Any]) -> list[Table | str]:
    if not figures["images"]:
        return ["RTL: not simulated"]

    def verdict(count: int) -> str:
        return f"{count} differ" if count else "equal"

    integers = f"{figures['compared_integers']:,} integers of all layers"
    return [_cycle_table(figures),
            f"RTL against the golden model, {integers}: {verdict(figures['mismatches'])}",
            f"RTL against the cycle model, every layer: {verdict(figures['cycle_mismatches'])}"]
