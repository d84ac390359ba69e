"""Commands of the array's input stream: words of 64 bits, each command beginning with a header.

The outer memory sends them in the order in which a mapping computes. What a field means:

``SCAN``
    ``count`` configurations follow, see :data:`SCAN_ROW` and :data:`SCAN_PE`, which go through the
    chain of all rows and PEs: the first word ends in the last element.
``IFMAP``
    ``count`` activations follow, run-length coded if ``coded`` (:mod:`eieio.model.eyeriss\
.run_length`) and else four a word, for the beginning of the global buffer.
``FILTER``
    ``count`` words follow for all PEs whose IDs are ``row`` and ``column``: weights in the order of
    their use, as many in a word as the bus carries.
``PASS``
    The array computes. Partial sums are in ``lines`` lines from ``base`` on; they begin at 0 if
    ``first``. It reads ``words`` activations. A second word has the sizes, see :data:`SIZES`.
``PARAMETERS``
    Biases and factors of ``count`` channels follow, two words a channel, see
    :data:`PARAMETER_WORDS`.
``DRAIN``
    The partial sums of ``lines`` lines from ``base`` on are requantized and sent: of ``t`` times
    ``e`` chains, ``p`` of each. A second word has the range of the results, see :data:`RANGE`.
"""

from enum import IntEnum
from typing import NamedTuple

__all__ = ["DRAIN", "FILTER", "HEADER", "IFMAP", "PARAMETERS", "PARAMETER_WORDS", "PASS", "RANGE",
           "SCAN_PE", "SCAN_ROW", "SIZES", "Field", "Opcode", "pack"]


class Opcode(IntEnum):
    """What a command does."""

    SCAN = 1
    IFMAP = 2
    FILTER = 3
    PASS = 4
    PARAMETERS = 5
    DRAIN = 6


class Field(NamedTuple):
    """Place of a field in a word."""

    low: int
    width: int


#: Fields of every header; ``count`` has another meaning in some.
HEADER = {"opcode": Field(0, 4)}
IFMAP = {"coded": Field(4, 1), "count": Field(8, 24)}
FILTER = {"row": Field(8, 8), "column": Field(16, 8), "count": Field(24, 16)}
PASS = {"first": Field(4, 1), "words": Field(8, 24), "base": Field(32, 16),
        "lines": Field(48, 16)}
PARAMETERS = {"count": Field(8, 24)}
DRAIN = {"coded": Field(4, 1), "last": Field(5, 1), "single_rounding": Field(6, 1),
         "p": Field(8, 8), "e": Field(16, 8), "t": Field(24, 8), "base": Field(32, 16),
         "lines": Field(48, 16)}

#: Second word of ``PASS``: all but ``step`` are one less than what they tell. Taps of a PE's window
#: and those that a step leaves behind, places of an output row, channels of a PE, sets of different
#: channels, rows of the input, chains.
SIZES = {"p": Field(0, 8), "taps": Field(8, 8), "step": Field(16, 8), "places": Field(24, 12),
         "q": Field(36, 6), "r": Field(42, 5), "rows": Field(47, 8), "chains": Field(55, 8)}

#: Second word of ``DRAIN``; both are signed.
RANGE = {"minimum": Field(0, 17), "maximum": Field(32, 17)}

#: Configuration of a row: IDs for the buses of activations, of weights, and of partial sums in and
#: out; of a PE: IDs for activations and weights, whether its sums come from and go to the global
#: buffer.
SCAN_ROW = {"ifmap": Field(0, 8), "filter": Field(8, 8), "psum_in": Field(16, 8),
            "psum_out": Field(24, 8)}
SCAN_PE = {"ifmap": Field(0, 8), "filter": Field(8, 8), "from_glb": Field(16, 1),
           "to_glb": Field(17, 1)}

#: The two words of a channel: its bias, by how much its sums are first shifted to the left, the
#: factor, and by how much the product is shifted to the right.
PARAMETER_WORDS = ({"bias": Field(0, 48), "left": Field(48, 5)},
                   {"multiplier": Field(0, 31), "shift": Field(32, 6)})


def pack(fields: dict[str, Field], **values: int) -> int:
    """Put values into a word; what is not given is 0. A negative one is cut to its field."""
    word = 0
    for name, value in values.items():
        low, width = fields[name]
        if not -(1 << width - 1) <= value < 1 << width:
            raise ValueError(f"Field {name} must have {width} bits, not {value}")
        word |= (value & (1 << width) - 1) << low
    return word
