"""Multiplier of adders: interface, latency, and products of numbers at their ends."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.rtl.logic_multiplier import LogicMultiplier, logic_stages


def test_members() -> None:
    assert dict(LogicMultiplier(signed(6), unsigned(5)).signature.members) == {
        "a": In(signed(6)), "b": In(unsigned(5)), "product": Out(signed(11))}
    assert dict(LogicMultiplier(unsigned(6), unsigned(5)).signature.members)["product"] == Out(
        unsigned(11))


def test_refused() -> None:
    with pytest.raises(ValueError, match=r"^Operand b must have a bit at least, not 0$"):
        LogicMultiplier(signed(6), unsigned(0))
    with pytest.raises(ValueError, match=r"^Stages must be at least 1, not 0$"):
        LogicMultiplier(signed(6), signed(6), stages=0)


def _ends(shape: Shape) -> list[int]:
    """Return numbers at which the bits of a product change most, and neighbours of 0."""
    low = -(1 << shape.width - 1) if shape.signed else 0
    high = low + (1 << shape.width) - 1
    single = [sign << bit for bit in range(shape.width) for sign in (1, -1)]
    return sorted({low, high, 0, *(number for number in single if low <= number <= high)})


@pytest.mark.parametrize(("a_shape", "b_shape", "stages"), [
    (signed(2), signed(2), 1), (signed(4), signed(4), 2), (signed(6), signed(6), 3),
    (signed(8), signed(8), 3), (signed(10), signed(10), 4), (signed(18), signed(18), 5),
    (unsigned(8), signed(7), 3), (signed(9), unsigned(8), 3), (unsigned(5), unsigned(1), 1)])
@pytest.mark.parametrize("more", [0, -1, 2])
def test_products(simulate: Callable[..., None], a_shape: Shape, b_shape: Shape, stages: int,
                  more: int) -> None:
    """A pair a cycle; its product comes so many stages later, as many as additions or others."""
    assert logic_stages(b_shape.width) == stages
    stages = max(1, stages + more)
    dut = LogicMultiplier(a_shape, b_shape, stages=stages if more else None)
    assert dut.stages == stages
    rng = Random(a_shape.width)
    a_ends, b_ends = _ends(a_shape), _ends(b_shape)
    pairs = [(a, b) for a in a_ends for b in b_ends]
    pairs += [(rng.randint(a_ends[0], a_ends[-1]), rng.randint(b_ends[0], b_ends[-1]))
              for _ in range(200)]
    rng.shuffle(pairs)
    pairs = pairs[:300]

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for cycle in range(len(pairs) + stages):
            a, b = pairs[min(cycle, len(pairs) - 1)]
            seen = await ports.cycle(a=a, b=b)
            if cycle >= stages:
                a, b = pairs[cycle - stages]
                assert seen["product"] == a * b, (a, b)

    simulate(dut, bench)
