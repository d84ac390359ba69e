"""cocotb bench of the row-stationary array: sends commands, takes activations."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from eieio.rtl.eyeriss.engine import COUNTERS
from eieio.sim.case import load_case
from eieio.sim.streams import reset


@cocotb.test(timeout_time=10, timeout_unit="sec")
async def test_commands(dut: Any) -> None:
    """Record what comes out, the cycle in which each word is taken, and all counters."""
    case = load_case()
    words = case.arrays["words"].tolist()
    stall, limit = case.settings["stall"], case.settings["max_cycles"]
    random = Random(0)
    dut.i__valid.value, dut.o__ready.value = 0, 0
    await reset(dut)
    accepted: list[int] = []
    outputs: list[int] = []
    offered = ended = False
    cycle = 0
    for cycle in range(limit):
        if not offered and len(accepted) < len(words) and random.random() >= stall:
            dut.i__payload.value = words[len(accepted)]
            offered = True
        ready = random.random() >= stall
        dut.i__valid.value, dut.o__ready.value = int(offered), int(ready)
        await FallingEdge(dut.clk)
        if offered and int(dut.i__ready.value):
            accepted.append(cycle)
            offered = False
        if ready and int(dut.o__valid.value):
            payload = int(dut.o__payload.value)
            outputs.append(payload & (1 << 64) - 1)
            ended = bool(payload >> 64)
        await RisingEdge(dut.clk)
        if ended:
            break
    dut.i__valid.value = 0
    for _ in range(3):
        await FallingEdge(dut.clk)
        await RisingEdge(dut.clk)
    case.save_outputs(
        accepted=np.array(accepted), outputs=np.array(outputs, np.uint64),
        ended=np.array(cycle if ended else -1), busy=np.array(int(dut.busy.value)),
        error=np.array(int(dut.error.value)),
        counters=np.array([int(getattr(dut, name).value) for name in COUNTERS]))
