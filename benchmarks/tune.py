"""Measures how much of the exact Pareto front `eieio tune` finds, and that it loses no trial.

::

    python benchmarks/tune.py exact SPACE EXACT.json      # all points of the space; takes a while
    python benchmarks/tune.py searches SPACE EXACT.json   # each sampler with a tenth of them
    python benchmarks/tune.py searches SPACE EXACT.json 8 # in 8 processes
    python benchmarks/tune.py journal               # 4 processes on one journal, some are killed

Spaces are of LeNet-5 on a ULX3S 85F: ``systolic``, that engine without Winograd's transforms; and
``engines``, with them, and with some points of the mixed engine, whose evaluation takes a hundred
times as long. ``exact`` keeps a journal beside its file: begun again, it goes on, and begun twice,
two processes share the work. ``searches`` looks the points up that ``exact`` has evaluated, and
counts each that a sampler asks for.
"""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from eieio.model.engine import Engine
from eieio.model.registry import find_engine
from eieio.model.search.objective import Objective
from eieio.model.search.outcome import Outcome
from eieio.model.search.sampler import SpaceSampler
from eieio.model.search.search import Search
from eieio.model.search.space import Point, Space
from eieio.rtl.boards.find import find_board
from eieio.scripts.tuning.objectives import chosen_objectives
from eieio.scripts.tuning.pareto import front_of, hypervolume, scale_of
from eieio.scripts.tuning.space import axes_of, make_space, parse_tries

_LENET = Path(__file__).parent.parent / "examples" / "lenet_5"
_BOARD = "ulx3s-85f"
#: Engines of a space, and values of their options.
_SPACES = {
    "systolic": (("systolic",), ("winograd=0",)),
    "engines": (("systolic", "mixed"), (
        "systolic.accumulator_width=24,32", "mixed.rows=4,8", "mixed.columns=4,8", "mixed.lanes=2",
        "mixed.winograd=0", "mixed.pes=2,8", "mixed.io_lanes=2")),
}
_OBJECTIVES = "latency,throughput,luts,dsps,memory,energy"
#: What is searched by: the command's default, and all that there are but accuracy.
_SETS = ("latency,luts,energy", "latency,luts,memory", _OBJECTIVES)
_SAMPLERS = ("tpe", "nsga2", "random")
_SEEDS = range(5)
_SHARE = 0.1
#: What processes of searches have in common.
_KNOWN: dict[str, Any] = {}


def _command(*options: object) -> list[str]:
    return [sys.executable, "-m", "eieio.scripts.main", "tune", str(_LENET / "lenet_5.onnx"),
            "--samples", str(_LENET / "mnist_train_256.npz"), "--board", _BOARD,
            *map(str, options)]


def exact(space: str, path: Path) -> None:
    """Evaluate a whole space."""
    names, texts = _SPACES[space]
    tries = [word for text in texts for word in ("--try", text)]
    subprocess.run(_command("--engines", ",".join(names), *tries, "--objectives", _OBJECTIVES,
                            "--exhaustive", "--json", path, "--journal",
                            path.with_suffix(".journal")), check=True)


def _key(engine: str, options: dict[str, Any]) -> str:
    return json.dumps([engine, options])


def _space(space: str) -> Space:
    names, texts = _SPACES[space]
    engines: list[Engine] = [find_engine(name) for name in names]
    given = parse_tries(texts, engines)
    axes = {engine.name: axes_of(engine, given[engine.name], lossy=False) for engine in engines}
    return make_space(axes, engines, find_board(_BOARD))[0]


def searches(name: str, path: Path, processes: int) -> None:
    """Search with each sampler and seed, and compare hypervolumes with the exact front's."""
    found = json.loads(path.read_text())
    table = {_key(trial["engine"], trial["options"]): trial for trial in found["trials"]}
    space = _space(name)
    if len(space) != len(table):
        sys.exit(f"{path} must have been written for this space: {len(table)} points are not "
                 f"{len(space)}")
    _KNOWN.update(table=table, space=space)
    budget = round(_SHARE * len(space))
    for names in _SETS:
        fitting, objectives = _fitting(names)
        front = [fitting[number] for number in front_of(fitting, objectives)]
        print(f"{names}: {len(space):,} points, {len(fitting):,} fit, {len(front)} Pareto-optimal; "
              f"{budget} evaluations a search", flush=True)
    tasks = [(names, sampler, seed, budget)
             for names in _SETS for sampler in _SAMPLERS for seed in _SEEDS]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        shares = [*pool.map(_search, *zip(*tasks, strict=True))]
    for number in range(0, len(tasks), len(_SEEDS)):
        names, sampler, *_ = tasks[number]
        own = shares[number:number + len(_SEEDS)]
        print(f"{names}  {sampler:7}", *(f"{share:.2%}" for share in own),
              f"mean {np.mean(own):.2%}, least {min(own):.2%}")


