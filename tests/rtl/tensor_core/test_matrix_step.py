"""Matrix step: interface, and steps in any cycle against the golden model."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray
from ports import Ports

from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.timing import latency
from eieio.rtl.tensor_core.matrix_step import MatrixStep
from eieio.sim.tensor_core.random_steps import random_steps

RECTANGLE = StepConfig(2, 1, products=2)
ONE = StepConfig(1, 1, products=1, extra_bits=2, input_format="bfloat16")
ROW = StepConfig(1, 3, products=2)


def test_members() -> None:
    config = StepConfig(2, 3, products=4)
    result = data.ArrayLayout(data.ArrayLayout(32, 3), 2)
    assert dict(MatrixStep(config).signature.members) == {
        "i_valid": In(1), "i_half": In(1), "i_a": In(data.ArrayLayout(data.ArrayLayout(16, 4), 2)),
        "i_b": In(data.ArrayLayout(data.ArrayLayout(16, 3), 4)), "i_c": In(result),
        "o_valid": Out(1), "o_d": Out(result)}
    assert MatrixStep(config).latency == latency(config)


def flat(numbers: NDArray[np.unsignedinteger], width: int) -> int:
    return sum(int(number) << width * place for place, number in enumerate(numbers.reshape(-1)))


@pytest.mark.parametrize("pace", [1.0, 0.5])
@pytest.mark.parametrize("config", [RECTANGLE, ONE, ROW], ids=lambda config: config.label)
def test_random(simulate: Callable[..., None], config: StepConfig, pace: float) -> None:
    """Each result comes so many cycles after its operands; after a reset none is under way."""
    dut, rng, reset = MatrixStep(config), Random(pace), Signal()
    count = 60
    steps = random_steps(config, count, np.random.default_rng(2))
    results = steps.results(config)
    due: dict[int, int] = {}

    async def bench(ctx: Any) -> None:
        ports = Ports(ctx, dut)
        begun = found = 0
        for cycle in range(6 * count + 3 * dut.latency):
            valid = begun < count and rng.random() < pace
            at = begun if valid else rng.randrange(count)
            resets = cycle in (7, dut.latency + 9)
            ctx.set(reset, resets)
            seen = await ports.cycle(
                i_valid=valid, i_half=int(steps.half[at]), i_a=flat(steps.a[at], 16),
                i_b=flat(steps.b[at], 16), i_c=flat(steps.c[at], 32))
            assert seen["o_valid"] == (cycle in due), cycle
            if cycle in due:
                assert seen["o_d"] == flat(results[due.pop(cycle)], 32), cycle
                found += 1
            if valid:
                due[cycle + dut.latency] = begun
                begun += 1
            if resets:
                due.clear()
            if begun == count and not due:
                break
        assert found > 30

    simulate(dut, bench, reset=reset)
