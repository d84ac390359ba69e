"""Activation bank: interface, words and nonzeros against lists of lists."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.activation_bank import ActivationBank

WIDTH = 8

Word = list[int]


def bank(pes: int = 4, groups: int = 1, depth: int = 4, memories: int = 2) -> ActivationBank:
    return ActivationBank(SparseConfig(
        pes=pes, column_groups=groups, activation_width=WIDTH, activation_depth=depth,
        double_buffered=True, interleaved=memories > 2))


def pack(word: Word) -> int:
    return sum((value & 0xFF) << WIDTH * lane for lane, value in enumerate(word))


def random_word(rng: Random, lanes: int) -> Word:
    return [rng.choice((0, 0, 0, 1, -1, 127, -128, rng.randrange(-128, 128)))
            for _ in range(lanes)]


async def write(ctx: Any, dut: ActivationBank, words: list[Word], buffer: int = 0) -> None:
    """Write an input into memory 0, and read outputs from the other one."""
    ctx.set(dut.output_side, 1)
    ctx.set(dut.input_valid, 1)
    ctx.set(dut.input_buffer, buffer)
    for addr, word in enumerate(words):
        ctx.set(dut.input_addr, addr)
        ctx.set(dut.input_data, pack(word))
        await ctx.tick()
    ctx.set(dut.input_valid, 0)
    await ctx.tick()


async def pulse(ctx: Any, signal: Signal, cycles: int = 1) -> None:
    ctx.set(signal, 1)
    for _ in range(cycles):
        await ctx.tick()
    ctx.set(signal, 0)


class Memory:
    """One of the memories: two buffers, what is on its way in, and what has been read."""

    def __init__(self, lanes: int, depth: int) -> None:
        self.buffers = [[[0] * lanes for _ in range(depth)] for _ in range(2)]
        self.fetched: list[Word | None] = [None, None]
        self.written: tuple[int, int, Word] | None = None

    def conflicts(self, buffer: int, addr: int | None) -> bool:
        """Whether a word is being written; what a read gives meanwhile is not defined."""
        return self.written is not None and self.written[:2] == (buffer, addr)

    def read(self, buffer: int, addr: int | None) -> Word | None:
        known = addr is not None and addr < len(self.buffers[buffer])
        self.fetched.append(list(self.buffers[buffer][addr]) if known and addr is not None
                            else None)
        return self.fetched.pop(0)

    def clock(self, written: tuple[int, int, Word] | None) -> None:
        if self.written is not None:
            self.buffers[self.written[0]][self.written[1]] = self.written[2]
        self.written = written


class Scan:
    """The search for nonzeros: what the bank shows, as far as it is defined."""

    def __init__(self) -> None:
        self.current: Word | None = None
        self.untaken: list[int] = []
        self.first: tuple[int, int] | None = None  # in the cycle before
        self.position: int | None = None

    def clock(self, memory: Memory, start: int, step: int, take: int, buffer: int) -> None:
        self.first = None
        if self.current is not None and self.untaken:
            self.first = self.untaken[0], self.current[self.untaken[0]]
        if start:
            self.current, memory.fetched = None, [None, None]
            self.position = 0
        elif step:
            self.current = memory.read(buffer, self.position)
            self.position = None if self.position is None else self.position + 1
            self.untaken = [lane for lane, value in enumerate(self.current or []) if value]
        elif take:
            self.untaken.pop(0)


def test_members() -> None:
    dut = ActivationBank(SparseConfig(pes=20, column_groups=4, activation_width=6,
                                      activation_depth=9, io_lanes=5))
    assert dut.lanes == 5
    assert dict(dut.signature.members) == {
        "start": In(1),
        "step": In(1),
        "take": In(1),
        "read_side": In(range(1)),
        "read_buffer": In(1),
        "found": Out(1),
        "several": Out(1),
        "lane": Out(unsigned(3)),
        "activation": Out(signed(6)),
        "write_valid": In(1),
        "write_side": In(range(1)),
        "write_buffer": In(1),
        "write_addr": In(unsigned(4)),
        "write_data": In(unsigned(30)),
        "computes": In(1),
        "input_valid": In(1),
        "input_side": In(range(1)),
        "input_buffer": In(1),
        "input_addr": In(unsigned(4)),
        "input_data": In(unsigned(30)),
        "output_step": In(1),
        "output_side": In(range(1)),
        "output_buffer": In(1),
        "output_addr": In(unsigned(4)),
        "output_word": Out(unsigned(30)),
    }


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("pes", "groups", "depth"), [
    (4, 1, 4), (3, 1, 2), (5, 1, 5), (8, 4, 4), (2, 2, 3), (1, 1, 4)])
def test_random(simulate: Callable[..., None], pes: int, groups: int, depth: int, count: int
                ) -> None:
    """Inferences, the next input and the output before, all at a time, memory after memory."""
    dut = bank(pes, groups, depth, count)
    memories = [Memory(dut.lanes, depth) for _ in range(count)]
    rng = Random(pes)
    compared = {"current": 0, "output": 0}

    async def bench(ctx: Any) -> None:
        for inference in range(8):
            side = inference % count
            sides = {name: (side + further) % count for name, further in (
                ("read", 0), ("write", rng.randrange(count - 1)), ("input", -1),
                ("output", rng.randrange(1, count)))}
            for name, number in sides.items():
                ctx.set(getattr(dut, f"{name}_side"), number)
            await ctx.tick().repeat(2)  # inputs go there
            for memory in memories:
                memory.clock(None)
                memory.fetched = [None, None]
            scan, other = Scan(), memories[sides["output"]]
            for _ in range(60):
                known = scan.current is not None
                start = int(rng.random() < 0.05)
                step = int(not start and rng.random() < (0.4 if known else 0.9))
                take = int(not start and bool(known and scan.untaken) and rng.random() < 0.6)
                buffer = rng.randrange(2)
                step &= not memories[side].conflicts(buffer, scan.position)
                output_buffer, output_addr = rng.randrange(2), rng.randrange(depth)
                output_step = int(rng.random() < 0.6
                                  and not other.conflicts(output_buffer, output_addr))
                for signal, value in (
                        (dut.start, start), (dut.step, step), (dut.take, take),
                        (dut.read_buffer, buffer), (dut.output_step, output_step),
                        (dut.output_buffer, output_buffer), (dut.output_addr, output_addr)):
                    ctx.set(signal, value)
                written: list[tuple[int, int, Word] | None] = [None] * count
                for name in ("write", "input"):
                    into = rng.randrange(2)
                    word, addr = random_word(rng, dut.lanes), rng.randrange(depth)
                    valid = rng.random() < 0.5
                    ctx.set(getattr(dut, f"{name}_valid"), valid)
                    ctx.set(getattr(dut, f"{name}_addr"), addr)
                    ctx.set(getattr(dut, f"{name}_data"), pack(word))
                    ctx.set(getattr(dut, f"{name}_buffer"), into)
                    if valid:
                        written[sides[name]] = into, addr, word
                *_, found, several, lane, activation, shown = await ctx.tick().sample(
                    dut.found, dut.several, dut.lane, dut.activation, dut.output_word)
                if scan.current is not None:
                    compared["current"] += 1
                    assert (found, several) == (len(scan.untaken) > 0, len(scan.untaken) > 1)
                if scan.first is not None:
                    assert (lane, activation) == scan.first
                if other.fetched[0] is not None:
                    compared["output"] += 1
                    assert shown == pack(other.fetched[0])
                scan.clock(memories[side], start, step, take, buffer)
                if output_step:
                    other.read(output_buffer, output_addr)
                for memory, word in zip(memories, written, strict=True):
                    memory.clock(word)
            for name in ("start", "step", "take", "write_valid", "input_valid", "output_step"):
                ctx.set(getattr(dut, name), 0)
            await ctx.tick()
            for memory in memories:
                memory.clock(None)

    simulate(dut, bench)
    assert min(compared.values()) > 50


@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 6, 8])
def test_every_pattern_of_nonzeros(simulate: Callable[..., None], lanes: int) -> None:
    patterns = range(1 << lanes)
    dut = bank(lanes, depth=max(2, len(patterns)))

    async def bench(ctx: Any) -> None:
        await write(ctx, dut, [[(lane + 1) * (pattern >> lane & 1) for lane in range(lanes)]
                               for pattern in patterns])
        await pulse(ctx, dut.start)
        await pulse(ctx, dut.step, 3)
        for pattern in patterns:
            left = [lane for lane in range(lanes) if pattern >> lane & 1]
            ctx.set(dut.take, 1)
            while left:
                *_, found, several = await ctx.tick().sample(dut.found, dut.several)
                assert (found, several) == (1, len(left) > 1)
                assert ctx.get(dut.lane) == left[0]
                assert ctx.get(dut.activation) == left.pop(0) + 1
            ctx.set(dut.take, 0)
            assert ctx.get(dut.found) == ctx.get(dut.several) == 0
            await pulse(ctx, dut.step)

    simulate(dut, bench)


async def nonzeros(ctx: Any, dut: ActivationBank) -> list[tuple[int, int]]:
    """Take all nonzeros of the current word: their lanes and values."""
    taken = []
    while ctx.get(dut.found):
        await pulse(ctx, dut.take)
        taken.append((ctx.get(dut.lane), ctx.get(dut.activation)))
    return taken


def test_a_step_a_cycle(simulate: Callable[..., None]) -> None:
    dut = bank(depth=16)
    rng = Random(0)
    words = [random_word(rng, 4) for _ in range(16)]

    async def bench(ctx: Any) -> None:
        await write(ctx, dut, words)
        for _ in range(2):  # the second start returns to word 0
            await pulse(ctx, dut.start)
            ctx.set(dut.step, 1)
            await ctx.tick().repeat(3)
            for word in words:
                *_, found, several = await ctx.tick().sample(dut.found, dut.several)
                count = sum(map(bool, word))
                assert (found, several) == (count > 0, count > 1)
            ctx.set(dut.step, 0)

    simulate(dut, bench)


def test_buffers_are_apart(simulate: Callable[..., None]) -> None:
    dut = bank()
    contents = [[[buffer + 1, addr, 0, -1] for addr in range(4)] for buffer in range(2)]

    async def bench(ctx: Any) -> None:
        for buffer in range(2):
            await write(ctx, dut, contents[buffer], buffer)
        for buffer in (0, 1, 0):
            ctx.set(dut.read_buffer, buffer)
            await pulse(ctx, dut.start)
            await pulse(ctx, dut.step, 2)
            for word in contents[buffer]:
                await pulse(ctx, dut.step)
                assert await nonzeros(ctx, dut) == [
                    (lane, value) for lane, value in enumerate(word) if value]

    simulate(dut, bench)


def test_reset(simulate: Callable[..., None]) -> None:
    dut = bank()
    reset = Signal()
    words = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]

    async def bench(ctx: Any) -> None:
        await write(ctx, dut, words)
        for steps in range(3, 6):
            await pulse(ctx, dut.start)
            await pulse(ctx, dut.step, steps)
            await pulse(ctx, dut.take)
            assert ctx.get(dut.activation) == words[steps - 3][0]
            await ctx.tick()
            assert ctx.get(dut.lane) == 1
            await pulse(ctx, reset)
            assert ctx.get(dut.found) == ctx.get(dut.several) == 0

    simulate(dut, bench, reset=reset)
