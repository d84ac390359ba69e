"""The shell around a small systolic engine, with cocotbext-axi on the other side of every port."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from long_cases import long

from eieio.model import registers
from eieio.model.image_frame import HEADER_WORDS, frame_image
from eieio.model.registers import Control, ErrorCode, ShellError, Status
from eieio.model.systolic.engine import ENGINE
from eieio.model.systolic.prepared import SystolicCompiled
from eieio.model.systolic.program import Field, Operation, Target
from eieio.scripts.speed import speed_of
from eieio.sim.bad_transactions import BadTransactions
from eieio.sim.interval import measure_intervals
from eieio.sim.runner import Build
from eieio.sim.shell_session import ShellSession, build_shell
from eieio.sim.systolic.random_graph import random_graph, random_inputs
from eieio.sim.systolic.session import CONFIG, small_session


@functools.cache
def built(*, initial_values: bool = True) -> Build:
    return build_shell(CONFIG, initial_values=initial_values)


@pytest.fixture
def session() -> ShellSession:
    return small_session()


def test_registers(session: ShellSession, tmp_path: Path) -> None:
    """Those of the systolic engine, and no others."""
    s = session
    for register, value in (
            (registers.ENGINE, 2), (registers.CONFIG, s.fingerprint), (registers.INPUT_WIDTH, 16),
            (registers.OUTPUT_WIDTH, 16), (registers.CYCLES, 0), (registers.ERROR, 0),
            *((register, 0) for register in ENGINE.counters)):
        s.read(register, value)
    s.poll(registers.STATUS, 0xFFFFFFFF, 0)
    s.run(built(), tmp_path)


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_inferences(tmp_path: Path, stall: float) -> None:
    """Outputs are the golden model's, counters the cycle model's."""
    s = small_session(8)
    stalls = 0
    for network in (0, 1, 1, 0):
        s.use(network)
        stalls += sum(s._counters[network][0].stalls)
    # One after the other, without waiting for outputs.
    for sample in (0, 1, 2, 0):
        s.do("begin", "input", s.stream(s.inputs[0][sample]))
    for sample in (0, 1, 2, 0):
        s.receive(0, sample)
    s.count(0, 0)
    s.read(registers.INFERENCES, 16)
    s.read(registers.ERROR, 0)
    s.run(built(), tmp_path, stall=stall)
    assert stalls


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
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
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus")
def test_icarus(session: ShellSession, tmp_path: Path) -> None:
    """Nothing depends on what registers and memories hold before a reset, undefined here."""
    s = session
    s.load(1)
    s.infer(1, 0)
    s.count(1, 0)
    s.write(registers.CONTROL, Control.SOFT_RESET | Control.RUN)
    s.poll(registers.STATUS, 0xFFFFFFFF, 0)
    s.load(1)
    s.infer(1, 1)
    s.run(build_shell(CONFIG, simulator="icarus", initial_values=False), tmp_path,
          stall=0.2, reset_cycles=1)


def test_images_wait_for_inputs(session: ShellSession, tmp_path: Path) -> None:
    """No image replaces a program whose input is complete, or has begun."""
    s = session
    s.load(0)
    s.write(registers.CONTROL, 0)
    s.send_input(s.inputs[0][0])
    s.do("begin", "image", s.stream(s.frames[1]))
    s.do("wait", 300)
    s.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED | Status.BUSY,
           Status.IMAGE_ACTIVE | Status.LOADED)
    s.write(registers.CONTROL, Control.START)
    s.receive(0, 0)
    s.do("finish", "image")
    s.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED, Status.LOADED)
    s.write(registers.CONTROL, Control.RUN)
    s.infer(1, 0)
    s.count(1, 0)
    # An input that comes within an image waits for it, and an image within an input for its output,
    # whatever beat the image meets.
    s.do("together", [["send", "image", s.stream(s.frames[0])]],
         [["wait", 10], ["send", "input", s.stream(s.inputs[0][1])]])
    s.receive(0, 1)
    loaded = 0
    for wait in range(3, len(s.inputs[0][0]) + 8):
        s.do("together", [["send", "input", s.stream(s.inputs[loaded][2])]],
             [["wait", wait], ["send", "image", s.stream(s.frames[1 - loaded])]])
        s.receive(loaded, 2)
        s.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED, Status.LOADED)
        loaded = 1 - loaded
    s.run(built(), tmp_path)


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_bad_inputs(session: ShellSession, tmp_path: Path, stall: float) -> None:
    """An input of the wrong length gives its error, and the next one is right."""
    s = session
    for network in (0, 1):
        s.load(network)
        good = s.inputs[network][0]
        for beats in sorted({1, len(good) // 2, len(good) - 1}):
            s.send_input(good[:beats])
            s.error(ErrorCode.INPUT_SHORT, loaded=True)
            s.infer(network, 1)
            s.count(network, 1)
        for more in (1, 2, 90):
            s.send_input(good + good[:1] * more)
            s.error(ErrorCode.INPUT_LONG, loaded=True)
            s.infer(network, 2)
            s.count(network, 2)
    s.run(built(), tmp_path, stall=stall)


def test_foreign_images(session: ShellSession, tmp_path: Path) -> None:
    """They leave the image that was loaded; what damaged ones leave does not run."""
    s = session
    s.load(0)
    foreign = list(s.frames[1])
    foreign[1] ^= 1
    s.send_image(foreign)
    s.error(ShellError.FRAME_CONFIGURATION, loaded=True)
    s.infer(0, 0)
    cuts: list[Callable[[list[int]], list[int]]] = [
        lambda frame: frame[:HEADER_WORDS + 1], lambda frame: frame[:-1],
        lambda frame: frame[:-2], lambda frame: frame[:-3]]
    for cut in cuts:
        s.send_image(cut(s.frames[1]))
        s.error(ShellError.FRAME_SHORT, loaded=False)
        s.send_input(s.inputs[1][0])
        s.error(ShellError.INPUT_WITHOUT_IMAGE, loaded=False)
        s.load(0)
        s.infer(0, 1)
        s.count(0, 1)
    s.run(built(), tmp_path)


@pytest.mark.parametrize(("stall", "seed"), [(0.3, 1), *long((0.0, 0))])
def test_bad_transactions(session: ShellSession, tmp_path: Path, stall: float, seed: int) -> None:
    """Each gives its error, and the next inference is right."""
    transactions = BadTransactions(session, seed)
    transactions.add(26)
    assert set(transactions.counts.values()) == {1}
    session.run(built(), tmp_path, stall=stall)


def test_program_without_input(session: ShellSession, tmp_path: Path) -> None:
    """A program that begins with anything but an input is not run, and the next image is."""
    s = session
    image = s.frames[1][HEADER_WORDS:-1]
    for operation in Operation:
        if operation is Operation.INPUT:
            continue
        other = [*image, Target.DESCRIPTORS << 28, Field.OPERATION, 1, operation]
        frame = frame_image(np.array(other, np.uint32), s.fingerprint).tolist()
        s.send_image([*frame[:-1], frame[-1] ^ 1])
        s.error(ShellError.FRAME_CHECKSUM, loaded=False)
        s.load(0)
        s.infer(0, 1)
        s.send_image(frame)
        s.error(ShellError.IMAGE_INCOMPLETE, loaded=False)
        s.load(1)
        s.infer(1, 0)
        s.count(1, 0)
    s.run(built(), tmp_path)


def test_interval() -> None:
    """From input to input the shell takes as long as the engine, once the next input waits."""
    rng = np.random.default_rng(3)
    compiled = random_graph(CONFIG, rng, operators=1, max_cycles=300)
    # The engine and the shell's buffers have room for some inputs, which are short.
    x = np.repeat(random_inputs(compiled, 1, rng), 10, axis=0)
    adapted = SystolicCompiled(compiled)
    cycles = adapted.cycles()
    assert cycles is not None
    assert measure_intervals(adapted.host, x, built(), shell=True)[6:].tolist() == [
        speed_of(adapted.host, cycles).interval.cycles] * 3
