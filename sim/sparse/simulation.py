"""Runs a compiled network on the RTL of its engine, and compares it with both models."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.formats.atomic import write_text
from eieio.model.leftovers import temporary_folder
from eieio.model.sparse.area import memories
from eieio.model.sparse.broadcast_timing import FIRST_TAKE
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.profile import layer_profile, model_profiles
from eieio.model.sparse.timing import LayerTiming, NetworkTimer, layer_lead
from eieio.model.trace import LayerProfile
from eieio.rtl.emit import write
from eieio.rtl.hardware import emit_engine, engine_top
from eieio.sim import simulation
from eieio.sim.run_case import clearing_cycles, run_case
from eieio.sim.runner import Build, build, simulation_folder
from eieio.sim.sparse.preload import HARNESS, harness, small_image, write_memories
from eieio.sim.sparse.probe import PROBED, probed_engine
from eieio.sim.sparse.streaming import compare_stream
from eieio.sim.sparse.written import written_activations

__all__ = ["Comparison", "RtlRun", "build_preloaded", "compare", "probe", "run_rtl"]

#: What the engine counts as cycles of an inference in the cycle before a layer can take its first
#: activation, beyond those when the layer begins.
_BEFORE_TAKE = FIRST_TAKE - 2


@dataclass(frozen=True, eq=False)
class RtlRun:
    """What the RTL did.

    Attributes
    ----------
    outputs : integer array of shape (samples, outputs)
        What the output stream carried, in the network's order.
    activations : list of integer arrays of shape (samples, outputs of the layer)
        What each layer wrote, in the network's order.
    padding_clean : :class:`bool`
        Whether every position of a word that holds no output of the layer was written as 0.
    layer_cycles : int64 array of shape (samples, layers)
        Cycles of each layer, as the engine counted them.
    blocked_cycles : int64 array of shape (samples,)
        Cycles in which a column waited for room in a queue.
    products : int64 array of shape (samples, layers)
        Multiplications of each layer.
    decodes, empties, last_decodes : int64 arrays of shape (samples, layers)
        Of a simulation with a probe, by layer: cycles in which PEs decoded, and those for empty
        columns among them, summed over the PEs; and cycles up to the last one in which a PE did.
        Without a probe there are no samples.
    """

    outputs: NDArray[np.integer]
    activations: list[NDArray[np.integer]]
    padding_clean: bool
    layer_cycles: NDArray[np.int64]
    blocked_cycles: NDArray[np.int64]
    products: NDArray[np.int64]
    decodes: NDArray[np.int64]
    empties: NDArray[np.int64]
    last_decodes: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Comparison(simulation.Comparison):
    """The RTL beside the models.

    Attributes
    ----------
    rtl : RtlRun
        What the RTL did.
    golden : list of integer arrays of shape (samples, outputs of the layer)
        What each layer must compute.
    timings : list of lists of LayerTiming
        What the cycle model says, by sample and layer.
    mismatches : :class:`int`
        Integers of any layer, or of the output stream, that differ from the golden model's.
    cycle_mismatches : :class:`int`
        Layers and samples whose cycles or multiplications, and samples whose blocked cycles, differ
        from the cycle model's.
    profiles : dict
        Where the cycles went: by the cycle model, and by the RTL if there was a probe.
    """

    rtl: RtlRun
    golden: list[NDArray[np.integer]]
    timings: list[list[LayerTiming]]
    mismatches: int
    cycle_mismatches: int
    profiles: dict[str, list[list[LayerProfile]]] = field(default_factory=dict)


def build_preloaded(config: SparseConfig, *, quick: bool = False) -> Build:
    """Emit an engine and build its simulation, whose large memories are filled directly.

    See :mod:`eieio.sim.sparse.preload`; for layers whose image would take the stream too long.
    ``quick`` is as in :func:`eieio.sim.runner.build`.
    """
    with temporary_folder() as folder:
        sources = write(emit_engine(config), folder)
        write_text(folder / f"{HARNESS}.sv", harness(config, engine_top(config)))
        return build([*sources, folder / f"{HARNESS}.sv"], HARNESS, quick=quick)


def probe(config: SparseConfig, folder: Path) -> tuple[Path, str]:
    """Write the module around an engine that counts what a trace needs; return file and name."""
    file = folder / f"{PROBED}.v"
    write_text(file, probed_engine(config, engine_top(config)))
    return file, PROBED


def run_rtl(compiled: CompiledNetwork, x: NDArray[np.integer], built: Build, *,
            max_cycles: int = 1_000_000, stall: float = 0.0, folder: Path | None = None) -> RtlRun:
    """Run inputs of shape (samples, inputs) on the RTL.

    Parameters
    ----------
    compiled : CompiledNetwork
        Network to run.
    x : integer array of shape (samples, inputs)
        Inputs.
    built : Build
        What :func:`build_preloaded` or :func:`eieio.sim.simulation.build_engine` returned for
        ``compiled.config``.
    max_cycles : :class:`int`
        Cycles in which an inference must end.
    stall : :class:`float`
        Probability that a stream stalls in a cycle.
    folder : :class:`pathlib.Path`, optional
        Where to keep what the bench read, wrote and printed, and the waveforms. The default is a
        temporary folder, which is kept only if the simulation fails.

    Raises
    ------
    SimulationError
        If an inference does not end in time, the engine reports an error, or it writes anything but
        each word of each layer once and in order.
    """
    layers = compiled.layers
    preload = built.top == HARNESS
    image = small_image(compiled) if preload else compiled.image()
    with simulation_folder(folder) as place:
        if preload:
            write_memories(compiled, place)
        recorded = run_case(
            built, "eieio.sim.sparse.bench_engine",
            {"image": image, "inputs": compiled.to_engine(x)}, place, preload=preload,
            config=compiled.config.to_dict(), stall=stall, max_cycles=max_cycles,
            layers=len(layers), outputs=layers[-1].matrix.shape[0],
            clearing=clearing_cycles(
                compiled.config, (memory.depth for memory in memories(compiled.config))))
        activations, clean = written_activations(compiled, len(x), recorded["words"],
                                                 recorded["data"], place)
    cycles, probed = recorded["layer_cycles"], recorded["probed"]
    counted = np.diff(probed[:, :, :2].reshape(-1, 2), axis=0, prepend=[[0, 0]])
    decodes, empties = np.moveaxis(counted.reshape(-1, len(layers), 2), 2, 0)
    pes = compiled.config.pes
    leads = np.array([0, *(layer_lead(compiled.config, -(-layer.matrix.shape[0] // pes))
                           for layer in layers[:-1])], np.int64)
    begins = (np.cumsum(cycles, axis=1) - cycles - leads)[:len(probed)]
    return RtlRun(compiled.from_engine(recorded["results"]), activations, clean, cycles,
                  recorded["blocked"], np.diff(recorded["products"], axis=1, prepend=0),
                  decodes, empties, probed[:, :, 2] - begins)


def compare(compiled: CompiledNetwork, x: NDArray[np.integer], built: Build, *,
            stall: float = 0.0, folder: Path | None = None, traced: bool = False) -> Comparison:
    """Run inputs of shape (samples, inputs) on the RTL and both models, and compare all of it.

    What a trace needs beyond that is counted by a :func:`probe`. Where inferences are interleaved,
    the inputs run twice, one by one and in a stream (:mod:`eieio.sim.sparse.streaming`), and what
    is wrong in either counts.
    """
    del traced
    golden = compiled.run(x)
    timer = NetworkTimer(compiled)
    timings = [timer(sample, [layer[number] for layer in golden])
               for number, sample in enumerate(x)]
    model_cycles = np.array([[layer.cycles for layer in sample] for sample in timings])
    model_blocked = np.array([sum(layer.blocked_cycles for layer in sample) for sample in timings])
    rtl = run_rtl(compiled, x, built, stall=stall, folder=folder,
                  max_cycles=2 * int(model_cycles.sum(axis=1).max()))
    model_products = np.array([[int(layer.products.sum()) for layer in sample]
                               for sample in timings])
    mismatches = sum(int(np.count_nonzero(of_rtl != of_golden)) for of_rtl, of_golden in
                     zip([*rtl.activations, rtl.outputs], [*golden, golden[-1]], strict=True))
    mismatches += not rtl.padding_clean
    cycle_mismatches = (int(np.count_nonzero(rtl.layer_cycles != model_cycles))
                        + int(np.count_nonzero(rtl.products != model_products))
                        + int(np.count_nonzero(rtl.blocked_cycles != model_blocked)))
    if compiled.config.interleaved and built.top != HARNESS:
        stream = compare_stream(compiled, x, built, input_stall=stall,
                                output_stall=0 if compiled.config.guarded else stall)
        mismatches += stream.mismatches
        cycle_mismatches += stream.cycle_mismatches
    return Comparison(rtl, golden, timings, mismatches, cycle_mismatches,
                      _profiles(compiled, timings, rtl))


def _profiles(compiled: CompiledNetwork, timings: list[list[LayerTiming]], rtl: RtlRun
              ) -> dict[str, list[list[LayerProfile]]]:
    names = [layer.layer.name for layer in compiled.layers]
    found = {"cycle model": model_profiles(names, timings)}
    if len(rtl.decodes):
        decoded = np.where(rtl.decodes, rtl.last_decodes - _BEFORE_TAKE, 0)
        found["RTL"] = [
            [layer_profile(name, compiled.config.pes, *map(int, layer))
             for name, layer in zip(names, np.transpose(sample), strict=True)]
            for sample in np.stack([rtl.layer_cycles, rtl.products, rtl.decodes, rtl.empties,
                                    decoded], axis=1)]
    return found
