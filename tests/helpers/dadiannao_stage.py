"""Third stage of the DaDianNao engine as its documentation has it, in Python's integers."""

from dataclasses import dataclass, field
from random import Random

import numpy as np
from halves import below_half

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Instruction, Stage3
from eieio.model.fixed_point import requantize

__all__ = ["Stage", "wrapped"]

#: Of a lane: bias, multiplier, shifts to the right and to the left.
Parameters = tuple[int, int, int, int]


def wrapped(value: int, width: int) -> int:
    """Return the lowest bits of a number, with a sign."""
    return (value + (1 << width - 1)) % (1 << width) - (1 << width - 1)


@dataclass
class Stage:
    """What is in the memories, and what becomes of a word."""

    config: DaDianNaoConfig
    parameters: dict[tuple[int, int], Parameters] = field(default_factory=dict)  # by row and lane
    table: dict[tuple[bool, int], tuple[int, int]] = field(default_factory=dict)
    kept: dict[int, list[int]] = field(default_factory=dict)

    def load(self, rng: Random) -> list[tuple[str, int, int]]:
        """Draw contents of all memories; return port, address and word of each write."""
        config = self.config
        writes = []
        for row in range(config.parameter_depth):
            for lane in range(config.outputs):
                bound = 1 << rng.randrange(1, config.sum_width - 2)
                bias = rng.choice((-bound, bound - 1, rng.randrange(-bound, bound)))
                drawn = bias, rng.randrange(1 << 30, 1 << 31), rng.choice(
                    (0, 1, 2, 5, 20, 31, 63)), rng.choice((0, 0, 0, 1, 4, 31))
                self.parameters[row, lane] = drawn
                words = (bias & 0xFFFFFFFF, bias >> 32 & 0xFFFFFFFF, drawn[1],
                         drawn[2] | drawn[3] << 8)
                writes += [("load_parameter", (row * config.outputs + lane) * 4 + number, word)
                           for number, word in enumerate(words)]
        for tanh in (False, True):
            for segment in range(16):
                # A line's values are those of results and of as many bits as a slope has.
                bound = 1 << min(31, config.activation_width + 17)
                line = rng.randrange(-1 << 17, 1 << 17), rng.choice(
                    (-bound, bound - 1, rng.randrange(-bound, bound)))
                self.table[tanh, segment] = line
                writes += [("load_table", (tanh * 16 + segment) * 2 + number, value & 0xFFFFFFFF)
                           for number, value in enumerate(line)]
        rng.shuffle(writes)
        return writes

    def draw_sum(self, rng: Random, one: Instruction, row: int, lane: int) -> int:
        """Draw a sum; often one whose result is next to a half, or to an end of its range."""
        limit = 1 << self.config.sum_width - 3
        bias, multiplier, right, left = self.parameters[row, lane]
        wanted = rng.choice((one.minimum, one.maximum, rng.randint(one.minimum, one.maximum)))
        shifted = below_half(wanted - one.zero_point, multiplier, right) + rng.randrange(2)
        total = (shifted >> left) - bias
        if rng.random() < 0.5 and -limit <= total < limit:
            return total
        bound = 1 << rng.randrange(1, self.config.sum_width - 2)
        return rng.choice((-bound, bound - 1, rng.randrange(-bound, bound)))

    def word(self, one: Instruction, row: int, word: int, sums: list[int]) -> int | None:
        """Return what goes to the central buffer, if anything does."""
        config, width = self.config, self.config.activation_width
        if one.from_adder:
            sums = self.kept[word]
        results = []
        for lane, total in enumerate(sums):
            bias, multiplier, right, left = self.parameters[row, lane]
            shifted = wrapped(wrapped(total + bias, config.sum_width) << left, config.sum_width)
            results.append(int(requantize(
                np.array(shifted), multiplier, right, one.zero_point, one.minimum, one.maximum,
                single_rounding=one.single_rounding)))
        if one.stage3 == Stage3.KEEP:
            self.kept[word] = results
            return None
        if one.stage3 == Stage3.ADD:
            self.kept[word] = [wrapped(a + b, 32) for a, b in zip(
                self.kept[word], results, strict=True)]
            return None
        if config.functions and one.stage3 in (Stage3.SIGMOID, Stage3.TANH):
            for lane, x in enumerate(results):
                slope, intercept = self.table[one.stage3 == Stage3.TANH,
                                              x >> (width - 4) & 15]
                results[lane] = slope * x + intercept >> one.table_shift
        return sum((x & ((1 << width) - 1)) << width * lane for lane, x in enumerate(results))
