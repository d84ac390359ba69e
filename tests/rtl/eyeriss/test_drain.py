"""Drain: interface, activations against requantization in integers, and its use of the buffer."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from halves import below_half
from ports import Ports

from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.fixed_point import requantize
from eieio.rtl.eyeriss.drain import OUTPUT_DEPTH, PARAMETER_LAYOUT, Drain
from eieio.rtl.requantize import Requantize

TWO = EyerissConfig(bus_words=2)
ONE = EyerissConfig(bus_words=1, psum_width=16, glb_banks=25, glb_bytes=1600)
FOUR = EyerissConfig(bus_words=4, psum_width=64, glb_banks=25, glb_bytes=25 * 32)
CONFIGS = {"two": TWO, "one": ONE, "four": FOUR}

#: Of a channel: bias, shift to the left, multiplier, shift to the right.
Parameters = tuple[int, int, int, int]


def test_members() -> None:
    line = data.ArrayLayout(signed(32), 2)
    assert dict(Drain(TWO).signature.members) == {
        "start": In(1), "base": In(16), "lines": In(16), "p": In(8), "e": In(8), "t": In(8),
        "single_rounding": In(1), "minimum": In(signed(17)), "maximum": In(signed(17)),
        "parameter_write": In(1), "parameter_addr": In(range(512)),
        "parameter_data": In(PARAMETER_LAYOUT), "read": Out(1), "read_addr": Out(16),
        "line": In(line),
        "o": Out(stream.Signature(data.StructLayout({"number": signed(16), "last": 1})))}


@dataclass(frozen=True)
class Command:
    """Filters of a chain, chains of a set, sets, and places of the output."""

    p: int = 1
    e: int = 1
    t: int = 1
    places: int = 1
    base: int = 0
    minimum: int = -32768
    maximum: int = 32767
    single_rounding: bool = False

    def lines(self, bus_words: int) -> int:
        return self.places * self.t * self.e * -(-self.p // bus_words)


def wrapped(value: int, width: int) -> int:
    return (value + (1 << width - 1)) % (1 << width) - (1 << width - 1)


class Bench:
    """A drain, its parameters, and the global buffer behind it."""

    def __init__(self, ctx: Any, dut: Drain, rng: Random) -> None:
        self.ports = Ports(ctx, dut)
        self.config: EyerissConfig = dut.config
        self.rng = rng
        self.width = min(48, self.config.psum_width)
        # Registers of the line, of the bias and of the shift, requantization, and the queue.
        self.latency = 4 + Requantize(accumulator_width=self.width, output_width=17).latency
        self.channels: list[Parameters] = []

    async def load(self, count: int, first: int = 0) -> None:
        """Write parameters of channels."""
        for number in range(first, first + count):
            bound = 1 << self.rng.randrange(1, self.width - 1)
            one = (self.rng.choice((-bound, bound - 1, self.rng.randrange(-bound, bound))),
                   self.rng.choice((0, 0, 0, 1, 7, 31)), self.rng.randrange(1 << 30, 1 << 31),
                   self.rng.choice((0, 1, 3, 8, 14, 31, 63)))
            self.channels[number:number + 1] = [one]
            await self.ports.cycle(
                parameter_write=1, parameter_addr=number, parameter_data=PARAMETER_LAYOUT.const(
                    dict(zip(("bias", "left", "multiplier", "shift"), one, strict=True))).as_bits())
        self.ports.set(parameter_write=0, parameter_data=0, parameter_addr=0)

    def walk(self, one: Command) -> Iterator[tuple[int, int, Parameters]]:
        """Find the line, the lane and the parameters of each number."""
        lanes, at = self.config.bus_words, 0
        for _ in range(one.places):
            for which in range(one.t):
                for _ in range(one.e):
                    for number in range(one.p):
                        yield at + number // lanes, number % lanes, self.channels[
                            which * one.p + number]
                    at += -(-one.p // lanes)

    def draw(self, one: Command) -> list[list[int]]:
        """Draw lines; half of the numbers give what is next to a half, or to an end."""
        rng, bound = self.rng, 1 << self.width - 2
        lines = [[rng.choice((-bound, bound - 1, rng.randrange(-bound, bound),
                              rng.randrange(-99, 99))) for _ in range(self.config.bus_words)]
                 for _ in range(one.lines(self.config.bus_words))]
        for line, lane, (bias, left, multiplier, shift) in self.walk(one):
            wanted = rng.choice((one.minimum, one.maximum, rng.randrange(-32768, 32768)))
            shifted = below_half(wanted, multiplier, shift) + rng.randrange(2)
            number = (shifted >> left) - bias
            if rng.random() < 0.5 and -bound <= number < bound:
                lines[line][lane] = number
        return lines

    def expect(self, one: Command, lines: list[list[int]]) -> tuple[list[int], list[int]]:
        """Return the line of each number, and the numbers."""
        where, numbers = [], []
        for line, lane, (bias, left, multiplier, shift) in self.walk(one):
            shifted = wrapped(wrapped(lines[line][lane] + bias, self.width) << left, self.width)
            where.append(line)
            numbers.append(int(requantize(
                np.array(shifted), multiplier, shift, 0, one.minimum, one.maximum,
                single_rounding=one.single_rounding)))
        return where, numbers

    async def run(self, one: Command, pace: float, *, stop: int = -1) -> None:
        """Drain lines drawn at random; an activation is taken with this probability."""
        config, rng, ports = self.config, self.rng, self.ports
        count = one.lines(config.bus_words)
        lines = self.draw(one)
        where, numbers = self.expect(one, lines)
        await ports.cycle(
            start=1, base=one.base, lines=count, p=one.p - 1, e=one.e - 1, t=one.t - 1,
            single_rounding=one.single_rounding, minimum=one.minimum, maximum=one.maximum,
            o__ready=0)
        ports.set(start=0)
        begun = taken = 0
        arrivals: deque[int] = deque()  # cycles in which numbers can be taken
        read: int | None = None
        last_valid = False
        for cycle in range(30 * len(numbers) + 2 * self.latency):
            if cycle == stop:
                return
            # What is read is there in the next cycle, and only then for sure.
            line = rng.getrandbits(config.bus_words * config.psum_width) if read is None else sum(
                (value % (1 << config.psum_width)) << config.psum_width * lane
                for lane, value in enumerate(lines[read]))
            # At first nobody takes anything.
            ready = rng.random() < pace and (pace == 1 or begun >= min(4, len(numbers)))
            seen = await ports.cycle(
                line=line, o__ready=ready, parameter_addr=rng.randrange(32),
                parameter_data=rng.getrandbits(PARAMETER_LAYOUT.size))
            reads = begun < len(numbers) and begun - taken < OUTPUT_DEPTH
            assert seen["read"] == reads, cycle
            if reads:
                assert seen["read_addr"] == (one.base + where[begun]) % (1 << 16), cycle
            read = where[begun] if reads else None
            valid = bool(arrivals) and arrivals[0] <= cycle
            assert seen["o__valid"] == valid, cycle
            if valid:
                assert seen["o__payload"] == (numbers[taken] & 0xFFFF) | (
                    taken == len(numbers) - 1) << 16, cycle
            if reads:
                begun += 1
                arrivals.append(cycle + self.latency)
            if valid and ready:
                arrivals.popleft()
                taken += 1
            if taken == len(numbers) and not valid and not last_valid:
                break
            last_valid = valid
        assert taken == len(numbers)


def random_command(rng: Random, *, most: int = 90) -> Command:
    while True:
        minimum, maximum = sorted(rng.choice((-32768, 32767, 0, rng.randrange(-32768, 32768)))
                                  for _ in range(2))
        one = Command(rng.randint(1, 9), rng.randint(1, 4), rng.randint(1, 3), rng.randint(1, 4),
                      rng.choice((0, 9, 0x7FFF, 0xFFFE)), minimum, maximum, rng.random() < 0.5)
        if 2 < one.p * one.e * one.t * one.places <= most:
            return one if rng.random() < 0.5 else replace(one, minimum=-32768, maximum=32767)


@pytest.mark.parametrize("pace", [1.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_random(simulate: Callable[..., None], config: EyerissConfig, pace: float) -> None:
    dut, rng = Drain(config), Random(pace)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.load(27)
        for _ in range(4 if config is TWO else 2):
            await one.run(random_command(rng), pace)

    simulate(dut, bench)


def test_nobody_takes_any(simulate: Callable[..., None]) -> None:
    """As many numbers as the queue holds are on their way, and no more."""
    dut, rng = Drain(TWO), Random(1)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.load(6)
        await one.run(Command(3, 2, 2, 5), 0.05)

    simulate(dut, bench)


@pytest.mark.parametrize("size", [40, pytest.param(256, marks=pytest.mark.long)])
def test_largest(simulate: Callable[..., None], size: int) -> None:
    """Sizes of all bits, channels to the last, and a command behind each."""
    dut, rng = Drain(TWO), Random(2)

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.load(2 * size)
        for change in ({"p": size, "t": 2}, {"e": size, "places": 2}, {"t": size, "p": 2}):
            await one.run(replace(Command(), **change), 1.0)
            await one.run(Command(2, 2, 2), 1.0)

    simulate(dut, bench)


def test_lines_of_every_bit(simulate: Callable[..., None]) -> None:
    """The first of many lines is not the last."""
    dut, reset = Drain(ONE), Signal()

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        for bit in range(2, 16):
            await ports.cycle(start=1, lines=1 << bit, o__ready=1)
            for cycle in range(24):
                seen = await ports.cycle(start=0)
                assert seen["read"] == (cycle < 1 << bit)
                if seen["o__valid"]:
                    assert seen["o__payload"] >> 16 == (cycle == (1 << bit) + 15), (bit, cycle)
            ctx.set(reset, 1)
            await ports.cycle()
            ctx.set(reset, 0)

    simulate(dut, bench, reset=reset)


def test_reset(simulate: Callable[..., None]) -> None:
    """Numbers on their way are forgotten, parameters are not."""
    dut, rng, reset = Drain(TWO), Random(3), Signal()

    async def bench(ctx: Any) -> None:
        one = Bench(ctx, dut, rng)
        await one.load(6)
        for stop in (1, 2, 5, 17, 21, 40):
            await one.run(Command(3, 2, 2, 4), 0.3, stop=stop)
            ctx.set(reset, 1)
            await one.ports.cycle()
            ctx.set(reset, 0)
            for _ in range(one.latency + 1):
                seen = await one.ports.cycle()
                assert not seen["o__valid"]
                assert not seen["read"]
            await one.run(Command(3, 2, 2), 0.7)

    simulate(dut, bench, reset=reset)
