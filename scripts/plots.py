"""Plots as SVG; the same figures give the same file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes

__all__ = ["COLOURS", "MARKERS", "figure", "require_matplotlib"]

#: Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000",
           "#8C6D31", "#7F7F7F")
#: Their markers.
MARKERS = "osD^vP*Xh"
_STYLE = {
    "svg.hashsalt": "eieio",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def require_matplotlib() -> None:
    """Refuse, before a long run, to plot without matplotlib.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        import_module("matplotlib")
    except ImportError:
        raise InputError("Plots need the Python package matplotlib: "
                         "pip install matplotlib") from None


@contextmanager
def figure(path: Path, title: str, columns: int = 1, width: float = 7.2, height: float = 3.6,
           share_y: bool = True) -> Iterator[Any]:
    """Make a figure with axes side by side, and write it."""
    require_matplotlib()
    # By name: the checkers of the sources do without matplotlib.
    with import_module("matplotlib").rc_context(_STYLE):
        made = import_module("matplotlib.figure").Figure(
            figsize=(width, height), layout="constrained")
        made.suptitle(title, fontsize=12)
        axes = made.subplots(1, columns, squeeze=False, sharey=share_y)[0]
        yield made, axes
        buffer = io.BytesIO()
        made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    # matplotlib ends lines of path data with spaces.
    lines = [line.rstrip() for line in buffer.getvalue().decode().splitlines()]
    write_bytes(path, ("\n".join(lines) + "\n").encode())
