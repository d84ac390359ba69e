"""``eieio bench mlperf-tiny``: whole networks of MLPerf Tiny, beside what others reached."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from eieio.model.area import AreaUnknownError, Resources, counted, estimate
from eieio.model.engine import Compiled
from eieio.model.errors import InputError
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.mlperf_tiny import REFERENCES, Reference, normalised, recognise
from eieio.model.registry import engines, find_engine
from eieio.rtl.boards.board import Board
from eieio.rtl.boards.build import SynthesisError
from eieio.rtl.boards.find import all_boards, find_board
from eieio.scripts import steps
from eieio.scripts.console import check_writable, note, show, write_json
from eieio.scripts.engine import Choice, EngineCommand, choose_engine, engine_options
from eieio.scripts.figures import show_parts
from eieio.scripts.mlperf_tiny_page import notes, tables, write_page
from eieio.scripts.options import json_option, simulator_options
from eieio.scripts.routed import find_routed, read_routed, route
from eieio.scripts.synthesis import compile_for_board, nearest_clock
from eieio.scripts.whole_network import Measurement, measure

__all__ = ["COMMANDS", "mlperf_tiny"]

#: Fewest inputs: between the last two is the interval.
_LEAST_INPUTS = 2


@dataclass(frozen=True)
class _Source:
    """A network that is measured.

    Attributes
    ----------
    path : :class:`pathlib.Path`
        Its file.
    graph : QuantizedGraph
        What it holds.
    reference : Reference or None
        Which of the reference networks it is.
    """

    path: Path
    graph: QuantizedGraph
    reference: Reference | None

    @property
    def name(self) -> str:
        """Short name of the benchmark, or the file's."""
        return self.graph.name if self.reference is None else self.reference.name


@click.command("mlperf-tiny", cls=EngineCommand,
               short_help="Whole networks of MLPerf Tiny, in RTL and on an FPGA.")
@click.argument("sources", metavar="FOLDER_OR_FILES...", nargs=-1, required=True,
                type=click.Path(path_type=Path))
@click.option("--inputs", type=click.IntRange(min=_LEAST_INPUTS), default=3, show_default=True,
              help="Random inputs of each network that run in RTL.")
@click.option("--model-only", is_flag=True,
              help="Run the cycle model only: no Verilog, no simulation, nothing compared.")
@click.option("--board", type=click.Choice(list(all_boards())), default="ulx3s-85f",
              show_default=True, callback=lambda ctx, param, name: find_board(name),
              help="Board for which the engines are made.")
@click.option("--place", is_flag=True, help="Also synthesize, place and route each engine for the "
              "board, which takes minutes each.")
@click.option("--clock", type=click.FloatRange(min=0, min_open=True), metavar="MHZ",
              help="Clock that place and route aims at. Default: the board's.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of placement.")
@click.option("--attempts", type=click.IntRange(min=1), default=1, show_default=True,
              help="Seeds to try, from --seed on, until the clock is met.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/mlperf_tiny"),
              show_default=True, help="Folder for the designs that --place makes.")
@click.option("--routed", type=click.Path(path_type=Path), metavar="FILE.json",
              help="Report of an earlier run with --place: what it found of the same Verilog is "
              "taken from there.")
