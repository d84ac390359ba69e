"""Makes bitstreams: an engine that fits a board, and what the tools make of it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.area import AreaUnknownError, counted, estimate
from eieio.model.engine import Compiled, Messages, Prepared
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.design_folder import output_folder
from eieio.model.registry import engine_of
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.build import Report, SynthesisError, clock_setting, make_plan, run_plan
from eieio.rtl.boards.floorplan import multiplier_places
from eieio.rtl.boards.pll import Setting
from eieio.rtl.boards.system import emit_system
from eieio.scripts import steps
from eieio.scripts.console import CONSOLE
from eieio.scripts.speed import model_speed

__all__ = ["Bitstream", "compile_for_board", "make_bitstream", "nearest_clock"]

#: Folder of the board's build, in the folder of the design.
_BOARD = "board"


@dataclass(frozen=True)
class Bitstream:
    """What the tools made.

    Attributes
    ----------
    board : Board
        For which board.
    report : Report
        What the tools say: cells, and the highest clock.
    bitstream : :class:`pathlib.Path` or None
        The file; None if the clock is not met.
    folder : :class:`pathlib.Path`
        The design.
    figures : dict
        All figures.
    """

    board: Board
    report: Report
    bitstream: Path | None
    folder: Path
    figures: dict[str, Any]

    def __repr__(self) -> str:
        report = self.report
        return (f"<Bitstream for {self.board.title}: {self.bitstream or 'none'}, "
                f"{report.fmax_mhz:.1f} MHz for {report.target_mhz:g} MHz, {report.lut:,} LUTs, "
                f"{report.dsp:,} multipliers, {report.bram:,} block RAMs>")


def compile_for_board(prepared: Prepared, options: Mapping[str, Any], board: Board, *,
                      serial: bool = True, messages: Messages = CONSOLE) -> Compiled:
    """Compile a network for an engine on a board, with memories that fit there.

    Parameters
    ----------
    prepared : Prepared
        The network.
    options : mapping of :class:`str`
        Options of :meth:`eieio.model.engine.Engine.for_board`.
    board : Board
        The board.
    serial : :class:`bool`
        Whether inputs come through its serial port, for which a small engine is fast enough.
    messages : Messages
        Takes what is told.
    """
    compiled = prepared.compile(options, board=serial)
    # The first of them has been tried.
    for tried, exact in islice(engine_of(compiled.config).attempts(options), 1, None):
        if _fits(compiled.config, board):
            break
        if exact:
            messages.note("memories are exactly as deep as the network needs, since powers of two "
                          "would not fit")
        compiled = prepared.compile(tried, board=serial, exact=exact)
    return compiled


def nearest_clock(board: Board, clock_mhz: float | None, *, messages: Messages = CONSOLE
                  ) -> Setting:
    """Return the setting of a board's PLL for a clock; None is the board's own."""
    setting = clock_setting(board, clock_mhz and clock_mhz * 1e6)
    made = setting.output_hz / 1e6
    if clock_mhz is not None and made < 0.99 * clock_mhz:
        messages.note(f"the PLL makes {made:.6g} MHz, the nearest clock below {clock_mhz:g} MHz")
    return setting


def make_bitstream(config: EngineConfig, board: Board, out: Path, *, setting: Setting,
                   added: bool = False, compiled: Compiled | None = None,
                   inputs: NDArray[np.floating] | None = None, baud: int | None = None,
                   seed: int = 1, attempts: int = 1, name: str | None = None,
                   messages: Messages = CONSOLE) -> Bitstream:
    """Synthesize, place and route an engine for a board.

    Parameters
    ----------
    config : EngineConfig
        The engine.
    board : Board
        The board.
    out : :class:`pathlib.Path`
        Folder of the design.
    setting : Setting
        Its clock.
    added : :class:`bool`
        Whether the design is there, and gets the bitstream; else it is written.
    compiled : Compiled, optional
        The network.
    inputs : float array, optional
        Typical inputs, for the network's speed where that depends on them.
    baud : :class:`int`, optional
        Bits a second of the serial port. The default is the board's.
    seed, attempts : :class:`int`
        First seed of placement, and how many to try until the clock is met.
    name : :class:`str`, optional
        Name of the network.
    messages : Messages
        Takes what is told.

    Raises
    ------
    InputError
        If the engine cannot fit the board, or the folder cannot be written.
    SynthesisError
        If a tool fails; it says where the logs are.
    """
    speed = None if compiled is None else model_speed(compiled, inputs)
    _note_area(config, board, messages)
    with messages.progress("Emitting the board's Verilog"):
        files = emit_system(config, board, setting, baud)
    plan = make_plan(board, setting, files, seed=seed, places=multiplier_places(config, board))
    bitstream = report = None
    failure = ""
    with output_folder(out, add=added, replaced=_BOARD) as folder:
        if not added:
            steps.write_design(folder, config, compiled, messages=messages)
        try:
            report, made = run_plan(board, plan, folder / _BOARD, attempts=attempts,
                                    progress=messages.progress)
        except SynthesisError as error:
            failure = str(error).replace(str(folder), str(out))
        else:
            if made is not None:
                bitstream = out / f"{board.name}{made.suffix}"
                shutil.copy(made, folder / bitstream.name)
    if report is None:  # The tools' logs are in the folder.
        raise SynthesisError(failure)
    figures: dict[str, Any] = {
        "board": board.name, "engine": engine_of(config).name, "network": name, "seed": report.seed,
        "baud": baud or board.baud,
        "lut": report.lut, "ff": report.ff, "dsp": report.dsp, "bram": report.bram,
        "fmax_mhz": report.fmax_mhz, "target_mhz": report.target_mhz,
        "bitstream": str(bitstream) if bitstream else None,
        "critical_path": list(report.critical_path),
        "config": config.to_dict(), "out": str(out),
        "choices": [chosen.to_dict() for chosen in compiled.choices] if compiled else [],
    }
    if speed is not None:
        figures |= speed.figures(setting.output_hz, figures["baud"])
    return Bitstream(board, report, bitstream, out, figures)


def _fits(config: EngineConfig, board: Board) -> bool:
    """Tell whether a board has room for an engine, as far as the area model knows."""
    try:
        try:
            area = estimate(config, board.family)
        except AreaUnknownError:  # Of a part of it, or of all.
            area = counted(config, board.family)
    except AreaUnknownError:
        return True
    return not area.beyond(board.capacity)


def _note_area(config: EngineConfig, board: Board, messages: Messages) -> None:
    """Say what will hardly fit, and refuse what cannot, as far as the area model knows."""
    try:
        resources = estimate(config, board.family)
    except AreaUnknownError as error:
        messages.note(f"the area model does not know {error.what}: the engine may not fit")
        return
    if too_many := resources.beyond(board.capacity, far=True):
        raise InputError(f"{board.title} must have room for the engine, which takes about "
                         f"{' and '.join(too_many)}; 'eieio fit --board {board.name}' lists what "
                         "fits")
    for what in resources.beyond(board.capacity):
        messages.note(f"this takes about {what}")
