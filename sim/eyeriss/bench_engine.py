"""cocotb bench of the row-stationary array: sends commands, takes activations."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from eieio.rtl.eyeriss.engine import COUNTERS
from eieio.sim.case import load_case
from eieio.sim.streams import reset

#: Period of the clock in nanoseconds.
PERIOD = 10


class _Recorder:
    """Sends words, takes others, and records both."""

    def __init__(self, dut: Any, words: list[int], stall: float, limit: int) -> None:
        self.dut, self.words, self.stall, self.limit = dut, words, stall, limit
        self.accepted: list[int] = []
        self.outputs: list[int] = []
        self.ended = False
        self.offered = False
        self.start = get_sim_time("ns")
        self._random = Random(0)

    @property
    def cycle(self) -> int:
        """Cycles since the beginning."""
        return int((get_sim_time("ns") - self.start) / PERIOD + 0.01)

    async def step(self) -> None:
        """Go one cycle, from one rising edge to the next."""
        dut = self.dut
        if (not self.offered and len(self.accepted) < len(self.words)
                and self._random.random() >= self.stall):
            dut.i__payload.value = self.words[len(self.accepted)]
            self.offered = True
        ready = self._random.random() >= self.stall
        dut.i__valid.value, dut.o__ready.value = int(self.offered), int(ready)
        cycle = self.cycle
        await FallingEdge(dut.clk)
        if self.offered and int(dut.i__ready.value):
            self.accepted.append(cycle)
            self.offered = False
        valid = int(dut.o__valid.value)
        if ready and valid:
            payload = int(dut.o__payload.value)
            self.outputs.append(payload & (1 << 64) - 1)
            self.ended = bool(payload >> 64)
        await RisingEdge(dut.clk)
        if not self.stall and (self.offered or len(self.accepted) == len(self.words)) and not valid:
            await self._sleep()

    async def _sleep(self) -> None:
        """Let time go by while neither stream can move, as in a pass, without a look at it."""
        dut = self.dut
        await FallingEdge(dut.clk)
        while not int(dut.i__ready.value) and not int(dut.o__valid.value):
            if self.cycle >= self.limit:
                break
            await First(RisingEdge(dut.i__ready), RisingEdge(dut.o__valid),
                        Timer(PERIOD * (self.limit - self.cycle), "ns"))
            await FallingEdge(dut.clk)
        if self.offered and int(dut.i__ready.value):
            self.accepted.append(self.cycle)
            self.offered = False
        if int(dut.o__valid.value):
            payload = int(dut.o__payload.value)
            self.outputs.append(payload & (1 << 64) - 1)
            self.ended = bool(payload >> 64)
        await RisingEdge(dut.clk)


async def _disturb(dut: Any, rounds: Any) -> None:
    """Send words of whatever program, and take what comes, until a reset ends each round."""
    for words in rounds.tolist():
        dut.i__valid.value, dut.o__ready.value = 1, 1
        # As many cycles as words: what is under way need not end, nor take them all.
        place = 0
        for _ in words:
            dut.i__payload.value = words[place]
            await FallingEdge(dut.clk)
            place += int(dut.i__ready.value)
            await RisingEdge(dut.clk)
        dut.i__valid.value, dut.o__ready.value, dut.rst.value = 0, 0, 1
        await RisingEdge(dut.clk)
        dut.rst.value = 0


@cocotb.test(timeout_time=10, timeout_unit="sec")
async def test_commands(dut: Any) -> None:
    """Record what comes out, the cycle in which each word is taken, and all counters."""
    case = load_case()
    dut.i__valid.value, dut.o__ready.value = 0, 0
    await reset(dut, period=PERIOD)
    if "disturbance" in case.arrays:
        await _disturb(dut, case.arrays["disturbance"])
    run = _Recorder(dut, case.arrays["words"].tolist(), case.settings["stall"],
                    case.settings["max_cycles"])
    while not run.ended and run.cycle < run.limit:
        await run.step()
    ended = run.cycle - 1 if run.ended else -1
    dut.i__valid.value = 0
    for _ in range(3):
        await FallingEdge(dut.clk)
        await RisingEdge(dut.clk)
    case.save_outputs(
        accepted=np.array(run.accepted), outputs=np.array(run.outputs, np.uint64),
        ended=np.array(ended), busy=np.array(int(dut.busy.value)),
        error=np.array(int(dut.error.value)),
        counters=np.array([int(getattr(dut, name).value) for name in COUNTERS]))
