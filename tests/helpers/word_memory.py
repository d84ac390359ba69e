"""Memory of activations in words, of which groups are written, and the reads that tell."""

from collections.abc import Iterator
from random import Random
from typing import Any

from descriptors import descriptor
from lockstep import RESET, Inputs, Outputs

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.program import Field

__all__ = ["WordMemory", "memory_cycles"]


class WordMemory:
    """Reference of both memories of activations.

    A word is written a cycle later, and read two cycles later; what is read in the cycle of the
    write is anything.
    """

    def __init__(self, config: SystolicConfig, *, halves: bool = False) -> None:
        self.config = config
        self.halves = halves
        self.words: dict[tuple[int, int, int], int] = {}
        self.reads: list[int | None] = [None, None]
        self.writes: tuple[int, int, dict[int, int]] = 0, 0, {}
        self.unused = 0

    def __call__(self, i: Inputs) -> Outputs:
        config = self.config
        found: dict[str, int] = {}
        known = self.reads.pop(0)
        if known is not None:
            found["word"] = known
        half, addr, parts = self.writes
        read_half = i["read_half"] if self.halves else 0
        groups = [None if (half, addr) == (read_half, i["read_addr"]) and group in parts
                  else self.words.get((read_half, i["read_addr"], group))
                  for group in range(config.word_groups)]
        unused = (i["descriptor"] >> 24 & 255) if i["read_last"] else 0
        mask = (1 << 8 * max(0, config.rows - unused)) - 1
        if not i.get("read_here", 1):
            self.reads.append(0)
        elif None in groups:
            self.reads.append(None)
        else:
            width = 8 * config.lanes
            self.reads.append(mask & sum(value << group * width for group, value
                                         in enumerate(groups) if value is not None))
        for group, value in parts.items():
            self.words[half, addr, group] = value
        width = 8 * config.lanes
        self.writes = (i["write_half"] if self.halves else 0, i["write_addr"], {
            group: (i["write_data"] >> (group * width if self.halves else 0)) % (1 << width)
            for group in range(config.word_groups) if i["write_groups"] >> group & 1})
        if i[RESET]:
            self.reads = [None, None]  # The memory stays.
        return found


def memory_cycles(dut: Any, depth: int, rng: Random, cycles: int) -> Iterator[Inputs]:
    """Write and read words anywhere, often those that are written; layers hold for a while."""
    config = dut.config
    names = set(dut.signature.members)
    recent = [0]
    layer = 0
    for number in range(cycles):
        if number % 25 == 0:
            layer = descriptor({
                Field.OPERATION: rng.randrange(config.rows) << 24 | rng.getrandbits(24)})
        addr = rng.choice([rng.randrange(depth), depth - 1, rng.choice(recent)])
        inputs = {"descriptor": layer, "read_addr": rng.choice([rng.choice(recent), addr]),
                  "read_last": rng.getrandbits(1), "read_here": int(rng.random() < 0.8),
                  "read_half": rng.getrandbits(1), "write_half": rng.getrandbits(1),
                  "write_groups": rng.getrandbits(config.word_groups) * (rng.random() < 0.7),
                  "write_addr": addr,
                  "write_data": rng.getrandbits(8 * config.rows) % (1 << len(dut.write_data))}
        if number % 25 in {0, 24}:  # A layer reads from the cycle behind its beginning on.
            inputs["read_here"] = inputs["read_last"] = 0
        reset = rng.random() < 0.01
        if reset:
            inputs["write_groups"] = 0
        recent = [*recent[-4:], addr]
        yield {RESET: int(reset),
               **{name: int(value) for name, value in inputs.items() if name in names}}
