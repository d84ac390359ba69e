r"""The compressed network on disk: pruned, shared or Huffman-coded weights (``.eie``).

Numbers are little-endian. Bit streams fill each byte from its most significant bit on, and their
last byte with zeros.

File:

====== ===== =======================================================================
offset bytes content
====== ===== =======================================================================
0      8     signature: 89 45 49 45 0D 0A 1A 0A (``"\x89EIE\r\n\x1a\n"``)
8      1     version of the format: 1
9      1     encoding: 0 pruned, 1 shared, 2 Huffman-coded; plus 16 if softmax follows the last
             layer, or 32 if its logarithm does
10     8     bytes of the file
18     2     number of layers
20     2     bytes of the network's name, n
22     n     the network's name in UTF-8
22 + n       the layers, one after the other
end    4     CRC-32 (that of zlib) of all bytes before
====== ===== =======================================================================

Layer:

============ ===========================================================================
bytes        content
============ ===========================================================================
2            bytes of the layer's name, m
m            the layer's name in UTF-8
4            outputs
4            inputs; at most 2 ** 30 weights
1            1 if a rectifier follows, else 0
4 * outputs  biases, float32
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
for ``run`` zeros and the weight that follows them, in C order over the whole matrix: the inputs of
output 0, then those of output 1, and so on. A filler, which is an entry of weight 0 (code 0) and
the greatest run, ``2 ** r - 1``, bridges more zeros. Zeros after the last nonzero have no entries.

Huffman stream of symbols of b bits:

============== =========================================================================
bytes          content
============== =========================================================================
2 ** b / 2     code length of each symbol, from 0 to 15, the even symbol's in the high four bits
8              bytes of the codes, k
k              canonical codes (:mod:`eieio.model.compress.huffman`)
============== =========================================================================
"""

import os
import struct
import zlib
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eieio.model.compress import huffman
from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.input_file import read_bytes
from eieio.model.network import ENDINGS, DenseLayer, Ending, Network
from eieio.model.shared_network import SharedLayer, SharedNetwork

__all__ = ["Encoding", "dump", "dump_pruned", "load", "load_pruned", "pruned_size", "read", "write"]

Encoding = Literal["shared", "huffman"]

_SIGNATURE = b"\x89EIE\r\n\x1a\n"
_VERSION = 1
_ENCODINGS = ("pruned", "shared", "huffman")
_ENDING_SHIFT = 4
_HEADER = struct.Struct("<8sBBQH")
_MAX_RUN_WIDTH = 8
_MAX_WEIGHTS = 1 << 30  # Of a layer: a gibibyte of codes.
_MAX_CODE_LENGTH = 15  # Lengths take four bits each.


def dump(network: SharedNetwork, encoding: Encoding = "huffman") -> bytes:
    """Write a network of shared weights.

    Parameters
    ----------
    network : SharedNetwork
        Network.
    encoding : ``"huffman"`` or ``"shared"``
        Whether codes and runs are Huffman-coded or take a fixed number of bits.

    Returns
    -------
    :class:`bytes`
        File, from which :func:`load` restores the network exactly. Each layer's run width is the
        one that makes the file smallest.

    Raises
    ------
    InputError
        If the encoding is unknown, or a name, a layer or the number of layers is too large to be
        stored.
    """
    if encoding not in get_args(Encoding):
        raise InputError(f"Encoding must be 'shared' or 'huffman', not {encoding!r}")
    return _file(network, encoding,
                 [_shared_layer(layer, encoding) for layer in network.layers])


def dump_pruned(network: Network) -> bytes:
    """Write a pruned network: its nonzero weights in float32, and the runs of zeros between them.

    Parameters
    ----------
    network : Network
        Network.

    Returns
    -------
    :class:`bytes`
        File, from which :func:`load_pruned` restores the network exactly, but for the sign of a
        weight -0. Each layer's run width is the one that makes the file smallest.

    Raises
    ------
    InputError
        If a name, a layer or the number of layers is too large to be stored.
    """
    return _file(network, "pruned", [_pruned_layer(layer) for layer in network.layers])


def pruned_size(network: Network) -> int:
    """Count the bytes of the file that :func:`dump_pruned` writes."""
    return len(dump_pruned(network))