def _fitting(names: str) -> tuple[list[tuple[float, ...]], list[Objective]]:
    """List the objectives of what fits."""
    objectives = chosen_objectives(names)
    return [_values(trial, objectives) for trial in _KNOWN["table"].values()
            if trial["fits"]], objectives


def _values(trial: dict[str, Any], objectives: Sequence[Objective]) -> tuple[float, ...]:
    return tuple(trial["values"][objective.name] for objective in objectives)


def _search(names: str, sampler: str, seed: int, budget: int) -> float:
    """Search once; return the share of the exact hypervolume that is reached."""
    table, space = _KNOWN["table"], _KNOWN["space"]
    fitting, objectives = _fitting(names)
    front = [fitting[number] for number in front_of(fitting, objectives)]
    scale = scale_of(front, objectives)
    asked: list[str] = []

    def evaluate(point: Point) -> Outcome:
        key = _key(point.engine, {**point.options})
        asked.append(key)
        trial = table[key]
        return Outcome(trial["values"] and _values(trial, objectives), tuple(trial["beyond"]),
                       float(bool(trial["beyond"])), trial["refused"])

    search = Search(space, objectives, SpaceSampler(space, sampler, seed, 30), {})
    search.run(evaluate, budget)
    if not len({*asked}) == len(asked) == budget:
        raise AssertionError(f"{len(asked)} evaluations, {len({*asked})} of them different, "
                             f"are not {budget}")
    reached = [each.outcome.values for each in search.evaluated()
               if each.outcome.feasible and each.outcome.values is not None]
    return (hypervolume(reached, objectives, scale) / hypervolume(front, objectives, scale))


def journal(processes: int = 4, trials: int = 200, kills: int = 8) -> None:
    """Share a journal between processes, of which some are killed and begun anew."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "journal"
        command = _command("--engines", "systolic", "--try", "winograd=0", "--try",
                           "accumulator_width=32", "--trials", trials, "--journal", file, "--json")

        def begin(number: int) -> subprocess.Popen[bytes]:
            return subprocess.Popen([*command, str(Path(folder) / f"{number}.json")],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        running = {number: begin(number) for number in range(processes)}
        for kill in range(kills):
            # As trials go by; a line of the journal that begins so ends a trial.
            while not file.exists() or file.read_bytes().count(b'{"op_code":6') < (
                    trials * (kill + 1) // (kills + 1)):
                time.sleep(0.01)
            number = chance.choice([*running])
            os.kill(running[number].pid, signal.SIGKILL)
            print(f"killed process {number}: {running[number].wait()}", flush=True)
            running[number] = begin(number)
        ends = [process.wait() for process in running.values()]
        found = [json.loads((Path(folder) / f"{number}.json").read_text())
                 for number in range(processes)]
    keys = [[_key(trial["engine"], trial["options"]) for trial in each["trials"]]
            for each in found]
    print(f"exit statuses {ends}; points evaluated, by each process's account: "
          f"{[len({*own}) for own in keys]} of {trials}; trials lost and tried again: "
          f"{[each['lost'] for each in found]}; fronts equal: "
          f"{all(each['front'] == found[0]['front'] for each in found)}")
    if any(ends) or any(len({*own}) != trials or len(own) != trials for own in keys):
        sys.exit("trials were lost")


if __name__ == "__main__":
    known = sys.argv[2:3] and sys.argv[2] in _SPACES
    if sys.argv[1:2] == ["exact"] and known and len(sys.argv) == 4:
        exact(sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1:2] == ["searches"] and known and len(sys.argv) in {4, 5}:
        searches(sys.argv[2], Path(sys.argv[3]), int([*sys.argv, 1][4]))
    elif sys.argv[1:] == ["journal"]:
        journal()
    else:
        sys.exit(__doc__)
