"""Skid buffer: order, speed, and registers on both sides."""

from collections.abc import Callable
from typing import Any

import pytest
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.skid_buffer import SkidBuffer, beat_layout
from eieio.sim.amaranth_streams import run_streams

LAYOUT = beat_layout(8)


def test_members() -> None:
    assert dict(SkidBuffer(LAYOUT).signature.members) == {
        "i": In(stream.Signature(LAYOUT)), "o": Out(stream.Signature(LAYOUT))}


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.7])
def test_order(stall: float) -> None:
    dut = SkidBuffer(LAYOUT)
    beats = [{"data": number % 256, "last": number % 7 == 0} for number in range(400)]
    received = run_streams(dut, dut.i, dut.o, beats, count=400, stall=stall, seed=1)
    assert [(beat.data, beat.last) for beat in received] == [
        (beat["data"], beat["last"]) for beat in beats]


def test_beat_a_cycle(simulate: Callable[..., None]) -> None:
    """A beat a cycle passes; two fit in while the receiver stalls."""
    dut = SkidBuffer(LAYOUT)

    async def bench(ctx: Any) -> None:
        assert ctx.get(dut.i.ready) == 0
        await ctx.tick()
        ctx.set(dut.o.ready, 1)
        for number in range(20):
            assert ctx.get(dut.i.ready) == 1
            ctx.set(dut.i.payload.data, number)
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
            assert (ctx.get(dut.o.valid), ctx.get(dut.o.payload.data)) == (1, number)
        ctx.set(dut.o.ready, 0)
        assert ctx.get(dut.i.ready) == 1
        await ctx.tick()
        assert ctx.get(dut.i.ready) == 0

    simulate(dut, bench)
