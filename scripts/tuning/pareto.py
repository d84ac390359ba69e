"""Pareto fronts, and how much of the space of objectives they dominate."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.model.search.objective import Objective

__all__ = ["REFERENCE", "Scale", "front_of", "hypervolume", "scale_of"]

#: Reference point of hypervolumes in each normalised objective, in which a front goes from 0 to 1.
REFERENCE = 1.1


class Scale(NamedTuple):
    """How objectives are normalised: what is 0 and what is 1, maximised ones negated."""

    best: NDArray[np.float64]
    worst: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {"best": self.best.tolist(), "worst": self.worst.tolist(), "reference": REFERENCE}


def _costs(values: Sequence[Sequence[float]], objectives: Sequence[Objective]
           ) -> NDArray[np.float64]:
    signs = [-1.0 if objective.maximise else 1.0 for objective in objectives]
    return np.array(values, np.float64).reshape(-1, len(objectives)) * signs


def front_of(values: Sequence[Sequence[float]], objectives: Sequence[Objective]) -> list[int]:
    """Tell which of several points no other one dominates, sorted by their objectives.

    Of points that are equal in all objectives the first is taken.
    """
    costs = _costs(values, objectives)
    if not len(costs):
        return []
    moocore: Any = import_module("moocore")
    kept = np.flatnonzero(moocore.is_nondominated(costs))
    return sorted((int(number) for number in kept), key=lambda number: tuple(costs[number]))


def scale_of(front: Sequence[Sequence[float]], objectives: Sequence[Objective]) -> Scale:
    """Normalise objectives by a front: its best value of each is 0, its worst 1."""
    costs = _costs(front, objectives)
    return Scale(costs.min(axis=0), costs.max(axis=0))


def hypervolume(values: Sequence[Sequence[float]], objectives: Sequence[Objective], scale: Scale
                ) -> float:
    """Compute the hypervolume that points dominate below :data:`REFERENCE`, normalised.

    An objective of which the scale has one value alone is 0 there, and in the unit of that value
    beside it.
    """
    costs = _costs(values, objectives)
    if not len(costs):
        return 0.0
    width = scale.worst - scale.best
    width = np.where(width > 0, width, np.maximum(np.abs(scale.best), 1))
    moocore: Any = import_module("moocore")
    return float(moocore.hypervolume((costs - scale.best) / width,
                                     ref=np.full(len(objectives), REFERENCE)))
