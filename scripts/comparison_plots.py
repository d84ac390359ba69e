"""Plots of machines side by side, as SVG; the same figures give the same file."""

from pathlib import Path
from typing import Any

from eieio.model.accesses import LEVELS
from eieio.scripts.plots import COLOURS, figure

__all__ = ["plot_comparison"]

#: Each part in one colour, in all plots.
_PARTS = dict(zip(("mac", *LEVELS), COLOURS, strict=False))


def plot_comparison(path: Path, figures: dict[str, Any]) -> None:
    """Draw cycles, what is moved, and energy, a bar for each machine.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        File to write.
    figures : dict
        What ``eieio compare --json`` writes.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    machines = figures["machines"]
    names = [machine["engine"] for machine in machines]
    table = figures["energy_tables"][0]
    with figure(path, f"{Path(figures['network']).stem}, {figures['multipliers']} multipliers each",
                3, 10, 3.6, share_y=False) as (_, (cycles, bits, energy)):
        cycles.bar(names, [machine["cycles"] for machine in machines], color=COLOURS[0])
        cycles.set_title("Cycles of an inference")
        _stack(bits, names, [machine["bits"] for machine in machines])
        bits.set_title("Bits moved, by level")
        _stack(energy, names, [{name: value for name, value in
                                machine["energy"][table["name"]].items() if name != "total"}
                               for machine in machines])
        energy.set_title(f"Energy in {table['unit']} ({table['name']})")
        for axes in (bits, energy):
            axes.legend(fontsize=8)


def _stack(axes: Any, names: list[str], parts: list[dict[str, float]]) -> None:
    below = [0.0] * len(names)
    for part in parts[0]:
        values = [each[part] for each in parts]
        axes.bar(names, values, bottom=below, color=_PARTS[part], label=part)
        below = [first + second for first, second in zip(below, values, strict=True)]
