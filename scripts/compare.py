"""``eieio compare``: one network on every machine that takes it, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from eieio.model.accesses import LEVELS, total
from eieio.model.area import AreaUnknownError, estimate, memory_bits
from eieio.model.energy import EnergyTable, energy_tables, read_table
from eieio.model.engine import TIMED_SAMPLES, Compiled, Engine, Prepared, Rows
from eieio.model.errors import InputError
from eieio.model.registry import engines, names
from eieio.scripts import steps
from eieio.scripts.benchmark_page import markdown_table, write_part
from eieio.scripts.comparison_plots import plot_comparison
from eieio.scripts.console import check_writable, note, progress, show, write_json
from eieio.scripts.engine import output_name_option, sized_choice
from eieio.scripts.figures import show_parts
from eieio.scripts.options import json_option, sample_options, simulator_options
from eieio.scripts.plots import require_matplotlib

__all__ = ["compare"]

#: Family whose area is estimated.
_FAMILY = "ecp5"


@click.command(short_help="Compare machines on one network.")
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--multipliers", type=click.IntRange(min=1, max=4096), default=64, show_default=True,
              help="Multipliers of each machine for its products.")
@click.option("--engines", "chosen", metavar="NAME[,NAME...]",
              help="Machines to compare. Default: all that take the network.")
@click.option("--simulate", "count", type=click.IntRange(min=0), default=1, show_default=True,
              help="Run this many of the samples on the RTL of each.")
@click.option("--energy", metavar="NAME|FILE.json", help="Table of energies: horowitz, one that "
              "the authors of an engine published, by its name, or a file. Default: all of them.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg",
              help="Draw cycles, accesses and energy; needs matplotlib.")
@click.option("--docs", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Write tables and plot into comparison.md in this folder, as a part of its own "
              "for each network.")
@sample_options
@output_name_option
@simulator_options
@json_option
@click.pass_context
def compare(ctx: click.Context, network: Path, multipliers: int, chosen: str | None, count: int,
            energy: str | None, plot: Path | None, docs: Path | None, samples: Path | None,
            input_scale: float | None, simulator: str, json_file: Path | None) -> None:
    """Compare machines on one network, with as many multipliers each.

    For each machine that takes NETWORK: cycles; how many of the multiplications that the network
    has, zeros included, a multiplier does in a cycle; what moves at each level of its memories, by
    the cycle model; energy by published tables; multipliers, lookup tables and memories on an ECP5,
    by the area model; and accuracy, for samples with labels. Memories are as deep as the network
    needs. The RTL runs --simulate samples, and must equal the golden model and the cycle model.

    \b
    Examples:
      eieio compare lenet.npz --samples mnist_test.npz --multipliers 64 --json comparison.json
      eieio compare kws.tflite --multipliers 64 --plot comparison.svg
    """  # noqa: D301
    check_writable(json_file)
    check_writable(plot)
    document = None if docs is None else docs / "comparison.md"
    check_writable(document)
    if plot is not None or docs is not None:
        require_matplotlib()
    tables = [*energy_tables().values()] if energy is None else [read_table(energy)]
    machines, refused = [], {}
    for engine in _asked(chosen):
        try:
            machines.append(_measure(engine, network, samples, input_scale, multipliers, count,
                                     simulator, tables))
        except InputError as error:
            if chosen is not None:
                raise
            refused[engine.name] = str(error)
            note(f"the {engine.name} engine is left out: {error}")
    if not machines:
        raise InputError(f"{network}: no machine takes it: " + "; ".join(refused.values()))
    figures = {"network": str(network), "multipliers": multipliers, "machines": machines,
               "refused": refused, "levels": dict(LEVELS),
               "energy_tables": [table.to_dict() for table in tables]}
    write_json(json_file, figures)
    if plot is not None:
        plot_comparison(plot, figures)
    shown = _tables(machines, tables)
    if docs is not None and document is not None:
        image = Path("images") / f"comparison_{network.stem}.svg"
        plot_comparison(docs / image, figures)
        _write(document, figures, shown, image)
    show_parts(*shown)
    show(*_lines(machines))
    for machine in machines:
        steps.mismatch(ctx, machine["mismatches"], machine["cycle_mismatches"])


def _write(document: Path, figures: dict[str, Any], tables: Sequence[Rows], image: Path) -> None:
    """Write a network's part of the page."""
    name = Path(figures["network"])
    lines = [f"- {line}." for line in _lines(figures["machines"])]
    lines += [f"- Left out: {reason.replace(str(name), name.name)}."
              for reason in figures["refused"].values()]
    text = "\n\n".join([
        f"![Cycles, bits moved and energy of {name.stem}]({image.as_posix()})",
        *(markdown_table(*part).rstrip() for part in tables), "\n".join(lines)])
    write_part(document, f"compare {name.name} --multipliers {figures['multipliers']}",
               f"{name.stem}, {figures['multipliers']} multipliers", text)


