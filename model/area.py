"""Area model: what an engine with its serial port takes of an FPGA, before any tool has run.

Multipliers and block RAMs follow from the configuration. Lookup tables and flip-flops are a sum of
terms whose weights were fitted to syntheses; ``benchmarks/area.py`` has these and fits them again.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.model.area_weights import WEIGHTS
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.sparse.config import SparseConfig

__all__ = ["FILL", "Family", "Memory", "Resources", "block_rams", "estimate", "memories", "terms"]

#: Families of FPGAs.
Family = Literal["ecp5", "ice40", "gowin"]

#: Share of the lookup tables up to which a design can be placed and routed in reasonable time.
FILL = 0.85

#: Words and bits of a block RAM; shapes without parity bits last.
_SHAPES: dict[Family, tuple[tuple[int, int], ...]] = {
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "gowin": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}
#: Yosys's cost of a block RAM and of 16 words of 4 bits in lookup tables.
_BLOCK_COST, _CELL_COST = 64, 4
#: Fewest bits for which Yosys takes a block RAM of an iCE40.
_SMALLEST_BLOCK = 32
#: Bits of a factor that one multiplier takes.
_FACTOR: dict[Family, int] = {"ecp5": 18, "ice40": 16, "gowin": 18}
_MULTIPLIER_WIDTH = 32


@dataclass(frozen=True)
class Resources:
    """What a design takes of an FPGA, or what an FPGA holds.

    Attributes
    ----------
    lut : :class:`int`
        Lookup tables of four inputs; on iCE40 logic cells.
    ff : :class:`int`
        Flip-flops.
    dsp : :class:`int`
        Multipliers: of 18 x 18 bits, on iCE40 of 16 x 16.
    bram : :class:`int`
        Block RAMs.
    """

    lut: int
    ff: int
    dsp: int
    bram: int

    def beyond(self, capacity: "Resources") -> list[str]:
        """Say which resources are more than an FPGA holds, or than can be routed."""
        said = []
        for name, what in (("lut", "lookup tables"), ("ff", "flip-flops"), ("dsp", "multipliers"),
                           ("bram", "block RAMs")):
            needed, available = getattr(self, name), getattr(capacity, name)
            if needed > available * (FILL if name == "lut" else 1):
                said.append(f"{needed:,} of {available:,} {what}")
        return said


class Memory(NamedTuple):
    """Memories of one shape in an engine.

    Attributes
    ----------
    copies : :class:`int`
        How many there are.
    width, depth : :class:`int`
        Bits of a word, and words.
    place : :class:`str`
        ``"block"`` for block RAM, ``"lut"`` for lookup tables where they can be memory,
        ``"async"`` for what is read without a clock, which block RAM cannot, or ``"any"`` for the
        cheaper of block RAM and lookup tables.
    """

    copies: int
    width: int
    depth: int
    place: Literal["block", "lut", "async", "any"]


def memories(config: SparseConfig) -> list[Memory]:
    """List the memories of a sparse engine and of its serial port."""
    pes, groups = config.pes, config.column_groups
    pointer = config.entry_depth.bit_length()
    sums = config.accumulator_depth // groups
    queued = 1 << (config.queue_depth - 1).bit_length()
    return [
        Memory(2 * pes, config.code_width + config.run_width, config.entry_depth // 2, "block"),
        Memory(2 * pes, pointer, config.pointer_depth // 2, "block"),
        Memory(groups, pes // groups * config.activation_width, 2 * config.activation_depth,
               "any"),
        Memory(pes * groups, config.accumulator_width, sums,
               "lut" if config.accumulator_depth <= 64 else "any"),
        Memory(pes, config.accumulator_width, config.output_depth, "block"),
        Memory(pes, config.weight_width, config.layer_depth << config.code_width, "block"),
        # Queues, and the descriptors of the layers.
        Memory(pes, 2 * pointer, queued, "async"),
        Memory(pes, config.activation_width, queued, "lut"),
        Memory(pes, 2 * pointer + 1, 8, "async"),
        Memory(groups, config.activation_width, 8, "async"),
        Memory(1, 256, config.layer_depth, "async"),
        # The serial port's queues.
        Memory(3, 9, 512, "block"),
    ]


def block_rams(memory: Memory, family: Family) -> int:
    """Count the block RAMs of the memories of one shape."""
    if memory.place == "async":
        return 0
    if memory.place == "lut" and (family != "ice40"
                                  or memory.width * memory.depth < _SMALLEST_BLOCK):
        return 0
    blocks = min(-(-memory.width // width) * -(-memory.depth // depth)
                 for depth, width in _SHAPES[family])
    if memory.place == "any" and family != "ice40" \
            and _lut_cells(memory) * _CELL_COST <= blocks * _BLOCK_COST:
        return 0
    return memory.copies * blocks


def _lut_cells(memory: Memory) -> int:
    """Cells of 16 words of 4 bits."""
    return -(-memory.width // 4) * -(-memory.depth // 16)


def _multipliers(config: SparseConfig, family: Family) -> int:
    factor = _FACTOR[family]
    product = -(-config.activation_width // factor) * -(-config.weight_width // factor)
    requantize = -(-config.accumulator_width // factor) * -(-_MULTIPLIER_WIDTH // factor)
    return config.pes * (product + requantize)


def terms(config: SparseConfig, family: Family) -> NDArray[np.float64]:
    """Return the terms whose weighted sums are the lookup tables and the flip-flops."""
    pes = config.pes
    levels = config.column_groups.bit_length() - 1
    stored = [memory for memory in memories(config)
              if not block_rams(memory, family)]
    bits = sum(memory.copies * memory.width * memory.depth for memory in stored)
    cells = sum(memory.copies * _lut_cells(memory) for memory in stored)
    return np.array([
        1,
        pes,
        pes * config.accumulator_width,
        pes * (config.activation_width + config.weight_width),
        pes * config.entry_depth.bit_length(),
        pes * levels * config.accumulator_width,
        bits if family == "ice40" else cells,
    ], np.float64)


def estimate(config: EngineConfig, family: Family) -> Resources:
    """Estimate what an engine with its serial port takes.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    family : :data:`Family`
        Family of the FPGA.

    Raises
    ------
    InputError
        If there is no model of the engine's area.
    """
    if not isinstance(config, SparseConfig):
        raise InputError(f"Area of {type(config).__name__} must be modelled before it is asked for")
    values = terms(config, family)
    lut, ff = (max(0, round(float(np.dot(values, WEIGHTS[family][kind]))))
               for kind in ("lut", "ff"))
    return Resources(lut, ff, _multipliers(config, family),
                     sum(block_rams(memory, family) for memory in memories(config)))
