"""The sparse engine's hardware, as :mod:`eieio.rtl.hardware` wants it."""

from amaranth.lib import wiring

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.requantize import accumulator_parts
from eieio.rtl.sparse.engine import NEAR_PES, SparseEngine
from eieio.rtl.vendor.ecp5_85f import DSP_BLOCKS, multiplier_place

__all__ = ["make_engine", "multiplier_places"]

# DSP rows from the FPGA's middle outward; two groups of PEs share one, if the others have room.
_GROUP_ROWS = (34, 58, 10)
_GROUPS = 2


def make_engine(config: SparseConfig) -> wiring.Component:
    """Make the component."""
    return SparseEngine(config)


def multiplier_places(config: SparseConfig) -> dict[str, str]:
    """Choose the places of the multipliers.

    The PEs are around their multipliers, four and four, and their output lanes are next to these.
    There are none for an engine that needs more DSP blocks than there are.
    """
    # The multipliers of a group's PEs are in the block in the middle, and those of each lane in one
    # of those on either side. Groups have as many blocks between them as at the ends of the row.
    parts = accumulator_parts(config.accumulator_width)
    groups = -(-config.pes // NEAR_PES)
    lanes = -(-NEAR_PES // config.pes_per_lane)
    blocks = 1 + lanes
    in_row = max(_GROUPS, -(-groups // len(_GROUP_ROWS)))
    free = len(DSP_BLOCKS) - in_row * blocks
    if parts > 2 or free < 0:
        return {}
    places = {}
    middle = blocks // 2

    def block(group: int, number: int) -> tuple[int, int]:
        row, place = divmod(group, in_row)
        return (_GROUP_ROWS[row],
                (place + 1) * free // (in_row + 1) + place * blocks + number)

    for pe in range(config.pes):
        group, number = divmod(pe, NEAR_PES)
        places[f"pe_{pe}.accumulate.multiplier.cell"] = multiplier_place(
            *block(group, middle), number)
    for lane in range(config.output_lanes):
        group, number = divmod(lane * config.pes_per_lane, NEAR_PES)
        number //= config.pes_per_lane
        for part in range(parts):
            for factor in range(2):
                cell = f"lane_{lane}.requantize.multiplier_{part}_{factor}.cell"
                places[cell] = multiplier_place(
                    *block(group, number + (number >= middle)), 2 * part + factor)
    return places
