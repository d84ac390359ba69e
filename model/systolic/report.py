"""Figures of a compiled graph and of its inferences, for reports."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Rows
from eieio.model.graph.quantized_graph import Conv2D
from eieio.model.systolic.compiled_graph import CompiledGraph, CompiledLayer
from eieio.model.systolic.timing import LayerTiming
from eieio.model.systolic.work import ComputeWork

__all__ = ["inference_figures", "layer_figures", "layer_table", "multipliers", "needed_macs"]


def needed_macs(compiled: CompiledGraph, layer: CompiledLayer) -> int:
    """Count the products of an inference that a layer needs, the way that it is computed.

    Those are products of a weight and an activation, padding included; with Winograd's transforms
    those of a transformed weight and a transformed activation. What the array multiplies beyond
    them, in rows and columns without a channel, is left out.
    """
    operator, work = layer.operator, layer.work
    if layer.mode == "winograd" and isinstance(operator, Conv2D) and isinstance(work, ComputeWork):
        return (work.windows * compiled.config.transform.n ** 2 * operator.weight.shape[0]
                * operator.weight.shape[3])
    return compiled.batch * operator.macs


def multipliers(compiled: CompiledGraph, layer: CompiledLayer) -> int:
    """Count the multipliers of what computes a layer: of the array, or of the depthwise unit."""
    config = compiled.config
    return (config.depthwise_taps * config.depthwise_lanes if layer.mode == "depthwise"
            else config.pes)


def layer_figures(compiled: CompiledGraph, timings: Sequence[LayerTiming],
                  rtl_cycles: NDArray[np.integer] | None = None,
                  mismatches: NDArray[np.integer] | None = None) -> list[dict[str, Any]]:
    """Describe each layer as the engine computes it.

    Parameters
    ----------
    compiled : CompiledGraph
        Network.
    timings : sequence of LayerTiming
        What the cycle model says of each layer.
    rtl_cycles : integer array of shape (inferences, layers), optional
        Cycles that the RTL took.
    mismatches : integer array of shape (layers,), optional
        Integers of each layer that differ from the golden model's.

    Returns
    -------
    list of dict
        For each layer its name, operator and mode; ``macs`` of :func:`needed_macs` and
        ``direct_macs`` without Winograd's transforms; ``cycles`` of the RTL (the first inference;
        None if it did not run) and ``model_cycles``; ``utilisation``, the share of the array's, or
        of the depthwise unit's, multiplications that are needed; stalls, and ``mismatches``.
    """
    figures = []
    for number, (layer, timing) in enumerate(zip(compiled.layers, timings, strict=True)):
        macs = needed_macs(compiled, layer)
        cycles = None if rtl_cycles is None else int(rtl_cycles[0, number])
        figures.append({
            "name": layer.name,
            "operator": type(layer.operator).__name__,
            "mode": layer.mode,
            "output_shape": list(layer.operator.output.shape),
            "macs": macs,
            "direct_macs": compiled.batch * layer.operator.macs,
            "cycles": cycles,
            "model_cycles": timing.cycles,
            "utilisation": macs / (multipliers(compiled, layer) * (cycles or timing.cycles)),
            "accumulator_stalls": timing.accumulator_stalls,
            "transform_stalls": timing.transform_stalls,
            "mismatches": None if mismatches is None else int(mismatches[number]),
        })
    return figures


def inference_figures(compiled: CompiledGraph, timings: Sequence[LayerTiming],
                      rtl_cycles: NDArray[np.integer] | None = None) -> dict[str, Any]:
    """Summarise inferences: what the RTL took, what the cycle model says, what would be ideal.

    Parameters
    ----------
    compiled, timings, rtl_cycles
        As for :func:`layer_figures`.

    Returns
    -------
    dict
        ``cycles_per_inference`` by the cycle model, and the array's ``utilisation`` in them; and of
        the RTL's ``inferences`` their cycles, in all and by layer, beside the cycle model's and the
        ideal, in which each processing element, or multiplier of the depthwise unit, does one
        needed product a cycle; the same as lists.
    """
    macs = sum(needed_macs(compiled, layer) for layer in compiled.layers
               if layer.mode != "depthwise")
    ideal = sum(needed_macs(compiled, layer) / multipliers(compiled, layer)
                for layer in compiled.layers)
    model = sum(timing.cycles for timing in timings)
    by_layer = [timing.cycles for timing in timings]
    inferences: list[dict[str, Any]] = [] if rtl_cycles is None else [{
        "cycles_rtl": int(cycles.sum()), "cycles_model": model,
        "cycles_ideal": ideal,
        "layer_cycles_rtl": cycles.tolist(), "layer_cycles_model": by_layer,
    } for cycles in rtl_cycles]
    return {
        "cycles_per_inference": model,
        "utilisation": macs / (compiled.config.pes * model),
        "inferences": inferences,
        **{name: [inference[name] for inference in inferences]
           for name in ("cycles_rtl", "cycles_model", "cycles_ideal")},
    }


def layer_table(layers: Sequence[dict[str, Any]]) -> Rows:
    """Show each layer: how it is computed, its products and its cycles."""
    rows = []
    exact = any(layer.get("snr_db") is not None for layer in layers)
    for layer in layers:
        differ, ratio = layer["mismatches"], layer.get("snr_db")
        verdict = () if differ is None else (f"{differ:,} differ" if differ else "equal",)
        rows.append((
            layer["name"], layer["mode"],
            " x ".join(map(str, layer["output_shape"])), f"{layer['macs']:,}",
            f"{layer['cycles'] or layer['model_cycles']:,}",
            f"{layer['utilisation']:.1%}" if layer["macs"] else "",
            *(("" if ratio is None else f"{ratio:.1f} dB",) if exact else ()), *verdict))
    columns = ("layer", "mode", "output", "MACs", "cycles", "used", *(("SNR",) if exact else ()),
               "RTL")
    return Rows(columns[:len(rows[0])], rows)
