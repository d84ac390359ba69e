"""Area of the systolic engine: its memories, multipliers, and the terms of its logic."""

import numpy as np
from numpy.typing import NDArray

from eieio.model.area import AreaUnknownError
from eieio.model.area_memory import (
    Family,
    Memory,
    product,
    requantize_multipliers,
    stored_elsewhere,
)
from eieio.model.fixed_point import MULTIPLIER_WIDTH
from eieio.model.graph.quantized_graph import ADD_LEFT_SHIFT
from eieio.model.graph.rescale import RIGHT_SHIFT_MAXIMUM
from eieio.model.systolic.area_weights import WEIGHTS
from eieio.model.systolic.config import ACTIVATION_BITS, PACKED_WIDTHS, SystolicConfig
from eieio.model.systolic.program import DESCRIPTOR_WORDS, LEFT_SHIFT_MAXIMUM

__all__ = ["WEIGHTS", "memories", "products", "terms"]

#: Bits of what is requantized, whatever the width of the accumulators.
_REQUANTIZED = 32
#: Beats of a queue that is made of lookup tables.
_SMALL_QUEUE = 8
#: Bits of an operand of an addition, and its two operands.
_ADDED, _OPERANDS = ACTIVATION_BITS + 1 + ADD_LEFT_SHIFT, 2
_SHIFT_BITS = (2 * RIGHT_SHIFT_MAXIMUM + 1).bit_length() + LEFT_SHIFT_MAXIMUM.bit_length()


def memories(config: SystolicConfig) -> list[Memory]:
    """List the memories of an engine."""
    lanes = config.lanes
    # Of the last weights of a row, those beyond the array's columns are never read.
    units, rest = divmod(config.columns, config.weights_per_word)
    return [
        Memory(units, config.weights_per_word * config.stored_width, config.weight_depth, "cell"),
        *([Memory(1, rest * config.stored_width, config.weight_depth, "cell")] if rest else []),
        *_codebooks(config),
        Memory(config.word_groups, lanes * ACTIVATION_BITS, config.activation_depth, "cell"),
        Memory(2, config.columns * config.accumulator_width, config.accumulator_depth, "cell"),
        *(Memory(lanes, width, config.parameter_depth, "cell")
          for width in (_REQUANTIZED, MULTIPLIER_WIDTH, _SHIFT_BITS)),
        Memory(1, 32, config.program_depth * DESCRIPTOR_WORDS, "cell"),
        # The output's queue.
        Memory(1, lanes * ACTIVATION_BITS + 1, config.queue_depth,
               "any" if config.queue_depth > _SMALL_QUEUE else "async"),
        *_input_memories(config),
        *_winograd_memories(config),
        *_depthwise_memories(config),
    ]


def _codebooks(config: SystolicConfig) -> list[Memory]:
    """List the look-ups of the columns, and where the codebooks of all layers are."""
    if not config.code_width:
        return []
    small = config.codebooks > 1
    lookups = Memory(config.columns, config.weight_width, 1 << config.code_width,
                     "lut" if small else "cell")
    return [lookups, *([Memory(1, config.weight_width, config.codebooks << config.code_width,
                               "cell")] if small else [])]


def _winograd_memories(config: SystolicConfig) -> list[Memory]:
    """List where transformed tiles wait for the array, and outputs for requantization."""
    if not config.winograd:
        return []
    transform = config.transform
    tiles = 2 * transform.n * config.winograd_tiles
    output = transform.m * (config.accumulator_width - 2 * transform.shift)
    return [
        Memory(transform.n, config.rows * transform.data_width(ACTIVATION_BITS), tiles, "cell"),
        Memory(config.columns, output, 2 * transform.m, "async"),
    ]


def _input_memories(config: SystolicConfig) -> list[Memory]:
    """List where inputs are, and the lines above the pixels that arrive."""
    memories = []
    if config.input_depth:
        memories.append(Memory(config.word_groups, config.lanes * ACTIVATION_BITS,
                               2 * config.input_depth, "cell"))
    if config.line_depth:
        memories.append(Memory(1, (config.patch_rows - 1) * config.patch_channels
                               * ACTIVATION_BITS, config.line_depth, "cell"))
    return memories


def _depthwise_memories(config: SystolicConfig) -> list[Memory]:
    """List the lines of the depthwise unit, and the weights of two blocks of channels."""
    if not config.depthwise_lanes:
        return []
    groups = 1 << (config.depthwise_groups - 1).bit_length()
    return [
        Memory(1, (config.depthwise_kernel - 1) * config.rows * ACTIVATION_BITS,
               config.depthwise_width, "cell"),
        Memory(config.depthwise_taps, config.depthwise_lanes * ACTIVATION_BITS, 2 * groups,
               "async"),
    ]


def products(config: SystolicConfig, family: Family) -> float:
    """Count the multipliers."""
    lane = 0
    if config.requantize_multipliers == "dsp":
        lane = requantize_multipliers(_REQUANTIZED, family)
        if config.residual:
            lane += _OPERANDS * requantize_multipliers(_ADDED, family)
    # Two products at once take a whole multiplier of 18 x 18 bits.
    array = (config.pes * product(config.activation_width, config.weight_width, family)
             if config.products_per_multiplier == 1 else
             config.pes // config.products_per_multiplier * product(*PACKED_WIDTHS, family))
    return (array
            + config.lanes * lane
            + (config.depthwise_multipliers == "dsp") * config.depthwise_taps
            * config.depthwise_lanes * product(ACTIVATION_BITS, ACTIVATION_BITS, family))


def terms(config: SystolicConfig, family: Family) -> NDArray[np.float64]:
    """Return the terms whose weighted sums are the lookup tables and the flip-flops."""
    if config.winograd and family != "ecp5":
        raise AreaUnknownError(
            f"Area of a systolic engine must be asked for without winograd on {family}, where its "
            "transforms were not measured", f"Winograd's transforms on {family}")
    packed, logic = config.products_per_multiplier > 1, config.requantize_multipliers == "lut"
    if family != "ecp5":
        for there, option, what in (
                (config.depthwise_lanes, "depthwise_lanes", "the depthwise unit"),
                (packed, "products_per_multiplier", "a pair of products"),
                (logic, "requantize_multipliers=lut", "a multiplier of logic")):
            if there:
                raise AreaUnknownError(
                    f"Area of a systolic engine must be asked for without {option} on {family}, "
                    f"where {what} was not measured", f"{what} on {family}")
    taps, lanes = config.depthwise_taps, config.depthwise_lanes
    # On ECP5 all registers of a product are the multiplier's own.
    registers = 0 if family == "ecp5" else config.product_stages - 1
    return np.array([
        1,
        config.pes,
        config.pes * config.sum_width,
        config.pes * config.product_width * registers,
        config.columns * config.accumulator_width,
        config.rows * ACTIVATION_BITS,
        config.lanes,
        config.lanes * config.residual,
        stored_elsewhere(memories(config), family),
        config.winograd > 0,
        *(count * (config.winograd == m) for m in (2, 4)
          for count in (config.rows, config.columns * config.accumulator_width)),
        config.pes * packed,
        config.lanes * logic,
        config.lanes * (config.residual and logic),
        lanes > 0,
        taps * config.rows,
        taps * lanes,
        taps * lanes * (config.depthwise_multipliers == "lut"),
        config.input_depth > 0,
        config.patch_lanes > 0,
        config.patch_lanes,
    ], np.float64)
