"""Cycle model of the nodes: when each instruction begins and ends, to the cycle.

It depends on no numbers, and all nodes go in step: their instructions have the same loops. A group
begins when the one before has had its steps and there is a word of NBout for it; its sums are
there a fixed time after its last step; the collector takes them, a word a cycle, group after group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import log2

from eieio.model.dadiannao.compiler import CompiledGraph
from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import (
    INSTRUCTION_WORDS,
    Instruction,
    Stage1,
    Stage3,
)

__all__ = ["CAUSES", "GraphTiming", "InstructionTiming", "group_words", "time_graph",
           "time_program"]

#: What cycles go to.
CAUSES = {
    "steps": "steps: a row of inputs and a row of weights for each tile",
    "nbout": "steps that wait for a word of NBout",
    "drain": "the last sums on their way through the stages, and the next instruction's beginning",
    "fetch": "instructions that have not been fetched yet",
    "ring": "words on their way around the ring",
}

# Cycles from the request to when an instruction is there.
_FETCH = INSTRUCTION_WORDS + 3
# From an instruction's beginning to its first step, and more if it must ask the next node.
_FIRST = 2
_ASK = 1
# From a step to the tile; from the last word on the link to the end.
_TO_TILE = 3
_LINK = 4
# Multiplication; requantization of sums of 19 to 35 bits; a function's table.
_PRODUCT = 3
_REQUANTIZE = 11
_TABLE = 6


@dataclass(frozen=True)
class InstructionTiming:
    """Cycles of an instruction, from the end of the one before to its own.

    Attributes
    ----------
    cycles : :class:`int`
        All.
    causes : dict of :class:`int`
        What they go to: see :data:`CAUSES`.
    """

    cycles: int
    causes: dict[str, int]


@dataclass(frozen=True)
class GraphTiming:
    """What an inference takes.

    Attributes
    ----------
    cycles, macs, nbout_stalls, central_reads, central_writes, nbin_reads : :class:`int`
        As the engine counts them.
    layers : sequence of sequences of InstructionTiming
        Instructions of each layer; those before it are of the first.
    """

    cycles: int
    macs: int
    nbout_stalls: int
    central_reads: int
    central_writes: int
    nbin_reads: int
    layers: Sequence[Sequence[InstructionTiming]]


def sum_latency(config: DaDianNaoConfig) -> int:
    """Return the cycles from a step at the tile to when its group's sums are written."""
    return 1 + _PRODUCT + round(log2(config.inputs)) + 1


def third_latency(config: DaDianNaoConfig) -> int:
    """Return the cycles from a word to its result."""
    parts = max(0, -(-(config.sum_width - 18) // 17)) + 1
    return 4 + _REQUANTIZE + parts + (_TABLE if config.functions else 0)


def group_words(instruction: Instruction) -> list[int]:
    """Return the words of each group of a pixel."""
    if instruction.stage3 == Stage3.NONE:
        return [0] * instruction.groups
    if instruction.across:
        return [1] * instruction.groups
    return [max(1, -(-(instruction.words - group) // instruction.write_stride))
            for group in range(instruction.groups)]


@cache
def _compute(config: DaDianNaoConfig, steps: int, words: tuple[int, ...], pixels: int,
             from_adder: bool) -> tuple[int, int]:
    """Return the cycles from an instruction's first step to its end, and those of stalls."""
    arrive = _TO_TILE + sum_latency(config)
    finish = 1 + third_latency(config)
    if from_adder:
        return len(words) * pixels - 1 + finish, 0
    if not words[0]:
        return steps * len(words) * pixels - 1 + arrive, 0
    released: list[int] = []
    ready, taken, stalls = 0, -1, 0
    for number in range(len(words) * pixels):
        begin = ready
        if number >= config.nbout_depth:
            begin = max(begin, released[number - config.nbout_depth] + 1)
        stalls += begin - ready
        ready = begin + steps
        taken = max(taken, ready + arrive) + words[number % len(words)]
        released.append(taken - 1)
    return taken - 1 + finish, stalls


def time_program(config: DaDianNaoConfig, program: Sequence[Instruction]
                 ) -> list[InstructionTiming]:
    """Return the cycles of each instruction of a node."""
    found = []
    end, fetched = -1, _FETCH  # Of the one before; cycle in which this one is there.
    for instruction in program:
        begin = max(end + 1, fetched)
        fetched = begin + _FETCH
        causes = {"fetch": begin - end - 1, "steps": 0, "nbout": 0, "drain": 0, "ring": 0}
        if instruction.forward:
            stop = begin + _FIRST + _ASK + instruction.groups - 1 + _LINK
            causes["ring"] = stop - begin + 1
        else:
            length, stalls = _compute(config, instruction.group_steps,
                                      tuple(group_words(instruction)), instruction.iterations,
                                      instruction.from_adder)
            stop = begin + _FIRST + length
            causes["nbout"] = stalls
            causes["steps"] = instruction.steps
            causes["drain"] = stop - begin + 1 - stalls - instruction.steps
        found.append(InstructionTiming(stop - end, causes))
        end = stop
    return found


def time_graph(compiled: CompiledGraph) -> GraphTiming:
    """Return the cycles and counts of an inference."""
    config = compiled.config
    timings = time_program(config, compiled.program())
    rest = iter(timings)
    before = [next(rest) for _ in compiled.start[0]]
    layers = [[next(rest) for _ in layer.programs[0]] for layer in compiled.layers]
    layers[0] = [*before, *layers[0]]
    counted: dict[str, int] = dict.fromkeys(("macs", "nbout_stalls", "central_reads",
                                             "central_writes", "nbin_reads"), 0)
    for node in range(config.nodes):
        for instruction, timing in zip(compiled.program(node), timings, strict=True):
            counted["nbout_stalls"] += timing.causes["nbout"]
            for name, count in instruction_counts(config, instruction).items():
                counted[name] += count
    cycles = sum(timing.cycles for layer in layers for timing in layer)
    return GraphTiming(cycles=cycles, layers=layers, **counted)


def instruction_counts(config: DaDianNaoConfig, instruction: Instruction) -> dict[str, int]:
    """Return what a node counts of an instruction, stalls aside."""
    steps, tiles = instruction.steps, config.tiles
    if instruction.forward:
        return {"macs": 0, "central_reads": instruction.groups,
                "central_writes": instruction.groups * instruction.receive, "nbin_reads": 0}
    kept = steps - steps // instruction.groups if instruction.keep else 0
    written = instruction.stage3 not in (Stage3.NONE, Stage3.KEEP, Stage3.ADD)
    multipliers = (1 if instruction.across else tiles) * config.inputs * config.outputs
    return {
        "macs": steps * multipliers if instruction.stage1 == Stage1.MULTIPLY else 0,
        "central_reads": steps - kept,
        "central_writes": (sum(group_words(instruction)) * instruction.iterations
                           if written else 0),
        "nbin_reads": kept * tiles,
    }
