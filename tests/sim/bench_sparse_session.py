"""cocotb bench that does with a sparse engine whatever a script says.

A script is a list of steps, each a list: what to do, and its arguments. Streams of a case are
arrays of Python integers in JSON, without ``last``; where that is set depends on the step.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Combine, FallingEdge, RisingEdge

from eieio.sim.case import load_case
from eieio.sim.streams import StreamMonitor, StreamSink, StreamSource, reset

MAX_WAIT = 50_000


class Session:
    """An engine, and what it has returned."""

    def __init__(self, dut: Any, settings: dict[str, Any]) -> None:
        self.dut = dut
        stall = settings["stall"]
        self.streams = settings["streams"]
        self.last = 1 << settings["beat_width"]
        self.image_source = StreamSource(dut, "image", stall=stall, seed=1)
        self.source = StreamSource(dut, "i", stall=stall, seed=2)
        self.sink = StreamSink(dut, "o", stall=stall, seed=3)
        self.outputs: list[list[int]] = []
        self.observed: list[int] = []

    async def perform(self, step: list[Any]) -> None:
        what, *arguments = step
        await getattr(self, what)(*arguments)

    async def image(self, name: str) -> None:
        """Send a whole image."""
        *words, end = self.streams[name]
        await self.image_source.send([*words, end | 1 << 32], max_wait=MAX_WAIT)

    async def input(self, name: str) -> None:
        """Send a whole input."""
        *beats, end = self.streams[name]
        await self.source.send([*beats, end | self.last], max_wait=MAX_WAIT)

    async def output(self, beats: int) -> None:
        """Receive a whole output."""
        received = await self.sink.receive(beats, max_wait=MAX_WAIT)
        lasts = [beat >= self.last for beat in received]
        assert lasts == [False] * (beats - 1) + [True]
        self.outputs.append([beat % self.last for beat in received])

    async def wait(self, cycles: int) -> None:
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    async def observe(self, port: str) -> None:
        """Record the value of a port."""
        await FallingEdge(self.dut.clk)
        self.observed.append(int(getattr(self.dut, port).value))
        await RisingEdge(self.dut.clk)

    async def shows(self, port: str, cycles: int) -> None:
        """Record in how many of some cycles a port is not 0."""
        shown = 0
        for _ in range(cycles):
            await FallingEdge(self.dut.clk)
            shown += int(getattr(self.dut, port).value) != 0
        self.observed.append(shown)
        await RisingEdge(self.dut.clk)

    async def set(self, port: str, value: int) -> None:
        getattr(self.dut, port).value = value
        await RisingEdge(self.dut.clk)

    async def together(self, *scripts: list[list[Any]]) -> None:
        """Run several scripts side by side until all have ended."""
        async def run(script: list[list[Any]]) -> None:
            for step in script:
                await self.perform(step)

        await Combine(*(cocotb.start_soon(run(script)) for script in scripts))

    async def cut_off(self, step: list[Any], cycles: int) -> None:
        """Begin a step, and reset the engine and the streams after some cycles."""
        task = cocotb.start_soon(self.perform(step))
        await self.wait(cycles)
        task.cancel()
        self.dut.rst.value = 1
        for name in ("image__valid", "i__valid", "o__ready"):
            getattr(self.dut, name).value = 0
        await self.wait(2)
        self.dut.rst.value = 0


@cocotb.test()
async def run_session(dut: Any) -> None:
    case = load_case()
    dut.run.value = 1
    dut.clear_error.value = 0
    session = Session(dut, case.settings)
    await reset(dut)
    StreamMonitor(dut, "o")
    for step in case.settings["script"]:
        await session.perform(step)
    # Whatever else comes out would be too much.
    dut.o__ready.value = 1
    for _ in range(200):
        await FallingEdge(dut.clk)
        assert not int(dut.o__valid.value), "Engine must return one output for each input"
    case.save_outputs(
        observed=np.array(session.observed, np.int64),
        **{f"output_{number}": np.array([str(beat) for beat in beats])
           for number, beats in enumerate(session.outputs)})
