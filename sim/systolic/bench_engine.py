"""cocotb bench of the whole systolic engine: loads an image, runs inputs, records everything.

It compares nothing: :mod:`eieio.sim.systolic.simulation` compares what it records with the golden
and the cycle model.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge, SimTimeoutError, with_timeout

from eieio.model.systolic.config import ACTIVATION_BITS
from eieio.sim.case import load_case
from eieio.sim.streams import StreamMonitor, StreamSink, StreamSource, reset

#: Cycles that the stream side waits for the engine beyond the case's own bound.
MARGIN = 20_000
#: Period of the clock in nanoseconds.
PERIOD = 10


class Recorder:
    """Records each group of activations, and the cycles up to the end of each layer."""

    def __init__(self, dut: Any) -> None:
        self.groups: list[tuple[int, int, int, int]] = []
        self.cycles: list[int] = []
        cocotb.start_soon(self._watch_groups(dut))
        cocotb.start_soon(self._watch_layers(dut))

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
            await FallingEdge(dut.clk)
            self.cycles.append(int(dut.cycles.value))


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
    recorder = Recorder(dut)
    image = [int(word) for word in case.arrays["image"]]
    image[-1] |= 1 << 32
    await image_source.send(image, max_wait=max_wait)

    results = np.zeros((len(inputs), beats, lanes), np.int8)
    counters = np.zeros((len(inputs), 3), np.int64)
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
        counters[number] = (int(dut.macs.value), int(dut.accumulator_stalls.value),
                            int(dut.transform_stalls.value))
    assert int(dut.error.value) == 0, f"Engine reports error {int(dut.error.value)}"

    places = np.array([group[:3] for group in recorder.groups], np.int64).reshape(-1, 3)
    data = np.frombuffer(b"".join(group[3].to_bytes(lanes, "little") for group in recorder.groups),
                         np.int8).reshape(-1, lanes)
    case.save_outputs(
        results=results, counters=counters, places=places, data=data,
        cycles=np.array(recorder.cycles, np.int64).reshape(len(inputs), case.settings["layers"]))
