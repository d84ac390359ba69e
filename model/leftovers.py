"""Sees to it that nothing outlives this process: no program it runs, and no unfinished file.

What must go is registered before it is made: process groups by
:mod:`eieio.model.child_process`, files and folders by :func:`temporary_folder`, :func:`unfinished`
and :func:`new_folder`. Three things take it away:

- the ends of these contexts, also after an exception,
- the handler of SIGINT, SIGTERM and SIGHUP while :func:`ended_by_signals` lasts. It cleans up and
  ends the process by itself: an exception could be raised anywhere, and be lost in a destructor,
- a guard, for when this process is killed. It is this file as a program, which is told what is
  registered through a pipe and takes away what is left when the pipe's other end is gone.

Only the main thread may use this module.
"""

import atexit
import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where nothing but the host's driver runs
    fcntl = None

__all__ = ["add_group", "end_group", "ended_by_signals", "forget", "held", "kept",
           "locked_folder", "new_folder", "temporary_folder", "unfinished"]

# What the command says when a signal ends it.
_WORDS = {getattr(signal, name): word for name, word in (
    ("SIGINT", "interrupted"), ("SIGTERM", "terminated"), ("SIGHUP", "hung up"))
    if hasattr(signal, name)}

# File in a folder by whose lock its maker keeps others out.
_LOCK = "lock"

#: Seconds for a killed process to disappear.
_PATIENCE = 5.0

# How to take a path away: whatever it is; only if nobody else holds its lock; only if it is empty.
_WHOLE, _LOCKED, _EMPTY = "w", "l", "e"


