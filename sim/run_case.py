"""Runs a cocotb bench on a case: see :mod:`eieio.sim.case`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from eieio.model.engine_config import EngineConfig
from eieio.sim.case import case_environment, load_outputs, save_case
from eieio.sim.runner import Build, run

__all__ = ["TIMEOUT", "clearing_cycles", "run_case"]

#: Seconds after which a simulation is given up. Benches bound themselves by cycles; this is for a
#: simulator that hangs.
TIMEOUT = 7200


def run_case(built: Build, bench: str, arrays: Mapping[str, NDArray[Any]], folder: Path, *,
             timeout: float = TIMEOUT, **settings: Any) -> dict[str, NDArray[Any]]:
    """Save a case, run a bench on it, and load what the bench saved.

    Parameters
    ----------
    built : Build
        Simulation.
    bench : :class:`str`
        Module of the bench.
    arrays, settings :
        The case, as :func:`eieio.sim.case.save_case` takes it.
    folder : :class:`pathlib.Path`
        Its folder, which is made if need be.
    timeout : :class:`float`
        Seconds after which the simulation is given up.

    Raises
    ------
    SimulationError
        If the simulation fails.
    """
    save_case(folder, arrays, **settings)
    run(built, bench, environment=case_environment(folder), folder=folder, timeout=timeout)
    return load_outputs(folder)


def clearing_cycles(config: EngineConfig, depths: Iterable[int]) -> int:
    """Tell for how many cycles after a reset an engine takes no image, at most.

    With parity its memories, of so many words each, are cleared then: a word a cycle, side by side.
    """
    return max(depths) if getattr(config, "parity", False) else 0
