"""Runs a compiled graph on the RTL of its engine, and compares it with both models."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.golden import run_graph
from eieio.model.systolic.area import memories
from eieio.model.systolic.compiled_graph import CompiledGraph, CompiledLayer
from eieio.model.systolic.profile import layer_profiles
from eieio.model.systolic.timing import GraphTiming, LayerTiming, time_graph
from eieio.model.trace import LayerProfile
from eieio.sim import simulation
from eieio.sim.run_case import clearing_cycles, run_case
from eieio.sim.runner import Build, SimulationError, simulation_folder

__all__ = ["Comparison", "RtlRun", "compare", "run_rtl", "written_tensors"]

#: Cycles from a vector's turn until the engine has counted its products.
_COUNTED = 2


@dataclass(frozen=True, eq=False)
class RtlRun:
    """What the RTL did.

    Attributes
    ----------
    outputs : int8 array of shape (inferences, batch, and the shape of the result)
        What the output stream carried.
    tensors : list of int8 arrays of shape (inferences, batch, and the shape of the tensor)
        What each layer wrote.
    layer_cycles : int64 array of shape (inferences, layers)
        Cycles of each layer, as the engine counted them.
    macs, accumulator_stalls, transform_stalls : int64 arrays of shape (inferences, layers)
        The engine's counters, by layer.
    timings : list of lists of LayerTiming, or None
        The same by inference and layer, with the vectors' cycles, if they were watched.
    """

    outputs: NDArray[np.int8]
    tensors: list[NDArray[np.int8]]
    layer_cycles: NDArray[np.int64]
    macs: NDArray[np.int64]
    accumulator_stalls: NDArray[np.int64]
    transform_stalls: NDArray[np.int64]
    timings: list[list[LayerTiming]] | None = None


@dataclass(frozen=True, eq=False)
class Comparison(simulation.Comparison):
    """The RTL beside the models.

    Attributes
    ----------
    rtl : RtlRun
        What the RTL did.
    golden : list of int8 arrays of shape (inferences, batch, and the shape of the tensor)
        What each layer must compute.
    timing : GraphTiming
        What the cycle model says; it does not depend on the input.
    layer_mismatches : int64 array of shape (layers,)
        Integers of each layer that differ from the golden model's.
    mismatches : :class:`int`
        Integers of any layer, or of the output stream, that differ.
    cycle_mismatches : :class:`int`
        Cycles and counters of layers and inferences that differ from the cycle model's.
    profiles : dict
        Where the cycles went: by the cycle model, and by the RTL if vectors were watched.
    """

    rtl: RtlRun
    golden: list[NDArray[np.int8]]
    timing: GraphTiming
    layer_mismatches: NDArray[np.int64]
    mismatches: int
    cycle_mismatches: int
    profiles: dict[str, list[list[LayerProfile]]] = field(default_factory=dict)


def run_rtl(compiled: CompiledGraph, x: NDArray[np.int8], built: Build, *, max_cycles: int,
            stall: float = 0.0, folder: Path | None = None,
            watch_vectors: bool = False) -> RtlRun:
    """Run inputs on the RTL.

    Parameters
    ----------
    compiled : CompiledGraph
        Network to run.
    x : int8 array of shape (inferences, batch, and the shape of the input)
        Inputs.
    built : Build
        What :func:`eieio.sim.simulation.build_engine` returned for ``compiled.config``.
    max_cycles : :class:`int`
        Cycles in which an inference must end.
    stall : :class:`float`
        Probability that a stream stalls in a cycle.
    folder : :class:`pathlib.Path`, optional
        Where to keep what the bench read, wrote and printed, and the waveforms. The default is a
        temporary folder, which is kept only if the simulation fails.
    watch_vectors : :class:`bool`
        Whether to find out when vectors enter the array, which takes time: some 10 microseconds
        for each.

    Raises
    ------
    SimulationError
        If an inference does not end in time, the engine reports an error, or it writes anything but
        each group of each layer once.
    """
    with simulation_folder(folder) as place:
        recorded = run_case(
            built, "eieio.sim.systolic.bench_engine",
            {"image": compiled.image(),
             "inputs": np.stack([compiled.pack(sample) for sample in x])}, place,
            stall=stall, max_cycles=max_cycles, layers=len(compiled.layers),
            output_beats=compiled.output_beats, watch_vectors=watch_vectors,
            clearing=clearing_cycles(
                compiled.config, (memory.depth for memory in memories(compiled.config))))
        tensors = written_tensors(compiled, len(x), recorded["places"], recorded["data"], place)
    outputs = np.stack([compiled.unpack(beats) for beats in recorded["results"]])
    cycles, counters = (np.diff(recorded[name], axis=1, prepend=0)
                        for name in ("cycles", "counters"))
    return RtlRun(outputs, tensors, cycles, *np.moveaxis(counters, 2, 0),
                  timings=_timings(cycles, counters, recorded) if watch_vectors else None)


def _timings(cycles: NDArray[np.int64], counters: NDArray[np.int64],
             recorded: dict[str, NDArray[np.int64]]) -> list[list[LayerTiming]]:
    """Put what the engine counted and when vectors entered the array in the cycle model's form."""
    first, last, stalls = np.moveaxis(recorded["vectors"], 2, 0)
    before = np.roll(recorded["counters"][:, :, 1:].sum(axis=2), 1, axis=1)
    before[:, 0] = 0
    active = last > 0
    columns = (cycles, *np.moveaxis(counters, 2, 0),
               *(np.where(active, values, 0) for values in (
                   cycles - first - _COUNTED, cycles - last - _COUNTED, stalls - before)))
    return [[LayerTiming(*map(int, layer)) for layer in np.transpose(inference)]
            for inference in np.stack(columns, axis=1)]


