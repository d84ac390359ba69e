"""A search: trials that one process or several take from one study, and lose none of.

A trial is claimed under a lock, and its own lock is held while it runs. Where the lock of a running
trial is free, its process has ended: whoever sees that marks it as failed, and has it tried again.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from eieio.model.errors import InputError
from eieio.model.search.locks import NoLocks, RecordLocks
from eieio.model.search.objective import Objective
from eieio.model.search.outcome import Outcome
from eieio.model.search.sampler import REFUSED, SpaceSampler, distributions
from eieio.model.search.space import Point, Space

__all__ = ["Evaluated", "Search"]

#: Name of the study in a journal, and of what it is about among its attributes.
_STUDY, _ABOUT = "eieio tune", "about"
#: Attributes of a trial: outcome, and how often it was lost before.
_OUTCOME, _LOST = "outcome", "lost"
#: Times that a trial may be lost, after which its point is refused.
_MOST_LOST = 3
#: Seconds between looks at what others do.
_WAIT = 0.1


@dataclass(frozen=True)
class Evaluated:
    """A point that was evaluated."""

    number: int
    point: Point
    outcome: Outcome


class _JournalLock(JournalFileOpenLock):
    """The lock of a journal: not a file, which a killed process would leave, but a record lock."""

    def __init__(self, journal: Path, locks: RecordLocks) -> None:
        super().__init__(str(journal))
        self._locks = locks

    def acquire(self) -> bool:
        return self._locks.acquire()

    def release(self) -> None:
        self._locks.release_write()


class Search:
    """A search of a space.

    Parameters
    ----------
    space : Space
        The space.
    objectives : sequence of Objective
        What is optimized.
    sampler : SpaceSampler
        Chooses the points.
    about : mapping
        What the search is, as JSON takes it: who joins it must be about the same.
    journal : :class:`pathlib.Path`, optional
        File that processes share; without one the search is in this process alone.

    Raises
    ------
    InputError
        If the journal is of another search, or none.
    """

    def __init__(self, space: Space, objectives: Sequence[Objective], sampler: SpaceSampler,
                 about: Mapping[str, Any], journal: Path | None = None) -> None:
        optuna.logging.set_verbosity(logging.ERROR)
        self.space, self._distributions = space, distributions(space)
        if journal is None:
            self._locks = NoLocks()
            storage: Any = InMemoryStorage()
        else:
            journal.parent.mkdir(parents=True, exist_ok=True)
            self._locks = locks = RecordLocks(journal)
            storage = _open(journal, locks)
        with self._locks.claiming():
            self._study = optuna.create_study(
                storage=storage, study_name=_STUDY, sampler=sampler, load_if_exists=True,
                directions=[objective.direction for objective in objectives])
            known = self._study.user_attrs.get(_ABOUT)
            if known is None:
                self._study.set_user_attr(_ABOUT, {**about})
        if known is not None:
            different = [name for name in about if known.get(name) != about[name]]
            if different:
                raise InputError(f"{journal} is the journal of another search: its "
                                 f"{', '.join(different)} must be the same")

    def run(self, evaluate: Callable[[Point], Outcome], limit: int,
            told: Callable[[int], None] = lambda done: None) -> None:
        """Evaluate points until there are so many, those of other processes included.

        Parameters
        ----------
        evaluate : callable
            Evaluates a point.
        limit : :class:`int`
            Points to evaluate, at most all of the space.
        told : callable
            Is told how many are done.
        """
        limit = min(limit, len(self.space))
        while True:
            claimed = self._claim(limit, told)
            if claimed is None:
                return
            trial, number = claimed
            try:
                self._tell(trial, evaluate(self.space[number]))
            except BaseException:
                self._give_up(trial.number, trial.params, trial.user_attrs)
                raise
            finally:
                self._locks.release(trial.number)

    def _claim(self, limit: int, told: Callable[[int], None]) -> tuple[Trial, int] | None:
        """Claim a point to evaluate; wait while others may lose one; None if all are done."""
        while True:
            with self._locks.claiming():
                trials = self._study.get_trials(deepcopy=False)
                self._recover(trials)
                trials = self._study.get_trials(deepcopy=False)
                done = sum(map(_is_done, trials))
                running = sum(trial.state == TrialState.RUNNING for trial in trials)
                told(done)
                if done >= limit:
                    return None
                if done + running < limit:
                    trial = self._study.ask(self._distributions)
                    number = self.space.decode(trial.params)
                    sampler = self._study.sampler
                    assert isinstance(sampler, SpaceSampler)
                    if number is None or not sampler.free(
                            self._study.get_trials(deepcopy=False), trial.number)[number]:
                        # A lost trial was enqueued twice.
                        self._study.tell(trial, state=TrialState.FAIL)
                    elif trial.user_attrs.get(_LOST, 0) >= _MOST_LOST:
                        self._tell(trial, Outcome(None, refused=(
                            f"{_MOST_LOST} processes ended while they evaluated it")))
                    else:
                        self._locks.hold(trial.number)
                        return trial, number
                    continue
            time.sleep(_WAIT)

    def _recover(self, trials: Sequence[FrozenTrial]) -> None:
        """Have trials tried again whose process has ended."""
        free = [trial.number for trial in trials if trial.state == TrialState.RUNNING
                and not self._locks.held(trial.number)]
        if not free:
            return
        # A process tells what came of a trial before it gives its lock back: of those that are free
        # now, some may have ended since they were seen to run.
        trials = self._study.get_trials(deepcopy=False)
        for trial in (trials[number] for number in free):
            if trial.state == TrialState.RUNNING:
                self._give_up(trial.number, trial.params, trial.user_attrs)

    def _give_up(self, number: int, parameters: Mapping[str, Any], attributes: Mapping[str, Any]
                 ) -> None:
        # In this order nothing is lost if this process ends between the two.
        if len(parameters) == len(self._distributions):
            self._study.enqueue_trial(
                {**parameters}, user_attrs={_LOST: attributes.get(_LOST, 0) + 1})
        self._study.tell(number, state=TrialState.FAIL)

    def _tell(self, trial: Trial, outcome: Outcome) -> None:
        if outcome.values is None:
            trial.set_user_attr(REFUSED, outcome.refused)
            self._study.tell(trial, state=TrialState.FAIL)
            return
        trial.set_user_attr(_OUTCOME, {"beyond": outcome.beyond, "excess": outcome.excess,
                                       "figures": {**outcome.figures}})
        trial.set_constraint("room", outcome.excess)
        self._study.tell(trial, outcome.values)

    @property
    def lost(self) -> int:
        """Trials that were lost with their process, and tried again."""
        return sum(trial.state == TrialState.FAIL and REFUSED not in trial.user_attrs
                   for trial in self._study.get_trials(deepcopy=False))

    def evaluated(self) -> list[Evaluated]:
        """List all points that were evaluated, in the order in which they were claimed."""
        found = []
        for trial in self._study.get_trials(deepcopy=False):
            number = self.space.decode(trial.params) if _is_done(trial) else None
            if number is None:
                continue
            if trial.state == TrialState.COMPLETE:
                known = trial.user_attrs[_OUTCOME]
                outcome = Outcome(tuple(trial.values), tuple(known["beyond"]), known["excess"],
                                  figures=known["figures"])
            else:
                outcome = Outcome(None, refused=trial.user_attrs[REFUSED])
            found.append(Evaluated(trial.number, self.space[number], outcome))
        return found


def _is_done(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE or (
        trial.state == TrialState.FAIL and REFUSED in trial.user_attrs)


def _open(journal: Path, locks: RecordLocks) -> JournalStorage:
    try:
        return JournalStorage(JournalFileBackend(str(journal), _JournalLock(journal, locks)))
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise InputError(f"{journal} must be a journal of Optuna's: {error}") from None
