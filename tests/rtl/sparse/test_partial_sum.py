"""Partial sums: interface, latency, and sums over blocks for every number of groups."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.partial_sum import PartialSum

WIDTH = 20

Banks = list[list[int]]


def partial_sum(groups: int) -> PartialSum:
    return PartialSum(SparseConfig(pes=16, column_groups=groups, accumulator_width=WIDTH,
                                   accumulator_depth=32))


def sums_of(banks: Banks, used: int, first_bank: int) -> list[int]:
    """Sum of each lane, by the contract."""
    sums = []
    for pe in range(len(banks)):
        block = range(pe - pe % used, pe - pe % used + used)
        sums.append(sum(banks[member][first_bank + pe % used] for member in block))
    return sums


def test_members() -> None:
    dut = partial_sum(4)
    row = data.ArrayLayout(signed(WIDTH), 4)
    assert dut.latency == 2
    assert dict(dut.signature.members) == {
        "group_bits": In(unsigned(2)),
        "first_bank": In(unsigned(2)),
        "banks": In(data.ArrayLayout(row, 4)),
        "sums": Out(row),
    }


@pytest.mark.parametrize(("groups", "latency"), [(1, 0), (2, 1), (4, 2), (8, 3), (16, 4)])
def test_latency(groups: int, latency: int) -> None:
    assert partial_sum(groups).latency == latency


@pytest.mark.parametrize(("groups", "group_bits"), [
    *((groups, bits) for groups in (1, 2, 4, 8) for bits in range(groups.bit_length())),
    (16, 3)])
def test_random(simulate: Callable[..., None], groups: int, group_bits: int) -> None:
    # A row of banks a cycle; the first bank changes from cycle to cycle.
    dut = partial_sum(groups)
    rng = Random(f"{groups} {group_bits}")
    used = 1 << group_bits
    # No sum of a block may overflow: that is what the compiler sees to.
    bound = (1 << WIDTH - 1) // groups
    expected: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.group_bits, group_bits)
        firsts = list(range(0, groups, used)) * 2
        firsts += [rng.randrange(0, groups, used) for _ in range(max(0, 12 - len(firsts)))]
        for cycle in range(len(firsts) + dut.latency):
            if cycle < len(firsts):
                extreme = rng.choice((-bound, bound - 1, None))
                banks = [[rng.randrange(-bound, bound) if extreme is None else extreme
                          for _ in range(groups)] for _ in range(groups)]
                ctx.set(dut.first_bank, firsts[cycle])
                ctx.set(dut.banks, banks)
                expected.append(sums_of(banks, used, firsts[cycle]))
            *_, sums = await ctx.tick().sample(dut.sums)
            if cycle >= dut.latency:
                assert [sums[pe] for pe in range(groups)] == expected[cycle - dut.latency]

    simulate(dut, bench)


@pytest.mark.parametrize("group_bits", range(4))
def test_each_bank_goes_to_its_lanes(simulate: Callable[..., None], group_bits: int) -> None:
    # A single nonzero accumulator: it reaches one lane, and only for its own first bank.
    groups, used = 8, 1 << group_bits
    dut = partial_sum(groups)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.group_bits, group_bits)
        for pe, bank in ((0, 0), (7, 7), (3, 5), (4, 6), (5, 1)):
            banks = [[int((row, column) == (pe, bank)) for column in range(groups)]
                     for row in range(groups)]
            ctx.set(dut.banks, banks)
            for first_bank in range(0, groups, used):
                ctx.set(dut.first_bank, first_bank)
                await ctx.tick().repeat(dut.latency)
                sums = ctx.get(dut.sums)
                lane = pe - pe % used + bank % used
                assert [sums[number] for number in range(groups)] == [
                    int(number == lane and bank - bank % used == first_bank)
                    for number in range(groups)]

    simulate(dut, bench)
