"""``eieio synthesize``: from a network or a configuration to a bitstream for a board."""

import shutil
from pathlib import Path
from typing import Any

import click

from eieio.model.area import estimate
from eieio.model.formats.design_folder import output_folder
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.build import Report, clock_setting, make_plan, run_plan
from eieio.rtl.boards.system import emit_system
from eieio.scripts import steps
from eieio.scripts.board_option import board_option
from eieio.scripts.console import check_writable, note, progress, show, table, write_json
from eieio.scripts.options import engine_options, json_option, read_config, sample_options
from eieio.scripts.speed import inference_cycles

__all__ = ["synthesize"]

#: Folder of the board's build, in the folder of the design.
_BOARD = "board"


@click.command(short_help="Build a bitstream for a board.")
@click.argument("network_or_config", type=click.Path(path_type=Path))
@board_option
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder to make; an earlier design in it is replaced.  [default: build/BOARD]")
@click.option("--clock", type=click.FloatRange(min=0, min_open=True), metavar="MHZ",
              help="Clock of the engine. Default: the board's.")
@click.option("--baud", type=click.IntRange(min=1), help="Rate of the serial port. Default: the "
              "board's.")
@click.option("--seed", type=int, default=1, show_default=True,
              help="Seed of placement; another one gives another highest clock.")
@sample_options
@engine_options
@json_option
@click.pass_context
def synthesize(ctx: click.Context, network_or_config: Path, board: Board, out: Path | None,
               clock: float | None, baud: int | None, seed: int, samples: Path | None,
               input_scale: float | None, engine: str, options: dict[str, Any],
               json_file: Path | None) -> None:
    """Build a bitstream for a board from the file NETWORK_OR_CONFIG.

    The engine is sized for the network as 'eieio generate' does it, or configured by a .json file
    with its options. With a serial port and a PLL around it, it is synthesized by Yosys, and placed
    and routed by nextpnr. A design that is slower than its clock gets no bitstream, and the exit
    status is 1.

    \b
    The folder --out then holds the files of 'eieio generate', and
      BOARD.bit (.bin, .fs)   the bitstream
      board/                  the build, with the logs of Yosys (top.rpt) and nextpnr (top.tim)

    \b
    Examples:
      eieio synthesize lenet.npz --samples mnist_test.npz --pes 16 --board ulx3s-85f
      eieio synthesize engine.json --board icebreaker --clock 18 --out design
    """  # noqa: D301
    check_writable(json_file)
    setting = clock_setting(board, clock and clock * 1e6)
    clock_mhz = setting.output_hz / 1e6
    if clock is not None and clock_mhz < 0.99 * clock:
        note(f"the PLL makes {clock_mhz:.6g} MHz, the nearest clock below {clock:g} MHz")
    out = out or Path("build") / board.name
    network = compiled = taken = None
    if network_or_config.suffix.lower() == ".json":
        config = SparseConfig.from_dict(read_config(network_or_config) | options)
    else:
        loaded = steps.load(network_or_config)
        taken = steps.samples_or_random(samples, loaded, input_scale)
        network = steps.share(loaded, options).shared
        compiled = steps.compile_shared(network, taken, options)
        config = compiled.config
    expected = estimate(config, board.family)
    for what in expected.beyond(board.capacity):
        note(f"this takes about {what}")
    with progress("Emitting the board's Verilog"):
        files = emit_system(config, board, setting, baud)
    with output_folder(out) as folder:
        design = steps.write_design(folder, config, network, compiled)
    shutil.rmtree(out / _BOARD, ignore_errors=True)
    report, made = run_plan(board, make_plan(board, setting, files, seed=seed), out / _BOARD,
                            progress=progress)
    bitstream = None
    if made is not None:
        bitstream = out / f"{board.name}{made.suffix}"
        shutil.copy(made, bitstream)
    figures: dict[str, Any] = {
        "board": board.name, "engine": engine, "network": design.network, "seed": seed,
        "baud": baud or board.baud,
        "lut": report.lut, "ff": report.ff, "dsp": report.dsp, "bram": report.bram,
        "fmax_mhz": report.fmax_mhz, "target_mhz": report.target_mhz,
        "bitstream": str(bitstream) if bitstream else None,
        "critical_path": list(report.critical_path),
        "config": design.config, "out": str(out),
    }
    if compiled is not None and taken is not None:
        cycles = inference_cycles(compiled, taken)
        figures |= {"cycles_per_inference": cycles,
                    "inferences_per_second": setting.output_hz / cycles}
    write_json(json_file, figures)
    show(*_tables(board, report, figures))
    if bitstream is None:
        click.echo(f"eieio: Timing fails: {report.fmax_mhz:.1f} MHz, but the clock is "
                   f"{report.target_mhz:g} MHz; try another --seed, or --clock "
                   f"{int(report.fmax_mhz)}", err=True)
        ctx.exit(1)
    show(f"Bitstream: {bitstream}",
         f"Write it into the FPGA: openFPGALoader {board.loader} {bitstream}")


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
        shown.append(f"Inferences a second at {report.target_mhz:g} MHz: "
                     f"{figures['inferences_per_second']:,.0f} "
                     f"({figures['cycles_per_inference']:,.1f} cycles each)")
    return shown
