"""Runs the tiny engine's RTL, and compares it with the models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.sim.case import case_environment, load_outputs, save_case
from eieio.sim.runner import Build, run, simulation_folder
from tiny_engine.engine import TinyCompiled

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The RTL beside the models."""

    outputs: NDArray[np.int64]
    layer_cycles: NDArray[np.int64]
    mismatches: int
    cycle_mismatches: int

    @property
    def compared_integers(self) -> int:
        """Integers that were compared."""
        return self.outputs.size


def compare(compiled: TinyCompiled, x: NDArray[Any], built: Build, *, folder: Path | None = None
            ) -> Comparison:
    """Run inputs of shape (samples, inputs)."""
    counters = compiled.counters(x)
    with simulation_folder(folder) as place:
        save_case(place, {"image": compiled.image(), "inputs": x},
                  outputs=len(compiled.bias), max_cycles=2 * counters[0].cycles)
        run(built, "tiny_engine.bench", environment=case_environment(place), folder=place)
        seen = load_outputs(place)
    golden = compiled.run(x)
    cycles = [[counter.cycles, counter.macs] for counter in counters]
    return Comparison(seen["outputs"], seen["counters"][:, :1],
                      int(np.count_nonzero(seen["outputs"] != golden)),
                      int(np.count_nonzero(seen["counters"] != cycles)))
