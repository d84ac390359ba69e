"""Canonical Huffman codes of limited length.

Codes are numbered upward by length and, within a length, by symbol, as in RFC 1951, so that the
lengths alone define the codes. A code is written most significant bit first, and bits fill a byte
from its most significant bit on.
"""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError

__all__ = ["canonical_codes", "code_lengths", "decode", "encode"]

_MAX_LENGTH = 16
# Decoding first jumps this many symbols at a time, then decodes between the jumps in lockstep.
_JUMP_DOUBLINGS = 6
# Bits decoded at a time, which bounds the memory.
_SEGMENT_BITS = 1 << 20


def code_lengths(counts: NDArray[np.integer[Any]], limit: int = 16) -> NDArray[np.uint8]:
    """Find the lengths of the codes that write a text in the fewest bits.

    Parameters
    ----------
    counts : integer array of shape (n_symbols,)
        Occurrences of each symbol.
    limit : :class:`int`
        Longest code to allow, from 1 to 16.

    Returns
    -------
    uint8 array of shape (n_symbols,)
        Bits of each symbol's code, 0 where the symbol does not occur. No prefix code within the
        limit makes the text shorter. A symbol that is the only one still takes a bit.

    Raises
    ------
    InputError
        If a parameter does not fit, or the limit is too low for so many symbols.
    """
    if not np.issubdtype(counts.dtype, np.integer) or counts.ndim != 1:
        raise InputError(
            f"Counts must be a 1-D array of integers, not {counts.ndim}-D {counts.dtype}")
    if counts.size and counts.min() < 0:
        raise InputError(f"Counts must not be negative, not {counts.min()}")
    if not 1 <= limit <= _MAX_LENGTH:
        raise InputError(f"Limit must be from 1 to {_MAX_LENGTH}, not {limit!r}")
    symbols = int(np.count_nonzero(counts))
    if symbols > 2 ** limit:
        raise InputError(f"Limit must allow for {symbols} symbols, not {limit!r}")
    return _code_lengths(counts.astype(np.int64), limit)


def _code_lengths(counts: NDArray[np.int64], limit: int) -> NDArray[np.uint8]:
    """Package-merge: Larmore and Hirschberg, 1990."""
    lengths = np.zeros(counts.size, np.uint8)
    symbols = np.flatnonzero(counts)
    if symbols.size < 2:
        lengths[symbols] = 1
        return lengths
    symbols = symbols[np.argsort(counts[symbols], kind="stable")]
    leaves = counts[symbols]
    levels = []
    weights = leaves
    is_leaf = np.ones(leaves.size, np.bool_)
    for _ in range(limit):
        levels.append(is_leaf)
        pairs = weights.size // 2
        packages = weights[:2 * pairs:2] + weights[1:2 * pairs:2]
        weights = np.concatenate((leaves, packages))
        order = np.argsort(weights, kind="stable")
        weights = weights[order]
        is_leaf = order < leaves.size
    # Of each level the cheapest are taken: a leaf lengthens its code by a bit, a package takes
    # two of the level below.
    taken = 2 * leaves.size - 2
    for is_leaf in reversed(levels):
        taken_leaves = int(np.count_nonzero(is_leaf[:taken]))
        lengths[symbols[:taken_leaves]] += 1
        taken = 2 * (taken - taken_leaves)
    return lengths


