"""Coded images: an image in fewer bits, by canonical Huffman codes.

An image is a sequence of sections: a header of three words, target, address and number, and so many
words for a memory, which resemble each other. So a word is cut into symbols of up to 8 bits by the
layout of its section's target (:class:`~eieio.model.word_layout.WordLayout`), which the engine's
configuration knows, and each field has a code of its own. The header of a section and the first
word behind it are bytes of table 0, and so are all words of a target without a layout.

A coded image is a sequence of bits, the first in the highest bit of the first word:

====================== ===========================================================================
bits                   content
====================== ===========================================================================
32                     words of the image, N; at least 1
for each table:
16 x 8                 how many codes have 1, 2, … 16 bits; 255 stands for 256
8 for each code        its symbol, in the order of the codes
for each of N words:   codes of its fields
up to 31               0
====================== ===========================================================================

The codes of a table are canonical: numbered upward by length and, within a length, in the order in
which their symbols come. They must be complete; but a table may have no code, if no symbol needs
it, or one of a single bit.

How the frame around it differs is in :mod:`eieio.model.image_frame`, and the reference of the
decoder is :mod:`eieio.model.coded_image_decoder`.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from eieio.model.compress.huffman import canonical_codes, code_lengths
from eieio.model.errors import InputError
from eieio.model.word_layout import BYTES, SYMBOL_WIDTH, WordLayout, table_count

__all__ = ["ALL_SYMBOLS", "CODE_MAXIMUM", "HEADER_WORDS", "encode_image", "encode_symbols",
           "image_symbols"]

#: Bits of the longest code.
CODE_MAXIMUM = 16

#: Words of a section's header.
HEADER_WORDS = 3

#: What stands for as many codes as there are symbols. A complete code never has 255 of one length.
ALL_SYMBOLS = 255

_Symbols = tuple[NDArray[np.int64], NDArray[np.int64]]


def encode_image(words: NDArray[np.uint32], layouts: Mapping[int, WordLayout]
                 ) -> NDArray[np.uint32]:
    """Code an image.

    Parameters
    ----------
    words : uint32 array of shape (N,)
        Image: whole sections.
    layouts : mapping of :class:`int` to WordLayout
        Layouts of the words by target.

    Returns
    -------
    uint32 array
        Coded image.

    Raises
    ------
    InputError
        If the image is not made of whole sections, or a word does not fit its layout.
    """
    tables, symbols = image_symbols(words, layouts)
    lengths = [code_lengths(np.bincount(symbols[tables == table], minlength=1 << SYMBOL_WIDTH))
               for table in range(table_count(layouts))]
    return encode_symbols(len(words), lengths, tables, symbols)


def image_symbols(words: NDArray[np.uint32], layouts: Mapping[int, WordLayout]) -> _Symbols:
    """Cut an image into symbols.

    Takes what :func:`encode_image` takes, and returns table and value of each symbol, two int64
    arrays of shape (symbols,).
    """
    parts = list(_symbols(words.astype(np.int64), layouts))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def encode_symbols(count: int, lengths: list[NDArray[np.uint8]], tables: NDArray[np.int64],
                   symbols: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Write a coded image with given codes.

    Parameters
    ----------
    count : :class:`int`
        Words of the image.
    lengths : list of uint8 arrays of shape (256,)
        For each table the bits of each symbol's code, 0 for none.
    tables, symbols : int64 arrays of shape (symbols,)
        Table and value of each symbol.

    Returns
    -------
    uint32 array
        Coded image.
    """
    codes = [canonical_codes(each) for each in lengths]
    head = [(count, 32), *(part for each in lengths for part in _description(each))]
    values = np.concatenate([np.array([value for value, _ in head], np.int64),
                             np.stack(codes).astype(np.int64)[tables, symbols]])
    widths = np.concatenate([np.array([width for _, width in head], np.int64),
                             np.stack(lengths).astype(np.int64)[tables, symbols]])
    places = np.arange(widths.max())
    # Row by row the bits of each value, the highest first, and behind them what is not one.
    bits = (values[:, np.newaxis] >> np.maximum(widths[:, np.newaxis] - 1 - places, 0)) & 1
    stream = bits[places < widths[:, np.newaxis]].astype(np.uint8)
    stream = np.pad(stream, (0, -stream.size % 32))
    return np.packbits(stream).view(">u4").astype(np.uint32)


def _description(lengths: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return values and widths of what describes a table: lengths of shape (256,)."""
    counts = np.bincount(lengths, minlength=CODE_MAXIMUM + 1)[1:]
    order = np.argsort(lengths, kind="stable")[np.count_nonzero(lengths == 0):]
    return [*((min(int(count), ALL_SYMBOLS), 8) for count in counts),
            *((int(symbol), SYMBOL_WIDTH) for symbol in order)]


def _symbols(words: NDArray[np.int64], layouts: Mapping[int, WordLayout]) -> Iterator[_Symbols]:
    """Give tables and values of the symbols, a part of a section at a time."""
    start = 0
    while start < len(words):
        header = words[start:start + HEADER_WORDS]
        count = int(header[-1]) if len(header) == HEADER_WORDS else 0
        end = start + HEADER_WORDS + count
        if not count or end > len(words):
            raise InputError(f"Image must be made of whole sections, unlike that at word {start}")
        first = start + HEADER_WORDS + 1
        yield _cut(words[start:first], BYTES)
        layout = layouts.get(int(header[0]) >> 28, BYTES)
        rest = words[first:end]
        if layout.delta:
            rest = (rest - words[first - 1:end - 1]) & 0xFFFFFFFF
        yield _cut(rest, layout)
        start = end


def _cut(words: NDArray[np.int64], layout: WordLayout) -> _Symbols:
    parts = np.stack([words >> each.position & ((1 << each.width) - 1)
                      for each in layout.fields], axis=1)
    whole = np.bitwise_or.reduce(parts << [each.position for each in layout.fields], axis=1)
    if not np.array_equal(whole, words):
        wrong = int(words[whole != words][0])
        raise InputError(f"Word {wrong:#010x} of an image must have all its bits in {layout}")
    tables = np.tile([each.table for each in layout.fields], len(words))
    return tables.astype(np.int64), parts.reshape(-1)
