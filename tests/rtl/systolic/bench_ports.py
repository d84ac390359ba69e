"""cocotb bench that sets inputs in every cycle, and records outputs in every cycle."""

import json
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge

from eieio.sim.case import load_case
from eieio.sim.streams import reset


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def test_record(dut: Any) -> None:
    case = load_case()
    inputs = [getattr(dut, name) for name in case.settings["inputs"]]
    outputs = [getattr(dut, name) for name in case.settings["outputs"]]
    for port in inputs:
        port.value = 0
    await reset(dut, cycles=1)
    seen = []
    for words in case.settings["words"]:
        for port, word in zip(inputs, words, strict=True):
            port.value = int(word, 16)
        await FallingEdge(dut.clk)
        seen.append([hex(int(port.value)) for port in outputs])
        await RisingEdge(dut.clk)
    (case.folder / "seen.json").write_text(json.dumps(seen), encoding="utf-8")
