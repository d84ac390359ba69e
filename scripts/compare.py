"""``eieio compare``: one network on every machine that takes it, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from eieio.model.accesses import LEVELS, total
from eieio.model.area import AreaUnknownError, Resources, estimate
from eieio.model.energy import EnergyTable, energy_tables, read_table
from eieio.model.engine import TIMED_SAMPLES, Compiled, Engine, Prepared, Rows
from eieio.model.errors import InputError
from eieio.model.registry import engines, names
from eieio.rtl.boards.build import require_yosys
from eieio.scripts import steps
from eieio.scripts.benchmark_page import markdown_table, write_part
from eieio.scripts.comparison_area import machine_memory, synthesized
from eieio.scripts.comparison_page import comparison_page
from eieio.scripts.comparison_plots import plot_comparison
from eieio.scripts.console import check_writable, note, progress, show, write_json
from eieio.scripts.engine import output_name_option, sized_choice
from eieio.scripts.figures import show_parts
from eieio.scripts.options import json_option, sample_options, simulator_options
from eieio.scripts.plots import require_matplotlib
from eieio.scripts.results import ResultFiles, report_option

__all__ = ["compare"]

#: Family whose area is estimated.
_FAMILY = "ecp5"

_RESOURCES = ("lut", "ff", "dsp", "bram")


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
@click.option("--memory", "kib", type=click.FloatRange(min=0, min_open=True), metavar="KIB",
              help="Equal memory of each machine; what needs more is marked. Default: as much as "
              "the one with the most.")
@click.option("--synthesize", "mapped", is_flag=True, help="Also synthesize each machine for an "
              "ECP5 by Yosys, which takes minutes; nothing is placed or routed.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg",
              help="Draw cycles, accesses and energy; needs matplotlib.")
@click.option("--docs", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Write tables and plot into comparison.md in this folder, as a part of its own "
              "for each network.")
@sample_options
@output_name_option
@simulator_options
@json_option
@report_option
@click.pass_context
def compare(ctx: click.Context, network: Path, multipliers: int, chosen: str | None, count: int,
            energy: str | None, kib: float | None, mapped: bool, plot: Path | None,
            docs: Path | None, samples: Path | None, input_scale: float | None, simulator: str,
            json_file: Path | None, result_files: ResultFiles) -> None:
    """Compare machines on one network, with as many multipliers and as much memory each.

    For each machine that takes NETWORK: cycles; how many of the multiplications that the network
    has, zeros included, a multiplier does in a cycle; what moves at each level of its memories, by
    the cycle model; energy by published tables; multipliers, lookup tables and memories on an ECP5,
    by the area model; and accuracy, for samples with labels. Of the equal memory each uses what the
    network needs there. The RTL runs --simulate samples, and must equal the golden model and the
    cycle model.

    \b
    Examples:
      eieio compare lenet.npz --samples mnist_test.npz --multipliers 64 --json comparison.json
      eieio compare kws.tflite --multipliers 64 --plot comparison.svg --report comparison.html
    """  # noqa: D301
    check_writable(json_file)
    check_writable(plot)
    document = None if docs is None else docs / "comparison.md"
    check_writable(document)
    if plot is not None or docs is not None:
        require_matplotlib()
    if mapped:
        require_yosys()
    tables = [*energy_tables().values()] if energy is None else [read_table(energy)]
    machines, refused = [], {}
    for engine in _asked(chosen):
        try:
            machines.append(_measure(engine, network, samples, input_scale, multipliers, count,
                                     simulator, tables, mapped=mapped,
                                     emitted=bool(count or mapped or kib)))
        except InputError as error:
            if chosen is not None:
                raise
            refused[engine.name] = str(error)
            note(f"the {engine.name} engine is left out: {error}")
    if not machines:
        raise InputError(f"{network}: no machine takes it: " + "; ".join(refused.values()))
    labelled = any(machine["accuracy_integer"] is not None for machine in machines)
    figures = {"network": str(network), "multipliers": multipliers,
               "memory_bits": _equal_memory(machines, kib), "machines": machines,
               "refused": refused, "levels": dict(LEVELS), "labels": labelled,
               "energy_tables": [table.to_dict() for table in tables]}
    write_json(json_file, figures)
    if plot is not None:
        plot_comparison(plot, figures)
    shown = _tables(figures, tables)
    lines = _lines(figures)
    if docs is not None and document is not None:
        image = Path("images") / f"comparison_{network.stem}.svg"
        plot_comparison(docs / image, figures)
        _write(document, figures, [*shown.values()], image)
    result_files.write(comparison_page(figures, shown, lines),
                       f"{network.stem}, {multipliers} multipliers")
    show_parts(*shown.values())
    show(*lines)
    result_files.show()
    for machine in machines:
        steps.mismatch(ctx, machine["mismatches"], machine["cycle_mismatches"])


def _write(document: Path, figures: dict[str, Any], tables: Sequence[Rows], image: Path) -> None:
    """Write a network's part of the page."""
    name = Path(figures["network"])
    lines = [f"- {line}." for line in _lines(figures)]
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
             multipliers: int, count: int, simulator: str, tables: Sequence[EnergyTable], *,
             mapped: bool, emitted: bool) -> dict[str, Any]:
    """Compile a network for a machine, and measure it there.

    ``mapped`` and ``emitted`` say whether the machine is synthesized, and whether its RTL may be
    emitted to count its memory.
    """
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
        "memory_bits": machine_memory(compiled.config, emitted=emitted),
        "area": _area(compiled), "synthesized": _synthesized(compiled) if mapped else None,
        "image_bytes": compiled.host.words.nbytes,
        **_accuracies(prepared, compiled),
        "images": count,
        "compared_integers": 0 if comparison is None else comparison.compared_integers,
        "mismatches": 0 if comparison is None else comparison.mismatches,
        "cycle_mismatches": 0 if comparison is None else comparison.cycle_mismatches,
    }


