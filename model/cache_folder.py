"""Where what can be made again is kept: simulations, and compiled tools."""

import functools
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from eieio.model.errors import InputError
from eieio.model.leftovers import new_folder
from eieio.model.plain_paths import plain_temporary_folder

__all__ = ["cache_folder", "tools_environment"]

_VARIABLE = "EIEIO_CACHE"
_HOME_VARIABLE = "XDG_CACHE_HOME"

# Temporary caches, which last as long as the process.
_kept = ExitStack()


def cache_folder(given: Path | None = None) -> Path:
    """Find the folder of all builds, and make it.

    Parameters
    ----------
    given : :class:`pathlib.Path`, optional
        The folder. The default is the environment variable ``EIEIO_CACHE``, or else ``build/cache``
        in the current folder, or if this cannot be written, a temporary folder.

    Returns
    -------
    :class:`pathlib.Path`
        Absolute path of an existing folder.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    named = given or os.environ.get(_VARIABLE)
    folder = Path(os.path.abspath(named or Path("build") / "cache"))
    if (reason := _obstacle(folder)) is None:
        return folder
    if named:
        hint = "" if given else f"; {_VARIABLE} names it"
        raise InputError(f"Cache folder {folder} must be writable: {reason}{hint}")
    return _instead(folder, f"simulations are not kept, since {folder} cannot be written "
                            f"({reason}); {_VARIABLE} may name another folder")


def tools_environment() -> dict[str, str]:
    """Return variables with which tools that keep a cache find a folder for it.

    Yosys and nextpnr as WebAssembly are compiled once, into the user's own cache, and do not run
    if it cannot be written. Then they get a part of ours.
    """
    home = os.environ.get(_HOME_VARIABLE)
    if not home or not os.path.isabs(home):
        home = os.path.expanduser("~/.cache")
    if (reason := _obstacle(Path(home))) is None:
        return {}
    instead = cache_folder() / "tools"
    _say(f"tools keep their cache in {instead}, since {home} cannot be written ({reason})")
    return {_HOME_VARIABLE: str(instead)}


def _obstacle(folder: Path) -> str | None:
    """Make a folder that can be written, or say why this cannot be."""
    try:
        new_folder(folder)
        if not folder.is_dir():
            return f"{folder} is not a folder"
    except OSError as error:
        return f"{error.strerror or error}"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} is read-only"


@functools.cache
def _instead(folder: Path, text: str) -> Path:
    _say(text)
    return _kept.enter_context(plain_temporary_folder())


@functools.cache
def _say(text: str) -> None:
    print(f"eieio: note: {text}", file=sys.stderr)
