"""Output port: passes outputs on, and ends those that are given up."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import unsigned
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from eieio.rtl.bus.output_port import OutputPort
from eieio.rtl.bus.skid_buffer import beat_layout
from eieio.sim.amaranth_streams import run_streams


def test_members() -> None:
    payload = stream.Signature(beat_layout(5))
    assert dict(OutputPort(5).signature.members) == {
        "i": In(payload), "o": Out(payload), "abort": In(unsigned(1))}


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.7])
def test_order(stall: float) -> None:
    dut = OutputPort(8)
    beats = [{"data": number % 256, "last": number % 7 == 0} for number in range(400)]
    received = run_streams(dut, dut.i, dut.o, beats, count=400, stall=stall, seed=1)
    assert [(beat.data, beat.last) for beat in received] == [
        (beat["data"], beat["last"]) for beat in beats]


@pytest.mark.parametrize("pause", [0, 1, 5])
def test_stalled(simulate: Callable[..., None], pause: int) -> None:
    """The first beat is offered before anyone is ready for it, and there is room for a second."""
    dut = OutputPort(8)

    async def bench(ctx: Any) -> None:
        await ctx.tick().repeat(2)
        for number in range(2):
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload.data, number)
            assert ctx.get(dut.i.ready)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            for _ in range(pause):
                await ctx.tick()
            assert ctx.get(dut.o.valid)
        await ctx.tick()
        assert not ctx.get(dut.i.ready)
        ctx.set(dut.o.ready, 1)
        for number in range(2):
            *_, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            assert (valid, payload.data) == (1, number)
        assert not ctx.get(dut.o.valid)

    simulate(dut, bench)


@pytest.mark.parametrize("stall", [0.0, 0.5, 0.9])
def test_abort(simulate: Callable[..., None], stall: float) -> None:
    """Whatever is received is whole outputs, or beginnings of some ended by a beat of zeros."""
    rng = Random(stall)
    dut = OutputPort(8)
    whole = [0x41, 0xA2, 0x1C, 0xFF, 0x93, 0x6E]  # all bits, and no zero
    length = len(whole)
    received: list[list[int]] = [[]]
    held: list[tuple[int, int]] = []
    aborts = 0

    def take(valid: int, ready: int, payload: Any) -> None:
        beat = (payload.data, payload.last)
        if held:
            assert valid, "Valid must stay"
            assert beat == held.pop(), "A beat that is offered must stay"
        if valid and not ready:
            held.append(beat)
        elif valid:
            received[-1].append(payload.data)
            if payload.last:
                received.append([])

    async def bench(ctx: Any) -> None:
        nonlocal aborts
        position = 0
        for _ in range(4000):
            ctx.set(dut.o.ready, rng.random() >= stall)
            abort = rng.random() < 0.03
            ctx.set(dut.abort, abort)
            offered = ctx.get(dut.i.valid) or rng.random() >= stall / 2
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.payload.data, whole[position])
            ctx.set(dut.i.payload.last, position == length - 1)
            *_, valid, ready, payload, i_ready = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload, dut.i.ready)
            take(valid, ready, payload)
            if abort:
                aborts += 1
                position = 0
                ctx.set(dut.i.valid, 0)
            elif offered and i_ready:
                position = (position + 1) % length
                ctx.set(dut.i.valid, 0)
        # What is left comes out, and no more.
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.abort, 1)
        ctx.set(dut.o.ready, 1)
        for _ in range(10):
            *_, valid, ready, payload = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload)
            take(valid, ready, payload)
            ctx.set(dut.abort, 0)

    simulate(dut, bench)
    assert aborts > 50
    assert received.pop() == []
    for output in received:
        assert output == whole or output == [*whole[:len(output) - 1], 0], output
        assert len(output) > 1
    assert whole in received
    assert any(output != whole for output in received)
