"""Area of the sparse engine: its memories, multipliers, and the terms of its logic."""

import numpy as np
from numpy.typing import NDArray

from eieio.model.area_memory import (
    Family,
    Memory,
    product,
    requantize_multipliers,
    stored_elsewhere,
)
from eieio.model.sparse.area_weights import WEIGHTS
from eieio.model.sparse.config import SparseConfig

__all__ = ["WEIGHTS", "memories", "products", "terms"]


def memories(config: SparseConfig) -> list[Memory]:
    """List the memories of an engine."""
    pes, groups = config.pes, config.column_groups
    pointer = config.entry_depth.bit_length()
    sums = config.accumulator_depth // groups
    queued = 1 << (config.places - 1).bit_length()
    ahead = 1 << (config.columns_ahead - 1).bit_length()
    return [
        Memory(2 * pes, config.code_width + config.run_width, config.entry_depth // 2, "pair"),
        Memory(2 * pes, pointer, config.pointer_depth // 2, "cell"),
        # An activation with a bit that tells whether it is nonzero.
        Memory(groups * config.activation_memories, pes // groups * (config.activation_width + 1),
               2 << (config.activation_depth - 1).bit_length(), "any"),
        Memory(pes * groups * config.contexts, config.accumulator_width, sums,
               "lut" if config.accumulator_depth <= 128 else "any"),
        Memory(config.output_lanes, config.accumulator_width,
               config.output_depth * config.pes_per_lane, "cell"),
        Memory(pes, config.weight_width, config.layer_depth << config.code_width,
               "lut" if config.lut_codebooks else "cell"),
        # Queues, and the descriptors of the layers.
        Memory(pes, 2 * pointer, queued, "async"),
        Memory(pes, config.activation_width + config.interleaved, queued, "lut"),
        Memory(pes, 2 * pointer + 1, ahead, "async"),
        Memory(groups, config.activation_width, ahead, "lut"),
        Memory(config.contexts, 256, config.layer_depth, "async"),
        *[Memory(config.output_lanes, 36, config.output_depth * config.pes_per_lane, "cell")]
        * config.per_channel,
    ]


def products(config: SparseConfig, family: Family) -> float:
    """Count the multipliers."""
    return (config.pes * product(config.activation_width, config.weight_width, family)
            + config.output_lanes * requantize_multipliers(config.accumulator_width, family))


def terms(config: SparseConfig, family: Family) -> NDArray[np.float64]:
    """Return the terms whose weighted sums are the lookup tables and the flip-flops."""
    pes = config.pes
    # Among the accumulators of two inferences a PE chooses as among those of two column groups.
    levels = config.column_groups.bit_length() - 1 + config.interleaved
    return np.array([
        1,
        pes,
        # Most of it is in the output lanes.
        config.output_lanes * config.accumulator_width,
        pes * (config.activation_width + config.weight_width),
        pes * config.entry_depth.bit_length(),
        pes * levels * config.accumulator_width,
        stored_elsewhere(memories(config), family),
    ], np.float64)
