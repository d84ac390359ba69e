"""cocotb bench of the tests of emission: records what eight lanes do."""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from eieio.sim.case import load_case
from eieio.sim.streams import reset


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def test_record(dut: Any) -> None:
    case = load_case()
    sums = [getattr(dut, f"sums__{p}") for p in range(8)]
    dut.addr.value = 0
    dut.a.value = int(case.arrays["a"][0])
    await reset(dut, cycles=1)
    seen = []
    for addr, a in zip(case.arrays["addr"].tolist(), case.arrays["a"].tolist(), strict=True):
        dut.addr.value = addr
        dut.a.value = a
        await FallingEdge(dut.clk)
        seen.append([handle.value.to_signed() for handle in sums])
        await RisingEdge(dut.clk)
    case.save_outputs(sums=np.array(seen))