def _area(compiled: Compiled) -> dict[str, int] | None:
    try:
        return _resources(estimate(compiled.config, _FAMILY))
    except AreaUnknownError:
        return None


def _synthesized(compiled: Compiled) -> dict[str, int]:
    with progress("Synthesizing"):
        return _resources(synthesized(compiled.config))


def _resources(area: Resources) -> dict[str, int]:
    return {name: getattr(area, name) for name in _RESOURCES}


def _equal_memory(machines: Sequence[dict[str, Any]], kib: float | None) -> int | None:
    """Return the bits of memory that each machine has: those given, or the most that one needs."""
    if kib is not None:
        return round(8 * 1024 * kib)
    return max((machine["memory_bits"] for machine in machines
                if machine["memory_bits"] is not None), default=None)


def _accuracies(prepared: Prepared, compiled: Compiled) -> dict[str, float | None]:
    figures = prepared.figures(compiled)
    return {name: figures.get(name) for name in ("accuracy_float", "accuracy_integer")}


def _tables(figures: dict[str, Any], tables: Sequence[EnergyTable]) -> dict[str, Rows]:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.2%}"

    machines = figures["machines"]
    found = {
        "speed": Rows(
            ("machine", "multipliers", "cycles", "dense MACs a multiplier and cycle",
             "multiplications", "accuracy", "float accuracy"),
            [(machine["engine"], f"{machine['multipliers']:,}", f"{machine['cycles']:,.1f}",
              f"{machine['utilisation']:.2f}", f"{machine['macs']:,.0f}",
              share(machine["accuracy_integer"]), share(machine["accuracy_float"]))
             for machine in machines]),
        "bits": Rows(("bits moved an inference", *LEVELS),
                     [(machine["engine"], *(f"{machine['bits'][level]:,.0f}" for level in LEVELS))
                      for machine in machines]),
    }
    for table in tables:
        energies = [machine["energy"][table.name] for machine in machines]
        found[table.name] = Rows((f"energy in {table.unit} ({table.name})", *energies[0]), [
            (machine["engine"], *(f"{value:,.0f}" for value in energy.values()))
            for machine, energy in zip(machines, energies, strict=True)])
    found["memory"] = _memory_table(machines, figures["memory_bits"])
    found["area"] = _area_table(machines)
    return found


def _memory_table(machines: Sequence[dict[str, Any]], equal: int | None) -> Rows:
    def told(bits: int | None) -> tuple[str, str, str]:
        if bits is None or equal is None:
            return "-", "-", "-"
        return f"{bits:,}", f"{bits / equal:.0%}", "yes" if bits <= equal else "no: needs more"

    heading = "memory" if equal is None else f"memory, of {equal:,} bits each"
    return Rows((heading, "bits", "share", "has room"),
                [(machine["engine"], *told(machine["memory_bits"])) for machine in machines])


def _area_table(machines: Sequence[dict[str, Any]]) -> Rows:
    """Put estimated areas beside synthesized ones, as far as there are any."""
    mapped = any(machine["synthesized"] for machine in machines)

    def told(area: dict[str, int] | None) -> list[str]:
        return [f"{area[name]:,}" if area else "-" for name in _RESOURCES]

    synthesized_headings = [f"{name}, Yosys" for name in _RESOURCES] if mapped else []
    return Rows(
        ("area on an ECP5, estimated", *_RESOURCES, *synthesized_headings),
        [(machine["engine"], *told(machine["area"]),
          *(told(machine["synthesized"]) if mapped else ())) for machine in machines])


def _lines(figures: dict[str, Any]) -> list[str]:
    def verdict(machine: dict[str, Any]) -> str:
        if not machine["images"]:
            return "not simulated"
        different = machine["mismatches"] + machine["cycle_mismatches"]
        return (f"{machine['compared_integers']:,} integers and all cycles equal the models"
                if not different else f"{machine['mismatches']} integers and "
                f"{machine['cycle_mismatches']} cycle counts differ")

    machines, equal = figures["machines"], figures["memory_bits"]
    lines = [f"RTL of the {machine['engine']} engine: {verdict(machine)}" for machine in machines]
    lines += [f"The {machine['engine']} engine needs more than the equal memory: "
              f"{machine['memory_bits']:,} of {equal:,} bits" for machine in machines
              if machine["memory_bits"] is not None and machine["memory_bits"] > equal]
    if any(machine["memory_bits"] is None for machine in machines):
        lines.append("Memory that is not told (-) is that of a machine without an area model; "
                     "--memory, or a simulation, counts it in the RTL")
    if any(machine["area"] is None for machine in machines):
        lines.append("Area that is not told (-) is that of a machine without an area model")
    if any(machine["synthesized"] for machine in machines):
        lines.append("Estimates are of a machine with its bus shell and serial port; Yosys's cells "
                     "are those of the machine alone, before they are packed")
    if not figures["labels"]:
        lines.append("Accuracy is not told (-), for want of samples with labels")
    elif any(machine["accuracy_float"] is None for machine in machines):
        lines.append("Accuracy in floating point is not told (-) of a network of integers")
    return lines
