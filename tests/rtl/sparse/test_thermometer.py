"""Thermometer: counts in both directions against a number."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.rtl.sparse.thermometer import add_thermometer


class Counter(wiring.Component):
    up: Signal
    down: Signal
    o: Signal

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__({"up": In(1), "down": In(1), "o": Out(most)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        above = add_thermometer(m, "above", self.most, up=self.up, down=self.down)
        m.d.comb += self.o.eq(above)
        return m


@pytest.mark.parametrize("rising", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("most", [1, 2, 3, 8])
def test_random(simulate: Callable[..., None], most: int, rising: float) -> None:
    dut = Counter(most)
    rng = Random(f"{most} {rising}")

    async def bench(ctx: Any) -> None:
        count = 0
        for _ in range(200):
            assert ctx.get(dut.o) == (1 << count) - 1
            up, down = rng.random() < rising, rng.random() < 1 - rising
            ctx.set(dut.up, up)
            ctx.set(dut.down, down)
            await ctx.tick()
            # At its ends it stays where it is.
            count = min(max(count + up - down, 0), most)

    simulate(dut, bench)
