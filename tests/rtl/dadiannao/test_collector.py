"""Collector of a node: interface, words in their order, and when it takes them."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2
from dadiannao_loops import encode, taken_words
from ports import Ports

from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.instruction import Instruction, Stage3
from eieio.rtl.dadiannao.collector import Collector

THREE = DaDianNaoConfig(tiles=3, nbout_depth=5, central_depth=1024, parameter_depth=64)
ONE = DaDianNaoConfig(tiles=1, nbout_depth=2, central_depth=300, parameter_depth=2)


def test_members() -> None:
    config = DaDianNaoConfig(tiles=5, inputs=8, outputs=2, central_depth=100, nbout_depth=9,
                             parameter_depth=17)
    assert dict(Collector(config).signature.members) == {
        "instruction": In(unsigned(640)), "start": In(1), "group_done": In(1), "release": Out(1),
        "valid": Out(1), "tile": Out(3), "nbout_addr": Out(unsigned(4)), "word": Out(unsigned(16)),
        "addr": Out(unsigned(9)), "parameter_addr": Out(unsigned(5)), "last": Out(1)}


async def check(ports: Ports, config: DaDianNaoConfig, instruction: Instruction,
                pauses: Callable[[], int], *, stop: int = -1) -> None:
    """Let groups end after pauses, as long as there is a word of NBout for them.

    A group's words are taken one a cycle from the cycle after it ended, or the one in which the
    last word of the group before was taken; they are told a cycle later.
    """
    words = list(islice(taken_words(instruction, tiles=config.tiles), 5000))
    groups = instruction.groups * instruction.iterations
    if instruction.from_adder:
        done_at, left = [0] * min(groups, 5000), 0
    else:
        done_at, left = [], groups
    # The cycle of `start` is 0; it is active from the next one on.
    ports.set(instruction=encode(instruction))
    place, told, released, pause, quiet = 0, None, 0, pauses(), 0
    for cycle in range(40 * groups + 4 * len(words) + 30):
        if cycle == stop:
            return
        done = bool(cycle and left and not pause and len(done_at) - released < config.nbout_depth)
        seen = await ports.cycle(start=cycle == 0, group_done=done)
        assert seen["valid"] == (told is not None), cycle
        if told is not None:
            assert {name: seen[name] for name in ("tile", "nbout_addr", "word", "addr",
                                                  "parameter_addr", "last")} == {
                "tile": told.tile, "nbout_addr": told.group % config.nbout_depth,
                "word": told.word, "addr": told.addr % (1 << ceil_log2(config.central_words)),
                "parameter_addr": told.parameter_addr % config.parameter_depth,
                "last": told.last}, cycle
        takes = (cycle > 0 and place < len(words) and words[place].group < len(done_at)
                 and done_at[words[place].group] < cycle)
        told = words[place] if takes else None
        place += takes
        ends = told is not None and told.ends and not instruction.from_adder
        assert seen["release"] == ends, cycle
        released += ends
        if done:
            done_at.append(cycle)
            left, pause = left - 1, pauses()
        elif pause:
            pause -= 1
        quiet += place == len(words) and not left
        if quiet == 4:
            break
    assert place == len(words)
    assert instruction.stage3 == Stage3.NONE or released == (
        0 if instruction.from_adder else groups)


def random_instruction(rng: Random, config: DaDianNaoConfig) -> Instruction:
    across = rng.random() < 0.3
    words = rng.randint(1, 4 * config.tiles)
    # As many groups as the first tile has words, unless groups are words; no word is of no tile.
    stride = rng.choice((-(-words // config.tiles), words, -(-words // min(2, config.tiles))))
    return Instruction(
        stage3=rng.choice((Stage3.REQUANTIZE, Stage3.SIGMOID, Stage3.TANH, Stage3.KEEP,
                           Stage3.ADD)),
        across=across, groups=words if across else stride, words=words, write_stride=stride,
        iterations=rng.choice((1, 1, 2, 5)), write_addr=rng.randrange(2 * config.central_words),
        pixel_stride=rng.choice((words, rng.randrange(1 << 16))),
        parameter_addr=rng.randrange(config.parameter_depth), parameter_step=rng.random() < 0.6,
        from_adder=across and rng.random() < 0.3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("config", [THREE, ONE], ids=["three", "one"])
def test_random(simulate: Callable[..., None], config: DaDianNaoConfig, seed: int) -> None:
    """One instruction behind the other, with groups that come as fast as can be, or slowly."""
    dut, rng = Collector(config), Random(seed)
    most = (0, 3, 12)[seed % 3]

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for number in range(8):
            instruction = random_instruction(rng, config)
            if number % 4 == 2:
                instruction = replace(instruction, stage3=Stage3.NONE, from_adder=False)
            await check(ports, config, instruction, lambda: rng.randint(0, most))

    simulate(dut, bench)


def test_largest(simulate: Callable[..., None]) -> None:
    """Addresses of the full width; words that nearly fill their 16 bits."""
    dut = Collector(THREE)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for instruction in (
                Instruction(stage3=Stage3.REQUANTIZE, groups=2, words=(1 << 16) - 1,
                            write_stride=0x8000, parameter_step=True),
                Instruction(stage3=Stage3.REQUANTIZE, groups=2, words=1 << 16,
                            write_stride=0xFFFF, iterations=3, pixel_stride=0xFFFF,
                            write_addr=0xFFFFFFFF, parameter_addr=63),
                # The first of few words, each by a tile, as a dense layer has them.
                Instruction(stage3=Stage3.REQUANTIZE, groups=1, words=2, write_stride=1)):
            await check(ports, THREE, instruction, lambda: 0)

    simulate(dut, bench)


def test_many_groups(simulate: Callable[..., None]) -> None:
    """Counters of groups and of pixels go beyond eight bits."""
    dut = Collector(ONE)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for instruction in (
                Instruction(stage3=Stage3.REQUANTIZE, groups=300, words=300, write_stride=300),
                Instruction(stage3=Stage3.REQUANTIZE, across=True, groups=1, words=1,
                            iterations=300, pixel_stride=3)):
            await check(ports, ONE, instruction, lambda: 0)

    simulate(dut, bench, max_cycles=60_000)


@pytest.mark.parametrize("config", [THREE, ONE], ids=["three", "one"])
def test_every_bit_of_a_count(simulate: Callable[..., None], config: DaDianNaoConfig) -> None:
    """With one more than a power of two of groups, or of pixels, the first is not the last.

    Up to 2^7 all are counted, so that the highest bit falls at the first step.
    """
    dut, reset = Collector(config), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        one = Instruction(stage3=Stage3.REQUANTIZE, across=True, from_adder=True, words=1 << 16)
        for instruction in (
                *(replace(one, groups=1 + (1 << bit)) for bit in range(3, 16)),
                *(replace(one, iterations=1 + (1 << bit)) for bit in range(3, 32)),
                # A borrow goes through to the highest bit, and the first group of a pixel has all.
                replace(one, groups=1, iterations=(1 << 32) - 1),
                replace(one, groups=(1 << 16) - 1, iterations=2)):
            few = max(instruction.groups, instruction.iterations) <= 1 + (1 << 7)
            await check(ports, config, instruction, lambda: 0, stop=-1 if few else 6)
            ctx.set(reset, 1)
            await ports.cycle(start=0, group_done=0)
            ctx.set(reset, 0)

    simulate(dut, bench, reset=reset)


def test_reset(simulate: Callable[..., None]) -> None:
    """At any moment; words that wait in NBout are forgotten."""
    dut, rng, reset = Collector(THREE), Random(4), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for stop in (1, 2, 3, 4, 5, 7, 9, 12, 20):
            await check(ports, THREE, random_instruction(rng, THREE), lambda: 0, stop=stop)
            ctx.set(reset, 1)
            await ports.cycle(group_done=0, start=0)
            ctx.set(reset, 0)
            seen = await ports.cycle()
            assert not seen["valid"]
            assert not seen["release"]
            await check(ports, THREE, random_instruction(rng, THREE), lambda: 1)

    simulate(dut, bench, reset=reset)
