"""The systolic engine's hardware, as :mod:`eieio.rtl.hardware` wants it."""

from amaranth.lib import wiring

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic.array import BAND_ROWS
from eieio.rtl.systolic.engine import SystolicEngine
from eieio.rtl.vendor.ecp5_85f import DSP_ROWS, MULTIPLIERS, ROW_MULTIPLIERS, multiplier_place

__all__ = ["make_engine", "multiplier_places"]


def make_engine(config: SystolicConfig) -> wiring.Component:
    """Make the component."""
    return SystolicEngine(config)


def multiplier_places(config: SystolicConfig) -> dict[str, str]:
    """Choose the places of the multipliers.

    The array is what it looks like on paper: columns side by side, and each row below the one
    before. There are none for an array whose rows do not fit beside one another.
    """
    # As few rows of DSP blocks as there must be, each with as many rows of the array.
    for dsp_rows in range(1, len(DSP_ROWS) + 1):
        rows = -(-config.rows // dsp_rows)
        if rows * config.multiplier_columns <= ROW_MULTIPLIERS:
            break
    else:
        return {}
    places = {}
    multiplier = "pair.multiplier" if config.products_per_multiplier > 1 else "multiplier"
    for row in range(config.rows):
        for column in range(config.multiplier_columns):
            block, number = divmod(column * rows + row % rows, len(MULTIPLIERS))
            cell = f"band_{row // BAND_ROWS}.row_{row % BAND_ROWS}.pe_{column}.{multiplier}.cell"
            places[f"array.{cell}"] = multiplier_place(DSP_ROWS[row // rows], block, number)
    return places
