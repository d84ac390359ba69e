"""cocotb bench of the whole systolic engine: loads an image, runs inputs, records everything.

It compares nothing: :mod:`eieio.sim.systolic.simulation` compares what it records with the golden
and the cycle model.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge, SimTimeoutError, with_timeout
from cocotb.utils import get_sim_time

from eieio.model.systolic.config import ACTIVATION_BITS
from eieio.sim.case import load_case
from eieio.sim.streams import StreamMonitor, StreamSink, StreamSource, reset

#: Cycles that the stream side waits for the engine beyond the case's own bound.
MARGIN = 20_000
#: Period of the clock in nanoseconds.
PERIOD = 10


class Recorder:
    """Records each group of activations, and the engine's counters at the end of each layer.

    Vectors that enter the array are watched if asked for, which takes time: of each layer's first
    and last one, how many cycles before the end of the layer they count, 0 if there is none, and
    the stalls of the inference up to the first.
    """

    def __init__(self, dut: Any, *, watch_vectors: bool) -> None:
        self.groups: list[tuple[int, int, int, int]] = []
        self.cycles: list[int] = []
        self.counters: list[tuple[int, int, int]] = []
        self.vectors: list[tuple[int, int, int]] = []
        self._first, self._last, self._stalls = 0, 0, 0
        cocotb.start_soon(self._watch_groups(dut))
        cocotb.start_soon(self._watch_layers(dut))
        if watch_vectors:
            cocotb.start_soon(self._watch_vectors(dut))

    async def _watch_groups(self, dut: Any) -> None:
        group = getattr(dut, "word_group", None)  # There is none if a word has one group.
        while True:
            await RisingEdge(dut.word_valid)
            await FallingEdge(dut.clk)
            while int(dut.word_valid.value):
                self.groups.append((int(dut.word_layer.value), int(dut.word_addr.value),
                                    0 if group is None else int(group.value),
                                    int(dut.word_data.value)))
                await FallingEdge(dut.clk)

    async def _watch_layers(self, dut: Any) -> None:
        while True:
            await RisingEdge(dut.layer_done)
            await FallingEdge(dut.clk)
            end = _now()
            await FallingEdge(dut.clk)
            self.cycles.append(int(dut.cycles.value))
            self.counters.append(read_counters(dut))
            self.vectors.append((end - self._first, end - self._last, self._stalls)
                                if self._first else (0, 0, 0))
            self._first = 0

    async def _watch_vectors(self, dut: Any) -> None:
        while True:
            await dut.macs.value_change
            self._last = _now()
            if not self._first:
                await FallingEdge(dut.clk)
                macs, *stalls = read_counters(dut)
                if macs:  # It is 0 when an inference begins.
                    self._first, self._stalls = self._last, sum(stalls)


def _now() -> int:
    """Return the number of the cycle, at its rising edge or at the falling edge within it."""
    return int(-(-get_sim_time("ns") // PERIOD))


def read_counters(dut: Any) -> tuple[int, int, int]:
    """Read what the engine counts beside cycles: multiplications, and stalls of two kinds."""
    return (int(dut.macs.value), int(dut.accumulator_stalls.value),
            int(dut.transform_stalls.value))


def pack_beats(beats: np.ndarray) -> list[int]:
    """Turn int8 beats of shape (beats, lanes) into integers, the last one marked."""
    last = 1 << ACTIVATION_BITS * beats.shape[1]
    words = [int.from_bytes(beat.tobytes(), "little") for beat in beats]
    words[-1] |= last
    return words


async def wait_for_output(dut: Any, max_wait: int) -> None:
    """Wait until there is output, without a look at each cycle: that takes most of the time."""
    if not int(dut.o__valid.value):
        try:
            await with_timeout(RisingEdge(dut.o__valid), PERIOD * max_wait, "ns")
        except SimTimeoutError:
            raise TimeoutError(f"Stream o must carry output within {max_wait} cycles") from None


@cocotb.test()
async def run_inferences(dut: Any) -> None:
    """Load the image, then send each input and receive each output, with random stalls."""
    case = load_case()
    stall = case.settings["stall"]
    max_wait = case.settings["max_cycles"] + MARGIN
    inputs = case.arrays["inputs"]
    beats, lanes = case.settings["output_beats"], inputs.shape[2]

    dut.run.value = 1
    dut.clear_error.value = 0
    image_source = StreamSource(dut, "image", stall=stall, seed=1)
    source = StreamSource(dut, "i", stall=stall, seed=2)
    sink = StreamSink(dut, "o", stall=stall, seed=3)
    await reset(dut, period=PERIOD)
    if stall:
        StreamMonitor(dut, "o")
    recorder = Recorder(dut, watch_vectors=case.settings["watch_vectors"])
    image = [int(word) for word in case.arrays["image"]]
    image[-1] |= 1 << 32
    await image_source.send(image, max_wait=max_wait + case.settings["clearing"])

    results = np.zeros((len(inputs), beats, lanes), np.int8)
    for number, x in enumerate(inputs):
        await source.send(pack_beats(x), max_wait=max_wait)
        if not stall:
            await wait_for_output(dut, max_wait)
        received = await sink.receive(beats, max_wait=max_wait)
        lasts = [beat >> lanes * ACTIVATION_BITS for beat in received]
        assert lasts == [0] * (beats - 1) + [1], f"Output {number} must end with its last beat"
        mask = (1 << lanes * ACTIVATION_BITS) - 1
        results[number] = np.frombuffer(
            b"".join((beat & mask).to_bytes(lanes, "little") for beat in received),
            np.int8).reshape(beats, lanes)
    assert int(dut.error.value) == 0, f"Engine reports error {int(dut.error.value)}"

    places = np.array([group[:3] for group in recorder.groups], np.int64).reshape(-1, 3)
    data = np.frombuffer(b"".join(group[3].to_bytes(lanes, "little") for group in recorder.groups),
                         np.int8).reshape(-1, lanes)
    shape = len(inputs), case.settings["layers"]
    case.save_outputs(
        results=results, places=places, data=data,
        cycles=np.array(recorder.cycles, np.int64).reshape(shape),
        counters=np.array(recorder.counters, np.int64).reshape(*shape, 3),
        vectors=np.array(recorder.vectors, np.int64).reshape(*shape, 3))
