"""``eieio fit``: which engines fit a board, without any synthesis."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click

from eieio.model.area import Resources, estimate
from eieio.model.engine import Engine, Prepared
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.rtl.boards.board import Board
from eieio.scripts import steps
from eieio.scripts.board_option import board_option
from eieio.scripts.console import check_writable, progress, show, table, write_json
from eieio.scripts.engine import (
    EngineCommand,
    choose_engine,
    engine_options,
    smallest_config,
)
from eieio.scripts.options import json_option, sample_options
from eieio.scripts.speed import Speed, model_speed

__all__ = ["fit"]

#: A rate: the end of its name, its title, and its digits.
_Rate = tuple[str, str, int]
#: Rates that are shown; of an engine without a shell the first.
_RATES: tuple[_Rate, ...] = (("", "1/s alone", 0), ("_with_data", "1/s with data", 0),
                             ("_serial", "1/s serial", 1))

#: Most rows of a table that shows every size.
_LONG_TABLE = 20

#: Sizes for which fewer lanes are tried.
_THRIFTY_SIZES = 6

#: Share of its cycles to which a batch must bring a sample.
_BATCH_GAIN = 0.9


@dataclass(frozen=True)
class _Made:
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


@dataclass(frozen=True)
class _Trial:
    """What engines are tried for.

    Attributes
    ----------
    engine : Engine
        The kind of engine.
    board : Board
        The board.
    options : dict
        Options that all have.
    prepared : Prepared or None
        The network, if there is one.
    """

    engine: Engine
    board: Board
    options: dict[str, Any]
    prepared: Prepared | None

    def make(self, options: dict[str, Any], exact: bool) -> _Made:
        """Make an engine, with memories of what a network needs as powers of two, or exactly."""
        if self.prepared is None:
            return _Made(self.engine.make_config(options))
        compiled = self.prepared.compile(options, board=True, exact=exact)
        x = self.prepared.samples.x

        def speed() -> Speed:
            found = model_speed(compiled, x)
            assert found is not None
            return found
        return _Made(compiled.config, speed)

    def smallest(self, options: dict[str, Any]) -> Resources:
        """Estimate an engine whose memories hold next to nothing, but for those that are given."""
        return estimate(smallest_config(self.engine, options), self.board.family)

    def beyond(self, resources: Resources) -> list[str]:
        """Say what is more than the board has."""
        return resources.beyond(self.board.capacity)


@click.command(cls=EngineCommand, short_help="Say which engines fit a board.")
@click.argument("network_or_config", type=click.Path(path_type=Path), required=False)
@board_option
@sample_options
@engine_options
@json_option
def fit(network_or_config: Path | None, board: Board, samples: Path | None,
        input_scale: float | None, engine: str | None, options: dict[str, Any],
        json_file: Path | None) -> None:
    """Say which engines fit a board, in a moment, by the area model.

    For a network, memories have the depths that it needs, as powers of two or, where these do not
    fit, exactly. The cycle model tells the speed at the board's clock: of the engine alone; with
    input and output, which go before and after an inference, as a DMA sees it; and over the serial
    port. Without one, or for a .json file with options of the engine, they have the depths that are
    given or default. Sizes that are not given are tried from the smallest on; for a network, each
    is shown the way in which it is fastest, and a long table leaves out those that are no faster
    than one with no more multipliers.

    \b
    Examples:
      eieio fit lenet.npz --samples mnist_test.npz --board ulx3s-85f
      eieio fit --board tang-nano-9k --entry-depth 1024 --activation-width 8
    """  # noqa: D301
    check_writable(json_file)
    if network_or_config is not None and network_or_config.is_dir():
        raise InputError(f"{network_or_config} must be a network or a file of options, not a "
                         "folder")
    choice = choose_engine(engine, options, network_or_config)
    chosen = choice.engine
    given = chosen.for_board(choice.given(), board.family)
    prepared = steps.prepare(replace(choice, options=given), samples, input_scale
                             ) if choice.has_network else None
    trial = _Trial(chosen, board, given, prepared)
    sizes = list(chosen.sizing.sizes(given, network=prepared is not None))
    with progress("Fitting"):
        found = [_fastest_variant(trial, figures) for figures in _configurations(trial, sizes)]
        hints = [*_hints(chosen, found), *(_network_hints(trial, found) if prepared else ())]
    name = prepared.name if prepared else None
    has_shell = chosen.number is not None
    if not has_shell:
        hints.append(f"The {chosen.name} engine has no shell, so no board takes it yet: this is of "
                     "the engine alone")
    write_json(json_file, {
        "board": board.name, "engine": chosen.name, "network": name,
        "clock_mhz": board.clock_hz / 1e6, "baud": board.baud,
        "capacity": _resources(board.capacity), "configurations": found, "hints": hints})
    rates = () if name is None else _RATES if has_shell else _RATES[:1]
    show(board.title, _table(board, chosen, found, rates))
    if name is not None and has_shell:
        show(f"Inferences a second at {board.clock_hz / 1e6:g} MHz: alone, without input and "
             "output; with data, those included, as a DMA sees them; serial, over the board's "
             f"port at {board.baud:,} baud\n")
    show(*hints)


def _configurations(trial: _Trial, sizes: Sequence[list[dict[str, Any]]]
                    ) -> Iterator[dict[str, Any]]:
    """Describe the engines, from the smallest on until one is more than twice too large.

    Of each size it is the first one that fits, or else the last; with memories of powers of two or,
    where only this fits, of exactly what the network needs. Sizes that cannot be are left out,
    as with column groups that do not divide the processing elements; if none can be, the last one's
    error is raised.
    """
    board = trial.board
    described = False
    for variants in sizes:
        best: tuple[_Made, Resources, bool] | None = None
        for variant in variants:
            given = trial.options | variant
            last = variant is variants[-1]
            try:
                # No network is compiled for what is too large with any memories.
                if trial.beyond(trial.smallest(given)) and not last:
                    continue
                for tried, exact in trial.engine.attempts(given):
                    made = trial.make(tried, exact)
                    best = made, estimate(made.config, board.family), exact
                    if made.speed is None or not trial.beyond(best[1]):
                        break
            except InputError:
                if not described and variants is sizes[-1] and last:
                    raise
                continue
            if best is not None and not trial.beyond(best[1]):
                break
        if best is None:
            continue
        described = True
        made, area, exact = best
        beyond = trial.beyond(area)
        figures: dict[str, Any] = {"config": made.config.to_dict(), **_resources(area),
                                   "fits": not beyond, "beyond": beyond, "exact_depths": exact}
        if made.speed is not None and not beyond:
            rates = made.speed().figures(board.clock_hz, board.baud)
            if trial.engine.number is None:
                for suffix, *_ in _RATES[1:]:
                    del rates[f"inferences_per_second{suffix}"]
            figures |= rates
        yield figures
        if (area.lut > 2 * board.capacity.lut or area.bram > 4 * board.capacity.bram
                or area.dsp > 2 * board.capacity.dsp > 0):
            break


def _fastest_variant(trial: _Trial, figures: dict[str, Any]) -> dict[str, Any]:
    """Return the fastest engine of a size: one, or another way to compute a network with it."""
    if not figures["fits"] or trial.prepared is None:
        return figures
    config = trial.engine.make_config(figures["config"])
    found = [figures]
    for other in trial.engine.sizing.variants(config, trial.options):
        # Some cannot be, or nobody knows whether they fit.
        with suppress(InputError):
            found += _configurations(trial, [other])
    fastest = _fastest(found)
    assert fastest is not None
    return fastest


def _fastest(found: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the fastest engine that fits, input and output included; of equal ones the first."""
    return min((figures for figures in found if figures["fits"]),
               key=lambda figures: figures["interval_cycles"], default=None)


