"""The serial port, as the protocol sees it."""

import errno
import os
from typing import Protocol

import serial

from eieio.host.errors import NoAnswerError
from eieio.model.errors import InputError

__all__ = ["Line", "SerialLine"]


class Line(Protocol):
    """Carries bytes to a board and back, or most of them."""

    name: str
    """What to call it in messages."""

    baudrate: int
    """Bits a second."""

    byte_time: float
    """Seconds that a byte takes."""

    def write(self, data: bytes) -> None:
        """Send bytes; need not wait until they are gone."""
        ...

    def read(self, seconds: float) -> bytes:
        """Return bytes that have arrived; if there are none, wait so long for the first."""
        ...

    def close(self) -> None:
        """Let go of the port."""
        ...


def _reason(error: Exception) -> str:
    """Say in the words of the operating system why a port does not open."""
    # pyserial's own text may hide the number.
    number = getattr(error, "errno", None) or getattr(error.__context__, "errno", None)
    if number in {errno.EAGAIN, errno.EACCES, errno.EBUSY} and "lock" in str(error):
        return "another program has it open"
    if number == errno.EBUSY:
        return "another program has it open"
    if number == errno.ENOTTY or "Inappropriate ioctl" in str(error):
        return "it is no serial port"
    return os.strerror(number) if number else str(error)


class SerialLine:
    """A serial port: 8 data bits, no parity, 1 stop bit.

    Parameters
    ----------
    port : :class:`str`
        Name of the port, such as ``/dev/ttyUSB0`` or ``COM3``.
    baudrate : :class:`int`
        Bits a second, as the board was built for.

    Raises
    ------
    InputError
        If the port cannot be opened.
    """

    def __init__(self, port: str, baudrate: int) -> None:
        self.name = port
        self.baudrate = baudrate
        self.byte_time = 10 / baudrate
        try:
            self._serial = serial.Serial(port, baudrate, timeout=0, write_timeout=None,
                                         exclusive=True)
        except (serial.SerialException, ValueError, OSError) as error:
            text = _reason(error)
            raise InputError(f"Serial port {port} cannot be opened: {text}") from error

    def write(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError) as error:
            raise NoAnswerError(f"{self.name}: the serial port is gone") from error

    def read(self, seconds: float) -> bytes:
        """Return bytes that have arrived; if there are none, wait so long for the first."""
        try:
            waiting = self._serial.in_waiting
            if waiting:
                return self._serial.read(waiting)
            self._serial.timeout = max(seconds, 0)
            return self._serial.read(1)
        except (serial.SerialException, OSError) as error:
            raise NoAnswerError(f"{self.name}: the serial port is gone") from error

    def close(self) -> None:
        """Let go of the port."""
        self._serial.close()