def load(data: bytes) -> SharedNetwork:
    """Read a network of shared weights.

    Parameters
    ----------
    data : :class:`bytes`
        File written by :func:`dump`.

    Returns
    -------
    SharedNetwork
        Network.

    Raises
    ------
    InputError
        If the data is of something else, truncated or damaged.
    """
    encoding, ending, reader, layers = _open(data)
    if encoding == "pruned":
        raise InputError("Compressed network must hold shared weights, not pruned ones")
    name = reader.text("the network's name")
    network = SharedNetwork(
        name, tuple(_read_shared_layer(reader, encoding) for _ in range(layers)), ending)
    reader.close()
    return network


def load_pruned(data: bytes) -> Network:
    """Read a pruned network.

    Parameters
    ----------
    data : :class:`bytes`
        File written by :func:`dump_pruned`.

    Returns
    -------
    Network
        Network.

    Raises
    ------
    InputError
        If the data is of something else, truncated or damaged.
    """
    encoding, ending, reader, layers = _open(data)
    if encoding != "pruned":
        raise InputError("Compressed network must hold pruned weights, not shared ones")
    name = reader.text("the network's name")
    network = Network(name, tuple(_read_pruned_layer(reader) for _ in range(layers)), ending)
    reader.close()
    return network


def write(path: str | os.PathLike[str], network: SharedNetwork,
          encoding: Encoding = "huffman") -> None:
    """Write a network of shared weights to a file, whole or not at all.

    Parameters
    ----------
    path : path-like
        File to create or replace.
    network, encoding
        See :func:`dump`.

    Raises
    ------
    InputError
        If the network cannot be stored, or the file cannot be written.
    """
    write_bytes(path, dump(network, encoding))


def read(path: str | os.PathLike[str]) -> SharedNetwork:
    """Read a network of shared weights from a file.

    Parameters
    ----------
    path : path-like
        File written by :func:`write`.

    Returns
    -------
    SharedNetwork
        Network.

    Raises
    ------
    InputError
        If the file cannot be read, is of another kind, truncated or damaged.
    """
    data = read_bytes(path)
    try:
        return load(data)
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error


# Writing


def _file(network: Network | SharedNetwork, encoding: str, layers: list[bytes]) -> bytes:
    name, ending = network.name, ENDINGS.index(network.ending)
    if len(layers) >= 1 << 16:
        raise InputError(f"Network {name!r} must have at most 65535 layers, not {len(layers)}")
    body = b"".join((_text(name), *layers))
    size = _HEADER.size + len(body) + 4
    header = _HEADER.pack(
        _SIGNATURE, _VERSION, _ENCODINGS.index(encoding) | ending << _ENDING_SHIFT, size,
        len(layers))
    return header + body + struct.pack("<I", zlib.crc32(body, zlib.crc32(header)))


def _text(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"Name must be Unicode text, not {text!r}") from error
    if len(data) >= 1 << 16:
        raise InputError(f"Name must be at most 65535 bytes long, not {len(data)}")
    return struct.pack("<H", len(data)) + data


def _layer_head(name: str, shape: tuple[int, ...], relu: bool, bias: NDArray[np.float32]) -> bytes:
    if shape[0] * shape[1] > _MAX_WEIGHTS:
        raise InputError(f"Layer {name!r} must have at most {_MAX_WEIGHTS} weights, "
                         f"not {shape[0] * shape[1]}")
    return _text(name) + struct.pack("<II?", *shape, relu) + bias.astype("<f4").tobytes()


def _pruned_layer(layer: DenseLayer) -> bytes:
    weights = layer.weight.ravel()
    nonzero = np.flatnonzero(weights)
    gaps = _gaps(nonzero)
    width = min(_run_widths(gaps), key=lambda counted: sum(counted[1]) * (32 + counted[0]))[0]
    values, runs = _entries(weights[nonzero], gaps, width)
    return b"".join((
        _layer_head(layer.name, layer.weight.shape, layer.relu, layer.bias),
        struct.pack("<BQ", width, values.size), values.astype("<f4").tobytes(),
        _pack(runs, width)))


