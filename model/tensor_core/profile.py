"""Where the cycles of a network on a tensor core go, layer by layer."""

from collections.abc import Sequence

from eieio.model.tensor_core.engine_timing import DescriptorTiming, total_timing
from eieio.model.tensor_core.mapping import CompiledLayer, CompiledNetwork
from eieio.model.trace import LayerProfile

__all__ = ["CAUSES", "layer_profiles", "layer_timings"]

#: What cycles go to.
CAUSES = {
    "steps": "a matrix step, or a step of maxima, begins",
    "operands": "no step begins, since the memory gives a row of activations a cycle",
    "sums": "no step begins, since the sum that it adds to is not there yet, or results wait",
    "ends": "a descriptor is fetched, or its last results are written",
}


def layer_timings(compiled: CompiledNetwork, timings: Sequence[DescriptorTiming]
                  ) -> list[tuple[CompiledLayer, DescriptorTiming]]:
    """Add the timings of descriptors by layer."""
    rest = iter(timings)
    return [(layer, total_timing([next(rest) for _ in layer.descriptors]))
            for layer in compiled.layers]


def layer_profiles(compiled: CompiledNetwork, timings: Sequence[DescriptorTiming]
                   ) -> list[LayerProfile]:
    """Tell what the cycles of each layer go to, from the timings of all descriptors."""
    found = []
    for layer, timing in layer_timings(compiled, timings):
        known = timing.steps + timing.operand_stalls + timing.sum_stalls
        found.append(LayerProfile(layer.name, timing.cycles, {
            "steps": timing.steps, "operands": timing.operand_stalls, "sums": timing.sum_stalls,
            "ends": timing.cycles - known}))
    return found
