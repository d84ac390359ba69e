"""The command as a whole: help, version, unknown words, one-line errors."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import Result

from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.engine import ENGINE
from eieio.scripts import steps
from eieio.sim.runner import BuildError, SimulationError

COMMANDS = ("compress", "generate", "simulate", "infer", "build")


def test_version(eieio: Callable[..., Result]) -> None:
    result = eieio("--version")
    assert (result.exit_code, result.stdout) == (0, f"eieio {version('eieio')}\n")


def test_lists_commands(eieio: Callable[..., Result]) -> None:
    for result in (eieio(), eieio("--help")):
        assert result.exit_code == 0
        listed = result.stdout.partition("Commands:")[2]
        assert all(f"\n  {command} " in listed for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_example(eieio: Callable[..., Result], command: str) -> None:
    result = eieio(command, "--help")
    assert result.exit_code == 0
    assert f"      eieio {command} " in result.stdout.replace("    eieio", "      eieio")
    assert "--json" in result.stdout


def test_engine_options_are_the_configuration(eieio: Callable[..., Result]) -> None:
    assert list(ENGINE.help) == [field.name for field in fields(SparseConfig)]
    shown = eieio("build", "--engine", "sparse", "--help").stdout
    for name in ENGINE.help:
        assert f"  --{name.replace('_', '-')} " in shown


@pytest.mark.parametrize(("args", "message"), [
    (["deploy"], "No such command 'deploy'. (try 'eieio --help')"),
    (["compress", "x.npz", "--out", "y.eie", "--zzz"],
     "No such option '--zzz'. (try 'eieio compress --help')"),
    (["build", "x.npz"], "Missing option '--out'. (try 'eieio build --help')"),
    (["generate", "x.npz", "--out", "y", "--pes", "many"],
     "Invalid value for '--pes': 'many' is not a valid integer. (try 'eieio generate --help')"),
    (["simulate", "x.npz", "--simulator", "vhdl"],
     ("Invalid value for '--simulator': 'vhdl' is not one of 'verilator', 'icarus'. "
      "(try 'eieio simulate --help')")),
    (["compress", "x.npz", "--out", "y.eie", "--density", "0.1,few"],
     ("Invalid value for '--density': '0.1,few' must be a number, or one for each layer with "
      "commas between (try 'eieio compress --help')")),
    (["build", "x.npz", "--out", "y", "--input-scale", "1/0"],
     ("Invalid value for '--input-scale': '1/0' must be a positive number or fraction, such as "
      "1/256 (try 'eieio build --help')")),
])
def test_refuses_usage(refused: Callable[..., None], args: list[str], message: str) -> None:
    refused(*args, message=message)


@pytest.mark.parametrize(("error", "status", "line"), [
    (PermissionError(13, "Permission denied", "x.v"), 2, "eieio: x.v: Permission denied"),
    (OSError("disk\nfailed"), 2, "eieio: disk failed"),
    (MemoryError(), 2, "eieio: not enough memory"),
    (KeyboardInterrupt(), 130, "eieio: interrupted"),
    (BuildError("verilator cannot build top"), 2,
     "eieio: verilator cannot build top"),
    (SimulationError("Test failed", Path("log")), 2,
     "eieio: Test failed (log: log)"),
])
def test_errors_are_one_line_and_leave_nothing(
        eieio: Callable[..., Result], network: Path, samples: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, line: str) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        assert [path.name for path in tmp_path.glob(".*.part/*")] != []
        raise error

    monkeypatch.setattr(steps, "emit_engine", lambda config, family: {"top.v": ""})
    monkeypatch.setattr(steps, "build_simulation", fail)
    result = eieio("build", network, "--samples", samples, "--out", tmp_path / "out" / "design")
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.splitlines()[-1] == line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["samples.npz", "small.npz"]


def test_runs_as_a_module(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "eieio.scripts.main", "compress", str(tmp_path / "none.npz"),
         "--out", str(tmp_path / "none.eie")], capture_output=True, encoding="utf-8", check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"eieio: {tmp_path / 'none.npz'} must be an existing file\n"
