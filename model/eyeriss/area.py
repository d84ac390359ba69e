"""Area of the row-stationary array: its memories, multipliers, and the terms of its logic.

It has no shell and no serial port, so it is the area of the array alone.
"""

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
from eieio.model.eyeriss.area_weights import WEIGHTS
from eieio.model.eyeriss.config import PARAMETER_DEPTH, WORD_BYTES, EyerissConfig

__all__ = ["WEIGHTS", "memories", "products", "terms"]

_WORD = 8 * WORD_BYTES
#: Bits of a channel's parameters: bias, shift to the left, factor, shift to the right.
_PARAMETERS = 48 + 5 + 31 + 6
#: Bits of a partial sum that are requantized, and the queue behind: activations and their last.
_REQUANTIZED, _QUEUE = 48, (_WORD + 1, 32)


def memories(config: EyerissConfig) -> list[Memory]:
    """List the memories."""
    line = config.line_bytes // WORD_BYTES
    return [
        Memory(config.pes, _WORD * config.bus_words, config.filter_words // config.bus_words,
               "any"),
        Memory(config.pes, _WORD, config.ifmap_words, "async"),
        Memory(config.pes, config.psum_width, config.psum_words, "async"),
        # Words of a line are written one by one; a block RAM has two of them.
        Memory(config.glb_banks * -(-line // 2), _WORD * min(line, 2), config.bank_lines, "any"),
        Memory(1, _PARAMETERS, PARAMETER_DEPTH, "any"),
        Memory(1, *_QUEUE, "async"),
    ]


def products(config: EyerissConfig, family: Family) -> float:
    """Count the multipliers."""
    return (config.pes * product(_WORD, _WORD, family)
            + requantize_multipliers(min(config.psum_width, _REQUANTIZED), family))


def terms(config: EyerissConfig, family: Family) -> NDArray[np.float64]:
    """Return the terms whose weighted sums are the lookup tables and the flip-flops."""
    if family != "ecp5":
        raise AreaUnknownError("Area of the eyeriss engine must be asked for an ECP5, for which "
                               "alone it was measured", "the eyeriss engine on this FPGA")
    line = config.psum_width * config.bus_words
    return np.array([
        1,
        config.pes,
        config.pes * config.psum_width,
        config.pes * line,
        config.pes * config.psum_width * config.psum_slots,
        config.rows * line,
        config.glb_banks * line,
        stored_elsewhere(memories(config), family),
    ], np.float64)
