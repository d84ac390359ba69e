"""The space of engines that are tried: the options of each, and which of their values go together.

Engines say it themselves (:attr:`eieio.model.sizing.Sizing.space`). A point of the space is a
configuration that can be, and that would fit the board if the network needed next to no memory.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from eieio.model.area import AreaUnknownError, estimate
from eieio.model.engine import Engine
from eieio.model.errors import InputError
from eieio.model.search.space import Axis, Space
from eieio.rtl.boards.board import Board
from eieio.scripts.engine import smallest_config

__all__ = ["axes_of", "make_space", "parse_tries"]

#: Most combinations of values of an engine's options that are looked through.
_MOST = 300_000


def parse_tries(texts: Sequence[str], engines: Sequence[Engine]
                ) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Read values of options, such as ``rows=4,8`` or ``ENGINE.rows=4``: by engine, then option.

    Raises
    ------
    InputError
        If no engine has the option, or a value is not of its kind.
    """
    found: dict[str, dict[str, tuple[Any, ...]]] = {engine.name: {} for engine in engines}
    for text in texts:
        name, equals, values = text.partition("=")
        only, _, option = name.rpartition(".")
        option = option.replace("-", "_")
        able = [engine for engine in engines if only in {"", engine.name}
                and option in {each.name for each in engine.options}]
        if not equals or not able:
            raise InputError(f"Option --try must be OPTION=VALUE[,VALUE...] of one of the engines "
                             f"{', '.join(engine.name for engine in engines)}, not {text!r}")
        for engine in able:
            kind = next(each.kind for each in engine.options if each.name == option)
            found[engine.name][option] = tuple(
                _value(kind, value.strip(), text) for value in values.split(","))
    return found


def _value(kind: str, value: str, text: str) -> Any:
    if kind == "flag" and value in {"yes", "no"}:
        return value == "yes"
    if kind == "integer":
        try:
            return int(value)
        except ValueError:
            pass
    if kind == "text":
        return value
    wanted = "yes or no" if kind == "flag" else "integers"
    raise InputError(f"Option --try must have {wanted}, not {value!r} in {text!r}")


def axes_of(engine: Engine, tries: Mapping[str, tuple[Any, ...]], *, lossy: bool) -> list[Axis]:
    """List the axes of an engine: its own, with values that a user gives in place of them.

    ``lossy`` says whether options are varied that may change the network's integers.
    """
    sizing = engine.sizing
    values = {name: tuple(each) for name, each in sizing.space.items()
              if lossy or name not in sizing.lossy} | {**tries}
    return [Axis(engine.name, name, each) for name, each in values.items()]


def make_space(axes: Mapping[str, Sequence[Axis]], engines: Sequence[Engine], board: Board
               ) -> tuple[Space, dict[str, str]]:
    """Find the points of a space.

    Returns
    -------
    tuple of Space and dict
        The space, and engines without a point: why, by name.

    Raises
    ------
    InputError
        If an engine's options have too many combinations, or no engine has a point.
    """
    points: list[tuple[str, tuple[int, ...]]] = []
    counts, refused = {}, {}
    for engine in engines:
        own = axes[engine.name]
        total = prod(len(axis.values) for axis in own)
        if total > _MOST:
            raise InputError(f"Options of the {engine.name} engine have {total:,} combinations, "
                             f"and at most {_MOST:,} are looked through: fix some by --try")
        found, count, reason = _engine_points(engine, own, board)
        points += [(engine.name, codes) for codes in found]
        counts[engine.name] = {"combinations": total, **count, "points": len(found)}
        if not found:
            refused[engine.name] = reason
    if not points:
        raise InputError("; ".join(f"the {name} engine: {reason}"
                                   for name, reason in refused.items()))
    return Space(axes, points, counts), refused


def _engine_points(engine: Engine, axes: Sequence[Axis], board: Board
                   ) -> tuple[list[tuple[int, ...]], dict[str, int], str]:
    """Find the points of an engine; count the others, and say why the last of them is none."""
    found: dict[Any, tuple[int, ...]] = {}
    count = {"impossible": 0, "repeated": 0, "without_area": 0, "too_large": 0}
    reason = "it has no configuration"
    for codes in product(*(range(len(axis.values)) for axis in axes)):
        options = {axis.option: axis.values[code] for axis, code in zip(axes, codes, strict=True)}
        try:
            config = smallest_config(engine, engine.for_board(options, board.family))
            beyond = estimate(config, board.family).beyond(board.capacity)
        except AreaUnknownError as error:
            count["without_area"] += 1
            reason = str(error)
            continue
        except InputError as error:
            count["impossible"] += 1
            reason = str(error)
            continue
        if beyond:
            count["too_large"] += 1
            reason = f"it takes {', '.join(beyond)}"
        elif config.label in found:
            count["repeated"] += 1
        else:
            found[config.label] = codes
    return [*found.values()], count, reason