@click.option("--docs", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Also write the tables into mlperf_tiny.md in this folder.")
@simulator_options
@engine_options
@json_option
@click.pass_context
def mlperf_tiny(ctx: click.Context, sources: tuple[Path, ...], inputs: int, model_only: bool,
                board: Board, place: bool, clock: float | None, seed: int, attempts: int,
                out: Path, routed: Path | None, docs: Path | None, simulator: str,
                engine: str | None, options: dict[str, Any], json_file: Path | None) -> None:
    """Run whole networks of MLPerf Tiny on an engine, and compare with what others reached.

    FOLDER_OR_FILES are the .tflite files of the reference networks, as mlcommons/tiny publishes
    them, or folders with them; other quantized networks do as well. For each: cycles from the start
    of an inference to its last output (latency), and from one input to the next in a stream
    of inferences, input and output included (interval); with --place, multipliers, lookup tables,
    block RAMs and the clock by place and route; inferences a second; and these for each multiplier
    and MHz, times 1,000 (normalised), beside the best published result.

    The RTL runs --inputs random inputs. The integers of all layers must equal the golden model's,
    and these and the outputs those of TensorFlow Lite's reference kernels if ai-edge-litert is
    installed; the cycles of all layers and the steady interval must equal the cycle model's. The
    exit status is 1 if anything differs.

    Without options of an engine, each reference network gets the engine that suits it best; options
    hold for all networks.

    \b
    Examples:
      eieio bench mlperf-tiny networks --json tiny.json
      eieio bench mlperf-tiny networks --place --json placed.json
      eieio bench mlperf-tiny networks --routed placed.json --docs docs
      eieio bench mlperf-tiny kws_ref_model.tflite --rows 8 --columns 16 --lanes 2
    """  # noqa: D301
    check_writable(json_file)
    document = None if docs is None else docs / "mlperf_tiny.md"
    check_writable(document)
    if docs is not None and model_only:
        raise click.UsageError("Option --docs goes without --model-only")
    setting = nearest_clock(board, clock)
    known = [] if routed is None else read_routed(routed)
    networks = []
    for source in _sources(sources):
        choice = _choose(source, engine, options)
        compiled, x = _compile(source, choice, board, inputs)
        found = find_routed(known, compiled.config, board, setting)
        measured = measure(source.path, source.graph, compiled, x,
                           simulator=None if model_only else simulator)
        if found is None and place:
            try:
                found = route(compiled, board, setting, out / source.name, seed=seed,
                              attempts=attempts)
            except (InputError, SynthesisError) as error:
                note(f"{source.name} is not placed: {error}")
        networks.append(_figures(source, choice, compiled, measured, found, board))
        write_json(json_file, {"board": board.name, "networks": networks})
    if document is not None:
        write_page(document, networks, board.title)
    show_parts(*tables(networks))
    show(*notes(networks), *([f"Written: {document}"] if document else []))
    steps.mismatch(ctx, sum((entry["mismatches"] or 0) for entry in networks),
                   sum(entry["cycle_mismatches"] or 0 for entry in networks))


def _sources(paths: Sequence[Path]) -> list[_Source]:
    """Read the networks, the reference networks first; of folders these alone.

    Raises
    ------
    InputError
        If a file cannot be read, or there is no network.
    """
    found: list[_Source] = []
    for path in paths:
        if not path.is_dir():
            graph = NetworkFile(path).quantize()
            found.append(_Source(path, graph, recognise(graph)))
            continue
        known = [source for source in _in_folder(path) if source.reference is not None]
        if not known:
            raise InputError(f"{path} must hold a reference network of MLPerf Tiny")
        found += known
    order = [reference.name for reference in REFERENCES]
    return sorted(found, key=lambda source: (
        len(order) if source.reference is None else order.index(source.reference.name)))


def _in_folder(folder: Path) -> Iterator[_Source]:
    for path in sorted(folder.glob("*.tflite")):
        try:
            graph = NetworkFile(path).quantize()
        except InputError as error:
            note(f"left out: {error}")
            continue
        yield _Source(path, graph, recognise(graph))


def _choose(source: _Source, engine: str | None, options: dict[str, Any]) -> Choice:
    """Choose the engine of a network, and its options."""
    name = None if source.reference is None else source.reference.name
    candidates = [find_engine(engine)] if engine is not None else [
        each for each in engines()
        if name in each.presets and not {*options} - {option.name for option in each.options}]
    if not candidates:
        return choose_engine(engine, options, source.path)
    chosen = candidates[0]
    given = options or dict(chosen.presets.get(name or "", {}))
    return choose_engine(chosen.name, given, source.path)


def _compile(source: _Source, choice: Choice, board: Board, inputs: int
             ) -> tuple[Compiled, NDArray[np.floating]]:
    """Compile a network for an engine on the board, and draw inputs."""
    given = choice.engine.for_board(choice.options, board.family)
    choice = replace(choice, options=given)
    prepared = steps.prepare(choice, None, None, random=inputs)
    count = inputs * prepared.batch
    if count > len(prepared.samples.x):
        prepared = steps.prepare(choice, None, None, random=count)
    return compile_for_board(prepared, given, board, serial=False), prepared.samples.x[:count]


def _area(compiled: Compiled, board: Board) -> Resources | None:
    """Estimate an engine; where its logic is not known, count the rest."""
    for model in (estimate, counted):
        try:
            return model(compiled.config, board.family)
        except AreaUnknownError:
            continue
    return None


def _figures(source: _Source, choice: Choice, compiled: Compiled, measured: Measurement,
             routed: dict[str, Any] | None, board: Board) -> dict[str, Any]:
    """Put all figures of a network together."""
    area = _area(compiled, board)
    interval, batch = measured.interval.cycles, compiled.batch
    dsp = routed["dsp"] if routed else None if area is None else area.dsp
    mhz = None if routed is None else routed["fmax_mhz"]
    best = None if source.reference is None else source.reference.best
    wrong = None if measured.mismatches is None else (
        measured.mismatches + (measured.reference_mismatches or 0))
    config = compiled.config.to_dict()
    shown = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in choice.options.items()
                      ) or choice.engine.sizing.elements(config)
    return {
        "name": source.name, "file": source.path.name,
        "title": None if source.reference is None else source.reference.title,
        "engine": choice.engine.name, "configuration": config, "options": shown,
        "batch": batch, "cycles": measured.cycles, "interval": interval,
        "interval_parts": measured.interval.to_dict(),
        "rtl_cycles": measured.rtl_cycles, "rtl_interval": measured.rtl_interval,
        **{name: None if routed is None else routed[name] for name in ("dsp", "lut", "bram")},
        "mhz": mhz,
        "inferences_per_second": None if mhz is None else batch * mhz * 1e6 / interval,
        "normalised": dsp and normalised(batch * 1e6 / interval, dsp, 1),
        "multipliers": dsp,
        "mismatches": wrong, "cycle_mismatches": measured.cycle_mismatches,
        "compared_integers": measured.compared,
        "reference_integers": measured.reference_compared,
        "reference_mismatches": measured.reference_mismatches,
        "published": None if best is None else {
            "submitter": best.submitter, "board": best.board, "normalised": best.normalised,
            "inferences_per_second": best.inferences_per_second, "dsp": best.dsp, "mhz": best.mhz},
        "estimate": None if area is None else {
            "lut": area.lut or None, "ff": area.ff or None, "dsp": area.dsp, "bram": area.bram,
            "beyond": area.beyond(board.capacity)},
        "limit": measured.interval.limit,
        "causes": dict(measured.shares.causes), "operators": dict(measured.shares.operators),
        "cause_texts": dict(measured.shares.texts), "routed": routed,
    }


COMMANDS = [mlperf_tiny]
