"""cocotb bench of the tests of the streams: a queue of signed bytes."""

from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from eieio.sim.case import load_case
from eieio.sim.streams import StreamMonitor, StreamSink, StreamSource, reset


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def test_queue(dut: Any) -> None:
    case = load_case()
    payloads = case.arrays["payloads"].tolist()
    stall = case.settings["stall"]
    source = StreamSource(dut, "i", stall=stall, seed=1)
    sink = StreamSink(dut, "o", stall=stall, seed=2, signed=True)
    await reset(dut)
    monitors = [StreamMonitor(dut, name, signed=True) for name in ("i", "o")]

    task = cocotb.start_soon(source.send(payloads, max_wait=100))
    half = len(payloads) // 2
    received = await sink.receive(half, max_wait=100)
    await ClockCycles(dut.clk, 20)
    received += await sink.receive(len(payloads) - half, max_wait=100)
    await task
    await ClockCycles(dut.clk, 2)

    assert received == payloads
    for monitor in monitors:
        assert monitor.payloads == payloads
        assert len(monitor.cycles) == len(payloads)
    assert monitors[1].stalled >= 18
    if not stall:
        # A payload a cycle, apart from the pause in the middle.
        assert monitors[1].cycles[-1] - monitors[1].cycles[0] <= len(payloads) + 25


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def test_source_waits(dut: Any) -> None:
    source = StreamSource(dut, "i")
    StreamSink(dut, "o")
    await reset(dut)
    await source.send(range(100), max_wait=30)
