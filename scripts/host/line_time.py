"""How long an inference takes over a serial line, by the bytes of driver and board."""

from eieio.host.protocol import PAUSES
from eieio.model.uart_frame import MAX_PAYLOAD, frame_bytes

__all__ = ["inference_seconds"]

#: Bits of a byte on the line: start, 8 bits, stop.
_BITS = 10


def inference_seconds(input_bytes: int, output_bytes: int, engine_seconds: float,
                      baud: float) -> float:
    """Return the seconds of :meth:`eieio.host.device.Device.infer_integers` that the line takes.

    The input goes in frames, which are acknowledged meanwhile, all but the last one; then the
    driver asks for the output, a frame at a time, again and again while there is none. What host
    and USB adapter take is not known, and left out; so are bytes that escape others, one in 128 on
    average of random data.

    Parameters
    ----------
    input_bytes, output_bytes : :class:`int`
        Bytes of an input and of an output.
    engine_seconds : :class:`float`
        What the engine needs until there is output.
    baud : :class:`float`
        Bits a second.
    """
    byte = _BITS / baud
    frames = -(-input_bytes // MAX_PAYLOAD)
    seconds = (input_bytes + frames * frame_bytes(0)) * byte
    ready = seconds + engine_seconds
    request, status = frame_bytes(0) * byte, frame_bytes(1) * byte
    seconds += status
    pause = PAUSES[0]
    while seconds + request < ready:
        seconds += request + status + pause
        pause = min(2 * pause, PAUSES[1])
    replies = -(-output_bytes // MAX_PAYLOAD)
    # A reply has a status in front, and tells at its end whether more follow.
    return seconds + replies * (request + frame_bytes(2) * byte) + output_bytes * byte
