"""Folders for programs that cannot work in any folder.

Make, the shell and Verilator's makefiles read spaces and ``# : ; $ % ' "`` in a path as something
else, and have no way to spell them.
"""

import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from eieio.model.errors import InputError
from eieio.model.formats.atomic import writing
from eieio.model.leftovers import temporary_folder

__all__ = ["is_plain", "plain_copy", "plain_link", "plain_temporary_folder"]

# Where temporary files may lie if TMPDIR has another path.
_OTHERS = ("/tmp", "/var/tmp", "/dev/shm")

# Links and copies, which last as long as the process.
_lasting = ExitStack()


def is_plain(path: Path) -> bool:
    """Tell whether every program takes a path as it is, and with its links followed."""
    both = f"{os.path.abspath(path)}{os.path.realpath(path)}"
    return re.fullmatch(r"[A-Za-z0-9_./+-]+", both) is not None


@contextmanager
def plain_temporary_folder(first: Path | None = None) -> Iterator[Path]:
    """Make a folder with a plain path, which is deleted at the end.

    Parameters
    ----------
    first : :class:`pathlib.Path`, optional
        Absolute path of the folder to make it in, if this is plain. Otherwise it is among the
        temporary files.

    Raises
    ------
    InputError
        If no folder for temporary files can be written.
    """
    try:
        places = [*([first] if first else []), Path(tempfile.gettempdir())]
    except FileNotFoundError as error:
        raise InputError(f"Temporary files need a folder that can be written: {error.strerror}"
                         ) from error
    places += [place for place in map(Path, _OTHERS) if os.access(place, os.W_OK | os.X_OK)]
    place = next(filter(is_plain, places), places[-1])
    with temporary_folder(place) as folder:
        yield folder


def plain_link(path: Path) -> Path:
    """Return a plain path that leads to a file or folder for as long as this process lasts."""
    return path if is_plain(path) else _link(path)


def plain_copy(folder: Path) -> Path:
    """Return a folder with a plain path: this one, or a copy that lasts as long as this process.

    This is for programs that follow a link to where they are.
    """
    return folder if is_plain(folder) else _copy(folder)


@functools.cache
def _link(path: Path) -> Path:
    link = _place(path)
    link.symlink_to(path)
    return link


@functools.cache
def _copy(folder: Path) -> Path:
    copy = _place(folder)
    with writing(copy):
        return Path(shutil.copytree(folder, copy))


def _place(path: Path) -> Path:
    folder = _lasting.enter_context(plain_temporary_folder())
    return folder / re.sub(r"[^A-Za-z0-9_.+-]", "_", path.name)
