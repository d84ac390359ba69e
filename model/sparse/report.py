"""Figures of a compiled network and of its inferences, for reports."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Rows
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.timing import LayerTiming

__all__ = ["inference_figures", "layer_figures", "layer_tables"]


def layer_figures(compiled: CompiledNetwork) -> list[dict[str, Any]]:
    """Describe each layer as it lies in the engine."""
    figures = []
    for layer in compiled.layers:
        matrix = layer.matrix
        figures.append({
            "name": layer.layer.name,
            "inputs": layer.inputs,
            "outputs": layer.outputs,
            "density": (matrix.entries - matrix.fillers) / layer.weights.size,
            "column_groups": layer.groups,
            "entries": matrix.entries,
            "fillers": matrix.fillers,
            "input_scale": layer.layer.input.scale,
            "weight_scale": layer.weights.scale,
            "output_scale": layer.layer.output.scale,
        })
    return figures


def inference_figures(timings: Sequence[Sequence[LayerTiming]],
                      rtl_cycles: NDArray[np.integer] | None = None) -> dict[str, Any]:
    """Summarise inferences: what the RTL took, what the cycle model says, and where cycles went.

    Parameters
    ----------
    timings : sequence of sequences of LayerTiming
        Of each inference, each layer.
    rtl_cycles : integer array of shape (inferences, layers), optional
        Cycles that the RTL took.

    Returns
    -------
    dict
        ``inferences``, for each one its cycles in the RTL, by the model, ideally, and by layer;
        the same as lists; and ``cycles_by_cause``, means over the inferences. Of a PE's cycles,
        ``multiply``, ``filler``, ``empty`` and ``starved`` are means over the PEs, and ``overhead``
        is the start and the end of layers: together they are all cycles. ``blocked`` are cycles in
        which a column waited for a queue, summed over column groups, and ``broadcasts`` counts
        columns.
    """
    inferences = []
    for number, layers in enumerate(timings):
        figures: dict[str, Any] = {} if rtl_cycles is None else {
            "cycles_rtl": int(rtl_cycles[number].sum())}
        figures |= {
            "cycles_model": sum(layer.cycles for layer in layers),
            "cycles_ideal": sum(layer.ideal for layer in layers),
            "layer_cycles_model": [layer.cycles for layer in layers],
        }
        if rtl_cycles is not None:
            figures["layer_cycles_rtl"] = [int(cycles) for cycles in rtl_cycles[number]]
        inferences.append(figures)

    def mean(values: list[float]) -> float:
        return float(np.sum(values)) / max(len(timings), 1)

    every = [layer for layers in timings for layer in layers]
    return {
        "inferences": inferences,
        **{name: [figures[name] for figures in inferences]
           for name in ("cycles_rtl", "cycles_model", "cycles_ideal")
           if inferences and name in inferences[0]},
        "cycles_by_cause": {
            "multiply": mean([float(layer.products.mean()) for layer in every]),
            "filler": mean([float(layer.filler_cycles.mean()) for layer in every]),
            "empty": mean([float(layer.empty_cycles.mean()) for layer in every]),
            "starved": mean([float(layer.starved_cycles.mean()) for layer in every]),
            "overhead": mean([layer.overhead_cycles for layer in every]),
            "blocked": mean([layer.blocked_cycles for layer in every]),
            "broadcasts": mean([layer.broadcasts for layer in every]),
        },
    }


def layer_tables(layers: Sequence[dict[str, Any]]) -> list[Rows | str]:
    """Show how each layer lies in the engine, and how exact its integers are."""
    return [
        Rows(("layer", "inputs", "outputs", "density", "entries", "fillers"), [
            (layer["name"], str(layer["inputs"]), str(layer["outputs"]), f"{layer['density']:.2%}",
             f"{layer['entries']:,}", f"{layer['fillers']:,}") for layer in layers]),
        Rows(("layer", "column groups", "order of the rows", "weight steps", "signal to noise"), [
            (layer["name"], str(layer["column_groups"]), layer["order"],
             f"{layer['weight_steps']:,}",
             "exact" if layer["snr_db"] is None else f"{layer['snr_db']:.1f} dB")
            for layer in layers])]
