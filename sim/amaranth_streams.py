"""Streams of a component in the Amaranth simulator.

Apart from :mod:`eieio.sim.streams`, since a cocotb bench starts faster without Amaranth.
"""

from collections.abc import Iterable
from random import Random
from typing import Any

from amaranth.hdl import Value
from amaranth.lib import stream
from amaranth.sim import Simulator

__all__ = ["run_streams"]


def run_streams(dut: Any, i: stream.Interface, o: stream.Interface, payloads: Iterable[Any], *,
                count: int, stall: float = 0.0, seed: int = 0,
                eager: bool = True, max_cycles: int = 10_000) -> list[Any]:
    """Push ``payloads`` into ``i`` and return the first ``count`` payloads seen on ``o``.

    Parameters
    ----------
    dut : component
        Design.
    i, o : :class:`amaranth.lib.stream.Interface`
        Its input and its output.
    payloads : iterable
        What to push.
    count : :class:`int`
        Number of payloads to wait for.
    stall : :class:`float`
        Probability of a pause of a cycle before each payload, on both sides.
    seed : :class:`int`
        Seed of the stalls.
    eager : :class:`bool`
        Whether the output must be valid before anyone is ready for it, which streams promise. With
        stalls nobody is, before the first payload is offered.
    max_cycles : :class:`int`
        Bound of the simulation.

    Raises
    ------
    TimeoutError
        After ``max_cycles``: a deadlocked stream must fail, not hang.
    AssertionError
        If the output takes valid back or changes its payload while it is stalled.
    """
    received: list[Any] = []

    async def put(ctx: Any) -> None:
        rng = Random(seed)
        for payload in payloads:
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(i.payload, payload)
            ctx.set(i.valid, 1)
            while not (await ctx.tick().sample(i.ready))[-1]:
                pass
            ctx.set(i.valid, 0)

    async def get(ctx: Any) -> None:
        rng = Random(seed + 1)
        while eager and stall and not ctx.get(o.valid):
            await ctx.tick()
        while len(received) < count:
            while rng.random() < stall:
                await ctx.tick()
            ctx.set(o.ready, 1)
            valid, payload = False, None
            while not valid:
                *_, valid, payload = await ctx.tick().sample(o.valid, o.payload)
            ctx.set(o.ready, 0)
            received.append(payload)

    async def watch(ctx: Any) -> None:
        held: int | None = None
        bits = Value.cast(o.payload).as_unsigned()
        while True:
            *_, valid, ready, payload = await ctx.tick().sample(o.valid, o.ready, bits)
            if held is not None and not valid:
                raise AssertionError(f"Output must hold valid while payload {held:#x} is stalled")
            if held is not None and payload != held:
                raise AssertionError(f"Output must hold payload {held:#x} while it is stalled, not "
                                     f"change it to {payload:#x}")
            held = payload if valid and not ready else None

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(put)
    sim.add_testbench(get)
    sim.add_testbench(watch, background=True)
    for _ in range(2 * max_cycles):  # the clock has two edges per cycle
        if not sim.advance():
            return received
    raise TimeoutError(f"Received {len(received)} of {count} payloads in {max_cycles} cycles")
