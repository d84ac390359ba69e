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
    assert dict(LogicMultiplier(signed(6), unsigned(9)).signature.members) == {
        "a": In(signed(6)), "b": In(unsigned(9)), "product": Out(signed(15))}
    assert dict(LogicMultiplier(unsigned(3), unsigned(2)).signature.members)["product"] == Out(
        unsigned(5))


def test_parameters() -> None:
    with pytest.raises(ValueError, match=r"^Operand a must have a bit at least, not 0$"):
        LogicMultiplier(unsigned(0), signed(2))
    with pytest.raises(ValueError, match=r"^Operand b must have a bit at least, not 0$"):
        LogicMultiplier(signed(2), unsigned(0))
    with pytest.raises(ValueError, match=r"^Stages must be at least 1, not 0$"):
        LogicMultiplier(signed(2), signed(2), stages=0)


@pytest.mark.parametrize(("width", "stages"), [
    (1, 1), (2, 1), (3, 2), (4, 2), (6, 3), (8, 3), (10, 4), (18, 5)])
def test_stages(width: int, stages: int) -> None:
    """A register behind each addition, unless so many are wanted."""
    assert logic_stages(width) == stages
    assert LogicMultiplier(signed(5), signed(width)).stages == stages
    assert LogicMultiplier(signed(5), signed(width), stages=7).stages == 7


def numbers(shape: Shape) -> list[int]:
    """Return the ends of an operand's range, what is next to 0, and each bit alone."""
    low = -(1 << shape.width - 1) if shape.signed else 0
    high = low + (1 << shape.width) - 1
    ends = {low, high, -1, 0, 1, *(sign << bit for bit in range(shape.width) for sign in (1, -1))}
    return [value for value in ends if low <= value <= high]


@pytest.mark.parametrize("stages", [None, 1, 2, 7])
@pytest.mark.parametrize(("a_shape", "b_shape"), [
    (signed(8), signed(8)), (unsigned(17), signed(14)), (signed(18), unsigned(17)),
    (unsigned(5), unsigned(3)), (signed(2), signed(1)), (signed(1), unsigned(1))])
def test_products(simulate: Callable[..., None], a_shape: Shape, b_shape: Shape,
                  stages: int | None) -> None:
    """A pair a cycle; its product comes ``stages`` cycles later."""
    dut, rng = LogicMultiplier(a_shape, b_shape, stages=stages), Random(a_shape.width)

    def draw(shape: Shape) -> int:
        value = rng.getrandbits(shape.width)
        return value - (1 << shape.width) * (shape.signed and value >> shape.width - 1)

    pairs = [(a, b) for a in numbers(a_shape) for b in numbers(b_shape)]
    rng.shuffle(pairs)
    pairs = pairs[:150] + [(draw(a_shape), draw(b_shape)) for _ in range(50)]

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for cycle in range(len(pairs) + dut.stages):
            a, b = pairs[min(cycle, len(pairs) - 1)]
            seen = await ports.cycle(a=a, b=b)
            if cycle >= dut.stages:
                a, b = pairs[cycle - dut.stages]
                assert seen["product"] == a * b, (a, b)

    simulate(dut, bench)
