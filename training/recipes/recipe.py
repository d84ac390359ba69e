"""What a recipe is, and what comes of one."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.input_file import read_bytes

__all__ = ["Measured", "Recipe", "parse_settings", "read_arms", "summarize", "write_arms"]

#: Values of settings.
Setting = int | float | str | tuple[int, ...] | tuple[float, ...]


class Measured(NamedTuple):
    """What one seed gives for one arm of a comparison.

    Attributes
    ----------
    name : :class:`str`
        Name of the arm, its own in a recipe.
    value : :class:`float`
        What was measured.
    series : :class:`str`
        Curve of the plot that the arm lies on, if it lies on one.
    x : :class:`float` or None
        Where on the curve.
    unit : :class:`str`
        Unit, if it is not the recipe's own; the plot leaves such an arm out.
    """

    name: str
    value: float
    series: str = ""
    x: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Recipe:
    """A method, and how it is measured.

    Attributes
    ----------
    name : :class:`str`
        Name in the command, and of the files.
    method : :class:`str`
        Name of the method.
    unit : :class:`str`
        What is measured.
    measure : callable
        Takes a :class:`~eieio.training.session.Session`, which has one seed, and returns what it
        gives for each arm.
    seeds : :class:`int`
        How many seeds there are by default.
    data : ``"mnist"`` or ``"fashion"``
        Images that it is for.
    settings : mapping of :class:`str` to values
        What may be set, with defaults.
    axis : :class:`str`
        What the plot's horizontal axis is, if arms lie on curves.
    """

    name: str
    method: str
    unit: str
    measure: Callable[[Any], Sequence[Measured]]
    seeds: int = 5
    data: str = "mnist"
    settings: Mapping[str, Setting] = field(default_factory=dict)
    axis: str = ""


def parse_settings(recipe: Recipe, given: Sequence[str]) -> dict[str, Setting]:
    """Return a recipe's settings, with those that are given as ``name=value``.

    Raises
    ------
    InputError
        If there is no such setting, or its value is of another type.
    """
    settings = dict(recipe.settings)
    for text in given:
        name, equals, value = text.partition("=")
        if name not in settings or not equals:
            raise InputError(f"Setting {text!r} must be one of "
                             f"{', '.join(f'{known}=...' for known in settings) or 'none'} of "
                             f"recipe {recipe.name}")
        before = settings[name]
        try:
            if isinstance(before, tuple):
                settings[name] = tuple(type(before[0])(part) for part in value.split(","))
            else:
                settings[name] = type(before)(value)
        except ValueError:
            raise InputError(f"Setting {name} must be like {_text(before)}, not {value!r}"
                             ) from None
    return settings


def _text(value: Setting) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def write_arms(path: Path, arms: Sequence[Measured]) -> None:
    """Write what was measured, so that the file is there as a whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    text = json.dumps({"arms": [arm._asdict() for arm in arms]}, indent=2) + "\n"
    write_bytes(path, text.encode(), durable=True)


def read_arms(path: Path) -> list[Measured]:
    """Read what :func:`write_arms` wrote.

    Raises
    ------
    InputError
        If the file cannot be read, or is another one.
    """
    try:
        return [Measured(**arm) for arm in json.loads(read_bytes(path))["arms"]]
    except (KeyError, TypeError, json.JSONDecodeError):
        raise InputError(f"{path} must be JSON, as this command writes it: delete it") from None


def summarize(runs: Sequence[Sequence[Measured]]) -> list[dict[str, Any]]:
    """Return each arm with the mean and the spread of its runs.

    Parameters
    ----------
    runs : sequence of sequences of Measured
        What each seed gave: the same arms in the same order.

    Returns
    -------
    list of dict
        Of each arm ``name``, ``mean``, ``spread`` (standard deviation of a sample; 0 of one run),
        ``runs`` in the order of the seeds, and what else there is of ``series``, ``x`` (the mean)
        and ``unit``.

    Raises
    ------
    InputError
        If two seeds gave different arms.
    """
    arms = []
    if any([arm.name for arm in run] != [arm.name for arm in runs[0]] for run in runs):
        raise InputError("Every seed must give the same arms")
    for found in zip(*runs, strict=True):
        values = [arm.value for arm in found]
        first = found[0]
        arms.append({
            "name": first.name, "mean": float(np.mean(values)),
            "spread": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0, "runs": values,
            **({"series": first.series, "x": float(np.mean([arm.x for arm in found]))}
               if first.series else {}),
            **({"unit": first.unit} if first.unit else {})})
    return arms