def _asked(chosen: str | None) -> list[Engine]:
    known = {engine.name: engine for engine in engines()}
    if chosen is None:
        return [engine for engine in known.values() if engine.suffixes]
    for name in chosen.split(","):
        if name not in known:
            raise InputError(f"Option --engines must name some of {', '.join(names())}, not "
                             f"{name!r}")
    return [known[name] for name in chosen.split(",")]


def _measure(engine: Engine, path: Path, samples: Path | None, scale: float | None,
             multipliers: int, count: int, simulator: str, tables: Sequence[EnergyTable]
             ) -> dict[str, Any]:
    """Compile a network for a machine, and measure it there."""
    choice = sized_choice(engine, path, multipliers)
    prepared = steps.prepare(choice, samples, scale, random=max(count, TIMED_SAMPLES))
    compiled = prepared.compile(choice.options, exact=True)
    x = prepared.samples.x
    if count > len(x):
        raise InputError(f"Option --simulate must be at most {len(x)}, the number of samples, not "
                         f"{count}")
    with progress(f"Counting what the {engine.name} engine moves"):
        layers = compiled.accesses(x[:TIMED_SAMPLES])
        cycles = compiled.cycles(x[:TIMED_SAMPLES])
    if not layers or cycles is None:
        raise InputError(f"the {engine.name} engine does not tell what it moves")
    comparison = None
    if count:
        built = steps.build_simulation(compiled, x[:count], simulator)
        comparison = steps.simulate(compiled, x[:count], built)
    whole = total(layers)
    return {
        "engine": engine.name, "title": engine.title, "config": compiled.config.to_dict(),
        "multipliers": multipliers, "cycles": cycles, "dense_macs": whole.dense_macs,
        "macs": whole.macs, "utilisation": whole.dense_macs / (multipliers * cycles),
        "bits": {level: whole.at(level) for level in LEVELS},
        "energy": {table.name: table.of(whole) for table in tables},
        "layers": [{"name": layer.name, "cycles": layer.cycles, "dense_macs": layer.dense_macs,
                    "macs": layer.macs, "bits": {level: layer.at(level) for level in LEVELS}}
                   for layer in layers],
        "area": _area(compiled), "image_bytes": compiled.host.words.nbytes,
        **_accuracies(prepared, compiled),
        "images": count,
        "compared_integers": 0 if comparison is None else comparison.compared_integers,
        "mismatches": 0 if comparison is None else comparison.mismatches,
        "cycle_mismatches": 0 if comparison is None else comparison.cycle_mismatches,
    }


def _area(compiled: Compiled) -> dict[str, int] | None:
    try:
        area = estimate(compiled.config, _FAMILY)
        return {"lut": area.lut, "ff": area.ff, "dsp": area.dsp, "bram": area.bram,
                "memory_bits": memory_bits(compiled.config)}
    except AreaUnknownError:
        return None


def _accuracies(prepared: Prepared, compiled: Compiled) -> dict[str, float | None]:
    figures = prepared.figures(compiled)
    return {name: figures.get(name) for name in ("accuracy_float", "accuracy_integer")}


def _tables(machines: Sequence[dict[str, Any]], tables: Sequence[EnergyTable]) -> list[Rows]:
    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.2%}"

    speed = Rows(("machine", "multipliers", "cycles", "dense MACs a multiplier and cycle",
                  "multiplications", "accuracy", "float accuracy"),
                 [(machine["engine"], f"{machine['multipliers']:,}", f"{machine['cycles']:,.1f}",
                   f"{machine['utilisation']:.2f}", f"{machine['macs']:,.0f}",
                   share(machine["accuracy_integer"]), share(machine["accuracy_float"]))
                  for machine in machines])
    moved = Rows(("bits moved an inference", *LEVELS),
                 [(machine["engine"], *(f"{machine['bits'][level]:,.0f}" for level in LEVELS))
                  for machine in machines])
    found = [speed, moved]
    for table in tables:
        energies = [machine["energy"][table.name] for machine in machines]
        found.append(Rows((f"energy in {table.unit} ({table.name})", *energies[0]), [
            (machine["engine"], *(f"{value:,.0f}" for value in energy.values()))
            for machine, energy in zip(machines, energies, strict=True)]))
    known = [machine for machine in machines if machine["area"] is not None]
    if known:
        found.append(Rows(("area on an ECP5, estimated", *known[0]["area"]), [
            (machine["engine"], *(f"{value:,}" for value in machine["area"].values()))
            for machine in known]))
    return found


def _lines(machines: Sequence[dict[str, Any]]) -> list[str]:
    def verdict(machine: dict[str, Any]) -> str:
        if not machine["images"]:
            return "not simulated"
        different = machine["mismatches"] + machine["cycle_mismatches"]
        return (f"{machine['compared_integers']:,} integers and all cycles equal the models"
                if not different else f"{machine['mismatches']} integers and "
                f"{machine['cycle_mismatches']} cycle counts differ")

    return [f"RTL of the {machine['engine']} engine: {verdict(machine)}" for machine in machines]
