r"""A compiled network on disk: the image for a sparse engine, and what a host must know of it.

Numbers are little-endian.

======== ===== =======================================================================
offset   bytes content
======== ===== =======================================================================
0        8     signature: 89 45 49 49 0D 0A 1A 0A (``"\x89EII\r\n\x1a\n"``)
8        4     version of the format: 1
12       4     bytes of the description, d
16       4     words of the image, w
20       d     description in JSON
20 + d   4 * w words of the image (:mod:`eieio.model.sparse.image_layout`)
end      4     CRC-32 (that of zlib) of all bytes before
======== ===== =======================================================================

The description is an object:

``engine``
    ``"sparse"``.
``network``
    Name of the network.
``config``
    Configuration of the engine (:class:`~eieio.model.sparse.config.SparseConfig`).
``layers``
    For each layer the attributes of :class:`~eieio.model.sparse.disassembly.LayerLabel`: name,
    shape, scales, and the positions of its inputs and outputs in the engine's words.
"""

import json
import os
import struct
import zlib
from dataclasses import asdict

import numpy as np

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.input_file import read_bytes
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.disassembly import LayerLabel, disassemble, labels
from eieio.model.sparse.mapping import CompiledNetwork

__all__ = ["dump", "load", "read", "write"]

_SIGNATURE = b"\x89EII\r\n\x1a\n"
_VERSION = 1
_HEADER = struct.Struct("<8sIII")


def dump(compiled: CompiledNetwork) -> bytes:
    """Return the file of a compiled network, from which :func:`load` restores it exactly."""
    description = json.dumps({
        "engine": "sparse", "network": compiled.network.name,
        "config": compiled.config.to_dict(),
        "layers": [asdict(label) for label in labels(compiled)],
    }).encode()
    words = compiled.image().astype("<u4").tobytes()
    body = _HEADER.pack(_SIGNATURE, _VERSION, len(description), len(words) // 4) \
        + description + words
    return body + struct.pack("<I", zlib.crc32(body))


def load(data: bytes) -> CompiledNetwork:
    """Read a compiled network.

    Parameters
    ----------
    data : :class:`bytes`
        File written by :func:`dump`.

    Returns
    -------
    CompiledNetwork
        The network.

    Raises
    ------
    InputError
        If the data is of something else, truncated or damaged.
    """
    if data[:8] != _SIGNATURE or len(data) < _HEADER.size:
        raise InputError("Image must begin with the signature of an image file")
    _, version, described, words = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise InputError(f"Image must have version {_VERSION} at byte 8, not {version}")
    size = _HEADER.size + described + 4 * words + 4
    if len(data) != size:
        raise InputError(f"Image must have {size} bytes, not {len(data)}")
    checksum, = struct.unpack_from("<I", data, size - 4)
    if zlib.crc32(data[:-4]) != checksum:
        raise InputError("Image must have the checksum that it ends with; it is damaged")
    try:
        description = json.loads(data[_HEADER.size:_HEADER.size + described])
        name = str(description["network"])
        config = SparseConfig.from_dict(description["config"])
        layers = [LayerLabel(**layer) for layer in description["layers"]]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError("Image must have a description of an engine and its layers") from error
    image = np.frombuffer(data, "<u4", words, _HEADER.size + described).astype(np.uint32)
    return disassemble(image, config, name, layers)


def write(path: str | os.PathLike[str], compiled: CompiledNetwork) -> None:
    """Write a compiled network to a file, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_bytes(path, dump(compiled))


def read(path: str | os.PathLike[str]) -> CompiledNetwork:
    """Read a compiled network from a file.

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
