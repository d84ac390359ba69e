"""cocotb bench of the tiny engine: loads an image, runs inputs, records outputs and counters."""

from typing import Any

import cocotb
import numpy as np

from eieio.sim.case import load_case
from eieio.sim.streams import StreamMonitor, StreamSink, StreamSource, reset


@cocotb.test()
async def run_inferences(dut: Any) -> None:
    """Load the image, then send each input and receive each output."""
    case = load_case()
    wait = case.settings["max_cycles"]
    image, source = StreamSource(dut, "image"), StreamSource(dut, "i", stall=0.3)
    sink = StreamSink(dut, "o", stall=0.3)
    dut.run.value = 1
    dut.clear_error.value = 0
    await reset(dut)
    StreamMonitor(dut, "o")
    words = [int(word) for word in case.arrays["image"]]
    await image.send([*words[:-1], words[-1] | 1 << 32], max_wait=wait)
    outputs, counters = [], []
    for x in case.arrays["inputs"]:
        beats = [int(value) & 255 for value in x]
        await source.send([*beats[:-1], beats[-1] | 1 << 8], max_wait=wait)
        received = await sink.receive(case.settings["outputs"], max_wait=wait)
        assert [beat >> 32 for beat in received] == [0] * (len(received) - 1) + [1]
        outputs.append(np.array(received, np.uint64).astype(np.uint32).astype(np.int32))
        counters.append([int(dut.cycles.value), int(dut.macs.value)])
    assert int(dut.error.value) == 0
    case.save_outputs(outputs=np.array(outputs, np.int64), counters=np.array(counters))
