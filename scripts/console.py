"""What commands show: progress, notices, tables, and the file of all figures."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from eieio.model.engine import Messages
from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes

__all__ = ["CONSOLE", "check_writable", "note", "progress", "show", "table", "write_json"]

#: Width of tables where there is no terminal, and most characters of a word that stay in a line.
_PIPED, _WORD = 100, 32


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


class _Console(Messages):
    """Tells it on standard error."""

    def progress(self, what: str) -> AbstractContextManager[None]:
        return progress(what)

    def note(self, text: str) -> None:
        note(text)


#: Takes what a command's steps tell.
CONSOLE: Messages = _Console()


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Make a table whose first column holds names and whose others hold numbers."""
    made = Table(box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        made.add_column(Text(column), justify="right" if number else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def show(*parts: Table | str) -> None:
    """Write tables and lines to standard output.

    A table is as wide as the terminal, or as 100 characters where there is none: what is too long
    goes on in the next line, between words. No word and no number is cut: the table is wider then.
    Only words of more than 32 characters, such as names of layers, are cut.
    """
    console = Console()
    width = console.width if console.is_terminal else _PIPED
    for part in parts:
        if isinstance(part, str):
            console.print(part, markup=False, highlight=False, soft_wrap=True)
        else:
            total = _set_widths(part, width)
            Console(width=max(width, total)).print(part)


def _set_widths(shown: Table, width: int) -> int:
    """Set the widths of a table's columns, so that words fit in them; return the table's width."""
    least, most = [], []
    for column in shown.columns:
        texts = [str(cell) for cell in (column.header, *column.cells)]
        most.append(max(map(len, texts)))
        least.append(min(_WORD, max(len(word) for text in texts for word in text.split(" "))))
    # Around each column there is a space, if there is room, and between two of them another one.
    count = len(shown.columns)
    padding = 1 if width >= 3 * count + 1 + sum(least) else 0
    shown.padding = (0, padding)
    frame = count + 1 + 2 * padding * count
    # What is left goes to the columns that need the fewest characters more.
    left = max(0, width - frame - sum(least))
    for number in sorted(range(len(least)), key=lambda number: most[number] - least[number]):
        more = min(left, most[number] - least[number])
        least[number] += more
        left -= more
    for column, chosen in zip(shown.columns, least, strict=True):
        column.width = chosen
    return frame + sum(least)


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
