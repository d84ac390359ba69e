"""Locks by which processes share a journal; those of a process that ends are free at once.

They are POSIX record locks on a file beside the journal, one byte each, which also hold between
machines that share the file by NFS 4.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eieio.model.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl: Any = None

__all__ = ["Locks", "NoLocks", "RecordLocks"]

#: Bytes: of who claims a trial, of who writes into the journal, and of trial 0.
_CLAIM, _WRITE, _TRIALS = 0, 1, 2


class Locks:
    """Locks of a search."""

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Keep others from claiming trials while the body of the ``with`` runs."""
        raise NotImplementedError

    def hold(self, trial: int) -> None:
        """Take a trial's lock; nobody else has it."""
        raise NotImplementedError

    def release(self, trial: int) -> None:
        """Give it back."""
        raise NotImplementedError

    def held(self, trial: int) -> bool:
        """Tell whether a process, this one or another, has a trial's lock."""
        raise NotImplementedError


class NoLocks(Locks):
    """Locks of a search that is in one process."""

    def __init__(self) -> None:
        self._held: set[int] = set()

    @contextmanager
    def claiming(self) -> Iterator[None]:
        yield

    def hold(self, trial: int) -> None:
        self._held.add(trial)

    def release(self, trial: int) -> None:
        self._held.discard(trial)

    def held(self, trial: int) -> bool:
        return trial in self._held


class RecordLocks(NoLocks):
    """Locks of a search in several processes.

    Parameters
    ----------
    journal : :class:`pathlib.Path`
        The journal. The file of locks has ``.locks`` behind its name.

    Raises
    ------
    InputError
        If the file system has no such locks.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__()
        if fcntl is None:
            raise InputError("Option --journal needs locks of POSIX, which this system lacks")
        self._journal = journal
        path = journal.with_name(f"{journal.name}.locks")
        # One descriptor for good: closing any other one of this file would free its locks.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with self._locked(_CLAIM):
                pass
        except OSError as error:
            raise InputError(f"{path} must be where files can be locked: {error.strerror}"
                             ) from None

    @contextmanager
    def _locked(self, byte: int) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, byte)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)

    @contextmanager
    def claiming(self) -> Iterator[None]:
        with self._locked(_CLAIM):
            yield

    def hold(self, trial: int) -> None:
        super().hold(trial)
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _TRIALS + trial)

    def release(self, trial: int) -> None:
        super().release(trial)
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _TRIALS + trial)

    def held(self, trial: int) -> bool:
        if super().held(trial):
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _TRIALS + trial)
        except OSError:
            return True
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _TRIALS + trial)
        return False

    def acquire(self) -> bool:
        """Lock the journal for a write, as Optuna's backend asks for it.

        What a process that was killed has left of a line is cut off.
        """
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _WRITE)
        if self._journal.exists():
            _cut_off(self._journal)
        return True

    def release_write(self) -> None:
        """Unlock it."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _WRITE)


def _cut_off(path: Path) -> None:
    """Cut off what stands behind the last end of a line."""
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 4096)
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            if place >= 0:
                end = start + place + 1
                break
            end = start
        if end < size:
            file.truncate(end)
