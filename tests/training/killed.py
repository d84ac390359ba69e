"""Runs a tiny recipe in forks that die at moments of their CPU time; a program for the test.

It takes two folders and how often to die. In the first folder nothing dies. It prints how many
forks died before they were done.
"""

import os
import random
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from eieio.model.formats.image_set import ImageSet
from eieio.training.recipes.recipe import Measured, Recipe
from eieio.training.run import run_recipe
from eieio.training.session import Session

RNG = np.random.default_rng(0)
IMAGES = ImageSet("noise", RNG.integers(0, 256, (64, 28, 28), np.uint8), RNG.integers(0, 10, 64),
                  RNG.integers(0, 256, (20, 28, 28), np.uint8), RNG.integers(0, 10, 20))


def make() -> nn.Sequential:
    """Have what has a state: random numbers in training, statistics, moments of the optimizer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.ReLU(),
                         nn.Dropout(0.5), nn.Linear(8, 10))


def measure(session: Session) -> list[Measured]:
    """Train twice, from the start and from what that gave."""
    first = session.train("first", make, epochs=12, rate=0.01, batch=16)

    def more() -> nn.Sequential:
        model = make()
        model.load_state_dict(first.state_dict())
        return model

    second = session.train("second", more, epochs=8, rate=0.01, batch=16, draw="second")
    return [Measured("first", session.error(first)), Measured("second", session.error(second))]


def run(folder: str) -> None:
    """Run two seeds, with a checkpoint after each step."""
    recipe = Recipe("noise", "Noise", "%", measure)
    run_recipe(recipe, IMAGES, range(2), {}, Path(folder), interval=0)


def forked(folder: str, seconds: float | None = None) -> tuple[bool, float]:
    """Run in a fork that dies after so much CPU time; tell whether it died, and its CPU time."""
    fork = os.fork()
    if not fork:
        if seconds is not None:
            # Nothing handles this signal: it ends a process in the midst of any instruction.
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, seconds)
        run(folder)
        os._exit(0)
    _, status, used = os.wait4(fork, 0)
    return os.WIFSIGNALED(status), used.ru_utime + used.ru_stime


def main() -> None:
    """Run whole, then in pieces."""
    whole, pieces, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    run(whole)
    # Of the second time, since PyTorch is slow the first time.
    seconds = forked(f"{whole}-again")[1]
    moments = random.Random(0)
    # Together they have half of the time: they come far, but not to the end.
    died = sum(forked(pieces, moments.uniform(1e-3, seconds / count))[0] for _ in range(count))
    forked(pieces)
    print(died)


if __name__ == "__main__":
    main()
