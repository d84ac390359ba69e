"""Head queue: interface, order and cycles against a list."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib.wiring import In, Out

from eieio.rtl.sparse.head_queue import HeadQueue


async def cycle(ctx: Any, dut: HeadQueue, elements: list[int], pushed: int | None, pop: bool
                ) -> None:
    """Go through one cycle and compare with a list, which is changed."""
    ctx.set(dut.push, pushed is not None)
    ctx.set(dut.i, 0x5A if pushed is None else pushed)
    ctx.set(dut.pop, pop)
    *_, valid, head = await ctx.tick().sample(dut.valid, dut.o)
    assert valid == bool(elements)
    if elements:
        assert head == elements[0]
    if pop:
        elements.pop(0)
    if pushed is not None:
        elements.append(pushed)


def test_members() -> None:
    assert dict(HeadQueue(5, 4).signature.members) == {
        "push": In(1),
        "i": In(unsigned(5)),
        "valid": Out(1),
        "o": Out(unsigned(5)),
        "pop": In(1),
    }


@pytest.mark.parametrize(("pushing", "popping"), [
    (1.0, 1.0), (0.9, 0.3), (0.3, 0.9), (0.5, 0.5), (0.9, 0.9)])
@pytest.mark.parametrize("depth", [2, 3, 5, 9])
def test_random(simulate: Callable[..., None], depth: int, pushing: float, popping: float) -> None:
    dut = HeadQueue(8, depth)
    rng = Random(f"{depth} {pushing} {popping}")

    async def bench(ctx: Any) -> None:
        elements: list[int] = []
        for _ in range(300):
            pop = bool(elements) and rng.random() < popping
            push = len(elements) - pop < depth and rng.random() < pushing
            await cycle(ctx, dut, elements, rng.randrange(256) if push else None, pop)

    simulate(dut, bench)


@pytest.mark.parametrize("depth", [2, 4, 7])
def test_full(simulate: Callable[..., None], depth: int) -> None:
    dut = HeadQueue(8, depth)

    async def bench(ctx: Any) -> None:
        elements: list[int] = []
        for number in range(depth):
            await cycle(ctx, dut, elements, number, pop=False)
        # It stays full, and its addresses wrap.
        for number in range(3 * depth):
            await cycle(ctx, dut, elements, 100 + number, pop=True)
        for _ in range(depth):
            await cycle(ctx, dut, elements, None, pop=True)
        await cycle(ctx, dut, elements, None, pop=False)

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    dut = HeadQueue(8, 4)
    reset = Signal()

    async def bench(ctx: Any) -> None:
        for count in range(1, 5):
            elements: list[int] = []
            for number in range(count):
                await cycle(ctx, dut, elements, number, pop=number == 2)
            ctx.set(dut.push, 0)
            ctx.set(dut.pop, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            elements = []
            for pushed in (7, 8, None):
                await cycle(ctx, dut, elements, pushed, pop=bool(elements))

    simulate(dut, bench, reset=reset)
