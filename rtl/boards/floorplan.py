"""Floorplan: where on the FPGA the multipliers of a systolic array are.

Left to itself, nextpnr finds places for an array that takes nearly all multipliers of an FPGA only
far from the adders that belong to them, and nothing else brings a large array near its clock. In
its fixed places it is what it looks like on paper: columns side by side, and each row below the one
before.
"""

from eieio.model.engine_config import EngineConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.boards.board import Board
from eieio.rtl.systolic.array import BAND_ROWS

__all__ = ["multiplier_places"]

# LFE5U-85F and its kin: rows of DSP blocks, the left edges of the blocks, and in each block four
# multipliers with their distances from its edge.
_DSP_ROWS = (10, 34, 58)
_DSP_BLOCKS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
_MULTIPLIERS = (0, 1, 4, 5)
_ROW_MULTIPLIERS = len(_DSP_BLOCKS) * len(_MULTIPLIERS)

_ARRAY = "system.shell.engine.array"


def multiplier_places(config: EngineConfig, board: Board) -> dict[str, str]:
    """Choose the places of a systolic array's multipliers.

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
        engines and FPGAs, and for an array whose rows do not fit beside one another.
    """
    if not isinstance(config, SystolicConfig) or not board.platform().device.endswith("85F"):
        return {}
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
            x = _DSP_BLOCKS[block] + _MULTIPLIERS[number]
            y = _DSP_ROWS[row // rows]
            cell = f"band_{row // BAND_ROWS}.row_{row % BAND_ROWS}.pe_{column}.multiplier.cell"
            places[f"{_ARRAY}.{cell}"] = f"X{x}/Y{y}/MULT18_{_MULTIPLIERS[number]}"
    return places
