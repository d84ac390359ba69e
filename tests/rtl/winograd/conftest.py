"""Fixtures of the benches of Winograd's transforms."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.sim import Simulator
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@pytest.fixture
def run_vectors() -> Callable[..., tuple[list[int], Integers]]:
    """Return a function that feeds a component vectors, and returns those that it gives.

    Each vector comes in its cycle, and noise in between. In ``reset_cycle`` the component is reset.
    The result are cycles and vectors of the outputs.
    """
    def run(dut: wiring.Component, i: tuple[Any, data.View], o: tuple[Any, data.View],
            vectors: Integers, cycles: list[int], *,
            reset_cycle: int | None = None) -> tuple[list[int], Integers]:
        (i_valid, i_vector), (o_valid, o_vector) = i, o
        (i_lanes, i_width), (o_lanes, o_width) = (
            (layout.length, layout.elem_shape.width)
            for layout in (i_vector.shape(), o_vector.shape()))
        numbers = {cycle: number for number, cycle in enumerate(cycles)}
        output_cycles = []
        outputs = []
        reset = Signal()

        async def bench(ctx: Any) -> None:
            rng = np.random.default_rng(0)
            for cycle in range(max(cycles) + 40):
                number = numbers.get(cycle)
                vector = (rng.integers(-1 << (i_width - 1), 1 << (i_width - 1), i_lanes)
                          if number is None else vectors[number])
                ctx.set(reset, cycle == reset_cycle)
                ctx.set(i_valid, number is not None)
                ctx.set(i_vector.as_value(),
                        sum((int(value) & ((1 << i_width) - 1)) << (lane * i_width)
                            for lane, value in enumerate(vector)))
                *_, valid, word = await ctx.tick().sample(o_valid, o_vector.as_value())
                if valid:
                    bound = 1 << (o_width - 1)
                    output_cycles.append(cycle)
                    outputs.append([((word >> (lane * o_width)) + bound) % (2 * bound) - bound
                                    for lane in range(o_lanes)])

        top = Module()
        top.domains.sync = ClockDomain()  # also for a component that does not use it
        top.submodules.dut = ResetInserter(reset)(dut)
        sim = Simulator(top)
        sim.add_clock(1e-6)
        sim.add_testbench(bench)
        sim.run()
        return output_cycles, np.array(outputs, dtype=np.int64).reshape(-1, o_lanes)

    return run