def _shared_layer(layer: SharedLayer, encoding: str) -> bytes:
    codes = layer.codes.ravel()
    nonzero = np.flatnonzero(codes)
    codes = codes[nonzero]
    gaps = _gaps(nonzero)
    stored = np.flatnonzero(layer.codebook.view(np.uint32))[-1:] + 1  # Keeps the sign of -0.
    codebook = layer.codebook[:int(stored.sum())]
    histogram = np.bincount(codes, minlength=layer.codebook.size)

    def size(counted: tuple[int, NDArray[np.int64]]) -> int:
        width, runs = counted
        entries = int(runs.sum())
        if encoding == "shared":
            return entries * (layer.code_width + width)
        fillers = np.zeros_like(histogram)
        fillers[0] = entries - codes.size
        return _huffman_bits(histogram + fillers) + (_huffman_bits(runs) if width else 0)

    width = min(_run_widths(gaps), key=size)[0]
    codes, runs = _entries(codes, gaps, width)
    stream: Callable[[NDArray[np.uint8], int], bytes]
    stream = _huffman_stream if encoding == "huffman" else _pack
    return b"".join((
        _layer_head(layer.name, layer.codes.shape, layer.relu, layer.bias),
        struct.pack("<BH", layer.code_width, codebook.size), codebook.astype("<f4").tobytes(),
        struct.pack("<BQ", width, codes.size), stream(codes, layer.code_width),
        stream(runs, width)))


def _gaps(nonzero: NDArray[np.intp]) -> NDArray[np.intp]:
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


def _entries(values: NDArray[Any], gaps: NDArray[np.intp],
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


def _huffman_stream(symbols: NDArray[np.uint8], width: int) -> bytes:
    if width == 0:
        return b""
    counts = np.bincount(symbols, minlength=1 << width)
    lengths = huffman.code_lengths(counts, _MAX_CODE_LENGTH)
    data, _ = huffman.encode(symbols, lengths)
    table = (lengths[::2] << 4 | lengths[1::2]).tobytes()
    return table + struct.pack("<Q", len(data)) + data


# Reading


class _Reader:
    """Takes a file apart, from a start on up to its checksum."""

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset
        self.end = len(data) - 4

    def take(self, size: int, what: str) -> bytes:
        if size > self.end - self.offset:
            raise InputError(f"Compressed network must hold {size} bytes of {what} at byte "
                             f"{self.offset}, not {self.end - self.offset}")
        self.offset += size
        return self.data[self.offset - size:self.offset]

    def numbers(self, layout: str, what: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))

    def floats(self, count: int, what: str) -> NDArray[np.float32]:
        return np.frombuffer(self.take(4 * count, what), "<f4").astype(np.float32)

    def text(self, what: str) -> str:
        size, = self.numbers("<H", f"the length of {what}")
        data = self.take(size, what)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"Compressed network must hold UTF-8 in {what} at byte "
                             f"{self.offset - len(data)}, not {data!r}") from error

    def close(self) -> None:
        if self.offset != self.end:
            raise InputError(f"Compressed network must end at byte {self.offset}, "
                             f"not at byte {self.end}, before its checksum")


def _open(data: bytes) -> tuple[str, Ending, _Reader, int]:
    """Check what holds for every file; returns encoding, ending, reader and layer count."""
    if not data.startswith(_SIGNATURE):
        raise InputError("Compressed network must begin with the signature of an .eie file, "
                         f"not {data[:8]!r}")
    if len(data) < _HEADER.size + 4:
        raise InputError(f"Compressed network must be at least {_HEADER.size + 4} bytes long, "
                         f"not {len(data)}")
    _, version, encoding, size, layers = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise InputError(f"Compressed network must have version {_VERSION} at byte 8, "
                         f"not {version}")
    if size != len(data):
        raise InputError(f"Compressed network must be {size} bytes long, as byte 10 says, "
                         f"not {len(data)}")
    checksum, = struct.unpack("<I", data[-4:])
    if checksum != zlib.crc32(data[:-4]):
        raise InputError(f"Compressed network must have checksum {zlib.crc32(data[:-4]):08x} "
                         f"at byte {size - 4}, not {checksum:08x}")
    coded, ending = encoding & (1 << _ENDING_SHIFT) - 1, encoding >> _ENDING_SHIFT
    if coded >= len(_ENCODINGS) or ending >= len(ENDINGS):
        raise InputError(f"Compressed network must have encoding 0, 1 or 2 at byte 9, "
                         f"not {encoding}")
    return _ENCODINGS[coded], ENDINGS[ending], _Reader(data, _HEADER.size), layers


