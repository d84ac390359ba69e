"""Rounding to the format of the factors in Amaranth's simulator: against the golden model."""

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from eieio.model.tensor_core.conversion import clamp, narrow
from eieio.model.tensor_core.float_format import BFLOAT16, FLOAT16, FloatFormat
from eieio.rtl.tensor_core.narrow import NARROW_LATENCY, Narrow


def hard_numbers(form: FloatFormat, rng: np.random.Generator) -> np.ndarray:
    """Draw binary32 numbers around the short format's own, halfway between them, and all others."""
    short = np.concatenate([rng.integers(0, 1 << 16, 120), np.arange(6), (1 << 15) + np.arange(6),
                            form.infinity - np.arange(4), [form.infinity | 1 << 15]])
    dropped = 23 - form.fraction_width
    if form == FLOAT16:
        wide = short.astype(np.uint16).view(np.float16).astype(np.float32).view(np.uint32)
    else:
        wide = short.astype(np.uint32) << 16
    around = [wide + offset for offset in (0, 1, (1 << dropped - 1) - 1, 1 << dropped - 1,
                                           (1 << dropped - 1) + 1)]
    few = np.array([0, 1 << 31, 1, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFF800001, 0x7F7FFFFF])
    return np.concatenate([*around, few, rng.integers(0, 1 << 32, 200)]).astype(np.uint32)


both = pytest.mark.parametrize("form", [FLOAT16, BFLOAT16], ids=["float16", "bfloat16"])


def check(form: FloatFormat, cases: list[tuple[int, int, bool, np.ndarray]]) -> None:
    """Compare numbers, each lot with its range, and whether it is short already."""
    dut = Narrow(form)
    results: list[int] = []

    async def bench(ctx: Any) -> None:
        for minimum, maximum, short, numbers in cases:
            ctx.set(dut.minimum, minimum)
            ctx.set(dut.maximum, maximum)
            ctx.set(dut.narrowed, short)
            for place in range(len(numbers) + NARROW_LATENCY - 1):
                if place < len(numbers):
                    ctx.set(dut.i, int(numbers[place]))
                await ctx.tick()
                if place >= NARROW_LATENCY - 1:
                    results.append(ctx.get(dut.o))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    expected = [clamp(numbers.astype(np.uint16) if short else narrow(numbers, form),
                      minimum, maximum, form) for minimum, maximum, short, numbers in cases]
    assert np.array_equal(results, np.concatenate(expected))


@both
def test_golden_model(form: FloatFormat) -> None:
    numbers = hard_numbers(form, np.random.default_rng(2))
    one = form.bias << form.fraction_width
    ranges = [(form.infinity | 1 << 15, form.infinity), (0, form.infinity), (one | 1 << 15, one)]
    check(form, [(*ends, short, numbers) for ends in ranges for short in (False, True)])


@both
def test_every_exponent(form: FloatFormat) -> None:
    rng = np.random.default_rng(3)
    fractions = [0, (1 << 23) - 1, 1 << 22, 1, *rng.integers(0, 1 << 23, 2)]
    numbers = np.array([field << 23 | int(fraction) for field in range(256)
                        for fraction in fractions], np.uint32)
    numbers |= rng.integers(0, 2, len(numbers)).astype(np.uint32) << 31
    check(form, [(form.infinity | 1 << 15, form.infinity, False, numbers)])


@both
def test_ends_of_ranges(form: FloatFormat) -> None:
    """Numbers that are an end of a range but for one bit, of any of both."""
    rng = np.random.default_rng(4)
    cases = []
    for _ in range(40):
        low, high = sorted(rng.integers(-form.infinity, form.infinity + 1, 2).tolist())
        minimum, maximum = (abs(end) | (end < 0) << 15 for end in (low, high))
        near = [end ^ bit for end in (minimum, maximum) for bit in (0, *(1 << np.arange(16)))]
        cases.append((minimum, maximum, True, np.array(near, np.uint32)))
    check(form, cases)
