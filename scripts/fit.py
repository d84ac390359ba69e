"""``eieio fit``: which engines fit a board, without any synthesis."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path
from typing import Any

import click

from eieio.model.area import Resources, estimate
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.graph.calibration import Method
from eieio.model.graph.quantized_graph import FullyConnected, QuantizedGraph, WeightedOperator
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.fitting import MEMORY_DEPTHS as SPARSE_DEPTHS
from eieio.model.sparse.fitting import exact_memories
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.systolic.fitting import MEMORY_DEPTHS as SYSTOLIC_DEPTHS
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
from eieio.scripts.speed import Speed, graph_speed, network_speed
from eieio.scripts.systolic_commands import Quantizing

__all__ = ["fit"]

#: Processing elements that are tried: of the sparse engine, and along a side of the array. For a
#: network, whose channels may suit others better, arrays twice as long as wide are tried as well.
_PES = tuple(1 << power for power in range(9))
_SIDES = (1, 2, 4, 6, 8, 12, 16, 24, 32)
_LONG_SIDES = (2, 4, 8, 16)
_MOST_LANES = 8

#: Stands for a file where none is given.
_NO_FILE = Path(os.devnull)

#: Columns of the table, by option.
_SHOWN = {
    "sparse": {"pes": "PEs", "entry_depth": "entries", "pointer_depth": "pointers"},
    "systolic": {"rows": "rows", "columns": "columns", "lanes": "lanes"},
}


#: Rates that are shown, and their digits.
_RATES = (("", 0), ("_with_data", 0), ("_serial", 1))


@dataclass(frozen=True)
class _Engine:
    """An engine that is tried.

    Attributes
    ----------
    config : EngineConfig
        It.
    speed : callable or None
        Computes the speed of an inference, if there is a network.
    """

    config: EngineConfig
    speed: Callable[[], Speed] | None = None


#: Makes an engine of options by name, with memories of what a network needs as powers of two, or
#: exactly.
_Make = Callable[[dict[str, Any], bool], _Engine]


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

    For a network, memories have the depths that it needs, as powers of two or, where these do not
    fit, exactly. The cycle model tells the speed at the board's clock: of the engine alone; with
    input and output, which go before and after an inference, as a DMA sees it; and over the serial
    port. Without one, or for a .json file with options of the engine, they have the
    depths that are given or default. Of the sparse engine, 1 to 256 processing elements are tried,
    or --pes. Of the systolic one (--engine systolic), square arrays of up to 32 rows are tried, for
    a network also some twice as long as wide, or --rows and --columns, each with the most --lanes
    that fit; the area of Winograd's transforms is not known.

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
    name = graph = None
    if network_or_config is None or from_file:
        make = _options_alone(engine)
    elif engine == "systolic":
        make_config(options)
        graph = Quantizing(samples, input_scale, batch, calibration, percentile).load(path).graph
        make, name = _for_graph(graph, batch), graph.name
    else:
        make, name = _for_network(path, samples, input_scale, options)
    choices = list(_sparse_choices(options) if engine == "sparse"
                   else _systolic_choices(options, long=name is not None))
    with progress("Fitting"):
        found = list(_configurations(board, engine, make, options, choices))
        hints = _hints(engine, found)
        if graph is not None:
            hints += _smaller_hint(board, make, options, found)
        if graph is not None and batch == 1:
            hints += _batch_hint(board, graph, options, found)
    write_json(json_file, {
        "board": board.name, "engine": engine, "network": name,
        "clock_mhz": board.clock_hz / 1e6, "baud": board.baud,
        "capacity": _resources(board.capacity), "configurations": found, "hints": hints})
    show(board.title, _table(board, engine, found, name is not None))
    if name is not None:
        show(f"Inferences a second at {board.clock_hz / 1e6:g} MHz: alone, without input and "
             "output; with data, those included, as a DMA sees them; serial, over the board's "
             f"port at {board.baud:,} baud\n")
    show(*hints)


def _options_alone(engine: str) -> _Make:
    """Make engines without a network."""
    def make(options: dict[str, Any], exact: bool) -> _Engine:
        del exact
        return _Engine(_config(engine, options))
    return make


def _config(engine: str, options: dict[str, Any]) -> EngineConfig:
    return SparseConfig.from_dict(options) if engine == "sparse" else make_config(options)


def _for_network(path: Path, samples: Path | None, input_scale: float | None,
                 options: dict[str, Any]) -> tuple[_Make, str]:
    """Make sparse engines for a network; and its name."""
    loaded = steps.load_any(path)
    taken = steps.samples_or_random(samples, loaded, input_scale)
    network = steps.prepare(loaded, options)

    made: dict[str, CompiledNetwork] = {}

    def make(options: dict[str, Any], exact: bool) -> _Engine:
        name = json.dumps(options, sort_keys=True)
        if name not in made:
            made.clear()  # Exact memories are wanted right after others, or never.
            made[name] = steps.compile_shared(network, taken, options, board=True).compiled
        compiled = made[name]
        if exact:
            compiled = exact_memories(compiled, options)
        return _Engine(compiled.config, lambda: network_speed(compiled, taken))
    return make, network.name


def _for_graph(graph: QuantizedGraph, batch: int) -> _Make:
    """Make systolic engines for a network."""
    def make(options: dict[str, Any], exact: bool) -> _Engine:
        compiled = systolic_steps.compile_network(graph, options, batch, exact=exact)
        return _Engine(compiled.config, lambda: graph_speed(compiled))
    return make


def _sparse_choices(options: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """List what is tried: engines of rising size, for each what else it may be."""
    for pes in (options["pes"],) if "pes" in options else _PES:
        yield [{"pes": pes}]


def _systolic_choices(options: dict[str, Any], *, long: bool
                      ) -> Iterator[list[dict[str, Any]]]:
    """List what is tried: arrays of rising size, each with falling numbers of lanes."""
    shapes = {(options.get("rows", side), options.get("columns", side)) for side in _SIDES}
    if long and not {"rows", "columns"} & set(options):
        shapes |= {shape for side in _LONG_SIDES for shape in ((side, 2 * side), (2 * side, side))}
    for rows, columns in sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape)):
        array = {"rows": rows, "columns": columns}
        if "lanes" in options:
            yield [array]
        else:
            yield [{**array, "lanes": lanes} for lanes in range(_MOST_LANES, 0, -1)
                   if not any(count % lanes for count in array.values())]


def _configurations(board: Board, engine: str, make: _Make, options: dict[str, Any],
                    choices: Sequence[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Describe the engines, from the smallest on until one is more than twice too large.

    Of each size it is the first one that fits, or else the last; with memories of powers of two or,
    where only this fits, of exactly what the network needs. Sizes that cannot be are left out,
    as with column groups that do not divide the processing elements; if none can be, the last one's
    error is raised.
    """
    described = False
    for variants in choices:
        best: tuple[_Engine, Resources, bool] | None = None
        for variant in variants:
            given = options | variant
            last = variant is variants[-1]
            try:
                # No network is compiled for what is too large with any memories.
                if not last and _smallest(engine, given, board).beyond(board.capacity):
                    continue
                for exact in (False, True):
                    made = make(given, exact)
                    best = made, estimate(made.config, board.family), exact
                    if made.speed is None or not best[1].beyond(board.capacity):
                        break
            except InputError:
                if not described and variants is choices[-1] and last:
                    raise
                continue
            if best is not None and not best[1].beyond(board.capacity):
                break
        if best is None:
            continue
        described = True
        made, area, exact = best
        beyond = area.beyond(board.capacity)
        figures: dict[str, Any] = {"config": made.config.to_dict(), **_resources(area),
                                   "fits": not beyond, "beyond": beyond, "exact_depths": exact}
        if made.speed is not None and not beyond:
            figures |= made.speed().figures(board.clock_hz, board.baud)
        yield figures
        if area.lut > 2 * board.capacity.lut or area.bram > 4 * board.capacity.bram:
            break


