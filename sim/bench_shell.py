"""cocotb bench that does with a shell whatever a script says.

The other side of every port is of cocotbext-axi. A script is a list of steps, each a list: what to
do, and its arguments; :class:`eieio.sim.shell_session.ShellSession` writes it. What the steps see
is recorded in order, and compared by the session.
"""

import itertools
import json
import logging
from collections.abc import Iterator
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import Combine, FallingEdge, RisingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from eieio.sim.axi_monitor import SHELL_CHANNELS, AxiMonitor
from eieio.sim.case import load_case
from eieio.sim.streams import reset

#: Nanoseconds of a cycle.
PERIOD = 10
#: Cycles after which a step has failed, beside those that the engine may need, and those of all
#: beats that were sent before: a word of an image may take 34.
STEP_CYCLES, BEAT_CYCLES = 50_000, 40


class Session:
    """A shell, and what it has shown."""

    def __init__(self, dut: Any, settings: dict[str, Any]) -> None:
        self.dut = dut
        self.streams: dict[str, list[int]] = settings["streams"]
        self.reset_cycles: int = settings["reset_cycles"]
        stall: float = settings["stall"]
        self._limit: float = STEP_CYCLES + settings["longest"]
        self._beat_cycles = BEAT_CYCLES / (1 - stall)
        self.observed: list[Any] = []
        # Its type is not what its constructor makes of it.
        self.registers: Any = AxiLiteMaster(
            AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.sources = {name: AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{name}"),
                                              dut.clk, dut.rst) for name in ("image", "input")}
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_output"), dut.clk, dut.rst)
        write, read = self.registers.write_if, self.registers.read_if
        channels = [write.aw_channel, write.w_channel, write.b_channel, read.ar_channel,
                    read.r_channel, *self.sources.values(), self.sink]
        if stall:
            for number, channel in enumerate(channels):
                channel.set_pause_generator(_pauses(stall, number))

    async def perform(self, step: list[Any]) -> None:
        what, *arguments = step
        done = getattr(self, what)(*arguments)
        if what == "together":  # Its own steps are bounded.
            await done
        else:
            if what in {"send", "begin", "cut"}:
                self._limit += self._beat_cycles * len(self.streams[arguments[1]])
            await with_timeout(done, round(PERIOD * self._limit), "ns")

    async def read(self, address: int) -> None:
        """Read a register; record response and value."""
        reply = await self.registers.read(address, 4)
        self.observed.append([int(reply.resp), int.from_bytes(reply.data, "little")])

    async def write(self, address: int, value: int, octets: int = 4) -> None:
        """Write some bytes of a register; record the response."""
        reply = await self.registers.write(address, value.to_bytes(octets, "little"))
        self.observed.append(int(reply.resp))

    async def poll(self, address: int, mask: int, value: int, cycles: int) -> None:
        """Read a register until some of its bits are so; fail after some cycles."""
        for _ in range(0, cycles, 8):
            reply = await self.registers.read(address, 4)
            if int.from_bytes(reply.data, "little") & mask == value:
                return
            await self.wait(8)
        raise TimeoutError(f"Register {address:#x} must become {value:#x} under {mask:#x}")

    async def send(self, port: str, name: str) -> None:
        """Send a whole packet, until its last beat has been taken."""
        self.sources[port].send_nowait(AxiStreamFrame(self._octets(port, name)))
        await self.sources[port].wait()

    async def begin(self, port: str, name: str) -> None:
        """Begin to send a packet, and go on."""
        self.sources[port].send_nowait(AxiStreamFrame(self._octets(port, name)))

    async def finish(self, port: str) -> None:
        """Wait until all that is being sent has been taken."""
        await self.sources[port].wait()

    async def cut(self, port: str, name: str, cycles: int) -> None:
        """Begin to send a packet, and break off after some cycles."""
        self.sources[port].send_nowait(AxiStreamFrame(self._octets(port, name)))
        await self.wait(cycles)
        await self.drop(port)

    async def drop(self, port: str) -> None:
        """Break off what is being sent."""
        source = self.sources[port]
        source.clear()
        source.assert_reset()
        await self.wait(1)

    async def receive(self) -> None:
        """Receive a whole packet; record its bytes."""
        frame = await self.sink.recv()
        self.observed.append(bytes(frame.tdata).hex())

    async def hold(self, pause: bool) -> None:
        """Take no more of the output, or take it again."""
        self.sink.clear_pause_generator()
        self.sink.pause = pause

    async def discard(self) -> None:
        """Forget what has been received."""
        await self.wait(60)
        self.sink.clear()

    async def received(self) -> None:
        """Record the packets that have come and were not asked for."""
        self.observed.append(self.sink.count())

    async def irq(self) -> None:
        """Record the interrupt."""
        await FallingEdge(self.dut.clk)
        self.observed.append(int(self.dut.irq.value))

    async def wait(self, cycles: int) -> None:
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    async def hard_reset(self) -> None:
        self.dut.rst.value = 1
        await self.wait(self.reset_cycles)
        for source in self.sources.values():
            source.clear()
        self.sink.clear()
        self.dut.rst.value = 0
        await FallingEdge(self.dut.clk)
        self.ready_after_reset = [int(getattr(self.dut, f"s_axis_{name}_tready").value)
                                  for name in self.sources]
        await self.wait(2)

    async def reset_closes(self) -> None:
        """Record which streams took a beat in the cycle after the last reset."""
        self.observed.append(self.ready_after_reset)

    async def together(self, *scripts: list[list[Any]]) -> None:
        """Run several scripts side by side until all have ended."""
        async def run(script: list[list[Any]]) -> None:
            for step in script:
                await self.perform(step)

        await Combine(*(cocotb.start_soon(run(script)) for script in scripts))

    def _octets(self, port: str, name: str) -> bytes:
        width = self.sources[port].byte_lanes
        return b"".join(beat.to_bytes(width, "little") for beat in self.streams[name])


def _pauses(stall: float, seed: int) -> Iterator[bool]:
    rng = Random(f"pauses {seed}")
    for _ in itertools.count():
        yield rng.random() < stall


@cocotb.test()
async def run_script(dut: Any) -> None:
    case = load_case()
    for name in ("s_axil", "s_axis_image", "s_axis_input", "m_axis_output"):
        logging.getLogger(f"cocotb.{dut._name}.{name}").setLevel(logging.ERROR)
    dut.rst.value = 1
    session = Session(dut, case.settings)
    await reset(dut, cycles=session.reset_cycles)
    monitor = AxiMonitor(dut, SHELL_CHANNELS)
    await session.wait(2)
    for number, step in enumerate(case.settings["script"]):
        try:
            await session.perform(step)
        except BaseException as error:
            error.add_note(f"in step {number}: {step}")
            dut._log.error("Step %d failed: %s", number, step)
            raise
    await session.wait(50)
    left = session.sink.count()
    assert left == 0, f"Shell must return one output for each input, not {left} more"
    (case.folder / "observed.json").write_text(json.dumps({
        "observed": session.observed, "transfers": monitor.transfers, "stalled": monitor.stalled}),
        encoding="utf-8")
