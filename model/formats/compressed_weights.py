r"""How a compressed network's file holds the weights of one operator.

Numbers are little-endian. Bit streams fill each byte from its most significant bit on, and their
last byte with zeros.

============ ===========================================================================
bytes        content
============ ===========================================================================
1            not in encoding 0: bits of a code, w, from 2 to 8
2            not in encoding 0: codebook entries stored, c, at most 2 ** w
4 * c        not in encoding 0: codebook from its first entry on, which is 0, float32; entries
             not stored are 0
1            bits of a run, r, from 0 to 8
8            number of entries, e
any          encoding 0: e float32 weights, then the run of each in r bits;
             encoding 1: the code of each entry in w bits, then the run of each in r bits;
             encoding 2: a Huffman stream of codes, then one of runs, which is absent if r is 0
============ ===========================================================================

The codes (encoding 0: the weights) and the runs are padded to whole bytes each. An entry stands
for ``run`` zeros and the weight that follows them, in C order over all weights: of a matrix, the
inputs of output 0, then those of output 1, and so on. A filler, which is an entry of weight 0
(code 0) and the greatest run, ``2 ** r - 1``, bridges more zeros. Zeros after the last nonzero have
no entries. Weights without zeros have runs of 0 bits, and so are dense.

Huffman stream of symbols of b bits:

============== =========================================================================
bytes          content
============== =========================================================================
2 ** b / 2     code length of each symbol, from 0 to 15, the even symbol's in the high four bits
8              bytes of the codes, k
k              canonical codes (:mod:`eieio.model.compress.huffman`)
============== =========================================================================
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.compress import huffman
from eieio.model.errors import InputError
from eieio.model.graph.weight_codes import WeightCodes

__all__ = ["ENCODINGS", "MAX_WEIGHTS", "Reader", "StoredWeights", "gaps_before", "most_weights",
           "pack_text", "read_weights", "run_entries", "store_weights"]

#: Encodings by their number.
ENCODINGS = ("pruned", "shared", "huffman")
#: Weights of an operator, at most: a gibibyte of codes.
MAX_WEIGHTS = 1 << 30

# What a few bytes may claim: so many weights without an entry, beyond these one for as many.
_FREE_WEIGHTS, _SPARSEST = 1 << 22, 1 << 10

_MAX_RUN_WIDTH = 8
_MAX_CODE_LENGTH = 15  # Lengths take four bits each.


@dataclass(frozen=True)
class StoredWeights:
    """Weights as a file holds them.

    Attributes
    ----------
    code_width, run_width : :class:`int`
        Bits of a code and of a run before they are Huffman-coded; a weight that is not shared
        takes 32 bits.
    entries : :class:`int`
        Nonzero weights and fillers.
    codes, runs : :class:`bytes`
        The codes (or the weights that are not shared) and the runs of all entries, without the
        tables of Huffman codes.
    data : :class:`bytes`
        All of it.
    """

    code_width: int
    run_width: int
    entries: int
    codes: bytes
    runs: bytes
    data: bytes


def store_weights(weights: NDArray[np.floating] | WeightCodes, encoding: str) -> StoredWeights:
    """Write weights: dense ones in encoding ``"pruned"``, and shared ones in one of the others."""
    if isinstance(weights, WeightCodes):
        return _store_shared(weights, encoding)
    values = weights.ravel()
    nonzero = np.flatnonzero(values)
    gaps = gaps_before(nonzero)
    width = min(_run_widths(gaps), key=lambda counted: sum(counted[1]) * (32 + counted[0]))[0]
    values, runs = run_entries(values[nonzero], gaps, width)
    codes, packed = values.astype("<f4").tobytes(), _pack(runs, width)
    return StoredWeights(32, width, values.size, codes, packed,
                         struct.pack("<BQ", width, values.size) + codes + packed)


def _store_shared(weights: WeightCodes, encoding: str) -> StoredWeights:
    codes = weights.codes.ravel()
    nonzero = np.flatnonzero(codes)
    codes = codes[nonzero]
    gaps = gaps_before(nonzero)
    stored = np.flatnonzero(weights.codebook.view(np.uint32))[-1:] + 1  # Keeps the sign of -0.
    codebook = weights.codebook[:int(stored.sum())]
    histogram = np.bincount(codes, minlength=weights.codebook.size)

    def size(counted: tuple[int, NDArray[np.int64]]) -> int:
        width, runs = counted
        entries = int(runs.sum())
        if encoding == "shared":
            return entries * (weights.code_width + width)
        fillers = np.zeros_like(histogram)
        fillers[0] = entries - codes.size
        return _huffman_bits(histogram + fillers) + (_huffman_bits(runs) if width else 0)

    width = min(_run_widths(gaps), key=size)[0]
    codes, runs = run_entries(codes, gaps, width)
    head = (struct.pack("<BH", weights.code_width, codebook.size) + codebook.astype("<f4").tobytes()
            + struct.pack("<BQ", width, codes.size))
    streams = []
    for symbols, bits in ((codes, weights.code_width), (runs, width)):
        streams.append(_huffman_stream(symbols, bits) if encoding == "huffman"
                       else (b"", _pack(symbols, bits)))
    return StoredWeights(weights.code_width, width, codes.size, streams[0][1], streams[1][1],
                         b"".join((head, *streams[0], *streams[1])))


def pack_text(text: str) -> bytes:
    """Write text with its length in front.

    Raises
    ------
    InputError
        If it is too long, or no Unicode text.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"Name must be Unicode text, not {text!r}") from error
    if len(data) >= 1 << 16:
        raise InputError(f"Name must be at most 65535 bytes long, not {len(data)}")
    return struct.pack("<H", len(data)) + data


