"""Runs other programs so that nothing of them outlives this process.

A program runs in a session of its own, where the terminal's Ctrl-C does not reach it: it ends when
we end it, with all that it has started. Its temporary files lie in a folder that goes with it.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from eieio.model.errors import InputError
from eieio.model.leftovers import add_group, end_group, held
from eieio.model.plain_paths import plain_temporary_folder

__all__ = ["program", "run_program"]


@contextmanager
def program(command: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str] | None = None,
            **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program while the ``with`` statement lasts; at its end, it is killed.

    Parameters
    ----------
    command : sequence of :class:`str` or path-like
        Program and arguments.
    env : mapping of :class:`str`, optional
        Environment. The default is that of this process.
    **options
        As :class:`subprocess.Popen` has them.

    Raises
    ------
    InputError
        If the program cannot be run.
    """
    with plain_temporary_folder() as temporary:
        places = dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(temporary))
        with held():
            try:
                process = subprocess.Popen(
                    command, env={**(os.environ if env is None else env), **places},
                    encoding="utf-8", errors="replace", start_new_session=True, **options)
            except OSError as error:
                raise InputError(f"Program {os.fspath(command[0])} cannot be run: "
                                 f"{error.strerror or error}") from error
            add_group(process.pid)
        try:
            yield process
        finally:
            end_group(process.pid)
            process.__exit__(None, None, None)


def run_program(command: Sequence[str | os.PathLike[str]], *, input: str | None = None,
                timeout: float | None = None, cwd: Path | None = None,
                env: Mapping[str, str] | None = None, output: IO[Any] | int = subprocess.PIPE,
                errors: IO[Any] | int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run a program until it ends.

    Parameters
    ----------
    command : sequence of :class:`str` or path-like
        Program and arguments.
    input : :class:`str`, optional
        What it reads from its standard input, which is empty by default.
    timeout : :class:`float`, optional
        Seconds after which it is killed.
    cwd : :class:`pathlib.Path`, optional
        Folder in which it runs.
    env : mapping of :class:`str`, optional
        Environment. The default is that of this process.
    output, errors :
        Where standard output and standard error go. By default the result has them as text.

    Raises
    ------
    InputError
        If the program cannot be run.
    subprocess.TimeoutExpired
        If it has not ended in time.
    """
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    with program(command, env=env, cwd=cwd, stdin=stdin, stdout=output, stderr=errors) as process:
        out, err = process.communicate(input, timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)
