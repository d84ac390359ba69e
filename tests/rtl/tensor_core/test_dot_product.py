"""Dot product of the tensor core in Amaranth's simulator: against the golden model."""

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from numpy.typing import NDArray
from tensor_core_cases import FLOAT16_CASES, FLOAT32_CASES, SPECIALS

from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.golden import matrix_step
from eieio.model.tensor_core.timing import latency
from eieio.rtl.tensor_core.dot_product import DotProduct
from eieio.sim.tensor_core.random_steps import random_steps

CONFIGS = [StepConfig(1, 1), StepConfig(1, 1, products=8, extra_bits=1),
           StepConfig(1, 1, products=1), StepConfig(1, 1, products=2, extra_bits=8),
           StepConfig(1, 1, products=3, input_format="bfloat16")]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.label)
def test_golden_model(config: StepConfig) -> None:
    drawn = random_steps(config, 300, np.random.default_rng(1))
    a, b, c, half = drawn.a[:, 0], drawn.b[:, :, 0], drawn.c[:, 0, 0], drawn.half
    expected = drawn.results(config)[:, 0, 0]
    results = run(config, a, b, c, half)
    wrong = np.flatnonzero(results != expected)
    assert not wrong.size, [(a[i], b[i], hex(c[i]), half[i], hex(expected[i]), hex(results[i]))
                            for i in wrong[:3]]


def test_results_of_a_v100() -> None:
    """What is known of a V100, with the products in every place, and what is not a number."""
    rows = []
    for cases, half in ((FLOAT32_CASES, False), (FLOAT16_CASES, True)):
        for products, addend, result in cases:
            padded = products + [(0, 0)] * (4 - len(products))
            rows += [(*zip(*order, strict=True), addend, result, half)
                     for order in sorted(set(permutations(padded)))]
    rows += [((*a, 0, 0), (*b, 0, 0), c, result, half)
             for a, b, c, result in SPECIALS for half in (False, True)]
    a, b = (np.array([row[side] for row in rows], np.float16).view(np.uint16) for side in (0, 1))
    half = np.array([row[4] for row in rows])
    c, expected = (np.array([row[side] for row in rows], np.float32) for side in (2, 3))
    short = expected.astype(np.float16).view(np.uint16).astype(np.uint32)
    wanted = np.where(half, short, expected.view(np.uint32))
    wanted = np.where(np.isnan(expected), np.where(half, 0x7FFF, 0x7FFFFFFF), wanted)
    c = np.where(np.isnan(c), np.uint32(0x7FFFFFFF), c.view(np.uint32))
    assert np.array_equal(run(StepConfig(1, 1), a, b, c, half), wanted)


def test_every_bit() -> None:
    """Numbers of one or two bits: whether they are 0, infinite, or none, and small results."""
    rng = np.random.default_rng(5)
    few = [0, *(1 << np.arange(23)), *(1 << i | 1 << j for i, j in combinations(range(23), 2))]
    short = [0, *(1 << np.arange(10)), *(1 << i | 1 << j for i, j in combinations(range(10), 2))]
    one, infinity = 15 << 10, 31 << 10
    # Factors, another one, addend: of the addend's bits, and then of a factor's.
    rows = [(0, 0, field << 23 | bits) for field in (0, 255) for bits in few]
    rows += [(0, 0, field << 23 | int(bits)) for field in range(1, 30)
             for bits in rng.integers(0, 1 << 23, 2)]
    rows += [(field | bits, one, 0) for field in (0, infinity) for bits in short]
    rows += [(one, field | bits, 0) for field in (0, infinity) for bits in short]
    # Sums around the smallest normal number of binary16, and below.
    rows += [(int(a) << 10 | int(bits), int(b) << 10, 0) for a, b, bits in zip(
        rng.integers(2, 12, 100), rng.integers(2, 12, 100), rng.integers(0, 1 << 10, 100),
        strict=True)]
    a, b = (np.zeros((len(rows), 4), np.uint16) for _ in range(2))
    places = rng.integers(0, 4, len(rows))
    for side, column in ((a, 0), (b, 1)):
        side[np.arange(len(rows)), places] = [row[column] for row in rows]
    c = np.array([row[2] for row in rows], np.uint32)
    sign = rng.integers(0, 2, len(rows)).astype(np.uint32)
    c |= sign << 31
    a |= (rng.integers(0, 2, a.shape) << 15).astype(np.uint16)
    half = np.array([not row[2] and number % 2 for number, row in enumerate(rows)], bool)
    config = StepConfig(1, 1)
    full, rounded = (matrix_step(a[:, None], b[:, :, None], c[:, None, None], config,
                                 half=short)[:, 0, 0] for short in (False, True))
    assert np.array_equal(run(config, a, b, c, half), np.where(half, rounded, full))


def run(config: StepConfig, a: NDArray[np.uint16], b: NDArray[np.uint16], c: NDArray[np.uint32],
        half: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Run sums, one a cycle."""
    dut = DotProduct(config)
    results: list[int] = []

    async def bench(ctx: Any) -> None:
        for case in range(len(c) + dut.latency - 1):
            if case < len(c):
                for i in range(config.products):
                    ctx.set(dut.a[i], int(a[case, i]))
                    ctx.set(dut.b[i], int(b[case, i]))
                ctx.set(dut.c, int(c[case]))
                ctx.set(dut.half, int(half[case]))
            await ctx.tick()
            if case >= dut.latency - 1:
                results.append(ctx.get(dut.d))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(results, np.uint32)


def test_members() -> None:
    dut = DotProduct(StepConfig(products=8))
    dut._MustUse__used = True  # type: ignore[attr-defined]
    assert dict(dut.signature.members) == {
        "a": In(data.ArrayLayout(16, 8)),
        "b": In(data.ArrayLayout(16, 8)),
        "c": In(32),
        "half": In(1),
        "d": Out(32),
    }
    assert dut.latency == latency(StepConfig(products=8)) == 21
