"""``eieio fit``: which engines fit a board, without any synthesis."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from eieio.model.area import Resources, estimate
from eieio.model.errors import InputError
from eieio.model.formats.samples import Samples
from eieio.model.shared_network import SharedNetwork
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.boards.board import Board
from eieio.scripts import steps
from eieio.scripts.board_option import board_option
from eieio.scripts.console import check_writable, progress, show, table, write_json
from eieio.scripts.options import engine_options, json_option, read_config, sample_options
from eieio.scripts.speed import inference_cycles

__all__ = ["fit"]


@click.command(short_help="Say which engines fit a board.")
@click.argument("network_or_config", type=click.Path(path_type=Path), required=False)
@board_option
@sample_options
@engine_options
@json_option
def fit(network_or_config: Path | None, board: Board, samples: Path | None,
        input_scale: float | None, engine: str, options: dict[str, Any],
        json_file: Path | None) -> None:
    """Say which engines fit a board, in a moment, by the area model.

    For a network, memories have the depths that it needs, and the cycle model tells the speed at
    the board's clock. Without one, or for a .json file with options of the engine, they have the
    depths that are given or default. One to 256 processing elements are tried, or --pes.

    \b
    Examples:
      eieio fit lenet.npz --samples mnist_test.npz --board ulx3s-85f
      eieio fit --board tang-nano-9k --entry-depth 1024 --activation-width 8
    """  # noqa: D301
    check_writable(json_file)
    network = taken = None
    if network_or_config is not None and network_or_config.suffix.lower() == ".json":
        options = read_config(network_or_config) | options
    elif network_or_config is not None:
        loaded = steps.load(network_or_config)
        taken = steps.samples_or_random(samples, loaded, input_scale)
        network = steps.share(loaded, options).shared
    choices = [options["pes"]] if "pes" in options else [1 << power for power in range(9)]
    with progress("Fitting"):
        found = list(_configurations(board, network, taken, options, choices))
    write_json(json_file, {
        "board": board.name, "engine": engine, "network": network.name if network else None,
        "clock_mhz": board.clock_hz / 1e6, "capacity": _resources(board.capacity),
        "configurations": found})
    show(board.title, _table(board, found, network is not None))
    fitting = [figures for figures in found if figures["fits"]]
    if fitting:
        show(f"The largest that fits has {fitting[-1]['config']['pes']} processing elements")
    else:
        show(f"None fits: {found[0]['config']['pes']} processing elements take "
             f"{', '.join(found[0]['beyond'])}")


def _configurations(board: Board, network: SharedNetwork | None, samples: Samples | None,
                    options: dict[str, Any], choices: list[int]) -> Iterator[dict[str, Any]]:
    """Describe the engines, from the smallest on until one is more than twice too large.

    Those that cannot be are left out, as with column groups that do not divide the processing
    elements; if none can be, the last one's error is raised.
    """
    described = False
    for pes in choices:
        compiled = None
        try:
            if network is not None and samples is not None:
                compiled = steps.compile_shared(network, samples, options | {"pes": pes})
                config = compiled.config
            else:
                config = SparseConfig.from_dict(options | {"pes": pes})
        except InputError:
            if not described and pes == choices[-1]:
                raise
            continue
        described = True
        area = estimate(config, board.family)
        beyond = area.beyond(board.capacity)
        figures: dict[str, Any] = {
            "config": config.to_dict(), **_resources(area), "fits": not beyond, "beyond": beyond}
        if compiled is not None and samples is not None and not beyond:
            cycles = inference_cycles(compiled, samples)
            figures |= {"cycles_per_inference": cycles,
                        "inferences_per_second": board.clock_hz / cycles}
        yield figures
        if area.lut > 2 * board.capacity.lut or area.bram > 4 * board.capacity.bram:
            break


def _resources(resources: Resources) -> dict[str, int]:
    return {name: getattr(resources, name) for name in ("lut", "ff", "dsp", "bram")}


def _table(board: Board, found: list[dict[str, Any]], timed: bool) -> Any:
    rows = []
    for figures in found:
        config = figures["config"]
        speed = figures.get("inferences_per_second")
        rows.append((
            f"{config['pes']}", f"{config['entry_depth']:,}", f"{config['pointer_depth']:,}",
            *(f"{figures[name] / getattr(board.capacity, name):.0%}"
              for name in ("lut", "ff", "dsp", "bram")),
            "yes" if figures["fits"] else "no",
            *((f"{speed:,.0f}" if speed else "",) if timed else ())))
    return table(("PEs", "entries", "pointers", "LUTs", "flip-flops", "multipliers",
                  "block RAMs", "fits",
                  *((f"1/s at {board.clock_hz / 1e6:g} MHz",) if timed else ())), rows)
