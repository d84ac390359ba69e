"""Drain of the tensor core: interface, and rows of results in their places and cycles."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from ports import Ports
from tensor_core_windows import Descriptor, encode, random_descriptor

from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.conversion import clamp, narrow
from eieio.model.tensor_core.engine_timing import WRITE
from eieio.model.tensor_core.program import Field
from eieio.rtl.tensor_core.descriptor import DESCRIPTOR
from eieio.rtl.tensor_core.drain import Drain

TWO = TensorCoreConfig(rows=2, columns=2, products=4, accumulators=4, activation_depth=64)
THREE = TensorCoreConfig(rows=3, columns=1, products=2, accumulators=8, activation_depth=100,
                         input_format="bfloat16")
ONE = TensorCoreConfig(rows=1, columns=2, products=2, accumulators=4, activation_depth=16)
CONFIGS = {"two": TWO, "three": THREE, "one": ONE}


def test_members() -> None:
    assert dict(Drain(TWO).signature.members) == {
        "descriptor": In(DESCRIPTOR), "start": In(1), "i_valid": In(1),
        "i": In(data.ArrayLayout(data.ArrayLayout(32, 2), 2)), "drained": Out(1),
        "write_mask": Out(4), "write_addr": Out(unsigned(6)),
        "write_row": Out(data.ArrayLayout(16, 4)), "done": Out(1)}


def number(rng: Random, ends: int, config: TensorCoreConfig) -> int:
    """Draw a binary32 number: of any bits, where rounding is hard, or next to an end of the range.

    Hard are sizes from the smallest short number to the largest, with fractions that are next to a
    tie, or that carry.
    """
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice((rng.getrandbits(32), rng.getrandbits(1) << 31, 0x7FC00000, 0x7F800000))
    half = config.factor_format.exponent_width == 5
    if kind == 1:  # an end, or a neighbour
        end = rng.choice((ends & 0xFFFF, ends >> 16))
        value = (np.array([end], np.uint16).view(np.float16).astype(np.float32).view(np.uint32)[0]
                 if half else end << 16)
        step = rng.choice((0, 0, 1, -1, 0x1000, -0x1000, 0x2000, -0x2000))
        return (int(value) + step) % (1 << 32)
    low = 13 if half else 16
    fraction = rng.choice((rng.getrandbits(23), (1 << 23) - 1, rng.getrandbits(23) >> low << low))
    fraction = fraction >> low << low | rng.choice((
        0, 1, 1 << low - 1, (1 << low - 1) + 1, (1 << low - 1) - 1, (1 << low) - 1))
    exponent = rng.choice((0, 1, 2, 253, 254, rng.randrange(256)))
    if half:
        exponent = rng.randint(100, 145)
    return rng.getrandbits(1) << 31 | exponent << 23 | fraction


def converted(word: int, one: Descriptor, config: TensorCoreConfig) -> int:
    """Return the short number, clamped."""
    form = config.factor_format
    short = (np.array([word & 0xFFFF], np.uint16) if one[Field.MAXIMUM]
             else narrow(np.array([word], np.uint32), form))
    ends = one[Field.CLAMP]
    return int(clamp(short, ends & 0xFFFF, ends >> 16, form)[0])


async def check(ports: Ports, config: TensorCoreConfig, one: Descriptor, rng: Random, pace: float,
                *, stop: int = -1) -> None:
    """Let the results of steps come as long as there are places; a row is written a cycle.

    A row leaves its place in the cycle after its results came, or after the row before, and is
    written `WRITE` cycles later.
    """
    rows, columns, tiles = config.rows, config.columns, one[Field.COLUMN_TILES]
    size = 1 << (config.activation_depth - 1).bit_length()
    ports.set(descriptor=encode(one), i_valid=0)
    await ports.cycle(start=1)
    ports.set(start=0)
    sent = left = 0
    # Sets of windows, each with as many tiles of results.
    tops = range(0, one[Field.WINDOWS], rows)
    total = len(tops) * tiles
    waiting: list[tuple[int, list[list[int]]]] = []  # cycle from which on, and rows
    writes: dict[int, tuple[int, int, list[int], bool]] = {}
    for cycle in range(30 * total * rows + 60):
        if cycle == stop:
            return
        valid = sent < total and sent - left < config.accumulators and rng.random() < pace
        step = [[number(rng, one[Field.CLAMP], config) for _ in range(columns)]
                for _ in range(rows)]
        seen = await ports.cycle(i_valid=valid, i=sum(
            word << 32 * (row * columns + lane) for row, words in enumerate(step)
            for lane, word in enumerate(words)))
        drained = False
        if waiting and waiting[0][0] <= cycle:
            which, tile = divmod(left, tiles)
            height = min(rows, one[Field.WINDOWS] - tops[which])
            words = waiting[0][1]
            row = height - len(words)
            lanes = one[Field.LAST_LANES] if tile == tiles - 1 else columns
            addr = (one[Field.DESTINATION] + which * one[Field.TILE_RESULTS]
                    + row * one[Field.WINDOW_RESULTS] + tile * columns)
            drained = len(words) == 1
            writes[cycle + WRITE] = (
                (1 << lanes) - 1, addr % size,
                [converted(word, one, config) for word in words.pop(0)],
                drained and left == total - 1)
            if drained:
                left += 1
                del waiting[0]
        assert seen["drained"] == drained, cycle
        mask, addr, numbers, done = writes.pop(cycle, (0, 0, [], False))
        assert (seen["write_mask"], seen["done"]) == (mask, done), cycle
        if mask:
            assert seen["write_addr"] == addr, cycle
            for lane, value in enumerate(numbers):
                if mask >> lane & 1:
                    assert seen["write_row"] >> 16 * lane & 0xFFFF == value, (cycle, lane)
        if valid:
            height = min(rows, one[Field.WINDOWS] - tops[sent // tiles])
            waiting.append((cycle + 1, step[:height]))
            sent += 1
        if left == total and not writes:
            break
    assert (sent, left) == (total, total)
    ports.set(i_valid=0)
    for _ in range(3):
        seen = await ports.cycle()
        assert not seen["write_mask"]


def descriptor(rng: Random, config: TensorCoreConfig) -> dict[Field, int]:
    """Draw what is to be drained, with a range that holds no, some or all numbers."""
    form = config.factor_format
    ends = ((0xFF80, 0x7F80) if form.exponent_width == 8 else (0xFC00, 0x7C00))
    some = rng.randrange(ends[1])
    low, high = rng.choice((ends, ends, (0, 0x4600), (0xBC00, 0x3C00), (0x8000, 0x0000),
                            (0x8000 | some, rng.randrange(ends[1])), (some >> 1, some)))
    return dict(random_descriptor(rng, config, most=40)) | {
        Field.CLAMP: low | high << 16, Field.WINDOWS: rng.randint(1, 3 * config.rows + 1)}


@pytest.mark.parametrize("pace", [1.0, 0.3])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random(simulate: Callable[..., None], config: TensorCoreConfig, pace: float) -> None:
    dut, rng = Drain(config), Random(pace)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for _ in range(10 if config is TWO else 5):
            await check(ports, config, descriptor(rng, config), rng, pace)

    simulate(dut, bench)


def test_long(simulate: Callable[..., None]) -> None:
    """Many windows, and as many tiles as there are places; addresses go round."""
    dut, rng = Drain(TWO), Random(1)

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for tiles, windows in ((1, 131), (4, 9)):
            await check(ports, TWO, descriptor(rng, TWO) | {
                Field.COLUMN_TILES: tiles, Field.WINDOWS: windows, Field.WINDOW_RESULTS: 37,
                Field.TILE_RESULTS: 53}, rng, 1.0)

    simulate(dut, bench)


def test_windows_of_every_bit(simulate: Callable[..., None]) -> None:
    """The first of many windows is not the last."""
    dut, reset = Drain(TWO), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for windows in (number for bit in range(2, 8) for number in (1 << bit, 1 + (1 << bit))):
            ports.set(descriptor=encode({Field.WINDOWS: windows, Field.COLUMN_TILES: 1,
                                         Field.LAST_LANES: 2}))
            await ports.cycle(start=1)
            await ports.cycle(start=0, i_valid=1)
            seen = [await ports.cycle(i_valid=0) for _ in range(WRITE + 3)]
            assert [one["drained"] for one in seen[:4]] == [0, 1, 0, 0]
            assert [one["write_mask"] for one in seen] == [0] * WRITE + [3, 3, 0]
            assert not any(one["done"] for one in seen)
            ctx.set(reset, 1)
            await ports.cycle()
            ctx.set(reset, 0)

    simulate(dut, bench, reset=reset)


def test_reset(simulate: Callable[..., None]) -> None:
    """Results that wait, and rows on their way, are forgotten."""
    dut, rng, reset = Drain(TWO), Random(2), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for stop in (1, 2, 3, 5, 9, 12, 17):
            await check(ports, TWO, descriptor(rng, TWO) | {Field.WINDOWS: 9}, rng, 1.0,
                        stop=stop)
            ctx.set(reset, 1)
            await ports.cycle(i_valid=0)
            ctx.set(reset, 0)
            for _ in range(WRITE + 2):
                seen = await ports.cycle()
                assert not any(seen[name] for name in ("write_mask", "drained", "done"))
            await check(ports, TWO, descriptor(rng, TWO), rng, 0.7)

    simulate(dut, bench, reset=reset)
