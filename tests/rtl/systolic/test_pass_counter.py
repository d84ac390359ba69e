"""Pass counter: windows of each pass, and which pass is the last one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eieio.model.systolic.program import Field
from eieio.model.systolic.work import ComputeWork
from eieio.rtl.systolic.pass_counter import PassCounter


@pytest.mark.parametrize("seed", range(3))
def test_random(simulate: Callable[..., None], seed: int) -> None:
    rng = np.random.default_rng(seed)
    dut = PassCounter()

    async def bench(ctx: Any) -> None:
        for case in range(40):
            drawn = int(rng.integers(1, 1 << int(rng.integers(1, 20))))
            windows = int(rng.choice([1, 2, 7, 100, 70000, drawn]))
            if case % 20 == 0:
                windows = int(rng.integers(1 << 20, 1 << 24))
            least = max(1, -(-windows // (9 if windows < 1 << 18 else 300)))
            chunk = int(rng.integers(least, min(windows, 65535) + 1))
            outputs = int(rng.integers(1, 5)) if windows < 1 << 18 else 1
            work = ComputeWork(windows=windows, chunk=chunk, outputs=outputs, slots=1, groups=1,
                               last_groups=1)
            ctx.set(dut.descriptor[Field.BLOCKS], outputs << 16 | 3)
            ctx.set(dut.descriptor[Field.ROW_WINDOWS], chunk << 16 | 5)
            ctx.set(dut.descriptor[Field.WINDOWS], windows)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            passes = [(count, output == outputs - 1) for count in work.chunks
                      for output in range(outputs)]
            for number, expected in enumerate(passes):
                await ctx.tick().repeat(int(rng.integers(1, 4)))
                assert (ctx.get(dut.windows), bool(ctx.get(dut.output_last))) == expected
                assert bool(ctx.get(dut.last)) == (number == len(passes) - 1)
                ctx.set(dut.step, 1)
                await ctx.tick()
                ctx.set(dut.step, 0)

    simulate(dut, bench, max_cycles=100_000)
