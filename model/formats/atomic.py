"""Writing files whole or not at all."""

import os
import secrets
from pathlib import Path

from eieio.model.errors import InputError

__all__ = ["write_bytes"]


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    The data goes to a new file in the same folder, which then takes the place of `path`. After an
    error the old file is as it was and no new one is left. A symbolic link is followed.

    Parameters
    ----------
    path : path-like
        File to create or replace. Its folder must exist.
    data : :class:`bytes`
        The whole content.

    Raises
    ------
    InputError
        If the file cannot be written, or `path` is something other than a regular file.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InputError(f"{path} must be a file, not a folder or a device")
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            with part.open("xb") as file:
                file.write(data)
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{path} must be writable: {error.strerror or error}") from error
