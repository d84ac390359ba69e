"""Deep Compression's ``.net``: pruned weights as 4-bit runs and codes into a codebook.

The file has no header; the prototxt beside it says which layers there are, and their shapes. All
numbers are little-endian.

1. For each layer with weights, in the order of the prototxt, one uint32: its number of entries.
2. For each layer:

   - the codebook: 256 float32 numbers for a convolution, 16 for an inner product. The first is 0;
   - the biases: one float32 number an output;
   - the codes of the entries: 8 bits each for a convolution, 4 bits for an inner product;
   - the runs of the entries: 4 bits each.

4-bit numbers are packed two a byte, the first in the low half; an odd one out leaves the high half
of the last byte 0. An entry stands for one weight: its run is the number of zero weights skipped
before it, in C order over the whole layer, and its code is the row of the codebook that holds it.
Where more than 15 zeros are skipped, **fillers** come first: entries with run 15 and code 0, which
is the weight 0. Zeros behind the last entry are not stored.

The reference decoder tells layers apart by name: it expands only those with ``conv``, ``fc`` or
``ip`` in the name, and takes those with ``conv`` for convolutions. eieio goes by their type, so
choose such names for networks that it shall read.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.codebook import decode_weights
from eieio.model.errors import InputError
from eieio.model.formats.caffe_graph import build_graph
from eieio.model.formats.compressed_weights import most_weights
from eieio.model.formats.input_file import read_bytes
from eieio.model.formats.prototxt import Weights, input_shapes, parse_net, weight_shapes
from eieio.model.graph.chain import as_chain
from eieio.model.graph.float_graph import FloatGraph, Softmax
from eieio.model.graph.weight_codes import WeightCodes

__all__ = ["CompressedLayer", "read", "read_network"]

_RUN_WIDTH = 4
_CONVOLUTION_CODEBOOK = 256
_INNER_PRODUCT_CODEBOOK = 16


@dataclass(frozen=True, eq=False)
class CompressedLayer:
    """A layer as the file holds it.

    Attributes
    ----------
    name : :class:`str`
        Name of the layer in the prototxt.
    shape : tuple of :class:`int`
        Shape of the weights: (outputs, channels, height, width) of a convolution, and (outputs,
        inputs) of an inner product.
    codes : uint8 array of shape (entries,)
        Row of the codebook of each entry.
    runs : uint8 array of shape (entries,)
        Zero weights skipped before each entry, 0 to 15.
    codebook : float32 array of shape (256,) for a convolution and (16,) for an inner product
        Shared weights; the first is 0.
    bias : float32 array of shape (outputs,)
        Biases.

    Raises
    ------
    InputError
        If a shape, dtype or value does not fit.
    """

    name: str
    shape: tuple[int, ...]
    codes: NDArray[np.uint8]
    runs: NDArray[np.uint8]
    codebook: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        where = f"Layer {self.name!r}"
        if len(self.shape) not in (2, 4) or min(self.shape) < 1:
            raise InputError(f"{where}: shape must be (outputs, inputs) or (outputs, channels, "
                             f"height, width), not {self.shape}")
        for what, array, dtype, count in (
                ("codes", self.codes, np.uint8, self.codes.size),
                ("runs", self.runs, np.uint8, self.codes.size),
                ("codebook", self.codebook, np.float32, _codebook_size(self.shape)),
                ("bias", self.bias, np.float32, self.shape[0])):
            if array.dtype != dtype or array.shape != (count,):
                raise InputError(f"{where}: {what} must be a {np.dtype(dtype)} array of shape "
                                 f"{(count,)}, not {array.dtype} of shape {array.shape}")
        for what, array, depth in (("codes", self.codes, self.codebook.size),
                                   ("runs", self.runs, 1 << _RUN_WIDTH)):
            if array.size and array.max() >= depth:
                raise InputError(f"{where}: {what} must be below {depth}, not {array.max()}")
        if self.codebook[0] != 0:
            raise InputError(
                f"{where}: codebook must begin with the weight 0, not {self.codebook[0]}")
        for what, array in (("codebook", self.codebook), ("bias", self.bias)):
            if not np.isfinite(array).all():
                raise InputError(
                    f"{where}: {what} must be finite, not {array[~np.isfinite(array)][0]}")
        reach = self.entries + int(self.runs.sum(dtype=np.int64))
        if reach > self.size:
            raise InputError(
                f"{where}: runs must stay within the {self.size} weights, not reach {reach}")

    @property
    def size(self) -> int:
        """Number of weights, zeros included."""
        return math.prod(self.shape)

    @property
    def entries(self) -> int:
        """Number of stored entries, fillers included."""
        return self.codes.size

    @property
    def fillers(self) -> int:
        """Number of entries that stand for a zero weight."""
        return self.codes.size - int(np.count_nonzero(self.codes))

    @property
    def codes_dense(self) -> NDArray[np.uint8]:
        """Code of every weight, zeros included: uint8 array of shape ``shape``."""
        dense = np.zeros(self.size, np.uint8)
        dense[_weight_indices(self.runs)] = self.codes
        return dense.reshape(self.shape)

    @property
    def weight(self) -> NDArray[np.float32]:
        """Every weight, zeros included: float32 array of shape ``shape``."""
        return decode_weights(self.codes_dense, self.codebook)


def read(path: str | os.PathLike[str],
         prototxt_path: str | os.PathLike[str] | None = None) -> tuple[CompressedLayer, ...]:
    """Read all layers of a network.

    Parameters
    ----------
    path : path-like
        The ``.net`` file.
    prototxt_path : path-like, optional
        The prototxt as deployed. Without it: the file beside `path` with the same stem and
        ``.prototxt``, or else the only ``.prototxt`` in that folder.

    Returns
    -------
    tuple of :class:`CompressedLayer`
        Layers in the order of the file.

    Raises
    ------
    InputError
        If a file is missing, the prototxt does not fit, or the ``.net`` file is damaged or belongs
        to another network: the message names the byte and what must be there.
    """
    path = Path(path)
    data = read_bytes(path)
    prototxt_path = _find_prototxt(path, prototxt_path)
    net = parse_net(read_bytes(prototxt_path), str(prototxt_path))
    return _decode(data, weight_shapes(net, str(prototxt_path)), path)


def read_network(path: str | os.PathLike[str],
                 prototxt_path: str | os.PathLike[str] | None = None) -> FloatGraph:
    """Read a network.

    Parameters
    ----------
    path : path-like
        The ``.net`` file.
    prototxt_path : path-like, optional
        The prototxt as deployed, found as by :func:`read`: a graph of the layers in
        :data:`~eieio.model.formats.caffe_graph.LAYER_TYPES`, with one input and one output.

    Returns
    -------
    FloatGraph
        The network, named after the ``.net`` file, whose weights are shared. A chain of fully
        connected layers is one as :func:`eieio.model.graph.chain.chain` makes it, and without a
        softmax at the end: the outputs are logits, which have the same largest element.

    Raises
    ------
    InputError
        As for :func:`read`, or if the prototxt is not such a network: the message names the layer.
    """
    path = Path(path)
    data = read_bytes(path)
    prototxt_path = _find_prototxt(path, prototxt_path)
    source = str(prototxt_path)
    net = parse_net(read_bytes(prototxt_path), source)
    shapes = weight_shapes(net, source)
    layers = _decode(data, shapes, path)
    weights = {layer.name: (WeightCodes(layer.codes_dense, layer.codebook), layer.bias)
               for layer in layers}
    graph = build_graph(path.stem, net, source, input_shapes(net, source), weights)
    if any(len(weights.shape) == 4 for weights in shapes):
        return graph
    if isinstance(graph.operators[-1], Softmax):
        graph = replace(graph, operators=graph.operators[:-1], output=graph.operators[-1].input)
    return as_chain(graph)


def _codebook_size(shape: tuple[int, ...]) -> int:
    return _CONVOLUTION_CODEBOOK if len(shape) == 4 else _INNER_PRODUCT_CODEBOOK


def _weight_indices(runs: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Index, in C order, of the weight that each entry stands for."""
    return np.cumsum(runs.astype(np.int64) + 1) - 1


