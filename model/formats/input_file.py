"""Reading a whole input file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from eieio.model.errors import InputError

__all__ = ["read_bytes", "read_parsed"]

_Parsed = TypeVar("_Parsed")

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a file.

    Parameters
    ----------
    path : path-like
        File to read.

    Returns
    -------
    :class:`bytes`
        The whole content.

    Raises
    ------
    InputError
        If `path` is missing, is no regular file, cannot be read, or is a pointer of Git LFS.
    """
    path = Path(path)
    try:
        # Input is read more than once, and nothing may wait for who writes into a pipe.
        if path.exists() and not path.is_file() and not path.is_dir():
            raise InputError(f"{path} must be a regular file, not a pipe or a device")
        data = path.read_bytes()
    except MemoryError:
        raise InputError(f"{path} must fit into memory, with its {path.stat().st_size:,} bytes"
                         ) from None
    except FileNotFoundError:
        raise InputError(f"{path} must be an existing file") from None
    except IsADirectoryError:
        raise InputError(f"{path} must be a file, not a folder") from None
    except OSError as error:
        raise InputError(f"{path} must be readable: {error.strerror or error}") from error
    if data.startswith(_LFS_POINTER):
        raise InputError(f"{path} must be the file itself, not the pointer that Git LFS keeps in "
                         "its place: fetch it with 'git lfs pull', or download it")
    return data


def read_parsed(path: str | os.PathLike[str], parse: Callable[[bytes], _Parsed]) -> _Parsed:
    """Return what a file's content says, with the file's name in front of what is wrong with it.

    Raises
    ------
    InputError
        If the file cannot be read, or `parse` refuses its content.
    """
    data = read_bytes(path)
    try:
        return parse(data)
    except MemoryError:
        raise InputError(f"{os.fspath(path)}: what it describes must fit into memory") from None
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error
