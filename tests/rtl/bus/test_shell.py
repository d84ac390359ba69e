"""The shell around a small sparse engine, with cocotbext-axi on the other side of every port."""

import functools
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import unsigned
from amaranth.lib.wiring import In, Out
from long_cases import long

from eieio.model import registers
from eieio.model.errors import InputError
from eieio.model.registers import Control, Interrupt, ShellError, Status
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.engine import ENGINE
from eieio.model.sparse.prepared import SparseCompiled
from eieio.model.sparse.timing import NetworkTimer
from eieio.rtl.bus.shell import Shell
from eieio.rtl.emit import emit
from eieio.rtl.sparse.engine import SparseEngine
from eieio.scripts.speed import speed_of
from eieio.sim.bad_transactions import BadTransactions
from eieio.sim.interval import measure_intervals
from eieio.sim.runner import Build, SimulationError
from eieio.sim.shell_session import DECERR, OKAY, SLVERR, ShellSession, build_shell
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network
from eieio.sim.sparse.session import CONFIG, small_session

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus")


@functools.cache
def built(*, serial: bool = False, initial_values: bool = True) -> Build:
    return build_shell(CONFIG, serial=serial, initial_values=initial_values)


@pytest.fixture
def session() -> ShellSession:
    return small_session()


def test_members() -> None:
    """Ports have the usual names, and whole bytes."""
    shell = Shell(SparseEngine(SparseConfig(pes=4, activation_width=9, io_lanes=2)))
    members = dict(shell.signature.members)
    assert {name: member for name, member in members.items() if "axil" not in name} == {
        "s_axis_image_tdata": In(unsigned(32)),
        "s_axis_image_tvalid": In(unsigned(1)),
        "s_axis_image_tready": Out(unsigned(1)),
        "s_axis_image_tlast": In(unsigned(1)),
        "s_axis_input_tdata": In(unsigned(24)),
        "s_axis_input_tvalid": In(unsigned(1)),
        "s_axis_input_tready": Out(unsigned(1)),
        "s_axis_input_tlast": In(unsigned(1)),
        "m_axis_output_tdata": Out(unsigned(24)),
        "m_axis_output_tvalid": Out(unsigned(1)),
        "m_axis_output_tready": In(unsigned(1)),
        "m_axis_output_tlast": Out(unsigned(1)),
        "irq": Out(unsigned(1)),
    }
    assert {name: (member.flow, member.shape.width) for name, member in members.items()
            if "axil" in name} == {
        f"s_axil_{name}": (flow, width) for name, flow, width in (
            ("awaddr", In, 12), ("awprot", In, 3), ("awvalid", In, 1), ("awready", Out, 1),
            ("wdata", In, 32), ("wstrb", In, 4), ("wvalid", In, 1), ("wready", Out, 1),
            ("bresp", Out, 2), ("bvalid", Out, 1), ("bready", In, 1),
            ("araddr", In, 12), ("arprot", In, 3), ("arvalid", In, 1), ("arready", Out, 1),
            ("rdata", Out, 32), ("rresp", Out, 2), ("rvalid", Out, 1), ("rready", In, 1))}


@pytest.mark.long
def test_emission() -> None:
    """The same every time, and with no other ports than the signature's, clock and reset."""
    config = replace(CONFIG, pes=1)
    files = [emit(Shell(SparseEngine(config)), "shell", header="test") for _ in range(2)]
    assert files[0] == files[1]
    header = files[0]["shell.v"].partition("module shell(")[2].partition(")")[0]
    ports = [port.strip() for port in header.split(",")]
    assert sorted(ports) == sorted([*Shell(SparseEngine(config)).signature.members, "clk", "rst"])


def test_parameters() -> None:
    def parameters(**arguments: object) -> object:
        return Shell(SparseEngine(CONFIG), **arguments).parameters  # type: ignore[arg-type]

    assert parameters() == parameters()
    assert hash(parameters()) == hash(parameters())
    assert parameters(version="1.0.0") != parameters(version="1.0.1")
    assert parameters(clock_frequency=1) != parameters()
    assert parameters(serial=True) != parameters()
    with pytest.raises(ValueError, match=re.escape(
            "Clock frequency must be 0 to 2^32 - 1 hertz, not -1")):
        parameters(clock_frequency=-1)
    with pytest.raises(InputError, match="Version must be three numbers"):
        parameters(version="one")


