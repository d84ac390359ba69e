"""Runs layers and networks on the RTL of a row-stationary array, beside the models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.eyeriss.counters import expected_counters, expected_output
from eieio.model.eyeriss.prepared import EyerissCompiled
from eieio.model.eyeriss.program import Program
from eieio.model.eyeriss.timing import program_cycles
from eieio.model.graph.golden import run_graph, run_operator
from eieio.model.graph.quantized_graph import WeightedOperator
from eieio.model.trace import LayerProfile
from eieio.rtl.eyeriss.engine import COUNTERS
from eieio.sim import simulation
from eieio.sim.run_case import run_case
from eieio.sim.runner import Build, SimulationError, simulation_folder

__all__ = ["Comparison", "LayerRun", "RtlRun", "compare", "run_program"]


@dataclass(frozen=True, eq=False)
class LayerRun:
    """What the RTL did.

    Attributes
    ----------
    output : int16 array of shape (batch, rows, columns, channels)
        Activations, less their zero point.
    words : uint64 array
        The words in which they came.
    cycles : list of :class:`int`
        Cycles of each command; with pauses of the streams, if there were any.
    counters : dict of :class:`int`
        The hardware's counters by name.
    """

    output: NDArray[np.int16]
    words: NDArray[np.uint64]
    cycles: list[int]
    counters: dict[str, int]


def run_program(built: Build, program: Program, *, stall: float = 0.0,
                disturbance: NDArray[np.uint64] | None = None,
                folder: Path | None = None) -> LayerRun:
    """Run the commands of a layer.

    Parameters
    ----------
    built : Build
        What :func:`eieio.sim.simulation.build_engine` returned for the program's configuration.
    program : Program
        The commands.
    stall : :class:`float`
        Probability of a cycle in which a stream waits.
    disturbance : uint64 array of shape (rounds, words), optional
        Words that are sent before: of each round as many as the engine takes in so many cycles,
        behind which it is reset.
    folder : :class:`pathlib.Path`, optional
        Where to keep what the bench read and wrote.

    Raises
    ------
    SimulationError
        If the engine does not end, or says that a command or a code is wrong.
    """
    expected = sum(program_cycles(program))
    with simulation_folder(folder) as place:
        arrays = {"words": program.words} | (
            {} if disturbance is None else {"disturbance": disturbance})
        seen = run_case(built, "eieio.sim.eyeriss.bench_engine", arrays, place,
                        stall=stall, max_cycles=int(expected * (1 + 8 * stall)) + 1000)
        counters: dict[str, int] = dict(zip(COUNTERS, seen["counters"].tolist(), strict=True))
        if seen["ended"] < 0 or seen["busy"] or seen["error"]:
            raise SimulationError(
                f"The RTL took {len(seen['accepted'])} of {len(program.words)} words and gave "
                f"{len(seen['outputs'])}, and is {'busy' if seen['busy'] else 'idle'}"
                f"{', with an error' if seen['error'] else ''}: {counters}",
                place / "simulation.log")
        starts = np.cumsum([0, *(len(command.words) for command in program.commands[:-1])])
        ends = [*seen["accepted"][starts], int(seen["ended"]) + 1]
        return LayerRun(program.output(seen["outputs"]), seen["outputs"],
                        np.diff(ends).tolist(), counters)


@dataclass(frozen=True, eq=False)
class RtlRun:
    """What the RTL did.

    Attributes
    ----------
    outputs : integer array of shape (inferences, and the shape of the output)
        Outputs of the network.
    layer_cycles : int64 array of shape (inferences, layers)
        Cycles of each layer, as the hardware counted them.
    """

    outputs: NDArray[np.integer]
    layer_cycles: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Comparison(simulation.Comparison):
    """The RTL beside the models.

    Attributes
    ----------
    rtl, golden, mismatches, cycle_mismatches :
        As in the base class; a layer whose words in the outer memory, counters, or cycles of any
        command differ counts as one of the latter.
    layer_mismatches : list of :class:`int`
        Integers of each layer that differ.
    profiles : dict
        What the cycles went to: see :meth:`eieio.sim.simulation.Simulation.compare`.
    """

    rtl: RtlRun
    golden: list[NDArray[np.integer]]
    mismatches: int
    cycle_mismatches: int
    layer_mismatches: list[int]
    profiles: dict[str, list[list[LayerProfile]]]


def compare(compiled: EyerissCompiled, x: NDArray[np.integer], built: Build, *,
            folder: Path | None = None, traced: bool = False) -> Comparison:
    """Run inferences layer by layer: each takes what the RTL computed before, by way of the host.

    See :meth:`eieio.sim.simulation.Simulation.compare`.
    """
    del traced  # It costs nothing.
    graph, names = compiled.graph, [layer.layer.name for layer in compiled.layers]
    x = x.astype(graph.input.dtype)
    golden = run_graph(graph, x)
    layers = {layer.operator: layer for layer in compiled.layers}
    wrong, cycles, cycle_mismatches = dict.fromkeys(names, 0), [], 0
    outputs, profiles = [], []
    with simulation_folder(folder) as place:
        for inference in range(len(x)):
            values: dict[str, NDArray[Any]] = {graph.input.name: x[inference:inference + 1]}
            taken, profile = [], []
            for operator in graph.operators:
                operands = [values[tensor.name] for tensor in operator.inputs]
                if not isinstance(operator, WeightedOperator):
                    values[operator.output.name] = run_operator(operator, *operands)
                    continue
                layer = layers[operator]
                program = compiled.program(layer, operands[0])
                seen = run_program(built, program,
                                   folder=place / f"{inference}_{names.index(operator.name)}")
                y = layer.activations(seen.output)
                values[operator.output.name] = y
                right = golden[operator.output.name][inference:inference + 1]
                wrong[operator.name] += int(np.count_nonzero(y != right))
                counters = expected_counters(program, layer.numbers(operands[0]).x)
                words = expected_output(program, (right.astype(np.int32)
                                                  - operator.output.zero_point).reshape(
                                                      seen.output.shape))
                cycle_mismatches += int(
                    seen.cycles != program_cycles(program)
                    or any(seen.counters[name] != count for name, count in counters.items())
                    or not np.array_equal(seen.words, words))
                taken.append(seen.counters["cycles"])
                profile.append(compiled.profile(layer, program, seen.cycles))
            cycles.append(taken)
            profiles.append(profile)
            outputs.append(values[graph.output.name])
    result = np.concatenate(outputs)
    end = int(np.count_nonzero(result != golden[graph.output.name]))
    return Comparison(RtlRun(result, np.array(cycles, np.int64)),
                      [golden[layer.operator.output.name] for layer in compiled.layers],
                      sum(wrong.values()) + end, cycle_mismatches, list(wrong.values()),
                      {"cycle model": [compiled.layer_profiles] * len(x), "RTL": profiles})
