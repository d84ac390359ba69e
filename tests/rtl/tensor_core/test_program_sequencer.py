"""Program sequencer: interface, and descriptors in their order and cycles."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.program import DESCRIPTOR_WORDS, FETCHED
from eieio.rtl.tensor_core.descriptor import DESCRIPTOR
from eieio.rtl.tensor_core.program_sequencer import ProgramSequencer

# From `run`, or `done`, to `start`: a word a cycle, one for the memory, and one to see the last.
FETCH = FETCHED + 2


def sequencer(depth: int = 5) -> ProgramSequencer:
    return ProgramSequencer(TensorCoreConfig(program_depth=depth))


def test_members() -> None:
    assert dict(sequencer().signature.members) == {
        "load_en": In(1), "load_addr": In(unsigned(32)), "load_data": In(unsigned(32)),
        "load_layers": In(1), "descriptor": Out(DESCRIPTOR), "layer": Out(unsigned(3)),
        "begin": Out(1), "start": Out(1), "receiving": Out(1), "received": In(1),
        "waiting": Out(1), "run": In(1), "done": In(1), "sending": Out(1), "sent": In(1)}


async def load(ports: Ports, rng: Random, depth: int) -> list[int]:
    """Write all words of all descriptors, those that nobody fetches, too."""
    program = []
    for layer in range(depth):
        words = [rng.getrandbits(32) for _ in range(DESCRIPTOR_WORDS)]
        for place, word in enumerate(words):
            await ports.cycle(load_en=1, load_addr=layer * DESCRIPTOR_WORDS + place,
                              load_data=word)
        program.append(sum(word << 32 * place for place, word in enumerate(words[:FETCHED])))
    ports.set(load_en=0)
    return program


async def check(ports: Ports, program: list[int], rng: Random, count: int, longest: int, *,
                stop: int = -1) -> None:
    """Run so many descriptors, with waiting of every kind."""
    ports.set(load_layers=1, load_data=count)
    await ports.cycle()
    ports.set(load_layers=0, load_data=0xABCD)
    waits = [rng.randint(0, longest) for _ in range(count + 3)]
    # Cycles in which an event is given, each with its name.
    at = waits[0]
    events = {at: "received"}
    at += 1 + waits[1]
    events[at] = "run"
    begin = at
    starts = []
    for wait in waits[2:-1]:
        starts.append(at + FETCH)
        at = starts[-1] + 1 + wait
        events[at] = "done"
    sending, at = at + 1, at + 1 + waits[-1]
    events[at] = "sent"
    for cycle in range(at + 3):
        if cycle == stop:
            return
        event = events.get(cycle)
        names = ("received", "run", "done", "sent")
        # What is not waited for makes no difference.
        others = {name: int(rng.random() < 0.3) for name in names}
        phase = ("receiving" if cycle <= waits[0] or cycle > at else
                 "waiting" if cycle <= begin else "sending" if cycle >= sending else "")
        allowed = {"receiving": "received", "waiting": "run", "sending": "sent", "": "done"}[phase]
        others[allowed] = 0
        if not phase and event is None and not any(
                start < cycle <= start + 1 + longest for start in starts):
            others["done"] = int(rng.random() < 0.3)
        seen = await ports.cycle(**{**others, **({event: 1} if event else {})},
                                 load_addr=rng.randrange(64), load_data=rng.getrandbits(32))
        assert [name for name in ("receiving", "waiting", "sending") if seen[name]] == (
            [phase] if phase else []), cycle
        assert seen["begin"] == (cycle == begin), cycle
        assert seen["start"] == (cycle in starts), cycle
        begun = sum(start <= cycle for start in starts)
        running = begin < cycle < sending
        if running and begun and cycle - starts[begun - 1] <= 1 + waits[begun + 1]:
            assert seen["descriptor"] == program[begun - 1], cycle
            assert seen["layer"] == begun - 1, cycle
    ports.set(received=0, run=0, done=0, sent=0)


@pytest.mark.parametrize("longest", [0, 4])
@pytest.mark.parametrize("depth", [5, 2, 16])
def test_random(simulate: Callable[..., None], depth: int, longest: int) -> None:
    """Programs from one descriptor to as many as there is room for, again and again."""
    dut, rng = sequencer(depth), Random(longest)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        program = await load(ports, rng, depth)
        for count in (depth, 1, min(3, depth)):
            await check(ports, program, rng, count, longest)
        program = await load(ports, rng, depth)
        await check(ports, program, rng, 2, longest)

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    """In every phase; the program is held, and begins again with its first descriptor."""
    dut, rng, reset = sequencer(), Random(2), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        program = await load(ports, rng, 5)
        for stop in (1, 2, 3, 10, 28, 29, 30, 31, 40, 62, 64):
            await check(ports, program, rng, 2, 0, stop=stop)
            ctx.set(reset, 1)
            await ports.cycle(received=0, run=0, done=0, sent=0)
            ctx.set(reset, 0)
            await check(ports, program, rng, 1 + stop % 2, 1)

    simulate(dut, bench, reset=reset)
