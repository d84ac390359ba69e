"""Output lane: interface, latency, and activations against the golden model of requantization."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib.wiring import In, Out
from halves import below_half

from eieio.model.fixed_point import requantize
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.requantize import Requantize
from eieio.rtl.sparse.output_lane import OutputLane


def output_lane(accumulator_width: int = 32, activation_width: int = 16, output_depth: int = 8
                ) -> OutputLane:
    return OutputLane(SparseConfig(accumulator_width=accumulator_width, output_depth=output_depth,
                                   activation_width=activation_width))


async def load(ctx: Any, dut: OutputLane, biases: list[int]) -> None:
    ctx.set(dut.load_valid, 1)
    for addr, bias in enumerate(biases):
        ctx.set(dut.load_addr, addr)
        ctx.set(dut.load_data, bias)
        await ctx.tick()
    ctx.set(dut.load_valid, 0)


async def check(ctx: Any, dut: OutputLane, biases: list[int], sums: list[tuple[int, int]], *,
                multiplier: int, shift: int, minimum: int, maximum: int,
                single_rounding: bool = False) -> None:
    """Feed a sum a cycle, each with the address of its bias a cycle before it."""
    ctx.set(dut.multiplier, multiplier)
    ctx.set(dut.single_rounding, single_rounding)
    ctx.set(dut.shift, shift)
    ctx.set(dut.minimum, minimum)
    ctx.set(dut.maximum, maximum)
    totals = np.array([value + biases[addr] for addr, value in sums], np.int64)
    expected = requantize(totals, multiplier, shift, 0, minimum, maximum,
                          single_rounding=single_rounding).tolist()
    activations = []
    for cycle in range(-1, len(sums) + dut.latency):
        if cycle + 1 < len(sums):
            ctx.set(dut.bias_addr, sums[cycle + 1][0])
        if 0 <= cycle < len(sums):
            ctx.set(dut.sum, sums[cycle][1])
        *_, activation = await ctx.tick().sample(dut.activation)
        if cycle >= dut.latency:
            activations.append(activation)
    assert activations == expected


def test_members() -> None:
    dut = output_lane(40, 8, 20)
    assert dict(dut.signature.members) == {
        "bias_addr": In(unsigned(5)),
        "sum": In(signed(40)),
        "multiplier": In(unsigned(31)),
        "single_rounding": In(1),
        "shift": In(unsigned(6)),
        "minimum": In(signed(8)),
        "maximum": In(signed(8)),
        "activation": Out(signed(8)),
        "load_valid": In(1),
        "load_addr": In(unsigned(5)),
        "load_data": In(signed(32)),
    }


@pytest.mark.parametrize("width", [16, 24, 32, 48])
def test_latency(width: int) -> None:
    assert output_lane(width).latency == 2 + Requantize(accumulator_width=width).latency


@pytest.mark.parametrize(("accumulator_width", "activation_width", "output_depth"), [
    (16, 8, 2), (24, 8, 5), (32, 16, 8), (48, 18, 16)])
def test_random(simulate: Callable[..., None], accumulator_width: int, activation_width: int,
                output_depth: int) -> None:
    dut = output_lane(accumulator_width, activation_width, output_depth)
    rng = Random(accumulator_width)
    bound = 1 << accumulator_width - 2  # so that a sum and a bias do not overflow
    bias_bound = min(bound, 1 << 31)
    limit = 1 << activation_width - 1

    async def bench(ctx: Any) -> None:
        for minimum, maximum in ((-limit, limit - 1), (0, limit - 1), (0, 6)):
            # Extremes, whose sign has to reach accumulators wider than a bias, and others.
            biases = [-bias_bound, bias_bound - 1,
                      *(rng.randrange(-bias_bound, bias_bound) for _ in range(output_depth - 2))]
            await load(ctx, dut, biases)
            sums = [(rng.randrange(output_depth),
                     rng.randrange(-bound, bound) >> rng.randrange(accumulator_width))
                    for _ in range(60)]
            sums += [(0, -bound), (1, bound - 1), (0, bound - 1), (1, -bound)]
            # Results of about the width of an activation.
            shift = max(0, accumulator_width - activation_width - rng.randrange(3))
            await check(ctx, dut, biases, sums, multiplier=rng.randrange(1 << 30, 1 << 31),
                        shift=shift, minimum=minimum, maximum=maximum,
                        single_rounding=minimum == 0)

    simulate(dut, bench)


@pytest.mark.parametrize("single_rounding", [False, True])
def test_rounding(simulate: Callable[..., None], single_rounding: bool) -> None:
    """Sums whose results are next to halves and to the ends, and far beyond, with any factor."""
    dut = output_lane()
    rng = Random(single_rounding)
    biases = [rng.randrange(-1 << 20, 1 << 20) for _ in range(8)]
    top = 1 << 31

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, biases)

        async def check_totals(totals: list[int], multiplier: int, shift: int, minimum: int,
                               maximum: int) -> None:
            sums = []
            for total in totals:
                addr = rng.randrange(8)
                sums.append((addr, max(-top, min(top - 1, total)) - biases[addr]))
            sums = [(addr, value) for addr, value in sums if -top <= value < top]
            await check(ctx, dut, biases, sums, multiplier=multiplier, shift=shift,
                        minimum=minimum, maximum=maximum, single_rounding=single_rounding)

        for shift in (*range(16), 17, 20, 23, 31, 32, 47):
            multiplier = rng.choice([1 << 30, top - 1, *(rng.randrange(1 << 30, top)
                                                         for _ in range(6))])
            minimum, maximum = rng.choice([(-32768, 32767), (0, 32767), (-777, 555), (3, 3)])
            wanted = [*(rng.randrange(-32769, 32769) for _ in range(16)), minimum, maximum]
            totals = [below_half(value, multiplier, shift) + rng.choice((-1, 0, 0, 1))
                      for value in wanted]
            totals += [rng.randrange(-top, top) >> rng.randrange(32) for _ in range(12)]
            await check_totals(totals, multiplier, shift, minimum, maximum)
            # Factors of few bits, whose products are halves, or as little beside them as can be.
            bits = rng.randrange(9)
            room = min(15, 29 - shift) - bits
            if room > 0:
                halves = [(2 * rng.getrandbits(rng.randint(1, room)) + 1) << bits + shift
                          for _ in range(16)]
                totals = [rng.choice((-1, 1)) * half + rng.choice(
                    (0, 0, 1, -1, 1 << rng.randrange(bits + shift + 1))) for half in halves]
                await check_totals(totals, rng.randrange(1 << bits, 2 << bits) << 30 - bits, shift,
                                   -32768, 32767)

    simulate(dut, bench)


def test_factor_of_each_sum(simulate: Callable[..., None]) -> None:
    """With a factor for each bias; what is loaded of one does not touch the others."""
    config = SparseConfig(output_depth=8, activation_width=9, per_channel=True)
    dut = OutputLane(config)
    members = dict(dut.signature.members)
    assert members["load_addr"] == In(unsigned(4))
    assert members["load_factor"] == In(1)
    assert not {"multiplier", "shift"} & members.keys()
    assert dut.latency == output_lane().latency
    rng = Random(3)
    biases = [rng.randrange(-999, 999) for _ in range(8)]
    factors = [(rng.randrange(1 << 30, 1 << 31), shift) for shift in (0, 1, 2, 5, 9, 20, 30, 31)]

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, biases)
        order = list(range(8))
        rng.shuffle(order)
        ctx.set(dut.load_factor, 1)
        for number in order:
            for part, value in enumerate(factors[number]):
                ctx.set(dut.load_addr, 2 * number + part)
                ctx.set(dut.load_data, value)
                await ctx.tick()
        ctx.set(dut.load_factor, 0)
        ctx.set(dut.load_data, 0)
        for single_rounding in (0, 1):
            ctx.set(dut.single_rounding, single_rounding)
            ctx.set(dut.minimum, -100)
            ctx.set(dut.maximum, 255)
            sums = [(rng.randrange(8), rng.randrange(-1 << 20, 1 << 20)) for _ in range(80)]
            expected = [int(requantize(
                np.array(value + biases[addr]), *factors[addr], 0, -100, 255,
                single_rounding=bool(single_rounding))) for addr, value in sums]
            found = []
            for cycle in range(-1, len(sums) + dut.latency):
                if cycle + 1 < len(sums):
                    ctx.set(dut.bias_addr, sums[cycle + 1][0])
                if 0 <= cycle < len(sums):
                    ctx.set(dut.sum, sums[cycle][1])
                *_, activation = await ctx.tick().sample(dut.activation)
                if cycle >= dut.latency:
                    found.append(activation)
            assert found == expected

    simulate(dut, bench)


def test_bias_of_each_sum(simulate: Callable[..., None]) -> None:
    # Biases alone, by a factor that leaves them as they are but for the halving.
    dut = output_lane()
    biases = [2 * number for number in (7, -300, 0, 11, 32000, -32000, 1, -1)]

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, biases)
        sums = [(addr, 0) for addr in (*range(8), *range(7, -1, -1), 3, 3, 4)]
        await check(ctx, dut, biases, sums, multiplier=1 << 30, shift=0, minimum=-32768,
                    maximum=32767)

    simulate(dut, bench)


def test_reset_keeps_biases(simulate: Callable[..., None]) -> None:
    dut = output_lane()
    reset = Signal()
    biases = [10 * number for number in range(8)]

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, biases)
        for _ in range(2):
            await check(ctx, dut, biases, [(addr, 100 * addr) for addr in range(8)],
                        multiplier=1 << 30, shift=1, minimum=-5, maximum=200)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    simulate(dut, bench, reset=reset)
