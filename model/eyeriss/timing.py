"""Cycle model of the array's hardware: how long each command takes, to the cycle.

What a pass takes does not depend on numbers, but on who waits for whom: PEs for activations and
partial sums, buses for PEs. So the model steps through it, all PEs at once, with what they hold
instead of the numbers themselves. Every pass of one size takes as long.

This is the hardware of :mod:`eieio.rtl.eyeriss`; the formulas that fit the chip's measured times
are in :mod:`eieio.model.eyeriss.chip`.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from eieio.model.eyeriss.commands import Opcode
from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Mapping, Pass, Strip
from eieio.model.eyeriss.placement import place
from eieio.model.eyeriss.program import Command, Program

__all__ = ["CAUSES", "command_cycles", "cycles_by_command", "pass_cycles", "program_cycles"]

#: What the cycles of each command are for, by its name.
CAUSES = {
    "scan": "IDs of rows and PEs",
    "ifmap": "activations into the global buffer",
    "filter": "weights into the PEs",
    "pass": "passes: multiplications, and waiting for buses and for each other",
    "parameters": "biases and factors",
    "drain": "results to the outer memory",
}

# Cycles of a command beside what it counts: of a pass its two words, its start, and its end; of
# results their way through the pipeline, too.
_PASS_OVERHEAD = 6
_DRAIN_OVERHEAD = 19


def program_cycles(program: Program) -> list[int]:
    """Return the cycles of each command, if words come and go without waiting."""
    return [command_cycles(command, program.layer, program.mapping, program.config)
            for command in program.commands]


def cycles_by_command(program: Program, cycles: Sequence[int]) -> dict[str, float]:
    """Add up the cycles of commands by their names, as in :data:`CAUSES`."""
    found: dict[str, float] = dict.fromkeys(CAUSES, 0)
    for command, count in zip(program.commands, cycles, strict=True):
        found[command.opcode.name.lower()] += count
    return found


def command_cycles(command: Command, layer: Layer, mapping: Mapping, config: EyerissConfig) -> int:
    """Return the cycles from a command's header to when the next one can be accepted."""
    if command.opcode is Opcode.IFMAP:
        return 1 + command.numbers
    if command.opcode is Opcode.DRAIN:
        return _DRAIN_OVERHEAD + _requantize_parts(config) + command.numbers
    if command.opcode is Opcode.PASS:
        one = command.one
        assert one is not None
        return pass_cycles(layer, mapping, config, one, first=command.first)
    return len(command.words)


