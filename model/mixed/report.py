"""Figures of a network in a mixed engine and of its inferences, for reports and traces."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Rows
from eieio.model.graph.description import describe
from eieio.model.mixed.mapping import CompiledMixed
from eieio.model.mixed.timing import InferenceTiming
from eieio.model.sparse import profile as sparse_profile
from eieio.model.sparse import report as sparse_report
from eieio.model.sparse.chain import host_operators
from eieio.model.systolic import profile as systolic_profile
from eieio.model.systolic import report as systolic_report
from eieio.model.systolic.timing import GraphTiming
from eieio.model.trace import LayerProfile, mean_profile

__all__ = ["HAND_OVER", "inference_figures", "layer_figures", "layer_tables", "model_profiles",
           "profile_figures"]

#: What the step between the engines is called beside the layers.
HAND_OVER = "hand-over"
_CAUSES = {HAND_OVER: "the tensor between the engines is on its way"}


def layer_figures(compiled: CompiledMixed, timing: GraphTiming, ratios: Mapping[str, float | None],
                  rtl: Any = None) -> list[dict[str, Any]]:
    """Describe each layer as its engine computes it, and the step between the engines.

    Parameters
    ----------
    compiled : CompiledMixed
        Network.
    timing : GraphTiming
        What the cycle model says of the systolic engine.
    ratios : mapping of :class:`str` to :class:`float`
        Signal to noise by layer, in dB, where it is known.
    rtl : object, optional
        What a simulation has found: ``layer_cycles`` and ``layer_mismatches``.
    """
    count = len(compiled.convolutions.layers)
    cycles, wrong = (None, None) if rtl is None else (rtl.layer_cycles, rtl.layer_mismatches)
    first = systolic_report.layer_figures(
        compiled.convolutions, timing.layers, None if cycles is None else cycles[:, :count],
        None if wrong is None else wrong[:count])
    second = sparse_report.layer_figures(compiled.dense)
    for number, figures in enumerate(second):
        figures |= {"output_shape": [figures["outputs"]],
                    "cycles": None if cycles is None else float(
                        cycles[:, count + 1 + number].mean()),
                    "mismatches": None if wrong is None else int(wrong[count + number])}
    for figures in (*first, *second):
        figures["snr_db"] = ratios.get(figures["name"])
    step = {"name": HAND_OVER, "output_shape": list(compiled.between.shape),
            "beats": compiled.handed_beats}
    return [*({"engine": "systolic"} | figures for figures in first), step,
            *({"engine": "sparse"} | figures for figures in second)]


def inference_figures(compiled: CompiledMixed, timings: Sequence[InferenceTiming],
                      rtl_cycles: NDArray[np.integer]) -> dict[str, Any]:
    """Summarise inferences: what the RTL took, what the cycle model says, what would be ideal.

    Returns
    -------
    dict
        Of the ``inferences`` their cycles, in all and by layer, the step between the engines among
        them, beside the cycle model's and the ideal, in which each multiplier of an engine does a
        needed product a cycle and nothing else takes time; the same as lists.
    """
    convolutions = compiled.convolutions
    needed = sum(systolic_report.needed_macs(convolutions, layer)
                 / systolic_report.multipliers(convolutions, layer)
                 for layer in convolutions.layers)
    inferences = [{
        "cycles_rtl": int(cycles.sum()), "cycles_model": timing.cycles,
        "cycles_ideal": needed + sum(layer.ideal for layer in timing.dense),
        "layer_cycles_rtl": cycles.tolist(), "layer_cycles_model": timing.layer_cycles,
    } for cycles, timing in zip(rtl_cycles, timings, strict=True)]
    return {"inferences": inferences, **{
        name: [inference[name] for inference in inferences]
        for name in ("cycles_rtl", "cycles_model", "cycles_ideal")}}


def model_profiles(compiled: CompiledMixed, timings: Sequence[InferenceTiming]
                   ) -> list[list[LayerProfile]]:
    """Tell by the cycle model where the cycles of inferences went, layer by layer."""
    names = [layer.layer.name for layer in compiled.dense.layers]
    dense = sparse_profile.model_profiles(names, [timing.dense for timing in timings])
    return [[*systolic_profile.layer_profiles(compiled.convolutions, timing.convolutions.layers),
             LayerProfile(HAND_OVER, timing.hand_over, {HAND_OVER: timing.hand_over}), *layers]
            for timing, layers in zip(timings, dense, strict=True)]


def profile_figures(compiled: CompiledMixed, timings: Sequence[InferenceTiming]) -> dict[str, Any]:
    """Describe the network, and what it does with its engines.

    Returns
    -------
    dict
        As of the two engines, for both: see :meth:`eieio.model.engine.Compiled.describe`.
    """
    first = systolic_profile.profile_figures(compiled.convolutions,
                                             timings[0].convolutions.layers)
    second = sparse_profile.profile_figures(compiled.dense, [timing.dense for timing in timings])
    step, = mean_profile([[layers[len(compiled.convolutions.layers)]]
                          for layers in model_profiles(compiled, timings)])
    return {
        "graph": describe(compiled.graph, compiled.layer_names, [
            operator.name for operator in host_operators(compiled.dense.network)]),
        "memories": [{**memory, "memory": f"{memory['memory']} ({engine})"}
                     for engine, figures in (("systolic", first), ("sparse", second))
                     for memory in figures["memories"]],
        "causes": first["causes"] | _CAUSES | second["causes"],
        "profile": [*first["profile"],
                    {"name": step.name, "cycles": step.cycles, "causes": step.causes},
                    *second["profile"]],
    }


def layer_tables(layers: Sequence[dict[str, Any]]) -> list[Rows | str]:
    """Show each engine's layers."""
    first = [layer for layer in layers if layer.get("engine") == "systolic"]
    second = [layer for layer in layers if layer.get("engine") == "sparse"]
    exact = any(layer.get("snr_db") is not None for layer in second)
    rows = []
    for layer in second:
        differ, ratio = layer["mismatches"], layer["snr_db"]
        rows.append((
            layer["name"], str(layer["inputs"]), str(layer["outputs"]), f"{layer['density']:.2%}",
            f"{layer['entries']:,}", f"{layer['fillers']:,}",
            *((f"{layer['cycles']:,.1f}",) if layer["cycles"] is not None else ()),
            *(("" if ratio is None else f"{ratio:.1f} dB",) if exact else ()),
            *(() if differ is None else (f"{differ:,} differ" if differ else "equal",))))
    columns = ["layer", "inputs", "outputs", "density", "entries", "fillers"]
    if second[0]["cycles"] is not None:
        columns.append("cycles")
    if exact:
        columns.append("SNR")
    return [systolic_report.layer_table(first),
            Rows((*columns, "RTL")[:len(rows[0])], rows)]
