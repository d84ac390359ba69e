"""The space of a search: options of one or several kinds, and which values go together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ENGINE", "Axis", "Point", "Space"]

#: Name of the axis of engines.
ENGINE = "engine"

#: Distance of points of different engines, larger than any other.
_FAR = 1e6


@dataclass(frozen=True)
class Axis:
    """An option of an engine, and the values that are tried."""

    engine: str
    option: str
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """Name of the axis, which is the engine's alone."""
        return f"{self.engine}.{self.option}"


@dataclass(frozen=True)
class Point:
    """An engine, and those of its options that are varied."""

    engine: str
    options: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The options on one line."""
        return " ".join(f"{name}={value}" for name, value in self.options.items())


class Space:
    """All points that are tried.

    Parameters
    ----------
    axes : mapping of :class:`str` to sequence of Axis
        Axes of each engine, by its name.
    points : sequence of tuples of :class:`str` and tuple of :class:`int`
        Engine of each point, and the number of the value on each of the engine's axes.
    counts : dict
        Of each engine: combinations of values, those that cannot be, that are equal to another one,
        and that are too large for the board.
    """

    def __init__(self, axes: Mapping[str, Sequence[Axis]],
                 points: Sequence[tuple[str, tuple[int, ...]]],
                 counts: Mapping[str, Mapping[str, int]]) -> None:
        self.axes, self.counts = axes, counts
        self.engines = tuple(name for name in axes if any(point[0] == name for point in points))
        #: Values of each parameter of a search, by its name: how many there are.
        self.parameters = {ENGINE: len(self.engines)} if len(self.engines) > 1 else {}
        self.parameters |= {axis.name: len(axis.values)
                            for name in self.engines for axis in axes[name]}
        self._points = [*points]
        self._numbers = {point: number for number, point in enumerate(points)}
        self._codes = {name: np.array([codes for engine, codes in points if engine == name])
                       for name in self.engines}
        self._places = {name: np.array([number for number, (engine, _) in enumerate(points)
                                        if engine == name]) for name in self.engines}

    def __len__(self) -> int:
        return len(self._points)

    def __getitem__(self, number: int) -> Point:
        engine, codes = self._points[number]
        return Point(engine, {axis.option: axis.values[code]
                              for axis, code in zip(self.axes[engine], codes, strict=True)})

    def encode(self, number: int, rest: Mapping[str, int] | None = None) -> dict[str, int]:
        """Return all parameters of a point; what is no matter to it is of ``rest``, or 0."""
        engine, codes = self._points[number]
        found = {name: (rest or {}).get(name, 0) for name in self.parameters}
        if ENGINE in found:
            found[ENGINE] = self.engines.index(engine)
        return found | {axis.name: code
                        for axis, code in zip(self.axes[engine], codes, strict=True)}

    def decode(self, parameters: Mapping[str, int]) -> int | None:
        """Return the number of a point by its parameters; None if there is no such point."""
        engine = self.engines[parameters.get(ENGINE, 0)]
        codes = tuple(parameters[axis.name] for axis in self.axes[engine])
        return self._numbers.get((engine, codes))

    def nearest(self, parameters: Mapping[str, int], free: NDArray[np.bool_],
                rng: np.random.Generator) -> int:
        """Return the free point that is nearest to parameters, of several any.

        The distance on an axis is the share of its length; another engine is farther than all.
        """
        engine = self.engines[parameters.get(ENGINE, 0)]
        distance = np.full(len(self), _FAR)
        lengths = np.array([max(1, len(axis.values) - 1) for axis in self.axes[engine]])
        wanted = np.array([parameters[axis.name] for axis in self.axes[engine]])
        distance[self._places[engine]] = (
            np.abs(self._codes[engine] - wanted) / lengths).sum(axis=1)
        distance[~free] = np.inf
        return int(rng.choice(np.flatnonzero(distance <= distance.min() + 1e-9)))

    def to_dict(self) -> dict[str, Any]:
        """Return what it is as JSON takes it."""
        return {"points": len(self), "engines": {
            name: {"axes": {axis.option: [*axis.values] for axis in self.axes[name]},
                   **self.counts[name]} for name in self.axes}}
