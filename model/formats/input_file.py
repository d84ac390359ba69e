"""Reading a whole input file."""

import os
from pathlib import Path

from eieio.model.errors import InputError

__all__ = ["read_bytes"]


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
        If `path` is missing, is a folder, or cannot be read.
    """
    path = Path(path)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} must be an existing file") from None
    except IsADirectoryError:
        raise InputError(f"{path} must be a file, not a folder") from None
    except OSError as error:
        raise InputError(f"{path} must be readable: {error.strerror or error}") from error
