"""The page of a comparison: tables and bars of machines side by side, which need no other file."""

from collections.abc import Mapping, Sequence
from typing import Any

from eieio.model.accesses import LEVELS
from eieio.model.engine import Rows
from eieio.scripts.page import Section, Table
from eieio.scripts.page_svg import bar, stacked_bar

__all__ = ["comparison_page"]

#: Colours of what costs energy.
_PARTS = {name: number for number, name in enumerate(("mac", *LEVELS))}


def comparison_page(figures: Mapping[str, Any], tables: Mapping[str, Rows], lines: Sequence[str]
                    ) -> dict[str, Any]:
    """Return what :func:`eieio.scripts.page.page` draws of a comparison.

    Parameters
    ----------
    figures : dict
        What ``eieio compare --json`` writes.
    tables : mapping of :class:`str` to Rows
        Its tables: ``"speed"``, ``"bits"``, energies by the names of their tables, and others.
    lines : sequence of :class:`str`
        What is said below them.
    """
    machines = figures["machines"]
    longest = max(machine["cycles"] for machine in machines)
    legend = {name: (number, LEVELS.get(name, "multiplications and additions"))
              for name, number in _PARTS.items()}
    sections = [Section("Speed", tables=[_with(tables["speed"], "cycles", [
        bar(machine["cycles"] / longest, f"{machine['engine']}: {machine['cycles']:,.1f} cycles")
        for machine in machines])])]
    most = max(sum(machine["bits"].values()) for machine in machines)
    sections.append(Section(
        "Bits moved", "What an inference reads and writes, by level.",
        {name: legend[name] for name in LEVELS},
        [_with(tables["bits"], "beside the most", [
            stacked_bar(machine["bits"], most, _PARTS, f"{machine['engine']}: bits moved", "bits")
            for machine in machines])]))
    energies = []
    for each in figures["energy_tables"]:
        own = [machine["energy"][each["name"]] for machine in machines]
        most = max(energy["total"] for energy in own) or 1
        energies.append(_with(tables[each["name"]], "beside the most", [
            stacked_bar({name: energy[name] for name in _PARTS}, most, _PARTS,
                        f"{machine['engine']}: energy in {each['unit']}", each["unit"])
            for machine, energy in zip(machines, own, strict=True)]))
    sections.append(Section("Energy", "By published tables: an estimate to compare by.", legend,
                            energies))
    shown = {"speed", "bits", *(each["name"] for each in figures["energy_tables"])}
    rest = [Table(rows.columns, rows.rows) for name, rows in tables.items() if name not in shown]
    if rest:
        sections.append(Section("Memory and area", tables=rest))
    sections.append(Section("Notes", lines=[*lines, *figures["refused"].values()]))
    return {
        "sections": sections, "network": figures["network"],
        "multipliers": figures["multipliers"],
        "rows": [{"name": machine["engine"], **{
            name: machine[name] if machine["images"] else None
            for name in ("mismatches", "cycle_mismatches")}} for machine in machines]}


def _with(rows: Rows, heading: str, drawings: Sequence[Any]) -> Table:
    """Put a drawing behind each row."""
    return Table([*rows.columns, heading],
                 [[*row, drawing] for row, drawing in zip(rows.rows, drawings, strict=True)])
