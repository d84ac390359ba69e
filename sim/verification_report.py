"""The figures of verification in one file, to which each command adds its own."""

import json
from pathlib import Path
from typing import Any

from eieio.model.formats.atomic import write_text
from eieio.model.leftovers import locked_folder

__all__ = ["update_report"]


def update_report(folder: Path, key: str, figures: Any) -> None:
    """Set one key of ``report.json`` in a folder, and keep the others."""
    path = folder / "report.json"
    folder.mkdir(parents=True, exist_ok=True)
    with locked_folder(folder / "report.lock", wait=True):
        report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        write_text(path, json.dumps({**report, key: figures}, indent=1) + "\n")
