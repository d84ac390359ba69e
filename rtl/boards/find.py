"""Finds boards: every module of this package with a ``BOARD`` is one."""

import pkgutil
from importlib import import_module

from eieio.model.errors import InputError
from eieio.rtl import boards
from eieio.rtl.boards.board import Board

__all__ = ["all_boards", "find_board"]


def all_boards() -> dict[str, Board]:
    """Return all boards, by name, in alphabetical order."""
    modules = [import_module(f"{boards.__name__}.{entry.name}")
               for entry in pkgutil.iter_modules(boards.__path__)]
    found = [module.BOARD for module in modules if hasattr(module, "BOARD")]
    return {board.name: board for board in sorted(found, key=lambda board: board.name)}


def find_board(name: str) -> Board:
    """Find a board by its name.

    Raises
    ------
    InputError
        If there is no such board.
    """
    known = all_boards()
    if name not in known:
        raise InputError(f"Board must be one of {', '.join(known)}, not {name!r}")
    return known[name]
