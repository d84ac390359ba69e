"""``eieio synthesize``: from a network or a configuration to a bitstream for a board."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from eieio.model.area import estimate
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.formats.design_folder import (
    GRAPH,
    IMAGE,
    Design,
    output_folder,
    read_manifest,
)
from eieio.model.graph.calibration import Method
from eieio.model.sparse.choices import Choice
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.fitting import exact_memories
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.fitting import make_config
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.build import Report, SynthesisError, clock_setting, make_plan, run_plan
from eieio.rtl.boards.floorplan import multiplier_places
from eieio.rtl.boards.system import emit_system
from eieio.scripts import steps, systolic_steps
from eieio.scripts.board_option import board_option, options_for_board
from eieio.scripts.console import check_writable, note, progress, show, table, write_json
from eieio.scripts.figures import choice_lines
from eieio.scripts.options import (
    any_engine_options,
    choose_engine,
    json_option,
    not_for_design,
    only_for,
    output_order_option,
    quantization_options,
    read_config,
    sample_options,
)
from eieio.scripts.speed import Speed, graph_speed, network_speed, rate_table
from eieio.scripts.systolic_commands import Quantizing

__all__ = ["synthesize"]

#: Folder of the board's build, in the folder of the design.
_BOARD = "board"


@dataclass(frozen=True)
class _Source:
    """What is synthesized.

    Attributes
    ----------
    config : EngineConfig
        The engine.
    network : :class:`str` or None
        Name of the network, if there is one.
    speed : Speed or None
        How fast an inference is, where it is known.
    write : callable or None
        Writes the design into a folder; None if it is there.
    choices : tuple of Choice
        What was chosen for the network.
    """

    config: EngineConfig
    network: str | None
    speed: Speed | None
    write: Callable[[Path], Design] | None
    choices: tuple[Choice, ...] = ()


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
@click.option("--attempts", type=click.IntRange(min=1), default=1, show_default=True,
              help="Seeds to try, from --seed on, until the clock is met.")
@sample_options
@quantization_options
@output_order_option
@any_engine_options
@json_option
@click.pass_context
def synthesize(ctx: click.Context, source: Path, board: Board, out: Path | None,
               clock: float | None, baud: int | None, seed: int, attempts: int,
               samples: Path | None, input_scale: float | None, batch: int,
               calibration: Method, percentile: float, engine: str | None,
               options: dict[str, Any], output_order: str, json_file: Path | None) -> None:
    """Build a bitstream for a board from a network, a configuration, or a design.

    NETWORK_OR_CONFIG is a network, for which the engine is sized as 'eieio generate' does it, or a
    .json file with options of the engine, or the folder of a design, to which the bitstream is
    added. With a serial port and a PLL around it, it is synthesized by Yosys, and placed
    and routed by nextpnr. A design that is slower than its clock gets no bitstream, and the exit
    status is 1.

    On ECP5, --product-stages of the systolic engine is 3 if it is not given. An engine for a
    network that adds no tensors has no units for it, which take multipliers.

    \b
    The folder --out then holds the files of 'eieio generate', and
      BOARD.bit (.bin, .fs)   the bitstream
      board/                  the build, with the logs of Yosys (top.rpt) and nextpnr (top.tim)

    \b
    Examples:
      eieio synthesize lenet.npz --samples mnist_test.npz --pes 16 --board ulx3s-85f
      eieio synthesize lenet_5.onnx --engine systolic --samples mnist_test.npz \\
          --rows 12 --columns 12 --lanes 2 --board ulx3s-85f
      eieio synthesize engine.json --board tang-primer-20k --clock 40 --out design
      eieio synthesize design --board ecpix5-85f
    """  # noqa: D301
    check_writable(json_file)
    setting = clock_setting(board, clock and clock * 1e6)
    clock_mhz = setting.output_hz / 1e6
    if clock is not None and clock_mhz < 0.99 * clock:
        note(f"the PLL makes {clock_mhz:.6g} MHz, the nearest clock below {clock:g} MHz")
    engine = choose_engine(engine, options, source)
    only_for(ctx, engine, "systolic", "batch", "calibration", "percentile")
    only_for(ctx, engine, "sparse", "output_order")
    if source.is_dir():
        if out is not None:
            raise click.UsageError("Option --out goes with a network or a configuration, not with "
                                   "a design")
        not_for_design(ctx, source, "batch", "calibration", "percentile", "output_order")
        taken = _open(source, samples, input_scale)
    elif engine == "systolic":
        taken = _systolic(source, Quantizing(samples, input_scale, batch, calibration, percentile),
                          options, board)
    else:
        taken = _sparse(source, samples, input_scale, options, output_order, board)
    config = taken.config
    _note_area(config, board)
    with progress("Emitting the board's Verilog"):
        files = emit_system(config, board, setting, baud)
    out = source if taken.write is None else out or Path("build") / board.name
    plan = make_plan(board, setting, files, seed=seed, places=multiplier_places(config, board))
    bitstream = report = None
    failure = ""
    with output_folder(out, add=taken.write is None, replaced=_BOARD) as folder:
        if taken.write is not None:
            taken.write(folder)
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
    figures: dict[str, Any] = {
        "board": board.name, "engine": engine, "network": taken.network, "seed": report.seed,
        "baud": baud or board.baud,
        "lut": report.lut, "ff": report.ff, "dsp": report.dsp, "bram": report.bram,
        "fmax_mhz": report.fmax_mhz, "target_mhz": report.target_mhz,
        "bitstream": str(bitstream) if bitstream else None,
        "critical_path": list(report.critical_path),
        "config": config.to_dict(), "out": str(out),
        "choices": [choice.to_dict() for choice in taken.choices],
    }
    if taken.speed is not None:
        figures |= taken.speed.figures(setting.output_hz, figures["baud"])
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


def _open(folder: Path, samples: Path | None, input_scale: float | None) -> _Source:
    """Read a design, to whose folder the bitstream goes."""
    design = read_manifest(folder)
    speed = None
    if design.engine == "sparse":
        config: EngineConfig = SparseConfig.from_dict(design.config)
        if samples is not None:
            compiled = steps.open_design(folder)[1]
            speed = network_speed(compiled, steps.read_inputs(samples, compiled.network,
                                                              input_scale))
    elif design.engine == "systolic":
        config = SystolicConfig.from_dict(design.config)
        if samples is not None:
            note("the samples are not read: every inference of the systolic engine takes as long")
        if (folder / GRAPH).is_file() and (folder / IMAGE).is_file():
            speed = graph_speed(systolic_steps.open_design(folder)[1])
    else:
        raise InputError(f"{folder} must be a design of the sparse or the systolic engine, not "
                         f"{design.engine!r}")
    return _Source(config, design.network, speed, None)


def _sparse(source: Path, samples: Path | None, input_scale: float | None,
            options: dict[str, Any], output_order: str, board: Board) -> _Source:
    """Size a sparse engine."""
    if source.suffix.lower() == ".json":
        config = SparseConfig.from_dict(read_config(source) | options)
        return _Source(config, None, None, lambda folder: steps.write_design(folder, config))
    loaded = steps.load_any(source)
    taken = steps.samples_or_random(samples, loaded, input_scale)
    network = steps.prepare(loaded, options)
    fitted = steps.compile_shared(network, taken, options, board=True, output_order=output_order)
    compiled = fitted.compiled
    if _wants_exact(compiled.config, board):
        compiled = exact_memories(compiled, options)
    return _Source(compiled.config, network.name, network_speed(compiled, taken),
                   lambda folder: steps.write_design(folder, compiled.config, network, compiled),
                   fitted.choices)


def _systolic(source: Path, quantizing: Quantizing, options: dict[str, Any],
              board: Board) -> _Source:
    """Size a systolic engine."""
    if source.suffix.lower() == ".json":
        given = read_config(source, "systolic") | options
        config = make_config(options_for_board(given, "systolic", board))
        return _Source(config, None, None,
                       lambda folder: systolic_steps.write_design(folder, config, None))
    options = options_for_board(options, "systolic", board)
    make_config(options)
    graph = quantizing.load(source).graph
    compiled = systolic_steps.compile_network(graph, options, quantizing.batch)
    if _wants_exact(compiled.config, board):
        compiled = systolic_steps.compile_network(graph, options, quantizing.batch, exact=True)
    if compiled.config.residual and "residual" not in options:
        note("the network adds tensors: the engine gets units for it, which take multipliers")
    return _Source(compiled.config, compiled.graph.name, graph_speed(compiled),
                   lambda folder: systolic_steps.write_design(folder, compiled.config, compiled))


def _wants_exact(config: EngineConfig, board: Board) -> bool:
    """Tell whether memories of powers of two are too large, as far as the area model knows."""
    if isinstance(config, SystolicConfig) and config.winograd:
        return False
    wants = bool(estimate(config, board.family).beyond(board.capacity))
    if wants:
        note("memories are exactly as deep as the network needs, since powers of two would not fit")
    return wants


def _note_area(config: EngineConfig, board: Board) -> None:
    """Say what will hardly fit, and refuse what cannot, as far as the area model knows."""
    if isinstance(config, SystolicConfig) and config.winograd:
        note("the area model does not know Winograd's transforms: the engine may not fit")
        return
    resources = estimate(config, board.family)
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
