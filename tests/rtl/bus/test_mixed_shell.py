"""The shell around a small mixed engine."""

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest

from eieio.model import registers
from eieio.model.image_frame import frame_image
from eieio.model.mixed.engine import ENGINE
from eieio.model.mixed.mapping import HEADER_WORDS
from eieio.model.mixed.prepared import MixedCompiled
from eieio.model.registers import Control, ErrorCode, Status
from eieio.scripts.speed import speed_of
from eieio.sim.interval import measure_stream
from eieio.sim.mixed.random_network import SMALL, random_inputs, random_network
from eieio.sim.runner import Build
from eieio.sim.shell_session import ShellSession, build_shell, traffic

#: Icarus, if it is there: to compile two engines takes longer than to simulate a little.
SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"


@functools.cache
def built() -> Build:
    return build_shell(SMALL, simulator=SIMULATOR)


@functools.cache
def networks() -> list[tuple[MixedCompiled, np.ndarray]]:
    """Make a network that the sparse engine limits, and one that the systolic one does."""
    found = []
    for seed in (58, 43):
        rng = np.random.default_rng(seed)
        compiled = random_network(SMALL, rng, max_cycles=250, channels=40)
        found.append((MixedCompiled(compiled), random_inputs(compiled, 3, rng)))
    return found


@pytest.fixture
def session() -> ShellSession:
    return ShellSession(SMALL, [traffic(*each) for each in networks()], {}, 1)


def test_inferences(session: ShellSession, tmp_path: Path) -> None:
    """Outputs are the golden model's, counters the cycle model's; several may be under way."""
    s = session
    for register, value in ((registers.ENGINE, 3), (registers.CONFIG, s.fingerprint),
                            (registers.INPUT_WIDTH, 16), (registers.OUTPUT_WIDTH, 18),
                            *((register, 0) for register in ENGINE.counters)):
        s.read(register, value)
    s.load(0)
    s.infer(0, 0)
    s.count(0, 0)
    for sample in (1, 2):
        s.do("begin", "input", s.stream(s.inputs[0][sample]))
    s.receive(0, 1)
    # An image waits until the last one has gone, too.
    s.do("begin", "image", s.stream(s.frames[1]))
    s.receive(0, 2)
    s.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED, Status.LOADED)
    s.infer(1, 0)
    s.count(1, 0)
    # START begins one each, also while another one is under way.
    s.write(registers.CONTROL, 0)
    for sample in (0, 1, 2):
        s.do("begin", "input", s.stream(s.inputs[1][sample]))
    s.poll(registers.STATUS, Status.INPUT_PENDING, Status.INPUT_PENDING)
    s.write(registers.CONTROL, Control.START)
    s.poll(registers.STATUS, Status.START_PENDING, 0)
    s.poll(registers.STATUS, Status.INPUT_PENDING | Status.BUSY,
           Status.INPUT_PENDING | Status.BUSY)
    s.write(registers.CONTROL, Control.START)
    s.receive(1, 0)
    s.receive(1, 1)
    s.do("wait", 400)
    s.expect(0, "received")
    s.write(registers.CONTROL, Control.START)
    s.receive(1, 2)
    s.run(built(), tmp_path)


def test_errors(session: ShellSession, tmp_path: Path) -> None:
    """Each engine's errors are told apart, and the engine stays usable."""
    s = session
    first, second = (compiled.inner for compiled, _ in networks())
    image = first.image().tolist()
    size = image[0]
    dense = second.dense.image()

    def refuse(words: list[int], code: int) -> None:
        s.send_image(frame_image(np.array(words, np.uint32), s.fingerprint).tolist())
        s.error(code, loaded=False)

    step = image[2]
    parts = ErrorCode.IMAGE_PARTS
    for words in range(1, HEADER_WORDS + 1):
        refuse(image[:words], parts)
    section, wrong = [0, 0, 1, 0], [15 << 28]  # A weight, and a memory that does not exist.
    for lengths, place in (((0, 1), step), ((4, 0), step), ((4, 4), step | 0xff00),
                           ((4, 4), step & 0xffff), ((4, 5), step), ((4, 3), step),
                           ((9, 1), step), ((8, 1), step)):
        refuse([*lengths, place, *section, *section], parts)
    refuse([1, 4, step, *wrong, *section], ErrorCode.IMAGE_TARGET)
    refuse([4, 1, step, *section, *wrong], ErrorCode.SECOND_IMAGE_TARGET)
    s.load(0)
    s.send_input(s.inputs[0][0][:-1])
    s.error(ErrorCode.INPUT_SHORT, loaded=True)
    s.infer(0, 1)
    # Parts of two networks: what the one sends is too much, or too little, for the other.
    mixed = [size, len(dense), step, *image[HEADER_WORDS:HEADER_WORDS + size], *dense.tolist()]
    s.send_image(frame_image(np.array(mixed, np.uint32), s.fingerprint).tolist())
    s.poll(registers.STATUS, Status.IMAGE_ACTIVE | Status.LOADED, Status.LOADED)
    s.send_input(s.inputs[0][0])
    longer = first.handed_beats > second.handed_beats
    s.error(ErrorCode.SECOND_INPUT_LONG if longer else ErrorCode.SECOND_INPUT_SHORT, loaded=True)
    s.load(1)
    s.infer(1, 0)
    s.count(1, 0)
    s.run(built(), tmp_path)


def test_interval() -> None:
    """From input to input it takes what the slower engine takes, once the next input waits."""
    compiled, inputs = networks()[0]
    x = np.repeat(inputs[:1], 4, axis=0)
    seen = measure_stream(compiled.host, x.reshape(len(x), -1), built(), shell=True)
    cycles, _, _ = compiled.counters(x)[0]
    interval = speed_of(compiled.host, cycles).interval
    assert np.array_equal(seen.outputs, compiled.run(x))
    assert np.diff(seen.inputs_from)[2:].tolist() == [interval.cycles]
    assert np.diff(seen.outputs_from).tolist() == [interval.cycles] * 3
    assert interval.overlap > 0
