"""What commands write for people to look at: the page of results, and the trace."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Compiled
from eieio.model.formats.atomic import write_bytes
from eieio.model.trace import LayerProfile, trace
from eieio.scripts.console import check_writable, show
from eieio.scripts.page import page
from eieio.sim.simulation import Comparison

__all__ = ["ResultFiles", "profiles", "report_option", "result_options"]

_FILE = click.Path(path_type=Path)
_Command = Callable[..., Any]
_Origins = Mapping[str, Sequence[Sequence[LayerProfile]]]


@dataclass(frozen=True)
class ResultFiles:
    """Files that a command was asked for.

    Attributes
    ----------
    report : :class:`pathlib.Path` or None
        The page of results.
    trace : :class:`pathlib.Path` or None
        The trace of layers and stalls.
    """

    report: Path | None = None
    trace: Path | None = None

    @property
    def traced(self) -> bool:
        """Whether a trace was asked for."""
        return self.trace is not None

    @property
    def files(self) -> list[Path]:
        """The files that were asked for."""
        return [file for file in (self.report, self.trace) if file is not None]

    def show(self) -> None:
        """Say what was written."""
        show(*[f"Written: {file}" for file in self.files])

    def write(self, figures: Mapping[str, Any], title: str,
              origins: Callable[[], _Origins] = dict) -> None:
        """Write the files.

        Parameters
        ----------
        figures, title :
            As for :func:`eieio.scripts.page.page`.
        origins : callable
            Called if there is to be a trace, returns what :func:`eieio.model.trace.trace` takes.
        """
        for file, text in ((self.report, lambda: page(figures, title)),
                           (self.trace, lambda: f"{json.dumps(trace(origins()))}\n")):
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(file, text().encode())


def profiles(compiled: Compiled, x: NDArray[np.floating], comparison: Comparison | None
             ) -> _Origins:
    """Return what a trace is made of: by the cycle model, and by the RTL if it was traced."""
    found = getattr(comparison, "profiles", None)
    return found or {"cycle model": compiled.profiles(x)}


def report_option(command: _Command) -> _Command:
    """Take ``--report FILE.html``; pass ``result_files``."""
    return _take(command, False)


def result_options(command: _Command) -> _Command:
    """Take ``--report FILE.html`` and ``--trace FILE.json``; pass ``result_files``.

    Files that could not be written are refused before the command begins.
    """
    return _take(command, True)


def _take(command: _Command, traced: bool) -> _Command:
    @functools.wraps(command)
    def wrapper(*args: Any, report: Path | None, trace: Path | None = None, **kwargs: Any) -> Any:
        files = ResultFiles(report, trace)
        for file in files.files:
            check_writable(file)
        return command(*args, result_files=files, **kwargs)

    wrapped: _Command = wrapper
    if traced:
        wrapped = click.option(
            "--trace", type=_FILE, metavar="FILE.json", help="Also write a trace of layers and "
            "stalls for Perfetto or chrome://tracing: by the cycle model, and of what runs by the "
            "RTL.")(wrapped)
    return click.option(
        "--report", type=_FILE, metavar="FILE.html", help="Also write a page of all results, which "
        "needs no other file.")(wrapped)
