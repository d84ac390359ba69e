"""Operand reader: interface, and what is read in which cycle against the windows."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from ports import Ports
from tensor_core_windows import Descriptor, encode, groups, random_descriptor, taps

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.engine_timing import OPERAND, SLOTS
from eieio.model.tensor_core.program import Field
from eieio.rtl.tensor_core.descriptor import DESCRIPTOR
from eieio.rtl.tensor_core.operand_reader import FLAGS, OperandReader

TWO = TensorCoreConfig(rows=2, columns=2, products=4, accumulators=8, activation_depth=64)
ONE = TensorCoreConfig(rows=1, columns=1, products=2, accumulators=4, activation_depth=100)
FIVE = TensorCoreConfig(rows=5, columns=1, products=8, accumulators=4, activation_depth=16)
CONFIGS = {"two": TWO, "one": ONE, "five": FIVE}


def test_members() -> None:
    assert FLAGS == data.StructLayout({"first": 1, "last": 1, "pass_end": 1})
    assert dict(OperandReader(TWO).signature.members) == {
        "descriptor": In(DESCRIPTOR), "start": In(1), "read_addr": Out(unsigned(6)),
        "read_mask": Out(4), "write_row": Out(2), "write_slot": Out(range(SLOTS)),
        "ready": Out(1), "slot": Out(range(SLOTS)), "flags": Out(FLAGS), "release": In(1)}


@dataclass(frozen=True)
class Read:
    """A row of an operand: what is read, its place, and what is known of the operand."""

    addr: int
    mask: int
    row: int
    ends: bool
    flags: int


def reads(one: Descriptor, config: TensorCoreConfig) -> list[Read]:
    """Go through groups, steps and windows."""
    found = []
    steps = taps(one, config.products)
    for group in groups(one):
        for step, (kernel_row, element, rest) in enumerate(steps):
            for number, window in enumerate(group):
                down, along = divmod(window, one[Field.ROW_WINDOWS])
                row = (one[Field.ROW_START] + down * one[Field.WINDOW_ROWS]
                       + kernel_row * one[Field.TAP_ROWS])
                column = one[Field.COLUMN_START] + along * one[Field.WINDOW_STEP] + element
                mask = sum(1 << lane for lane in range(config.products)
                           if 0 <= row < one[Field.ROWS] and lane < rest
                           and 0 <= column + lane < one[Field.ROW_ELEMENTS])
                last = number == len(group) - 1
                found.append(Read(
                    one[Field.SOURCE] + down * one[Field.WINDOW_ROW_STEP]
                    + kernel_row * one[Field.TAP_ROW_STEP] + column, mask, number % config.rows,
                    last or number % config.rows == config.rows - 1,
                    (step == 0) | (step == len(steps) - 1) << 1 | last << 2))
    return found


class Bench:
    """A reader, whose places go round over all descriptors."""

    def __init__(self, ctx: Any, dut: OperandReader, rng: Random) -> None:
        self.ports = Ports(ctx, dut)
        self.config: TensorCoreConfig = dut.config
        self.rng = rng
        self.filling = self.using = 0

    async def run(self, one: Descriptor, pace: float, *, stop: int = -1) -> None:
        """Run a descriptor; operands are released with a probability.

        A row is read each cycle, unless an operand would begin for which there is no place. It is
        addressed in the cycle after, taken from the memory three later, and the operand is ready in
        the cycle after that of its last row.
        """
        config, rng, ports = self.config, self.rng, self.ports
        size = 1 << (config.activation_depth - 1).bit_length()
        todo = reads(one, config)
        ports.set(descriptor=encode(one))
        place = taken = 0  # rows read, operands that have a place
        passing: deque[Read | None] = deque([None] * (OPERAND - 1))
        slots: deque[int] = deque([0] * (OPERAND - 1))
        told: Read | None = None
        waiting: deque[int] = deque()
        quiet = 0
        for cycle in range(60 * len(todo) + 60):
            if cycle == stop:
                return
            release = bool(waiting) and rng.random() < pace
            seen = await ports.cycle(start=cycle == 0, release=release)
            if told is not None:
                assert seen["read_mask"] == told.mask, cycle
                if told.mask:
                    assert seen["read_addr"] == told.addr % size, cycle
            assert seen["ready"] == bool(waiting), cycle
            if waiting:
                assert (seen["slot"], seen["flags"]) == (self.using, waiting[0]), cycle
            read = None
            if cycle and place < len(todo) and (todo[place].row or taken < SLOTS):
                read = todo[place]
                place += 1
                taken += not read.row
            passing.append(read)
            slots.append(self.filling)
            arriving, slot = passing.popleft(), slots.popleft()
            assert seen["write_row"] == (0 if arriving is None else 1 << arriving.row), cycle
            if arriving is not None:
                assert seen["write_slot"] == slot, cycle
            told = read
            if release:
                waiting.popleft()
                taken -= 1
                self.using = (self.using + 1) % SLOTS
            if arriving is not None and arriving.ends:
                waiting.append(arriving.flags)
            if read is not None and read.ends:
                self.filling = (self.filling + 1) % SLOTS
            quiet += place == len(todo) and not waiting and not any(passing)
            if quiet == 4:
                break
        assert place == len(todo)
        assert not waiting
        ports.set(release=0)


@pytest.mark.parametrize("pace", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random(simulate: Callable[..., None], config: TensorCoreConfig, pace: float) -> None:
    dut, rng = OperandReader(config), Random(pace)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for _ in range(5 if config is TWO else 3):
            await one.run(random_descriptor(rng, config), pace)

    simulate(dut, bench)


def test_all_places(simulate: Callable[..., None]) -> None:
    """Nobody uses any: as many operands are read as there are places, and all rows of the last."""
    dut, rng = OperandReader(TWO), Random(1)
    one = dict(random_descriptor(rng, TWO)) | {
        Field.WINDOWS: 24, Field.GROUP_WINDOWS: 8, Field.KERNEL_ROWS: 1, Field.SEGMENTS: 1,
        Field.RUN: 4}

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        ports.set(descriptor=encode(one), release=0)
        await ports.cycle(start=1)
        ports.set(start=0)
        rows = sum([(await ports.cycle())["write_row"] for _ in range(40)])
        assert rows == SLOTS * 0b11
        for number in range(4):
            assert not (await ports.cycle(release=1))["write_row"]
            rows = sum([(await ports.cycle(release=0))["write_row"] for _ in range(12)])
            assert rows == 0b11, number

    simulate(dut, bench)


LONG = {Field.ROW_WINDOWS: 60, Field.WINDOWS: 70, Field.RUN: 70, Field.SEGMENTS: 40,
        Field.KERNEL_ROWS: 40}


@pytest.mark.parametrize("field", LONG, ids=lambda field: field.name)
def test_long_loop(simulate: Callable[..., None], field: Field) -> None:
    """Each loop alone, with steps that reach before and behind the image."""
    dut, rng = OperandReader(TWO), Random(field.name)
    base: dict[Field, int] = {
        Field.SOURCE: 17, Field.ROW_START: -20, Field.COLUMN_START: -30, Field.ROWS: 15,
        Field.ROW_ELEMENTS: 29, Field.TAP_ROWS: 1, Field.TAP_ROW_STEP: 61, Field.WINDOW_ROWS: 2,
        Field.WINDOW_ROW_STEP: 59, Field.WINDOW_STEP: 1, Field.ROW_WINDOWS: 2, Field.WINDOWS: 1,
        Field.KERNEL_ROWS: 1, Field.SEGMENTS: 1, Field.SEGMENT_STEP: 2, Field.RUN: 1,
        Field.GROUP_WINDOWS: 8}

    async def bench(ctx: Any) -> None:
        more = {Field.WINDOWS: 64} if field is Field.ROW_WINDOWS else {}
        await Bench(ctx, dut, rng).run({**base, **more, field: LONG[field]}, 1.0)

    simulate(dut, bench)


def test_edges(simulate: Callable[..., None]) -> None:
    """Images that end just before or behind what is read, near and far; numbers of full width."""
    dut, rng = OperandReader(TWO), Random(3)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for number in range(30):
            start, step, tap = rng.randrange(-60, 20), rng.randrange(30), rng.randrange(30)
            edge = max(1, start + step * rng.randrange(3) + tap + rng.randrange(-1, 3))
            drawn = dict(random_descriptor(rng, TWO)) | {
                Field.WINDOWS: 3, Field.GROUP_WINDOWS: 8, Field.KERNEL_ROWS: 1, Field.SEGMENTS: 1,
                Field.RUN: 3, Field.ROWS: 9, Field.ROW_START: 0, Field.ROW_ELEMENTS: 99,
                Field.COLUMN_START: 0, Field.SOURCE: rng.randrange(64)}
            if number % 2:
                drawn |= {Field.ROW_WINDOWS: 1, Field.WINDOW_ROWS: step, Field.ROW_START: start,
                          Field.KERNEL_ROWS: 2, Field.TAP_ROWS: tap, Field.ROWS: edge,
                          Field.WINDOW_ROW_STEP: rng.randrange(64)}
            else:
                drawn |= {Field.ROW_WINDOWS: 3, Field.WINDOW_STEP: step, Field.COLUMN_START: start,
                          Field.SEGMENTS: 2, Field.SEGMENT_STEP: tap, Field.ROW_ELEMENTS: edge}
            await one.run(drawn, 1.0)

    simulate(dut, bench)


def test_far_steps(simulate: Callable[..., None]) -> None:
    """Rows, segments and addresses of all bits that an engine of this size has."""
    dut, rng = OperandReader(TWO), Random(5)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for number in range(40):
            # Every second one lies inside of the image.
            above, left = (-120, -110) if number % 2 else (0, 0)
            await one.run(dict(random_descriptor(rng, TWO)) | {
                Field.WINDOWS: rng.randint(1, 3), Field.ROW_WINDOWS: rng.randint(1, 2),
                Field.GROUP_WINDOWS: 8,
                Field.KERNEL_ROWS: 3, Field.TAP_ROWS: rng.randint(1, 50),
                Field.ROW_START: rng.randint(above, 15), Field.ROWS: rng.randint(90, 127),
                Field.TAP_ROW_STEP: rng.randrange(256), Field.SEGMENTS: 3,
                Field.SEGMENT_STEP: rng.randint(1, 40), Field.COLUMN_START: rng.randint(left, 30),
                Field.ROW_ELEMENTS: rng.randint(90, 127), Field.RUN: rng.randint(1, 3),
                Field.SOURCE: rng.randrange(64), Field.WINDOW_ROW_STEP: rng.randrange(64)}, 1.0)

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    """Operands that wait, or are on their way, are forgotten."""
    dut, rng, reset = OperandReader(TWO), Random(4), Signal()

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        for stop in (1, 2, 4, 6, 8, 13, 22):
            await one.run(random_descriptor(rng, TWO), 0.3, stop=stop)
            ctx.set(reset, 1)
            await one.ports.cycle(start=0, release=0)
            ctx.set(reset, 0)
            one.filling = one.using = 0
            for _ in range(OPERAND + 1):
                seen = await one.ports.cycle()
                assert not seen["ready"]
                assert not seen["write_row"]
            await one.run(random_descriptor(rng, TWO), 0.6)

    simulate(dut, bench, reset=reset)
