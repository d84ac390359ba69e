"""Floorplan: where on the FPGA the multipliers of an engine are.

Left to itself, nextpnr finds places for many multipliers only far from the adders that belong to
them, and nothing else brings a large engine near its clock. In its fixed places a systolic array is
what it looks like on paper: columns side by side, and each row below the one before. The PEs of a
sparse engine are around their multipliers, four and four, and each one's output lane is next to it.
"""

from eieio.model.engine_config import EngineConfig
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.boards.board import Board
from eieio.rtl.requantize import accumulator_parts
from eieio.rtl.sparse.engine import NEAR_PES
from eieio.rtl.systolic.array import BAND_ROWS

__all__ = ["multiplier_places"]

# LFE5U-85F and its kin: rows of DSP blocks, the left edges of the blocks, and in each block four
# multipliers with their distances from its edge.
_DSP_ROWS = (10, 34, 58)
_DSP_BLOCKS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
_MULTIPLIERS = (0, 1, 4, 5)
_ROW_MULTIPLIERS = len(_DSP_BLOCKS) * len(_MULTIPLIERS)

# Of the DSP rows of a sparse engine the first ones are nearest to the FPGA's middle. Two groups of
# PEs share a row, with as many blocks between them as at its ends.
_GROUP_ROWS = (34, 58, 10)
_GROUP_EDGES = (1, 7)
_GROUP_BLOCKS = 5

_ENGINE = "system.shell.engine"


def multiplier_places(config: EngineConfig, board: Board) -> dict[str, str]:
    """Choose the places of an engine's multipliers.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    board : Board
        Board it is for.

    Returns
    -------
    dict of :class:`str` to :class:`str`
        nextpnr's names of places by the names of the multipliers in the netlist. Empty for other
        FPGAs, for an array whose rows do not fit beside one another, and for a sparse engine that
        needs more of an FPGA's DSP blocks than there are.
    """
    if board.family != "ecp5" or not board.platform().device.endswith("85F"):
        return {}
    if isinstance(config, SystolicConfig):
        return _array_places(config)
    if isinstance(config, SparseConfig):
        return _group_places(config)
    return {}


def _array_places(config: SystolicConfig) -> dict[str, str]:
    # As few rows of DSP blocks as there must be, each with as many rows of the array.
    for dsp_rows in range(1, len(_DSP_ROWS) + 1):
        rows = -(-config.rows // dsp_rows)
        if rows * config.columns <= _ROW_MULTIPLIERS:
            break
    else:
        return {}
    places = {}
    for row in range(config.rows):
        for column in range(config.columns):
            block, number = divmod(column * rows + row % rows, len(_MULTIPLIERS))
            cell = f"band_{row // BAND_ROWS}.row_{row % BAND_ROWS}.pe_{column}.multiplier.cell"
            places[f"{_ENGINE}.array.{cell}"] = _place(_DSP_ROWS[row // rows], block, number)
    return places


def _group_places(config: SparseConfig) -> dict[str, str]:
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
        places[f"{_ENGINE}.pe_{pe}.accumulate.multiplier.cell"] = _place(y, left + middle, number)
        block = left + number + (number >= middle)
        for part in range(parts):
            for factor in range(2):
                cell = f"lane_{pe}.requantize.multiplier_{part}_{factor}.cell"
                places[f"{_ENGINE}.{cell}"] = _place(y, block, 2 * part + factor)
    return places


def _place(y: int, block: int, number: int) -> str:
    x = _DSP_BLOCKS[block] + _MULTIPLIERS[number]
    return f"X{x}/Y{y}/MULT18_{_MULTIPLIERS[number]}"
