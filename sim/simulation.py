"""The simulation of an engine, found by its configuration."""

from collections.abc import Sequence
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

__all__ = ["Comparison", "Simulation", "build_engine", "build_sources", "simulation_of"]


class Comparison:
    """The RTL beside the models: base of what an engine's simulation returns.

    Attributes
    ----------
    rtl : object
        What the RTL did: its ``outputs``, of shape (inferences, ...), and ``layer_cycles``, of
        shape (inferences, layers), and what else the engine counts.
    golden : list of integer arrays
        What each layer must compute.
    mismatches : :class:`int`
        Integers of any layer, or of the output, that differ from the golden model's.
    cycle_mismatches : :class:`int`
        Layers and inferences whose cycles or counters differ from the cycle model's.
    """

    rtl: Any
    golden: Any
    mismatches: int
    cycle_mismatches: int

    @property
    def outputs(self) -> NDArray[np.integer]:
        """What the output stream carried."""
        return self.rtl.outputs

    @property
    def layer_cycles(self) -> NDArray[np.integer]:
        """Cycles of each inference and layer, as the engine counted them."""
        return self.rtl.layer_cycles

    @property
    def compared_integers(self) -> int:
        """Integers that were compared."""
        return sum(layer.size for layer in self.golden) + self.outputs.size


class Simulation(Protocol):
    """The module that ``simulation`` of an :class:`~eieio.model.engine.Engine` names."""

    def compare(self, compiled: Any, x: NDArray[Any], built: Build, *, folder: Path | None = None,
                traced: bool = False) -> Comparison:
        """Run inferences on the RTL of an engine alone, and compare it with both models.

        Parameters
        ----------
        compiled : object
            What ``inner`` of a :class:`~eieio.model.engine.Compiled` is.
        x : integer array
            What :meth:`eieio.model.engine.Compiled.group` returned.
        built : Build
            Simulation, whose top has the engine's own ports.
        folder : :class:`pathlib.Path`, optional
            Where to keep what the bench read and wrote, and the waveforms.
        traced : :class:`bool`
            Whether the comparison is to have ``profiles``: by ``"cycle model"`` and ``"RTL"``, for
            each inference the :class:`~eieio.model.trace.LayerProfile` of each layer. Given
            only for a trace. If that takes a module around the engine, to count what the ports do
            not tell, ``probe(config, folder)`` writes it, and returns its file and its name.
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
                 quick: bool = False, traced: bool = False, family: str | None = None) -> Build:
    """Emit an engine and build its simulation, or find it in the cache.

    Parameters
    ----------
    config : EngineConfig
        Configuration of the engine.
    simulator, waves, quick :
        As in :func:`eieio.sim.runner.build`.
    traced : :class:`bool`
        Whether the simulation is for a trace: with the probe of the engine, if it has one.
    family : :class:`str`, optional
        As in :func:`eieio.rtl.emit.emit`.
    """
    with temporary_folder() as folder:
        return build_sources(write(emit_engine(config, family), folder), config,
                             simulator=simulator, waves=waves, quick=quick, traced=traced)


def build_sources(sources: Sequence[Path], config: EngineConfig, *, traced: bool = False,
                  **options: Any) -> Build:
    """Build the simulation of an engine's Verilog, or find it in the cache.

    ``traced`` is as for :func:`build_engine`; ``options`` are those of
    :func:`eieio.sim.runner.build`.
    """
    probe = getattr(simulation_of(config), "probe", None) if traced else None
    if probe is None:
        return build(sources, engine_top(config), **options)
    with temporary_folder() as folder:
        file, top = probe(config, folder)
        return build([*sources, file], top, **options)
