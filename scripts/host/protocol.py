"""The host's side of the protocol of :mod:`eieio.model.uart_frame`: asks until it is answered."""

import time
from collections.abc import Callable

from eieio.host.errors import DeviceError, LinkError, NoAnswerError
from eieio.host.serial_link import Line
from eieio.model.uart_frame import (
    LAST,
    MAX_PAYLOAD,
    REPLY,
    VERSION,
    Deframer,
    Frame,
    Kind,
    LinkState,
    Status,
    encode,
)

__all__ = ["PAUSES", "Link"]

#: Frames that are on their way before the first of them must be acknowledged.
WINDOW = 4

#: Bytes of an image or an input in one frame, at least, if the line is bad.
_MIN_PAYLOAD = 16

#: Answers that arrive damaged, for each one that may not arrive.
_DAMAGED = 8

#: Seconds to wait before a busy board is asked again, first and at most.
PAUSES = (0.0002, 0.01)


class Link:
    """Makes register accesses and transfers of bytes reliable.

    Parameters
    ----------
    line : Line
        Where the board is.
    timeout : :class:`float`
        Seconds, beside those that the bytes themselves take, after which a request without an
        answer is repeated.
    attempts : :class:`int`
        Requests, one after the other, to which nothing comes back, after which there is no board;
        there may be eight times as many to which something comes back, but damaged.

    Attributes
    ----------
    retries : :class:`int`
        Frames that had to be sent again so far.
    """

    def __init__(self, line: Line, *, timeout: float = 0.5, attempts: int = 5) -> None:
        self.retries = 0
        self._line = line
        self._timeout = timeout
        self._attempts = attempts
        self._deframer = Deframer()
        self._arrived: list[Frame | None] = []
        self._line_free = 0.0
        self._size = MAX_PAYLOAD
        self._tag = 0
        self._expected = 0
        self._output = 0
        self._in_step = False

    @property
    def damaged_replies(self) -> int:
        """Frames that arrived damaged so far."""
        return self._deframer.damaged

    def connect(self) -> LinkState:
        """Find the board and get into step with it.

        Raises
        ------
        NoAnswerError
            If nobody answers.
        LinkError
            If the board speaks another version of the protocol.
        """
        while self._line.read(0):
            pass
        state = self._synchronize(Kind.LINK)
        self._expected, self._output = state.expected, state.output
        self._in_step = True
        return state

    def flush(self) -> None:
        """Let the board forget images and inputs that have not reached the engine."""
        self._synchronize(Kind.FLUSH)

    def read(self, address: int) -> int:
        """Return the value of a register."""
        payload = self._ask(Kind.READ, self._next_tag(), address.to_bytes(2, "little"))
        if payload[0] != Status.OK or len(payload) != 5:
            raise LinkError(f"{self._line.name}: register {address:#x} cannot be read "
                            f"({_status(payload)})")
        return int.from_bytes(payload[1:], "little")

    def write(self, address: int, value: int) -> None:
        """Write a register, once."""
        self._require_step()
        payload = self._ask(Kind.WRITE, self._expected,
                            address.to_bytes(2, "little") + value.to_bytes(4, "little"))
        if payload[0] not in {Status.OK, Status.BUS_ERROR}:
            raise self._out_of_step(payload)
        self._expected = (self._expected + 1) % 256
        if payload[0] == Status.BUS_ERROR:
            raise LinkError(f"{self._line.name}: register {address:#x} cannot be written")

    def send(self, kind: Kind, data: bytes, *, patience: float = 10.0,
             check: Callable[[], None] | None = None) -> None:
        """Send an image or an input, whole.

        Parameters
        ----------
        kind : Kind
            ``IMAGE`` or ``INPUT``.
        data : :class:`bytes`
            Its bytes.
        patience : :class:`float`
            Seconds for which the board may take nothing.
        check : callable, optional
            Called while it takes nothing; may raise what the reason is.

        Raises
        ------
        NoAnswerError
            If the board does not answer, or takes nothing for too long.
        """
        self._require_step()
        offset = 0
        failures = 0
        pause = PAUSES[0]
        taken = time.monotonic()
        while offset < len(data):
            frames = self._split(kind, data[offset:])
            done, busy = self._send_window(frames)
            if done < len(frames):
                state = self._synchronize(Kind.LINK)
                ahead = (state.expected - frames[done].number) % 256
                if ahead > min(len(frames) - done, WINDOW):
                    raise self._out_of_step(bytes([Status.ORDER]))
                done += ahead
            else:
                self._size = min(2 * self._size, MAX_PAYLOAD)
            self._expected = (frames[0].number + done) % 256
            offset += sum(len(frame.payload) for frame in frames[:done])
            if done:
                failures, pause, taken = 0, PAUSES[0], time.monotonic()
            elif busy:
                if time.monotonic() - taken > patience:
                    raise NoAnswerError(f"{self._line.name}: the engine has taken nothing for "
                                        f"{patience:g} seconds")
                if check is not None:
                    check()
                time.sleep(pause)
                pause = min(2 * pause, PAUSES[1])
            else:
                # On a line this bad, shorter frames have a better chance.
                self._size = max(self._size // 2, _MIN_PAYLOAD)
                failures += 1
                if failures >= self._attempts * _DAMAGED:
                    raise self._no_answer()

    def receive(self, *, patience: float = 10.0, check: Callable[[], None] | None = None) -> bytes:
        """Return the bytes of the next output, whole.

        Parameters
        ----------
        patience : :class:`float`
            Seconds for which there may be none.
        check : callable, optional
            Called while there are none; may raise what the reason is.

        Raises
        ------
        NoAnswerError
            If the board does not answer, or has no output for too long.
        """
        data = b""
        pause = PAUSES[0]
        asked = time.monotonic()
        while True:
            part = self.poll()
            if part is None:
                if time.monotonic() - asked > patience:
                    raise NoAnswerError(
                        f"{self._line.name}: no output has come for {patience:g} seconds")
                if check is not None:
                    check()
                time.sleep(pause)
                pause = min(2 * pause, PAUSES[1])
                continue
            asked = time.monotonic()
            data += part[0]
            if part[1]:
                return data

    def poll(self) -> tuple[bytes, bool] | None:
        """Return the next bytes of an output, and whether they end it; None if there are none."""
        payload = self._ask(Kind.OUTPUT, self._output)
        if payload[0] == Status.BUSY:
            return None
        if payload[0] != Status.OK or len(payload) < 3:
            raise self._out_of_step(payload)
        self._output = (self._output + 1) % 256
        return payload[1:-1], bool(payload[-1])

    def _split(self, kind: Kind, data: bytes) -> list[Frame]:
        """Make frames, of about equal size, of all that is left of an image or an input."""
        count = -(-len(data) // self._size)
        bounds = [len(data) * number // count for number in range(count + 1)]
        return [Frame(kind | (LAST if number == count - 1 else 0),
                      (self._expected + number) % 256, data[bounds[number]:bounds[number + 1]])
                for number in range(count)]

    def _send_window(self, frames: list[Frame]) -> tuple[int, bool]:
        """Send frames until all are done, or one is not.

        Returns how many are known to be done, and whether the board had no room.
        """
        done = sent = 0
        unanswered = 0
        busy = trouble = False
        while done < len(frames) and not (trouble and unanswered <= 0):
            while not trouble and sent < len(frames) and sent - done < WINDOW:
                self._transmit(frames[sent])
                sent += 1
                unanswered += 1
            try:
                reply = self._receive()
            except TimeoutError:
                break
            if reply is None:
                # Wait for the other answers before the board is asked what it has.
                trouble = True
                unanswered -= 1
                continue
            ahead = (reply.number - frames[done].number) % 256
            if ahead >= sent - done or reply.kind != frames[done + ahead].kind | REPLY:
                continue
            unanswered -= 1
            status = reply.payload[0]
            if status == Status.OK:
                done += ahead + 1
            elif status in {Status.BUSY, Status.ORDER}:
                busy |= status == Status.BUSY
                trouble = True
            else:
                raise self._out_of_step(reply.payload)
        if not busy:
            self.retries += sent - done
        return done, busy

    def _ask(self, kind: Kind, number: int, payload: bytes = b"") -> bytes:
        """Send a request until it is answered; return the reply's payload, the status first."""
        left = self._attempts * _DAMAGED
        asked = False
        while left > 0:
            self.retries += asked
            asked = True
            self._transmit(Frame(kind, number, payload))
            while True:
                try:
                    reply = self._receive()
                except TimeoutError:
                    left -= _DAMAGED
                    break
                if reply is None:
                    left -= 1
                    break
                if reply.kind == kind | REPLY and reply.number == number:
                    return reply.payload
        raise self._no_answer()

    def _synchronize(self, kind: Kind) -> LinkState:
        payload = self._ask(kind, self._next_tag())
        if payload[0] != Status.OK or len(payload) != 5:
            raise LinkError(f"{self._line.name}: the board does not tell the state of the link "
                            f"({_status(payload)})")
        state = LinkState(*payload[1:])
        if state.version != VERSION:
            raise LinkError(f"{self._line.name}: the board speaks version {state.version} of the "
                            f"protocol, not {VERSION}")
        return state

    def _transmit(self, frame: Frame) -> None:
        data = encode(frame)
        now = time.monotonic()
        # The line is busy until it has carried what was written before.
        self._line_free = max(now, self._line_free) + len(data) * self._line.byte_time
        self._line.write(data)

    def _receive(self) -> Frame | None:
        """Return the next reply, or None for one that tells of damage.

        Raises :exc:`TimeoutError` if there is none in time.
        """
        longest = (MAX_PAYLOAD + 16) * self._line.byte_time
        deadline = max(time.monotonic(), self._line_free) + longest + self._timeout
        while not self._arrived:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._arrived += self._deframer.feed(self._line.read(left))
        reply = self._arrived.pop(0)
        return reply if reply and reply.kind != REPLY and reply.payload else None

    def _require_step(self) -> None:
        if not self._in_step:
            self.connect()

    def _next_tag(self) -> int:
        self._tag = (self._tag + 1) % 256
        return self._tag

    def _no_answer(self) -> DeviceError:
        self._in_step = False
        return NoAnswerError(f"{self._line.name}: no board answers at {self._line.baudrate} baud")

    def _out_of_step(self, payload: bytes) -> DeviceError:
        self._in_step = False
        return LinkError(f"{self._line.name}: the board was reset, or someone else uses it "
                         f"({_status(payload)})")


def _status(payload: bytes) -> str:
    names = {status.value: status.name for status in Status}
    return f"status {names.get(payload[0], payload[0])}"
