"""Sequencer of a node: interface, instructions in order, and the cycles between them."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib.wiring import In, Out
from ports import Ports

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import INSTRUCTION_WORDS
from eieio.rtl.dadiannao.sequencer import Sequencer

# From the cycle of a request to that of `start`: a word of the instruction a cycle, two cycles of
# the memory, and one until it is handed out.
FETCH = INSTRUCTION_WORDS + 4


def sequencer(depth: int = 5) -> Sequencer:
    return Sequencer(DaDianNaoConfig(program_depth=depth))


def test_members() -> None:
    assert dict(sequencer(5).signature.members) == {
        "load_valid": In(1), "load_addr": In(unsigned(7)), "load_data": In(unsigned(32)),
        "count": In(range(6)), "begin": In(1), "instruction": Out(unsigned(640)),
        "start": Out(1), "done": In(1), "finished": Out(1)}


async def load(ports: Ports, program: list[int]) -> None:
    for addr in range(INSTRUCTION_WORDS * len(program)):
        number, word = divmod(addr, INSTRUCTION_WORDS)
        await ports.cycle(load_valid=1, load_addr=addr,
                          load_data=program[number] >> 32 * word & ((1 << 32) - 1))
    ports.set(load_valid=0, load_data=0)


async def check(ports: Ports, program: list[int], durations: list[int], *, stop: int = -1) -> None:
    """Run a program whose instructions take so many cycles from `start` to `done`.

    An instruction comes when the one before has ended, and it has been fetched, which begins when
    the one before comes.
    """
    starts: list[int] = []
    ends: list[int] = []
    for number, duration in enumerate(durations):
        ended = ends[-1] + 2 if ends else 0
        starts.append(max(ended, FETCH if not number else starts[-1] + FETCH - 1))
        ends.append(starts[-1] + duration)
    # Long enough to see that nothing follows.
    for cycle in range((ends[-1] if ends else 0) + FETCH + 4):
        if cycle == stop:
            return
        seen = await ports.cycle(begin=cycle == 0, count=len(durations), done=cycle in ends,
                                 load_addr=cycle % (INSTRUCTION_WORDS * len(program)),
                                 load_data=0x9E3779B9 * cycle & 0xFFFFFFFF)
        assert seen["start"] == (cycle in starts), cycle
        assert seen["finished"] == (bool(ends) and cycle == ends[-1] + 1), cycle
        begun = sum(start <= cycle for start in starts)
        if begun:
            assert seen["instruction"] == program[begun - 1], cycle


def random_program(rng: Random, count: int) -> list[int]:
    return [rng.getrandbits(32 * INSTRUCTION_WORDS) for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_random(simulate: Callable[..., None], seed: int) -> None:
    """Programs of all lengths, over and over, with instructions shorter and longer than a fetch."""
    dut, rng = sequencer(), Random(seed)
    program = random_program(rng, 5)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        await load(ports, program)
        for count in (5, 1, 0, 3, 5):
            await check(ports, program, [rng.choice((0, 1, 5, 19, 20, 21, 22, 23, 24, 40))
                                         for _ in range(count)])

    simulate(dut, bench)


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_ends(simulate: Callable[..., None], depth: int) -> None:
    """A memory that is full to its last word; a new program over the old one."""
    dut, rng = sequencer(depth), Random(depth)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for _ in range(2):
            program = random_program(rng, depth)
            await load(ports, program)
            await check(ports, program, [rng.randrange(30) for _ in range(depth)])

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    """In every phase of a fetch; the program is held, and begins from its beginning."""
    dut, rng, reset = sequencer(), Random(9), Signal()
    program = random_program(rng, 5)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        await load(ports, program)
        for stop in (1, 2, 3, 12, 20, 21, 22, 23, 24, 25, 26, 30, 45, 50):
            await check(ports, program, [3, 30, 3], stop=stop)
            ctx.set(reset, 1)
            await ports.cycle(done=0, begin=0)
            ctx.set(reset, 0)
            for _ in range(stop % 3):
                seen = await ports.cycle()
                assert not seen["start"]
                assert not seen["finished"]
            await check(ports, program, [2, 22])

    simulate(dut, bench, reset=reset)