def canonical_codes(lengths: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Assign the canonical codes of given lengths.

    Parameters
    ----------
    lengths : uint8 array of shape (n_symbols,)
        Bits of each symbol's code, at most 16, 0 for none.

    Returns
    -------
    uint16 array of shape (n_symbols,)
        Codes, in their low bits; 0 where the length is 0.

    Raises
    ------
    InputError
        If there is no prefix code with these lengths.
    """
    _check_lengths(lengths)
    return _canonical_codes(lengths)


def _check_lengths(lengths: NDArray[np.uint8]) -> None:
    if lengths.dtype != np.uint8 or lengths.ndim != 1 or lengths.size > 2 ** _MAX_LENGTH:
        raise InputError(f"Code lengths must be a 1-D uint8 array of at most {2 ** _MAX_LENGTH} "
                         f"symbols, not {lengths.dtype} of shape {lengths.shape}")
    if lengths.size and lengths.max() > _MAX_LENGTH:
        raise InputError(f"Code lengths must be at most {_MAX_LENGTH}, not {lengths.max()}")
    used = lengths[lengths > 0].astype(np.int64)
    if np.sum(1 << (_MAX_LENGTH - used)) > 1 << _MAX_LENGTH:
        raise InputError("Code lengths must be those of a prefix code, not shorter")


def _canonical_codes(lengths: NDArray[np.uint8]) -> NDArray[np.uint16]:
    codes = np.zeros(lengths.size, np.uint16)
    order = _canonical_order(lengths)
    ordered = lengths[order].astype(np.int64)
    shares = 1 << (_MAX_LENGTH - ordered)
    starts = np.cumsum(shares) - shares
    codes[order] = starts >> (_MAX_LENGTH - ordered)
    return codes


def _canonical_order(lengths: NDArray[np.uint8]) -> NDArray[np.intp]:
    symbols = np.flatnonzero(lengths)
    return symbols[np.argsort(lengths[symbols], kind="stable")]


def encode(symbols: NDArray[np.unsignedinteger[Any]],
           lengths: NDArray[np.uint8]) -> tuple[bytes, int]:
    """Write symbols with the canonical codes of given lengths.

    Parameters
    ----------
    symbols : uint8 or uint16 array of shape (count,)
        Text to write.
    lengths : uint8 array of shape (n_symbols,)
        Bits of each symbol's code, see :func:`code_lengths`.

    Returns
    -------
    data : :class:`bytes`
        Codes one after the other; the last byte is filled with zeros.
    bits : :class:`int`
        Bits of the codes.

    Raises
    ------
    InputError
        If a parameter does not fit, or a symbol has no code.
    """
    _check_lengths(lengths)
    if symbols.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)} or symbols.ndim != 1:
        raise InputError("Symbols must be a 1-D uint8 or uint16 array, "
                         f"not {symbols.ndim}-D {symbols.dtype}")
    if symbols.size and symbols.max() >= lengths.size:
        raise InputError(f"Symbols must be below {lengths.size}, not {symbols.max()}")
    uncoded = np.flatnonzero(lengths[symbols] == 0)
    if uncoded.size:
        raise InputError(f"Symbols must have a code, unlike {symbols[uncoded[0]]} "
                         f"at {uncoded[0]}")
    return _encode(symbols, lengths)


def _encode(symbols: NDArray[np.unsignedinteger[Any]],
            lengths: NDArray[np.uint8]) -> tuple[bytes, int]:
    if not symbols.size:
        return b"", 0
    widths = lengths[symbols].astype(np.int64)
    ends = np.cumsum(widths)
    bits = int(ends[-1])
    starts = ends - widths
    # A code begins in one 16-bit word and may end in the next. Since codes share no bits, adding
    # them is a bitwise or, and float64 sums of 16-bit words are exact.
    window = _canonical_codes(lengths)[symbols].astype(np.int64) << (32 - widths - (starts & 15))
    index = starts >> 4
    words = np.bincount(index, window >> 16, int(index[-1]) + 2)
    words += np.bincount(index + 1, window & 0xFFFF, words.size)
    return words.astype(">u2").tobytes()[:(bits + 7) // 8], bits


def decode(data: bytes, count: int, lengths: NDArray[np.uint8],
           ) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Read symbols written by :func:`encode`.

    Parameters
    ----------
    data : :class:`bytes`
        Codes one after the other.
    count : :class:`int`
        Number of symbols.
    lengths : uint8 array of shape (n_symbols,)
        Bits of each symbol's code.

    Returns
    -------
    uint8 array of shape (count,), or uint16 if there are more than 256 symbols
        Text.

    Raises
    ------
    InputError
        If a parameter does not fit, or the data is not exactly that of so many symbols; the
        message says at which bit.
    """
    _check_lengths(lengths)
    if count < 0:
        raise InputError(f"Number of symbols must not be negative, not {count!r}")
    if count > 8 * len(data):  # Else a forged count could ask for any amount of memory.
        raise InputError(f"Huffman data must hold {count} symbols, not end at bit {8 * len(data)}")
    symbols = np.zeros(count, np.uint8) if lengths.size <= 256 else np.zeros(count, np.uint16)
    end = _decode(np.frombuffer(data, np.uint8), symbols, lengths)
    if len(data) != (end + 7) // 8:
        raise InputError(f"Huffman data must end at bit {end}, not be {len(data)} bytes long")
    if end % 8 and data[-1] & (0xFF >> end % 8):
        raise InputError(f"Huffman data must be zero from bit {end} on")
    return symbols


def _decode(data: NDArray[np.uint8], symbols: NDArray[Any], lengths: NDArray[np.uint8]) -> int:
    """Fill the symbols and return the bit after the last.

    At every bit of a segment, a table tells from the next 16 bits which code would begin there and
    so where the next would. Doubling these steps tells where the 64th next code would begin:
    follow those, and then step from all of them at once.
    """
    order = _canonical_order(lengths)
    table = np.full(1 << _MAX_LENGTH, -1, np.int32)
    ordered = np.repeat(order, 1 << (_MAX_LENGTH - lengths[order].astype(np.int64)))
    table[:ordered.size] = ordered
    # Bits that begin no code step on by one; they are an error only where a code must begin.
    steps = np.where(table >= 0, lengths[table] if lengths.size else 0, 1).astype(np.int32)
    total = 8 * data.size
    padded = np.concatenate((data, np.zeros(4, np.uint8))).astype(np.uint32)
    words = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    shifts = np.arange(8, 0, -1, dtype=np.uint32)
    done = position = 0
    while done < symbols.size and position < total:
        origin = position & ~7
        bits = min(_SEGMENT_BITS, total - origin)
        windows = words[origin // 8:(origin + bits) // 8, None] >> shifts
        windows = (windows & 0xFFFF).ravel()
        # Positions from `bits` on are in the next segment, and stay.
        places = np.arange(bits + _MAX_LENGTH, dtype=np.int32)
        following = places.copy()
        following[:bits] += steps[windows]
        jumps = following
        for _ in range(_JUMP_DOUBLINGS):
            jumps = jumps[jumps]
        starts = []
        place = position - origin
        while place < bits:
            starts.append(place)
            place = int(jumps[place])
        visited = np.empty((1 << _JUMP_DOUBLINGS, len(starts)), np.int32)
        visited[0] = starts
        for before, after in itertools.pairwise(visited):
            after[:] = following[before]
        chain = visited.T.ravel()
        chain = chain[chain < bits][:symbols.size - done]
        found = table[windows[chain]]
        if found.min() < 0:
            wrong = int(np.argmax(found < 0))
            raise InputError(f"Huffman data must hold the code of symbol {done + wrong} "
                             f"at bit {origin + int(chain[wrong])}")
        symbols[done:done + chain.size] = found
        done += chain.size
        position = origin + int(following[chain[-1]])
    done -= position > total
    if done < symbols.size:
        raise InputError(f"Huffman data must hold {symbols.size} symbols, "
                         f"not end at bit {total} after {done}")
    return position
