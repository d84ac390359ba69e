"""Places and routes an engine for a table, or finds it in the report of an earlier run."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eieio.model.engine import Compiled
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.input_file import read_bytes
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.pll import Setting
from eieio.rtl.boards.system import emit_system
from eieio.scripts.console import progress
from eieio.scripts.synthesis import make_bitstream

__all__ = ["find_routed", "read_routed", "route"]

#: Figures of a routed engine.
_FIGURES = ("board", "config", "lut", "ff", "dsp", "bram", "fmax_mhz", "target_mhz", "seed",
            "critical_path")


def route(compiled: Compiled, board: Board, setting: Setting, out: Path, *, seed: int,
          attempts: int) -> dict[str, Any]:
    """Synthesize, place and route the system of a board with a network's engine.

    Parameters
    ----------
    compiled : Compiled
        The network in its engine.
    board, setting :
        The board, and its clock.
    out : :class:`pathlib.Path`
        Folder of the design.
    seed, attempts : :class:`int`
        First seed of placement, and how many to try until the clock is met.

    Returns
    -------
    dict
        ``board``, ``config``, ``lut``, ``ff``, ``dsp``, ``bram``, ``fmax_mhz``, ``target_mhz``,
        ``seed``, ``critical_path``, and ``verilog``, a digest of what was placed.

    Raises
    ------
    InputError
        If the engine cannot fit the board.
    SynthesisError
        If a tool fails.
    """
    made = make_bitstream(compiled.config, board, out, setting=setting, compiled=compiled,
                          seed=seed, attempts=attempts, name=compiled.name)
    return {name: made.figures[name] for name in _FIGURES} | {
        "verilog": _digest(compiled.config, board, setting)}


def read_routed(path: Path) -> list[dict[str, Any]]:
    """Read the routed engines of an earlier run's report.

    Raises
    ------
    InputError
        If the file is no such report.
    """
    try:
        report = json.loads(read_bytes(path))
        found = [entry["routed"] for entry in report["networks"] if entry["routed"] is not None]
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{path} must be the report of an earlier run, with its networks"
                         ) from None
    if not all(isinstance(entry, dict) and {*_FIGURES, "verilog"} <= entry.keys()
               for entry in found):
        raise InputError(f"{path} must hold what place and route found of each network")
    return found


def find_routed(known: list[dict[str, Any]], config: EngineConfig, board: Board, setting: Setting
                ) -> dict[str, Any] | None:
    """Return what is known of an engine on a board: of the same Verilog, or None."""
    alike: list[Mapping[str, Any]] = [
        entry for entry in known
        if (entry["board"], entry["config"]) == (board.name, config.to_dict())]
    if not alike:
        return None
    digest = _digest(config, board, setting)
    return next((dict(entry) for entry in alike if entry["verilog"] == digest), None)


def _digest(config: EngineConfig, board: Board, setting: Setting) -> str:
    """Return a digest of the Verilog of a board's system."""
    with progress("Emitting the board's Verilog"):
        files = emit_system(config, board, setting)
    text = "\n".join(f"{name}\n{files[name]}" for name in sorted(files))
    return hashlib.sha256(text.encode()).hexdigest()
