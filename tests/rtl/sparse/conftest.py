"""Fixtures of the sparse engine's component benches."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator


@pytest.fixture
def simulate() -> Callable[..., None]:
    """Return a function that runs a bench in the Amaranth simulator, for ``max_cycles`` at most.

    With ``reset``, this signal resets the component.
    """
    def run(dut: wiring.Component, bench: Callable[[Any], Coroutine[Any, Any, None]], *,
            reset: Signal | None = None, max_cycles: int = 20_000) -> None:
        sim = Simulator(dut if reset is None else ResetInserter(reset)(dut))
        sim.add_clock(1e-6)
        sim.add_testbench(bench)
        for _ in range(2 * max_cycles):  # the clock has two edges per cycle
            if not sim.advance():
                return
        raise TimeoutError(f"Bench did not end in {max_cycles} cycles")

    return run
