"""``eieio synthesize``: from a network or a configuration to a bitstream for a board."""

import shutil
from pathlib import Path
from typing import Any

import click

from eieio.model.area import estimate
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.design_folder import Design, output_folder, read_manifest
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
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
@sample_options
@engine_options
@json_option
@click.pass_context
def synthesize(ctx: click.Context, source: Path, board: Board, out: Path | None,
               clock: float | None, baud: int | None, seed: int, samples: Path | None,
               input_scale: float | None, engine: str, options: dict[str, Any],
               json_file: Path | None) -> None:
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
    name = network = compiled = taken = None
    if source.is_dir():
        design, config = _open(source, out, options)
        engine, name = design.engine, design.network
    elif source.suffix.lower() == ".json":
        config = SparseConfig.from_dict(read_config(source) | options)
    else:
        loaded = steps.load(source)
        taken = steps.samples_or_random(samples, loaded, input_scale)
        network = steps.share(loaded, options).shared
        compiled = steps.compile_shared(network, taken, options)
        name, config = network.name, compiled.config
    if isinstance(config, SparseConfig):
        for what in estimate(config, board.family).beyond(board.capacity):
            note(f"this takes about {what}")
    with progress("Emitting the board's Verilog"):
        files = emit_system(config, board, setting, baud)
    if source.is_dir():
        out = source
    else:
        out = out or Path("build") / board.name
        assert isinstance(config, SparseConfig)
        with output_folder(out) as folder:
            steps.write_design(folder, config, network, compiled)
    shutil.rmtree(out / _BOARD, ignore_errors=True)
    report, made = run_plan(board, make_plan(board, setting, files, seed=seed), out / _BOARD,
                            progress=progress)
    bitstream = None
    if made is not None:
        bitstream = out / f"{board.name}{made.suffix}"
        shutil.copy(made, bitstream)
    figures: dict[str, Any] = {
        "board": board.name, "engine": engine, "network": name, "seed": seed,
        "baud": baud or board.baud,
        "lut": report.lut, "ff": report.ff, "dsp": report.dsp, "bram": report.bram,
        "fmax_mhz": report.fmax_mhz, "target_mhz": report.target_mhz,
        "bitstream": str(bitstream) if bitstream else None,
        "critical_path": list(report.critical_path),
        "config": config.to_dict(), "out": str(out),
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
         f"Write it into the FPGA: openFPGALoader {board.loader} {bitstream}",
         f"Run inputs there: eieio run {out} INPUT --port PORT --baud {figures['baud']}")


def _open(folder: Path, out: Path | None, options: dict[str, Any]) -> tuple[Design, EngineConfig]:
    """Read a design, to whose folder the bitstream goes."""
    design = read_manifest(folder)
    if options or out is not None:
        name = next(iter(options), "out").replace("_", "-")
        raise click.UsageError(f"Option --{name} goes with a network or a configuration, not with "
                               "a design")
    kind = {"sparse": SparseConfig, "systolic": SystolicConfig}.get(design.engine)
    if kind is None:
        raise InputError(f"{folder} must be a design of the sparse or the systolic engine, not "
                         f"{design.engine!r}")
    return design, kind.from_dict(design.config)


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