def _requantize_parts(config: EyerissConfig) -> int:
    """Multipliers behind each other in the requantization."""
    return max(0, -(-(min(config.psum_width, 48) - 18) // 17)) + 1


def pass_cycles(layer: Layer, mapping: Mapping, config: EyerissConfig, one: Pass, *,
                first: bool) -> int:
    """Return the cycles of a pass."""
    same = one._replace(group=0, chunk=0, image=0, channel=0, filter=0,
                        strip=Strip(0, one.strip.rows))
    return _PASS_OVERHEAD + _pass_cycles(layer, mapping, config, same, first)


@cache
def _pass_cycles(layer: Layer, mapping: Mapping, config: EyerissConfig, one: Pass, first: bool
                 ) -> int:
    return _Machine(layer, mapping, config, one, first).run()


class _Bus:
    """Words of a multicast bus: a word waits on the Y bus, and one on the X bus of each row."""

    def __init__(self, tags: NDArray[np.int64], row_ids: NDArray[np.int64],
                 column_ids: NDArray[np.int64]) -> None:
        self.tags = tags  # (words, 2): IDs of rows and columns
        self.rows = row_ids
        self.matches = {column: column_ids == column for column in set(tags[:, 1].tolist())}
        self.wanted = {row: row_ids == row for row in set(tags[:, 0].tolist())}
        self.next = 0
        self.y: int | None = None  # number of the word there
        self.full = np.zeros(len(row_ids), bool)
        self.match = np.zeros(column_ids.shape, bool)

    def step(self, ready: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Go one cycle; return which PEs take a word."""
        taken = np.asarray((ready | ~self.match).all(axis=1))
        given = self.match & taken[:, np.newaxis]
        self.match &= ~taken[:, np.newaxis]
        self.full &= ~taken
        if self.y is not None:
            row, column = self.tags[self.y].tolist()
            wanted = self.wanted[row]
            if not (wanted & self.full).any():
                self.match[wanted] = self.matches[column][wanted]
                self.full |= wanted
                self.y = None
        if self.y is None and self.next < len(self.tags):
            self.y = self.next
            self.next += 1
        return given


class _Machine:
    """The array while it computes a pass."""

    def __init__(self, layer: Layer, mapping: Mapping, config: EyerissConfig, one: Pass,
                 first: bool) -> None:
        self.one, self.first, self.config = one, first, config
        placed = place(layer, config, one)
        shape = config.rows, config.columns
        self.from_glb = np.broadcast_to(placed.from_glb[:, np.newaxis], shape)
        self.to_glb = np.broadcast_to(placed.to_glb[:, np.newaxis], shape)
        self.taps = one.q * layer.kernel_width
        self.step = one.q * layer.stride
        self.places = layer.output_width
        lanes = config.bus_words
        self.slots = config.psum_slots
        self.unit = np.where(self.to_glb, lanes, 1)

        # Words of the buses in their order: of all places and columns the same.
        rows = mapping.input_rows(layer, one.strip.rows)
        tags = np.array([(r, row) for row in range(rows) for r in range(one.r)
                         for _ in range(one.q)])
        self.ifmaps = _Bus(np.tile(tags, (one.images * mapping.input_columns(layer), 1)),
                           placed.row_ifmap, placed.ifmap)
        chains = [divmod(chain, config.columns) for chain in range(one.strip.rows * one.t)]
        lines = np.tile(np.repeat(np.array(chains), -(-one.p // lanes), axis=0),
                        (one.images * self.places, 1))
        columns = np.broadcast_to(np.arange(config.columns), shape)
        self.psums = _Bus(lines[:0] if first else lines, placed.row_psum_in, columns)
        tops = {slot: row for row, slot in enumerate(placed.row_psum_out.tolist())}
        self.wanted = [(tops[slot], column) for slot, column in lines.tolist()]

    def run(self) -> int:
        """Count the cycles from the start to the last partial sum that is stored."""
        one, config = self.one, self.config
        lanes, depth = config.bus_words, config.ifmap_words
        shape = config.rows, config.columns
        number, tap, place_, held, ahead, used, level, waiting = (
            np.zeros(shape, np.int64) for _ in range(8))
        nothing = np.zeros(shape, bool)
        ends = np.zeros(shape, np.int64)  # what becomes complete in the stages of the sum
        under_way = [ends, ends]
        taken = cycle = 0
        while taken < len(self.wanted):
            # Who goes on.
            last_tap = tap == self.taps - 1
            begins_line = number % lanes == 0
            ends_line = (number % lanes == lanes - 1) | (number == one.p - 1)
            below = np.zeros(shape, bool)
            below[:-1] = ((level != 0) & ~self.to_glb)[1:]
            psum_there = np.where(self.from_glb, self.first | (waiting != 0), below)
            opens = ~self.to_glb | begins_line
            room = ~opens | (used + self.unit <= self.slots)
            go = (ahead != 0) & (~last_tap | (psum_there & room))

            # What moves between PEs, buses and the buffer.
            takes_sum = go & last_tap
            given = self.ifmaps.step(held != depth)
            lines = nothing if self.first else self.psums.step(waiting != 2)
            out = np.zeros(shape, bool)
            out[1:] = (takes_sum & ~self.from_glb)[:-1]
            top = self.wanted[taken]
            if self.to_glb[top] and level[top]:
                out[top] = True
                taken += 1

            # What each PE holds in the next cycle.
            word_done = go & (number == one.p - 1)
            place_done = word_done & last_tap
            held += given
            held -= word_done & ((tap < self.step) | (place_ == self.places - 1))
            ahead += given
            ahead -= word_done
            ahead = np.where(place_done, held, ahead)
            if not self.first:
                waiting += lines
                waiting -= takes_sum & self.from_glb & ends_line
            leaving = np.where(out, self.unit, 0)
            used += np.where(go & last_tap & opens, self.unit, 0) - leaving
            level += under_way[1] - leaving
            complete = go & last_tap & (~self.to_glb | ends_line)
            under_way = [np.where(complete, self.unit, 0), under_way[0]]
            number = np.where(word_done, 0, number + go)
            tap = np.where(place_done, 0, tap + word_done)
            place_ = np.where(place_done, (place_ + 1) % self.places, place_)
            cycle += 1
        return cycle