def test_registers(session: ShellSession, tmp_path: Path) -> None:
    s = session
    for register, value in (
            (registers.ID, registers.ID_VALUE), (registers.VERSION, 0x010203),
            (registers.ENGINE, 1), (registers.CONFIG, s.fingerprint), (registers.INPUT_WIDTH, 12),
            (registers.OUTPUT_WIDTH, 12), (registers.CLOCK_HZ, 50_000_000),
            (registers.CONTROL, Control.RUN), (registers.ERROR, 0),
            (registers.INTERRUPT_ENABLE, 0), (registers.INTERRUPT_STATUS, 0),
            (registers.CYCLES, 0), (registers.MACS_LOW, 0), (registers.MACS_HIGH, 0),
            (registers.INFERENCES, 0), (ENGINE.counters[0], 0)):
        s.read(register, value)
    s.poll(registers.STATUS, 0xFFFFFFFF, 0)
    # Only bits that exist keep what is written.
    s.write(registers.INTERRUPT_ENABLE, 0xFFFFFFFF)
    s.read(registers.INTERRUPT_ENABLE, 7)
    # Strobes: of the higher bytes alone, of the lowest alone, and of none.
    s.expect(OKAY, "write", registers.INTERRUPT_ENABLE.address + 1, 0, 3)
    s.read(registers.INTERRUPT_ENABLE, 7)
    s.expect(OKAY, "write", registers.INTERRUPT_ENABLE.address, 2, 1)
    s.read(registers.INTERRUPT_ENABLE, 2)
    s.expect(OKAY, "write", registers.CONTROL.address + 2, 0, 2)
    s.read(registers.CONTROL, Control.RUN)
    s.write(registers.CONTROL, 0)
    s.read(registers.CONTROL, 0)
    # What acts reads 0, and a soft reset returns the others.
    s.write(registers.CONTROL, Control.SOFT_RESET)
    s.read(registers.CONTROL, Control.RUN)
    s.read(registers.INTERRUPT_ENABLE, 0)
    for register in registers.register_map("sparse"):
        if register.access == registers.Access.READ_ONLY:
            s.expect(SLVERR, "write", register.address, 0xFFFFFFFF)
    for address in (0x1C, 0x34, 0x3C, 0x54, 0x80, 0x120, 0xFFC):
        s.expect(DECERR, "write", address, 0xFFFFFFFF)
        s.expect([DECERR, 0], "read", address)
    s.read(registers.CONTROL, Control.RUN)
    s.read(registers.ERROR, 0)
    s.run(built(), tmp_path, stall=0.3)


def test_reads_beside_writes(session: ShellSession, tmp_path: Path) -> None:
    """Neither waits for the other, nor disturbs it."""
    s = session
    reads = [["read", registers.ID.address]] * 20
    writes = [["write", registers.INTERRUPT_ENABLE.address, number] for number in range(8)]
    s.do("together", reads)
    s.expected += [([OKAY, registers.ID_VALUE], "read")] * 20
    s.do("together", writes)
    s.expected += [(OKAY, "write")] * 8
    s.do("together", [["poll", registers.ID.address, 0xFFFFFFFF, registers.ID_VALUE, 8]] * 30,
         writes)
    s.expected += [(OKAY, "write")] * 8
    s.read(registers.INTERRUPT_ENABLE, 7)
    s.run(built(), tmp_path, stall=0.5)


@pytest.mark.parametrize("stall", [0.0, 0.6, *long(0.2)])
def test_inferences(session: ShellSession, tmp_path: Path, stall: float) -> None:
    """Outputs are the golden model's, counters the cycle model's."""
    s = session
    inferences = 0
    for network in (0, 1, 1, 0):
        s.use(network)
        inferences += len(s.inputs[network])
    # One after the other, without waiting for outputs.
    for sample in (0, 1, 2, 0):
        s.do("begin", "input", s.stream(s.inputs[0][sample]))
    for sample in (0, 1, 2, 0):
        s.receive(0, sample)
    s.count(0, 0)
    s.read(registers.INFERENCES, inferences + 4)
    s.read(registers.ERROR, 0)
    shown = s.run(built(), tmp_path, stall=stall)
    stalled = shown["stalled"]
    assert (stalled["output"] > 0, stalled["read data"] > 0) == (stall > 0, stall > 0)

