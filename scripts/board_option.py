"""The option of commands that work for a board, and what a board makes of an engine's options."""

from collections.abc import Callable
from typing import Any

import click

from eieio.rtl.boards.board import Board
from eieio.rtl.boards.find import all_boards, find_board

__all__ = ["board_option", "options_for_board"]

#: Registers of each multiplier: an ECP5's has three of its own.
_PRODUCT_STAGES = 3


def board_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Take a board by its name, and pass it as ``board``."""
    return click.option(
        "--board", type=click.Choice(list(all_boards())), required=True,
        callback=lambda ctx, param, name: find_board(name), help="Board to build for.")(command)


def options_for_board(options: dict[str, Any], engine: str, board: Board) -> dict[str, Any]:
    """Add to an engine's options, by name, those that a board wants and nobody gave."""
    if engine == "systolic" and board.family == "ecp5":
        return {"product_stages": _PRODUCT_STAGES} | options
    return options
