"""cocotb's runners, with programs that end when this process does.

cocotb has no hook for how it runs programs, so this replaces a method of its runners, in which they
run all of them.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from cocotb_tools.config import libs_dir, pygpi_entry_point, share_dir
from cocotb_tools.runner import Icarus, Runner, Verilator

from eieio.model.child_process import run_program
from eieio.model.plain_paths import is_plain, plain_link

__all__ = ["LIBRARIES", "tied_runner"]

#: Link to cocotb's libraries that must be beside a program of Verilator's, if their path is not
#: one that a program can be told.
LIBRARIES = "libs"


class _Tied(Runner):
    timeout: float | None = None
    headers: str | None = None

    def _set_env_common(self) -> None:
        """Name cocotb's part that Python is started by, in a list with ``;``, by a plain path."""
        super()._set_env_common()
        path, _, _ = pygpi_entry_point().rpartition(",")
        self.env["GPI_USERS"] = self.env["GPI_USERS"].replace(path, str(plain_link(Path(path))))

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
    def _build_command(self) -> list[list[str]]:
        """Name cocotb's files by paths that make takes, and use headers."""
        commands = super()._build_command()
        if self.headers is not None:
            make = commands.pop()
            if not (Path(self.build_dir) / f"{self.headers}.gch").exists():
                commands.append([*make, f"{self.headers}.gch"])
            flags = f"{self.env.get('USER_CPPFLAGS', '')} -include {self.headers}"
            commands.append([*make, f"USER_CPPFLAGS={flags}"])
        if is_plain(libs_dir):
            return commands
        flags = f"-Wl,-rpath,'$$ORIGIN/{LIBRARIES}' -L{plain_link(libs_dir)} -lcocotbvpi_verilator"
        return [[flags if "-rpath" in argument
                 else str(plain_link(Path(argument))) if argument.startswith(str(share_dir))
                 else argument for argument in command] for command in commands]


def tied_runner(simulator: str, timeout: float | None = None, *, headers: str | None = None
                ) -> Any:
    """Make a runner.

    Parameters
    ----------
    simulator : :class:`str`
        "verilator" or "icarus".
    timeout : :class:`float`, optional
        Seconds after which a program is killed; the runner then raises :exc:`RuntimeError`, as
        for any program that fails.
    headers : :class:`str`, optional
        Header in the folder of a Verilator build that all its files include, precompiled.
    """
    runner = {"icarus": _Icarus, "verilator": _Verilator}[simulator]()
    runner.timeout = timeout
    runner.headers = headers
    return runner
