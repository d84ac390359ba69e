"""Writing files whole or not at all."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eieio.model.errors import InputError
from eieio.model.leftovers import unfinished

__all__ = ["check_room", "move_file", "write_bytes", "write_text", "writing"]


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an error of the operating system into one that names the file that is written.

    Raises
    ------
    InputError
        In place of any :exc:`OSError`.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} must be writable: {error.strerror or error}") from error


def check_room(folder: Path) -> None:
    """Find out whether a disk is full, after a program that does not tell what its error is.

    Raises
    ------
    InputError
        If 64 KiB cannot be written into the folder.
    """
    with writing(folder), tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(1 << 16))


def write_bytes(path: str | os.PathLike[str], data: bytes, *, durable: bool = False) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    The data goes to a new file in the same folder, which then takes the place of `path`. After an
    error the old file is as it was and no new one is left. A symbolic link is followed.

    Parameters
    ----------
    path : path-like
        File to create or replace. Its folder must exist.
    data : :class:`bytes`
        The whole content.
    durable : :class:`bool`
        Whether the file must be on the disk when this returns, so that it is whole even if the
        machine loses its power.

    Raises
    ------
    InputError
        If the file cannot be written, or `path` is something other than a regular file.
    """
    def write(part: Path) -> None:
        with part.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())

    _replace(path, write)
    if durable:
        with writing(path):
            _sync_folder(Path(os.path.realpath(path)).parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file as :func:`write_bytes` does, in UTF-8."""
    write_bytes(path, text.encode())


def move_file(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Move a file, perhaps to another disk, so that it arrives whole or not at all.

    Errors are those of :func:`write_bytes`. The file then is where it was.
    """
    def write(part: Path) -> None:
        shutil.copy2(source, part)

    target = os.path.realpath(path)
    try:
        if not os.path.isdir(target):
            os.replace(source, target)
            return
    except OSError:  # It is on another file system, or there is an error that a copy meets as well.
        pass
    _replace(path, write)
    Path(source).unlink(missing_ok=True)


def _replace(path: str | os.PathLike[str], write: Callable[[Path], None]) -> None:
    """Let a file be written beside its target, and take its place."""
    target = Path(os.path.realpath(path))
    with writing(path):
        if target.exists() and not target.is_file():
            raise InputError(f"{path} must be a file, not a folder or a device")
        with unfinished(target.with_name(f".{secrets.token_hex(8)}.part")) as part:
            write(part)
            part.replace(target)


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where a system can open folders."""
    if hasattr(os, "O_DIRECTORY"):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
