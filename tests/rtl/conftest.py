"""Fixtures of all benches in the Amaranth simulator."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from amaranth.hdl import ClockDomain, Module, ResetInserter, Signal
from amaranth.sim import Simulator

Bench = Callable[[Any], Coroutine[Any, Any, None]]


@pytest.fixture
def simulate() -> Callable[..., None]:
    """Return a function that runs benches in the Amaranth simulator, for ``max_cycles`` at most.

    It ends with the last of the benches; ``watches`` run beside them. With ``reset``, this signal
    resets the component.
    """
    def run(dut: Any, *benches: Bench, watches: Sequence[Bench] = (),
            reset: Signal | None = None, max_cycles: int = 20_000) -> None:
        top = Module()
        top.domains.sync = ClockDomain()  # also for a component that does not use it
        top.submodules.dut = dut if reset is None else ResetInserter(reset)(dut)
        sim = Simulator(top)
        sim.add_clock(1e-6)
        for bench in benches:
            sim.add_testbench(bench)
        for watch in watches:
            sim.add_testbench(watch, background=True)
        for _ in range(2 * max_cycles):  # the clock has two edges per cycle
            if not sim.advance():
                return
        raise TimeoutError(f"Benches did not end in {max_cycles} cycles")

    return run
