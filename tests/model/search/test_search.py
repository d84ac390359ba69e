"""Searches of made-up spaces: what is taken, what is lost with a process, and what is next."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eieio.model.search.objective import Objective
from eieio.model.search.outcome import Outcome
from eieio.model.search.sampler import SpaceSampler
from eieio.model.search.search import Search
from eieio.model.search.space import ENGINE, Axis, Point, Space

OBJECTIVES = [Objective("first", "first"), Objective("second", "second")]


def made_up() -> Space:
    """Two engines: 12 points whose a + b is even, and 3 others."""
    axes = {"one": [Axis("one", "a", (1, 2, 4, 8, 16)), Axis("one", "b", (0, 1, 2, 3, 4))],
            "two": [Axis("two", "c", (5, 6, 7))]}
    points = [("one", (a, b)) for a in range(5) for b in range(5) if not (a + b) % 2][:12]
    points += [("two", (c,)) for c in range(3)]
    return Space(axes, points, {"one": {}, "two": {}})


def begun(sampler: str = "random", journal: Path | None = None) -> Search:
    space = made_up()
    return Search(space, OBJECTIVES, SpaceSampler(space, sampler, 1, 4), {"it": 1}, journal)


def value(point: Point) -> Outcome:
    numbers = [float(number) for number in point.options.values()]
    if numbers == [5]:
        return Outcome(None, refused="five")
    return Outcome((sum(numbers), -numbers[0]), ("too large",) if numbers[0] == 16 else (),
                   0.5 * (numbers[0] == 16), figures={"sum": sum(numbers)})


@pytest.mark.parametrize("sampler", ["exhaustive", "random", "tpe", "nsga2"])
def test_takes_each_point_once(sampler: str) -> None:
    search = begun(sampler)
    told: list[int] = []
    search.run(value, 100, told.append)
    found = search.evaluated()
    labels = [(each.point.engine, each.point.label) for each in found]
    assert len(labels) == len({*labels}) == len(search.space) == 15
    assert [each.outcome for each in found] == [value(each.point) for each in found]
    assert told == [*range(16)]
    assert search.lost == 0


def test_goes_on_as_it_would_have(tmp_path: Path) -> None:
    whole, parts = begun("tpe"), begun("tpe", tmp_path / "journal")
    whole.run(value, 12)
    for limit in (3, 8, 12):
        parts.run(value, limit)
        parts = begun("tpe", tmp_path / "journal")
    assert parts.evaluated() == whole.evaluated()


def _killed(journal: Path, count: int) -> None:
    """Evaluate some points, and be killed during the next one."""
    def evaluate(point: Point) -> Outcome:
        nonlocal count
        count -= 1
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return value(point)

    begun(journal=journal).run(evaluate, 100)


def _in_process(target: Any, *arguments: Any) -> int | None:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


def test_loses_no_trial_of_a_killed_process(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    process = multiprocessing.get_context("spawn").Process(target=_killed, args=(journal, 2))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    # What is left of a line that was not written to its end does no harm.
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    search = begun(journal=journal)
    assert len(search.evaluated()) == 2
    search.run(value, 100)
    labels = [(each.point.engine, each.point.label) for each in search.evaluated()]
    assert len(labels) == len({*labels}) == 15
    assert search.lost == 1


def test_is_not_lost_that_ends_as_others_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                              ) -> None:
    """A trial that another process ends between a look at it and one at its lock has ended."""
    first, second = (begun("exhaustive", tmp_path / "journal") for _ in range(2))
    claimed = first._claim(2, lambda done: None)
    assert claimed is not None
    trial, number = claimed
    looked: list[int] = []

    def held(number_of_trial: int) -> bool:
        if not looked:
            first._tell(trial, value(first.space[number]))
        looked.append(number_of_trial)
        return False

    monkeypatch.setattr(second._locks, "held", held)
    second.run(value, 2)
    assert looked == [0]
    assert [each.state.name for each in second._study.get_trials(deepcopy=False)] == [
        "COMPLETE", "COMPLETE"]


def test_tries_again_what_failed() -> None:
    search = begun("exhaustive")

    def fails(point: Point) -> Outcome:
        raise RuntimeError(point.label)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="a=1 b=0"):
            search.run(fails, 3)
    search.run(value, 3)
    assert [each.point.label for each in search.evaluated()] == ["a=1 b=0", "a=1 b=2", "a=1 b=4"]
    assert search.lost == 2


def test_gives_up_on_what_ends_processes() -> None:
    search = begun("exhaustive")

    def fails(point: Point) -> Outcome:
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            search.run(fails, 2)
    search.run(value, 2)
    first, second = search.evaluated()
    assert (first.point.label, first.outcome.refused) == (
        "a=1 b=0", "3 processes ended while they evaluated it")
    assert second.outcome == value(second.point)


def test_nearest() -> None:
    space, rng = made_up(), np.random.default_rng(0)
    free = np.ones(len(space), bool)
    for number in range(len(space)):
        parameters = space.encode(number)
        assert space.decode(parameters) == number
        assert space.nearest(parameters, free, rng) == number
    wanted = {ENGINE: 0, "one.a": 1, "one.b": 0, "two.c": 0}
    assert space.decode(wanted) is None
    assert {space[space.nearest(wanted, free, rng)].label for _ in range(50)} == {
        "a=1 b=0", "a=2 b=1", "a=4 b=0"}
    # Another engine is farther than any point, but better than none.
    free[:12] = False
    assert space[space.nearest(wanted, free, rng)].engine == "two"