def _unpack(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    values = np.empty(2 * data.size, np.uint8)
    values[::2] = data & 15
    values[1::2] = data >> 4
    return values


class _Cursor:
    """A place in the file, which moves on as fields are taken."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.data = data
        self.path = path
        self.byte = 0

    def take(self, dtype: str, count: int, what: str) -> NDArray[Any]:
        size = count * np.dtype(dtype).itemsize
        if self.byte + size > len(self.data):
            raise InputError(f"{self.path}: byte {self.byte} must begin {what}, {size} bytes, but "
                             f"the file ends at byte {len(self.data)}")
        values = np.frombuffer(self.data, dtype, count, self.byte)
        self.byte += size
        return values.astype(values.dtype.newbyteorder("="))

    def take_floats(self, count: int, what: str) -> NDArray[np.float32]:
        start = self.byte
        values = self.take("<f4", count, what)
        if not np.isfinite(values).all():
            index = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(f"{self.path}: byte {start + 4 * index}, in {what}, must be a finite "
                             f"float32 number, not {values[index]}")
        return values

    def take_nibbles(self, count: int, what: str) -> NDArray[np.uint8]:
        values = _unpack(self.take("u1", (count + 1) // 2, what))
        if values[count:].any():
            raise InputError(f"{self.path}: byte {self.byte - 1}, the last of {what}, must have 0 "
                             f"in its high half, not {values[count]}")
        return values[:count]


def _decode(data: bytes, shapes: Sequence[Weights], path: Path) -> tuple[CompressedLayer, ...]:
    cursor = _Cursor(data, path)
    counts = cursor.take("<u4", len(shapes), f"the entry counts of {len(shapes)} layers").tolist()
    for i, (count, weights) in enumerate(zip(counts, shapes, strict=True)):
        if count > math.prod(weights.shape):
            raise InputError(f"{path}: byte {4 * i} must be the entry count of layer "
                             f"{weights.name!r}, at most {math.prod(weights.shape)}, not {count}")
        most = most_weights(count)
        if math.prod(weights.shape) > most:
            raise InputError(f"{path}: layer {weights.name!r}, of {count} entries at byte {4 * i}, "
                             f"must have at most {most} weights, not {math.prod(weights.shape)}")
    layers = []
    for count, weights in zip(counts, shapes, strict=True):
        layers.append(_decode_layer(cursor, count, weights))
    if cursor.byte != len(data):
        raise InputError(f"{path}: byte {cursor.byte} must be the end of the file, but the file "
                         f"ends at byte {len(data)}")
    return tuple(layers)


def _decode_layer(cursor: _Cursor, count: int, weights: Weights) -> CompressedLayer:
    owner = f"of layer {weights.name!r}"
    start = cursor.byte
    codebook = cursor.take_floats(_codebook_size(weights.shape), f"the codebook {owner}")
    if codebook[0] != 0:
        raise InputError(f"{cursor.path}: byte {start} must be the weight 0, the first in the "
                         f"codebook {owner}, not {codebook[0]}")
    bias = cursor.take_floats(weights.shape[0], f"the biases {owner}")
    if len(weights.shape) == 4:
        codes = cursor.take("u1", count, f"the codes {owner}")
    else:
        codes = cursor.take_nibbles(count, f"the codes {owner}")
    start = cursor.byte
    runs = cursor.take_nibbles(count, f"the runs {owner}")
    indices = _weight_indices(runs)
    size = math.prod(weights.shape)
    if count and indices[-1] >= size:
        index = int(np.searchsorted(indices, size))
        raise InputError(f"{cursor.path}: byte {start + index // 2}, in the runs {owner}, must "
                         f"stay within its {size} weights, not reach {indices[index] + 1}")
    return CompressedLayer(weights.name, weights.shape, codes, runs, codebook, bias)


def _find_prototxt(path: Path, prototxt_path: str | os.PathLike[str] | None) -> Path:
    if prototxt_path is not None:
        return Path(prototxt_path)
    beside = path.with_suffix(".prototxt")
    if beside.is_file():
        return beside
    others = sorted(path.parent.glob("*.prototxt"))
    if len(others) != 1:
        raise InputError(f"{path} must have its prototxt {beside.name} beside it")
    return others[0]
