"""cocotb bench of the emitted array: feeds a word a cycle, and records cycles and results."""

import json
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge

from eieio.sim.case import load_case
from eieio.sim.streams import reset


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def test_record(dut: Any) -> None:
    case = load_case()
    names = ("i_valid", "i_swap", "i_last", "i_activations", "w_valid", "w_weights")
    for name in names:
        getattr(dut, name).value = 0
    await reset(dut, cycles=1)
    seen = []
    for cycle, words in enumerate(case.settings["inputs"]):
        for name, word in zip(names, words, strict=True):
            getattr(dut, name).value = int(word, 16)
        await FallingEdge(dut.clk)
        if int(dut.o_valid.value):
            seen.append((cycle, int(dut.o_last.value), hex(int(dut.o_sums.value))))
        await RisingEdge(dut.clk)
    (case.folder / "seen.json").write_text(json.dumps(seen), encoding="utf-8")