@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_reset_is_all_it_takes(session: ShellSession, tmp_path: Path, seed: int) -> None:
    """Whatever registers and memories hold at first, a reset of one cycle makes the shell right.

    No beat is taken while the engine, which is a cycle behind, is still being reset.
    """
    s = session
    for network in (0, 1):
        s.use(network)
        s.read(registers.ERROR, 0)
        s.do("hard_reset")
        s.expect([0, 0], "reset_closes")
    s.run(built(initial_values=False), tmp_path, seed=seed, reset_cycles=1)


@pytest.mark.long
def test_serial(session: ShellSession, tmp_path: Path) -> None:
    """The shell of a serial line: images word by word, everything else as ever."""
    s = session
    for network in (0, 1):
        s.use(network)
    for sample in (0, 1, 2, 0):
        s.do("begin", "input", s.stream(s.inputs[1][sample]))
    for sample in (0, 1, 2, 0):
        s.receive(1, sample)
    s.read(registers.ERROR, 0)
    s.run(built(serial=True), tmp_path, stall=0.3)


@needs_icarus
def test_icarus(session: ShellSession, tmp_path: Path) -> None:
    """Icarus has four-state logic: nothing may depend on what reset leaves undefined.

    Nor on what registers hold before it, which is undefined here.
    """
    s = session
    s.load(1)
    s.infer(1, 0)
    s.count(1, 0)
    s.write(registers.CONTROL, Control.SOFT_RESET | Control.RUN)
    s.poll(registers.STATUS, 0xFFFFFFFF, 0)
    s.load(1)
    s.infer(1, 1)
    s.run(build_shell(CONFIG, simulator="icarus", initial_values=False), tmp_path, stall=0.2,
          reset_cycles=1)


def test_interrupts(session: ShellSession, tmp_path: Path) -> None:
    s = session
    done, error, loaded = Interrupt.INFERENCE_DONE, Interrupt.ERROR, Interrupt.IMAGE_LOADED

    def happens(bit: Interrupt) -> None:
        """Expect the interrupt, which another bit does not lower."""
        s.expect(1, "irq")
        s.read(registers.INTERRUPT_STATUS, bit)
        s.write(registers.INTERRUPT_STATUS, 7 & ~int(bit))
        s.expect(1, "irq")
        s.write(registers.INTERRUPT_STATUS, bit)
        s.do("wait", 3)
        s.expect(0, "irq")
        s.read(registers.INTERRUPT_STATUS, 0)

    s.expect(0, "irq")
    s.write(registers.INTERRUPT_ENABLE, 7)
    s.load(0)
    happens(loaded)
    # Done is when the output begins to wait.
    s.do("hold", True)
    s.send_input(s.inputs[0][0])
    s.poll(registers.STATUS, Status.OUTPUT_WAITING, Status.OUTPUT_WAITING)
    happens(done)
    s.read(registers.INFERENCES, 1)
    s.do("hold", False)
    s.receive(0, 0)
    s.expect(0, "irq")
    s.send_input([1])
    s.poll(registers.STATUS, Status.ERROR, Status.ERROR)
    happens(error)
    # Another error is none while there is one.
    s.send_input([1])
    s.do("wait", 30)
    s.expect(0, "irq")
    # What is not enabled is kept, and does not interrupt.
    s.write(registers.INTERRUPT_ENABLE, error)
    s.infer(0, 1)
    s.expect(0, "irq")
    s.read(registers.INTERRUPT_STATUS, done)
    s.write(registers.INTERRUPT_ENABLE, done)
    s.do("wait", 3)
    s.expect(1, "irq")
    s.write(registers.CONTROL, Control.SOFT_RESET)
    s.do("wait", 3)
    s.expect(0, "irq")
    s.read(registers.INTERRUPT_STATUS, 0)
    s.run(built(), tmp_path)


