"""Runs the tiny engine's RTL, and compares it with the models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.sim import simulation
from eieio.sim.run_case import run_case
from eieio.sim.runner import Build, simulation_folder
from tiny_engine.engine import TinyCompiled

__all__ = ["Comparison", "compare"]


class RtlRun(NamedTuple):
    """What the RTL did."""

    outputs: NDArray[np.int64]
    layer_cycles: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Comparison(simulation.Comparison):
    """The RTL beside the models."""

    rtl: RtlRun
    golden: list[NDArray[np.integer]]
    mismatches: int
    cycle_mismatches: int


def compare(compiled: TinyCompiled, x: NDArray[Any], built: Build, *, folder: Path | None = None
            ) -> Comparison:
    """Run inputs of shape (samples, inputs)."""
    counters = compiled.counters(x)
    with simulation_folder(folder) as place:
        seen = run_case(built, "tiny_engine.bench", {"image": compiled.image(), "inputs": x}, place,
                        outputs=len(compiled.bias), max_cycles=2 * counters[0].cycles)
    golden = compiled.run(x)
    cycles = [[counter.cycles, counter.macs] for counter in counters]
    return Comparison(RtlRun(seen["outputs"], seen["counters"][:, :1]), [golden],
                      int(np.count_nonzero(seen["outputs"] != golden)),
                      int(np.count_nonzero(seen["counters"] != cycles)))