def _network_hints(trial: _Trial, found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say which engine to take, and what would be faster: fewer elements, or a batch."""
    fastest = _fastest(found)
    if fastest is None or trial.prepared is None:
        return
    config, sizing = trial.engine.make_config(fastest["config"]), trial.engine.sizing
    thriftiest = _thriftiest(trial, found)
    yield f"The fastest that fits, by its options: {_flags(trial.engine, fastest)}"
    if _multiplier_cycles(thriftiest) < _multiplier_cycles(fastest):
        share = _multiplier_cycles(fastest) / _multiplier_cycles(thriftiest)
        yield (f"The most inferences for each multiplier, {share:.2f} times as many: "
               f"{_flags(trial.engine, thriftiest)}")
    faster = _fastest([*_configurations(trial, [*sizing.fewer(config, trial.options)])])
    if faster is not None and faster["interval_cycles"] < fastest["interval_cycles"]:
        yield (f"Fewer are faster: {_elements(trial.engine, faster)} take "
               f"{faster['interval_cycles']:,.0f} cycles from input to input, "
               f"{sizing.elements(fastest['config'])} {fastest['interval_cycles']:,.0f}")
    batched = trial.prepared.rebatched(config)
    if batched is None:
        return
    given = trial.options | {name: fastest["config"][name]
                             for name in _chosen(trial.engine, fastest)}
    for exact in (False, True):
        try:
            made = replace(trial, prepared=batched).make(given, exact)
        except InputError:
            return
        if not trial.beyond(estimate(made.config, trial.board.family)):
            assert made.speed is not None
            batch = batched.batch
            cycles = made.speed().interval.cycles / batch
            if cycles < _BATCH_GAIN * fastest["interval_cycles"]:
                yield (f"Its layers are dense, and one sample uses each weight once: with --batch "
                       f"{batch} a sample takes {cycles:,.0f} cycles of "
                       f"{fastest['interval_cycles']:,.0f}")
            return


def _hints(engine: Engine, found: list[dict[str, Any]]) -> list[str]:
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
    fastest = _fastest(fitting)
    assert fastest is not None
    if fastest is not fitting[-1]:
        said.append(
            f"The fastest that fits has {_elements(engine, fastest)}: "
            f"{fastest['interval_cycles']:,.0f} cycles from input to input, the largest "
            f"{fitting[-1]['interval_cycles']:,.0f}")
    interval = fastest["interval"]
    share = interval["input"] / interval["cycles"]
    if interval["limit"] == "input" and engine.sizing.lanes:
        said.append(f"Its input takes {share:.0%} of this: more "
                    f"--{engine.sizing.lanes.replace('_', '-')} take more of it in a cycle")
    if fastest["exact_depths"]:
        said.append("Its memories are exactly as deep as this network needs, since powers of two "
                    "would not fit; 'eieio synthesize' does the same")
    return said


def _thriftiest(trial: _Trial, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the engine with the most inferences for each multiplier.

    Lanes have multipliers of their own: fewer of them are tried for the best sizes.
    """
    best = sorted((figures for figures in found if figures["fits"]), key=_multiplier_cycles)
    best = best[:_THRIFTY_SIZES]
    lanes = trial.engine.sizing.lanes
    if lanes is not None and lanes not in trial.options:
        for figures in [*best]:
            same = {name: figures["config"][name] for name in _chosen(trial.engine, figures)}
            for count in range(1, figures["config"][lanes]):
                with suppress(InputError):
                    best += [fewer for fewer in _configurations(trial, [[same | {lanes: count}]])
                             if fewer["fits"]]
    return min(best, key=_multiplier_cycles)


def _multiplier_cycles(figures: dict[str, Any]) -> float:
    """Return cycles from input to input, times the multipliers."""
    return figures["interval_cycles"] * max(figures["dsp"], 1)


def _chosen(engine: Engine, figures: dict[str, Any]) -> list[str]:
    """List the options that were chosen: of the size, and how the network is computed."""
    default = {field.name: field.default for field in fields(engine.config)}
    config = figures["config"]
    return [*engine.sizing.shown, *(name for name in engine.sizing.ways
                                    if config.get(name, default[name]) != default[name])]


def _flags(engine: Engine, figures: dict[str, Any]) -> str:
    """Write an engine as options of a command."""
    return " ".join(f"--{name.replace('_', '-')} {figures['config'][name]}"
                    for name in _chosen(engine, figures))


def _elements(engine: Engine, figures: dict[str, Any]) -> str:
    count = engine.sizing.elements(figures["config"])
    return f"{count} processing element{'s' if count != '1' else ''}"


def _resources(resources: Resources) -> dict[str, int]:
    return {name: getattr(resources, name) for name in ("lut", "ff", "dsp", "bram")}


def _shown(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out of a long table what is no faster than an engine of no more multipliers."""
    if len(found) <= _LONG_TABLE:
        return found
    return [figures for number, figures in enumerate(found)
            if (not figures["fits"] and (number == 0 or found[number - 1]["fits"]))
            or (figures["fits"] and not any(
                other["fits"] and other["dsp"] <= figures["dsp"]
                and other["interval_cycles"] <= figures["interval_cycles"]
                and other is not figures for other in found))]


def _ways(engine: Engine, figures: dict[str, Any]) -> str:
    """Say how an engine computes a network, if not as it would by default."""
    chosen = [name for name in _chosen(engine, figures) if name not in engine.sizing.shown]
    return ", ".join(f"{name.replace('_', ' ')} {figures['config'][name]}" for name in chosen)


def _table(board: Board, engine: Engine, found: list[dict[str, Any]],
           rates: Sequence[_Rate]) -> Any:
    rows = []
    shown = engine.sizing.shown
    listed = _shown(found) if rates else found
    ways = any(_ways(engine, figures) for figures in listed)
    for figures in listed:
        rows.append((
            *(f"{figures['config'][name]:,}" for name in shown),
            *([_ways(engine, figures)] if ways else ()),
            *(f"{figures[name] / getattr(board.capacity, name):.0%}"
              for name in ("lut", "ff", "dsp", "bram")),
            "yes" if figures["fits"] else "no",
            *(f"{figures[f'inferences_per_second{suffix}']:,.{digits}f}"
              if "interval_cycles" in figures else "" for suffix, _, digits in rates)))
    return table((*shown.values(), *(["by"] if ways else ()), "LUTs", "flip-flops", "multipliers",
                  "block RAMs", "fits", *(title for _, title, _ in rates)), rows)
