"""What must not outlive a process: in an orderly end, after a signal, and after a kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from heeding import heeding

Start = Callable[[str], subprocess.Popen[str]]

#: A process with one of everything. What it prints tells that all is there.
_PROGRAM = """
import os, subprocess, sys, time
from pathlib import Path
from eieio.model.child_process import program
from eieio.model.leftovers import *
root = Path(sys.argv[1])
with ended_by_signals():
    new_folder(root / "a" / "b")
    new_folder(root / "full" / "empty")
    (root / "full" / "mine").write_text("mine")
    with temporary_folder(root) as folder, unfinished(root / "file") as file, \\
            locked_folder(root / "locked", wait=False), unfinished(root / "done") as done, \\
            program(["sh", "-c", "sleep 1000 & sleep 1000 & exec sleep 1000"], cwd=folder):
        for path in (folder / "x", file, done, root / "locked" / "x"):
            path.write_text("x")
        forget(done)
        print("ready", flush=True)
        if sys.argv[2] == "raise":
            raise RuntimeError
        if sys.argv[2] == "exit":
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            sys.exit(3)
        time.sleep(60)
"""


def sleepers(folder: Path) -> list[str]:
    """List processes that work in a folder, perhaps a deleted one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd").startswith(str(folder)):
                found.append(process.name)
        except OSError:
            continue
    return found


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Start]:
    """Start the program, in one of its modes."""
    processes: list[subprocess.Popen[str]] = []

    def start(mode: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(tmp_path), mode], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8",
            preexec_fn=heeding(signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def left(folder: Path) -> list[str]:
    # Folders may vanish meanwhile, which os.walk passes over.
    return sorted(os.path.relpath(os.path.join(parent, name), folder)
                  for parent, folders, files in os.walk(folder) for name in [*folders, *files])


#: What is neither registered nor empty.
_STAYS = ["done", "full", "full/mine"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize(("number", "status", "line"), [
    (signal.SIGINT, 130, "eieio: interrupted\n"), (signal.SIGTERM, 143, "eieio: terminated\n"),
    (signal.SIGHUP, 129, "eieio: hung up\n")])
def test_a_signal_leaves_nothing(tmp_path: Path, run: Start, number: int, status: int,
                                 line: str) -> None:
    process = run("sleep")
    until = time.monotonic() + 20
    while len(sleepers(tmp_path)) < 3 and time.monotonic() < until:  # The shell starts them.
        time.sleep(0.02)
    assert len(sleepers(tmp_path)) == 3
    process.send_signal(number)
    process.send_signal(signal.SIGINT)  # A second one changes nothing.
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) in {
        (status, line), (130, "eieio: interrupted\n")}
    assert sleepers(tmp_path) == []
    assert left(tmp_path) == _STAYS


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_kill_leaves_nothing(tmp_path: Path, run: Start) -> None:
    process = run("sleep")
    process.kill()
    process.communicate(timeout=30)
    until = time.monotonic() + 20
    while (sleepers(tmp_path) or left(tmp_path) != _STAYS) and time.monotonic() < until:
        time.sleep(0.02)
    assert sleepers(tmp_path) == []
    assert left(tmp_path) == _STAYS


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_kill_before_a_program_is_registered(tmp_path: Path) -> None:
    program = ("import os, sys, eieio.model.child_process as c; c.add_group = lambda number: "
               "os.kill(os.getpid(), 9); "
               "c.run_program(['sh', '-c', 'sleep 1000 & sleep 1000'], cwd=sys.argv[1])")
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=60, check=False,
                   env=os.environ | {"TMPDIR": str(tmp_path)})
    until = time.monotonic() + 20
    while (sleepers(tmp_path) or left(tmp_path)) and time.monotonic() < until:
        time.sleep(0.02)
    assert (sleepers(tmp_path), left(tmp_path)) == ([], [])


@pytest.mark.parametrize(("mode", "status"), [("raise", 1), ("exit", 3)])
def test_an_end_leaves_what_was_made(tmp_path: Path, run: Start, mode: str, status: int) -> None:
    process = run(mode)
    process.communicate(timeout=30)
    assert process.returncode == status
    assert sleepers(tmp_path) == []
    assert left(tmp_path) == _STAYS
