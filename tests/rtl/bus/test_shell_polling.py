"""What a host sees that polls registers, of the shell around either engine."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from long_cases import long

from eieio.model import registers
from eieio.model.engine_config import EngineConfig
from eieio.model.image_frame import HEADER_WORDS, frame_image
from eieio.model.registers import (
    ADDRESS_WIDTH,
    Access,
    Control,
    ErrorCode,
    Interrupt,
    Register,
    Status,
    register_map,
)
from eieio.sim.runner import Build
from eieio.sim.shell_session import DECERR, OKAY, SLVERR, ShellSession, build_shell
from eieio.sim.sparse import session as sparse
from eieio.sim.systolic import session as systolic

CONFIGS: dict[str, EngineConfig] = {"sparse": sparse.CONFIG, "systolic": systolic.CONFIG}
SESSIONS: dict[str, Callable[[], ShellSession]] = {
    "sparse": sparse.small_session, "systolic": systolic.small_session}


@functools.cache
def built(kind: str) -> Build:
    return build_shell(CONFIGS[kind])


@pytest.fixture(params=["systolic", *long("sparse")])
def session(request: pytest.FixtureRequest) -> ShellSession:
    return SESSIONS[request.param]()


def test_input_that_waits(session: ShellSession, tmp_path: Path) -> None:
    """While RUN is 0, STATUS shows an input that waits; counters are still those before it."""
    s = session
    pending, busy = Status.INPUT_PENDING, Status.BUSY
    s.load(0)
    s.infer(0, 0)
    s.write(registers.CONTROL, 0)
    s.read(registers.STATUS, Status.LOADED)
    for sample, start in ((1, Control.START), (2, Control.RUN)):
        s.send_input(s.inputs[0][sample])
        s.poll(registers.STATUS, Status.INPUT_ACTIVE, 0)
        s.read(registers.STATUS, Status.LOADED | pending)
        s.do("wait", 40)
        s.read(registers.STATUS, Status.LOADED | pending)
        s.count(0, sample - 1)
        s.read(registers.INFERENCES, sample)
        s.do("hold", True)
        s.write(registers.CONTROL, start)
        # While it runs, too.
        s.poll(registers.STATUS, busy | pending, busy)
        s.count(0, sample - 1)
        s.read(registers.INFERENCES, sample)
        s.poll(registers.STATUS, Status.OUTPUT_WAITING, Status.OUTPUT_WAITING)
        s.count(0, sample)
        s.read(registers.INFERENCES, sample + 1)
        s.do("hold", False)
        s.receive(0, sample)
    # Those of an output that has been taken stay while the next inference runs.
    s.send_input(s.inputs[0][0])
    s.poll(registers.STATUS, busy, busy)
    s.count(0, 2)
    s.receive(0, 0)
    s.count(0, 0)
    s.write(registers.CONTROL, Control.SOFT_RESET | Control.RUN)
    s.read(registers.CYCLES, 0)
    s.read(registers.MACS_LOW, 0)
    s.run(built(s.kind), tmp_path)


def test_an_input_is_always_somewhere(session: ShellSession, tmp_path: Path) -> None:
    """From its first beat to its output there is no cycle without a bit for it."""
    s = session
    s.load(1)
    somewhere = Status.INPUT_ACTIVE | Status.INPUT_PENDING | Status.BUSY | Status.OUTPUT_WAITING
    seen: list[int] = []
    beats = s.inputs[1][0]
    for run in (Control.RUN, Control(0)):
        s.write(registers.CONTROL, run)
        for cycles in range(len(beats), len(beats) + 12):
            s.do("wait", 50)  # The engine takes beats at once.
            s.do("begin", "input", s.stream(beats))
            s.do("wait", cycles)
            seen.append(s.observe("read", registers.STATUS.address))
            if not run:
                s.write(registers.CONTROL, Control.START)
            s.receive(1, 0)
    shown = s.run(built(s.kind), tmp_path)["observed"]
    states = [Status(shown[place][1]) & somewhere for place in seen]
    assert all(states)
    assert {*states} >= {Status.INPUT_ACTIVE, Status.INPUT_PENDING, Status.BUSY}


def test_errors_beside_clear(session: ShellSession, tmp_path: Path) -> None:
    """An error that comes when CLEAR_ERROR does is kept or has been seen, and so its interrupt."""
    s = session
    s.load(0)
    good = s.inputs[0][0]
    seen: dict[ErrorCode, list[int]] = {}
    for port, beats, code, last in (
            ("input", good[:-1], ErrorCode.INPUT_SHORT, len(good) + 10),
            ("input", [*good, *good[:3]], ErrorCode.INPUT_LONG, len(good) + 10),
            ("image", _refused(s), ErrorCode.IMAGE_TARGET, 40)):
        seen[code] = []
        name = s.stream(beats)
        for cycles in range(last):
            s.write(registers.INTERRUPT_STATUS, 7)
            s.do("together", [["send", port, name]],
                 [["wait", cycles],
                  ["write", registers.CONTROL.address, int(Control.RUN | Control.CLEAR_ERROR)]])
            s.expected.append((OKAY, "write"))
            s.poll(registers.STATUS, Status.INPUT_ACTIVE | Status.IMAGE_ACTIVE, 0)
            s.read(registers.INTERRUPT_STATUS, Interrupt.ERROR)
            seen[code].append(s.observe("read", registers.ERROR.address))
            s.write(registers.CONTROL, Control.RUN | Control.CLEAR_ERROR)
            s.read(registers.ERROR, 0)
    s.load(1)
    s.write(registers.INTERRUPT_STATUS, 7)
    s.infer(1, 0)
    s.read(registers.INTERRUPT_STATUS, Interrupt.INFERENCE_DONE)
    s.read(registers.ERROR, 0)
    shown = s.run(built(s.kind), tmp_path)["observed"]
    for code, places in seen.items():
        errors = [shown[place][1] for place in places]
        # Of those before the clear all are kept, of those after it none.
        assert 0 < errors.count(code) < len(errors)
        assert errors == [code] * errors.count(code) + [0] * errors.count(0)


def _refused(session: ShellSession) -> list[int]:
    """Frame of an image of which the engine refuses the first word."""
    image = [15 << 28, *session.frames[1][HEADER_WORDS + 1:HEADER_WORDS + 8]]
    return frame_image(np.array(image, np.uint32), session.fingerprint).tolist()


def test_every_address(session: ShellSession, tmp_path: Path) -> None:
    """All addresses but those of registers are answered by DECERR; none is another's.

    Of the systolic engine, whose registers the same component decodes, those that differ from a
    register's in a bit.
    """
    s = session
    known: dict[int, Register] = {
        register.address: register for register in register_map(s.kind)}
    unmapped = [address for address in range(0, 1 << ADDRESS_WIDTH, 4) if address not in known]
    assert len(known) + len(unmapped) == 1024
    if s.kind == "sparse":
        assert len(unmapped) == 1007
    else:
        near = {address ^ 1 << bit for address in known for bit in range(2, ADDRESS_WIDTH)}
        unmapped = [address for address in unmapped if address in near]
    s.load(0)
    s.infer(0, 0)
    s.write(registers.INTERRUPT_ENABLE, Interrupt.ERROR)

    def contents() -> list[int]:
        return [s.observe("read", address) for address in known]

    before = contents()
    for address in unmapped:
        s.expect(DECERR, "write", address, 0xFFFFFFFF)
        s.expect([DECERR, 0], "read", address)
    for address, register in known.items():
        if register.access == Access.READ_ONLY:
            s.expect(SLVERR, "write", address, 0xFFFFFFFF)
    after = contents()
    s.infer(0, 1)
    s.count(0, 1)
    shown = s.run(built(s.kind), tmp_path)["observed"]
    assert [shown[place] for place in before] == [shown[place] for place in after]
    assert all(shown[place][0] == OKAY for place in before)