def _read_layer_head(reader: _Reader) -> tuple[str, tuple[int, int], bool, NDArray[np.float32]]:
    name = reader.text("a layer's name")
    outputs, inputs, relu = reader.numbers("<IIB", f"the shape of layer {name!r}")
    if relu > 1:
        raise InputError(f"Layer {name!r}: rectifier must be 0 or 1 at byte {reader.offset - 1}, "
                         f"not {relu}")
    if not outputs or not inputs:
        raise InputError(f"Layer {name!r}: shape must not be empty at byte {reader.offset - 9}, "
                         f"not {(outputs, inputs)}")
    if outputs * inputs > _MAX_WEIGHTS:  # A forged file must not ask for any amount of memory.
        raise InputError(f"Layer {name!r}: shape must have at most {_MAX_WEIGHTS} weights "
                         f"at byte {reader.offset - 9}, not {outputs * inputs}")
    bias = reader.floats(outputs, f"the biases of layer {name!r}")
    return name, (outputs, inputs), bool(relu), bias


def _read_counts(reader: _Reader, name: str, shape: tuple[int, int]) -> tuple[int, int]:
    width, entries = reader.numbers("<BQ", f"the entry count of layer {name!r}")
    if width > _MAX_RUN_WIDTH:
        raise InputError(f"Layer {name!r}: run width must be from 0 to {_MAX_RUN_WIDTH} "
                         f"at byte {reader.offset - 9}, not {width}")
    if entries > shape[0] * shape[1]:
        raise InputError(f"Layer {name!r}: number of entries must be at most "
                         f"{shape[0] * shape[1]} at byte {reader.offset - 8}, not {entries}")
    return width, entries


def _read_pruned_layer(reader: _Reader) -> DenseLayer:
    name, shape, relu, bias = _read_layer_head(reader)
    width, entries = _read_counts(reader, name, shape)
    values = reader.floats(entries, f"the weights of layer {name!r}")
    runs = _unpack(reader, entries, width, f"the runs of layer {name!r}")
    return DenseLayer(name, _matrix(values, runs, width, shape, name), bias, relu)


def _read_shared_layer(reader: _Reader, encoding: str) -> SharedLayer:
    name, shape, relu, bias = _read_layer_head(reader)
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
    return SharedLayer(
        name, _matrix(codes, runs, width, shape, name), codebook, bias, relu)


def _matrix(values: NDArray[Any], runs: NDArray[np.uint8], width: int, shape: tuple[int, int],
            name: str) -> NDArray[Any]:
    """Put entries at their places."""
    wrong = np.flatnonzero((values == 0) & (runs != (1 << width) - 1))
    if wrong.size:
        raise InputError(f"Layer {name!r}: filler must have run {(1 << width) - 1} "
                         f"at entry {wrong[0]}, not {runs[wrong[0]]}")
    places = np.cumsum(runs.astype(np.int64) + 1) - 1
    if places.size and places[-1] >= shape[0] * shape[1]:
        raise InputError(f"Layer {name!r}: entries must be for {shape[0] * shape[1]} weights, "
                         f"not {places[-1] + 1}")
    matrix = np.zeros(shape, values.dtype)
    matrix.ravel()[places] = values
    return matrix


def _unpack(reader: _Reader, count: int, width: int, what: str) -> NDArray[np.uint8]:
    data = np.frombuffer(reader.take((count * width + 7) // 8, what), np.uint8)
    bits = np.unpackbits(data)
    if bits[count * width:].any():
        raise InputError(f"Compressed network must hold zeros after {what} at byte "
                         f"{reader.offset - 1}, not {data[-1]:#04x}")
    symbols = np.zeros((count, 8), np.uint8)
    symbols[:, 8 - width:] = bits[:count * width].reshape(count, width)
    return np.packbits(symbols, axis=1)[:, 0]


def _read_huffman_stream(reader: _Reader, count: int, width: int,
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
