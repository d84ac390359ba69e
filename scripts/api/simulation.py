"""What the cycle model tells of inferences, and what a simulation found."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Compiled
from eieio.model.trace import LayerProfile, mean_profile
from eieio.notebook import figures_html
from eieio.scripts.results import ResultFiles, profiles
from eieio.sim.simulation import Comparison

__all__ = ["Cycles", "Simulation"]


class Cycles(dict[str, float]):
    """Cycles of an inference, layer by layer; of several inferences their mean.

    Parameters
    ----------
    inferences : sequence
        Layers of each inference.
    texts : mapping of :class:`str`
        What each cause is, in words.

    Attributes
    ----------
    total : :class:`float`
        Cycles of all layers.
    inferences : integer array of shape (inferences, layers)
        Cycles of each inference and layer.
    causes : dict
        What the cycles of each layer went to, by cause.
    """

    def __init__(self, inferences: Sequence[Sequence[LayerProfile]],
                 texts: Mapping[str, str]) -> None:
        layers = mean_profile(inferences)
        super().__init__({layer.name: layer.cycles for layer in layers})
        self.total = float(sum(self.values()))
        self.inferences: NDArray[np.int64] = np.array(
            [[layer.cycles for layer in sample] for sample in inferences], np.int64)
        self.causes = {layer.name: {**layer.causes} for layer in layers}
        self._texts = texts

    def __float__(self) -> float:
        return self.total

    def __repr__(self) -> str:
        layers = ", ".join(f"{name} {cycles:,.1f}" for name, cycles in self.items())
        return f"<Cycles of an inference: {self.total:,.1f} ({layers})>"

    def _repr_html_(self) -> str:
        return figures_html({"causes": self._texts, "profile": [
            {"name": name, "cycles": cycles, "causes": self.causes[name]}
            for name, cycles in self.items()], "cycles_per_inference": self.total}, "Cycles")


class Simulation:
    """What the RTL did, compared with the golden model and the cycle model.

    Attributes
    ----------
    outputs : float array of shape (samples, and the shape of the output)
        What the RTL computed, in real numbers.
    mismatches : :class:`int`
        Integers of any layer, or of the output, that differ from the golden model's.
    cycle_mismatches : :class:`int`
        Layers and inferences whose cycles or counters differ from the cycle model's.
    compared_integers : :class:`int`
        Integers that were compared.
    cycles : integer array of shape (inferences, layers)
        Cycles of each inference and layer, as the RTL counted them.
    figures : dict
        All figures, as ``eieio simulate --json`` writes them.
    waves : path or None
        The waveforms, if they were asked for.
    """

    def __init__(self, compiled: Compiled, x: NDArray[np.floating], comparison: Comparison,
                 outputs: NDArray[np.float32], figures: dict[str, Any], waves: Path | None) -> None:
        self._compiled, self._x, self._comparison = compiled, x, comparison
        self.outputs, self.figures, self.waves = outputs, figures, waves
        self.mismatches = comparison.mismatches
        self.cycle_mismatches = comparison.cycle_mismatches
        self.compared_integers = comparison.compared_integers
        self.cycles = comparison.layer_cycles

    @property
    def equal(self) -> bool:
        """Whether the RTL equals both models."""
        return not self.mismatches and not self.cycle_mismatches

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write a page of all results, which needs no other file, and return its path."""
        return self._write(ResultFiles(report=Path(path)))

    def trace(self, path: str | os.PathLike[str]) -> Path:
        """Write a trace of layers and stalls for Perfetto, and return its path."""
        return self._write(ResultFiles(trace=Path(path)))

    def _write(self, files: ResultFiles) -> Path:
        files.write(self.figures, f"{self._compiled.name}, simulation",
                    lambda: profiles(self._compiled, self._x, self._comparison))
        return files.files[0]

    def __repr__(self) -> str:
        verdict = "equal" if self.equal else (
            f"{self.mismatches:,} integers and {self.cycle_mismatches:,} cycle counts differ")
        return (f"<Simulation of {len(self._x):,} samples: {verdict}, "
                f"{self.compared_integers:,} integers compared, "
                f"{self.cycles.sum(axis=1).mean():,.1f} cycles an inference>")

    def _repr_html_(self) -> str:
        return figures_html(self.figures, f"{self._compiled.name}, simulation")
