"""Activation queue: interface, and order and occupancy against a list."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import FETCH_COLUMNS, SparseConfig
from eieio.rtl.sparse.activation_queue import ActivationQueue


def activation_queue(depth: int) -> ActivationQueue:
    return ActivationQueue(SparseConfig(queue_depth=depth, entry_depth=64, activation_width=8))


class Queue:
    """Drives the queue, a cycle at a time, and compares it with a list."""

    def __init__(self, dut: ActivationQueue, depth: int, rng: Random) -> None:
        self.dut = dut
        self.places = depth + FETCH_COLUMNS
        self.rng = rng
        self.reserved = 0  # places, without a column yet
        self.columns: list[tuple[int, int, int]] = []
        self.pushed = 0  # activation that was drawn in the cycle before
        self.arriving = False  # for a column
        self.fetched = 0  # of the columns, how many fetch has popped
        self.freed = False  # a place, in the cycle before

    @property
    def room(self) -> bool:
        return len(self.columns) + self.reserved + self.freed < self.places

    async def cycle(self, ctx: Any, *, reserve: bool = False, push: bool = False,
                    fetch: bool = False, decode: bool = False) -> None:
        dut = self.dut
        ctx.set(dut.reserve, reserve)
        column = (self.rng.randrange(65), self.rng.randrange(65), self.rng.randrange(-128, 128))
        ctx.set(dut.push, push)
        ctx.set(dut.push_start, column[0])
        ctx.set(dut.push_count, column[1])
        ctx.set(dut.push_activation, self.pushed)
        ctx.set(dut.fetch_pop, fetch)
        ctx.set(dut.decode_pop, decode)
        *_, room, valid, start, count, activation, occupied = await ctx.tick().sample(
            dut.room, dut.fetch_valid, dut.fetch_start, dut.fetch_count, dut.decode_activation,
            dut.occupied)
        assert room == self.room
        assert valid == (self.fetched < len(self.columns))
        if valid:
            assert (start, count) == self.columns[self.fetched][:2]
        assert occupied == bool(self.columns or self.reserved or self.freed)
        # That of a column which was pushed in the cycle before is still being written.
        if len(self.columns) > self.arriving:
            assert activation == self.columns[0][2]
        self.fetched += fetch
        self.freed = decode
        if decode:
            self.columns.pop(0)
            self.fetched -= 1
        self.reserved += reserve - push
        self.pushed, self.arriving = column[2], push
        if push:
            self.columns.append(column)

    async def append(self, ctx: Any, *, fetch: bool = False) -> None:
        """Reserve a place, and push in the next cycle."""
        await self.cycle(ctx, reserve=True)
        await self.cycle(ctx, push=True, fetch=fetch)


def test_members() -> None:
    assert dict(activation_queue(4).signature.members) == {
        "reserve": In(1),
        "push": In(1),
        "push_start": In(unsigned(7)),
        "push_count": In(unsigned(7)),
        "push_activation": In(signed(8)),
        "room": Out(1),
        "fetch_valid": Out(1),
        "fetch_start": Out(unsigned(7)),
        "fetch_count": Out(unsigned(7)),
        "fetch_pop": In(1),
        "decode_activation": Out(signed(8)),
        "decode_pop": In(1),
        "occupied": Out(1),
    }


@pytest.mark.parametrize(("pushing", "fetching", "decoding"), [
    (1.0, 1.0, 1.0), (0.9, 0.9, 0.3), (0.9, 0.3, 0.9), (0.3, 0.9, 0.9), (0.5, 0.5, 0.5)])
@pytest.mark.parametrize("depth", [2, 3, 5, 8])
def test_random(simulate: Callable[..., None], depth: int, pushing: float, fetching: float,
                decoding: float) -> None:
    dut = activation_queue(depth)
    rng = Random(f"{depth} {pushing} {fetching} {decoding}")
    queue = Queue(dut, depth, rng)

    async def bench(ctx: Any) -> None:
        for _ in range(300):
            await queue.cycle(
                ctx,
                reserve=queue.room and rng.random() < pushing,
                push=queue.reserved > 0 and rng.random() < pushing,
                fetch=queue.fetched < len(queue.columns) and rng.random() < fetching,
                decode=queue.fetched > 0 and rng.random() < decoding)

    simulate(dut, bench)


@pytest.mark.parametrize("depth", [2, 3, 4, 8, 10, 11])
def test_full_and_nearly_full(simulate: Callable[..., None], depth: int) -> None:
    dut = activation_queue(depth)
    queue = Queue(dut, depth, Random(depth))

    async def bench(ctx: Any) -> None:
        for _ in range(depth + FETCH_COLUMNS):
            while queue.room:
                await queue.append(ctx)
            # Fetch takes all, and frees nothing.
            while queue.fetched < queue.places:
                await queue.cycle(ctx, fetch=True)
            await queue.cycle(ctx)
            assert not ctx.get(dut.room)
            # The place is free two cycles later.
            await queue.cycle(ctx, decode=True)
            assert not ctx.get(dut.room)
            await queue.cycle(ctx, decode=True)
            assert ctx.get(dut.room)
            # Two below full, reserve and pop in the same cycle: it stays so.
            for _ in range(depth + 1):
                await queue.cycle(ctx, reserve=True, push=queue.reserved > 0, decode=True,
                                  fetch=queue.fetched < len(queue.columns))
                assert len(queue.columns) + queue.reserved == queue.places - 2
                assert ctx.get(dut.room)
            await queue.cycle(ctx, push=True)
            while queue.columns:
                await queue.cycle(ctx, fetch=queue.fetched < len(queue.columns),
                                  decode=queue.fetched > 0)
            # One column, so that the wrap of the addresses moves on.
            await queue.append(ctx)

    simulate(dut, bench)


def test_push_and_pop_when_one_is_left(simulate: Callable[..., None]) -> None:
    dut = activation_queue(4)
    queue = Queue(dut, 4, Random(0))

    async def bench(ctx: Any) -> None:
        await queue.append(ctx)
        await queue.cycle(ctx, reserve=True)
        await queue.cycle(ctx, fetch=True, push=True, reserve=True)
        for _ in range(20):
            await queue.cycle(ctx, reserve=True, push=True, fetch=True, decode=True)
            assert len(queue.columns) == 2
        await queue.cycle(ctx, push=True, fetch=True, decode=True)
        await queue.cycle(ctx, fetch=True, decode=True)
        await queue.cycle(ctx, decode=True)
        await queue.cycle(ctx)

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    dut = activation_queue(3)
    reset = Signal()

    async def bench(ctx: Any) -> None:
        for columns in range(1, 4 + FETCH_COLUMNS):
            queue = Queue(dut, 3, Random(columns))
            for _ in range(columns):
                await queue.append(ctx, fetch=queue.fetched < len(queue.columns))
            ctx.set(dut.reserve, 0)
            ctx.set(dut.push, 0)
            ctx.set(dut.fetch_pop, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            queue = Queue(dut, 3, Random(columns))
            await queue.cycle(ctx)
            for _ in range(5):
                await queue.append(ctx)
                await queue.cycle(ctx, fetch=True)
                await queue.cycle(ctx, decode=True)
            await queue.cycle(ctx)

    simulate(dut, bench, reset=reset)