def test_start(session: ShellSession, tmp_path: Path) -> None:
    """While RUN is 0, an inference takes its input and a START, in any order."""
    s = session
    pending = Status.START_PENDING
    s.load(0)
    s.write(registers.CONTROL, 0)
    s.send_input(s.inputs[0][0])
    s.do("wait", 200)
    s.expect(0, "received")
    s.write(registers.CONTROL, Control.START)
    s.receive(0, 0)
    s.poll(registers.STATUS, Status.BUSY | pending, 0)
    s.write(registers.CONTROL, Control.START)
    s.poll(registers.STATUS, pending, pending)
    s.infer(0, 1)
    s.poll(registers.STATUS, Status.BUSY | pending, 0)
    # One START, one inference.
    s.send_input(s.inputs[0][2])
    s.do("wait", 200)
    s.expect(0, "received")
    s.write(registers.CONTROL, Control.RUN)
    s.receive(0, 2)
    # A START means nothing while RUN is 1.
    s.write(registers.CONTROL, Control.RUN | Control.START)
    s.poll(registers.STATUS, pending, 0)
    s.write(registers.CONTROL, 0)
    s.send_input(s.inputs[0][1])
    s.do("wait", 200)
    s.expect(0, "received")
    # An image waits until the input has been used, and forgets a START without one.
    s.do("begin", "image", s.stream(s.frames[1]))
    s.do("wait", 100)
    s.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED,
           Status.IMAGE_ACTIVE | Status.LOADED)
    s.write(registers.CONTROL, Control.START)
    s.receive(0, 1)
    s.do("finish", "image")
    s.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED, Status.LOADED)
    s.write(registers.CONTROL, Control.START)
    s.load(0)
    s.poll(registers.STATUS, pending, 0)
    s.write(registers.CONTROL, Control.RUN)
    s.infer(0, 0)
    s.read(registers.ERROR, 0)
    s.run(built(), tmp_path, stall=0.1)


def test_soft_reset_in_output(session: ShellSession, tmp_path: Path) -> None:
    """The beat that is being offered stays, and the output ends with a beat of zeros."""
    s = session
    s.load(0)
    s.do("hold", True)
    s.send_input(s.inputs[0][0])
    s.poll(registers.STATUS, Status.OUTPUT_WAITING, Status.OUTPUT_WAITING)
    s.do("wait", 30)
    s.write(registers.CONTROL, Control.SOFT_RESET | Control.RUN)
    s.poll(registers.STATUS, Status.OUTPUT_WAITING | Status.BUSY | Status.LOADED,
           Status.OUTPUT_WAITING)
    s.do("hold", False)
    s.expect(s.outputs[0][0][:4] + "0000", "receive")
    s.load(1)
    s.infer(1, 0)
    s.count(1, 0)
    # Without an output there is nothing to end.
    s.write(registers.CONTROL, Control.SOFT_RESET | Control.RUN)
    s.do("wait", 50)
    s.expect(0, "received")
    s.run(built(), tmp_path)


def test_first_error_stays(session: ShellSession, tmp_path: Path) -> None:
    s = session
    s.send_input([1])
    s.poll(registers.STATUS, Status.ERROR, Status.ERROR)
    s.write(registers.CONTROL, Control.RUN | Control.START)
    s.send_image([1])
    s.load(0)
    s.send_input([1])
    s.do("wait", 30)
    s.read(registers.ERROR, ShellError.INPUT_WITHOUT_IMAGE)
    s.error(ShellError.INPUT_WITHOUT_IMAGE, loaded=True)
    s.infer(0, 0)
    s.read(registers.ERROR, 0)
    s.run(built(), tmp_path)


