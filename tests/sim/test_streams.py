"""Stream drivers and monitors, on a queue that keeps the rules and on queues that break them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from eieio.rtl.emit import emit, write
from eieio.sim.amaranth_streams import run_streams
from eieio.sim.case import case_environment, save_case
from eieio.sim.runner import Build, SimulationError, build, run

PAYLOADS = np.arange(-60, 60, dtype=np.int16)
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus")


class Queue(wiring.Component):
    """A queue of four bytes, with an optional mistake."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, mistake: str = "") -> None:
        self.mistake = mistake
        super().__init__({
            "i": In(stream.Signature(signed(8))),
            "o": Out(stream.Signature(signed(8))),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=4)
        odd = Signal(3)
        m.d.sync += odd.eq(odd + 1)
        now = odd == 7
        m.d.comb += [
            fifo.w_data.eq(self.i.payload),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            self.o.payload.eq(fifo.r_data ^ (now if self.mistake == "payload" else 0)),
            self.o.valid.eq(fifo.r_rdy & ~(now if self.mistake == "valid" else 0)
                            & (self.mistake != "silence")),
            fifo.r_en.eq(self.o.ready & self.o.valid),
        ]
        return m


def built(mistake: str, simulator: str, folder: Path) -> Build:
    sources = write(emit(Queue(mistake), "queue", header=""), folder)
    return build(sources, "queue", simulator=simulator, quick=True)


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("simulator", [
    pytest.param("icarus", marks=needs_icarus), "verilator"])
def test_cocotb(simulator: str, stall: float, tmp_path: Path) -> None:
    save_case(tmp_path, {"payloads": PAYLOADS}, stall=stall)
    run(built("", simulator, tmp_path), "bench_queue", test="test_queue",
        environment=case_environment(tmp_path))


@needs_icarus
@pytest.mark.parametrize(("mistake", "message"), [
    ("valid", r"Stream o must hold valid while payload -?0x\w+ is stalled"),
    ("payload", r"Stream o must hold payload -?0x\w+ while it is stalled, not change it to "),
    ("silence", r"Stream o gave 0 of 60 payloads, and then none in 100 cycles"),
])
def test_cocotb_mistakes(mistake: str, message: str, tmp_path: Path) -> None:
    save_case(tmp_path, {"payloads": PAYLOADS}, stall=0.5)
    queue = built(mistake, "icarus", tmp_path)
    with pytest.raises(SimulationError, match=rf"test_queue failed: \w+: {message}"):
        run(queue, "bench_queue", test="test_queue", folder=tmp_path,
            environment=case_environment(tmp_path))


@needs_icarus
def test_cocotb_source_does_not_wait_for_ever(tmp_path: Path) -> None:
    queue = built("", "icarus", tmp_path)
    message = r"failed: TimeoutError: Stream i did not take payload [45] in 30 cycles"
    with pytest.raises(SimulationError, match=message):
        run(queue, "bench_queue", test="test_source_waits", folder=tmp_path)


@pytest.fixture(autouse=True)
def bench_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the simulation find ``bench_queue.py``."""
    monkeypatch.syspath_prepend(Path(__file__).parent)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_amaranth(stall: float) -> None:
    dut = Queue()
    received = run_streams(dut, dut.i, dut.o, PAYLOADS.tolist(), count=PAYLOADS.size, stall=stall)
    assert received == PAYLOADS.tolist()


@pytest.mark.parametrize(("mistake", "error", "message"), [
    ("valid", AssertionError, r"^Output must hold valid while payload 0x\w+ is stalled$"),
    ("payload", AssertionError, r"^Output must hold payload 0x\w+ while it is stalled, not "),
    ("silence", TimeoutError, r"^Received 0 of 120 payloads in 500 cycles$"),
])
def test_amaranth_mistakes(mistake: str, error: type[Exception], message: str) -> None:
    dut = Queue(mistake)
    with pytest.raises(error, match=message):
        run_streams(dut, dut.i, dut.o, PAYLOADS.tolist(), count=PAYLOADS.size, stall=0.5,
                    max_cycles=500)
