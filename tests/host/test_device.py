"""The driver on a board modelled in Python: answers, and every way to fail."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eieio.host.device import Counters, Device, Info
from eieio.host.errors import ConfigurationError, EngineError, LinkError, NoAnswerError
from eieio.model import registers
from eieio.model.errors import InputError
from eieio.model.registers import ShellError, Status
from eieio.model.uart_frame import Kind
from eieio.sim.board_model import BoardModel, MemoryLine, on_terminal


def device_on(board: BoardModel | None) -> Device:
    return Device(MemoryLine(board), timeout=0.002, patience=0.05)


def test_info(board: BoardModel, example: Any) -> None:
    assert device_on(board).info() == Info(
        "sparse", "1.2.3", example.image.fingerprint, 16, 16, 1_000_000)


def test_integers_equal_the_golden_model(board: BoardModel, example: Any) -> None:
    device = device_on(board)
    device.load(example.image)
    outputs = [device.infer_integers(sample) for sample in example.x]
    assert np.array_equal(outputs, example.golden)
    assert device.counters() == Counters(100, 0, 0, {"blocked_cycles": 0})
    assert device.retries == 0


def test_counters_are_of_one_inference(board: BoardModel, example: Any) -> None:
    """Those that are read while an inference ends are read again."""
    class Changing(dict[int, int]):
        def get(self, address: int, default: Any = None, /) -> Any:
            value: Any = super().get(address, default)
            if address == registers.MACS_LOW.address and value < 300:
                for register in (registers.CYCLES, registers.MACS_LOW):
                    self[register.address] = super().get(register.address, 0) + 100
                self[registers.INFERENCES.address] = super().get(
                    registers.INFERENCES.address, 0) + 1
            return value

    device = device_on(board)
    board.registers = Changing(board.registers)
    assert device.counters() == Counters(400, 300, 3, {"blocked_cycles": 0})


def test_status(board: BoardModel, example: Any) -> None:
    device = device_on(board)
    assert device.status() == Status(0)
    device.load(example.image)
    assert device.status() == Status.LOADED
    board.registers[registers.STATUS.address] |= Status.INPUT_PENDING
    assert device.status() == Status.LOADED | Status.INPUT_PENDING


def test_real_numbers(board: BoardModel, example: Any) -> None:
    device = device_on(board)
    device.load(example.image)
    outputs = device.infer(example.x * example.image.input_numbers.scale)
    expected = (example.golden * example.image.output_numbers.scale).astype(np.float32)
    assert outputs.dtype == np.float32
    assert np.array_equal(outputs, expected)
    assert device.infer(np.zeros((0, 20))).shape == (0, 7)


def test_a_serial_port(board: BoardModel, example: Any) -> None:
    with on_terminal(board) as port, Device.open(port) as device:
        device.load(example.image)
        assert np.array_equal(device.infer_integers(example.x[0]), example.golden[0])


def test_a_port_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"^Serial port /dev/nowhere cannot be opened: "):
        Device.open("/dev/nowhere")


def test_a_port_that_goes_away(board: BoardModel, example: Any) -> None:
    with on_terminal(board) as port:
        device = Device.open(port)
    with pytest.raises(NoAnswerError, match=r"the serial port is gone$"):
        device.counters()
    device.close()


def test_a_board_with_another_configuration(board: BoardModel, example: Any) -> None:
    device = device_on(board)
    with pytest.raises(ConfigurationError, match=r"^memory: the board holds another engine \(sparse"
                       r", configuration [0-9a-f]{8}\) than the image of 'random' is for \(sparse, "
                       r"00000001\)$"):
        device.load(replace(example.image, fingerprint=1))
    assert board.packets == []


def test_something_else_answers(board: BoardModel) -> None:
    board.registers[registers.ID.address] = 0x1234
    with pytest.raises(LinkError, match=r"^memory: what answers is no engine of eieio"):
        device_on(board)


def test_an_unknown_engine(board: BoardModel) -> None:
    board.registers[registers.ENGINE.address] = 7
    with pytest.raises(LinkError, match=r"^memory: the engine is of an unknown kind \(7\)$"):
        device_on(board)


def test_a_refused_image_is_named(board: BoardModel, example: Any) -> None:
    device = device_on(board)
    damaged = replace(example.image, words=example.image.words[:-1])
    with pytest.raises(EngineError, match=r"^memory: the engine reports FRAME_CHECKSUM \(21\): "
                       ) as caught:
        device.load(damaged, coded=False)
    assert caught.value.code == ShellError.FRAME_CHECKSUM
    device.load(example.image)
    assert np.array_equal(device.infer_integers(example.x[1]), example.golden[1])


@pytest.mark.parametrize(("coded", "sent"), [(None, True), (True, True), (False, False)])
def test_images_are_coded_if_the_board_can_decode(
        board: BoardModel, example: Any, coded: bool | None, sent: bool) -> None:
    device_on(board).load(example.image, coded=coded)
    assert board.packets[-1] == (Kind.IMAGE, example.image.frame(coded=sent))


def test_a_board_that_cannot_decode(systolic_example: Any) -> None:
    image = systolic_example.image
    board = BoardModel(image, systolic_example.compute)
    device = device_on(board)
    device.load(image)
    assert board.packets[-1] == (Kind.IMAGE, image.frame())
    with pytest.raises(ConfigurationError, match="cannot decode a coded image; generate it with"):
        device.load(image, coded=True)


def test_an_engine_that_never_ends(board: BoardModel, example: Any) -> None:
    device = device_on(board)
    device.load(example.image)
    board.stuck = True
    with pytest.raises(NoAnswerError, match="no output has come"):
        device.infer_integers(example.x[0])
    with pytest.raises(LinkError, match=r"^memory: load an image before an inference$"):
        device.infer_integers(example.x[0])
    board.stuck = False
    device.load(example.image)
    assert np.array_equal(device.infer_integers(example.x[2]), example.golden[2])


def test_an_output_that_nobody_took_is_not_an_answer(board: BoardModel, example: Any) -> None:
    device = device_on(board)
    device.load(example.image)
    board._take(2 + 2, example.image.inputs.pack(example.x[0]), True)  # type: ignore[arg-type]
    other = device_on(board)
    board._write(registers.CONTROL.address, 0)
    other.load(example.image)
    assert np.array_equal(other.infer_integers(example.x[3]), example.golden[3])


def test_an_error_during_an_inference_is_named(board: BoardModel, example: Any) -> None:
    device = device_on(board)
    device.load(example.image)
    board.stuck = True
    board.registers[registers.ERROR.address] = 200
    with pytest.raises(EngineError, match=r"^memory: the engine reports unknown error 200 \(200\)"):
        device.infer_integers(example.x[0])


@pytest.mark.parametrize(("x", "message"), [
    (np.zeros(20), r"^Samples must have shape \(samples, 20\), not \(20,\)$"),
    (np.zeros((1, 19)), r"^Samples must have shape \(samples, 20\), not \(1, 19\)$"),
    (np.full((1, 20), np.nan), r"^Samples must be finite$"),
])
def test_bad_inputs(board: BoardModel, example: Any, x: Any, message: str) -> None:
    device = device_on(board)
    device.load(example.image)
    with pytest.raises(InputError, match=message):
        device.infer(x)