def test_streams_side_by_side(session: ShellSession, tmp_path: Path) -> None:
    """An input that comes while an image is on its way waits for it."""
    s = session
    s.do("together", [["send", "image", s.stream(s.frames[0])]],
         [["wait", 10], ["send", "input", s.stream(s.inputs[0][0])],
          ["send", "input", s.stream(s.inputs[0][1])]])
    s.receive(0, 0)
    s.receive(0, 1)
    # An image that comes within an input waits for its output.
    s.do("together", [["send", "input", s.stream(s.inputs[0][2])]],
         [["wait", 6], ["send", "image", s.stream(s.frames[1])]])
    s.receive(0, 2)
    s.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED, Status.LOADED)
    s.infer(1, 0)
    s.read(registers.ERROR, 0)
    s.run(built(), tmp_path, stall=0.3)


@pytest.mark.parametrize(("stall", "seed", "serial"), [
    (0.0, 0, False), *long((0.3, 1, False), (0.0, 2, True), (0.3, 3, True))])
def test_bad_transactions(session: ShellSession, tmp_path: Path, stall: float, seed: int,
                          serial: bool) -> None:
    """Each gives its error, and the next inference is right."""
    transactions = BadTransactions(session, seed)
    transactions.add(27)
    assert set(transactions.counts.values()) == {1}
    session.run(built(serial=serial), tmp_path, stall=stall)


def test_everything_of_three_inferences(session: ShellSession, tmp_path: Path) -> None:
    """One runs; the next input waits for a START, and the output before for who takes it."""
    s = session
    busy, pending, start = Status.BUSY, Status.INPUT_PENDING, Status.START_PENDING
    s.load(0)
    s.write(registers.CONTROL, 0)
    s.do("hold", True)
    s.send_input(s.inputs[0][0])
    s.write(registers.CONTROL, Control.START)
    # The next input comes at once; it waits, although the engine is no longer busy with another.
    s.send_input(s.inputs[0][1])
    s.poll(registers.STATUS, Status.OUTPUT_WAITING | busy | pending | start,
           Status.OUTPUT_WAITING | busy | pending)
    s.do("wait", 200)
    s.read(registers.INFERENCES, 1)
    s.count(0, 0)
    s.write(registers.CONTROL, Control.START)
    s.poll(registers.STATUS, pending | start, 0)
    s.send_input(s.inputs[0][2])
    s.write(registers.CONTROL, Control.START)
    s.do("wait", 400)
    # Two outputs are there, of which the first is being sent, and an input, whose START is kept.
    s.read(registers.STATUS, Status.LOADED | busy | pending | start | Status.OUTPUT_WAITING)
    s.read(registers.INFERENCES, 1)
    s.count(0, 0)
    s.do("begin", "image", s.stream(s.frames[1]))
    s.do("wait", 100)
    s.do("hold", False)
    for sample in range(3):
        s.receive(0, sample)
    s.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED | start, Status.LOADED)
    s.read(registers.INFERENCES, 3)
    s.count(0, 2)
    s.write(registers.CONTROL, Control.RUN)
    s.infer(1, 0)
    s.count(1, 0)
    s.read(registers.ERROR, 0)
    s.run(built(), tmp_path)


def test_session_can_fail(session: ShellSession, tmp_path: Path) -> None:
    session.read(registers.ID, 0)
    with pytest.raises(AssertionError, match=r"step 0\) must show \[0, 0\]"):
        session.run(built(), tmp_path)
    session.do("poll", registers.STATUS.address, int(Status.LOADED), int(Status.LOADED), 24)
    with pytest.raises(SimulationError, match="must become"):
        session.run(built(), tmp_path)


def test_interval() -> None:
    """From input to input the shell takes as long as the engine, once the next input waits."""
    rng = np.random.default_rng(3)
    compiled = compile_random(random_network(CONFIG, (5, 8), [0.5], rng), CONFIG, [1], "none", rng)
    x = np.repeat(random_inputs(CONFIG, 1, 5, 0.6, rng), 6, axis=0)
    cycles = NetworkTimer(compiled)(x[0], [layer[0] for layer in compiled.run(x)])
    adapted = SparseCompiled(compiled)
    assert measure_intervals(adapted.host, x, built(), shell=True)[3:].tolist() == [
        speed_of(adapted.host, sum(layer.cycles for layer in cycles)).interval.cycles] * 2
