"""Components of a PE whose inferences are interleaved: one goes on while the other is drained."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import signed, unsigned
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.accumulate import Accumulate
from eieio.rtl.sparse.activation_queue import ActivationQueue
from eieio.rtl.sparse.entry_decode import EntryDecode
from eieio.rtl.sparse.pe import ProcessingElement


def config(**settings: Any) -> SparseConfig:
    return SparseConfig(**{
        "pes": 8, "accumulator_depth": 16, "activation_width": 8, "weight_width": 8,
        "accumulator_width": 24, "entry_depth": 64, "double_buffered": True, "interleaved": True,
        **settings})


def test_members() -> None:
    """What is there beside the members of other engines."""
    settings = config(column_groups=4, layer_depth=6)
    alone = config(column_groups=4, layer_depth=6, interleaved=False)
    for component, more in (
            (Accumulate, {"slot": In(unsigned(5)), "drain": In(unsigned(8))}),
            (ActivationQueue, {"tag": In(1), "watched": In(1), "decode_tag": Out(1)}),
            (EntryDecode, {"activation_tag": In(1), "busy_tag": Out(1), "tag": Out(1)}),
            (ProcessingElement, {"tag": In(1), "watched": In(1), "layer": In(unsigned(6)),
                                 "multiplies": Out(2), "drain": In(unsigned(8))})):
        members = dict(component(settings).signature.members)
        assert members == dict(component(alone).signature.members) | more
    assert Accumulate(settings).signature.members["operand"] == In(signed(8))


@pytest.mark.parametrize(("groups", "depth"), [(1, 16), (4, 16), (2, 256)])
def test_accumulates_while_it_drains(simulate: Callable[..., None], groups: int, depth: int
                                     ) -> None:
    """Products of one inference in every cycle; meanwhile the sums of the other are drained."""
    settings = config(column_groups=groups, accumulator_depth=depth)
    dut = Accumulate(settings)
    rng = Random(groups)
    slots = rng.sample(range(depth), 5)
    sums = [[0] * depth for _ in range(2)]
    rows = depth // groups

    async def bench(ctx: Any) -> None:
        async def cycle(context: int, *, multiplies: bool) -> list[int]:
            slot, operand, weight = rng.choice(slots), rng.randrange(-128, 128), rng.randrange(128)
            multiplies &= rng.random() < 0.9
            ctx.set(dut.valid, multiplies)
            ctx.set(dut.slot, slot + context * depth)
            ctx.set(dut.operand, operand)
            ctx.set(dut.weight, weight)
            if multiplies:
                sums[context][slot] += operand * weight
            *_, shown = await ctx.tick().sample(dut.sums)
            return [shown[bank] for bank in range(groups)]

        async def drain(context: int, *, multiplies: bool) -> list[int]:
            """Drain a context while the other one multiplies."""
            drained: list[int] = []
            for row in [*range(rows), None]:
                ctx.set(dut.drain, 0 if row is None
                        else ((1 << groups) - 1) << groups * context)
                ctx.set(dut.drain_addr, row or 0)
                shown = await cycle(1 - context, multiplies=multiplies)
                drained += shown if row != 0 else []
            return drained

        for context in range(2):  # of what the memories hold at first
            await drain(context, multiplies=False)
        for turn in range(9):
            context = turn % 2
            for _ in range(12):
                await cycle(context, multiplies=True)
            for _ in range(3):  # Products reach their accumulators.
                await cycle(1 - context, multiplies=True)
            assert await drain(context, multiplies=True) == sums[context]
            sums[context] = [0] * depth

    simulate(dut, bench)


@pytest.mark.parametrize(("pushing", "decoding"), [(0.9, 0.9), (0.9, 0.3), (0.4, 0.9)])
@pytest.mark.parametrize("depth", [2, 8])
def test_queue_tells_of_one_inference(simulate: Callable[..., None], depth: int, pushing: float,
                                      decoding: float) -> None:
    """Columns of two inferences in turn: whether those of the watched one are all started."""
    settings = config(queue_depth=depth)
    dut = ActivationQueue(settings)
    rng = Random(f"{depth} {pushing} {decoding}")
    seen = {"apart": 0, "finished": 0}

    async def bench(ctx: Any) -> None:
        columns: list[int] = []  # tags of what has been pushed and not started
        tag = watched = reserved = fetched = 0
        left = 9  # columns of this layer
        arriving = freed = None  # tags of what was pushed, and started, in the cycle before
        since = 9  # the watched one changed
        for _ in range(900):
            if not left and not reserved and arriving is None:
                # The next layer is the other's, once its last one has been drained.
                if tag == watched and rng.random() < 0.5:
                    tag, left = 1 - tag, rng.randrange(1, 14)
                elif tag != watched and watched not in columns and freed != watched:
                    watched, since = tag, 0
            reserve = bool(left and reserved + len(columns) + (freed is not None)
                           < settings.places and rng.random() < pushing)
            push = bool(reserved and rng.random() < pushing)
            fetch = fetched < len(columns) and rng.random() < 0.9
            decode = bool(fetched and len(columns) > (arriving is not None)
                          and rng.random() < decoding)
            for name, value in (("reserve", reserve), ("push", push), ("fetch_pop", fetch),
                                ("decode_pop", decode), ("tag", tag), ("watched", watched)):
                ctx.set(getattr(dut, name), value)
            *_, occupied, head = await ctx.tick().sample(dut.occupied, dut.decode_tag)
            if since > 1:
                here = watched in columns or freed == watched
                assert occupied == (here or bool(reserved and tag == watched))
                seen["apart"] += tag != watched
                seen["finished"] += not occupied and bool(columns)
            if len(columns) > (arriving is not None):
                assert head == columns[0]
            since += 1
            freed = columns.pop(0) if decode else None
            fetched += fetch - decode
            left -= reserve
            reserved += reserve - push
            arriving = tag if push else None
            if push:
                columns.append(tag)

    simulate(dut, bench)
    assert seen["apart"] > 40
    assert seen["finished"] > 4 or decoding > pushing
