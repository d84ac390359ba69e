"""Runs a function in several processes, which end with this one, and always in time."""

import os
import pickle
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import torch

from eieio.model.child_process import program
from eieio.model.errors import InputError
from eieio.model.leftovers import temporary_folder

__all__ = ["run_processes"]

# Seconds between looks at the processes.
_WAIT = 0.02


def run_processes(job: Callable[..., Any], count: int, *arguments: Any, timeout: float = 600.0,
                  connected: bool = True, mortal: Collection[int] = ()) -> list[Any]:
    """Run a function in several processes, and return what each returned.

    Each process is a Python of its own, with as many threads of PyTorch as this one. They are
    killed if one fails, if it takes too long, and when this process ends, even if it is killed.

    Parameters
    ----------
    job : callable
        Function of a module; it is called with a process's rank, how many there are, and the
        arguments, in each of them.
    count : :class:`int`
        Processes.
    *arguments
        What pickle can carry.
    timeout : :class:`float`
        Seconds for all of it.
    connected : :class:`bool`
        Whether the processes are PyTorch's default group, by Gloo over the loopback interface.
    mortal : collection of :class:`int`
        Ranks that may be killed without it being a failure.

    Returns
    -------
    list
        What each process returned, by rank; None of one that was killed.

    Raises
    ------
    InputError
        If a process fails, with the last line of what it said; or if the time is over.
    """
    with temporary_folder() as folder, ExitStack() as stack:
        (folder / "job").write_bytes(pickle.dumps((job, arguments)))
        loopback = "lo" if sys.platform == "linux" else "lo0"
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": loopback}
        processes = []
        for rank in range(count):
            errors = stack.enter_context((folder / f"errors-{rank}").open("wb"))
            processes.append(stack.enter_context(program(
                [sys.executable, "-m", "eieio.training.parallel.worker", str(folder), str(rank),
                 str(count), str(timeout), str(int(connected)), str(torch.get_num_threads())],
                env=environment, stdin=DEVNULL, stdout=DEVNULL, stderr=errors)))
        _wait(processes, timeout, mortal, folder)
        return [pickle.loads(path.read_bytes()) if path.exists() else None
                for path in (folder / f"result-{rank}" for rank in range(count))]


def _wait(processes: Sequence[Popen[str]], timeout: float, mortal: Collection[int], folder: Path
          ) -> None:
    """Wait until all processes have ended; the first one that fails, or no time, ends it."""
    until = time.monotonic() + timeout
    while True:
        states = [process.poll() for process in processes]
        for rank, state in enumerate(states):
            if state and not (state < 0 and rank in mortal):
                said = (folder / f"errors-{rank}").read_text(encoding="utf-8", errors="replace")
                last = said.strip().rpartition("\n")[2] or "it said nothing"
                raise InputError(f"Process {rank} of {len(processes)} has ended with status "
                                 f"{state}: {last}")
        if None not in states:
            return
        if time.monotonic() > until:
            raise InputError(f"{len(processes)} processes must have ended after {timeout:g} s")
        time.sleep(_WAIT)
