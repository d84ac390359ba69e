"""cocotb bench of a design that starts by itself: waits for ``done``, and reads its counters."""

from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout

from eieio.sim.case import load_case

PERIOD = 10


@cocotb.test()
async def run_until_done(dut: Any) -> None:
    """Reset, wait, and save what the outputs named by the case hold."""
    case = load_case()
    dut.reset_n.value = 0
    Clock(dut.clk, PERIOD, unit="ns").start()
    await ClockCycles(dut.clk, 10)
    dut.reset_n.value = 1
    await with_timeout(RisingEdge(dut.done), PERIOD * case.settings["max_cycles"], "ns")
    await ClockCycles(dut.clk, 2)
    case.save_outputs(counters=np.array([
        int(getattr(dut, name).value) for name in case.settings["counters"]]))
