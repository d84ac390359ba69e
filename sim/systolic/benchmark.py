"""Benchmark of the systolic engine: layers in RTL, beside the golden model and the cycle model."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.systolic.benchmark_layers import (
    MATRIX_SIZES,
    MODEL_SIZES,
    NETWORKS,
    WINOGRAD_LAYER,
    ConvolutionShape,
    matrix_product,
)
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.fitting import MEMORY_DEPTHS, compile_fitted
from eieio.model.systolic.profile import layer_profile
from eieio.model.systolic.report import needed_macs
from eieio.model.systolic.timing import time_layer
from eieio.model.trace import LayerProfile
from eieio.sim.runner import Build
from eieio.sim.systolic.simulation import compare

__all__ = ["MODES", "Case", "Result", "Suite", "full_suite", "quick_suite", "run_case",
           "shared_config"]

#: Option ``winograd`` of the engine for each mode.
MODES = {"direct": 0, "winograd F2": 2, "winograd F4": 4}


@dataclass(frozen=True, eq=False)
class Case:
    """A layer in a mode.

    Attributes
    ----------
    name, mode : :class:`str`
        The layer, and a key of :data:`MODES`.
    compiled : CompiledGraph
        The layer alone, in an engine that just fits it.
    model_only : :class:`bool`
        Whether it is too large to run in RTL.
    """

    name: str
    mode: str
    compiled: CompiledGraph
    model_only: bool = False


@dataclass(frozen=True, eq=False)
class Result:
    """What a case took.

    Attributes
    ----------
    name, mode : :class:`str`
        See :class:`Case`.
    cycles : :class:`int` or None
        From the layer's start to its last requantized word, as the RTL counted; None if only the
        models ran.
    model_cycles : :class:`int`
        The same by the cycle model.
    macs, direct_macs : :class:`int`
        Products that are needed this way, and directly: see
        :func:`~eieio.model.systolic.report.needed_macs`.
    pes : :class:`int`
        Processing elements.
    mismatches, cycle_mismatches : :class:`int` or None
        As in :class:`~eieio.sim.systolic.simulation.Comparison`.
    seconds : :class:`float`
        Elapsed time of both models and RTL.
    profile : LayerProfile
        Where the cycles went, by the cycle model.
    """

    name: str
    mode: str
    cycles: int | None
    model_cycles: int
    macs: int
    direct_macs: int
    pes: int
    mismatches: int | None
    cycle_mismatches: int | None
    seconds: float
    profile: LayerProfile

    @property
    def utilisation(self) -> float:
        """Share of the array's multiplications, from start to end, that are needed."""
        return self.macs / (self.pes * (self.cycles or self.model_cycles))

    def figures(self) -> dict[str, Any]:
        """Return all figures, as JSON takes them."""
        return {
            "name": self.name,
            "mode": self.mode,
            "cycles": self.cycles,
            "model_cycles": self.model_cycles,
            "macs": self.macs,
            "utilisation": self.utilisation,
            "mismatches": self.mismatches,
            "cycle_mismatches": self.cycle_mismatches,
            "direct_macs": self.direct_macs,
            "multiplications_saved": 1 - self.macs / self.direct_macs,
            "seconds": self.seconds,
        }


class Suite:
    """Cases for an array, in the order in which they are shown."""

    def __init__(self, rows: int, columns: int) -> None:
        # Layers are those within a network, whose inputs no stream brings.
        self._options = {"rows": rows, "columns": columns, "input_depth": 0}
        self.cases: list[Case] = []

    def add_product(self, size: int, *, model_only: bool = False) -> None:
        """Add a product of square matrices."""
        graph = matrix_product(size)
        compiled = self._compile(graph, "direct", batch=size)
        self.cases.append(Case(graph.name, "direct", compiled, model_only))

    def add_convolution(self, shape: ConvolutionShape) -> None:
        """Add a convolution in all modes that can compute it."""
        graph = shape.graph()
        for mode in MODES:
            if mode == "direct" or shape.winograd:
                self.cases.append(Case(shape.name, mode, self._compile(graph, mode)))

    def _compile(self, graph: QuantizedGraph, mode: str, batch: int = 1) -> CompiledGraph:
        options = {**self._options, "winograd": MODES[mode]}
        return compile_fitted(graph, options, batch=batch, winograd=mode != "direct")


def full_suite(rows: int, columns: int) -> list[Case]:
    """Return all cases."""
    suite = Suite(rows, columns)
    for size in MATRIX_SIZES:
        suite.add_product(size)
    for size in MODEL_SIZES:
        suite.add_product(size, model_only=True)
    suite.add_convolution(WINOGRAD_LAYER)
    for shapes in NETWORKS.values():
        for shape in shapes:
            suite.add_convolution(shape)
    return suite.cases


def quick_suite(rows: int, columns: int) -> list[Case]:
    """Return a few small cases."""
    suite = Suite(rows, columns)
    suite.add_product(16)
    suite.add_product(32, model_only=True)
    suite.add_convolution(ConvolutionShape("conv3x3_4ch_8x8", 8, 8, 4, 4, 3, padding=(1, 1)))
    return suite.cases


def shared_config(cases: Sequence[Case]) -> SystolicConfig:
    """Return the configuration of one engine for cases of one mode: the deepest memories of all.

    Raises
    ------
    InputError
        If there is no case.
    """
    configs = [case.compiled.config for case in cases]
    if not configs:
        raise InputError("Benchmark must have a case")
    return replace(configs[0], **{
        name: max(getattr(config, name) for config in configs) for name in MEMORY_DEPTHS})


def run_case(case: Case, built: Build | None, config: SystolicConfig, seed: int = 0) -> Result:
    """Run a case on the models, and on the RTL if there is a build.

    Parameters
    ----------
    case : Case
        Layer and mode.
    built : Build or None
        Simulation of ``config``.
    config : SystolicConfig
        Engine, :func:`shared_config` of this case and others.
    seed : :class:`int`
        Seed of the random activations.
    """
    started = time.monotonic()
    # The depths of memories decide nothing but whether a layer fits.
    compiled = case.compiled if case.model_only else replace(case.compiled, config=config)
    layer, = compiled.layers
    if layer.mode != case.mode.partition(" ")[0]:
        raise InputError(f"Layer {case.name!r} must be computed by {case.mode}, not {layer.mode}")
    timing = time_layer(compiled.config, layer.work)
    cycles = mismatches = cycle_mismatches = None
    if built is not None and not case.model_only:
        shape = (1, compiled.batch, *compiled.graph.input.shape)
        x = np.random.default_rng(seed).integers(-128, 128, shape, np.int8)
        comparison = compare(compiled, x, built)
        cycles = int(comparison.rtl.layer_cycles[0, 0])
        mismatches, cycle_mismatches = comparison.mismatches, comparison.cycle_mismatches
    return Result(case.name, case.mode, cycles, timing.cycles, needed_macs(compiled, layer),
                  compiled.macs, compiled.config.pes, mismatches, cycle_mismatches,
                  time.monotonic() - started,
                  layer_profile(f"{case.name}, {case.mode}", timing, compiled.config.pes))
