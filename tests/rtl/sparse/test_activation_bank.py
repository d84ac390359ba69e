"""Activation bank: interface, words and nonzeros against a list of lists."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.activation_bank import ActivationBank

WIDTH = 8

Word = list[int]


def bank(pes: int = 4, groups: int = 1, depth: int = 4) -> ActivationBank:
    return ActivationBank(SparseConfig(pes=pes, column_groups=groups, activation_width=WIDTH,
                                       activation_depth=depth))


def pack(word: Word) -> int:
    return sum((value & 0xFF) << WIDTH * lane for lane, value in enumerate(word))


def random_word(rng: Random, lanes: int) -> Word:
    return [rng.choice((0, 0, 0, 1, -1, 127, -128, rng.randrange(-128, 128)))
            for _ in range(lanes)]


async def write(ctx: Any, dut: ActivationBank, words: list[Word], buffer: int = 0) -> None:
    ctx.set(dut.write_valid, 1)
    ctx.set(dut.write_buffer, buffer)
    for addr, word in enumerate(words):
        ctx.set(dut.write_addr, addr)
        ctx.set(dut.write_data, pack(word))
        await ctx.tick()
    ctx.set(dut.write_valid, 0)
    await ctx.tick()


async def pulse(ctx: Any, signal: Signal, cycles: int = 1) -> None:
    ctx.set(signal, 1)
    for _ in range(cycles):
        await ctx.tick()
    ctx.set(signal, 0)


class Model:
    """The contract: what the bank shows, as far as it is defined."""

    def __init__(self, lanes: int, depth: int) -> None:
        self.buffers = [[[0] * lanes for _ in range(depth)] for _ in range(2)]
        self.current: Word | None = None
        self.fetched: list[Word | None] = [None, None]
        self.untaken: list[int] = []
        self.first: tuple[int, int] | None = None  # in the cycle before
        self.position: int | None = None

    def clock(self, start: int, step: int, take: int, buffer: int) -> None:
        self.first = None
        if self.current is not None and self.untaken:
            self.first = self.untaken[0], self.current[self.untaken[0]]
        if start:
            self.current, self.fetched = None, [None, None]
            self.position = 0
        elif step:
            self.current = self.fetched.pop(0)
            self.fetched.append(None)
            if self.position is not None and self.position < len(self.buffers[buffer]):
                self.fetched[1] = list(self.buffers[buffer][self.position])
                self.position += 1
            self.untaken = [lane for lane, value in enumerate(self.current or []) if value]
        elif take:
            self.untaken.pop(0)


def test_members() -> None:
    dut = ActivationBank(SparseConfig(pes=20, column_groups=4, activation_width=6,
                                      activation_depth=9, io_lanes=5))
    assert dut.lanes == 5
    assert dict(dut.signature.members) == {
        "start": In(1),
        "step": In(1),
        "take": In(1),
        "read_buffer": In(1),
        "found": Out(1),
        "several": Out(1),
        "lane": Out(unsigned(3)),
        "activation": Out(signed(6)),
        "word": Out(unsigned(30)),
        "write_valid": In(1),
        "write_buffer": In(1),
        "write_addr": In(unsigned(4)),
        "write_data": In(unsigned(30)),
    }


@pytest.mark.parametrize(("pes", "groups", "depth"), [
    (4, 1, 4), (3, 1, 2), (5, 1, 5), (8, 4, 4), (2, 2, 3), (1, 1, 4)])
def test_random(simulate: Callable[..., None], pes: int, groups: int, depth: int) -> None:
    dut = bank(pes, groups, depth)
    model = Model(dut.lanes, depth)
    rng = Random(pes)
    compared = 0

    async def bench(ctx: Any) -> None:
        nonlocal compared
        # Word that is on its way into the memory. What a read gives meanwhile is not defined.
        written: tuple[int, int, Word] | None = None
        for _ in range(400):
            known = model.current is not None
            start = int(rng.random() < 0.05)
            step = int(not start and rng.random() < (0.4 if known else 0.9))
            take = int(not start and bool(known and model.untaken) and rng.random() < 0.6)
            buffer = rng.randrange(2)
            step &= written is None or written[:2] != (buffer, model.position)
            ctx.set(dut.start, start)
            ctx.set(dut.step, step)
            ctx.set(dut.take, take)
            ctx.set(dut.read_buffer, buffer)
            target, addr = rng.randrange(2), rng.randrange(depth)
            writes = rng.random() < 0.5
            word = random_word(rng, dut.lanes)
            ctx.set(dut.write_valid, writes)
            ctx.set(dut.write_buffer, target)
            ctx.set(dut.write_addr, addr)
            ctx.set(dut.write_data, pack(word))
            *_, found, several, lane, activation, shown = await ctx.tick().sample(
                dut.found, dut.several, dut.lane, dut.activation, dut.word)
            if model.current is not None:
                compared += 1
                assert shown == pack(model.current)
                assert (found, several) == (len(model.untaken) > 0, len(model.untaken) > 1)
            if model.first is not None:
                assert (lane, activation) == model.first
            model.clock(start, step, take, buffer)
            if written is not None:
                model.buffers[written[0]][written[1]] = written[2]
            written = (target, addr, word) if writes else None

    simulate(dut, bench)
    assert compared > 50


@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 6, 8])
def test_every_pattern_of_nonzeros(simulate: Callable[..., None], lanes: int) -> None:
    patterns = range(1 << lanes)
    dut = bank(lanes, depth=max(2, len(patterns)))

    async def bench(ctx: Any) -> None:
        await write(ctx, dut, [[(lane + 1) * (pattern >> lane & 1) for lane in range(lanes)]
                               for pattern in patterns])
        await pulse(ctx, dut.start)
        await pulse(ctx, dut.step, 3)
        for pattern in patterns:
            left = [lane for lane in range(lanes) if pattern >> lane & 1]
            ctx.set(dut.take, 1)
            while left:
                *_, found, several = await ctx.tick().sample(dut.found, dut.several)
                assert (found, several) == (1, len(left) > 1)
                assert ctx.get(dut.lane) == left[0]
                assert ctx.get(dut.activation) == left.pop(0) + 1
            ctx.set(dut.take, 0)
            assert ctx.get(dut.found) == ctx.get(dut.several) == 0
            await pulse(ctx, dut.step)

    simulate(dut, bench)


def test_a_step_a_cycle(simulate: Callable[..., None]) -> None:
    dut = bank(depth=16)
    rng = Random(0)
    words = [random_word(rng, 4) for _ in range(16)]

    async def bench(ctx: Any) -> None:
        await write(ctx, dut, words)
        for _ in range(2):  # the second start returns to word 0
            await pulse(ctx, dut.start)
            ctx.set(dut.step, 1)
            await ctx.tick().repeat(3)
            for word in words:
                *_, shown = await ctx.tick().sample(dut.word)
                assert shown == pack(word)
            ctx.set(dut.step, 0)

    simulate(dut, bench)


def test_buffers_are_apart(simulate: Callable[..., None]) -> None:
    dut = bank()
    contents = [[[buffer + 1, addr, 0, -1] for addr in range(4)] for buffer in range(2)]

    async def bench(ctx: Any) -> None:
        for buffer in range(2):
            await write(ctx, dut, contents[buffer], buffer)
        for buffer in (0, 1, 0):
            ctx.set(dut.read_buffer, buffer)
            await pulse(ctx, dut.start)
            await pulse(ctx, dut.step, 2)
            for word in contents[buffer]:
                await pulse(ctx, dut.step)
                assert ctx.get(dut.word) == pack(word)

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    dut = bank()
    reset = Signal()
    words = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]

    async def bench(ctx: Any) -> None:
        await write(ctx, dut, words)
        for steps in range(3, 6):
            await pulse(ctx, dut.start)
            await pulse(ctx, dut.step, steps)
            await pulse(ctx, dut.take)
            assert ctx.get(dut.word) == pack(words[steps - 3])
            await ctx.tick()
            assert ctx.get(dut.lane) == 1
            await pulse(ctx, reset)
            assert ctx.get(dut.found) == ctx.get(dut.several) == 0

    simulate(dut, bench, reset=reset)
