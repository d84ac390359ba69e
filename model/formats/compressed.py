r"""The compressed network on disk: pruned, shared or Huffman-coded weights (``.eie``).

Numbers are little-endian. File:

====== ===== =======================================================================
offset bytes content
====== ===== =======================================================================
0      8     signature: 89 45 49 45 0D 0A 1A 0A (``"\x89EIE\r\n\x1a\n"``)
8      1     version of the format: 1 for a chain of fully connected layers whose weights are all
             shared or all pruned, 2 for any other network
9      1     version 1: encoding: 0 pruned, 1 shared, 2 Huffman-coded; plus 16 if softmax follows
             the last layer, or 32 if its logarithm does. Version 2: 0
10     8     bytes of the file
18     2     number of layers, which are the operators that have weights
20     2     bytes of the network's name, n
22     n     the network's name in UTF-8
22 + n       version 2: 4 bytes for the length of a description of the operators, and this
             (:mod:`eieio.model.formats.compressed_graph`)
any          the layers, one after the other
end    4     CRC-32 (that of zlib) of all bytes before
====== ===== =======================================================================

Layer of version 1:

============ ===========================================================================
bytes        content
============ ===========================================================================
2            bytes of the layer's name, m
m            the layer's name in UTF-8
4            outputs
4            inputs; at most 2 ** 30 weights
1            1 if a rectifier follows, else 0
4 * outputs  biases, float32
any          weights (:mod:`eieio.model.formats.compressed_weights`)
============ ===========================================================================

Layer of version 2, in the order of the operators that have weights:

============ ===========================================================================
bytes        content
============ ===========================================================================
1            encoding of the weights: 0 pruned, 1 shared, 2 Huffman-coded
4 * channels biases, float32
any          weights
============ ===========================================================================
"""

import os
import struct
import zlib
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.compressed_graph import Weights, describe, restore
from eieio.model.formats.compressed_weights import (
    ENCODINGS,
    MAX_WEIGHTS,
    Reader,
    StoredWeights,
    pack_text,
    read_weights,
    store_weights,
)
from eieio.model.formats.float32 import as_float32
from eieio.model.formats.input_file import read_parsed
from eieio.model.graph.chain import as_chain, chain, ending, fully_connected
from eieio.model.graph.ending import ENDINGS, Ending
from eieio.model.graph.float_graph import FloatGraph, FullyConnected, WeightedOperator

__all__ = ["Encoding", "dump", "layer_sizes", "layer_weights", "load", "read", "write"]

Encoding = Literal["shared", "huffman"]

_SIGNATURE = b"\x89EIE\r\n\x1a\n"
_CHAIN, _GRAPH = 1, 2
_ENDING_SHIFT = 4
_HEADER = struct.Struct("<8sBBQH")


def dump(network: FloatGraph, encoding: Encoding = "huffman") -> bytes:
    """Write a network.

    Parameters
    ----------
    network : FloatGraph
        Network of real numbers. Weights that are not shared are written as float32, and the runs of
        zeros between them.
    encoding : ``"huffman"`` or ``"shared"``
        Whether codes and runs of shared weights are Huffman-coded or take a fixed number of bits.

    Returns
    -------
    :class:`bytes`
        File, from which :func:`load` restores the network exactly, but for the sign of a weight -0
        that is not shared. Each layer's run width is the one that makes the file smallest.

    Raises
    ------
    InputError
        If the encoding is unknown, the network is quantized, a weight is beyond float32, or a name,
        a layer or the number of layers is too large to be stored.
    """
    if encoding not in get_args(Encoding):
        raise InputError(f"Encoding must be 'shared' or 'huffman', not {encoding!r}")
    version = _version(network)
    layers = [_layer(layer, version, encoding) for layer in network.weighted]
    if version == _CHAIN:
        code = _encoding(network.weighted[0], encoding)
        return _file(network.name, _CHAIN,
                     code | ENDINGS.index(ending(network)) << _ENDING_SHIFT, layers)
    description = describe(network)
    return _file(network.name, _GRAPH, 0, layers, struct.pack("<I", len(description)) + description)


def layer_sizes(network: FloatGraph, encoding: Encoding = "huffman") -> list[int]:
    """Count the bytes of each layer in the file that :func:`dump` writes."""
    version = _version(network)
    return [len(_layer(layer, version, encoding)) for layer in network.weighted]


def layer_weights(network: FloatGraph, encoding: Encoding = "huffman") -> list[StoredWeights]:
    """Return the weights of each layer as the file has them that :func:`dump` writes."""
    return [_weights(layer, encoding) for layer in network.weighted]


def load(data: bytes) -> FloatGraph:
    """Read a network.

    Parameters
    ----------
    data : :class:`bytes`
        File written by :func:`dump`, now or by the first version.

    Raises
    ------
    InputError
        If the data is of something else, truncated or damaged.
    """
    version, code, reader, layers = _open(data)
    name = reader.text("the network's name")
    if version == _CHAIN:
        encoding, ends = _chain_code(code)
        network = chain(name, [_read_chain_layer(reader, encoding) for _ in range(layers)], ends)
    else:
        size, = reader.numbers("<I", "the length of the description")
        description = reader.take(size, "the description")
        network = restore(name, description, layers, lambda layer, shape, biases: _read_layer(
            reader, layer, shape, biases))
    reader.close()
    return network