def _smallest(engine: str, options: dict[str, Any], board: Board) -> Resources:
    """Estimate an engine whose memories hold next to nothing, but for those that are given."""
    depths = SPARSE_DEPTHS if engine == "sparse" else SYSTOLIC_DEPTHS
    config = _config(engine, options)
    smallest = {name: 4 for name in depths if name not in options}
    if isinstance(config, SparseConfig):
        smallest |= {"accumulator_depth": 4 * config.column_groups} if (
            "accumulator_depth" not in options) else {}
    return estimate(replace(config, **smallest), board.family)


def _smaller_hint(board: Board, make: _Make, options: dict[str, Any],
                  found: list[dict[str, Any]]) -> list[str]:
    """Say whether the fastest array is faster with fewer rows or columns, which suit the channels.

    If both are given, they are what is compared with.
    """
    fitting = [figures for figures in found if figures["fits"]]
    if not fitting:
        return []
    fastest = min(fitting, key=lambda figures: figures["interval_cycles"])
    rows, columns = fastest["config"]["rows"], fastest["config"]["columns"]
    step = 1 + max(rows, columns) // 16
    arrays = [(fewer, columns) for fewer in range(rows - step, 0, -step)]
    arrays += [(rows, fewer) for fewer in range(columns - step, 0, -step)]
    choices = [[{"rows": fewer, "columns": others, **({} if "lanes" in options else
                                                      {"lanes": min(gcd(fewer, others), 8)})}]
               for fewer, others in arrays if fewer * others * 4 > rows * columns]
    others = [figures for figures in _configurations(board, "systolic", make, options, choices)
              if figures["fits"]]
    if not others:
        return []
    faster = min(others, key=lambda figures: figures["interval_cycles"])
    if faster["interval_cycles"] >= fastest["interval_cycles"]:
        return []
    return [(f"Fewer are faster: {_elements('systolic', faster)} take "
             f"{faster['interval_cycles']:,.0f} cycles from input to input, {rows} x {columns} "
             f"{fastest['interval_cycles']:,.0f}")]


