"""Checkpoints: states of a training that survive being killed at any moment."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.input_file import read_bytes

__all__ = ["Keeper", "load_state", "save_state"]


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and numbers, so that the file is the old one or the new one, and on the disk.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue(), durable=True)


def load_state(path: Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote; no code that a file may hold is run.

    Raises
    ------
    InputError
        If the file cannot be read, or is damaged.
    """
    try:
        return torch.load(io.BytesIO(read_bytes(path)), map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # PyTorch and zip files have many.
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} must be a checkpoint, and is damaged ({reason}): delete it to "
                         "train this stage from its start") from None


class Keeper:
    """Keeps the state of one training.

    Whether and when a state is written changes nothing of the training. So one that goes on from
    any of its checkpoints gives the same weights as one that never stopped.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        File of the checkpoint. Its folder must exist.
    interval : :class:`float`
        Seconds between two checkpoints; with 0 each step has one.
    report : callable
        Called with the steps done and all steps, after each.
    """

    def __init__(self, path: Path, interval: float = 30.0,
                 report: Callable[[int, int], None] = lambda step, last: None) -> None:
        self.path = path
        self.interval = interval
        self.report = report
        self._written = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the state that was kept, if any was.

        Raises
        ------
        InputError
            If the file cannot be read, or is damaged.
        """
        return load_state(self.path) if self.path.exists() else None

    def offer(self, step: int, last: int, state: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint, if it is time for one.

        Parameters
        ----------
        step, last : :class:`int`
            Steps done, and all steps.
        state : callable
            Returns tensors and numbers that a training goes on from.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        self.report(step, last)
        now = time.monotonic()
        if step < last and now - self._written >= self.interval:
            save_state(self.path, state())
            self._written = now

    def forget(self) -> None:
        """Delete the checkpoint, once what it led to is kept elsewhere."""
        self.path.unlink(missing_ok=True)
