"""``eieio fit``: which engines fit a board, without any synthesis."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from eieio.model.area import Resources, estimate
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.calibration import Method
from eieio.model.systolic.fitting import make_config
from eieio.rtl.boards.board import Board
from eieio.scripts import steps, systolic_steps
from eieio.scripts.board_option import board_option, options_for_board
from eieio.scripts.console import check_writable, progress, show, table, write_json
from eieio.scripts.options import (
    any_engine_options,
    choose_engine,
    json_option,
    only_for,
    quantization_options,
    read_config,
    sample_options,
)
from eieio.scripts.speed import graph_cycles, inference_cycles
from eieio.scripts.systolic_commands import Quantizing

__all__ = ["fit"]

#: Processing elements that are tried: of the sparse engine, and along a side of the array.
_PES = tuple(1 << power for power in range(9))
_SIDES = (1, 2, 4, 6, 8, 12, 16, 24, 32)
_MOST_LANES = 8

#: Stands for a file where none is given.
_NO_FILE = Path(os.devnull)

#: Columns of the table, by option.
_SHOWN = {
    "sparse": {"pes": "PEs", "entry_depth": "entries", "pointer_depth": "pointers"},
    "systolic": {"rows": "rows", "columns": "columns", "lanes": "lanes"},
}


@dataclass(frozen=True)
class _Engine:
    """An engine that is tried.

    Attributes
    ----------
    config : EngineConfig
        It.
    cycles : callable or None
        Computes the cycles of an inference, if there is a network.
    """

    config: EngineConfig
    cycles: Callable[[], float] | None = None


#: Makes an engine of options by name.
_Make = Callable[[dict[str, Any]], _Engine]


@click.command(short_help="Say which engines fit a board.")
@click.argument("network_or_config", type=click.Path(path_type=Path), required=False)
@board_option
@sample_options
@quantization_options
@any_engine_options
@json_option
@click.pass_context
def fit(ctx: click.Context, network_or_config: Path | None, board: Board, samples: Path | None,
        input_scale: float | None, batch: int, calibration: Method, percentile: float,
        engine: str | None, options: dict[str, Any], json_file: Path | None) -> None:
    """Say which engines fit a board, in a moment, by the area model.

    For a network, memories have the depths that it needs, and the cycle model tells the speed at
    the board's clock. Without one, or for a .json file with options of the engine, they have the
    depths that are given or default. Of the sparse engine, 1 to 256 processing elements are tried,
    or --pes. Of the systolic one (--engine systolic), square arrays of up to 32 rows are tried, or
    --rows and --columns, each with the most --lanes that fit; the area of Winograd's transforms
    is not known.

    \b
    Examples:
      eieio fit lenet.npz --samples mnist_test.npz --board ulx3s-85f
      eieio fit --board tang-nano-9k --entry-depth 1024 --activation-width 8
      eieio fit lenet_5.onnx --engine systolic --samples mnist_test.npz --board ulx3s-85f
    """  # noqa: D301
    check_writable(json_file)
    path = network_or_config or _NO_FILE
    if path.is_dir():
        raise InputError(f"{path} must be a network or a file of options, not a folder")
    engine = choose_engine(engine, options, path)
    only_for(ctx, engine, "systolic", "batch", "calibration", "percentile")
    from_file = path.suffix.lower() == ".json"
    if from_file:
        options = read_config(path, engine) | options
    options = options_for_board(options, engine, board)
    name = None
    if network_or_config is None or from_file:
        make = _options_alone(engine)
    elif engine == "systolic":
        make, name = _for_graph(path, Quantizing(samples, input_scale, batch, calibration,
                                                 percentile), options)
    else:
        make, name = _for_network(path, samples, input_scale, options)
    choices = list(_sparse_choices(options) if engine == "sparse" else _systolic_choices(options))
    with progress("Fitting"):
        found = list(_configurations(board, make, options, choices))
    write_json(json_file, {
        "board": board.name, "engine": engine, "network": name,
        "clock_mhz": board.clock_hz / 1e6, "capacity": _resources(board.capacity),
        "configurations": found})
    show(board.title, _table(board, engine, found, name is not None))
    fitting = [figures for figures in found if figures["fits"]]
    if fitting:
        show(f"The largest that fits has {_elements(engine, fitting[-1])}")
        fastest = max(fitting, key=lambda figures: figures.get("inferences_per_second", 0))
        if fastest is not fitting[-1] and "inferences_per_second" in fastest:
            show(f"The fastest that fits has {_elements(engine, fastest)}")
    else:
        show(f"None fits: {_elements(engine, found[0])} take {', '.join(found[0]['beyond'])}")


def _options_alone(engine: str) -> _Make:
    """Make engines without a network."""
    def make(options: dict[str, Any]) -> _Engine:
        return _Engine(SparseConfig.from_dict(options) if engine == "sparse"
                       else make_config(options))
    return make


def _for_network(path: Path, samples: Path | None, input_scale: float | None,
                 options: dict[str, Any]) -> tuple[_Make, str]:
    """Make sparse engines for a network; and its name."""
    loaded = steps.load(path)
    taken = steps.samples_or_random(samples, loaded, input_scale)
    network = steps.share(loaded, options).shared

    def make(options: dict[str, Any]) -> _Engine:
        compiled = steps.compile_shared(network, taken, options, board=True).compiled
        return _Engine(compiled.config, lambda: inference_cycles(compiled, taken))
    return make, network.name


def _for_graph(path: Path, quantizing: Quantizing,
               options: dict[str, Any]) -> tuple[_Make, str]:
    """Make systolic engines for a network; and its name."""
    make_config(options)
    graph = quantizing.load(path).graph

    def make(options: dict[str, Any]) -> _Engine:
        compiled = systolic_steps.compile_network(graph, options, quantizing.batch)
        return _Engine(compiled.config, lambda: graph_cycles(compiled))
    return make, graph.name


def _sparse_choices(options: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """List what is tried: engines of rising size, for each what else it may be."""
    for pes in (options["pes"],) if "pes" in options else _PES:
        yield [{"pes": pes}]


def _systolic_choices(options: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """List what is tried: arrays of rising size, each with falling numbers of lanes."""
    for side in (0,) if {"rows", "columns"} <= set(options) else _SIDES:
        array = {name: options.get(name, side) for name in ("rows", "columns")}
        if "lanes" in options:
            yield [array]
        else:
            yield [{**array, "lanes": lanes} for lanes in range(_MOST_LANES, 0, -1)
                   if not any(count % lanes for count in array.values())]


def _configurations(board: Board, make: _Make, options: dict[str, Any],
                    choices: Sequence[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Describe the engines, from the smallest on until one is more than twice too large.

    Of each size it is the first one that fits, or else the last. Sizes that cannot be are left out,
    as with column groups that do not divide the processing elements; if none can be, the last one's
    error is raised.
    """
    described = False
    for variants in choices:
        engine = area = None
        for variant in variants:
            try:
                engine = make(options | variant)
            except InputError:
                if not described and variants is choices[-1] and variant is variants[-1]:
                    raise
                continue
            area = estimate(engine.config, board.family)
            if not area.beyond(board.capacity):
                break
        if engine is None or area is None:
            continue
        described = True
        beyond = area.beyond(board.capacity)
        figures: dict[str, Any] = {"config": engine.config.to_dict(), **_resources(area),
                                   "fits": not beyond, "beyond": beyond}
        if engine.cycles is not None and not beyond:
            cycles = engine.cycles()
            figures |= {"cycles_per_inference": cycles,
                        "inferences_per_second": board.clock_hz / cycles}
        yield figures
        if area.lut > 2 * board.capacity.lut or area.bram > 4 * board.capacity.bram:
            break


def _elements(engine: str, figures: dict[str, Any]) -> str:
    config = figures["config"]
    count = f"{config['pes']}" if engine == "sparse" else f"{config['rows']} x {config['columns']}"
    return f"{count} processing element{'s' if count != '1' else ''}"


def _resources(resources: Resources) -> dict[str, int]:
    return {name: getattr(resources, name) for name in ("lut", "ff", "dsp", "bram")}


def _table(board: Board, engine: str, found: list[dict[str, Any]], timed: bool) -> Any:
    rows = []
    for figures in found:
        speed = figures.get("inferences_per_second")
        rows.append((
            *(f"{figures['config'][name]:,}" for name in _SHOWN[engine]),
            *(f"{figures[name] / getattr(board.capacity, name):.0%}"
              for name in ("lut", "ff", "dsp", "bram")),
            "yes" if figures["fits"] else "no",
            *((f"{speed:,.0f}" if speed else "",) if timed else ())))
    return table((*_SHOWN[engine].values(), "LUTs", "flip-flops", "multipliers",
                  "block RAMs", "fits",
                  *((f"1/s at {board.clock_hz / 1e6:g} MHz",) if timed else ())), rows)
