"""Cycle model of the tensor core as an engine: when each step begins, and when results are written.

Three things run side by side, and what one waits for another is all there is to know:

- The *reader* fetches the operand of a step that comes from activations, a row a cycle, into one of
  :data:`SLOTS` places.
- The *sequencer* begins a step as soon as its operand is there, the sum that it adds to is there,
  and, if it is the last step of its sums, there is room for its results. An operand is used for
  all tiles of channels, one after the other.
- The *drain* takes results, a row a cycle, and rounds and writes them.

Descriptors follow one another without overlap.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.mapping import Descriptor
from eieio.model.tensor_core.program import FETCHED
from eieio.model.tensor_core.timing import latency

__all__ = ["FETCH", "MAXIMUM", "OPERAND", "SLOTS", "WRITE", "DescriptorTiming", "sum_latency",
           "time_descriptor", "total_timing"]

#: Operands that are on their way or wait.
SLOTS = 8

#: Cycles to fetch a descriptor.
FETCH = FETCHED + 1

#: Cycles from the last row of an operand to its first step.
OPERAND = 5

#: Cycles from the last step of a maximum to its result.
MAXIMUM = 4

#: Cycles from a row of results to its write.
WRITE = 9


def sum_latency(config: TensorCoreConfig) -> int:
    """Return the cycles from a step to one that adds to its sums."""
    return latency(config.step) + 3


@dataclass(frozen=True)
class DescriptorTiming:
    """What a descriptor takes.

    Attributes
    ----------
    cycles : :class:`int`
        Cycles, from its fetch to its last write.
    steps : :class:`int`
        Steps, each of one cycle.
    operand_stalls, sum_stalls : :class:`int`
        Cycles without a step, before the last one, in which an operand was missing; and in which
        one was there, but no sum, or no room for the result.
    """

    cycles: int
    steps: int
    operand_stalls: int
    sum_stalls: int


def total_timing(parts: Sequence[DescriptorTiming]) -> DescriptorTiming:
    """Add the timings of descriptors."""
    return DescriptorTiming(*(sum(getattr(part, each.name) for part in parts)
                              for each in fields(DescriptorTiming)))


def time_descriptor(descriptor: Descriptor, config: TensorCoreConfig) -> DescriptorTiming:
    """Tell how long a descriptor takes; it does not depend on the numbers."""
    columns, passes = descriptor.column_tiles, descriptor.steps(config.products)
    wait = MAXIMUM if descriptor.maximum else sum_latency(config)
    read_end = 0       # Cycle of the last row that was read; the start is 0.
    step = 0           # Cycle of the last step.
    drained = 0        # Cycle of the last row that was drained.
    consumed: deque[int] = deque([0] * SLOTS, SLOTS)  # Last steps of operands.
    begun = [-wait] * config.accumulators             # Last step of each sum.
    freed: deque[int] = deque([-1] * config.accumulators, config.accumulators)
    steps = operand_stalls = sum_stalls = 0
    left = descriptor.windows
    while left:
        windows = min(left, descriptor.group_windows)
        rows = [min(config.rows, windows - first) for first in range(0, windows, config.rows)]
        for number in range(passes):
            last = number == passes - 1
            for tile, height in enumerate(rows):
                read_end = max(read_end, consumed[0]) + height
                there = read_end + OPERAND
                for place in range(tile * columns, (tile + 1) * columns):
                    begin = max(step + 1, there)
                    if not descriptor.maximum:
                        begin = max(begin, begun[place] + wait)
                    if last:
                        begin = max(begin, freed[0] + 1)
                    idle = begin - step - 1
                    missing = min(max(there - step - 1, 0), idle)
                    operand_stalls += missing
                    sum_stalls += idle - missing
                    steps += 1
                    step = begun[place] = begin
                    if last:
                        drained = max(drained + 1, begin + wait) + height - 1
                        freed.append(drained)
                consumed.append(step)
        left -= windows
    return DescriptorTiming(FETCH + drained + WRITE + 1, steps, operand_stalls, sum_stalls)
