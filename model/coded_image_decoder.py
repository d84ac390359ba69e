"""Reference of the decoder of coded images, see :mod:`eieio.model.coded_image`: result and cycles.

It reads one bit after the other and looks for what it has read among the codes, where the hardware
(:mod:`eieio.rtl.bus.image_decoder`) compares 16 bits with the first code of every length.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.coded_image import ALL_SYMBOLS, CODE_MAXIMUM, HEADER_WORDS
from eieio.model.registers import ShellError
from eieio.model.word_layout import BYTES, SYMBOL_WIDTH, WordLayout, table_count

__all__ = ["Decoded", "decode_image"]

# Cycles from the first word of a coded image to the first look at its bits; behind the count of
# words; behind the lengths of a table, and behind its symbols; and from the look at the last code
# to the transfer of the last word.
_BEGIN, _COUNT, _LENGTHS, _SYMBOLS, _END = 7, 2, 3, 1, 4

_Table = dict[tuple[int, int], int]


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a decoder makes of a coded image.

    Attributes
    ----------
    words : uint32 array of shape (words,)
        Words of the image, up to the error.
    error : ShellError or None
        What is wrong.
    symbols : :class:`int`
        Symbols in them.
    cycles : :class:`int`
        Cycles from the transfer of the first coded word to that of the last word of the image, if
        neither side ever waits. Of a damaged image it says nothing.
    """

    words: NDArray[np.uint32]
    error: ShellError | None
    symbols: int
    cycles: int


class _Failure(Exception):
    """A coded image is wrong."""

    def __init__(self, error: ShellError) -> None:
        super().__init__(error.name)
        self.error = error


class _Decoder:
    """Reads a coded image."""

    def __init__(self, coded: NDArray[np.uint32], layouts: Mapping[int, WordLayout]) -> None:
        self.text = "".join(f"{int(word):032b}" for word in coded)
        self.layouts = layouts
        self.place = 0
        self.words: list[int] = []
        self.symbols = 0
        self.cycles = _BEGIN

    def run(self) -> None:
        """Decode everything."""
        count = self._integer(32)
        self.cycles += 32 // 8 + _COUNT
        if not count:
            raise _Failure(ShellError.CODE_LONG)
        tables = [self._table() for _ in range(table_count(self.layouts))]
        while len(self.words) < count:
            self._section(tables, count)
        self.cycles += self.symbols + _END
        if len(self.text) - self.place >= 32:
            raise _Failure(ShellError.CODE_LONG)

    def _integer(self, width: int) -> int:
        if len(self.text) - self.place < width:
            raise _Failure(ShellError.CODE_SHORT)
        self.place += width
        return int(self.text[self.place - width:self.place], 2)

    def _table(self) -> _Table:
        """Read codes: symbols by length and bits."""
        codes: list[tuple[int, int]] = []
        following = 0
        for length in range(1, CODE_MAXIMUM + 1):
            count = self._integer(8)
            if count == ALL_SYMBOLS:
                count = 1 << SYMBOL_WIDTH
            following *= 2
            codes += [(length, following + number) for number in range(count)]
            following += count
            if following > 1 << length or len(codes) > 1 << SYMBOL_WIDTH:
                raise _Failure(ShellError.CODE_LENGTHS)
        if following != 1 << CODE_MAXIMUM and codes not in ([], [(1, 0)]):
            raise _Failure(ShellError.CODE_LENGTHS)
        self.cycles += CODE_MAXIMUM + _LENGTHS + (len(codes) + _SYMBOLS if codes else 0)
        return {code: self._integer(SYMBOL_WIDTH) for code in codes}

    def _symbol(self, table: _Table) -> int:
        length = code = 0
        while (length, code) not in table:
            if length == len(table) < 2:  # All others are complete.
                raise _Failure(ShellError.CODE_PREFIX)
            length, code = length + 1, 2 * code + self._integer(1)
        self.symbols += 1
        return table[length, code]

    def _section(self, tables: list[_Table], count: int) -> None:
        """Read a section, or as much of it as there are words."""
        start = len(self.words)
        left, layout = HEADER_WORDS + 1, BYTES
        while left and len(self.words) < count:
            word = self.words[-1] if layout.delta else 0
            value = 0
            for each in layout.fields:
                value |= self._symbol(tables[each.table]) << each.position
            self.words.append((word + value) & 0xFFFFFFFF)
            left -= 1
            if len(self.words) == start + HEADER_WORDS + 1:
                left = (self.words[-2] - 1) & 0xFFFFFFFF
                layout = self.layouts.get(self.words[start] >> 28, BYTES)


def decode_image(coded: NDArray[np.uint32], layouts: Mapping[int, WordLayout]) -> Decoded:
    """Decode an image.

    Parameters
    ----------
    coded : uint32 array of shape (coded words,)
        Coded image, at least one word.
    layouts : mapping of :class:`int` to WordLayout
        Layouts of the words by target.

    Returns
    -------
    Decoded
        Words of the image, or those before an error.
    """
    decoder = _Decoder(coded, layouts)
    error = None
    try:
        decoder.run()
    except _Failure as failure:
        error = failure.error
    return Decoded(np.array(decoder.words, np.uint32), error, decoder.symbols, decoder.cycles)
