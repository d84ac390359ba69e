"""Figures of the systolic engine that several commands show, and their tables."""

from typing import Any

from rich.table import Table

from eieio.model.systolic.mapping import CompiledGraph
from eieio.model.systolic.report import inference_figures, layer_figures
from eieio.model.systolic.timing import time_graph
from eieio.scripts.console import table
from eieio.scripts.speed import graph_speed, interval_lines
from eieio.sim.systolic.simulation import Comparison

__all__ = ["layer_table", "network_figures", "summary", "systolic_figures"]


def network_figures(compiled: CompiledGraph) -> dict[str, Any]:
    """Figures of a network and its image."""
    graph = compiled.graph
    return {
        "network": graph.name,
        "batch": compiled.batch,
        "input": _tensor(graph.input),
        "output": _tensor(graph.output),
        "host_operators": [type(operator).__name__ for operator in compiled.host_operators],
        "macs": compiled.macs,
        "config": compiled.config.to_dict(),
        "image_bytes": compiled.image().nbytes,
    }


def _tensor(tensor: Any) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "scale": tensor.scale, "zero_point": tensor.zero_point}


def systolic_figures(compiled: CompiledGraph, comparison: Comparison | None,
                     images: int = 0) -> dict[str, Any]:
    """Figures of the layers and of a simulation of so many samples, or of none."""
    timings = time_graph(compiled.config, [layer.work for layer in compiled.layers]).layers
    speed = graph_speed(compiled).cycles()
    if comparison is None:
        return {"images": 0, "mismatches": 0, "cycle_mismatches": 0, "compared_integers": 0,
                **speed, **inference_figures(compiled, timings),
                "layers": layer_figures(compiled, timings)}
    cycles = comparison.rtl.layer_cycles
    return {
        "images": images,
        "mismatches": comparison.mismatches,
        "cycle_mismatches": comparison.cycle_mismatches,
        "compared_integers": sum(layer.size for layer in comparison.golden)
        + comparison.rtl.outputs.size,
        **speed,
        **inference_figures(compiled, timings, cycles),
        "layers": layer_figures(compiled, timings, cycles, comparison.layer_mismatches),
    }


def layer_table(figures: dict[str, Any]) -> Table:
    """Show each layer: how it is computed, its products and its cycles."""
    rows = []
    exact = any(layer.get("snr_db") is not None for layer in figures["layers"])
    for layer in figures["layers"]:
        differ = layer["mismatches"]
        verdict = () if differ is None else (f"{differ:,} differ" if differ else "equal",)
        rows.append((
            layer["name"], layer["mode"],
            " x ".join(map(str, layer["output_shape"])), f"{layer['macs']:,}",
            f"{layer['cycles'] or layer['model_cycles']:,}",
            f"{layer['utilisation']:.1%}" if layer["macs"] else "",
            *((_decibels(layer.get("snr_db")),) if exact else ()), *verdict))
    columns = ["layer", "mode", "output", "MACs", "cycles", "used", *(["SNR"] if exact else []),
               "RTL"]
    return table(columns[:len(rows[0])], rows)


def _decibels(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f} dB"


def summary(figures: dict[str, Any]) -> list[Table | str]:
    """Show layers, cycles, and whether the RTL equals the models."""
    shown: list[Table | str] = [
        layer_table(figures),
        (f"An inference: {figures['cycles_per_inference']:,} cycles by the cycle model, array used "
         f"to {figures['utilisation']:.1%}"),
        *interval_lines(figures["interval"])]
    if not figures["images"]:
        return [*shown, "RTL: not simulated"]

    def verdict(count: int) -> str:
        return f"{count} differ" if count else "equal"

    cycles = figures["cycles_rtl"]
    return [
        *shown,
        f"RTL: {len(cycles)} inference{'s' if len(cycles) > 1 else ''}, "
        + (f"{min(cycles):,} cycles each" if min(cycles) == max(cycles)
           else f"{min(cycles):,} to {max(cycles):,} cycles"),
        (f"RTL against the golden model, {figures['compared_integers']:,} integers of all layers: "
         f"{verdict(figures['mismatches'])}"),
        f"RTL against the cycle model, every layer: {verdict(figures['cycle_mismatches'])}"]
