"""Dot product of the tensor core in Amaranth's simulator: against the golden model."""

from typing import Any

import numpy as np
import pytest
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.timing import latency
from eieio.rtl.tensor_core.dot_product import DotProduct
from eieio.sim.tensor_core.random_steps import random_steps

CONFIGS = [StepConfig(1, 1), StepConfig(1, 1, products=8, extra_bits=1),
           StepConfig(1, 1, products=1), StepConfig(1, 1, products=2, extra_bits=8),
           StepConfig(1, 1, products=3, input_format="bfloat16")]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.label)
def test_golden_model(config: StepConfig) -> None:
    dut = DotProduct(config)
    drawn = random_steps(config, 300, np.random.default_rng(1))
    a, b, c, half = drawn.a[:, 0], drawn.b[:, :, 0], drawn.c[:, 0, 0], drawn.half
    expected = drawn.results(config)[:, 0, 0]
    results = []

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
    wrong = np.flatnonzero(np.array(results, np.uint32) != expected)
    assert not wrong.size, [(a[i], b[i], hex(c[i]), half[i], hex(expected[i]), hex(results[i]))
                            for i in wrong[:3]]


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
