"""Finds engines: those of eieio, and those that other packages bring.

A package brings an engine by an entry point of the group ``eieio.engines``, whose name is the
engine's and whose object an :class:`~eieio.model.engine.Engine`. Nothing of an engine is imported
before somebody asks for it.
"""

import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from eieio.model.engine import Engine
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError

__all__ = ["GROUP", "engine_of", "engines", "find_engine", "names", "numbered"]

#: Group of the entry points.
GROUP = "eieio.engines"


def _found() -> dict[str, EntryPoint]:
    return _found_on(tuple(sys.path))


@cache
def _found_on(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Find the entry points by name: eieio's own first, and the others by their names."""
    del path  # Where they are looked for; which takes some milliseconds.
    own = __name__.partition(".")[0]
    found = sorted(entry_points(group=GROUP),
                   key=lambda point: (point.module.partition(".")[0] != own, point.name))
    unique: dict[str, EntryPoint] = {}
    for point in found:
        unique.setdefault(point.name, point)
    return unique


def names() -> list[str]:
    """List the names of all engines."""
    return [*_found()]


def find_engine(name: str) -> Engine:
    """Return the engine of a name.

    Raises
    ------
    InputError
        If there is none, or it cannot be loaded.
    """
    found = _found()
    if name not in found:
        raise InputError(f"Engine must be one of {', '.join(found)}, not {name!r}")
    return _load(found[name])


@cache
def _load(point: EntryPoint) -> Engine:
    try:
        engine = point.load()
    except Exception as error:  # Whatever another package raises.
        raise InputError(f"Engine {point.name!r} cannot be loaded from {point.value}: "
                         f"{' '.join(str(error).split())}") from error
    if not isinstance(engine, Engine) or engine.name != point.name:
        raise InputError(f"Engine {point.name!r} must be an Engine of this name, and {point.value} "
                         "is not")
    return engine


def engines() -> Iterator[Engine]:
    """Load all engines, but for those of other packages that cannot be loaded.

    They come in the order of their numbers, those without one at the end: of several engines that
    take a network, the first is chosen.
    """
    found = []
    for name in names():
        try:
            found.append(find_engine(name))
        except InputError:
            continue
    yield from sorted(found, key=lambda engine: (engine.number is None, engine.number or 0))


def numbered() -> dict[str, Engine]:
    """Return the engines that have registers by their names, in the order of their numbers."""
    return {engine.name: engine for engine in engines() if engine.number is not None}


def engine_of(config: EngineConfig) -> Engine:
    """Return the engine of a configuration.

    Raises
    ------
    InputError
        If it is of none.
    """
    for engine in engines():
        if isinstance(config, engine.config):
            return engine
    raise InputError(f"Configuration must be of an engine, not {config!r}")
