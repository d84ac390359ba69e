"""Frames between a host and a board over a serial line, which may lose, add and change bytes.

A frame is that of RFC 1662 (PPP in HDLC-like framing), with the 32-bit check sequence::

    7E | kind | number | payload | CRC-32, low byte first | 7E

The CRC is that of zlib, over all bytes before it but the flag. Between the flags, 7E and 7D are
sent as 7D and the byte XOR 20. A payload has up to 256 bytes, and a reply's up to 2 more.

A frame is whole between two flags, so both sides are in step again after the next flag, whatever
was lost; no time-out is needed. What has fewer than 6 bytes between flags is noise and is ignored;
the board answers anything longer that is damaged by ``DAMAGED``.

The host asks, and the board answers every request by one reply: its kind is the request's + 80, its
number the request's, and its payload begins with a :class:`Status`.

============ ================================= ==================================================
request      payload                           reply's payload after the status
============ ================================= ==================================================
READ         address, 2 bytes                  value, 4 bytes
WRITE        address, 2 bytes; value, 4 bytes
IMAGE        words of an image, 1 to 256 bytes
INPUT        beats of an input, 1 to 256 bytes
OUTPUT                                         beats of an output, 1 to 256 bytes, and one byte: 1
                                               if they end the output, else 0
LINK                                           version, expected number, output number, and count
                                               of damaged frames, one byte each
FLUSH                                          as of LINK
============ ================================= ==================================================

Numbers are little-endian. Frames may cut an image, an input or an output anywhere, also within a
word or a beat. ``LAST`` is added to the kind of the frame that ends an image or an input.

Nothing is done twice, and nothing out of order:

- ``WRITE``, ``IMAGE`` and ``INPUT`` are numbered together, modulo 256. The board does the one with
  the expected number. One of the 128 numbers before was done already and is answered by ``OK``
  again; one after is answered by ``ORDER`` and not done. The host may send several of them without
  waiting, and goes back to the expected number after a loss.
- ``OUTPUT`` has numbers of its own. To ask for the output number again gives the same bytes again;
  to ask for the next number says that they have arrived.
- ``READ`` and ``LINK`` may be done any number of times; their numbers only tell replies apart.

Nothing waits for the engine: if there is no room for an image's or an input's bytes, or no output,
the reply is ``BUSY``, and the host asks again later.

``FLUSH`` forgets all bytes that wait on their way in. If an image or an input was cut by that, it
is ended by one more word or beat with TLAST, so that its receiver sees one of a wrong length.
"""

import zlib
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["BAUD_RATE", "ESCAPE", "FLAG", "LAST", "MAX_PAYLOAD", "MIN_FRAME", "REPLY", "TOGGLE",
           "VERSION", "Deframer", "Frame", "Kind", "LinkState", "Status", "encode", "frame_bytes"]

#: Bits a second of a board that was built without another wish.
BAUD_RATE = 1_000_000

#: Version of this protocol, as ``LINK`` tells it.
VERSION = 1

#: Bytes that begin and end a frame, that announce a changed byte, and that change it.
FLAG, ESCAPE, TOGGLE = 0x7E, 0x7D, 0x20

#: Most bytes of an image, an input or an output in one frame.
MAX_PAYLOAD = 256

#: Bytes of the shortest frame: kind, number and CRC.
MIN_FRAME = 6

#: Added to a request's kind: it ends an image or an input.
LAST = 0x10

#: Added to a request's kind: it is the reply.
REPLY = 0x80


class Kind(IntEnum):
    """What a frame asks for."""

    READ = 1
    """Read a register."""
    WRITE = 2
    """Write a register."""
    IMAGE = 3
    """Take words of an image."""
    INPUT = 4
    """Take beats of an input."""
    OUTPUT = 5
    """Give beats of an output."""
    LINK = 6
    """Tell the state of the link."""
    FLUSH = 7
    """Forget what has not reached the engine."""


class Status(IntEnum):
    """First byte of a reply's payload."""

    OK = 0
    """Done, or a repetition of what was done."""
    BUSY = 1
    """Not done: there is no room, or no output; ask again later."""
    DAMAGED = 2
    """A frame arrived damaged. The reply's kind is 80, its number the expected one."""
    ORDER = 3
    """Not done: a frame before this one has not arrived."""
    REFUSED = 4
    """Not done: no such kind, or a wrong length of the payload."""
    BUS_ERROR = 5
    """The register's bus answered with an error, or has no such address."""


@dataclass(frozen=True)
class Frame:
    """A frame, unpacked.

    Attributes
    ----------
    kind : :class:`int`
        :class:`Kind`, perhaps with ``LAST`` or ``REPLY``.
    number : :class:`int`
        0 to 255.
    payload : :class:`bytes`
        Payload.
    """

    kind: int
    number: int
    payload: bytes = b""


@dataclass(frozen=True)
class LinkState:
    """What ``LINK`` tells.

    Attributes
    ----------
    version : :class:`int`
        Version of the protocol.
    expected : :class:`int`
        Number that the board expects next.
    output : :class:`int`
        Number of the output's bytes that it gives next, or again.
    damaged : :class:`int`
        Damaged frames it received, modulo 256.
    """

    version: int
    expected: int
    output: int
    damaged: int


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame on the line, both flags included."""
    body = bytes([frame.kind, frame.number]) + frame.payload
    body += zlib.crc32(body).to_bytes(4, "little")
    for special in (ESCAPE, FLAG):
        body = body.replace(bytes([special]), bytes([ESCAPE, special ^ TOGGLE]))
    return b"%c%b%c" % (FLAG, body, FLAG)


def frame_bytes(payload: int) -> int:
    """Bytes on the line of a frame whose payload has so many, but for those that escape others."""
    return payload + MIN_FRAME + 2


class Deframer:
    """Finds frames among received bytes.

    Attributes
    ----------
    damaged : :class:`int`
        Damaged frames found so far.
    """

    #: Bytes after which what has no flag is given up as noise.
    _LIMIT = 4 * MAX_PAYLOAD

    def __init__(self) -> None:
        self.damaged = 0
        self._body = b""

    def feed(self, data: bytes) -> list[Frame | None]:
        """Take received bytes; return the frames that are now whole, None for a damaged one."""
        frames: list[Frame | None] = []
        *ended, rest = (self._body + data).split(bytes([FLAG]))
        for body in ended:
            plain = _without_escapes(body)
            if plain is None or len(plain) >= MIN_FRAME:
                frames.append(_check(plain))
                self.damaged += frames[-1] is None
        self._body = rest[-self._LIMIT:]
        return frames


def _without_escapes(body: bytes) -> bytes | None:
    parts = body.split(bytes([ESCAPE]))
    if not all(parts[1:]):
        return None
    return parts[0] + b"".join(bytes([part[0] ^ TOGGLE]) + part[1:] for part in parts[1:])


def _check(plain: bytes | None) -> Frame | None:
    if plain is None or zlib.crc32(plain[:-4]).to_bytes(4, "little") != plain[-4:]:
        return None
    return Frame(plain[0], plain[1], plain[2:-4])
