"""Runs networks on the RTL of the DaDianNao engine, and compares it with the models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.dadiannao.instruction import INSTRUCTION_WORDS, SEGMENTS
from eieio.model.dadiannao.prepared import DaDianNaoCompiled
from eieio.sim import simulation
from eieio.sim.run_case import clearing_cycles, run_case
from eieio.sim.runner import Build, SimulationError, simulation_folder

__all__ = ["Comparison", "RtlRun", "compare"]

# Cycles of an inference before the first in which `busy` shows it, itself included.
_BEGIN = 2


@dataclass(frozen=True, eq=False)
class RtlRun:
    """What the RTL did.

    Attributes
    ----------
    outputs : integer array of shape (inferences, and the shape of the output)
        Outputs.
    layer_cycles : int64 array of shape (inferences, layers)
        Cycles of each layer.
    """

    outputs: NDArray[np.integer]
    layer_cycles: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Comparison(simulation.Comparison):
    """The RTL beside the models.

    Attributes
    ----------
    rtl, golden, mismatches, cycle_mismatches :
        As in the base class; an instruction that ends in another cycle counts as one of the
        latter, and each counter.
    layer_mismatches : list of :class:`int`
        Integers of each layer that differ.
    """

    rtl: RtlRun
    golden: list[NDArray[np.integer]]
    mismatches: int
    cycle_mismatches: int
    layer_mismatches: list[int]


def compare(compiled: DaDianNaoCompiled, x: NDArray[np.integer], built: Build, *,
            folder: Path | None = None, traced: bool = False, stall: float = 0.0) -> Comparison:
    """Run inferences; every tensor that lies in the central buffer is compared.

    ``stall`` is the probability of a cycle in which a stream waits; for the others see
    :meth:`eieio.sim.simulation.Simulation.compare`.
    """
    del traced
    graph, config = compiled.compiled, compiled.compiled.config
    host, timing = compiled.host, compiled.timing
    octets = -(-host.inputs.beat_bits // 8)
    x = x.astype(graph.graph.input.dtype)
    inputs = np.array([np.frombuffer(host.inputs.pack(each.reshape(-1)), np.uint8) for each in x])
    with simulation_folder(folder) as place:
        seen = run_case(
            built, "eieio.sim.dadiannao.bench_engine",
            {"image": host.words, "inputs": inputs.reshape(len(x), -1, octets)}, place,
            stall=stall, word_width=host.inputs.beat_bits, outputs=host.outputs.beats,
            max_cycles=2 * timing.cycles + 1000, clearing=clearing_cycles(config, (
                config.central_depth, config.sb_depth, config.parameter_depth, 2 * SEGMENTS,
                config.program_depth * INSTRUCTION_WORDS)))
        if seen["error"]:
            raise SimulationError(f"The RTL says error {int(seen['error'])}",
                                  place / "simulation.log")
    outputs = np.array([host.outputs.unpack(each.tobytes()) for each in seen["outputs"]])
    outputs = outputs.reshape(len(x), *graph.result.shape)
    golden = compiled.values(x)
    right = golden[graph.result.name]
    wrong, kept = _compare_words(compiled, seen["words"], golden, len(x))

    instructions = len(graph.program())
    ends = seen["ends"].reshape(len(x), instructions) + _BEGIN
    expected = np.cumsum([each.cycles for layer in timing.layers for each in layer])
    counters = [[count.cycles, count.macs, *count.stalls] for count in compiled.counters(x)]
    cycle_mismatches = int(np.count_nonzero(ends != expected)
                           + np.count_nonzero(seen["counters"] != counters))
    lasts = np.cumsum([len(layer) for layer in timing.layers]) - 1
    layer_cycles = np.diff(ends[:, lasts], axis=1, prepend=0)
    return Comparison(
        RtlRun(outputs, layer_cycles), kept,
        sum(wrong) + int(np.count_nonzero(outputs != right)), cycle_mismatches, wrong)


def _compare_words(compiled: DaDianNaoCompiled, words: NDArray[np.int64],
                   golden: dict[str, NDArray[Any]], count: int
                   ) -> tuple[list[int], list[NDArray[np.integer]]]:
    """Compare what was written of each layer's tensor; what was not written differs."""
    graph, config = compiled.compiled, compiled.compiled.config
    total = len(graph.program())
    numbers = words[:, 2:].astype(np.uint8)
    bits = np.unpackbits(numbers, axis=1, bitorder="little")[
        :, :config.outputs * config.activation_width]
    weights = 1 << np.arange(config.activation_width, dtype=np.int64)
    weights[-1] *= -1
    values = bits.reshape(len(words), config.outputs, -1) @ weights
    wrong, kept = [], []
    first = len(graph.start[0])
    for layer in graph.layers:
        tensor, placement = layer.operator.output, graph.placements[layer.operator.output]
        last = first + len(layer.programs[0])
        right = golden[tensor.name]
        different = 0
        for inference in range(count):
            index = words[:, 0] - inference * total
            mine = (index >= first) & (index < last)
            place = words[mine, 1] - placement.addr
            inside = (place >= 0) & (place < placement.shape.size)
            found = np.full((placement.shape.size, config.outputs), 1 << 40, np.int64)
            found[place[inside]] = values[mine][inside]
            taken = found.reshape(-1)[placement.shape.positions]
            different += int(np.count_nonzero(
                taken + tensor.zero_point != right[inference].reshape(-1)))
        wrong.append(different)
        kept.append(right)
        first = last
    return wrong, kept
