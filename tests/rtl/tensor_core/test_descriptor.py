"""A descriptor's fields, and pipelines whose registers follow from what is computed of what."""

from collections.abc import Callable
from random import Random
from typing import Any

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data

from eieio.model.tensor_core.program import FETCHED, Field
from eieio.rtl.tensor_core.descriptor import DESCRIPTOR, number
from eieio.rtl.tensor_core.pipeline import Pipeline, Timed


def test_fields(simulate: Callable[..., None]) -> None:
    """A field's lowest bits, with a sign or without."""
    assert data.ArrayLayout(32, FETCHED) == DESCRIPTOR
    assert len(Field) == FETCHED == 26
    m, descriptor = Module(), Signal(DESCRIPTOR)
    plain, negative = Signal(unsigned(9)), Signal(signed(12))
    m.d.comb += [plain.eq(number(descriptor, Field.ROWS, 9)),
                 negative.eq(number(descriptor, Field.ROW_START, 9, signed=True))]

    async def bench(ctx: Any) -> None:
        rng = Random(0)
        for _ in range(20):
            words = [rng.getrandbits(32) for _ in range(FETCHED)]
            ctx.set(descriptor.as_value(), sum(word << 32 * place
                                               for place, word in enumerate(words)))
            assert ctx.get(plain) == words[Field.ROWS] % 512
            assert ctx.get(negative) == (words[Field.ROW_START] + 256) % 512 - 256
            await ctx.tick()

    simulate(m, bench)


def test_pipeline(simulate: Callable[..., None]) -> None:
    """Operands of different times meet; a tree of five values has three levels."""
    m, p = Module(), None
    inputs = [Signal(8, name=f"i_{place}") for place in range(5)]
    p = Pipeline(m)
    late = p.stage("late", lambda a: a + 1, Timed(inputs[0], 0))
    later = p.stage("later", lambda a: a * 2, late)
    both = p.stage("both", lambda a, b, c: a + b + c, later, Timed(inputs[1], 0), late)
    total = p.tree("total", lambda a, b: a + b, [Timed(value, 0) for value in inputs])
    alone = p.tree("alone", lambda a, b: a + b, [late])
    assert [one.time for one in (late, later, both, total, alone)] == [1, 2, 3, 3, 1]
    rng = Random(1)
    drawn = [[rng.getrandbits(8) for _ in range(5)] for _ in range(30)]

    async def bench(ctx: Any) -> None:
        for cycle, numbers in enumerate(drawn):
            for signal, value in zip(inputs, numbers, strict=True):
                ctx.set(signal, value)
            *_, first, second = await ctx.tick().sample(both.value, total.value)
            if cycle >= 3:
                a, b, *_ = drawn[cycle - 3]
                assert first == 3 * (a + 1) + b
                assert second == sum(drawn[cycle - 3])

    simulate(m, bench)
