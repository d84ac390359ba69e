"""Group switch: interface and connections, by the numbering of columns and PEs."""

from collections.abc import Callable
from functools import reduce
from operator import and_
from random import Random
from typing import Any

import pytest
from amaranth.hdl import signed, unsigned
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.group_switch import GroupSwitch


def config(pes: int, groups: int) -> SparseConfig:
    return SparseConfig(pes=pes, column_groups=groups, activation_width=8)


def banks_of(group: int, used: int, groups: int) -> list[int]:
    """Banks of a group, in bit-reversed order of their numbers in it."""
    count = groups // used
    order = [0]
    while len(order) < count:
        # Even numbers before odd ones, at every level.
        order = [2 * number for number in order] + [2 * number + 1 for number in order]
    return [number * used + group for number in order]


class Stimulus:
    """Random inputs, and what the contract makes of them."""

    def __init__(self, rng: Random, settings: SparseConfig, density: float) -> None:
        groups = settings.column_groups
        self.lanes = settings.pes // groups
        self.found = [rng.random() < density for _ in range(groups)]
        self.several = [found and rng.random() < 0.3 for found in self.found]
        self.lane = [rng.randrange(self.lanes) for _ in range(groups)]
        self.activation = [rng.randrange(-128, 128) for _ in range(groups)]
        self.ready = [sum(1 << bit for bit in range(3) if rng.random() < 0.8)
                      for _ in range(groups)]
        self.step = [rng.random() < 0.5 for _ in range(groups)]
        self.wish = [rng.random() < 0.7 for _ in range(groups)]

    def drive(self, ctx: Any, dut: GroupSwitch, used: int) -> None:
        groups = len(self.found)
        take = [self.wish[group] and group < used
                and any(self.found[bank] for bank in banks_of(group, used, groups))
                for group in range(groups)]
        for ports, values in (
                (dut.bank_found, self.found), (dut.bank_several, self.several),
                (dut.pe_ready, self.ready),
                (dut.step, self.step), (dut.take, take)):
            for port, value in zip(ports, values, strict=True):
                ctx.set(port, value)

    def drive_late(self, ctx: Any, dut: GroupSwitch) -> None:
        """Handle what comes in the cycle after."""
        for ports, values in ((dut.bank_lane, self.lane), (dut.bank_activation, self.activation)):
            for port, value in zip(ports, values, strict=True):
                ctx.set(port, value)

    def check(self, ctx: Any, dut: GroupSwitch, used: int) -> None:
        groups = len(self.found)
        for group in range(groups):
            if group >= used:
                assert not ctx.get(dut.found[group])
                continue
            banks = banks_of(group, used, groups)
            found = [bank for bank in banks if self.found[bank]]
            several = len(found) > 1 or any(self.several[bank] for bank in found)
            assert ctx.get(dut.found[group]) == bool(found)
            assert ctx.get(dut.ready[group]) == reduce(and_, (self.ready[bank] for bank in banks))
            assert ctx.get(dut.several[group]) == (bool(found) and several)
            for bank in banks:
                assert ctx.get(dut.bank_step[bank]) == self.step[group]
                takes = bool(found) and bank == found[0] and self.wish[group]
                if self.found[bank]:  # Without a nonzero there is nothing to take.
                    assert ctx.get(dut.bank_take[bank]) == takes

    def check_late(self, ctx: Any, dut: GroupSwitch, used: int) -> None:
        """Handle what comes in the cycle after."""
        groups = len(self.found)
        for group in range(used):
            found = [bank for bank in banks_of(group, used, groups) if self.found[bank]]
            if found:
                assert ctx.get(dut.activation[group]) == self.activation[found[0]]
                # Position in a word, and which of the group's columns in the word it is.
                position = self.lane[found[0]] * groups + found[0]
                assert position % used == group
                assert ctx.get(dut.offset[group]) == position // used


def test_members() -> None:
    dut = GroupSwitch(config(20, 4))
    assert dict(dut.signature.members) == {
        "group_bits": In(unsigned(2)),
        "bank_found": In(1).array(4),
        "bank_several": In(1).array(4),
        "bank_lane": In(unsigned(3)).array(4),
        "bank_activation": In(signed(8)).array(4),
        "bank_take": Out(1).array(4),
        "bank_step": Out(1).array(4),
        "found": Out(1).array(4),
        "several": Out(1).array(4),
        "offset": Out(unsigned(5)).array(4),
        "activation": Out(signed(8)).array(4),
        "take": In(1).array(4),
        "step": In(1).array(4),
        "pe_ready": In(3).array(4),
        "ready": Out(3).array(4),
    }


@pytest.mark.parametrize("density", [0.15, 0.6])
@pytest.mark.parametrize(("pes", "groups", "used"), [
    (3, 1, 1), (2, 2, 1), (6, 2, 1), (6, 2, 2), (12, 4, 1), (12, 4, 2), (12, 4, 4), (4, 4, 2),
    (24, 8, 1), (24, 8, 2), (24, 8, 4), (24, 8, 8), (16, 16, 2)])
def test_random(simulate: Callable[..., None], pes: int, groups: int, used: int, density: float
                ) -> None:
    settings = config(pes, groups)
    dut = GroupSwitch(settings)
    rng = Random(f"{pes} {groups} {used} {density}")

    async def bench(ctx: Any) -> None:
        ctx.set(dut.group_bits, used.bit_length() - 1)
        before = None
        for _ in range(50):
            stimulus = Stimulus(rng, settings, density)
            stimulus.drive(ctx, dut, used)
            stimulus.check(ctx, dut, used)
            if before is not None:
                before.drive_late(ctx, dut)
                before.check_late(ctx, dut, used)
            await ctx.tick()
            before = stimulus

    simulate(dut, bench)


def test_order_of_banks(simulate: Callable[..., None]) -> None:
    # All banks of one group have a nonzero each: taken one after the other.
    dut = GroupSwitch(config(8, 8))
    order = []

    async def bench(ctx: Any) -> None:
        for bank in range(8):
            ctx.set(dut.bank_found[bank], 1)
        for left in range(8, 0, -1):
            assert ctx.get(dut.found[0])
            assert ctx.get(dut.several[0]) == (left > 1)
            ctx.set(dut.take[0], 1)
            await ctx.tick()
            offset = ctx.get(dut.offset[0])
            assert [ctx.get(dut.bank_take[bank]) for bank in range(8) if
                    ctx.get(dut.bank_found[bank])].count(1) == 1
            assert ctx.get(dut.bank_take[offset])
            ctx.set(dut.bank_found[offset], 0)
            order.append(offset)
        ctx.set(dut.take[0], 0)
        assert not ctx.get(dut.found[0])

    simulate(dut, bench)
    assert order == [0, 4, 2, 6, 1, 5, 3, 7]
