"""Runs a compiled network on the RTL of a tensor core, and compares it with both models."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.tensor_core.engine_timing import time_descriptor
from eieio.model.tensor_core.graph_golden import run_network
from eieio.model.tensor_core.mapping import CompiledNetwork
from eieio.model.tensor_core.profile import layer_profiles
from eieio.model.tensor_core.program import DESCRIPTOR_WORDS
from eieio.model.trace import LayerProfile
from eieio.sim import simulation
from eieio.sim.case import case_environment, load_outputs, save_case
from eieio.sim.run_case import clearing_cycles
from eieio.sim.runner import Build, SimulationError, run, simulation_folder

__all__ = ["Comparison", "RtlRun", "compare", "run_rtl"]

#: Seconds after which a simulation is given up. The bench bounds itself by cycles; this is for a
#: simulator that hangs.
TIMEOUT = 7200


@dataclass(frozen=True, eq=False)
class RtlRun:
    """What the RTL did.

    Attributes
    ----------
    outputs : int16 array of shape (inferences, and the shape of the result)
        What the output stream carried: bits.
    tensors : list of uint16 arrays of shape (inferences, and the shape of the value)
        What each layer wrote: bits.
    layer_cycles : int64 array of shape (inferences, layers)
        Cycles of each layer, as the engine counted them.
    counters : int64 array of shape (inferences, descriptors, 4)
        By descriptor: cycles, multiplications, and stalls for operands and for sums.
    """

    outputs: NDArray[np.int16]
    tensors: list[NDArray[np.uint16]]
    layer_cycles: NDArray[np.int64]
    counters: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Comparison(simulation.Comparison):
    """The RTL beside the models.

    Attributes
    ----------
    rtl, golden, mismatches :
        As in the base class.
    cycle_mismatches : :class:`int`
        Counters of descriptors that differ from the cycle model's.
    layer_mismatches : list of :class:`int`
        Numbers of each layer that differ in a bit.
    profiles : dict
        Where the cycles went: see :meth:`eieio.sim.simulation.Simulation.compare`.
    """

    rtl: RtlRun
    golden: list[NDArray[np.uint16]]
    mismatches: int
    cycle_mismatches: int
    layer_mismatches: list[int]
    profiles: dict[str, list[list[LayerProfile]]] = field(default_factory=dict)


def run_rtl(compiled: CompiledNetwork, x: NDArray[np.integer], built: Build, *, max_cycles: int,
            stall: float = 0.0, folder: Path | None = None) -> RtlRun:
    """Run inputs on the RTL.

    Parameters
    ----------
    compiled : CompiledNetwork
        Network to run.
    x : int16 or uint16 array of shape (inferences, and the shape of the input)
        Bits of the inputs.
    built : Build
        What :func:`eieio.sim.simulation.build_engine` returned for ``compiled.config``.
    max_cycles : :class:`int`
        Cycles in which an inference must end.
    stall : :class:`float`
        Probability that a stream stalls in a cycle.
    folder : :class:`pathlib.Path`, optional
        Where to keep what the bench read, wrote and printed, and the waveforms.

    Raises
    ------
    SimulationError
        If an inference does not end in time, the engine reports an error, or a layer does not write
        each of its numbers once.
    """
    config = compiled.config
    products = config.products
    beats = np.zeros((len(x), compiled.input_beats * products), np.uint16)
    beats[:, :compiled.graph.input.elements] = x.reshape(len(x), -1).view(np.uint16)
    with simulation_folder(folder) as place:
        save_case(place, {"image": compiled.words, "inputs": beats.reshape(len(x), -1, products)},
                  stall=stall, max_cycles=max_cycles, output_beats=compiled.output_beats,
                  descriptors=len(compiled.descriptors), clearing=clearing_cycles(config, (
                      config.activation_depth // products, config.weight_depth, config.bias_depth,
                      config.program_depth * DESCRIPTOR_WORDS)))
        run(built, "eieio.sim.tensor_core.bench_engine", environment=case_environment(place),
            folder=place, timeout=TIMEOUT)
        seen = load_outputs(place)
        tensors = _written(compiled, len(x), seen["places"], seen["data"], place)
    outputs = seen["results"][:, :compiled.result.elements].view(np.int16)
    counters = np.diff(seen["counters"], axis=1, prepend=0)
    ends = np.cumsum([len(layer.descriptors) for layer in compiled.layers])
    cycles = np.diff(np.cumsum(counters[:, :, 0], axis=1)[:, ends - 1], axis=1, prepend=0)
    return RtlRun(outputs.reshape(len(x), *compiled.result.shape), tensors, cycles, counters)


def _written(compiled: CompiledNetwork, inferences: int, places: NDArray[np.int64],
             data: NDArray[np.uint16], folder: Path) -> list[NDArray[np.uint16]]:
    """Put together what each layer wrote: each number once for each inference."""
    columns = compiled.config.columns
    number = np.repeat(np.arange(len(compiled.layers)),
                       [len(layer.descriptors) for layer in compiled.layers])
    wanted = (places[:, 2:] >> np.arange(columns) & 1).astype(bool)
    addresses = np.where(wanted, places[:, 1:2] + np.arange(columns), -1)
    layers = number[places[:, 0]]
    found = []
    for position, layer in enumerate(compiled.layers):
        mine = layers == position
        elements = layer.operator.output.elements
        offsets = (addresses[mine] - layer.address)[wanted[mine]]
        # Sums of values may fill their last word.
        kept = offsets < elements
        offsets, values = offsets[kept], data[mine][wanted[mine]][kept]
        if offsets.size != inferences * elements or offsets.min(initial=0) < 0:
            raise SimulationError(f"Layer {layer.name!r} must write each of its numbers once for "
                                  "each input", folder / "simulation.log")
        order = offsets.reshape(inferences, elements)
        if not np.array_equal(np.sort(order), np.tile(np.arange(elements), (inferences, 1))):
            raise SimulationError(f"Layer {layer.name!r} must write each of its numbers once for "
                                  "each input", folder / "simulation.log")
        tensor = np.empty((inferences, elements), np.uint16)
        np.put_along_axis(tensor, order, values.reshape(inferences, elements), axis=1)
        found.append(tensor.reshape(inferences, *layer.operator.output.shape))
    return found


def compare(compiled: CompiledNetwork, x: NDArray[np.integer], built: Build, *,
            stall: float = 0.0, folder: Path | None = None, traced: bool = False) -> Comparison:
    """Run inputs of shape (inferences, ...) on the RTL and both models, and compare.

    See :meth:`eieio.sim.simulation.Simulation.compare`.
    """
    del traced  # It costs nothing.
    config = compiled.config
    values = run_network(compiled.graph, x.astype(np.int16).view(np.uint16), config)
    golden = [values[layer.operator.output.name] for layer in compiled.layers]
    timings = [time_descriptor(each, config) for each in compiled.descriptors]
    rtl = run_rtl(compiled, x.astype(np.int16), built, stall=stall, folder=folder,
                  max_cycles=2 * sum(each.cycles for each in timings))
    layer_mismatches = [int(np.count_nonzero(of_rtl != of_golden)) for of_rtl, of_golden
                        in zip(rtl.tensors, golden, strict=True)]
    result = values[compiled.result.name].view(np.int16)
    expected = np.array([(each.cycles, 0 if descriptor.maximum else each.steps * config.multipliers,
                          each.operand_stalls, each.sum_stalls)
                         for each, descriptor in zip(timings, compiled.descriptors, strict=True)])
    return Comparison(
        rtl, golden, sum(layer_mismatches) + int(np.count_nonzero(rtl.outputs != result)),
        int(np.count_nonzero(rtl.counters != expected)), layer_mismatches,
        {"cycle model": [layer_profiles(compiled, timings)] * len(x)})
