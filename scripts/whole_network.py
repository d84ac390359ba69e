"""Measures a whole network on an engine: latency and interval, in RTL beside models."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine import Compiled
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.interval import Interval
from eieio.model.trace import mean_profile
from eieio.scripts import steps
from eieio.scripts.console import progress
from eieio.scripts.reference_kernels import ReferenceKernels
from eieio.scripts.speed import speed_of
from eieio.sim.interval import measure_stream
from eieio.sim.run_case import TIMEOUT

__all__ = ["Measurement", "Shares", "measure"]

#: Inputs that follow one another until the interval is a steady one.
_STEADY = 4


@dataclass(frozen=True)
class Shares:
    """What the cycles of an inference go to, by the cycle model.

    Attributes
    ----------
    causes : mapping of :class:`str` to :class:`float`
        Cycles by what they are spent for, largest first.
    operators : mapping of :class:`str` to :class:`float`
        Cycles by kind of operator, largest first.
    texts : mapping of :class:`str` to :class:`str`
        What each cause is, in words.
    """

    causes: Mapping[str, float] = field(default_factory=dict)
    operators: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """What a network takes on an engine.

    Attributes
    ----------
    cycles : :class:`float`
        Latency: cycles of an inference, input and output excluded; the mean of the inputs.
    interval : Interval
        What a stream of inferences takes each, with input and output, by the cycle model.
    shares : Shares
        What the inference's cycles go to.
    rtl_cycles, rtl_interval : :class:`float` or None
        Latency and steady interval as the RTL showed them; None if it did not run.
    mismatches, cycle_mismatches : :class:`int` or None
        Integers, and cycle counts or intervals, of the RTL that differ from the models'.
    compared : :class:`int`
        Integers of the RTL that were compared with the golden model.
    reference_compared, reference_mismatches : :class:`int` or None
        Integers of all layers of the golden model and of the RTL's outputs that were compared with
        the reference kernels, and that differ; None if there are no kernels for the file.
    """

    cycles: float
    interval: Interval
    shares: Shares
    rtl_cycles: float | None = None
    rtl_interval: float | None = None
    mismatches: int | None = None
    cycle_mismatches: int | None = None
    compared: int = 0
    reference_compared: int | None = None
    reference_mismatches: int | None = None


def measure(path: Path, graph: QuantizedGraph, compiled: Compiled, x: NDArray[np.floating], *,
            simulator: str | None) -> Measurement:
    """Measure a network.

    Every integer of all layers, the cycles of every layer, and the interval of inputs that follow
    one another without a pause must be those of the models, and all that the golden model and the
    RTL compute what TensorFlow Lite's reference kernels do.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        Its file.
    graph : QuantizedGraph
        The network in the file.
    compiled : Compiled
        The network in its engine.
    x : float array of shape (samples, and the shape of the input)
        Inputs, of whole batches.
    simulator : :class:`str` or None
        Simulator of the RTL; without one nothing but the models runs.
    """
    integers = compiled.quantize(x)
    latencies = [entry.cycles for entry in compiled.counters(integers)][::compiled.batch]
    cycles = float(np.mean(latencies))
    interval = speed_of(compiled.host, cycles).interval
    shares = _shares(compiled, x)
    if simulator is None:
        return Measurement(cycles, interval, shares)
    built = steps.build_simulation(compiled, x, simulator)
    comparison = steps.simulate(compiled, x, built)
    with progress("Simulating a stream of inferences"):
        # At least as many inferences as it takes until one waits for the other.
        host = compiled.host
        wanted = host.group(integers.reshape(len(integers), -1))
        turns = np.arange(max(_STEADY, len(wanted))) % len(wanted)
        seen = measure_stream(
            host, wanted[turns], built, shell=False, timeout=TIMEOUT,
            max_cycles=round(4 * max(latencies)) + 4 * host.outputs.beats + 100_000)
    golden = compiled.run(integers)
    streamed = golden.reshape(len(wanted), -1)[turns]
    expected = speed_of(host, latencies[turns[-1]]).interval.cycles
    steady = int(seen.outputs_from[-1] - seen.outputs_from[-2])
    outputs = comparison.outputs.reshape(golden.shape)
    reference = _compare_with_kernels(path, graph, compiled, x, outputs)
    return Measurement(
        cycles, interval, shares,
        rtl_cycles=float(comparison.layer_cycles.sum(axis=1).mean()), rtl_interval=steady,
        mismatches=comparison.mismatches + int(np.count_nonzero(
            seen.outputs.reshape(streamed.shape) != streamed)),
        cycle_mismatches=comparison.cycle_mismatches + int(steady != expected),
        compared=comparison.compared_integers + streamed.size,
        reference_compared=reference and reference[0], reference_mismatches=reference
        and reference[1])


def _compare_with_kernels(path: Path, graph: QuantizedGraph, compiled: Compiled,
                          x: NDArray[np.floating], outputs: NDArray[np.integer]
                          ) -> tuple[int, int] | None:
    """Compare the golden model's tensors, and the RTL's outputs, with the reference kernels."""
    if not ReferenceKernels.can(path):
        return None
    integers = graph.input.quantize(x)
    tensors = run_graph(graph, integers)
    kernels = ReferenceKernels(path)
    compared, differ = kernels.differences(integers, tensors)
    found = compiled.real(compiled.finish(outputs)).reshape(len(x), -1)
    for sample, values in zip(integers, found, strict=True):
        expected = graph.output.dequantize(kernels.run(sample)[graph.output.name]).ravel()
        compared += expected.size
        differ += int(np.count_nonzero(values != expected.astype(np.float32)))
    return compared, differ


def _shares(compiled: Compiled, x: NDArray[np.floating]) -> Shares:
    """Add up what the layers' cycles go to."""
    described = compiled.describe(x)
    kinds = {operator["name"]: operator["operator"]
             for operator in described.get("graph", {}).get("operators", ())}
    causes: Counter[str] = Counter()
    operators: Counter[str] = Counter()
    inferences = compiled.profiles(x)
    for layer in mean_profile(inferences) if inferences else ():
        causes.update(layer.causes)
        operators[kinds.get(layer.name, layer.name)] += layer.cycles  # type: ignore[assignment]
    return Shares(*({name: value for name, value in counted.most_common() if value}
                    for counted in (causes, operators)), texts=described.get("causes", {}))