def gaps_before(nonzero: NDArray[np.intp]) -> NDArray[np.intp]:
    """Zeros before each nonzero, by the places of the nonzeros."""
    return np.diff(nonzero, prepend=-1) - 1


def _run_widths(gaps: NDArray[np.intp]) -> list[tuple[int, NDArray[np.int64]]]:
    """For each run width, count how often each run occurs, fillers included."""
    gaps, repeats = np.unique(gaps, return_counts=True)
    widths = []
    for width in range(_MAX_RUN_WIDTH + 1):
        last = (1 << width) - 1
        runs = np.bincount(gaps & last, repeats, last + 1).astype(np.int64)
        runs[last] += np.sum((gaps >> width) * repeats)
        widths.append((width, runs))
    return widths


def run_entries(values: NDArray[Any], gaps: NDArray[np.intp],
             width: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Put fillers before the nonzero values that need them."""
    fillers = gaps >> width
    places = np.arange(values.size) + np.cumsum(fillers)
    entries = values.size + int(fillers.sum())
    filled = np.zeros(entries, values.dtype)
    filled[places] = values
    runs = np.full(entries, (1 << width) - 1, np.uint8)
    runs[places] = gaps & ((1 << width) - 1)
    return filled, runs


def _pack(symbols: NDArray[np.uint8], width: int) -> bytes:
    bits = np.unpackbits(symbols[:, None], axis=1)[:, 8 - width:]
    return np.packbits(bits).tobytes()


def _huffman_bits(counts: NDArray[np.int64]) -> int:
    """Bits of a Huffman stream: its codes and its table."""
    lengths = huffman.code_lengths(counts, _MAX_CODE_LENGTH)
    return int(np.sum(counts * lengths)) + 4 * counts.size


def _huffman_stream(symbols: NDArray[np.uint8], width: int) -> tuple[bytes, bytes]:
    """Return what comes before the codes of the symbols, and these."""
    if width == 0:
        return b"", b""
    counts = np.bincount(symbols, minlength=1 << width)
    lengths = huffman.code_lengths(counts, _MAX_CODE_LENGTH)
    data, _ = huffman.encode(symbols, lengths)
    table = (lengths[::2] << 4 | lengths[1::2]).tobytes()
    return table + struct.pack("<Q", len(data)), data


class Reader:
    """Takes a file apart, from a start on up to its checksum.

    Raises
    ------
    InputError
        If something is not in the file.
    """

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset
        self.end = len(data) - 4

    def take(self, size: int, what: str) -> bytes:
        """Take bytes; `what` they are is for messages."""
        if size > self.end - self.offset:
            raise InputError(f"Compressed network must hold {size} bytes of {what} at byte "
                             f"{self.offset}, not {self.end - self.offset}")
        self.offset += size
        return self.data[self.offset - size:self.offset]

    def numbers(self, layout: str, what: str) -> tuple[Any, ...]:
        """Take what :func:`struct.unpack` takes."""
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))

    def floats(self, count: int, what: str) -> NDArray[np.float32]:
        """Take so many numbers."""
        return np.frombuffer(self.take(4 * count, what), "<f4").astype(np.float32)

    def text(self, what: str) -> str:
        """Take text with its length in front."""
        size, = self.numbers("<H", f"the length of {what}")
        data = self.take(size, what)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"Compressed network must hold UTF-8 in {what} at byte "
                             f"{self.offset - len(data)}, not {data!r}") from error

    def close(self) -> None:
        """Check that nothing is left."""
        if self.offset != self.end:
            raise InputError(f"Compressed network must end at byte {self.offset}, "
                             f"not at byte {self.end}, before its checksum")


def read_weights(reader: Reader, name: str, shape: tuple[int, ...],
                 encoding: str) -> NDArray[np.float32] | WeightCodes:
    """Read the weights of layer `name`, of a shape."""
    if encoding == "pruned":
        width, entries = _read_counts(reader, name, shape)
        values = reader.floats(entries, f"the weights of layer {name!r}")
        runs = _unpack(reader, entries, width, f"the runs of layer {name!r}")
        return _place(values, runs, width, shape, name)
    code_width, stored = reader.numbers("<BH", f"the codebook size of layer {name!r}")
    if not 2 <= code_width <= 8:
        raise InputError(f"Layer {name!r}: code width must be from 2 to 8 at byte "
                         f"{reader.offset - 3}, not {code_width}")
    if stored > 1 << code_width:
        raise InputError(f"Layer {name!r}: codebook must hold at most {1 << code_width} weights "
                         f"at byte {reader.offset - 2}, not {stored}")
    codebook = np.zeros(1 << code_width, np.float32)
    codebook[:stored] = reader.floats(stored, f"the codebook of layer {name!r}")
    width, entries = _read_counts(reader, name, shape)
    stream = _read_huffman_stream if encoding == "huffman" else _unpack
    codes = stream(reader, entries, code_width, f"the codes of layer {name!r}")
    runs = stream(reader, entries, width, f"the runs of layer {name!r}")
    return WeightCodes(_place(codes, runs, width, shape, name), codebook)


def most_weights(entries: int) -> int:
    """Return how many weights a layer may have of which a file has so many entries.

    Without a bound a few bytes of a damaged file would take any memory.
    """
    return _FREE_WEIGHTS + _SPARSEST * entries


def _read_counts(reader: Reader, name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    width, entries = reader.numbers("<BQ", f"the entry count of layer {name!r}")
    if width > _MAX_RUN_WIDTH:
        raise InputError(f"Layer {name!r}: run width must be from 0 to {_MAX_RUN_WIDTH} "
                         f"at byte {reader.offset - 9}, not {width}")
    if entries > math.prod(shape):
        raise InputError(f"Layer {name!r}: number of entries must be at most "
                         f"{math.prod(shape)} at byte {reader.offset - 8}, not {entries}")
    most = most_weights(entries)
    if math.prod(shape) > most:
        raise InputError(f"Layer {name!r}: {entries} entries at byte {reader.offset - 8} must be "
                         f"for at most {most} weights, not {math.prod(shape)}")
    return width, entries


def _place(values: NDArray[Any], runs: NDArray[np.uint8], width: int, shape: tuple[int, ...],
           name: str) -> NDArray[Any]:
    """Put entries at their places."""
    wrong = np.flatnonzero((values == 0) & (runs != (1 << width) - 1))
    if wrong.size:
        raise InputError(f"Layer {name!r}: filler must have run {(1 << width) - 1} "
                         f"at entry {wrong[0]}, not {runs[wrong[0]]}")
    places = np.cumsum(runs.astype(np.int64) + 1) - 1
    if places.size and places[-1] >= math.prod(shape):
        raise InputError(f"Layer {name!r}: entries must be for {math.prod(shape)} weights, "
                         f"not {places[-1] + 1}")
    placed = np.zeros(shape, values.dtype)
    placed.ravel()[places] = values
    return placed


def _unpack(reader: Reader, count: int, width: int, what: str) -> NDArray[np.uint8]:
    data = np.frombuffer(reader.take((count * width + 7) // 8, what), np.uint8)
    bits = np.unpackbits(data)
    if bits[count * width:].any():
        raise InputError(f"Compressed network must hold zeros after {what} at byte "
                         f"{reader.offset - 1}, not {data[-1]:#04x}")
    symbols = np.zeros((count, 8), np.uint8)
    symbols[:, 8 - width:] = bits[:count * width].reshape(count, width)
    return np.packbits(symbols, axis=1)[:, 0]


def _read_huffman_stream(reader: Reader, count: int, width: int,
                         what: str) -> NDArray[np.uint8]:
    if width == 0:
        return np.zeros(count, np.uint8)
    packed = np.frombuffer(reader.take((1 << width) // 2, f"the table of {what}"), np.uint8)
    lengths = np.column_stack((packed >> 4, packed & 15)).ravel().astype(np.uint8)
    size, = reader.numbers("<Q", f"the length of {what}")
    data = reader.take(size, what)
    try:
        return huffman.decode(data, count, lengths).astype(np.uint8)
    except InputError as error:
        raise InputError(f"Compressed network at byte {reader.offset - size}, {what}: "
                         f"{error}") from error
