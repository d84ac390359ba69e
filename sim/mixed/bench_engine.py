"""cocotb bench of the mixed engine: loads an image, sends a stream of inputs, records everything.

It compares nothing: :mod:`eieio.sim.mixed.simulation` compares what it records with the golden and
the cycle model. Inputs do not wait for outputs, so that both engines work at a time.
"""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge, SimTimeoutError, with_timeout
from cocotb.utils import get_sim_time

from eieio.sim.case import load_case
from eieio.sim.sparse import bench_engine as sparse
from eieio.sim.streams import StreamMonitor, StreamSource, reset
from eieio.sim.systolic import bench_engine as systolic

#: Period of the clock in nanoseconds.
PERIOD = 10


class Part:
    """The ports of a part of the engine, by the names that they have in an engine of its own."""

    def __init__(self, dut: Any, name: str) -> None:
        self.clk = dut.clk
        self._dut, self._name = dut, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dut, f"{self._name}__{name}")


class Stream:
    """One side of a stream, which notes in which cycle each packet's first beat moved.

    It does not look at every cycle in which nothing moves, which would take most of the time.
    """

    def __init__(self, dut: Any, name: str, *, stall: float, seed: int) -> None:
        self._clock = dut.clk
        self._valid, self._ready, self._payload = (
            getattr(dut, f"{name}__{signal}") for signal in ("valid", "ready", "payload"))
        self._stall, self._random = stall, Random(f"{seed} {name}")
        self.firsts: list[int] = []

    async def _pause(self) -> None:
        while self._stall and self._random.random() < self._stall:
            await RisingEdge(self._clock)

    async def send(self, beats: list[int]) -> None:
        """Send a packet."""
        for number, beat in enumerate(beats):
            await self._pause()
            self._payload.value = beat
            self._valid.value = 1
            await FallingEdge(self._clock)
            while not int(self._ready.value):
                await RisingEdge(self._ready)
                await FallingEdge(self._clock)
            await RisingEdge(self._clock)
            if number == 0:
                self.firsts.append(_now())
            self._valid.value = 0

    async def receive(self, beats: int) -> list[int]:
        """Receive a packet of so many beats."""
        taken: list[int] = []
        while len(taken) < beats:
            self._ready.value = 0
            await self._pause()
            self._ready.value = 1
            await FallingEdge(self._clock)
            while not int(self._valid.value):
                await RisingEdge(self._valid)
                await FallingEdge(self._clock)
            payload = int(self._payload.value)
            await RisingEdge(self._clock)
            if not taken:
                self.firsts.append(_now())
            taken.append(payload)
        self._ready.value = int(not self._stall)
        return taken


def _now() -> int:
    return int(get_sim_time("ns")) // PERIOD


@cocotb.test()
async def run_inferences(dut: Any) -> None:
    """Load the image, then send inputs and receive outputs, with random stalls."""
    case = load_case()
    settings = case.settings
    stall, lanes, width = settings["stall"], settings["io_lanes"], settings["output_width"]
    inputs = case.arrays["inputs"]
    convolutions, dense = Part(dut, "convolutions"), Part(dut, "dense")

    dut.run.value = 1
    dut.clear_error.value = 0
    dut.i__valid.value = 0
    dut.o__ready.value = 1
    image_source = StreamSource(dut, "image", stall=stall, seed=1)
    source = Stream(dut, "i", stall=stall, seed=2)
    sink = Stream(dut, "o", stall=stall, seed=3)
    await reset(dut, period=PERIOD)
    if stall:
        StreamMonitor(dut, "o")
    first = systolic.Recorder(convolutions, watch_vectors=False)
    second = sparse.Recorder(dense)
    image = [int(word) for word in case.arrays["image"]]
    image[-1] |= 1 << 32
    await image_source.send(image, max_wait=settings["max_cycles"] + settings["clearing"])

    async def send() -> None:
        for x in inputs:
            await source.send(systolic.pack_beats(x))

    beats = settings["output_beats"]
    results = np.zeros((len(inputs), beats * lanes), np.int32)
    counters = np.zeros((len(inputs), 5), np.int64)
    sending = cocotb.start_soon(send())
    for number in range(len(inputs)):
        try:
            received = await with_timeout(sink.receive(beats), PERIOD * settings["max_cycles"],
                                          "ns")
        except SimTimeoutError:
            raise TimeoutError(f"Output {number} must come within {settings['max_cycles']} "
                               f"cycles; the engine's error is {int(dut.error.value)}") from None
        lasts = [beat >> lanes * width for beat in received]
        assert lasts == [0] * (beats - 1) + [1], f"Output {number} must end with its last beat"
        results[number] = [value for beat in received for value in sparse.unpack(beat, lanes,
                                                                                 width)]
        counters[number] = [int(getattr(dut, name).value) for name in (
            "cycles", "macs", "accumulator_stalls", "transform_stalls", "blocked_cycles")]
    await sending
    assert int(dut.error.value) == 0, f"Engine reports error {int(dut.error.value)}"

    groups = np.array([group[:3] for group in first.groups], np.int64).reshape(-1, 3)
    octets = inputs.shape[2]
    words = np.array([(layer, addr) for layer, addr, _ in second.words], np.int64)
    case.save_outputs(
        results=results, counters=counters, inputs=np.array(source.firsts),
        outputs=np.array(sink.firsts), places=groups,
        groups=np.frombuffer(b"".join(group[3].to_bytes(octets, "little")
                                      for group in first.groups), np.int8).reshape(-1, octets),
        first_cycles=np.array(first.cycles, np.int64).reshape(len(inputs), -1),
        first_counters=np.array(first.counters, np.int64).reshape(len(inputs), -1, 3),
        words=words.reshape(-1, 2),
        data=np.array([sparse.unpack(word, settings["pes"], width)
                       for _, _, word in second.words], np.int32).reshape(-1, settings["pes"]),
        second_cycles=np.array(second.layer_cycles, np.int64).reshape(len(inputs), -1),
        products=np.array(second.products, np.int64).reshape(len(inputs), -1))
