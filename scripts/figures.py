"""Figures that several commands show, and their tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from eieio.model.compress.stages import Stage
from eieio.model.sparse.report import inference_figures
from eieio.scripts.console import table
from eieio.sim.sparse.simulation import Comparison

__all__ = ["accuracy_table", "choice_lines", "cycle_table", "layout_tables",
           "simulation_figures", "simulation_tables", "stage_table"]


def stage_table(stages: Sequence[Stage]) -> Table:
    """Show what each stage of compression is worth."""
    return table(("compression", "density", "bits/weight", "bits/nonzero", "bytes", "ratio"),
                 [(stage.name, f"{stage.density:.2%}", f"{stage.bits_per_weight:.2f}",
                   "" if stage.name == "float32" else f"{stage.bits_per_nonzero:.2f}",
                   f"{stage.bytes:,}", f"{stage.ratio:.1f}x") for stage in stages])


def accuracy_table(figures: dict[str, Any], samples: int) -> Table | str:
    """Show accuracies: the figures whose names begin with ``accuracy_``."""
    rows = [(name.removeprefix("accuracy_"), f"{value:.2%}") for name, value in figures.items()
            if name.startswith("accuracy_") and value is not None]
    if not rows:
        return "Accuracy: not measured, for want of samples with labels"
    return table(("network", f"accuracy on {samples:,} samples"), rows)


def layout_tables(figures: dict[str, Any]) -> list[Table | str]:
    """Show what was chosen for a network, and how exact each layer's integers are."""
    return [
        table(("layer", "column groups", "order of the rows", "weight steps", "signal to noise"), [
            (layer["name"], str(layer["column_groups"]), layer["order"],
             f"{layer['weight_steps']:,}",
             "exact" if layer["snr_db"] is None else f"{layer['snr_db']:.1f} dB")
            for layer in figures["layers"]]),
        *choice_lines(figures["choices"])]


def choice_lines(choices: Sequence[dict[str, Any]]) -> list[str]:
    """Say what was chosen because nobody gave the option, and why."""
    return [f"--{choice['option'].replace('_', '-')} {choice['value']}: {choice['reason']}"
            for choice in choices]


def cycle_table(figures: dict[str, Any]) -> Table:
    """Show the cycles of an inference: RTL, cycle model and ideal."""
    rows = []
    for name, key in (("RTL", "cycles_rtl"), ("cycle model", "cycles_model"),
                      ("ideal", "cycles_ideal")):
        if key in figures:
            cycles = np.array(figures[key])
            rows.append((name, f"{cycles.mean():,.1f}", f"{cycles.min():,.0f}",
                         f"{cycles.max():,.0f}"))
    return table((f"cycles of {len(figures['inferences'])} inferences", "mean", "min", "max"),
                 rows)


def simulation_figures(comparison: Comparison | None) -> dict[str, Any]:
    """Figures of a simulation, or of none."""
    if comparison is None:
        return {"images": 0, "mismatches": 0, "cycle_mismatches": 0, "compared_integers": 0,
                "inferences": []}
    outputs = [*comparison.golden, comparison.rtl.outputs]
    return {
        "images": len(comparison.timings),
        "mismatches": comparison.mismatches,
        "cycle_mismatches": comparison.cycle_mismatches,
        "compared_integers": sum(layer.size for layer in outputs),
        **inference_figures(comparison.timings, comparison.rtl.layer_cycles),
    }


def simulation_tables(figures: dict[str, Any]) -> list[Table | str]:
    """Show what a simulation took, and whether it equals the models."""
    if not figures["images"]:
        return ["RTL: not simulated"]

    def verdict(count: int) -> str:
        return f"{count} differ" if count else "equal"

    integers = f"{figures['compared_integers']:,} integers of all layers"
    return [cycle_table(figures),
            f"RTL against the golden model, {integers}: {verdict(figures['mismatches'])}",
            f"RTL against the cycle model, every layer: {verdict(figures['cycle_mismatches'])}"]
