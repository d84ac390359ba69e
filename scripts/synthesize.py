"""``eieio synthesize``: from a network or a configuration to a bitstream for a board."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from eieio.model.area import AreaUnknownError, estimate
from eieio.model.engine import Compiled
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.design_folder import output_folder
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.build import Report, SynthesisError, clock_setting, make_plan, run_plan
from eieio.rtl.boards.floorplan import multiplier_places
from eieio.rtl.boards.system import emit_system
from eieio.scripts import steps
from eieio.scripts.board_option import board_option
from eieio.scripts.console import check_writable, note, progress, show, table, write_json
from eieio.scripts.engine import Choice, EngineCommand, choose_engine, engine_options
from eieio.scripts.figures import choice_lines
from eieio.scripts.options import json_option, sample_options
from eieio.scripts.speed import rate_table, speed_of

__all__ = ["synthesize"]

#: Folder of the board's build, in the folder of the design.
_BOARD = "board"


@click.command(cls=EngineCommand, short_help="Build a bitstream for a board.")
@click.argument("source", metavar="NETWORK_OR_CONFIG", type=click.Path(path_type=Path))
@board_option
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder to make; an earlier design in it is replaced.  [default: build/BOARD]")
@click.option("--clock", type=click.FloatRange(min=0, min_open=True), metavar="MHZ",
              help="Clock of the engine. Default: the board's.")
@click.option("--baud", type=click.IntRange(min=1), help="Rate of the serial port. Default: the "
              "board's.")
@click.option("--seed", type=int, default=1, show_default=True,
              help="Seed of placement; another one gives another highest clock.")
@click.option("--attempts", type=click.IntRange(min=1), default=1, show_default=True,
              help="Seeds to try, from --seed on, until the clock is met.")
@sample_options
@engine_options
@json_option
@click.pass_context
def synthesize(ctx: click.Context, source: Path, board: Board, out: Path | None,
               clock: float | None, baud: int | None, seed: int, attempts: int,
               samples: Path | None, input_scale: float | None, engine: str | None,
               options: dict[str, Any], json_file: Path | None) -> None:
    """Build a bitstream for a board from a network, a configuration, or a design.

    NETWORK_OR_CONFIG is a network, for which the engine is sized as 'eieio generate' does it, or a
    .json file with options of the engine, or the folder of a design, to which the bitstream is
    added. With a serial port and a PLL around it, it is synthesized by Yosys, and placed
    and routed by nextpnr. A design that is slower than its clock gets no bitstream, and the exit
    status is 1.

    \b
    The folder --out then holds the files of 'eieio generate', and
      BOARD.bit (.bin, .fs)   the bitstream
      board/                  the build, with the logs of Yosys (top.rpt) and nextpnr (top.tim)

    \b
    Examples:
      eieio synthesize lenet.npz --samples mnist_test.npz --pes 16 --board ulx3s-85f
      eieio synthesize engine.json --board tang-primer-20k --clock 40 --out design
      eieio synthesize design --board ecpix5-85f
    """  # noqa: D301
    check_writable(json_file)
    setting = clock_setting(board, clock and clock * 1e6)
    clock_mhz = setting.output_hz / 1e6
    if clock is not None and clock_mhz < 0.99 * clock:
        note(f"the PLL makes {clock_mhz:.6g} MHz, the nearest clock below {clock:g} MHz")
    choice = choose_engine(engine, options, source)
    if choice.design is not None and out is not None:
        raise click.UsageError("Option --out goes with a network or a configuration, not with "
                               "a design")
    compiled, cycles = _compile(choice, samples, input_scale, board)
    config = choice.config(board.family) if compiled is None else compiled.config
    _note_area(config, board)
    with progress("Emitting the board's Verilog"):
        files = emit_system(config, board, setting, baud)
    added = choice.design is not None
    out = source if added else out or Path("build") / board.name
    plan = make_plan(board, setting, files, seed=seed, places=multiplier_places(config, board))
    bitstream = report = None
    failure = ""
    with output_folder(out, add=added, replaced=_BOARD) as folder:
        if not added:
            steps.write_design(folder, config, compiled)
        try:
            report, made = run_plan(board, plan, folder / _BOARD, attempts=attempts,
                                    progress=progress)
        except SynthesisError as error:
            failure = str(error).replace(str(folder), str(out))
        else:
            if made is not None:
                bitstream = out / f"{board.name}{made.suffix}"
                shutil.copy(made, folder / bitstream.name)
    if report is None:  # The tools' logs are in the folder.
        raise SynthesisError(failure)
    name = choice.design.network if choice.design else compiled and compiled.name
    figures: dict[str, Any] = {
        "board": board.name, "engine": choice.engine.name, "network": name, "seed": report.seed,
        "baud": baud or board.baud,
        "lut": report.lut, "ff": report.ff, "dsp": report.dsp, "bram": report.bram,
        "fmax_mhz": report.fmax_mhz, "target_mhz": report.target_mhz,
        "bitstream": str(bitstream) if bitstream else None,
        "critical_path": list(report.critical_path),
        "config": config.to_dict(), "out": str(out),
        "choices": [chosen.to_dict() for chosen in compiled.choices] if compiled else [],
    }
    if compiled is not None and cycles is not None:
        figures |= speed_of(compiled.host, cycles).figures(setting.output_hz, figures["baud"])
    write_json(json_file, figures)
    show(*choice_lines(figures["choices"]), *_tables(board, report, figures))
    if bitstream is None:
        click.echo(f"eieio: Timing fails: {report.fmax_mhz:.1f} MHz, but the clock is "
                   f"{report.target_mhz:g} MHz; try more --attempts, or --clock "
                   f"{int(report.fmax_mhz)}", err=True)
        ctx.exit(1)
    show(f"Bitstream: {bitstream}",
         f"Write it into the FPGA: openFPGALoader {board.loader} {bitstream}",
         f"Run inputs there: eieio run {out} INPUT --port PORT --baud {figures['baud']}")


def _compile(choice: Choice, samples: Path | None, input_scale: float | None, board: Board
             ) -> tuple[Compiled | None, float | None]:
    """Compile a network, or read that of a design; and tell the cycles of an inference."""
    if choice.design is not None:
        if choice.design.network is None and samples is None:
            return None, None
        compiled = steps.open_design(choice)
        cycles = compiled.cycles()
        if cycles is not None and samples is not None:
            note(f"the samples are not read: every inference of the {choice.engine.name} engine "
                 "takes as long")
        elif samples is not None:
            cycles = compiled.cycles(compiled.read_samples(samples, input_scale).x)
        return compiled, cycles
    if not choice.has_network:
        return None, None
    given = choice.engine.for_board(choice.options, board.family)
    prepared = steps.prepare(replace(choice, options=given), samples, input_scale)
    compiled = prepared.compile(given, board=True)
    if _wants_exact(compiled.config, board):
        compiled = prepared.compile(given, board=True, exact=True)
    for text in compiled.board_notes:
        note(text)
    return compiled, compiled.cycles(prepared.samples.x)


def _wants_exact(config: EngineConfig, board: Board) -> bool:
    """Tell whether memories of powers of two are too large, as far as the area model knows."""
    try:
        wants = bool(estimate(config, board.family).beyond(board.capacity))
    except AreaUnknownError:
        return False
    if wants:
        note("memories are exactly as deep as the network needs, since powers of two would not fit")
    return wants


def _note_area(config: EngineConfig, board: Board) -> None:
    """Say what will hardly fit, and refuse what cannot, as far as the area model knows."""
    try:
        resources = estimate(config, board.family)
    except AreaUnknownError as error:
        note(f"the area model does not know {error.what}: the engine may not fit")
        return
    if too_many := resources.beyond(board.capacity, far=True):
        raise InputError(f"{board.title} must have room for the engine, which takes about "
                         f"{' and '.join(too_many)}; 'eieio fit --board {board.name}' lists what "
                         "fits")
    for what in resources.beyond(board.capacity):
        note(f"this takes about {what}")


def _tables(board: Board, report: Report, figures: dict[str, Any]) -> list[Any]:
    rows = []
    for name, what in (("lut", "lookup tables"), ("ff", "flip-flops"), ("dsp", "multipliers"),
                       ("bram", "block RAMs")):
        used, available = getattr(report, name), getattr(board.capacity, name)
        rows.append((what, f"{used:,}", f"{available:,}", f"{used / available:.0%}"))
    shown: list[Any] = [
        table((board.title, "used", "available", ""), rows),
        f"Highest clock: {report.fmax_mhz:.1f} MHz, for {report.target_mhz:g} MHz"]
    if "cycles_per_inference" in figures:
        shown.append(rate_table(figures, report.target_mhz))
    return shown
