"""A board modelled in Python: for tests of the host driver that need no simulator.

It speaks the protocol of :mod:`eieio.model.uart_frame` as the UART bridge does, and has registers,
image and inferences as the shell and an engine have, without their timing.
"""

import os
import select
import threading
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from eieio.model import registers
from eieio.model.host_image import HostImage
from eieio.model.registers import Control, ErrorCode, ShellError
from eieio.model.registers import Status as EngineStatus
from eieio.model.registry import find_engine
from eieio.model.uart_frame import (
    LAST,
    MAX_PAYLOAD,
    REPLY,
    VERSION,
    Deframer,
    Frame,
    Kind,
    Status,
    encode,
)

__all__ = ["BoardModel", "MemoryLine", "on_terminal"]


class BoardModel:
    """A board.

    Parameters
    ----------
    image : HostImage
        Image for the engine that it holds; the only one that it accepts.
    compute : callable
        Returns the output of an input, integers of shape (outputs,) and (inputs,).

    Attributes
    ----------
    registers : dict of :class:`int` to :class:`int`
        Contents of registers by address.
    writes : list of pairs of :class:`int`
        Address and value of each write, in order.
    packets : list of pairs of :class:`Kind` and :class:`bytes`
        Images and inputs, in order.
    busy : :class:`int`
        How many more requests with data are answered by ``BUSY``.
    stuck : :class:`bool`
        Whether the engine never finishes an inference.
    version : :class:`int`
        Version of the protocol that it says it speaks.
    """

    def __init__(self, image: HostImage,
                 compute: Callable[[NDArray[np.int32]], NDArray[np.integer]]) -> None:
        self.registers = {
            registers.ID.address: registers.ID_VALUE,
            registers.VERSION.address: registers.version_word("1.2.3"),
            registers.ENGINE.address: find_engine(image.engine).number or 0,
            registers.CONFIG.address: image.fingerprint,
            registers.INPUT_WIDTH.address: image.inputs.beat_bits,
            registers.OUTPUT_WIDTH.address: image.outputs.beat_bits,
            registers.CLOCK_HZ.address: 1_000_000,
            registers.CYCLES.address: 100,
        }
        self.writes: list[tuple[int, int]] = []
        self.packets: list[tuple[Kind, bytes]] = []
        self.busy = 0
        self.stuck = False
        self.version = VERSION
        self._image = image
        self._compute = compute
        self._deframer = Deframer()
        self._expected = self._number = 0
        self._partial = {Kind.IMAGE: b"", Kind.INPUT: b""}
        self._output = b""
        self._ends: deque[int] = deque()  # Bytes of each output that waits.
        self._sent: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the line, and return those of the replies."""
        replies = []
        for frame in self._deframer.feed(data):
            if frame is None:
                replies.append(Frame(REPLY, self._expected, bytes([Status.DAMAGED])))
            else:
                replies.append(Frame(frame.kind | REPLY, frame.number, self._answer(frame)))
        return b"".join(encode(reply) for reply in replies)

    def _answer(self, frame: Frame) -> bytes:
        kind, payload = frame.kind & ~LAST, frame.payload
        if kind == Kind.READ:
            value = self.registers.get(int.from_bytes(payload, "little"), 0)
            return bytes([Status.OK]) + value.to_bytes(4, "little")
        if kind in {Kind.WRITE, Kind.IMAGE, Kind.INPUT}:
            ahead = (frame.number - self._expected) % 256
            if ahead:
                return bytes([Status.ORDER if ahead < 128 else Status.OK])
            if kind != Kind.WRITE and self.busy:
                self.busy -= 1
                return bytes([Status.BUSY])
            self._expected = (self._expected + 1) % 256
            if kind == Kind.WRITE:
                self._write(int.from_bytes(payload[:2], "little"),
                            int.from_bytes(payload[2:], "little"))
            else:
                self._take(Kind(kind), payload, bool(frame.kind & LAST))
            return bytes([Status.OK])
        if kind == Kind.OUTPUT:
            return self._give(frame.number)
        if kind in {Kind.LINK, Kind.FLUSH}:
            if kind == Kind.FLUSH:
                self._partial = dict.fromkeys(self._partial, b"")
            return bytes([Status.OK, self.version, self._expected, self._number,
                          self._deframer.damaged % 256])
        return bytes([Status.REFUSED])

    def _write(self, address: int, value: int) -> None:
        self.writes.append((address, value))
        if address == registers.CONTROL.address and value & Control.SOFT_RESET:
            self.registers[registers.STATUS.address] = 0
            self._output, self._sent = b"", None
            self._ends.clear()
        if address == registers.CONTROL.address and value & (
                Control.CLEAR_ERROR | Control.SOFT_RESET):
            self.registers[registers.ERROR.address] = 0

    def _take(self, kind: Kind, payload: bytes, last: bool) -> None:
        self._partial[kind] += payload
        if not last:
            return
        data, self._partial[kind] = self._partial[kind], b""
        self.packets.append((kind, data))
        if kind == Kind.IMAGE:
            coded = self._image.may_be_coded and data == self._image.frame(coded=True)
            if coded or data == self._image.frame():
                self.registers[registers.STATUS.address] = EngineStatus.LOADED
            else:
                self.registers[registers.ERROR.address] = ShellError.FRAME_CHECKSUM
        elif len(data) != self._image.inputs.size_bytes:
            self.registers[registers.ERROR.address] = ErrorCode.INPUT_SHORT
        elif not self.stuck:
            output = self._image.outputs.pack(self._compute(self._image.inputs.unpack(data)))
            self._output += output
            self._ends.append(len(output))

    def _give(self, number: int) -> bytes:
        if number == (self._number + 1) % 256 and self._sent is not None:
            self._number, self._sent = number, None
        elif number != self._number:
            return bytes([Status.ORDER])
        if self._sent is None:
            if not self._ends:
                return bytes([Status.BUSY])
            count = min(MAX_PAYLOAD, self._ends[0])
            self._ends[0] -= count
            self._sent = self._output[:count] + bytes([self._ends[0] == 0])
            self._output = self._output[count:]
            if not self._ends[0]:
                self._ends.popleft()
        return bytes([Status.OK]) + self._sent


class MemoryLine:
    """Joins a host to a board model in the same thread; time passes only while the host waits.

    Parameters
    ----------
    board : BoardModel or None
        Board, or nobody.
    disturb : callable, optional
        What becomes of bytes on their way, in either direction.
    """

    name = "memory"
    baudrate = 1_000_000
    byte_time = 0.0

    def __init__(self, board: BoardModel | None,
                 disturb: Callable[[bytes], bytes] = bytes) -> None:
        self._board = board
        self._disturb = disturb
        self._waiting = b""

    def write(self, data: bytes) -> None:
        """Hand bytes to the board."""
        if self._board is not None:
            self._waiting += self._disturb(self._board.feed(self._disturb(data)))

    def read(self, seconds: float) -> bytes:
        """Return what the board has sent."""
        if not self._waiting:
            threading.Event().wait(seconds)
        data, self._waiting = self._waiting, b""
        return data

    def close(self) -> None:
        """Do nothing."""


@contextmanager
def on_terminal(board: BoardModel) -> Iterator[str]:
    """Put a board behind a pseudo-terminal; gives the name of its port."""
    controller, terminal = os.openpty()
    tty.setraw(terminal)
    ended, end = os.pipe()

    def serve() -> None:
        while ended not in (ready := select.select([controller, ended], [], [])[0]):
            if controller in ready:
                os.write(controller, board.feed(os.read(controller, 4096)))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield os.ttyname(terminal)
    finally:
        os.close(end)
        thread.join()
        for descriptor in (ended, controller, terminal):
            os.close(descriptor)
