"""Run-length code of feature maps in the outer memory.

A word of 64 bits has three pairs, the first in its lowest bits, and at its top a bit that marks the
last word. A pair is a run of up to 31 zeros, in 5 bits, and the number of 16 bits that follows
them; a 0 follows where there are more zeros.
"""

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError

__all__ = ["RUN_MAXIMUM", "WORD_PAIRS", "decode", "encode", "expected_words"]

RUN_WIDTH = 5
LEVEL_WIDTH = 16

#: Zeros that a pair can have before its number.
RUN_MAXIMUM = (1 << RUN_WIDTH) - 1

#: Pairs of a word.
WORD_PAIRS = 3

_PAIR_WIDTH = RUN_WIDTH + LEVEL_WIDTH
_LAST = 1 << 63


def encode(numbers: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Encode numbers.

    Parameters
    ----------
    numbers : integer array of shape (numbers,)
        At least one, each of at most 16 bits, signed.

    Returns
    -------
    uint64 array of shape (words,)
        The code; pairs that the last word does not need are 0.

    Raises
    ------
    InputError
        If there is no number, or one does not fit in 16 bits.
    """
    if numbers.size == 0 or numbers.min() < -1 << 15 or numbers.max() >= 1 << 15:
        raise InputError("Numbers of a run-length code must be at least one, each of 16 bits")
    places = np.flatnonzero(numbers)
    if not len(places) or places[-1] != len(numbers) - 1:
        places = np.append(places, len(numbers) - 1)  # A 0 at the end ends a run as well.
    runs = np.diff(places, prepend=-1) - 1
    full = runs // (RUN_MAXIMUM + 1)  # pairs of zeros alone, in front of the number's
    ends = np.cumsum(full + 1) - 1
    pairs = np.full(-(-(ends[-1] + 1) // WORD_PAIRS) * WORD_PAIRS, RUN_MAXIMUM, np.uint64)
    pairs[ends[-1] + 1:] = 0
    levels = numbers[places].astype(np.int64) & 0xFFFF
    pairs[ends] = (runs % (RUN_MAXIMUM + 1) | levels << RUN_WIDTH).astype(np.uint64)
    shifts = np.arange(0, WORD_PAIRS * _PAIR_WIDTH, _PAIR_WIDTH, dtype=np.uint64)
    words = np.bitwise_or.reduce(pairs.reshape(-1, WORD_PAIRS) << shifts, axis=1)
    words[-1] |= np.uint64(_LAST)
    return words


def decode(words: NDArray[np.uint64], count: int) -> NDArray[np.int16]:
    """Decode so many numbers.

    Raises
    ------
    InputError
        If the words are more or less than a code of so many numbers, or not marked so.
    """
    numbers: list[int] = []
    for place, word in enumerate(words.tolist()):
        if len(numbers) >= count or bool(word & _LAST) != (place == len(words) - 1):
            break
        for pair in range(WORD_PAIRS):
            field = word >> _PAIR_WIDTH * pair
            level = field >> RUN_WIDTH & 0xFFFF
            numbers += [0] * (field & RUN_MAXIMUM)
            numbers.append(level - (level >> 15 << 16))
    else:
        if len(numbers) >= count and not any(numbers[count:]):
            return np.array(numbers[:count], np.int16)
    raise InputError(f"Run-length code of {len(words)} words must be one of {count} numbers, and "
                     "have its mark in the last word alone")


def expected_words(count: int, zeros: float) -> float:
    """Return how many words a code has on average, if each number is 0 with this chance."""
    length = RUN_MAXIMUM + 1 if zeros == 1 else (1 - zeros**(RUN_MAXIMUM + 1)) / (1 - zeros)
    return count / length / WORD_PAIRS
