"""Floorplan: where on the FPGA the multipliers of an engine are.

Left to itself, nextpnr finds places for many multipliers only far from the adders that belong to
them, and nothing else brings a large engine near its clock. Each engine knows its own best places.
"""

from collections.abc import Callable
from typing import Any

from eieio.model.engine_config import EngineConfig
from eieio.rtl.boards.board import Board
from eieio.rtl.hardware import hardware_of

__all__ = ["multiplier_places"]

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
        FPGAs than a large ECP5, and where the engine has no floorplan, or does not fit into it.
    """
    if board.family != "ecp5" or not board.platform().device.endswith("85F"):
        return {}
    choose: Callable[[Any], dict[str, str]] | None = getattr(
        hardware_of(config), "multiplier_places", None)
    if choose is None:
        return {}
    engine = f"{_ENGINE}.engine" if config.guarded else _ENGINE
    return {f"{engine}.{name}": place for name, place in choose(config).items()}
