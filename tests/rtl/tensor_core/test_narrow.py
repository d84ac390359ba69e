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


@pytest.mark.parametrize("form", [FLOAT16, BFLOAT16], ids=["float16", "bfloat16"])
def test_golden_model(form: FloatFormat) -> None:
    dut = Narrow(form)
    numbers = hard_numbers(form, np.random.default_rng(2))
    one = form.bias << form.fraction_width
    ranges = [(form.infinity | 1 << 15, form.infinity), (0, form.infinity), (one | 1 << 15, one)]
    results: list[int] = []

    async def bench(ctx: Any) -> None:
        for minimum, maximum in ranges:
            for short in (0, 1):
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
    expected = [clamp(given, *ends, form) for ends in ranges
                for given in (narrow(numbers, form), numbers.astype(np.uint16))]
    assert np.array_equal(results, np.concatenate(expected))
