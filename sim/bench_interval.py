"""cocotb bench of an engine whose sender and receiver never wait: records when beats move.

It compares nothing. The engine is alone or in its shell; a case names its signals.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotb.utils import get_sim_time

from eieio.sim.case import load_case
from eieio.sim.streams import reset

#: Cycles from one look for the last output to the next one.
_LOOKS = 64
#: Cycles after which a shell has seen whether an image is whole: the first input does not wait.
_VERDICT = 64


class Port:
    """Beats that cross a port, and when.

    It does not look at every cycle in which nothing moves, which would take most of the time.
    """

    def __init__(self, dut: Any, signals: dict[str, str]) -> None:
        self._dut = dut
        self._valid, self._ready, self._data = (
            getattr(dut, signals[name]) for name in ("valid", "ready", "data"))
        self._last = getattr(dut, signals["last"]) if "last" in signals else None
        self.cycles: list[int] = []
        self.beats: list[int] = []

    def begin(self, sending: bool) -> None:
        """Offer nothing if this port sends, and take everything if it receives."""
        (self._valid if sending else self._ready).value = int(not sending)

    async def send(self, beats: list[int]) -> None:
        """Send beats, each as soon as the one before has been taken."""
        width = len(self._data)
        for beat in beats:
            self._data.value = beat & ((1 << width) - 1)
            if self._last is not None:
                self._last.value = beat >> width
            self._valid.value = 1
            await FallingEdge(self._dut.clk)
            while not int(self._ready.value):
                await RisingEdge(self._ready)
                await FallingEdge(self._dut.clk)
            await RisingEdge(self._dut.clk)
            self.cycles.append(now())
        self._valid.value = 0

    async def watch(self) -> None:
        """Note each beat that is received."""
        while True:
            await FallingEdge(self._dut.clk)
            if int(self._valid.value):
                self.beats.append(int(self._data.value))
                await RisingEdge(self._dut.clk)
                self.cycles.append(now())
            else:
                await RisingEdge(self._valid)


def now() -> int:
    """Cycles since the clock began."""
    return int(get_sim_time("ns")) // 10


@cocotb.test()
async def run_inferences(dut: Any) -> None:
    """Load the image, then send all inputs without a pause between them."""
    case = load_case()
    settings = case.settings
    image, inputs, outputs = (Port(dut, settings["signals"][name])
                              for name in ("image", "input", "output"))
    for name, value in settings["constants"].items():
        getattr(dut, name).value = value
    image.begin(True)
    inputs.begin(True)
    outputs.begin(False)
    await reset(dut)
    await ClockCycles(dut.clk, 2)  # The shell of a serial line takes a beat while it resets itself.
    cocotb.start_soon(outputs.watch())
    await image.send(settings["image"])
    await ClockCycles(dut.clk, _VERDICT)
    await inputs.send(settings["inputs"])
    left = settings["max_cycles"]
    while len(outputs.cycles) < settings["output_beats"] and left > 0:
        await ClockCycles(dut.clk, _LOOKS)
        left -= _LOOKS
    assert len(outputs.cycles) == settings["output_beats"]
    octets = settings["output_octets"]
    data = b"".join((beat & ((1 << 8 * octets) - 1)).to_bytes(octets, "little")
                    for beat in outputs.beats)
    case.save_outputs(inputs=np.array(inputs.cycles), outputs=np.array(outputs.cycles),
                      data=np.frombuffer(data, np.uint8))
