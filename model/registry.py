"""Finds engines: those of eieio, and those that other packages bring.

A package brings an engine by an entry point of the group ``eieio.engines``, whose name is the
engine's and whose object an :class:`~eieio.model.engine.Engine`. Nothing of another package's
engine is imported before somebody asks for it.
"""

import math
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
    """Find the entry points: eieio's own, by their numbers, before others, by their names."""
    del path  # Where they are looked for; which takes some milliseconds.
    found = sorted(entry_points(group=GROUP), key=_place)
    unique: dict[str, EntryPoint] = {}
    for point in found:
        unique.setdefault(point.name, point)
    return unique


def _place(point: EntryPoint) -> tuple[bool, float, str]:
    """Place of an engine among all; those that have no registers are behind those that have."""
    if point.module.partition(".")[0] != __name__.partition(".")[0]:
        return True, 0, point.name
    number = _load(point).number
    return False, math.inf if number is None else number, point.name


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
    """Load all engines, but for those of other packages that cannot be loaded."""
    for name in names():
        try:
            yield find_engine(name)
        except InputError:
            continue


def numbered() -> dict[str, Engine]:
    """Return the engines that have registers by their names, in the order of their numbers."""
    found = [engine for engine in engines() if engine.number is not None]
    return {engine.name: engine for engine in sorted(found, key=lambda engine: engine.number or 0)}


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
