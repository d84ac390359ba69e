"""Lint of emitted Verilog, by ``verilator --lint-only -Wall``.

Also a program: ``python -m eieio.sim.lint TOP FILE...``. What may be found is in ``lint.vlt``
beside this file, with the reasons.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from eieio.model.child_process import run_program
from eieio.sim.runner import verilator_environment

__all__ = ["WAIVERS", "LintError", "lint"]

#: Verilator control file with the classes of warnings that are the generators' habits.
WAIVERS = Path(__file__).with_name("lint.vlt")


class LintError(Exception):
    """Verilator found a mistake. The message is what it printed."""


def lint(sources: Sequence[Path], top: str) -> None:
    """Check Verilog files.

    Parameters
    ----------
    sources : sequence of :class:`pathlib.Path`
        All files of the design.
    top : :class:`str`
        Top module.

    Raises
    ------
    LintError
        If there is a warning that is not waived, or an error.
    InputError
        If a program that Verilator needs is missing.
    """
    environment = os.environ | verilator_environment()
    reply = run_program(
        ["verilator", "--lint-only", "-Wall", "--quiet", "--top-module", top, WAIVERS, *sources],
        env=environment)
    if reply.returncode or reply.stderr.strip():
        raise LintError(reply.stderr.strip() or f"verilator ended with {reply.returncode}")


def main(arguments: Sequence[str]) -> int:
    """Lint what the command line names; return the exit status."""
    if len(arguments) < 2:
        print("usage: python -m eieio.sim.lint TOP FILE...", file=sys.stderr)
        return 2
    top, *files = arguments
    try:
        lint([Path(file) for file in files], top)
    except LintError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