def written_tensors(compiled: CompiledGraph, inferences: int, places: NDArray[np.int64],
                    data: NDArray[np.int8], folder: Path) -> list[NDArray[np.int8]]:
    """Put the groups that layers wrote together.

    Parameters
    ----------
    compiled : CompiledGraph
        Network.
    inferences : :class:`int`
        Inferences that wrote them.
    places : int64 array of shape (groups, 3)
        Layer, address and group of each.
    data : int8 array of shape (groups, lanes)
        Their activations.
    folder : :class:`pathlib.Path`
        Folder of the simulation.

    Returns
    -------
    list of int8 arrays of shape (inferences, batch, and the shape of the tensor)
        What each layer wrote.

    Raises
    ------
    SimulationError
        If a layer did not write each of its groups once for each inference.
    """
    return [_tensors(compiled, layer, inferences, places[mine, 1:], data[mine], folder)
            for number, layer in enumerate(compiled.layers)
            for mine in [places[:, 0] == number]]


def _tensors(compiled: CompiledGraph, layer: CompiledLayer, inferences: int,
             places: NDArray[np.int64], data: NDArray[np.int8], folder: Path) -> NDArray[np.int8]:
    """Put the groups that a layer wrote together: each of them once for each inference."""
    config, output = compiled.config, layer.output
    size = output.pixels * output.words * config.word_groups
    pixels, words = np.divmod(places[:, 0] - output.base, output.step)
    positions = (pixels * output.words + words) * config.word_groups + places[:, 1]
    positions = positions.reshape(inferences, -1)
    groups = np.unique(positions[0])
    # Groups without a channel may be written or not.
    lanes = output.lanes(config.rows)
    needed = np.arange(size).reshape(output.pixels, -1)
    needed = needed[:, np.unique(lanes // config.lanes)].ravel()
    if (any(not np.array_equal(np.sort(row), groups) for row in positions)
            or np.setdiff1d(needed, groups).size or groups.max() >= size or groups.min() < 0
            or words.max() >= output.words):
        raise SimulationError(f"Layer {layer.name!r} must write each of its groups once for each "
                              "input", folder / "simulation.log")
    written = np.zeros((inferences, size, config.lanes), np.int8)
    written[np.arange(inferences)[:, None], positions] = data.reshape(*positions.shape, -1)
    channels = written.reshape(inferences, output.pixels, -1)[:, :, lanes]
    return channels.reshape(inferences, compiled.batch, *layer.operator.output.shape)


def compare(compiled: CompiledGraph, x: NDArray[np.int8], built: Build, *, stall: float = 0.0,
            folder: Path | None = None, traced: bool = False) -> Comparison:
    """Run inputs of shape (inferences, batch, ...) on the RTL and both models, and compare.

    For a trace the vectors that enter the array are watched as well.
    """
    values = run_graph(compiled.graph, x.reshape(-1, *compiled.graph.input.shape))
    golden = [values[layer.operator.output.name].reshape(
        len(x), compiled.batch, *layer.operator.output.shape) for layer in compiled.layers]
    timing = time_graph(compiled.config, [layer.work for layer in compiled.layers])
    rtl = run_rtl(compiled, x, built, stall=stall, folder=folder, max_cycles=2 * timing.cycles,
                  watch_vectors=traced)
    layer_mismatches = np.array([np.count_nonzero(of_rtl != of_golden) for of_rtl, of_golden
                                 in zip(rtl.tensors, golden, strict=True)])
    result = values[compiled.result.name]
    mismatches = int(layer_mismatches.sum()) + int(
        np.count_nonzero(rtl.outputs.reshape(result.shape) != result))
    cycle_mismatches = (
        int(np.count_nonzero(rtl.layer_cycles != [layer.cycles for layer in timing.layers]))
        + sum(int(np.count_nonzero(getattr(rtl, name) != [getattr(layer, name)
                                                          for layer in timing.layers]))
              for name in ("macs", "accumulator_stalls", "transform_stalls")))
    profiles = {"cycle model": [layer_profiles(compiled, timing.layers)] * len(x)}
    if rtl.timings is not None:
        profiles["RTL"] = [layer_profiles(compiled, timings) for timings in rtl.timings]
    return Comparison(rtl, golden, timing, layer_mismatches, mismatches, cycle_mismatches, profiles)
