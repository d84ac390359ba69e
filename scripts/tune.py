"""``eieio tune``: the engines that suit a network and a board best, by several objectives."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eieio.model.energy import read_table
from eieio.model.engine import Engine, Rows
from eieio.model.errors import InputError
from eieio.model.formats.described import parse_json
from eieio.model.formats.input_file import read_bytes
from eieio.model.registry import engines, names
from eieio.model.search.objective import Objective
from eieio.model.search.space import Point, Space
from eieio.rtl.boards.board import Board
from eieio.scripts.board_option import board_option
from eieio.scripts.console import check_writable, note, progress, show, write_json
from eieio.scripts.engine import chosen_output, output_name_option
from eieio.scripts.figures import show_parts
from eieio.scripts.options import json_option, sample_options
from eieio.scripts.plots import require_matplotlib
from eieio.scripts.synthesis import make_bitstream, nearest_clock
from eieio.scripts.tuning.objectives import (
    ACCURACY,
    ENERGY,
    OBJECTIVES,
    chosen_objectives,
)
from eieio.scripts.tuning.plot import plot_front
from eieio.scripts.tuning.space import axes_of, make_space, parse_tries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eieio.model.search.search import Evaluated
    from eieio.scripts.tuning.evaluation import Evaluator

__all__ = ["tune"]

_SAMPLERS = ("tpe", "nsga2", "random")
#: Most rows of the front that are shown.
_SHOWN = 30
#: Fewest points that are evaluated unless a user says how many.
_FEWEST = 100
#: Points of a generation.
_POPULATION = 30


@click.command(short_help="Search for the engines that suit a network and a board best.")
@click.argument("network", type=click.Path(path_type=Path))
@board_option
@click.option("--objectives", "asked", metavar="NAME,NAME[,NAME...]", default="latency,luts,energy",
              show_default=True, help=f"What is to be best: of {', '.join(OBJECTIVES)}.")
@click.option("--engines", "chosen", metavar="NAME[,NAME...]",
              help="Engines to try. Default: all that take the network.")
@click.option("--try", "tries", metavar="[ENGINE.]OPTION=VALUE[,VALUE...]", multiple=True,
              help="Values of an option to try, in place of the engine's own; of one alone, the "
              "option is fixed.")
@click.option("--trials", type=click.IntRange(min=1), metavar="COUNT", help="Points to evaluate, "
              f"those of a journal included. Default: a tenth of the space, at least {_FEWEST}.")
@click.option("--exhaustive", is_flag=True, help="Evaluate all points: the front is exact.")
@click.option("--sampler", type=click.Choice(_SAMPLERS), default=_SAMPLERS[0], show_default=True,
              help="Chooses the next point: a tree-structured Parzen estimator, an evolutionary "
              "search, or chance.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the sampler.")
@click.option("--journal", type=click.Path(path_type=Path), metavar="FILE", help="Keep all trials "
              "in this file: the same command goes on there, and several processes, or machines "
              "that share the file, work together.")
@click.option("--energy", default="horowitz", show_default=True, metavar="NAME|FILE.json",
              help="Table of energies: as for 'eieio compare'.")
@click.option("--against", type=click.Path(path_type=Path), metavar="FILE.json", help="What --json "
              "wrote before, perhaps with --exhaustive: say which share of its hypervolume this "
              "front has.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg",
              help="Draw what was found; needs matplotlib.")
@click.option("--synthesize", "made", type=click.IntRange(min=0), default=0, show_default=True,
              metavar="COUNT", help="Build bitstreams of so many points of the front, spread over "
              "it.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Folder of these designs.  [default: build/tune]")
@sample_options
@output_name_option
@json_option
def tune(network: Path, board: Board, asked: str, chosen: str | None, tries: Sequence[str],
         trials: int | None, exhaustive: bool, sampler: str, seed: int, journal: Path | None,
         energy: str, against: Path | None, plot: Path | None, made: int, out: Path | None,
         samples: Path | None, input_scale: float | None, json_file: Path | None) -> None:
    """Search for the engines that suit a network and a board best.

    Each engine that takes NETWORK says which of its options matter, and their values. A point is
    compiled as 'eieio synthesize' would, timed by the cycle model on the first samples at the
    board's clock, and sized by the area model; what the board has no room for is left. Nothing is
    synthesized but what --synthesize asks for. What is shown is the Pareto front: engines to which
    no other one that was evaluated is better in one objective and as good in the others.

    Options that may change the network's integers are varied if accuracy is an objective.

    \b
    Examples:
      eieio tune lenet.onnx --samples mnist_test.npz --board ulx3s-85f --plot front.svg
      eieio tune lenet.onnx --samples mnist_test.npz --board ulx3s-85f --journal lenet.journal
      eieio tune kws.tflite --board ulx3s-85f --objectives latency,memory --try winograd=0,2
    """  # noqa: D301
    for file in (json_file, plot, journal):
        check_writable(file)
    _require_extra()
    if plot is not None:
        require_matplotlib()
    if trials is not None and exhaustive:
        raise click.UsageError("Option --trials goes without --exhaustive, which takes all points")
    if out is not None and not made:
        raise click.UsageError("Option --out goes with --synthesize")
    objectives = chosen_objectives(asked)
    table = read_table(energy)
    objectives = [replace(each, title=f"energy, {table.unit}") if each.name == ENERGY else each
                  for each in objectives]
    earlier = None if against is None else _read_earlier(against, objectives)
    own, networks = _read_networks(network, chosen)

    from eieio.model.search.sampler import EXHAUSTIVE, SpaceSampler
    from eieio.model.search.search import Search
    from eieio.scripts.tuning.evaluation import Evaluator

    evaluator = Evaluator(board, networks, {engine.name: engine for engine in own}, samples,
                          input_scale, objectives, table)
    own, unable = _prepared(own, evaluator, named=chosen is not None)
    lossy = ACCURACY in [objective.name for objective in objectives]
    given = parse_tries(tries, own)
    axes = {engine.name: axes_of(engine, given[engine.name], lossy=lossy) for engine in own}
    with progress("Looking through the space"):
        space, refused = make_space(axes, own, board)
    for name, reason in refused.items():
        note(f"the {name} engine is left out: {reason}")
    if lossy and evaluator.prepared(space[0]).samples.labels is None:
        raise InputError("Objective accuracy needs --samples with labels")
    kind = EXHAUSTIVE if exhaustive else sampler
    about = {
        "network": _fingerprint(network), "samples": samples and _fingerprint(samples),
        "board": board.name, "objectives": [objective.name for objective in objectives],
        "space": space.to_dict(), "energy": table.to_dict(), "scale": input_scale,
        "output": chosen_output(), "sampler": kind, "seed": seed}
    limit = len(space) if exhaustive else min(
        trials or max(_FEWEST, len(space) // 10), len(space))
    search = Search(space, objectives, SpaceSampler(space, kind, seed, _POPULATION), about, journal)
    with _counting(limit) as told:
        search.run(evaluator, limit, told)
    evaluated = search.evaluated()
    figures = _figures(evaluated, objectives) | {
        "board": board.name, "network": network.stem, "clock_mhz": board.clock_hz / 1e6,
        "energy_table": table.to_dict(), "space": space.to_dict(), "sampler": kind, "seed": seed,
        "lost": search.lost, "refused_engines": unable | refused}
    if earlier is not None:
        figures["against"] = _against(figures, earlier, objectives)
    write_json(json_file, figures)
    if plot is not None:
        plot_front(plot, figures)
    _show(figures, objectives, space)
    if made:
        _synthesize(figures, evaluated, evaluator, made, out or Path("build") / "tune")
        write_json(json_file, figures)


def _require_extra() -> None:
    """Refuse, before a long run, to search without what searches."""
    missing = [package for package in ("optuna", "moocore") if find_spec(package) is None]
    if missing:
        raise InputError(f"'eieio tune' needs the Python package{'s' * (len(missing) > 1)} "
                         f"{' and '.join(missing)}: pip install {' '.join(missing)}")


def _read_networks(path: Path, chosen: str | None) -> tuple[list[Engine], dict[str, Any]]:
    """Read the network for each engine that is to be tried and takes it."""
    known = {engine.name: engine for engine in engines()}
    wanted = [*known] if chosen is None else chosen.split(",")
    for name in wanted:
        if name not in known:
            raise InputError(f"Option --engines must name some of {', '.join(names())}, not "
                             f"{name!r}")
    networks, refused = {}, {}
    for name in wanted:
        if not known[name].suffixes:
            continue
        try:
            with progress(f"Loading {path.name} for the {name} engine"):
                networks[name] = known[name].read(path, chosen_output())
        except InputError as error:
            if chosen is not None:
                raise
            refused[name] = str(error)
            note(f"the {name} engine is left out: {error}")
    if not networks:
        raise InputError(f"{path}: no engine takes it: " + "; ".join(refused.values()))
    return [known[name] for name in networks], networks


def _prepared(own: Sequence[Engine], evaluator: "Evaluator", *, named: bool
              ) -> tuple[list[Engine], dict[str, str]]:
    """Prepare the network for each engine; leave those out that cannot, unless a user named them.

    Returns
    -------
    tuple of list and dict
        Engines that can, and why the others cannot, by name.
    """
    able, refused = [], {}
    for engine in own:
        try:
            with progress(f"Preparing the network for the {engine.name} engine"):
                evaluator.prepared(Point(engine.name, {}))
        except InputError as error:
            if named or len(own) == 1:
                raise
            refused[engine.name] = str(error)
            note(f"the {engine.name} engine is left out: {error}")
        else:
            able.append(engine)
    if not able:
        raise InputError("no engine takes the network: " + "; ".join(refused.values()))
    return able, refused


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()


@contextmanager
def _counting(limit: int) -> "Iterator[Any]":
    """Show how many points are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress("Evaluating", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                  console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("", total=limit)
        yield lambda done: shown.update(task, completed=done)


def _figures(evaluated: "Sequence[Evaluated]", objectives: Sequence[Objective]) -> dict[str, Any]:
    """Return all figures of what was evaluated, and its front."""
    from eieio.scripts.tuning.pareto import front_of, hypervolume, scale_of

    trials = [_trial(each, objectives) for each in evaluated]
    fitting = [trial for trial in trials if trial["fits"]]
    values = [[*trial["values"].values()] for trial in fitting]
    front = [fitting[number] for number in front_of(values, objectives)]
    found = [[*trial["values"].values()] for trial in front]
    figures: dict[str, Any] = {
        "objectives": [{"name": objective.name, "title": objective.title,
                        "direction": objective.direction} for objective in objectives],
        "evaluations": len(trials), "feasible": len(fitting),
        "too_large": sum(trial["values"] is not None and not trial["fits"] for trial in trials),
        "refused": sum(trial["values"] is None for trial in trials),
        "front": front, "trials": trials, "hypervolume": None, "scale": None}
    if front:
        scale = scale_of(found, objectives)
        figures |= {"hypervolume": hypervolume(found, objectives, scale), "scale": scale.to_dict()}
    return figures


def _trial(each: "Evaluated", objectives: Sequence[Objective]) -> dict[str, Any]:
    outcome = each.outcome
    return {
        "number": each.number, "engine": each.point.engine, "options": {**each.point.options},
        "values": None if outcome.values is None else {
            objective.name: value
            for objective, value in zip(objectives, outcome.values, strict=True)},
        "fits": outcome.feasible, "beyond": [*outcome.beyond], "refused": outcome.refused,
        **outcome.figures}


def _read_earlier(path: Path, objectives: Sequence[Objective]) -> dict[str, Any]:
    """Read the figures of an earlier search, by the same objectives."""
    found: dict[str, Any] = {}
    try:
        found = parse_json(read_bytes(path))
        same = [each["name"] for each in found["objectives"]] == [
            objective.name for objective in objectives]
        usable = same and bool(found["front"]) and all(
            isinstance(value, int | float) for trial in found["front"]
            for value in trial["values"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        usable = False
    if not usable:
        raise InputError(f"{path} must be what 'eieio tune --json' wrote, with a front of the "
                         f"objectives {', '.join(objective.name for objective in objectives)}")
    return found


def _against(figures: Mapping[str, Any], earlier: Mapping[str, Any],
             objectives: Sequence[Objective]) -> dict[str, float]:
    """Compare hypervolumes, normalised by the earlier front."""
    from eieio.scripts.tuning.pareto import hypervolume, scale_of

    def values(found: Mapping[str, Any]) -> list[list[float]]:
        return [[trial["values"][objective.name] for objective in objectives]
                for trial in found["front"]]

    scale = scale_of(values(earlier), objectives)
    own, its = (hypervolume(values(found), objectives, scale) for found in (figures, earlier))
    return {"hypervolume": own, "earlier": its, "share": own / its}


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """Take so many items at equal distances, the first and the last among them."""
    if len(items) <= count:
        return [*items]
    return [items[round(place * (len(items) - 1) / max(1, count - 1))] for place in range(count)]


def _label(trial: Mapping[str, Any], space: Space) -> str:
    """Name a point: its number, its engine, and what is not the same for all of the engine."""
    varied = {axis.option for axis in space.axes[trial["engine"]] if len(axis.values) > 1}
    return " ".join([f"{trial['number']}: {trial['engine']}", *(
        f"{name}={value}" for name, value in trial["options"].items() if name in varied)])


def _show(figures: Mapping[str, Any], objectives: Sequence[Objective], space: Space) -> None:
    """Show the front."""
    front = figures["front"]
    shown = _spread(front, _SHOWN)
    if front:
        show_parts(Rows(("point", *(each.title for each in objectives)), [
            (_label(trial, space), *(each.text(trial["values"][each.name]) for each in objectives))
            for trial in shown]))
    if len(shown) < len(front):
        show(f"{len(shown)} of {len(front)} Pareto-optimal points are shown; --json has all")
    exact = figures["evaluations"] == len(space)
    reasons = Counter(trial["refused"] for trial in figures["trials"] if trial["refused"])
    show(f"{figures['evaluations']:,} of {len(space):,} points evaluated"
         f"{' (all: the front is exact)' if exact else ''}: {figures['feasible']:,} fit, "
         f"{figures['too_large']:,} are too large, {figures['refused']:,} cannot be compiled",
         *([f"Most often because: {reasons.most_common(1)[0][0]}"] if reasons else []),
         *([f"{figures['lost']:,} trials were lost with their processes, and tried again"]
           if figures["lost"] else []))
    if not front:
        show("None fits the board")
        return
    show(f"Hypervolume of the front: {figures['hypervolume']:.4f}; each objective goes from 0, its "
         "best in the front, to 1, its worst, and the reference point is 1.1 of each")
    if "against" in figures:
        show(f"That of the earlier front, in whose scale it is: {figures['against']['share']:.2%}")


def _synthesize(figures: dict[str, Any], evaluated: "Sequence[Evaluated]", evaluator: "Evaluator",
                count: int, folder: Path) -> None:
    """Build bitstreams of some of the front, and show them beside the models."""
    points = {each.number: each.point for each in evaluated}
    board = evaluator.board
    rows, found = [], []
    for trial in _spread(figures["front"], count):
        point = points[trial["number"]]
        compiled = evaluator.compile(point)
        made = make_bitstream(compiled.config, board, folder / str(trial["number"]),
                              setting=nearest_clock(board, None), compiled=compiled,
                              inputs=evaluator.prepared(point).samples.x, name=compiled.name)
        found.append({"number": trial["number"], **made.figures})
        report = made.report
        rows.append((f"{trial['number']}: {point.engine}", *(
            f"{getattr(report, name):,} ({trial[name]:,})"
            for name in ("lut", "ff", "dsp", "bram")),
            f"{report.fmax_mhz:.1f}", "yes" if made.bitstream else "no"))
    figures["synthesized"] = found
    show_parts(Rows(("point", *(f"{name} (model)" for name in (
        "LUTs", "flip-flops", "multipliers", "block RAMs")), "MHz", "clock is met"), rows))
