"""cocotb bench of a tensor core's matrix step: steps back to back, or with pauses between them."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from eieio.sim.case import load_case
from eieio.sim.streams import reset


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def test_steps(dut: Any) -> None:
    """Feed the steps of the case; record the results, and the cycles from step to result."""
    case = load_case()
    words = [case.arrays[name] for name in ("half", "a", "b", "c")]
    ports = (dut.i_half, dut.i_a, dut.i_b, dut.i_c)
    stalls = Random(0)
    stall = case.settings["stall"]
    dut.i_valid.value = 0
    await reset(dut, cycles=1)
    given: list[int] = []
    results: list[bytes] = []
    latencies: set[int] = set()
    for cycle in range(int(len(words[0]) * (1 + 4 * stall)) + case.settings["drain"]):
        valid = len(given) < len(words[0]) and stalls.random() >= stall
        if valid:
            for port, word in zip(ports, words, strict=True):
                port.value = int.from_bytes(word[len(given)].tobytes(), "little")
            given.append(cycle)
        dut.i_valid.value = int(valid)
        await FallingEdge(dut.clk)
        if int(dut.o_valid.value):
            latencies.add(cycle - given[len(results)])
            results.append(int(dut.o_d.value).to_bytes(words[-1][0].nbytes, "little"))
        await RisingEdge(dut.clk)
    case.save_outputs(d=np.frombuffer(b"".join(results), np.uint32),
                      latencies=np.array(sorted(latencies)))
