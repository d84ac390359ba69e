"""Runs a compiled network on the RTL of a mixed engine, and compares it with both models."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.mixed.area import memories
from eieio.model.mixed.mapping import CompiledMixed
from eieio.model.mixed.report import model_profiles
from eieio.model.mixed.timing import InferenceTiming, MixedTimer, time_stream
from eieio.model.sparse.timing import StreamTiming
from eieio.model.trace import LayerProfile
from eieio.sim import simulation
from eieio.sim.run_case import clearing_cycles, run_case
from eieio.sim.runner import Build, simulation_folder
from eieio.sim.sparse.written import written_activations
from eieio.sim.systolic.simulation import written_tensors

__all__ = ["Comparison", "RtlRun", "compare", "run_rtl"]

#: Cycles that a stream may take beyond the models' for the image and the reset.
_MARGIN = 20_000


@dataclass(frozen=True, eq=False)
class RtlRun:
    """What the RTL did with a stream of inputs.

    Attributes
    ----------
    outputs : integer array of shape (inferences, outputs)
        What the output stream carried, in the network's order.
    tensors : list of integer arrays of shape (inferences, ...)
        What each layer wrote.
    padding_clean : :class:`bool`
        Whether the sparse engine wrote every position that holds no output as 0.
    layer_cycles : int64 array of shape (inferences, layers)
        Cycles of each layer, and of the step between the engines, as they counted them.
    counters : int64 array of shape (inferences, 5)
        Cycles, multiplications, and stalls of three kinds.
    products : int64 array of shape (inferences, layers of the sparse engine)
        Multiplications of each.
    inputs, outputs_from : int64 arrays of shape (inferences,)
        Cycles of the first beats of inputs and outputs, from the first one on.
    """

    outputs: NDArray[np.integer]
    tensors: list[NDArray[np.integer]]
    padding_clean: bool
    layer_cycles: NDArray[np.int64]
    counters: NDArray[np.int64]
    products: NDArray[np.int64]
    inputs: NDArray[np.int64]
    outputs_from: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Comparison(simulation.Comparison):
    """The RTL beside the models.

    Attributes
    ----------
    rtl : RtlRun
        What the RTL did.
    golden : list of integer arrays of shape (inferences, ...)
        What each layer must compute.
    timings : list of InferenceTiming
        What the cycle model says of each inference.
    stream : StreamTiming
        And of when beats move; compared if no stream stalled.
    layer_mismatches : int64 array of shape (layers,)
        Integers of each layer that differ from the golden model's.
    mismatches : :class:`int`
        Integers of any layer, or of the output stream, that differ.
    cycle_mismatches : :class:`int`
        Cycles and counters of layers and inferences, and cycles in which inputs and outputs begin,
        that differ from the cycle model's.
    profiles : dict
        Where the cycles went, by the cycle model.
    """

    rtl: RtlRun
    golden: list[NDArray[np.integer]]
    timings: list[InferenceTiming]
    stream: StreamTiming
    layer_mismatches: NDArray[np.int64]
    mismatches: int
    cycle_mismatches: int
    profiles: dict[str, list[list[LayerProfile]]]

    @cached_property
    def intervals(self) -> list[int]:
        """Cycles from one input to the next, as the RTL took them."""
        return np.diff(self.rtl.inputs).tolist()


def run_rtl(compiled: CompiledMixed, x: NDArray[np.int8], built: Build, *, max_cycles: int,
            stall: float = 0.0, folder: Path | None = None) -> RtlRun:
    """Run a stream of inputs on the RTL.

    Parameters
    ----------
    compiled : CompiledMixed
        Network to run.
    x : int8 array of shape (inferences, and the shape of the input)
        Inputs.
    built : Build
        What :func:`eieio.sim.simulation.build_engine` returned for ``compiled.config``.
    max_cycles : :class:`int`
        Cycles in which an output must come.
    stall : :class:`float`
        Probability that a stream stalls in a cycle.
    folder : :class:`pathlib.Path`, optional
        Where to keep what the bench read, wrote and printed. The default is a temporary folder,
        which is kept only if the simulation fails.

    Raises
    ------
    SimulationError
        If an inference does not end in time, the engine reports an error, or it writes anything but
        what each layer must write once.
    """
    dense, first = compiled.dense, compiled.convolutions
    config = dense.config
    outputs = dense.layers[-1].matrix.shape[0]
    with simulation_folder(folder) as place:
        seen = run_case(
            built, "eieio.sim.mixed.bench_engine",
            {"image": compiled.image(), "inputs": np.stack([first.pack(sample) for sample in x])},
            place, stall=stall, max_cycles=max_cycles,
            output_beats=-(-outputs // config.io_lanes), io_lanes=config.io_lanes,
            output_width=config.activation_width, pes=config.pes,
            clearing=clearing_cycles(
                compiled.config, (memory.depth for memory in memories(compiled.config))))
        tensors = [tensor[:, 0] for tensor in written_tensors(
            first, len(x), seen["places"], seen["groups"], place)]
        activations, clean = written_activations(dense, len(x), seen["words"], seen["data"], place)
    first_cycles = np.diff(seen["first_cycles"], axis=1, prepend=0)
    step = (seen["counters"][:, :1] - first_cycles.sum(axis=1, keepdims=True)
            - seen["second_cycles"].sum(axis=1, keepdims=True))
    return RtlRun(
        dense.from_engine(seen["results"][:, :outputs]), [*tensors, *activations], clean,
        np.concatenate([first_cycles, step, seen["second_cycles"]], axis=1), seen["counters"],
        np.diff(seen["products"], axis=1, prepend=0), seen["inputs"] - seen["inputs"][0],
        seen["outputs"] - seen["inputs"][0])


def compare(compiled: CompiledMixed, x: NDArray[np.int8], built: Build, *, stall: float = 0.0,
            folder: Path | None = None, traced: bool = False) -> Comparison:
    """Run a stream of inputs of shape (inferences, ...) on the RTL and both models, and compare."""
    del traced
    values = compiled.run(x)
    golden = [values[tensor.name] for tensor in compiled.results]
    timings = MixedTimer(compiled)(x)
    first, config = compiled.convolutions, compiled.config.dense
    output_beats = -(-compiled.dense.layers[-1].matrix.shape[0] // config.io_lanes)
    stream = time_stream(compiled, timings, first.input_beats, output_beats)
    longest = 2 * max(timing.cycles for timing in timings) + len(compiled.image()) + _MARGIN
    rtl = run_rtl(compiled, x, built, stall=stall, folder=folder,
                  max_cycles=int(longest / (1 - stall)))
    layer_mismatches = np.array([np.count_nonzero(of_rtl.reshape(of_golden.shape) != of_golden)
                                 for of_rtl, of_golden in zip(rtl.tensors, golden, strict=True)])
    mismatches = (int(layer_mismatches.sum()) + (not rtl.padding_clean)
                  + int(np.count_nonzero(rtl.outputs != golden[-1].reshape(rtl.outputs.shape))))
    compared = [
        (rtl.layer_cycles, [timing.layer_cycles for timing in timings]),
        (rtl.counters, [(timing.cycles, timing.macs, *timing.stalls) for timing in timings]),
        (rtl.products, [[int(layer.products.sum()) for layer in timing.dense]
                        for timing in timings])]
    if not stall:
        # A guard holds each output back for as long as a fault takes to be known, as the first one
        # tells.
        later = rtl.outputs_from[0] - stream.outputs[0] if compiled.config.guarded else 0
        compared += [(rtl.inputs, stream.inputs), (rtl.outputs_from - later, stream.outputs)]
    cycle_mismatches = sum(int(np.count_nonzero(of_rtl != np.array(of_model)))
                           for of_rtl, of_model in compared)
    return Comparison(rtl, golden, timings, stream, layer_mismatches, mismatches,
                      cycle_mismatches, {"cycle model": model_profiles(compiled, timings)})
