"""cocotb bench of the decoder of coded images: one after the other, whole or damaged."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from eieio.sim.case import load_case
from eieio.sim.streams import reset

#: What the outputs say of each image: words that came, whether the last one had `last` and no other
#: did, error, and cycles from the first transfer to the last.
FIELDS = ("words", "ended", "error", "cycles")


@cocotb.test(timeout_time=1, timeout_unit="sec")
async def test_images(dut: Any) -> None:
    """Feed the case's images; record what comes of each, until the decoder has done with it."""
    case = load_case()
    stall, draw = case.settings["stall"], Random(case.settings["seed"])
    dut.i__valid.value = 0
    dut.o__ready.value = 0
    dut.coded.value = 1
    await reset(dut)
    words: list[int] = []
    results: list[tuple[int, ...]] = []
    ends = np.cumsum(case.arrays["sizes"])
    for coded in np.split(case.arrays["coded"], ends[:-1]):
        payloads = coded.tolist()
        payloads[-1] |= 1 << 32
        sent = cycle = first = last = 0
        offering, busy = False, True
        lasts: list[int] = []
        while sent < len(payloads) or busy:
            offering = offering or (sent < len(payloads) and draw.random() >= stall)
            taking = draw.random() >= stall
            if offering:
                dut.i__payload.value = payloads[sent]
            dut.i__valid.value = int(offering)
            dut.o__ready.value = int(taking)
            await FallingEdge(dut.clk)
            if taking and int(dut.o__valid.value):
                payload = int(dut.o__payload.value)
                words.append(payload & 0xFFFFFFFF)
                lasts.append(payload >> 32)
                last = cycle
            busy = bool(int(dut.busy.value))
            if offering and int(dut.i__ready.value):
                first = first if sent else cycle
                sent, offering, busy = sent + 1, False, True
            cycle += 1
            assert cycle < case.settings["limit"], f"Image {len(results)} does not end"
            await RisingEdge(dut.clk)
        ended = lasts == [0] * (len(lasts) - 1) + [1] * bool(lasts)
        results.append((len(lasts), int(ended), int(dut.error.value), last - first))
    case.save_outputs(words=np.array(words, np.uint32), results=np.array(results, np.int64))
