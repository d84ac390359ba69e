"""The option of commands that work for a board."""

from collections.abc import Callable
from typing import Any

import click

from eieio.rtl.boards.find import all_boards, find_board

__all__ = ["board_option"]


def board_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Take a board by its name, and pass it as ``board``."""
    return click.option(
        "--board", type=click.Choice(list(all_boards())), required=True,
        callback=lambda ctx, param, name: find_board(name), help="Board to build for.")(command)
