"""How the next point is chosen: by one of Optuna's samplers, at random, or one after the other.

Whatever a sampler proposes, the nearest point is taken that can be and was not taken yet: no
evaluation is wasted. What it draws depends on the seed, the number of the trial and the trials
before it alone, so that a search that was interrupted goes on as it would have.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from eieio.model.search.space import ENGINE, Space

__all__ = ["EXHAUSTIVE", "REFUSED", "SpaceSampler", "distributions"]

#: Name of the sampler that takes all points.
EXHAUSTIVE = "exhaustive"
#: User's attribute of a trial whose point the network cannot be compiled for.
REFUSED = "refused"


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions of a space's parameters."""
    return {name: CategoricalDistribution([*range(count)]) if name == ENGINE
            else IntDistribution(0, count - 1) for name, count in space.parameters.items()}


class SpaceSampler(BaseSampler):
    """Sampler of a space.

    Parameters
    ----------
    space : Space
        The space.
    kind : :class:`str`
        ``"nsga2"``, ``"tpe"``, ``"random"`` or ``"exhaustive"``.
    seed : :class:`int`
        Seed.
    population : :class:`int`
        Points of a generation of ``"nsga2"``, and of those that start ``"tpe"``.
    """

    def __init__(self, space: Space, kind: str, seed: int, population: int) -> None:
        self.space, self.kind, self.seed, self.population = space, kind, seed, population
        self._distributions = distributions(space)
        # Points that are taken for good, by so many trials, which have all ended.
        self._taken, self._ended = np.zeros(len(space), bool), 0

    def free(self, trials: Sequence[FrozenTrial], but: int) -> NDArray[np.bool_]:
        """Tell which points no trial but one has taken; ``trials`` are all there are."""
        while self._ended < len(trials) and trials[self._ended].state.is_finished():
            self._take(trials[self._ended], self._taken)
            self._ended += 1
        taken = self._taken.copy()
        for trial in trials[self._ended:]:
            if trial.number != but:
                self._take(trial, taken)
        return ~taken

    def _take(self, trial: FrozenTrial, taken: NDArray[np.bool_]) -> None:
        """Mark the point of a trial as taken, unless it failed."""
        if trial.state == TrialState.FAIL and REFUSED not in trial.user_attrs:
            return
        # One that waits has its parameters as they will be.
        parameters = trial.params or trial.system_attrs.get("fixed_params", {})
        if len(parameters) == len(self._distributions):
            number = self.space.decode(parameters)
            if number is not None:
                taken[number] = True

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial
                                    ) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(self, study: Study, trial: FrozenTrial,
                        search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, trial.number])
        free = self.free(study.get_trials(deepcopy=False), trial.number)
        if not free.any():
            # The trial is one that waited.
            return self.space.encode(0)
        if self.kind == EXHAUSTIVE:
            return self.space.encode(int(np.argmax(free)))
        if self.kind == "random":
            return self.space.encode(int(rng.choice(np.flatnonzero(free))))
        # What a sampler does not say, it wants to be drawn.
        drawn = {name: int(rng.integers(count)) for name, count in self.space.parameters.items()}
        proposed = self._inner(int(rng.integers(1 << 31))).sample_relative(
            study, trial, search_space)
        wanted = drawn | proposed
        return self.space.encode(self.space.nearest(wanted, free, rng), wanted)

    def _inner(self, seed: int) -> BaseSampler:
        if self.kind == "tpe":
            return TPESampler(seed=seed, multivariate=True, n_startup_trials=self.population)
        return NSGAIISampler(seed=seed, population_size=self.population)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str,
                           param_distribution: BaseDistribution) -> Any:
        raise AssertionError(f"{param_name} is no parameter of the space")
