"""``eieio synthesize``: from a network or a configuration to a bitstream for a board."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Compiled
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.build import Report
from eieio.scripts import steps
from eieio.scripts.board_option import board_option
from eieio.scripts.console import check_writable, note, show, table, write_json
from eieio.scripts.engine import Choice, EngineCommand, choose_engine, engine_options
from eieio.scripts.figures import choice_lines
from eieio.scripts.options import json_option, sample_options
from eieio.scripts.speed import latency_line, rate_table
from eieio.scripts.synthesis import compile_for_board, make_bitstream, nearest_clock

__all__ = ["synthesize"]


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
    setting = nearest_clock(board, clock)
    choice = choose_engine(engine, options, source)
    if choice.design is not None and out is not None:
        raise click.UsageError("Option --out goes with a network or a configuration, not with "
                               "a design")
    compiled, inputs = _compile(choice, samples, input_scale, board)
    config = choice.config(board.family) if compiled is None else compiled.config
    added = choice.design is not None
    found = make_bitstream(
        config, board, source if added else out or Path("build") / board.name, setting=setting,
        added=added, compiled=compiled, inputs=inputs, baud=baud, seed=seed, attempts=attempts,
        name=choice.design.network if choice.design else compiled and compiled.name)
    report, bitstream, figures, out = found.report, found.bitstream, found.figures, found.folder
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
             ) -> tuple[Compiled | None, NDArray[np.floating] | None]:
    """Compile a network, or read that of a design; and return its typical inputs."""
    if choice.design is not None:
        if choice.design.network is None and samples is None:
            return None, None
        compiled = steps.open_design(choice)
        if samples is None:
            return compiled, None
        if compiled.cycles() is not None:
            note(f"the samples are not read: every inference of the {choice.engine.name} engine "
                 "takes as long")
            return compiled, None
        return compiled, compiled.read_samples(samples, input_scale).x
    if not choice.has_network:
        return None, None
    given = choice.engine.for_board(choice.options, board.family)
    prepared = steps.prepare(replace(choice, options=given), samples, input_scale)
    compiled = compile_for_board(prepared, given, board)
    for text in compiled.board_notes:
        note(text)
    return compiled, prepared.samples.x


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
        shown += [rate_table(figures, report.target_mhz), latency_line(figures)]
    return shown
