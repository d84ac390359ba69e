"""The sparse engine's hardware, as :mod:`eieio.rtl.hardware` wants it."""

from amaranth.lib import wiring

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.requantize import accumulator_parts
from eieio.rtl.sparse.engine import NEAR_PES, SparseEngine
from eieio.rtl.vendor.ecp5_85f import multiplier_place

__all__ = ["make_engine", "multiplier_places"]

# Of the DSP rows the first ones are nearest to the FPGA's middle. Two groups of PEs share a row,
# with as many blocks between them as at its ends.
_GROUP_ROWS = (34, 58, 10)
_GROUP_EDGES = (1, 7)
_GROUP_BLOCKS = 5


def make_engine(config: SparseConfig) -> wiring.Component:
    """Make the component."""
    return SparseEngine(config)


def multiplier_places(config: SparseConfig) -> dict[str, str]:
    """Choose the places of the multipliers.

    The PEs are around their multipliers, four and four, and each one's output lane is next to it.
    There are none for an engine that needs more DSP blocks than there are.
    """
    # The multipliers of a group's PEs are in the block in the middle, and those of each lane in one
    # of the two on either side.
    parts = accumulator_parts(config.accumulator_width)
    groups = -(-config.pes // NEAR_PES)
    if parts > 2 or groups > len(_GROUP_ROWS) * len(_GROUP_EDGES):
        return {}
    places = {}
    middle = _GROUP_BLOCKS // 2
    for pe in range(config.pes):
        group, number = divmod(pe, NEAR_PES)
        row, edge = divmod(group, len(_GROUP_EDGES))
        y, left = _GROUP_ROWS[row], _GROUP_EDGES[edge]
        places[f"pe_{pe}.accumulate.multiplier.cell"] = multiplier_place(y, left + middle, number)
        lane, turn = config.output_lane(pe)
        if turn:
            continue
        block = left + number + (number >= middle)
        for part in range(parts):
            for factor in range(2):
                cell = f"lane_{lane}.requantize.multiplier_{part}_{factor}.cell"
                places[cell] = multiplier_place(y, block, 2 * part + factor)
    return places
