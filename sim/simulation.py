"""The simulation of an engine, found by its configuration."""

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.leftovers import temporary_folder
from eieio.model.registry import engine_of
from eieio.rtl.emit import write
from eieio.rtl.hardware import emit_engine, engine_top
from eieio.sim.runner import Build, build

__all__ = ["Comparison", "Simulation", "build_engine", "simulation_of"]


class Comparison(Protocol):
    """The RTL beside the models; an engine's own may have more.

    Attributes
    ----------
    outputs : integer array of shape (inferences, ...)
        What the output stream carried.
    layer_cycles : integer array of shape (inferences, layers)
        Cycles of each layer, as the engine counted them.
    compared_integers : :class:`int`
        Integers of all layers, and of the output, that were compared with the golden model's.
    mismatches : :class:`int`
        Those that differ.
    cycle_mismatches : :class:`int`
        Layers and inferences whose cycles or counters differ from the cycle model's.
    """

    @property
    def outputs(self) -> NDArray[np.integer]:
        """What the output stream carried."""
        ...

    @property
    def layer_cycles(self) -> NDArray[np.integer]:
        """Cycles by inference and layer."""
        ...

    @property
    def compared_integers(self) -> int:
        """Integers that were compared."""
        ...

    @property
    def mismatches(self) -> int:
        """Integers that differ."""
        ...

    @property
    def cycle_mismatches(self) -> int:
        """Counts that differ."""
        ...


class Simulation(Protocol):
    """The module that :attr:`eieio.model.engine.Engine.simulation` names."""

    def compare(self, compiled: Any, x: NDArray[Any], built: Build, *, folder: Path | None = None
                ) -> Comparison:
        """Run inferences on the RTL of an engine alone, and compare it with both models.

        Parameters
        ----------
        compiled : object
            What :attr:`eieio.model.engine.Compiled.inner` is.
        x : integer array
            What :meth:`eieio.model.engine.Compiled.group` returned.
        built : Build
            Simulation, whose top has the engine's own ports.
        folder : :class:`pathlib.Path`, optional
            Where to keep what the bench read and wrote, and the waveforms.
        """
        ...


def simulation_of(config: EngineConfig) -> Simulation:
    """Return the simulation of a configuration's engine.

    Raises
    ------
    InputError
        If it has none.
    """
    engine = engine_of(config)
    if engine.simulation is None:
        raise InputError(f"Engine must be one that can be simulated, not {engine.name}")
    return cast(Simulation, import_module(engine.simulation))


def build_engine(config: EngineConfig, *, simulator: str = "verilator", waves: bool = False,
                 quick: bool = False) -> Build:
    """Emit an engine and build its simulation, or find it in the cache.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    simulator, waves :
        As in :func:`eieio.sim.runner.build`.
    quick : :class:`bool`
        Whether Verilator's code is compiled without optimization, in about half of the time; for
        short simulations.
    """
    arguments = ["-CFLAGS", "-O0"] if quick and simulator == "verilator" else []
    with temporary_folder() as folder:
        return build(write(emit_engine(config), folder), engine_top(config), simulator=simulator,
                     waves=waves, arguments=arguments)
