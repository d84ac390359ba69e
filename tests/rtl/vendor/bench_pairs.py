"""cocotb bench of pairs of components: counts the cycles in which two of them differ."""

import json
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from eieio.sim.case import load_case


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def test_pairs(dut: Any) -> None:
    case = load_case()
    pairs = case.settings["pairs"]
    family = case.settings.get("family", "ecp5")
    differing = [0] * len(pairs)
    values: list[set[str]] = [set() for _ in pairs]
    Clock(dut.clk, 10, unit="ns").start()
    for cycle, (reset, *words) in enumerate(case.settings["inputs"]):
        await FallingEdge(dut.clk)
        if cycle >= case.settings["first"]:
            for number, name in enumerate(pairs):
                portable = str(getattr(dut, f"{name}_portable").value)
                differing[number] += portable != str(getattr(dut, f"{name}_{family}").value)
                values[number].add(portable)
        dut.rst.value = reset
        for name, word in zip(pairs, words, strict=True):
            getattr(dut, f"{name}_i").value = int(word, 16)
        await RisingEdge(dut.clk)
    (case.folder / "seen.json").write_text(
        json.dumps({"differing": differing, "values": list(map(len, values))}), encoding="utf-8")
