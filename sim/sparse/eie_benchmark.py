"""Benchmark of the sparse engine: layers in RTL, beside the golden model and the cycle model.

The RTL's large memories are filled directly, see :mod:`eieio.sim.sparse.preload`: the images of
layers of this size would take the image stream much longer than the layers themselves.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.sparse.balance import AS_THEY_COME, ORDERS
from eieio.model.sparse.chain import layers_of, shared_weights
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.eie_layers import EieLayer, random_layer
from eieio.model.sparse.fitting import roomy
from eieio.model.sparse.mapping import CompiledNetwork, compile_network
from eieio.model.sparse.profile import model_profiles
from eieio.model.sparse.study import (
    VARIANTS,
    LayerStudy,
    Variant,
    benchmark_config,
    critical_path,
    geomean,
)
from eieio.model.sparse.timing import LayerTiming, NetworkTimer
from eieio.model.sparse.tuning import tune_network
from eieio.model.trace import LayerProfile, mean_profile
from eieio.sim.runner import Build
from eieio.sim.sparse.simulation import build_preloaded, compare

__all__ = ["BuiltEngine", "LayerResult", "build_engines", "compile_fitting", "geomeans",
           "run_layer", "run_random_layer"]


@dataclass(frozen=True, eq=False)
class LayerResult:
    """How one configuration did on one layer, over all inputs.

    Attributes
    ----------
    name, configuration : :class:`str`
        The layer, and a name of :data:`~eieio.model.sparse.study.VARIANTS`.
    pes, groups : :class:`int`
        PEs of the engine, and column groups that the layer uses.
    samples : :class:`int`
        Inputs. All cycles are sums over them.
    cycles : :class:`int` or None
        From the start command to the last requantized word, as the RTL counted; None if only the
        models ran.
    model_cycles : :class:`int`
        The same by the cycle model.
    ideal : :class:`float`
        Nonzero weights that meet nonzero activations, divided by the number of PEs.
    entries, fillers : :class:`int`
        Entries that are stored, and the fillers among them.
    mismatches, cycle_mismatches : :class:`int` or None
        As in :class:`~eieio.sim.sparse.simulation.Comparison`.
    timings : sequence of LayerTiming
        What the cycle model says, by input.
    seconds : :class:`float`
        Elapsed time: compiling, both models and RTL, without building the simulation.
    """

    name: str
    configuration: str
    pes: int
    groups: int
    samples: int
    cycles: int | None
    model_cycles: int
    ideal: float
    entries: int
    fillers: int
    mismatches: int | None
    cycle_mismatches: int | None
    timings: Sequence[LayerTiming]
    seconds: float

    @property
    def ratio(self) -> float | None:
        """Cycles by ideal, or None if nothing is to be multiplied."""
        cycles = self.model_cycles if self.cycles is None else self.cycles
        return cycles / self.ideal if self.ideal else None

    @property
    def critical_path(self) -> dict[str, float]:
        """See :func:`~eieio.model.sparse.study.critical_path`; sums over the inputs."""
        paths = [critical_path(timing) for timing in self.timings]
        return {cause: sum(path[cause] for path in paths) for cause in paths[0]}

    @property
    def profile(self) -> LayerProfile:
        """Where the cycles went, by the cycle model; means over the inputs."""
        layer, = mean_profile(model_profiles([f"{self.name}, {self.configuration}"],
                                             [[timing] for timing in self.timings]))
        return layer

    def figures(self) -> dict[str, Any]:
        """Return all figures, as JSON takes them."""

        def mean(name: str) -> float:
            return float(sum(getattr(timing, name).mean() for timing in self.timings))

        return {
            "name": self.name,
            "configuration": self.configuration,
            "pes": self.pes,
            "groups": self.groups,
            "samples": self.samples,
            "cycles": self.cycles,
            "model_cycles": self.model_cycles,
            "ideal": self.ideal,
            "ratio": self.ratio,
            "entries": self.entries,
            "fillers": self.fillers,
            "mismatches": self.mismatches,
            "cycle_mismatches": self.cycle_mismatches,
            "broadcasts": sum(timing.broadcasts for timing in self.timings),
            "stalls": {
                "filler": mean("filler_cycles"),
                "empty": mean("empty_cycles"),
                "starved": mean("starved_cycles"),
                "overhead": sum(timing.overhead_cycles for timing in self.timings),
                "blocked": sum(timing.blocked_cycles for timing in self.timings),
            },
            "busiest_pe": self.critical_path,
            "seconds": self.seconds,
        }


def geomeans(results: Sequence[LayerResult]) -> dict[str, float | None]:
    """Geometric mean of cycles by ideal of each configuration, in order of first appearance."""
    names = dict.fromkeys(result.configuration for result in results)
    return {name: geomean([result.ratio for result in results
                           if result.configuration == name and result.ratio])
            for name in names}


@dataclass(frozen=True, eq=False)
class BuiltEngine:
    """An engine of the benchmark.

    Attributes
    ----------
    name : :class:`str`
        Name of the configuration.
    variant : Variant
        The configuration.
    config : SparseConfig
        The engine, with its sizes.
    build : Build or None
        Its simulation; None if only the models shall run.
    seconds : :class:`float`
        Elapsed time of emission and build; little if it was built before.
    """

    name: str
    variant: Variant
    config: SparseConfig
    build: Build | None
    seconds: float


def build_engines(names: Sequence[str], pes: int, layers: Sequence[EieLayer], *,
                  model_only: bool = False) -> Iterator[BuiltEngine]:
    """Emit and build engines that hold each of some random layers, one by one."""
    for name in names:
        started = time.monotonic()
        config = benchmark_config(VARIANTS[name], pes, layers)
        build = None if model_only else build_preloaded(config)
        yield BuiltEngine(name, VARIANTS[name], config, build, time.monotonic() - started)


def run_random_layer(layer: EieLayer, seed: int, engines: Sequence[BuiltEngine]
                     ) -> Iterator[LayerResult]:
    """Draw a layer of the paper, and run it on each of some engines."""
    network, x = random_layer(layer, seed)
    study = LayerStudy(shared_weights(layers_of(network)[0]).codes, x[0])
    for engine in engines:
        started = time.monotonic()
        groups, _ = study.best(engine.variant, engine.config)
        compiled = compile_network(network, engine.config, groups=[groups],
                                   balance=engine.variant.balance)
        yield run_layer(engine.name, compiled, x, engine.build, started)


def compile_fitting(network: QuantizedGraph, config: SparseConfig, x: NDArray[np.integer], *,
                    balance: str, keep: Collection[str] = ()) -> CompiledNetwork:
    """Compile a network of one layer for an engine whose memories are just large enough.

    Parameters
    ----------
    network : QuantizedGraph
        Network of one layer.
    config : SparseConfig
        Everything but the memory depths.
    x : integer array of shape (samples, inputs)
        Inputs, which choose the column groups and the order of the rows.
    balance : :class:`str`
        "all" if the rows may change places, or "none".
    keep : collection of :class:`str`
        Memory depths that stay as they are in ``config``.

    Returns
    -------
    CompiledNetwork
        The layer, and in its ``config`` the engine.

    Raises
    ------
    InputError
        If the layer does not fit.
    """
    large = roomy(config, keep)
    orders = ORDERS if balance == "all" else [AS_THEY_COME]
    layouts = tune_network(network, large, x, orders=orders)
    compiled = compile_network(network, large, groups=[layout.groups for layout in layouts],
                               positions=[layout.positions for layout in layouts])
    layer, = compiled.layers
    rows, columns = layer.matrix.shape
    pes = config.pes
    needs = {
        "entry_depth": max(4, int(layer.matrix.pointers[:, -1].max())),
        "pointer_depth": max(4, layer.matrix.pointers.shape[1]),
        "accumulator_depth": max(2 * config.column_groups, layer.matrix.slots),
        "activation_depth": max(2, -(-columns // pes), -(-rows // pes)),
        "output_depth": max(2, -(-rows // pes)),
        # With 1 the engine has no port for the number of the layer, which the bench reads.
        "layer_depth": 2,
    }
    fitted = {name: 1 << (need - 1).bit_length() for name, need in needs.items()
              if name not in keep}
    return replace(compiled, config=replace(config, **fitted))


def run_layer(configuration: str, compiled: CompiledNetwork, x: NDArray[np.integer],
              build: Build | None, started: float) -> LayerResult:
    """Run inputs of shape (samples, inputs) on a layer, and compare RTL and models.

    Parameters
    ----------
    configuration : :class:`str`
        Name for the result.
    compiled : CompiledNetwork
        Network of one layer.
    x : integer array of shape (samples, inputs)
        Inputs.
    build : Build or None
        Simulation of the engine, built to be preloaded; None to run the models only.
    started : :class:`float`
        When the work on the layer began, by :func:`time.monotonic`.
    """
    layer, = compiled.layers
    cycles = mismatches = cycle_mismatches = None
    if build is None:
        timer = NetworkTimer(compiled)
        golden = compiled.run(x)
        timings = [timer(sample, [golden[0][number]])[0] for number, sample in enumerate(x)]
    else:
        comparison = compare(compiled, x, build)
        timings = [sample[0] for sample in comparison.timings]
        cycles = int(comparison.rtl.layer_cycles.sum())
        mismatches, cycle_mismatches = comparison.mismatches, comparison.cycle_mismatches
    return LayerResult(
        name=layer.layer.name,
        configuration=configuration,
        pes=compiled.config.pes,
        groups=layer.groups,
        samples=len(x),
        cycles=cycles,
        model_cycles=sum(timing.cycles for timing in timings),
        ideal=sum(timing.ideal for timing in timings),
        entries=layer.matrix.entries,
        fillers=layer.matrix.fillers,
        mismatches=mismatches,
        cycle_mismatches=cycle_mismatches,
        timings=timings,
        seconds=time.monotonic() - started,
    )