def write(path: str | os.PathLike[str], network: FloatGraph,
          encoding: Encoding = "huffman") -> None:
    """Write a network to a file, whole or not at all.

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


def read(path: str | os.PathLike[str]) -> FloatGraph:
    """Read a network from a file.

    Parameters
    ----------
    path : path-like
        File written by :func:`write`.

    Raises
    ------
    InputError
        If the file cannot be read, is of another kind, truncated or damaged.
    """
    return read_parsed(path, load)


# Writing


def _version(network: FloatGraph) -> int:
    """Version of the format that holds a network in the fewest bytes."""
    shared = {layer.shared is not None for layer in network.weighted}
    try:
        return _CHAIN if len(shared) == 1 and as_chain(network) is network else _GRAPH
    except InputError:
        return _GRAPH


def _encoding(layer: WeightedOperator, encoding: str) -> int:
    return ENCODINGS.index("pruned" if layer.shared is None else encoding)


def _layer(layer: WeightedOperator, version: int, encoding: str) -> bytes:
    head = (_chain_head(layer.name, layer.weight.shape, layer.rectified) if version == _CHAIN
            else bytes([_encoding(layer, encoding)]))
    bias = as_float32(layer.bias, f"Layer {layer.name!r}: bias")
    return head + bias.astype("<f4").tobytes() + _weights(layer, encoding).data


def _weights(layer: WeightedOperator, encoding: str) -> StoredWeights:
    weights = layer.shared or as_float32(layer.weight, f"Layer {layer.name!r}: weight")
    return store_weights(weights, encoding)


def _chain_head(name: str, shape: tuple[int, ...], rectified: bool) -> bytes:
    if shape[0] * shape[1] > MAX_WEIGHTS:
        raise InputError(f"Layer {name!r} must have at most {MAX_WEIGHTS} weights, "
                         f"not {shape[0] * shape[1]}")
    return pack_text(name) + struct.pack("<II?", *shape, rectified)


def _file(name: str, version: int, code: int, layers: list[bytes], description: bytes = b""
          ) -> bytes:
    if len(layers) >= 1 << 16:
        raise InputError(f"Network {name!r} must have at most 65535 layers, not {len(layers)}")
    body = b"".join((pack_text(name), description, *layers))
    size = _HEADER.size + len(body) + 4
    header = _HEADER.pack(_SIGNATURE, version, code, size, len(layers))
    return header + body + struct.pack("<I", zlib.crc32(body, zlib.crc32(header)))


# Reading


def _open(data: bytes) -> tuple[int, int, Reader, int]:
    """Check what holds for every file; returns version, byte 9, reader and layer count."""
    if not data.startswith(_SIGNATURE):
        raise InputError("Compressed network must begin with the signature of an .eie file, "
                         f"not {data[:8]!r}")
    if len(data) < _HEADER.size + 4:
        raise InputError(f"Compressed network must be at least {_HEADER.size + 4} bytes long, "
                         f"not {len(data)}")
    _, version, code, size, layers = _HEADER.unpack_from(data)
    if version not in (_CHAIN, _GRAPH):
        raise InputError(f"Compressed network must have version {_CHAIN} or {_GRAPH} at byte 8, "
                         f"not {version}")
    if size != len(data):
        raise InputError(f"Compressed network must be {size} bytes long, as byte 10 says, "
                         f"not {len(data)}")
    checksum, = struct.unpack("<I", data[-4:])
    if checksum != zlib.crc32(data[:-4]):
        raise InputError(f"Compressed network must have checksum {zlib.crc32(data[:-4]):08x} "
                         f"at byte {size - 4}, not {checksum:08x}")
    return version, code, Reader(data, _HEADER.size), layers


def _chain_code(code: int) -> tuple[str, Ending]:
    """Take apart byte 9 of a chain: encoding and ending."""
    coded, ends = code & (1 << _ENDING_SHIFT) - 1, code >> _ENDING_SHIFT
    if coded >= len(ENCODINGS) or ends >= len(ENDINGS):
        raise InputError(f"Compressed network must have encoding 0, 1 or 2 at byte 9, not {code}")
    return ENCODINGS[coded], ENDINGS[ends]


def _read_chain_layer(reader: Reader, encoding: str) -> FullyConnected:
    name = reader.text("a layer's name")
    outputs, inputs, rectified = reader.numbers("<IIB", f"the shape of layer {name!r}")
    if rectified > 1:
        raise InputError(f"Layer {name!r}: rectifier must be 0 or 1 at byte {reader.offset - 1}, "
                         f"not {rectified}")
    if not outputs or not inputs:
        raise InputError(f"Layer {name!r}: shape must not be empty at byte {reader.offset - 9}, "
                         f"not {(outputs, inputs)}")
    if outputs * inputs > MAX_WEIGHTS:  # A forged file must not ask for any amount of memory.
        raise InputError(f"Layer {name!r}: shape must have at most {MAX_WEIGHTS} weights "
                         f"at byte {reader.offset - 9}, not {outputs * inputs}")
    bias = reader.floats(outputs, f"the biases of layer {name!r}")
    weights = read_weights(reader, name, (outputs, inputs), encoding)
    return fully_connected(name, weights, bias, bool(rectified))


def _read_layer(reader: Reader, name: str, shape: tuple[int, ...],
                biases: int) -> tuple[Weights, NDArray[np.float32]]:
    """Read weights and biases of a layer of version 2."""
    code, = reader.numbers("<B", f"the encoding of layer {name!r}")
    if code >= len(ENCODINGS):
        raise InputError(f"Layer {name!r}: encoding must be 0, 1 or 2 at byte {reader.offset - 1}, "
                         f"not {code}")
    bias = reader.floats(biases, f"the biases of layer {name!r}")
    return read_weights(reader, name, shape, ENCODINGS[code]), bias
