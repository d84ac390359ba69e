"""What commands show: progress, notices, tables, and the file of all figures."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes

__all__ = ["check_writable", "note", "progress", "show", "table", "write_json"]


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show what is being done and for how long; nothing where standard error is no terminal."""
    console = Console(stderr=True)
    with Progress(SpinnerColumn(), TextColumn("{task.description}", markup=False),
                  TimeElapsedColumn(), console=console, transient=True,
                  disable=not console.is_terminal) as shown:
        shown.add_task(what, total=None)
        yield


def note(text: str) -> None:
    """Tell the user, on standard error, what was done that the user might not expect."""
    Console(stderr=True, soft_wrap=True).print(
        f"eieio: note: {text}", markup=False, highlight=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Make a table whose first column holds names and whose others hold numbers."""
    made = Table(box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


def show(*parts: Table | str) -> None:
    """Write tables and lines to standard output."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=100)
    for part in parts:
        if isinstance(part, str):
            console.print(part, markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(part)


def check_writable(path: Path | None) -> None:
    """Refuse, before a long run, a file that could not be written after it.

    Folders that do not exist yet are no obstacle; :func:`write_json` makes them.

    Raises
    ------
    InputError
        If the path is a folder or a device, or what should be its folder is a file or cannot be
        written.
    """
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{path} must be a file, not a folder")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} must be a file, not a device")
    folder = Path(os.path.abspath(path)).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{path} must be writable: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} must be writable: {folder} is not")


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures to a file, if one is asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, (json.dumps(figures, indent=2) + "\n").encode())
