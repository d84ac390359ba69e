"""The host's side of the protocol: every request is done once and in order, whatever is lost."""

from collections.abc import Callable
from random import Random

import pytest

from eieio.host.errors import LinkError, NoAnswerError
from eieio.host.protocol import Link
from eieio.model import registers
from eieio.model.uart_frame import MAX_PAYLOAD, Deframer, Frame, Kind, encode
from eieio.sim.board_model import BoardModel, MemoryLine

CONTROL = registers.CONTROL.address


def noise(seed: int, rate: float) -> Callable[[bytes], bytes]:
    """Bytes are lost, changed, and come from nowhere, each at ``rate``."""
    random = Random(seed)

    def disturb(data: bytes) -> bytes:
        disturbed = bytearray()
        for byte in data:
            if random.random() < rate:
                disturbed.append(random.randrange(256))
            if random.random() < rate:
                continue
            disturbed.append(byte ^ (1 << random.randrange(8) if random.random() < rate else 0))
        return bytes(disturbed)

    return disturb


def link_to(board: BoardModel | None, disturb: Callable[[bytes], bytes] = bytes) -> Link:
    link = Link(MemoryLine(board, disturb), timeout=0.002)
    link.connect()
    return link


def test_frames_survive_encoding() -> None:
    random = Random(0)
    frames = [Frame(random.randrange(256), random.randrange(256),
                    random.choice([b"", bytes([0x7D, 0x7E, 0x5D, 0x5E]), random.randbytes(256)]))
              for _ in range(50)]
    line = b"".join(encode(frame) for frame in frames)
    deframer = Deframer()
    found = []
    while line:
        size = random.randrange(1, 40)
        found += deframer.feed(line[:size])
        line = line[size:]
    assert found == frames
    assert deframer.damaged == 0


def test_encoding_is_that_of_rfc_1662() -> None:
    # The CRC-32 of 01 7E is EF7F7F85.
    assert encode(Frame(1, 0x7E)).hex(" ") == "7e 01 7d 5e 85 7f 7f ef 7e"


def test_deframer_is_in_step_after_any_damage() -> None:
    for seed in range(200):
        disturb = noise(seed, 0.05)
        deframer = Deframer()
        good = Frame(1, 2, b"\x7e\x7d")
        found = deframer.feed(disturb(encode(good) * 3) + encode(good) * 2)
        assert found[-1] == good
        assert all(frame in {good, None} for frame in found)


def test_registers_are_read_and_written(board: BoardModel) -> None:
    link = link_to(board)
    assert link.read(registers.ID.address) == registers.ID_VALUE
    for value in (1, 0x7E7D0001):
        link.write(0x2C, value)
    assert board.writes == [(0x2C, 1), (0x2C, 0x7E7D0001)]
    assert link.retries == 0


@pytest.mark.parametrize("size", [1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 3000])
def test_images_and_inputs_arrive_whole(board: BoardModel, size: int) -> None:
    link = link_to(board)
    data = Random(size).randbytes(size)
    link.send(Kind.IMAGE, data)
    link.send(Kind.INPUT, data[::-1])
    assert board.packets == [(Kind.IMAGE, data), (Kind.INPUT, data[::-1])]
    assert link.retries == 0


@pytest.mark.parametrize("seed", range(20))
def test_noise_neither_repeats_nor_reorders_anything(board: BoardModel, seed: int) -> None:
    link = link_to(board, noise(seed, 0.004))
    random = Random(seed)
    writes, packets = [], []
    for number in range(40):
        link.write(0x2C, number)
        writes.append((0x2C, number))
        kind = random.choice([Kind.IMAGE, Kind.INPUT])
        data = random.randbytes(random.randrange(1, 1200))
        link.send(kind, data)
        packets.append((kind, data))
        assert link.read(registers.ID.address) == registers.ID_VALUE
    assert board.writes == writes
    assert board.packets == packets
    assert link.retries > 0


def test_a_busy_board_is_asked_again(board: BoardModel) -> None:
    link = link_to(board)
    board.busy = 7
    checks: list[int] = []
    link.send(Kind.INPUT, bytes(1000), check=lambda: checks.append(board.busy))
    assert board.packets == [(Kind.INPUT, bytes(1000))]
    assert checks
    assert link.retries == 0


def test_a_board_that_stays_busy_is_given_up(board: BoardModel) -> None:
    link = link_to(board)
    board.busy = 1 << 30
    with pytest.raises(NoAnswerError, match=r"^memory: the engine has taken nothing for 0\.02 "):
        link.send(Kind.INPUT, bytes(10), patience=0.02)


def test_a_board_without_output_is_given_up(board: BoardModel) -> None:
    link = link_to(board)
    with pytest.raises(NoAnswerError, match=r"^memory: no output has come for 0\.02 seconds$"):
        link.receive(patience=0.02)


def test_nobody_answers() -> None:
    with pytest.raises(NoAnswerError, match=r"^memory: no board answers at 1000000 baud$"):
        link_to(None)


def test_a_board_that_was_reset_is_noticed(board: BoardModel) -> None:
    link = link_to(board)
    for value in range(3):
        link.write(CONTROL, value)
    board.__init__(board._image, board._compute)
    with pytest.raises(LinkError, match=r"^memory: the board was reset, or someone else uses it"):
        link.write(CONTROL, 3)
    link.write(CONTROL, 4)
    assert board.writes == [(CONTROL, 4)]


def test_another_version_of_the_protocol_is_refused(board: BoardModel) -> None:
    board.version = 9
    with pytest.raises(LinkError, match=r"^memory: the board speaks version 9 of the protocol, "):
        link_to(board)
