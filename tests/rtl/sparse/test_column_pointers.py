"""Column pointers: interface, order and cycles against a queue."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.column_pointers import ColumnPointers

LATENCY = 4
PREFETCH_DEPTH = 12


def column_pointers(entry_depth: int = 64, pointer_depth: int = 16) -> ColumnPointers:
    return ColumnPointers(SparseConfig(entry_depth=entry_depth, pointer_depth=pointer_depth))


async def load(ctx: Any, dut: ColumnPointers, pointers: list[int]) -> None:
    ctx.set(dut.load_valid, 1)
    for addr, pointer in enumerate(pointers):
        ctx.set(dut.load_addr, addr)
        ctx.set(dut.load_data, pointer)
        await ctx.tick()
    ctx.set(dut.load_valid, 0)


class Lookup:
    """Drives lookups, admissions and pops, a cycle at a time, and compares with a queue."""

    def __init__(self, dut: ColumnPointers, pointers: list[int]) -> None:
        self.dut = dut
        self.pointers = pointers
        self.arriving: deque[int | None] = deque([None] * LATENCY)
        self.columns: deque[int] = deque()
        self.admitted = 0  # of the columns

    @property
    def outstanding(self) -> int:
        return len(self.columns) + sum(column is not None for column in self.arriving)

    def empty(self, column: int) -> bool:
        return self.pointers[column] == self.pointers[column + 1]

    async def cycle(self, ctx: Any, column: int | None, pop: bool, admit: bool = True) -> None:
        dut = self.dut
        arrived = self.arriving.popleft()
        if arrived is not None:
            self.columns.append(arrived)
        self.arriving.append(column)
        ctx.set(dut.column_valid, column is not None)
        if column is not None:
            ctx.set(dut.column_even_addr, (column + 1) // 2)
            ctx.set(dut.column_odd_addr, column // 2)
            ctx.set(dut.column_odd, column % 2)
        unadmitted = list(self.columns)[self.admitted:]
        admit = admit and bool(unadmitted)
        pop = pop and self.admitted > 0
        ctx.set(dut.admit, admit)
        ctx.set(dut.pop, pop)
        *_, start, count, empty, next_valid, next_empty = await ctx.tick().sample(
            dut.start, dut.count, dut.empty, dut.next_valid, dut.next_empty)
        if self.columns:
            head = self.columns[0]
            first, end = self.pointers[head], self.pointers[head + 1]
            assert (start, count, empty) == (first, end - first, self.empty(head))
        assert next_valid == bool(unadmitted)
        if unadmitted:
            assert next_empty == self.empty(unadmitted[0])
        self.admitted += admit
        if pop:
            self.columns.popleft()
            self.admitted -= 1


def test_members() -> None:
    dut = ColumnPointers(SparseConfig(entry_depth=64, pointer_depth=20))
    assert dict(dut.signature.members) == {
        "column_valid": In(1),
        "column_even_addr": In(unsigned(4)),
        "column_odd_addr": In(unsigned(4)),
        "column_odd": In(1),
        "next_valid": Out(1),
        "next_empty": Out(1),
        "admit": In(1),
        "pop": In(1),
        "start": Out(unsigned(7)),
        "count": Out(unsigned(7)),
        "empty": Out(1),
        "load_valid": In(1),
        "load_addr": In(unsigned(5)),
        "load_data": In(unsigned(7)),
    }


@pytest.mark.parametrize(("pushing", "popping"), [(1.0, 1.0), (0.4, 0.9), (0.9, 0.4), (0.5, 0.5)])
@pytest.mark.parametrize(("entry_depth", "pointer_depth"), [(64, 16), (12, 20), (4, 4)])
def test_random(simulate: Callable[..., None], entry_depth: int, pointer_depth: int,
                pushing: float, popping: float) -> None:
    dut = column_pointers(entry_depth, pointer_depth)
    rng = Random(f"{entry_depth} {pushing} {popping}")
    # Pointers repeat, for empty columns, and reach both ends.
    # With the last rates one column has most of the entries, or all.
    places = [*range(entry_depth + 1)] if pushing != popping or pushing == 1 else [
        0, 1, entry_depth - 1, entry_depth]
    pointers = sorted([0, entry_depth, *rng.choices(places, k=pointer_depth - 2)])
    lookup = Lookup(dut, pointers)

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, pointers)
        for _ in range(300):
            column = None
            if lookup.outstanding < PREFETCH_DEPTH and rng.random() < pushing:
                column = rng.randrange(pointer_depth - 1)
            await lookup.cycle(ctx, column, rng.random() < popping, rng.random() < 0.8)

    simulate(dut, bench)


@pytest.mark.parametrize("order", [range(15), range(14, -1, -1)])
def test_a_column_a_cycle(simulate: Callable[..., None], order: range) -> None:
    dut = column_pointers()
    pointers = [0, 0, 1, 3, 3, 3, 10, 20, 20, 21, 40, 41, 42, 43, 64, 64]
    lookup = Lookup(dut, pointers)

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, pointers)
        for column in [*order, *[None] * LATENCY]:
            await lookup.cycle(ctx, column, pop=True)
        assert lookup.outstanding == lookup.admitted == 1, "It must be admitted after 4 cycles"

    simulate(dut, bench)


def test_full(simulate: Callable[..., None]) -> None:
    dut = column_pointers()
    pointers = list(range(0, 64, 4))
    lookup = Lookup(dut, pointers)

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, pointers)
        for column in range(PREFETCH_DEPTH):
            await lookup.cycle(ctx, column, pop=False)
        for _ in range(10):
            await lookup.cycle(ctx, None, pop=False)
        assert len(lookup.columns) == PREFETCH_DEPTH
        # A lookup for each pop keeps it full.
        for column in range(15):
            await lookup.cycle(ctx, column, pop=True)
            for _ in range(LATENCY):
                await lookup.cycle(ctx, None, pop=False)
            assert len(lookup.columns) == PREFETCH_DEPTH
        for _ in range(PREFETCH_DEPTH):
            await lookup.cycle(ctx, None, pop=True)

    simulate(dut, bench)


def test_whole_memory_in_a_column(simulate: Callable[..., None]) -> None:
    dut = column_pointers(entry_depth=64, pointer_depth=4)
    lookup = Lookup(dut, [0, 64, 64, 64])

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, lookup.pointers)
        for column in (0, 1, 2, 0, None, None, None):
            await lookup.cycle(ctx, column, pop=True)

    simulate(dut, bench)


def test_new_pointers(simulate: Callable[..., None]) -> None:
    # Another image; every pointer is written, in falling order of addresses.
    dut = column_pointers(pointer_depth=4)

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, [0, 1, 2, 3])
        for addr, pointer in ((3, 50), (2, 30), (1, 30), (0, 7)):
            ctx.set(dut.load_valid, 1)
            ctx.set(dut.load_addr, addr)
            ctx.set(dut.load_data, pointer)
            await ctx.tick()
        ctx.set(dut.load_valid, 0)
        lookup = Lookup(dut, [7, 30, 30, 50])
        for column in (0, 1, 2, None, None, None):
            await lookup.cycle(ctx, column, pop=True)

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    dut = column_pointers()
    reset = Signal()
    pointers = list(range(0, 64, 4))

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, pointers)
        for columns in range(1, 8):
            lookup = Lookup(dut, pointers)
            for column in range(columns):
                await lookup.cycle(ctx, column, pop=column % 3 == 0)
            ctx.set(dut.column_valid, 0)
            ctx.set(dut.pop, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            lookup = Lookup(dut, pointers)
            for column in (9, 4, 5, *[None] * (LATENCY + 1)):
                await lookup.cycle(ctx, column, pop=True)

    simulate(dut, bench, reset=reset)
