"""Fixtures of the bus components' benches."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.sim import Simulator


@pytest.fixture
def simulate() -> Callable[..., None]:
    """Return a function that runs benches in the Amaranth simulator, for ``max_cycles`` at most."""
    def run(dut: Any, *benches: Callable[[Any], Coroutine[Any, Any, None]],
            max_cycles: int = 20_000) -> None:
        sim = Simulator(dut)
        sim.add_clock(1e-6)
        for bench in benches:
            sim.add_testbench(bench)
        for _ in range(2 * max_cycles):  # the clock has two edges per cycle
            if not sim.advance():
                return
        raise TimeoutError(f"Bench did not end in {max_cycles} cycles")

    return run