def _batch_hint(board: Board, graph: QuantizedGraph, options: dict[str, Any],
                found: list[dict[str, Any]]) -> list[str]:
    """Say what a batch is worth to a network of dense layers, whose weights serve one sample."""
    fitting = [figures for figures in found if figures["fits"]]
    weighted = [operator for operator in graph.operators if isinstance(operator, WeightedOperator)]
    if not fitting or not weighted or not all(isinstance(operator, FullyConnected)
                                              for operator in weighted):
        return []
    fastest = min(fitting, key=lambda figures: figures["interval_cycles"])
    config = fastest["config"]
    batch = config["rows"]
    given = options | {name: config[name] for name in ("rows", "columns", "lanes")}
    if batch == 1:
        return []
    for exact in (False, True):
        try:
            engine = _for_graph(graph, batch)(given, exact)
        except InputError:
            return []
        if not estimate(engine.config, board.family).beyond(board.capacity):
            assert engine.speed is not None
            cycles = engine.speed().interval.cycles / batch
            if cycles < 0.9 * fastest["interval_cycles"]:
                return [(f"Its layers are dense, and one sample uses each weight once: with "
                         f"--batch {batch} a sample takes {cycles:,.0f} cycles of "
                         f"{fastest['interval_cycles']:,.0f}")]
            return []
    return []


def _hints(engine: str, found: list[dict[str, Any]]) -> list[str]:
    """Say what the table does not say aloud: which engine to take, and why it is not the largest.

    It is the fastest one, input and output included; of equally fast ones the smallest.
    """
    fitting = [figures for figures in found if figures["fits"]]
    if not fitting:
        smallest = found[0]
        return [f"None fits: {_elements(engine, smallest)} take {', '.join(smallest['beyond'])}"]
    said = [f"The largest that fits has {_elements(engine, fitting[-1])}"]
    if "interval_cycles" not in fitting[0]:
        return said
    fastest = min(fitting, key=lambda figures: figures["interval_cycles"])
    if fastest is not fitting[-1]:
        said.append(
            f"The fastest that fits has {_elements(engine, fastest)}: "
            f"{fastest['interval_cycles']:,.0f} cycles from input to input, the largest "
            f"{fitting[-1]['interval_cycles']:,.0f}")
    interval = fastest["interval"]
    share = interval["input"] / interval["cycles"]
    if interval["limit"] == "input":
        lanes = "--io-lanes" if engine == "sparse" else "--lanes"
        said.append(f"Its input takes {share:.0%} of this: more {lanes} take more of it in a cycle")
    if fastest["exact_depths"]:
        said.append("Its memories are exactly as deep as this network needs, since powers of two "
                    "would not fit; 'eieio synthesize' does the same")
    return said


def _elements(engine: str, figures: dict[str, Any]) -> str:
    config = figures["config"]
    count = f"{config['pes']}" if engine == "sparse" else f"{config['rows']} x {config['columns']}"
    return f"{count} processing element{'s' if count != '1' else ''}"


def _resources(resources: Resources) -> dict[str, int]:
    return {name: getattr(resources, name) for name in ("lut", "ff", "dsp", "bram")}


def _table(board: Board, engine: str, found: list[dict[str, Any]], timed: bool) -> Any:
    rows = []
    for figures in found:
        rows.append((
            *(f"{figures['config'][name]:,}" for name in _SHOWN[engine]),
            *(f"{figures[name] / getattr(board.capacity, name):.0%}"
              for name in ("lut", "ff", "dsp", "bram")),
            "yes" if figures["fits"] else "no",
            *(f"{figures[f'inferences_per_second{suffix}']:,.{digits}f}"
              if "interval_cycles" in figures else "" for suffix, digits in _RATES if timed)))
    return table((*_SHOWN[engine].values(), "LUTs", "flip-flops", "multipliers",
                  "block RAMs", "fits",
                  *(("1/s alone", "1/s with data", "1/s serial") if timed else ())), rows)
