"""Runs a stream of inputs on the RTL of a sparse engine whose inferences are interleaved."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.sparse.area import memories
from eieio.model.sparse.interleaving import InterleavedTiming, time_interleaved
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.sparse.timing import TO_OUTPUT, NetworkTimer
from eieio.sim.run_case import clearing_cycles, run_case
from eieio.sim.runner import Build, SimulationError, simulation_folder
from eieio.sim.sparse.written import written_activations

__all__ = ["StreamComparison", "compare_stream"]


@dataclass(frozen=True, eq=False)
class StreamComparison:
    """The RTL beside the models.

    Attributes
    ----------
    begins, hand_overs : int64 arrays of shape (inferences,)
        Cycles in which inferences began and were handed over, in the RTL.
    written, products : int64 arrays of shape (inferences, layers)
        Cycles in which layers wrote their last word, and products until then, in the RTL.
    timing : InterleavedTiming
        What the cycle model says for such beginnings and hand-overs.
    mismatches : :class:`int`
        Integers of any layer, or of the output stream, that differ from the golden model's.
    cycle_mismatches : :class:`int`
        Differences of the RTL from the cycle model: last writes of layers, products of layers, and
        latency, products and blocked cycles of inferences as the engine counts them; beginnings and
        hand-overs that came too early or, with streams that never wait, too late.
    """

    begins: NDArray[np.int64]
    hand_overs: NDArray[np.int64]
    written: NDArray[np.int64]
    products: NDArray[np.int64]
    timing: InterleavedTiming
    mismatches: int
    cycle_mismatches: int


def compare_stream(compiled: CompiledNetwork, x: NDArray[np.integer], built: Build, *,
                   input_stall: float = 0, output_stall: float = 0,
                   max_cycles: int = 100_000) -> StreamComparison:
    """Run a stream of inputs on the RTL and both models, and compare all of it.

    Parameters
    ----------
    compiled : CompiledNetwork
        Network to run.
    x : integer array of shape (samples, inputs)
        Inputs.
    built : Build
        Simulation of an engine of ``compiled.config``, whose inferences are interleaved.
    input_stall, output_stall : :class:`float`
        Probabilities that the streams stall in a cycle. With parity or a watchdog outputs must not
        stall: when they leave the engine itself would not be seen.
    max_cycles : :class:`int`
        Cycles in which an inference must end.
    """
    golden = compiled.run(x)
    layers = len(compiled.layers)
    with simulation_folder() as folder:
        seen = run_case(
            built, "eieio.sim.sparse.bench_stream",
            {"image": compiled.image(), "inputs": compiled.to_engine(x)}, folder,
            config=compiled.config.to_dict(), input_stall=input_stall, output_stall=output_stall,
            max_cycles=max_cycles, outputs=compiled.layers[-1].matrix.shape[0],
            clearing=clearing_cycles(
                compiled.config, (memory.depth for memory in memories(compiled.config))))
        activations, clean = written_activations(compiled, len(x), seen["words"], seen["data"],
                                                 folder)
        found = [seen["layers"][seen["layers"][:, 0] == number] for number in range(layers)]
        if {len(x)} != {len(of) for of in (*found, seen["begun"], seen["offered"])}:
            raise SimulationError("Each input must be inferred once", folder / "simulation.log")
    outputs = compiled.from_engine(seen["results"])
    mismatches = sum(int(np.count_nonzero(of_rtl != of_golden)) for of_rtl, of_golden in
                     zip([*activations, outputs], [*golden, golden[-1]], strict=True))

    _, written, counted, products = np.moveaxis(np.stack(found, axis=1), 2, 0)
    begins, hand_overs = seen["begun"], seen["offered"] - TO_OUTPUT
    if compiled.config.guarded:
        # The guard holds outputs back for as long as a fault takes to be known: the first one, for
        # which no other makes room, tells how long.
        hand_overs = hand_overs - (hand_overs[0] - written[0, -1])
    early = 0

    def begin(number: int, free: int) -> int:
        nonlocal early
        early += bool(begins[number] < free)
        return int(begins[number])

    def hand_over(number: int, last: int) -> int:
        nonlocal early
        early += bool(hand_overs[number] < last)
        return int(hand_overs[number])

    timer = NetworkTimer(compiled)
    timings = [timer(sample, [layer[number] for layer in golden])
               for number, sample in enumerate(x)]
    timing = time_interleaved(
        compiled.config, [timer.inputs(sample, [layer[number] for layer in golden])
                          for number, sample in enumerate(x)], begin, hand_over)
    expected = np.cumsum([[int(layer.products.sum()) for layer in sample] for sample in timings],
                         axis=1)
    counters = np.stack([timing.cycles, expected[:, -1], timing.blocked], axis=1)
    return StreamComparison(
        begins, hand_overs, written, products, timing, mismatches + (not clean),
        early + sum(int(np.count_nonzero(of_rtl != of_model)) for of_rtl, of_model in (
            (written, timing.written), (counted, timing.written - timing.begins[:, None]),
            (products, expected), (seen["counters"], counters))))
