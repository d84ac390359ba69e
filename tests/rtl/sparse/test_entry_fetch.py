"""Entry fetch: interface, pairs and cycles against slices of a list."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.entry_fetch import PAIR_DEPTH, EntryFetch, entry_layout, pair_layout

# One cycle after its push, a column is offered to fetch; 5 after it, decode can have its pair.
COLUMN_TO_PAIR = 5 - 1

Entry = tuple[int, int]
#: What is defined of a pair: its entries, and whether it ends its column.
Pair = tuple[list[Entry], bool]


def config(entry_depth: int = 64) -> SparseConfig:
    return SparseConfig(entry_depth=entry_depth, code_width=4, run_width=5)


def random_entries(rng: Random, count: int) -> list[Entry]:
    return [(rng.randrange(16), rng.randrange(32)) for _ in range(count)]


def pairs_of(entries: list[Entry], columns: list[tuple[int, int]]) -> list[Pair]:
    pairs: list[Pair] = []
    for start, count in columns:
        places = range(start, start + count, 2) if count else [start]
        pairs += [(entries[place:min(place + 2, start + count)], place == places[-1])
                  for place in places]
    return pairs


async def load(ctx: Any, dut: EntryFetch, entries: list[Entry]) -> None:
    ctx.set(dut.load_valid, 1)
    for addr in range(len(entries) // 2):
        (code_0, run_0), (code_1, run_1) = entries[2 * addr:2 * addr + 2]
        ctx.set(dut.load_addr, addr)
        ctx.set(dut.load_data, code_0 | run_0 << 4 | (code_1 | run_1 << 4) << 16)
        await ctx.tick()
    ctx.set(dut.load_valid, 0)


async def fetch(ctx: Any, dut: EntryFetch, columns: list[tuple[int, int]], cycles: int, *,
                offer: Callable[[int], bool] = lambda cycle: True,
                pop: Callable[[int], bool] = lambda cycle: True
                ) -> tuple[list[Pair], list[int], list[int]]:
    """Offer the columns; return the pairs, the cycle of each, and the cycle of each column."""
    pairs: list[Pair] = []
    pair_cycles: list[int] = []
    column_cycles: list[int] = []
    offered = False
    for cycle in range(cycles):
        left = columns[len(column_cycles):]
        offered = bool(left) and (offered or offer(cycle))
        ctx.set(dut.column_valid, offered)
        if left:
            ctx.set(dut.column_start, left[0][0])
            ctx.set(dut.column_count, left[0][1])
        pops = bool(ctx.get(dut.pair_valid)) and pop(cycle)
        ctx.set(dut.pair_pop, pops)
        *_, taken, pair = await ctx.tick().sample(dut.column_pop, dut.pair)
        assert offered or not taken
        if taken:
            column_cycles.append(cycle)
            offered = False
        if pops:
            assert not (pair.none and pair.both)
            count = 0 if pair.none else 1 + pair.both
            found = [(entry.code, entry.run) for entry in (pair.entries[0], pair.entries[1])]
            found = found[:count]
            assert [pair.fillers >> i & 1 for i in range(count)] == [not code for code, _ in found]
            pairs.append((found, bool(pair.last)))
            pair_cycles.append(cycle)
    ctx.set(dut.column_valid, 0)
    ctx.set(dut.pair_pop, 0)
    return pairs, pair_cycles, column_cycles


def test_layouts() -> None:
    entry = data.StructLayout({"code": 3, "run": 6})
    settings = SparseConfig(code_width=3, run_width=6)
    assert entry_layout(settings) == entry
    assert pair_layout(settings) == data.StructLayout({
        "entries": data.ArrayLayout(entry, 2), "fillers": 2, "none": 1, "both": 1, "last": 1})


def test_members() -> None:
    settings = config(20)
    assert dict(EntryFetch(settings).signature.members) == {
        "column_valid": In(1),
        "column_start": In(unsigned(5)),
        "column_count": In(unsigned(5)),
        "column_pop": Out(1),
        "pair_valid": Out(1),
        "pair": Out(pair_layout(settings)),
        "pair_pop": In(1),
        "load_valid": In(1),
        "load_addr": In(unsigned(4)),
        "load_data": In(unsigned(32)),
    }


@pytest.mark.parametrize(("offering", "popping"), [(1.0, 1.0), (0.2, 1.0), (1.0, 0.4), (0.3, 0.4)])
@pytest.mark.parametrize("entry_depth", [64, 20])
def test_random(simulate: Callable[..., None], entry_depth: int, offering: float, popping: float
                ) -> None:
    dut = EntryFetch(config(entry_depth))
    rng = Random(f"{entry_depth} {offering} {popping}")
    entries = random_entries(rng, entry_depth)
    columns = []
    for _ in range(60):
        count = rng.choice((0, 1, 1, 2, 3, 4, 5, 9))
        columns.append((rng.randrange(entry_depth + 1 - count), count))

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, entries)
        pairs, _, _ = await fetch(ctx, dut, columns, 900,
                                  offer=lambda cycle: rng.random() < offering,
                                  pop=lambda cycle: rng.random() < popping)
        assert pairs == pairs_of(entries, columns)

    simulate(dut, bench)


@pytest.mark.parametrize("count", range(7))
@pytest.mark.parametrize("start", range(3))
def test_latency(simulate: Callable[..., None], start: int, count: int) -> None:
    dut = EntryFetch(config())
    entries = random_entries(Random(count), 64)

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, entries)
        for _ in range(2):
            pairs, cycles, popped = await fetch(ctx, dut, [(start, count)], 12)
            assert pairs == pairs_of(entries, [(start, count)])
            assert popped == [0]
            assert cycles == list(range(COLUMN_TO_PAIR, COLUMN_TO_PAIR + len(pairs)))

    simulate(dut, bench)


@pytest.mark.parametrize("counts", [
    [1] * 20, [2] * 20, [3] * 16, [0] * 20, [5, 1, 0, 2, 1, 4, 3, 6], [20, 1, 20, 1],
    [1, 2, 3, 4, 5, 6, 7, 8]])
def test_a_pair_a_cycle(simulate: Callable[..., None], counts: list[int]) -> None:
    # Across columns too: fetch takes no longer over them than decode.
    dut = EntryFetch(config())
    entries = random_entries(Random(len(counts)), 64)
    columns = [(sum(counts[:number]), count) for number, count in enumerate(counts)]

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, entries)
        pairs, cycles, _ = await fetch(ctx, dut, columns, 80)
        assert pairs == pairs_of(entries, columns)
        assert cycles == list(range(COLUMN_TO_PAIR, COLUMN_TO_PAIR + len(pairs)))

    simulate(dut, bench)


def test_column_of_the_whole_memory(simulate: Callable[..., None]) -> None:
    dut = EntryFetch(config(20))
    entries = random_entries(Random(0), 20)

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, entries)
        for columns in ([(0, 20), (0, 20)], [(1, 19), (0, 20)], [(19, 1), (0, 1)]):
            pairs, _, _ = await fetch(ctx, dut, columns, 40)
            assert pairs == pairs_of(entries, columns)

    simulate(dut, bench)


@pytest.mark.parametrize("counts", [[2] * 12, [24], [1] * 12, [3] * 6 + [2] * 3])
def test_pairs_that_nobody_takes(simulate: Callable[..., None], counts: list[int]) -> None:
    # Fetch stops after as many pairs as it can hold, and loses none.
    dut = EntryFetch(config())
    entries = random_entries(Random(1), 64)
    columns = [(sum(counts[:number]), count) for number, count in enumerate(counts)]

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, entries)
        pairs, cycles, popped = await fetch(ctx, dut, columns, 80, pop=lambda cycle: cycle >= 40)
        assert pairs == pairs_of(entries, columns)
        assert cycles == list(range(40, 40 + len(pairs)))
        needed = [-(-count // 2) for count in counts]
        early = sum(cycle < 40 for cycle in popped)
        assert sum(needed[:early - 1]) <= PAIR_DEPTH <= sum(needed[:early])

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    dut = EntryFetch(config())
    reset = Signal()
    entries = random_entries(Random(2), 64)
    columns = [(3, 9), (12, 1), (13, 2), (16, 20)]

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, entries)
        for cycles in range(1, 12):
            await fetch(ctx, dut, columns, cycles, pop=lambda cycle: cycle % 2 == 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.pair_valid)
            pairs, _, _ = await fetch(ctx, dut, columns[:3], 14)
            assert pairs == pairs_of(entries, columns[:3])

    simulate(dut, bench, reset=reset)
