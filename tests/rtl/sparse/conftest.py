"""Fixtures of the sparse engine's component benches."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.hdl import ClockDomain, Module, ResetInserter, Signal
from amaranth.sim import Simulator


@pytest.fixture
def simulate() -> Callable[..., None]:
    """Return a function that runs a bench in the Amaranth simulator, for ``max_cycles`` at most.

    With ``reset``, this signal resets the component.
    """
    def run(dut: Any, bench: Callable[[Any], Coroutine[Any, Any, None]], *,
            reset: Signal | None = None, max_cycles: int = 20_000) -> None:
        top = Module()
        top.domains.sync = ClockDomain()  # also for a component that does not use it
        top.submodules.dut = dut if reset is None else ResetInserter(reset)(dut)
        sim = Simulator(top)
        sim.add_clock(1e-6)
        sim.add_testbench(bench)
        for _ in range(2 * max_cycles):  # the clock has two edges per cycle
            if not sim.advance():
                return
        raise TimeoutError(f"Bench did not end in {max_cycles} cycles")

    return run
