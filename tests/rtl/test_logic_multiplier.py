"""Multiplier of adders: interface, latency, and products of numbers at their ends."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import signed
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.rtl.logic_multiplier import LogicMultiplier, logic_stages


def test_members() -> None:
    assert dict(LogicMultiplier(6).signature.members) == {
        "a": In(signed(6)), "b": In(signed(6)), "product": Out(signed(12))}


@pytest.mark.parametrize("width", [0, -2, 7])
def test_width(width: int) -> None:
    with pytest.raises(ValueError, match=f"^Width must be an even number of .* 2, not {width}$"):
        LogicMultiplier(width)


@pytest.mark.parametrize(("width", "stages"), [(2, 1), (4, 2), (6, 3), (8, 3), (10, 4), (18, 5)])
def test_products(simulate: Callable[..., None], width: int, stages: int) -> None:
    """A pair a cycle; its product comes a register behind each addition later."""
    dut, rng = LogicMultiplier(width), Random(width)
    assert dut.stages == logic_stages(width) == stages
    half = 1 << width - 1
    ends = [-half, half - 1, -1, 0, 1, *(sign << bit for bit in range(width - 1)
                                         for sign in (1, -1))]
    pairs = [(a, b) for a in ends for b in ends]
    pairs += [(rng.randrange(-half, half), rng.randrange(-half, half)) for _ in range(200)]
    rng.shuffle(pairs)
    pairs = pairs[:400]

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for cycle in range(len(pairs) + stages):
            a, b = pairs[min(cycle, len(pairs) - 1)]
            seen = await ports.cycle(a=a, b=b)
            if cycle >= stages:
                a, b = pairs[cycle - stages]
                assert seen["product"] == a * b, (a, b)

    simulate(dut, bench)
