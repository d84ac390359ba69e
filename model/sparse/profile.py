"""What layers do with a sparse engine: its cycles, PEs and memories, for reports and traces."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from eieio.model.graph.description import describe
from eieio.model.sparse.chain import host_operators
from eieio.model.sparse.fitting import memory_needs
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.timing import LayerTiming
from eieio.model.trace import LayerProfile, mean_profile

__all__ = ["CAUSES", "layer_profile", "model_profiles", "profile_figures"]


#: What a layer's cycles go to, in the mean over the PEs.
CAUSES = {
    "multiply": "a PE multiplies",
    "filler": "a PE decodes nothing but fillers, which bridge long runs of zeros",
    "empty": "a PE looks at a column in which it has no weight",
    "starved": "a PE has nothing to decode: its queue is empty, or it has finished before others",
    "overhead": "before the first column is taken, and after the last entry has been decoded: "
                "start, accumulators read, requantization",
}


def layer_profile(name: str, pes: int, cycles: int, products: int, decodes: int, empties: int,
                  decoded: int) -> LayerProfile:
    """Tell where the cycles of a layer went, see :data:`CAUSES`.

    Parameters
    ----------
    name : :class:`str`
        The layer.
    pes : :class:`int`
        Processing elements.
    cycles : :class:`int`
        Cycles of the layer.
    products, decodes, empties : :class:`int`
        Cycles in which PEs multiply, decode, and decode an empty column, summed over the PEs.
    decoded : :class:`int`
        Cycles from the one in which an activation can first be taken to the last one in which a PE
        decodes; 0 if none does.
    """
    return LayerProfile(name, cycles, {
        "multiply": products / pes,
        "filler": (decodes - products - empties) / pes,
        "empty": empties / pes,
        "starved": (decoded * pes - decodes) / pes,
        "overhead": cycles - decoded,
    })


def model_profiles(names: Sequence[str], timings: Sequence[Sequence[LayerTiming]]
                   ) -> list[list[LayerProfile]]:
    """Tell by the cycle model where the cycles of inferences went, layer by layer."""
    def of(name: str, layer: LayerTiming) -> LayerProfile:
        decodes = layer.products + layer.filler_cycles + layer.empty_cycles
        return layer_profile(name, decodes.size, layer.cycles, int(layer.products.sum()),
                             int(decodes.sum()), int(layer.empty_cycles.sum()),
                             layer.cycles - layer.overhead_cycles)

    return [[of(name, layer) for name, layer in zip(names, layers, strict=True)]
            for layers in timings]


def profile_figures(compiled: CompiledNetwork, timings: Sequence[Sequence[LayerTiming]]
                    ) -> dict[str, Any]:
    """Describe the network, and what it does with its engine.

    Returns
    -------
    dict
        ``graph``, the network's operators; ``memories`` of the engine; ``causes``, what each is;
        and ``profile``, for each layer its mean cycles by cause, and the share of the cycles in
        which each PE multiplies.
    """
    names = [layer.layer.name for layer in compiled.layers]
    products = np.array([[layer.products / layer.cycles for layer in inference]
                         for inference in timings]).mean(axis=0)
    return {
        "graph": describe(compiled.network, names, [
            operator.name for operator in host_operators(compiled.network)]),
        "memories": _memories(compiled),
        "causes": CAUSES,
        "profile": [
            {"name": layer.name, "cycles": layer.cycles, "causes": layer.causes,
             "used": {"PE": row.tolist()}}
            for layer, row in zip(mean_profile(model_profiles(names, timings)), products,
                                  strict=True)],
    }


def _memories(compiled: CompiledNetwork) -> list[dict[str, Any]]:
    config = compiled.config
    needs = memory_needs(compiled)
    pointer = config.entry_depth.bit_length()
    return [
        {"memory": what, "used": needs[name], "depth": getattr(config, name), "copies": copies,
         "width": width}
        for name, what, copies, width in (
            ("entry_depth", "weight entries, in the fullest PE", config.pes,
             config.code_width + config.run_width),
            ("pointer_depth", "column pointers of a PE", config.pes, pointer),
            ("accumulator_depth", "accumulators of a PE", config.pes, config.accumulator_width),
            ("activation_depth", "words of activations in a buffer", 2,
             config.pes * config.activation_width),
            ("output_depth", "biases of a lane", config.pes, config.accumulator_width),
            ("layer_depth", "layers", config.pes, config.weight_width << config.code_width),
        )]
