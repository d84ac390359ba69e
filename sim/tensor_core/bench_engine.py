"""cocotb bench of a whole tensor core: loads an image, runs inputs, records everything.

It compares nothing: :mod:`eieio.sim.tensor_core.simulation` compares what it records with the
golden and the cycle model.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge, SimTimeoutError, with_timeout

from eieio.sim.case import load_case
from eieio.sim.streams import StreamMonitor, StreamSink, StreamSource, reset

#: Cycles that the stream side waits for the engine beyond the case's own bound.
MARGIN = 20_000
#: Period of the clock in nanoseconds.
PERIOD = 10


class Recorder:
    """Records each row of results, and the engine's counters at the end of each descriptor."""

    def __init__(self, dut: Any) -> None:
        self.rows: list[tuple[int, int, int, int]] = []
        self.counters: list[tuple[int, ...]] = []
        cocotb.start_soon(self._watch_rows(dut))
        cocotb.start_soon(self._watch_layers(dut))

    async def _watch_rows(self, dut: Any) -> None:
        while True:
            await dut.word_mask.value_change
            await FallingEdge(dut.clk)
            while mask := int(dut.word_mask.value):
                self.rows.append((int(dut.word_layer.value), int(dut.word_addr.value), mask,
                                  int(dut.word_data.value)))
                await FallingEdge(dut.clk)

    async def _watch_layers(self, dut: Any) -> None:
        while True:
            await RisingEdge(dut.layer_done)
            await FallingEdge(dut.clk)
            await FallingEdge(dut.clk)
            self.counters.append(read_counters(dut))


def read_counters(dut: Any) -> tuple[int, ...]:
    """Read cycles, multiplications, and stalls of both kinds."""
    return tuple(int(getattr(dut, name).value)
                 for name in ("cycles", "macs", "operand_stalls", "sum_stalls"))


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
    inputs, beats = case.arrays["inputs"], case.settings["output_beats"]
    width = 16 * inputs.shape[2]
    dut.run.value = 1
    dut.clear_error.value = 0
    image_source = StreamSource(dut, "image", stall=stall, seed=1)
    source = StreamSource(dut, "i", stall=stall, seed=2)
    sink = StreamSink(dut, "o", stall=stall, seed=3)
    await reset(dut, period=PERIOD)
    if stall:
        StreamMonitor(dut, "o")
    recorder = Recorder(dut)
    image = case.arrays["image"].tolist()
    image[-1] |= 1 << 32
    await image_source.send(image, max_wait=max_wait + case.settings["clearing"])

    results = []
    for number, x in enumerate(inputs):
        words = [int.from_bytes(beat.tobytes(), "little") for beat in x]
        words[-1] |= 1 << width
        await source.send(words, max_wait=max_wait)
        if not stall:
            await wait_for_output(dut, max_wait)
        received = await sink.receive(beats, max_wait=max_wait)
        lasts = [beat >> width for beat in received]
        assert lasts == [0] * (beats - 1) + [1], f"Output {number} must end with its last beat"
        results.append(b"".join((beat & (1 << width) - 1).to_bytes(width // 8, "little")
                                for beat in received))
    assert int(dut.error.value) == 0, f"Engine reports error {int(dut.error.value)}"
    columns = len(dut.word_mask)
    case.save_outputs(
        results=np.frombuffer(b"".join(results), np.uint16).reshape(len(inputs), -1),
        places=np.array([row[:3] for row in recorder.rows], np.int64).reshape(-1, 3),
        data=np.frombuffer(b"".join(row[3].to_bytes(2 * columns, "little")
                                    for row in recorder.rows), np.uint16).reshape(-1, columns),
        counters=np.array(recorder.counters, np.int64).reshape(
            len(inputs), case.settings["descriptors"], 4))
