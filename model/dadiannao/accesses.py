"""What the nodes move: accesses by level, layer by layer.

A tile is a processing element: NBin, NBout and the adder's memory are its own, rows that are
broadcast and sums that are collected go between. The synapse buffers hold the network, and the
central buffer is for all tiles.
"""

from collections.abc import Sequence
from math import log2

from eieio.model.accesses import Accesses
from eieio.model.dadiannao.compiler import CompiledGraph, CompiledLayer
from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Instruction, Stage3
from eieio.model.dadiannao.timing import InstructionTiming, group_words, instruction_counts
from eieio.model.fixed_point import MULTIPLIER_WIDTH

__all__ = ["layer_accesses"]

#: Bits of the shifts of a factor, to the right and to the left; of a number in the adder.
_SHIFT_BITS, _ADDER_BITS = 6 + 5, 32


def layer_accesses(compiled: CompiledGraph, timings: Sequence[Sequence[InstructionTiming]]
                   ) -> list[Accesses]:
    """Count what each layer moves in an inference, in all nodes together."""
    found = []
    config = compiled.config
    lanes = config.outputs * config.activation_width
    for number, (layer, timing) in enumerate(zip(compiled.layers, timings, strict=True)):
        outer = 0
        programs = [list(program) for program in layer.programs]
        if number == 0:
            outer += compiled.input.shape.size * lanes
            programs = [[*start, *program]
                        for start, program in zip(compiled.start, programs, strict=True)]
        if number == len(compiled.layers) - 1:
            outer += compiled.output.shape.size * lanes
        found.append(_layer(config, layer, programs, sum(each.cycles for each in timing), outer))
    return found


def _layer(config: DaDianNaoConfig, layer: CompiledLayer,
           programs: Sequence[Sequence[Instruction]], cycles: int, outer: int) -> Accesses:
    moved: dict[str, int] = dict.fromkeys(("macs", "register", "array", "buffer", "weights"), 0)
    for program in programs:
        for instruction in program:
            for name, bits in _instruction(config, instruction).items():
                moved[name] += bits
    macs = moved["macs"]
    product = config.activation_width + config.weight_width
    # A tree adds all products of an output but one, and the accumulator the rest.
    sums = (config.inputs - 1) * (product + log2(config.inputs)) + config.sum_width
    return Accesses(
        layer.name, cycles, layer.operator.macs, macs,
        product_bits=macs * config.activation_width * config.weight_width,
        sum_bits=macs * sums / config.inputs, register=moved["register"], array=moved["array"],
        buffer=moved["buffer"] + outer, outer=outer, weights=moved["weights"])


def _instruction(config: DaDianNaoConfig, instruction: Instruction) -> dict[str, int]:
    counts = instruction_counts(config, instruction)
    tiles = 1 if instruction.across else config.tiles
    row, word = (size * config.activation_width for size in (config.inputs, config.outputs))
    sums = config.outputs * config.sum_width
    buffer = counts["central_reads"] * row + counts["central_writes"] * word
    if instruction.forward:
        return {"array": instruction.groups * word, "buffer": buffer}
    groups = 0 if instruction.from_adder else instruction.groups * instruction.iterations
    words = sum(group_words(instruction)) * instruction.iterations
    filled = instruction.group_steps * instruction.iterations if instruction.keep else 0
    weights = instruction.sb_rows * tiles * config.sb_row_bits
    collected = 0 if instruction.from_adder else words * sums
    adder = words * config.outputs * _ADDER_BITS * (
        instruction.from_adder + (instruction.stage3 == Stage3.KEEP)
        + 2 * (instruction.stage3 == Stage3.ADD))
    factors = config.outputs * (config.sum_width + MULTIPLIER_WIDTH + _SHIFT_BITS)
    return {
        "macs": counts["macs"],
        "register": (filled * tiles * row + counts["nbin_reads"] * row
                     + groups * tiles * sums * (1 + instruction.resume) + collected + adder),
        "array": counts["central_reads"] * tiles * row + collected,
        "buffer": buffer + weights + words * factors,
        "weights": weights,
    }
