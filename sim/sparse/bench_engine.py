"""cocotb bench of the whole sparse engine: loads an image, runs inputs, records everything.

It compares nothing: :mod:`eieio.sim.sparse.simulation` compares what it records with the golden and
the cycle model.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from eieio.model.sparse.config import SparseConfig
from eieio.sim.case import load_case
from eieio.sim.streams import StreamMonitor, StreamSink, StreamSource, reset

#: Cycles that the stream side waits for the engine beyond the case's own bound, and beside those in
#: which it clears its accumulators after reset.
MARGIN = 4_000


class Recorder:
    """Records each requantized word, and the counters at the end of each layer.

    Counters are those of the engine, and where there is a probe its own: cycles in which PEs
    decode, also in empty columns, both since the reset, and the cycle of the inference of the last.
    """

    def __init__(self, dut: Any) -> None:
        self.words: list[tuple[int, int, int]] = []
        self.layer_cycles: list[int] = []
        self.products: list[int] = []
        self.probed: list[tuple[int, int, int]] = []
        self._probed = hasattr(dut, "decodes")
        cocotb.start_soon(self._watch(dut))

    async def _watch(self, dut: Any) -> None:
        before = 0
        while True:
            await RisingEdge(dut.word_valid)
            await FallingEdge(dut.clk)
            while int(dut.word_valid.value):
                self.words.append((int(dut.word_layer.value), int(dut.word_addr.value),
                                   int(dut.word_data.value)))
                if int(dut.layer_done.value):
                    # The counter shows the cycles before this one.
                    total = int(dut.running_cycles.value) + 1
                    if int(dut.word_layer.value) == 0:
                        before = 0
                    self.layer_cycles.append(total - before)
                    self.products.append(int(dut.running_macs.value))
                    if self._probed:
                        self.probed.append((int(dut.decodes.value), int(dut.empties.value),
                                            int(dut.last_decode.value)))
                    before = total
                await FallingEdge(dut.clk)


def pack(values: np.ndarray, lanes: int, width: int) -> list[int]:
    """Pack activations into beats, the first in the lowest bits, each beat ended by ``last``."""
    mask = (1 << width) - 1
    padded = np.append(values, np.zeros(-values.size % lanes, values.dtype)).reshape(-1, lanes)
    beats = [sum((int(value) & mask) << lane * width for lane, value in enumerate(beat))
             for beat in padded]
    beats[-1] |= 1 << lanes * width
    return beats


def unpack(data: int, lanes: int, width: int) -> list[int]:
    """Undo :func:`pack` for one beat or word."""
    mask, sign = (1 << width) - 1, 1 << (width - 1)
    return [((data >> lane * width & mask) ^ sign) - sign for lane in range(lanes)]


@cocotb.test()
async def run_inferences(dut: Any) -> None:
    """Load the image, then send each input and receive each output, with random stalls."""
    case = load_case()
    config = SparseConfig.from_dict(case.settings["config"])
    stall = case.settings["stall"]
    max_wait = case.settings["max_cycles"] + config.accumulator_depth + MARGIN
    inputs = case.arrays["inputs"]
    layers = case.settings["layers"]
    outputs = case.settings["outputs"]
    lanes, width = config.io_lanes, config.activation_width

    dut.run.value = 1
    dut.clear_error.value = 0
    image_source = StreamSource(dut, "image", stall=stall, seed=1)
    source = StreamSource(dut, "i", stall=stall, seed=2)
    sink = StreamSink(dut, "o", stall=stall, seed=3)
    await reset(dut)
    if case.settings["preload"]:
        dut.preload.value = 0
        await RisingEdge(dut.clk)
        dut.preload.value = 1
        await RisingEdge(dut.clk)
    StreamMonitor(dut, "o")
    recorder = Recorder(dut)
    image = [int(word) for word in case.arrays["image"]]
    image[-1] |= 1 << 32
    await image_source.send(image, max_wait=max_wait + case.settings["clearing"])

    results = np.zeros((len(inputs), outputs), np.int32)
    blocked = np.zeros(len(inputs), np.int64)
    beats = -(-outputs // lanes)
    for number, x in enumerate(inputs):
        await source.send(pack(x, lanes, width), max_wait=max_wait)
        received = await sink.receive(beats, max_wait=max_wait)
        lasts = [beat >> lanes * width for beat in received]
        assert lasts == [0] * (beats - 1) + [1], f"Output {number} must end with its last beat"
        values = [value for beat in received for value in unpack(beat, lanes, width)]
        results[number] = values[:outputs]
        blocked[number] = int(dut.blocked_cycles.value)
    assert int(dut.error.value) == 0, f"Engine reports error {int(dut.error.value)}"

    words = np.array([(layer, addr) for layer, addr, _ in recorder.words], np.int64)
    data = np.array([unpack(word, config.pes, width) for _, _, word in recorder.words], np.int32)
    shape = len(inputs), layers
    case.save_outputs(
        results=results, blocked=blocked, words=words.reshape(-1, 2),
        data=data.reshape(-1, config.pes),
        layer_cycles=np.array(recorder.layer_cycles, np.int64).reshape(shape),
        products=np.array(recorder.products, np.int64).reshape(shape),
        probed=np.array(recorder.probed, np.int64).reshape(-1, layers, 3))
