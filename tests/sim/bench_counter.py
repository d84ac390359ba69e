"""cocotb bench of the tests of the runner; ``test_runner.py`` picks its tests by name."""

import os
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge

from eieio.sim.case import load_case
from eieio.sim.streams import reset


@cocotb.test(timeout_time=1, timeout_unit="us")
async def test_counts(dut: Any) -> None:
    step = int(os.environ.get("STEP", "1"))
    await reset(dut)
    await FallingEdge(dut.clk)
    before = int(dut.count.value)
    await ClockCycles(dut.clk, 10, FallingEdge)
    assert int(dut.count.value) - before == 10 * step


@cocotb.test(timeout_time=1, timeout_unit="us")
async def test_fails(dut: Any) -> None:
    """Read a word, so that the log shows what undefined contents are."""
    await reset(dut)
    await FallingEdge(dut.clk)
    raise AssertionError(f"Word is {dut.word.value}, seed {cocotb.RANDOM_SEED}\nand more")


@cocotb.test(timeout_time=50, timeout_unit="ns")
async def test_does_not_end(dut: Any) -> None:
    await reset(dut)
    while True:
        await FallingEdge(dut.clk)


@cocotb.test()
async def test_stops_the_simulator(dut: Any) -> None:
    os._exit(3)


@cocotb.test()
async def test_case(dut: Any) -> None:
    case = load_case()
    case.save_outputs(doubled=2 * case.arrays["numbers"] + case.settings["offset"])
