"""Processes that search hyper-parameters together, one training each."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from eieio.model.errors import InputError
from eieio.model.search.objective import Objective
from eieio.model.search.outcome import Outcome
from eieio.model.search.sampler import EXHAUSTIVE, SpaceSampler
from eieio.model.search.search import Search
from eieio.model.search.space import Axis, Point, Space
from eieio.training.networks import mlp

__all__ = ["hyper_space", "join_search", "open_search"]

# Name of what is varied; seconds to wait for the others.
_KIND, _PATIENCE = "sgd", 120.0


def hyper_space(**values: tuple[Any, ...]) -> Space:
    """Return all combinations of values, such as ``rate=(0.1, 0.2), momentum=(0.0, 0.9)``."""
    axes = [Axis(_KIND, name, each) for name, each in values.items()]
    codes: list[tuple[int, ...]] = [()]
    for axis in axes:
        codes = [(*before, code) for before in codes for code in range(len(axis.values))]
    return Space({_KIND: axes}, [(_KIND, each) for each in codes], {_KIND: {}})


def open_search(space: Space, journal: Path, seed: int) -> Search:
    """Open the search that a journal holds, of which every point is evaluated once."""
    return Search(space, [Objective("error", "% of the held-out images that are wrong")],
                  SpaceSampler(space, EXHAUSTIVE, seed, 1), {"seed": seed,
                                                             "space": space.to_dict()}, journal)


def join_search(rank: int, count: int, space: Space, journal: Path, seed: int, killed: int | None,
                images: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], hidden: int) -> int:
    """Train with one point after the other until all are done; a process of several.

    All processes wait until each of them has its first point. So they do search together, and one
    that is killed takes a point with it.

    Parameters
    ----------
    rank, count : :class:`int`
        Which process this is, and how many there are.
    space, journal, seed
        See :func:`open_search`. A point has a ``rate``, a ``momentum`` and a ``batch``.
    killed : :class:`int` or None
        Rank of the process that is killed while it trains with its first point.
    images, held_out : pairs of tensors
        Images and kinds to train on, for one pass, and to measure by.
    hidden : :class:`int`
        Units of the hidden layer.

    Returns
    -------
    :class:`int`
        Points that this process has evaluated.
    """
    done = 0

    def evaluate(point: Point) -> Outcome:
        nonlocal done
        if not done:
            _wait_for_all(journal, rank, count)
        found = Outcome((_error(point, seed, images, held_out, hidden),))
        if rank == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return found

    open_search(space, journal, seed).run(evaluate, len(space))
    return done


def _wait_for_all(journal: Path, rank: int, count: int) -> None:
    names = [journal.with_name(f"{journal.name}.begun-{other}") for other in range(count)]
    names[rank].touch()
    until = time.monotonic() + _PATIENCE
    while not all(name.exists() for name in names):
        if time.monotonic() > until:
            raise InputError(f"{count} processes must have begun after {_PATIENCE:g} s")
        time.sleep(0.01)


def _error(point: Point, seed: int, images: tuple[Tensor, Tensor],
           held_out: tuple[Tensor, Tensor], hidden: int) -> float:
    x, y = images
    torch.manual_seed(seed)
    model = mlp(x[0].numel(), hidden, 10)
    optimizer = torch.optim.SGD(model.parameters(), point.options["rate"],
                                momentum=point.options["momentum"])
    batch = point.options["batch"]
    for start in range(0, len(x) // batch * batch, batch):
        optimizer.zero_grad()
        functional.cross_entropy(model(x[start:start + batch]), y[start:start + batch]).backward()
        optimizer.step()
    with torch.no_grad():
        wrong = model(held_out[0]).argmax(1) != held_out[1]
    return 100 * float(wrong.float().mean())
