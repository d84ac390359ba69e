"""Accumulate: interface, sums and hazards against a list of integers."""

from collections.abc import Callable, Sequence
from itertools import product
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.accumulate import Accumulate

# A product is stored at the end of its fourth cycle, so that a drain can follow this many cycles
# after it.
PRODUCT_TO_DRAIN = 4

#: Slot, operand and weight of a product, or a cycle without one.
Product = tuple[int, int, int] | None


def config(depth: int = 16, groups: int = 1, width: int = 24) -> SparseConfig:
    return SparseConfig(pes=4 * groups, column_groups=groups, accumulator_depth=depth,
                        activation_width=8, weight_width=8, accumulator_width=width)


async def accumulate(ctx: Any, dut: Accumulate, products: Sequence[Product]) -> None:
    """Add a product a cycle, and wait until a drain may follow."""
    for some in products:
        ctx.set(dut.valid, some is not None)
        if some is not None:
            ctx.set(dut.slot, some[0])
            ctx.set(dut.operand, some[1])
            ctx.set(dut.weight, some[2])
        await ctx.tick()
    ctx.set(dut.valid, 0)
    await ctx.tick().repeat(PRODUCT_TO_DRAIN - 1)


async def drain(ctx: Any, dut: Accumulate, settings: SparseConfig, used: int | None = None
                ) -> list[int]:
    """Drain every slot, ``used`` neighbouring banks at a time, a row a cycle."""
    groups = settings.column_groups
    used = used or groups
    sums: list[int] = []
    ahead = None
    for first in [*range(0, settings.accumulator_depth, used), None]:
        if first is None:
            ctx.set(dut.drain, 0)
        else:
            ctx.set(dut.drain, (1 << used) - 1 << first % groups)
            ctx.set(dut.drain_addr, first // groups)
        *_, row = await ctx.tick().sample(dut.sums)
        if ahead is not None:
            sums += [row[bank] for bank in range(ahead % groups, ahead % groups + used)]
        ahead = first
    return sums


def totals(products: Sequence[Product], depth: int) -> list[int]:
    sums = [0] * depth
    for some in products:
        if some is not None:
            sums[some[0]] += some[1] * some[2]
    return sums


def test_members() -> None:
    settings = SparseConfig(pes=8, column_groups=4, accumulator_depth=24, activation_width=7,
                            weight_width=6, accumulator_width=20)
    assert dict(Accumulate(settings).signature.members) == {
        "valid": In(1),
        "slot": In(unsigned(5)),
        "operand": In(signed(7)),
        "weight": In(signed(6)),
        "drain": In(unsigned(4)),
        "drain_addr": In(unsigned(3)),
        "sums": Out(data.ArrayLayout(signed(20), 4)),
    }


@pytest.mark.parametrize("density", [1.0, 0.6])
@pytest.mark.parametrize(("depth", "groups", "slots"), [
    (16, 1, 2), (16, 1, 16), (16, 4, 3), (12, 4, 12), (16, 8, 16), (2, 1, 2)])
def test_random(simulate: Callable[..., None], depth: int, groups: int, slots: int,
                density: float) -> None:
    settings = config(depth, groups)
    dut = Accumulate(settings)
    rng = Random(f"{depth} {groups} {density}")
    # Few slots, so that they often meet within a few cycles.
    some_slots = rng.sample(range(depth), slots)

    async def bench(ctx: Any) -> None:
        await drain(ctx, dut, settings)
        for used in settings.column_group_choices:
            products = [(rng.choice(some_slots), rng.randrange(-128, 128),
                         rng.randrange(-128, 128)) if rng.random() < density else None
                        for _ in range(80)]
            await accumulate(ctx, dut, products)
            assert await drain(ctx, dut, settings, used) == totals(products, depth)
        # The last drain has cleared everything.
        await ctx.tick()
        assert await drain(ctx, dut, settings) == [0] * depth

    simulate(dut, bench)


@pytest.mark.parametrize(("groups", "slots"), [
    (1, (0, 1)), (1, (3, 2)), (4, (0, 4)), (4, (1, 2)), (4, (6, 9))])
def test_hazards(simulate: Callable[..., None], groups: int, slots: tuple[int, int]) -> None:
    # Every sequence of 5 cycles over two slots and none: each distance between two products of a
    # slot, with each combination of the other slot and nothing in between.
    settings = config(4 * groups, groups)
    dut = Accumulate(settings)

    async def bench(ctx: Any) -> None:
        await drain(ctx, dut, settings)
        for sequence in product((None, *slots), repeat=5):
            products = [None if slot is None else (slot, 1 << cycle, 3)
                        for cycle, slot in enumerate(sequence)]
            await accumulate(ctx, dut, products)
            assert await drain(ctx, dut, settings) == totals(products, 4 * groups), sequence

    simulate(dut, bench, max_cycles=6000)


@pytest.mark.parametrize("distance", [1, 2, 3, 4])
def test_forwarding(simulate: Callable[..., None], distance: int) -> None:
    # One slot every `distance` cycles, others in between; and a run without a gap behind it.
    settings = config()
    dut = Accumulate(settings)
    others = [(1, 5, 7), (2, -3, 11), (9, 100, 100)]
    products: list[Product] = []
    for number in range(10):
        products += [(4, number - 5, 17), *others[:distance - 1]]
    products += [(4, 127, 127)] * 10

    async def bench(ctx: Any) -> None:
        await drain(ctx, dut, settings)
        for _ in range(2):  # the second time over what the first has drained
            await accumulate(ctx, dut, products)
            assert await drain(ctx, dut, settings) == totals(products, 16)

    simulate(dut, bench)


def test_sums_add_up_over_pauses(simulate: Callable[..., None]) -> None:
    settings = config()
    dut = Accumulate(settings)
    products = [(3, 10, 10), (3, 1, 1), (15, -128, -128), (0, 127, -128)]

    async def bench(ctx: Any) -> None:
        await drain(ctx, dut, settings)
        for _ in range(3):
            await accumulate(ctx, dut, products)
            await ctx.tick().repeat(3)
        assert await drain(ctx, dut, settings) == totals(products * 3, 16)

    simulate(dut, bench)


@pytest.mark.parametrize("width", [16, 17, 48])
def test_extremes(simulate: Callable[..., None], width: int) -> None:
    settings = config(2, width=width)
    dut = Accumulate(settings)
    bound = (1 << width - 1) if width < 48 else 40 << 14
    low = [(0, -128, 127)] * (bound // (128 * 127))
    rest = bound - 128 * 127 * len(low)
    low += [(0, -128, rest // 128)]
    high = [(1, -128, -128)] * (bound // (128 * 128) - 1) + [(1, 127, 127), (1, 127, 2)]

    async def bench(ctx: Any) -> None:
        await drain(ctx, dut, settings)
        products = [*low, *high]
        sums = totals(products, 2)
        assert sums[0] == -bound
        assert 0 < bound - sums[1] < 256
        await accumulate(ctx, dut, products)
        assert await drain(ctx, dut, settings) == sums

    simulate(dut, bench)


def test_drain_of_some_banks_keeps_the_others(simulate: Callable[..., None]) -> None:
    settings = config(16, 4)
    dut = Accumulate(settings)
    products = [(slot, slot + 1, 1) for slot in range(16)]

    async def bench(ctx: Any) -> None:
        await drain(ctx, dut, settings)
        await accumulate(ctx, dut, products)
        ctx.set(dut.drain, 0b0110)
        ctx.set(dut.drain_addr, 2)
        await ctx.tick()
        ctx.set(dut.drain, 0)
        *_, row = await ctx.tick().sample(dut.sums)
        assert [row[bank] for bank in range(4)] == [9, 10, 11, 12]
        expected = totals(products, 16)
        expected[9] = expected[10] = 0
        assert await drain(ctx, dut, settings) == expected

    simulate(dut, bench)


def test_products_right_after_a_drain(simulate: Callable[..., None]) -> None:
    settings = config(2)
    dut = Accumulate(settings)

    async def bench(ctx: Any) -> None:
        await drain(ctx, dut, settings)
        for slot in (0, 1):
            await accumulate(ctx, dut, [(0, 100, 100), (1, 50, 50)])
            for row in range(2):
                ctx.set(dut.drain, 1)
                ctx.set(dut.drain_addr, row)
                await ctx.tick()
            ctx.set(dut.drain, 0)
            # The first cycle without a drain; the last row is cleared in it.
            products = [(slot, 3, 3), (slot, 4, 4), (1 - slot, 5, 5)]
            await accumulate(ctx, dut, products)
            assert await drain(ctx, dut, settings) == totals(products, 2)

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    # Products on their way are lost; the sums have to be cleared, and then are right.
    settings = config()
    dut = Accumulate(settings)
    reset = Signal()

    async def bench(ctx: Any) -> None:
        for cycles in range(1, 5):
            ctx.set(dut.valid, 1)
            ctx.set(dut.slot, 3)
            ctx.set(dut.operand, 9)
            ctx.set(dut.weight, 9)
            await ctx.tick().repeat(cycles)
            ctx.set(dut.valid, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            await drain(ctx, dut, settings)
            await ctx.tick()
            assert await drain(ctx, dut, settings) == [0] * 16
            products = [(3, 2, 2), (3, 4, 4)]
            await accumulate(ctx, dut, products)
            assert await drain(ctx, dut, settings) == totals(products, 16)

    simulate(dut, bench, reset=reset)
