"""cocotb bench of a sparse engine whose inferences overlap: inputs and outputs side by side.

It compares nothing: :mod:`eieio.sim.sparse.streaming` compares what it records with the models.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from eieio.model.sparse.config import SparseConfig
from eieio.sim.case import load_case
from eieio.sim.sparse.bench_engine import MARGIN, pack, unpack
from eieio.sim.streams import StreamMonitor, StreamSink, StreamSource, reset


class Recorder:
    """Records in which cycle something happens, and what monitors and counters show then.

    Cycles count the falling edges of the clock since it was made.
    """

    def __init__(self, dut: Any) -> None:
        self.begun: list[int] = []
        self.offered: list[int] = []
        self.counters: list[tuple[int, int, int]] = []
        self.layers: list[tuple[int, int, int, int]] = []
        self.words: list[tuple[int, int, int]] = []
        self._last = 1 << len(dut.o__payload) - 1
        cocotb.start_soon(self._watch(dut))

    async def _watch(self, dut: Any) -> None:
        cycle = 0
        between = True  # Outputs.
        while True:
            await FallingEdge(dut.clk)
            cycle += 1
            if int(dut.begun.value):
                self.begun.append(cycle - 1)
            if int(dut.o__valid.value):
                if between:
                    self.offered.append(cycle)
                    self.counters.append((int(dut.cycles.value), int(dut.macs.value),
                                          int(dut.blocked_cycles.value)))
                between = bool(int(dut.o__ready.value)
                               and int(dut.o__payload.value) & self._last)
            if int(dut.word_valid.value):
                layer = int(dut.word_layer.value)
                self.words.append((layer, int(dut.word_addr.value), int(dut.word_data.value)))
                if int(dut.layer_done.value):
                    # The counter shows the cycles before this one.
                    self.layers.append((layer, cycle, int(dut.running_cycles.value) + 1,
                                        int(dut.running_macs.value)))


@cocotb.test()
async def run_stream(dut: Any) -> None:
    """Load the image, then send inputs and receive outputs beside one another."""
    case = load_case()
    config = SparseConfig.from_dict(case.settings["config"])
    max_wait = case.settings["max_cycles"] + config.accumulator_depth + MARGIN
    inputs = case.arrays["inputs"]
    outputs = case.settings["outputs"]
    lanes, width = config.io_lanes, config.activation_width

    dut.run.value = 1
    dut.clear_error.value = 0
    image_source = StreamSource(dut, "image", seed=1)
    source = StreamSource(dut, "i", stall=case.settings["input_stall"], seed=2)
    sink = StreamSink(dut, "o", stall=case.settings["output_stall"], seed=3)
    await reset(dut)
    StreamMonitor(dut, "o")
    image = [int(word) for word in case.arrays["image"]]
    image[-1] |= 1 << 32
    await image_source.send(image, max_wait=max_wait + case.settings["clearing"])
    recorder = Recorder(dut)

    async def send() -> None:
        for x in inputs:
            await source.send(pack(x, lanes, width), max_wait=max_wait)

    beats = -(-outputs // lanes)
    sending = cocotb.start_soon(send())
    results = np.zeros((len(inputs), outputs), np.int32)
    for number in range(len(inputs)):
        received = await sink.receive(beats, max_wait=max_wait)
        lasts = [beat >> lanes * width for beat in received]
        assert lasts == [0] * (beats - 1) + [1], f"Output {number} must end with its last beat"
        results[number] = [
            value for beat in received for value in unpack(beat, lanes, width)][:outputs]
    await sending
    await RisingEdge(dut.clk)
    assert int(dut.error.value) == 0, f"Engine reports error {int(dut.error.value)}"
    case.save_outputs(
        results=results, begun=np.array(recorder.begun), offered=np.array(recorder.offered),
        counters=np.array(recorder.counters, np.int64).reshape(-1, 3),
        layers=np.array(recorder.layers, np.int64).reshape(-1, 4),
        words=np.array([word[:2] for word in recorder.words], np.int64).reshape(-1, 2),
        data=np.array([unpack(word[2], config.pes, width) for word in recorder.words],
                      np.int32).reshape(-1, config.pes))
