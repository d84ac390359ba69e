"""Report of all that verification measures: ``build/verify/report.json``."""

import json
from pathlib import Path
from typing import Any

from eieio.model.formats.atomic import write_text

__all__ = ["update_report"]


def update_report(path: Path, key: str, value: Any) -> None:
    """Write one measurement into the report; the others stay, and what is not measured is absent.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        The report, which need not be there yet.
    key : :class:`str`
        Such as ``"proofs"``.
    value
        What JSON can hold.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    report = json.loads(path.read_text()) if path.exists() else {}
    write_text(path, json.dumps({**report, key: value}, indent=2, sort_keys=True) + "\n")
