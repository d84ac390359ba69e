"""Runs matrix steps on the RTL of a tensor core, without its memories."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.leftovers import temporary_folder
from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.golden import widen
from eieio.model.tensor_core.timing import latency
from eieio.rtl.emit import emit, write
from eieio.rtl.tensor_core.matrix_step import MatrixStep
from eieio.sim.case import case_environment, load_outputs, save_case
from eieio.sim.runner import Build, SimulationError, build, run, simulation_folder

__all__ = ["StepRun", "build_steps", "run_long_steps", "run_steps"]

#: Top module of steps alone.
_TOP = "tensor_core_step"

# Seconds after which a simulation is given up. The bench bounds itself by cycles; this is for a
# simulator that hangs.
_TIMEOUT = 7200


@dataclass(frozen=True, eq=False)
class StepRun:
    """What the RTL did.

    Attributes
    ----------
    d : uint32 array of shape (steps, rows, columns)
        Results.
    latency : :class:`int`
        Cycles from each step to its result.
    """

    d: NDArray[np.uint32]
    latency: int


def build_steps(config: StepConfig, *, simulator: str = "verilator", quick: bool = False
                ) -> Build:
    """Emit a matrix step and build its simulation, or find it in the cache.

    ``simulator`` and ``quick`` are as in :func:`eieio.sim.runner.build`.
    """
    step = StepConfig(**{name: getattr(config, name) for name in StepConfig().to_dict()})
    with temporary_folder() as folder:
        sources = emit(MatrixStep(step), _TOP, header=f"Matrix step: {step.label}")
        return build(write(sources, folder), _TOP, simulator=simulator,
                     quick=quick)


def run_steps(built: Build, a: NDArray[np.uint16], b: NDArray[np.uint16], c: NDArray[np.uint32],
              config: StepConfig, *, half: bool | NDArray[np.bool_] = False,
              stall: float = 0.0) -> StepRun:
    """Run steps on the RTL, a step a cycle.

    Parameters
    ----------
    built : Build
        What :func:`build_steps` returned for this configuration.
    a, b, c :
        As in :func:`eieio.model.tensor_core.golden.matrix_step`, with one axis of steps in front.
    config : StepConfig
        Configuration of the tensor core.
    half : :class:`bool`, or bool array of shape (steps,)
        Which results are binary16.
    stall : :class:`float`
        Probability of a cycle without a step.

    Raises
    ------
    SimulationError
        If results are missing, or their latencies differ.
    """
    steps = len(c)
    arrays = {"a": a, "b": b, "c": c, "half": np.broadcast_to(half, steps).astype(np.uint8)}
    with simulation_folder() as folder:
        save_case(folder, arrays, stall=stall, drain=64 + latency(config))
        run(built, "eieio.sim.tensor_core.bench_step", environment=case_environment(folder),
            folder=folder, timeout=_TIMEOUT)
        outputs = load_outputs(folder)
        if outputs["d"].size != c.size or len(outputs["latencies"]) != 1:
            raise SimulationError(
                f"The RTL gave {outputs['d'].size} results after "
                f"{outputs['latencies'].tolist()} cycles, not {c.size} after the same number",
                folder / "simulation.log")
        return StepRun(outputs["d"].reshape(c.shape), int(outputs["latencies"][0]))


def run_long_steps(built: Build, a: NDArray[np.uint16], b: NDArray[np.uint16],
                   c: NDArray[np.uint32], config: StepConfig, *,
                   half: bool = False) -> StepRun:
    """Run products longer than a step's: each block's results are the next block's addends.

    ``a`` of shape (steps, rows, length) and ``b`` of shape (steps, length, columns) may have any
    length; what is missing in the last block is 0.
    """
    missing = -a.shape[-1] % config.products
    a = np.pad(a, [(0, 0), (0, 0), (0, missing)])
    b = np.pad(b, [(0, 0), (0, missing), (0, 0)])
    result = StepRun(c, 0)
    for first in range(0, a.shape[-1], config.products):
        block = slice(first, first + config.products)
        addend = widen(result.d.astype(np.uint16)) if half and first else result.d
        result = run_steps(built, np.ascontiguousarray(a[..., block]),
                           np.ascontiguousarray(b[..., block, :]), addend, config, half=half)
    return result