class _Register:
    """What is to be taken away, here and in the guard."""

    def __init__(self) -> None:
        self.groups: dict[int, None] = {}
        self.paths: dict[str, str] = {}
        self.guard: subprocess.Popen[bytes] | None = None
        self.owner = os.getpid()
        self.holds = 0
        self.pending: int | None = None

    def tell(self, record: str) -> None:
        if self.owner != os.getpid():  # A fork has its own list, and its own guard.
            self.__init__()
        with contextlib.suppress(OSError):  # Without its guard, this process still cleans up.
            if self.guard is None:
                with held():
                    # In a session of its own, since the terminal's signals are not for it.
                    self.guard = subprocess.Popen(
                        [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", bufsize=0,
                        start_new_session=True)
            if self.guard.stdin is not None:
                self.guard.stdin.write(os.fsencode(record) + b"\0")

    def clean(self) -> None:
        if self.owner == os.getpid():
            _take_away(self.groups, self.paths, owner=True)
            self.groups.clear()
            self.paths.clear()
            if self.guard is not None:
                self.guard.kill()
                self.guard.communicate()
                self.guard = None


_register = _Register()
atexit.register(lambda: _register.clean())


@contextmanager
def held() -> Iterator[None]:
    """Let a signal wait until the end of the ``with``, for steps that belong together."""
    _register.holds += 1
    try:
        yield
    finally:
        _register.holds -= 1
        if not _register.holds and _register.pending is not None:
            _end(_register.pending, None)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end this process, with one line and nothing left.

    A signal that is ignored, as SIGHUP under ``nohup``, stays ignored. Does nothing in another
    thread than the main one.
    """
    before = {}
    try:
        for number in _WORDS:
            if signal.getsignal(number) not in {signal.SIG_IGN, None, _end}:
                before[number] = signal.signal(number, _end)
    except ValueError:  # not the main thread
        pass
    _adopt_orphans(True)
    try:
        yield
    finally:
        _adopt_orphans(False)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    if _register.holds:
        _register.pending = number
        return
    for other in _WORDS:
        signal.signal(other, signal.SIG_IGN)
    _register.clean()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    line = f"eieio: {_WORDS[number]}\n"
    with contextlib.suppress(OSError):
        # A progress display has hidden the cursor, and its line is still there.
        os.write(2, ("\r\x1b[2K\x1b[?25h" if os.isatty(2) else "").encode() + line.encode())
    os._exit(128 + number)


def _adopt_orphans(wanted: bool) -> None:
    """Be the parent of what our programs leave behind, to see it end (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(36, int(wanted), 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def add_group(group: int) -> None:
    """Register a process group."""
    _register.groups[group] = None
    _register.tell(f"g{group}")


def end_group(group: int) -> None:
    """Kill what is left of a process group, and wait until it is gone."""
    _end_groups([group])
    _register.groups.pop(group, None)
    _register.tell(f"-g{group}")


def forget(path: Path) -> None:
    """Let a registered file or folder stay."""
    if _register.paths.pop(str(path), None) is not None:
        _register.tell(f"-{path}")


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Delete a file or folder at the end, if it is there and was not forgotten by then.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        Absolute path where nothing is yet.
    """
    _add(path, _WHOLE)
    try:
        yield path
    finally:
        _drop(path)


@contextmanager
def locked_folder(path: Path, *, wait: bool, done: str | None = None) -> Iterator[bool]:
    """Make a folder, and keep other processes that do the same out of it.

    The folder is deleted at the end, if it was not forgotten by then. It holds an empty file
    ``lock``, and whatever is left of a process that could not clean up.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        Absolute path. Its parent must exist.
    wait : :class:`bool`
        Whether to wait for another process that has the folder.
    done : :class:`str`, optional
        Name of a file in the folder that says that it is finished, and stays.

    Yields
    ------
    :class:`bool`
        False if the folder is finished.

    Raises
    ------
    BlockingIOError
        If another process has the folder, and `wait` is False.
    """
    while (file := _own(path, done)) is None:
        if not wait:
            raise BlockingIOError(f"{path} belongs to another process")
        time.sleep(0.05)
    with file:
        try:
            yield str(path) in _register.paths
        finally:
            _drop(path)


def _own(path: Path, done: str | None) -> IO[str] | None:
    """Take a folder's lock, if nobody has it, and register the folder unless it is finished."""
    with held():
        path.mkdir(exist_ok=True)
        try:
            file = (path / _LOCK).open("w")
        except FileNotFoundError:  # Another process has just deleted the folder.
            return None
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path / _LOCK)):
                if done is None or not (path / done).exists():
                    _add(path, _LOCKED)
                return file
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            file.close()
            raise
        file.close()
        return None


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Let a registered path stay if this process is killed within the ``with``."""
    how = _register.paths[str(path)]
    forget(path)
    try:
        yield
    finally:
        _add(path, how)


@contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that is deleted at the end, if it was not forgotten by then.

    Parameters
    ----------
    parent : :class:`pathlib.Path`, optional
        Existing folder. The default is that of temporary files.
    """
    where = Path(os.path.abspath(parent or tempfile.gettempdir()))
    with unfinished(where / f"eieio-{secrets.token_hex(8)}") as path:
        path.mkdir(0o700)
        yield path


def new_folder(path: Path) -> None:
    """Make a folder with its parents; those still empty at the end of this process go."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        _add(folder, _EMPTY)
        folder.mkdir(exist_ok=True)


def _drop(path: Path) -> None:
    if str(path) in _register.paths:
        _remove(str(path), _WHOLE)
        forget(path)


def _add(path: Path, how: str) -> None:
    _register.paths[str(path)] = how
    _register.tell(f"{how}{path}")


def _take_away(groups: Iterable[int], paths: Mapping[str, str], *, owner: bool) -> None:
    _end_groups(list(groups))
    _end_strays([path for path, how in paths.items() if how == _WHOLE])
    for path, how in reversed(list(paths.items())):
        _remove(path, _WHOLE if how == _LOCKED and owner else how)


def _remove(path: str, how: str) -> None:
    with contextlib.suppress(OSError):
        if how == _EMPTY:
            os.rmdir(path)
        elif how == _LOCKED:
            with open(os.path.join(path, _LOCK), "r+") as file:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        elif os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


def _end_groups(groups: list[int]) -> None:
    until = time.monotonic() + _PATIENCE
    while groups := [group for group in groups if _kill(group)]:
        if time.monotonic() > until:
            return
        time.sleep(0.002)


def _end_strays(folders: list[str]) -> None:
    """Kill programs that this process was killed before it could register (Linux).

    They are known by the folder of their temporary files, which was registered before them.
    """
    marks = [b"\0TMPDIR=" + os.fsencode(folder) + b"\0" for folder in folders]
    until = time.monotonic() + _PATIENCE
    found = bool(marks)
    while found and time.monotonic() < until:
        found = False
        for process in _processes():
            with contextlib.suppress(OSError), open(f"/proc/{process}/environ", "rb") as file:
                text = b"\0" + file.read() + b"\0"
                if process != os.getpid() and any(mark in text for mark in marks):
                    os.kill(process, signal.SIGKILL)
                    found = True
        time.sleep(0.002 * found)


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _kill(group: int) -> bool:
    """Kill a process group; tell whether there is something of it that may still act."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    alive = not _only_zombies(group)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    return alive


def _only_zombies(group: int) -> bool:
    """Tell whether a group's processes have all ended, and just wait for their parents (Linux)."""
    processes = _processes()
    for process in processes:
        with contextlib.suppress(OSError), open(f"/proc/{process}/stat", "rb") as file:
            state, _, its_group, *_ = file.read().rpartition(b")")[2].split()
            if int(its_group) == group and state not in {b"Z", b"X"}:
                return False
    return bool(processes)


def _guard() -> None:
    """Learn what is registered until the other end of the pipe is gone, and take it away."""
    for number in _WORDS:
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, None] = {}
    paths: dict[str, str] = {}
    rest = b""
    while data := os.read(0, 65536):
        *records, rest = (rest + data).split(b"\0")
        for record in map(os.fsdecode, records):
            forgotten = record.startswith("-")
            record = record.removeprefix("-")
            if record.startswith("/"):
                paths.pop(record, None)
            elif record.startswith("g"):
                if forgotten:
                    groups.pop(int(record[1:]), None)
                else:
                    groups[int(record[1:])] = None
            else:
                paths[record[1:]] = record[0]
    _take_away(groups, paths, owner=False)


if __name__ == "__main__":
    _guard()
