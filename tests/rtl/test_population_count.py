"""Population count."""

from random import Random
from typing import Any

import pytest
from amaranth.hdl import unsigned
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from eieio.rtl.population_count import PopulationCount


def test_members() -> None:
    dut = PopulationCount(5)
    assert dict(dut.signature.members) == {"i": In(unsigned(5)), "o": Out(unsigned(3))}


def test_bad_width() -> None:
    with pytest.raises(ValueError, match=r"^Width must be at least 1, not 0$"):
        PopulationCount(0)


@pytest.mark.parametrize(("width", "latency"), [(1, 1), (2, 1), (4, 1), (5, 2), (16, 2), (17, 3),
                                                (64, 3), (100, 4), (256, 4)])
def test_counts(width: int, latency: int) -> None:
    dut = PopulationCount(width)
    assert dut.latency == latency
    rng = Random(width)
    words = [rng.getrandbits(width) for _ in range(30)] + [0, (1 << width) - 1]

    async def bench(ctx: Any) -> None:
        seen = []
        for word in words + [0] * latency:
            ctx.set(dut.i, word)
            await ctx.tick()
            seen.append(ctx.get(dut.o))
        assert seen[latency - 1:][:len(words)] == [word.bit_count() for word in words]

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
