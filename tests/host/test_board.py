"""The unmodified driver on a simulated board: UART bridge, shell and engine in Verilog."""

from typing import Any

import numpy as np
import pytest

from eieio.host.device import Counters, Device
from eieio.host.errors import EngineError
from eieio.host.line_time import inference_seconds
from eieio.host.protocol import Link
from eieio.host.serial_link import SerialLine
from eieio.model import registers
from eieio.model.image_frame import HEADER_WORDS, frame_image
from eieio.model.registers import ErrorCode, ShellError, Status
from eieio.model.systolic.timing import time_graph
from eieio.model.uart_frame import Kind
from eieio.sim.board_simulation import BoardBuild, Noise, SimulatedBoard, build_board


@pytest.fixture(scope="module")
def built(example: Any) -> BoardBuild:
    return build_board(example.config)


def test_every_answer_is_the_golden_model_s(built: BoardBuild, example: Any) -> None:
    board = SimulatedBoard(built)
    with board, Device.open(board.port) as device:
        assert device.info().fingerprint == example.image.fingerprint
        device.load(example.image, coded=False)
        assert np.array_equal(device.infer_integers(example.x[0]), example.golden[0])
        device.load(example.image)  # Coded, since the board takes it.
        outputs = [device.infer_integers(sample) for sample in example.x]
        counters = device.counters()
        retries = device.retries
    assert np.array_equal(outputs, example.golden)
    assert (counters.inferences, retries) == (len(example.x), 0)
    assert counters.cycles > 0
    assert board.figures is not None
    assert board.figures.bytes_to_board > len(example.image.frame())


@pytest.mark.long
def test_a_systolic_engine(systolic_example: Any) -> None:
    """Its answers are the golden model's, and its counters the cycle model's, after errors, too."""
    example = systolic_example
    timing = time_graph(example.config, example.work)
    board = SimulatedBoard(build_board(example.config), noise=Noise(flip=0.0003), seed=5)
    with board, Device.open(board.port) as device:
        assert device.info().engine == "systolic"
        device.load(example.image)
        outputs = [device.infer_integers(sample) for sample in example.x]
        counters = device.counters()
        link = device._link
        for data, error in ((example.image.inputs.pack(example.x[0])[:-2], ErrorCode.INPUT_SHORT),
                            (example.image.inputs.pack(example.x[0]) + bytes(2),
                             ErrorCode.INPUT_LONG)):
            link.send(Kind.INPUT, data)
            with pytest.raises(EngineError) as caught:
                link.receive(check=device._check)
            assert caught.value.code == error
            device.load(example.image)
            assert np.array_equal(device.infer_integers(example.x[1]), example.golden[1])
    assert np.array_equal(outputs, example.golden)
    assert counters == Counters(timing.cycles, timing.macs, len(example.x), {
        "accumulator_stalls": timing.accumulator_stalls,
        "transform_stalls": timing.transform_stalls})


def test_time_on_the_line(built: BoardBuild, example: Any) -> None:
    """An inference takes the line as long as the figures of a board say."""
    taken = []
    for count in (0, 30):
        board = SimulatedBoard(built)
        with board, Device.open(board.port) as device:
            device.load(example.image)
            for number in range(count):
                device.infer_integers(example.x[number % len(example.x)])
            assert device.retries == 0
        assert board.figures is not None
        taken.append(board.figures.line_cycles)
    expected = inference_seconds(example.image.inputs.size_bytes,
                                 example.image.outputs.size_bytes, 0, 1 / built.divisor)
    assert (taken[1] - taken[0]) / 30 == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("noise", [
    Noise(flip=0.001), Noise(glitch=0.01), Noise(drop=0.003), Noise(insert=0.003),
    Noise(flip=0.0003, glitch=0.01, drop=0.001, insert=0.001),
], ids=["flip", "glitch", "drop", "insert", "all"])
def test_noise_changes_no_answer(built: BoardBuild, example: Any, noise: Noise) -> None:
    board = SimulatedBoard(built, noise=noise, seed=5)
    with board, Device.open(board.port, timeout=0.3) as device:
        device.load(example.image)
        outputs = [device.infer_integers(sample) for sample in example.x]
        counters = device.counters()
    assert np.array_equal(outputs, example.golden)
    assert counters.inferences == len(example.x)
    figures = board.figures
    assert figures is not None
    assert figures.flips + figures.glitches + figures.drops + figures.inserts > 0


def test_a_refused_image_leaves_the_board_usable(built: BoardBuild, example: Any) -> None:
    with SimulatedBoard(built) as board:
        with Device.open(board.port) as device:
            link = device._link
            words = np.frombuffer(example.image.frame(coded=True), "<u4")[HEADER_WORDS:-1]
            for frame, error in (
                    (example.image.frame()[:-4] + bytes(4), ShellError.FRAME_CHECKSUM),
                    (frame_image(words[:-9], example.image.fingerprint, coded=True).tobytes(),
                     ShellError.CODE_SHORT)):
                link.send(Kind.IMAGE, frame)
                with pytest.raises(EngineError) as caught:  # noqa: PT012
                    # The board may still be taking the last bytes of the image.
                    for _ in range(100):
                        device._check()
                assert caught.value.code == error
                device._reset()
        with Device.open(board.port) as device:
            device.load(example.image)
            assert np.array_equal(device.infer_integers(example.x[0]), example.golden[0])


def test_a_host_that_stopped_in_the_middle(built: BoardBuild, example: Any) -> None:
    """Of an image, of an input, or before it took the output."""
    with SimulatedBoard(built) as board:
        for kind, data in ((Kind.IMAGE, example.image.frame()),
                           (Kind.INPUT, example.image.inputs.pack(example.x[0]))):
            for size in (1, 5, len(data) // 2, len(data)):
                with Device.open(board.port) as device:
                    device.load(example.image)
                    link = device._link
                    frames = link._split(kind, data[:size])
                    for frame in frames:
                        last = len(data) == size and frame is frames[-1]
                        link._ask(kind + (0x10 if last else 0), link._expected,  # type: ignore
                                  frame.payload)
                        link._expected = (link._expected + 1) % 256
                with Device.open(board.port) as device:
                    device.load(example.image)
                    assert np.array_equal(device.infer_integers(example.x[1]), example.golden[1])


def test_registers_answer_while_data_is_stuck(built: BoardBuild, example: Any) -> None:
    """With RUN at 0 the input waits in engine and queue until no more fits."""
    with SimulatedBoard(built) as board:
        with Device.open(board.port) as device:
            device.load(example.image)
        line = SerialLine(board.port, 115200)
        link = Link(line)
        link.connect()
        link.write(registers.CONTROL.address, 0)
        data = example.image.inputs.pack(example.x[2])

        def status() -> Status:
            return Status(link.read(registers.STATUS.address))

        sent = 0
        while sent < 100:
            frame = link._split(Kind.INPUT, data)[0]
            reply = link._ask(frame.kind, link._expected, data)  # type: ignore[arg-type]
            if reply[0] == 1:
                break
            link._expected = (link._expected + 1) % 256
            sent += 1
        assert 10 < sent < 20  # 512 bytes in the queue, 40 in the engine, some between.
        assert not status() & Status.BUSY
        link.write(registers.CONTROL.address, registers.Control.RUN)
        for _ in range(sent):
            output = example.image.outputs.unpack(link.receive())
            assert np.array_equal(output, example.golden[2])
        line.close()
