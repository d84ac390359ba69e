"""cocotb's runners, with programs that end when this process does.

cocotb has no hook for how it runs programs, so this replaces a method of its runners, in which they
run all of them.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from cocotb_tools.runner import Icarus, Runner, Verilator

from eieio.model.child_process import run_program

__all__ = ["tied_runner"]


class _Tied(Runner):
    timeout: float | None = None

    def _execute_cmds(self, cmds: Sequence[list[str]], cwd: os.PathLike[str] | str,
                      stdout: TextIO | None = None) -> None:
        for command in cmds:
            try:
                reply = run_program(command, cwd=Path(cwd), env=self.env, timeout=self.timeout,
                                    output=stdout or subprocess.DEVNULL, errors=subprocess.STDOUT)
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"{command[0]} has not ended in time") from None
            if reply.returncode:
                raise RuntimeError(f"{command[0]} ended with {reply.returncode}")


class _Icarus(_Tied, Icarus):
    pass


class _Verilator(_Tied, Verilator):
    pass


def tied_runner(simulator: str, timeout: float | None = None) -> Any:
    """Make a runner.

    Parameters
    ----------
    simulator : :class:`str`
        "verilator" or "icarus".
    timeout : :class:`float`, optional
        Seconds after which a program is killed; the runner then raises :exc:`RuntimeError`, as
        for any program that fails.
    """
    runner = {"icarus": _Icarus, "verilator": _Verilator}[simulator]()
    runner.timeout = timeout
    return runner
