"""Signals that end the command: nothing runs on, and nothing is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from heeding import heeding

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def processes(folder: Path) -> list[str]:
    """List processes that work in a folder, or have it in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (os.readlink(process / "cwd").startswith(str(folder))
                    or str(folder).encode() in (process / "environ").read_bytes()):
                found.append(process.name)
        except OSError:
            continue
    return found


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    for name in ("tmp", "bin"):
        (folder / name).mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "eieio.scripts.command", *map(str, arguments)], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        preexec_fn=heeding(signal.SIGINT),
        env=os.environ | {"TMPDIR": str(folder / "tmp"), "EIEIO_CACHE": str(folder / "cache"),
                          "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"})


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in folder.rglob("*")}


def test_while_a_program_runs(tmp_path: Path, network: Path, samples: Path, design: Path) -> None:
    """Make has started children of its own when the signal comes; a design is there already."""
    for name in ("tmp", "bin"):
        (tmp_path / name).mkdir()
    make = tmp_path / "bin" / "make"
    make.write_text(f"#!/bin/sh\necho half > half\nsleep 1000 &\n: > {tmp_path}/tmp/started\n"
                    "sleep 1000\n")
    make.chmod(0o755)
    before = everything(tmp_path)
    process = start(tmp_path, "build", network, "--engine", "sparse", "--samples", samples,
                    "--pes", 2, "--queue-depth", 2, "--out", design, "--simulate", 1)
    until = time.monotonic() + 120
    while not (tmp_path / "tmp" / "started").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert list((tmp_path / "cache").rglob("half"))
    assert len(processes(tmp_path)) >= 4
    (tmp_path / "tmp" / "started").unlink()
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (143, "", "eieio: terminated\n")
    assert processes(tmp_path) == []
    assert everything(tmp_path) == before


def test_while_python_computes(tmp_path: Path, network: Path, samples: Path) -> None:
    before = everything(tmp_path)
    process = start(tmp_path, "generate", network, "--engine", "sparse", "--samples",
                    samples, "--out", "a/design")
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".*.part")) and time.monotonic() < until:
        time.sleep(0.001)
    assert list(tmp_path.glob(".*.part"))
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "", "eieio: interrupted\n")
    assert processes(tmp_path) == []
    assert everything(tmp_path) == before | {"tmp": None, "bin": None}


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(tmp_path, "registers")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.startswith("| address |")
