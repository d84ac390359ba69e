"""CRC-32 of a stream of words."""

from functools import reduce
from operator import xor

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Crc32"]

_POLYNOMIAL = 0xEDB88320

#: What is left after a message and its CRC, whatever the message is.
_RESIDUE = 0xDEBB20E3


class Crc32(wiring.Component):
    """Computes the CRC-32 of zlib over words of 32 bits, the lowest byte first; one word a cycle.

    What a word adds is worked out ahead of the loop over the CRC, so that three levels of 4-input
    tables make the longest path.

    Attributes
    ----------
    latency : :class:`int`
        Cycles from a word to ``intact``.

    Members
    -------
    valid : ``In(1)``
        There is a word.
    first : ``In(1)``
        It is the first of a message.
    word : ``In(32)``
        The word.
    intact : ``Out(1)``
        The words up to the last one are a message with its CRC at the end, ``latency`` later.
    """

    latency = 4

    valid: Signal
    first: Signal
    word: Signal
    intact: Signal

    def __init__(self) -> None:
        super().__init__({
            "valid": In(unsigned(1)),
            "first": In(unsigned(1)),
            "word": In(unsigned(32)),
            "intact": Out(unsigned(1)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid = [Signal(name=f"valid_{stage}") for stage in range(2)]
        first = [Signal(name=f"first_{stage}") for stage in range(2)]
        word = Signal(32)
        added = Signal(32)
        remainder = Signal(32)
        m.d.sync += [
            valid[0].eq(self.valid),
            valid[1].eq(valid[0]),
            first[0].eq(self.first),
            first[1].eq(first[0]),
            # The CRC begins with ones, which is the same as to invert the first word.
            word.eq(Mux(self.first, ~self.word, self.word)),
            self.intact.eq(remainder == _RESIDUE),
        ]
        for bit in range(32):
            m.d.sync += added[bit].eq(_shifted(word, bit))
            with m.If(valid[1]):
                m.d.sync += remainder[bit].eq(
                    (_shifted(remainder, bit) & ~first[1]) ^ added[bit])
        return m


def _shifted(word: Value, bit: int) -> Value:
    """Return a bit of a remainder after 32 more bits of zeros."""
    return reduce(xor, (word[source] for source, image in enumerate(_IMAGES)
                        if image >> bit & 1), Const(0, 1))


def _image(remainder: int) -> int:
    for _ in range(32):
        remainder = remainder >> 1 ^ (_POLYNOMIAL if remainder & 1 else 0)
    return remainder


#: What each bit of a remainder becomes after 32 more bits of zeros.
_IMAGES = [_image(1 << source) for source in range(32)]
