"""cocotb bench of the DaDianNao engine: loads an image, runs inputs, records what comes of them."""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from eieio.sim.case import load_case
from eieio.sim.streams import StreamMonitor, StreamSink, StreamSource, reset

#: Counters, in the order in which they are recorded.
COUNTERS = ("cycles", "macs", "nbout_stalls", "central_reads", "central_writes", "nbin_reads")


class _Watch:
    """Records words that are written into the first node, and ends of its instructions."""

    def __init__(self, dut: Any) -> None:
        self.words: list[tuple[int, int, int]] = []
        self.ends: list[int] = []
        self.inference = -1
        cocotb.start_soon(self._watch(dut))

    async def _watch(self, dut: Any) -> None:
        begin = cycle = 0
        busy = False
        while True:
            await FallingEdge(dut.clk)
            cycle += 1
            if int(dut.busy.value) != busy:
                busy = not busy
                if busy:
                    begin = cycle
                    self.inference += 1
            if int(dut.word_valid.value):
                self.words.append((len(self.ends), int(dut.word_addr.value),
                                   int(dut.word_data.value)))
            if int(dut.instruction_done.value):
                self.ends.append(cycle - begin)


@cocotb.test()
async def run_inferences(dut: Any) -> None:
    """Load the image, then send each input and receive each output."""
    case = load_case()
    wait, stall = case.settings["max_cycles"], case.settings["stall"]
    width = case.settings["word_width"]
    image, source = StreamSource(dut, "image"), StreamSource(dut, "i", stall=stall)
    sink = StreamSink(dut, "o", stall=stall)
    dut.run.value = 1
    dut.clear_error.value = 0
    await reset(dut)
    StreamMonitor(dut, "o")
    words = case.arrays["image"].tolist()
    await image.send([*words[:-1], words[-1] | 1 << 32],
                     max_wait=wait + case.settings["clearing"])
    watch = _Watch(dut)
    outputs, counters = [], []
    octets = -(-width // 8)
    for x in case.arrays["inputs"]:
        beats = [int.from_bytes(beat.tobytes(), "little") for beat in x]
        await source.send([*beats[:-1], beats[-1] | 1 << width], max_wait=wait)
        received = await sink.receive(case.settings["outputs"], max_wait=wait)
        assert [beat >> width for beat in received] == [0] * (len(received) - 1) + [1]
        outputs.append([list((beat & (1 << width) - 1).to_bytes(octets, "little"))
                        for beat in received])
        counters.append([int(getattr(dut, name).value) for name in COUNTERS])
        await RisingEdge(dut.clk)
    written = [[index, addr, *word.to_bytes(octets, "little")]
               for index, addr, word in watch.words]
    case.save_outputs(
        outputs=np.array(outputs, np.uint8), counters=np.array(counters, np.int64),
        ends=np.array(watch.ends, np.int64), error=np.array(int(dut.error.value)),
        words=np.array(written, np.int64).reshape(len(written), 2 + octets))
