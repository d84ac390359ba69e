"""Runs layers on the RTL of a row-stationary array."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.eyeriss.program import Program
from eieio.model.eyeriss.timing import program_cycles
from eieio.rtl.eyeriss.engine import COUNTERS
from eieio.sim.case import case_environment, load_outputs, save_case
from eieio.sim.runner import Build, SimulationError, run, simulation_folder

__all__ = ["LayerRun", "run_program"]

# Seconds after which a simulation is given up. The bench bounds itself by cycles; this is for a
# simulator that hangs.
_TIMEOUT = 7200


@dataclass(frozen=True, eq=False)
class LayerRun:
    """What the RTL did.

    Attributes
    ----------
    output : int16 array of shape (batch, rows, columns, channels)
        Activations, less their zero point.
    words : uint64 array
        The words in which they came.
    cycles : list of :class:`int`
        Cycles of each command; with pauses of the streams, if there were any.
    counters : dict of :class:`int`
        The hardware's counters by name.
    """

    output: NDArray[np.int16]
    words: NDArray[np.uint64]
    cycles: list[int]
    counters: dict[str, int]


def run_program(built: Build, program: Program, *, stall: float = 0.0,
                folder: Path | None = None) -> LayerRun:
    """Run the commands of a layer.

    Parameters
    ----------
    built : Build
        What :func:`eieio.sim.simulation.build_engine` returned for the program's configuration.
    program : Program
        The commands.
    stall : :class:`float`
        Probability of a cycle in which a stream waits.
    folder : :class:`pathlib.Path`, optional
        Where to keep what the bench read and wrote.

    Raises
    ------
    SimulationError
        If the engine does not end, or says that a command or a code is wrong.
    """
    expected = sum(program_cycles(program))
    with simulation_folder(folder) as place:
        save_case(place, {"words": program.words}, stall=stall,
                  max_cycles=int(expected * (1 + 8 * stall)) + 1000)
        run(built, "eieio.sim.eyeriss.bench_engine", environment=case_environment(place),
            folder=place, timeout=_TIMEOUT)
        seen = load_outputs(place)
        counters = dict(zip(COUNTERS, seen["counters"].tolist(), strict=True))
        if seen["ended"] < 0 or seen["busy"] or seen["error"]:
            raise SimulationError(
                f"The RTL took {len(seen['accepted'])} of {len(program.words)} words and gave "
                f"{len(seen['outputs'])}, and is {'busy' if seen['busy'] else 'idle'}"
                f"{', with an error' if seen['error'] else ''}: {counters}",
                place / "simulation.log")
        starts = np.cumsum([0, *(len(command.words) for command in program.commands[:-1])])
        ends = [*seen["accepted"][starts], int(seen["ended"]) + 1]
        return LayerRun(program.output(seen["outputs"]), seen["outputs"],
                        np.diff(ends).tolist(), counters)
