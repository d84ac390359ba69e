r"""The file of an image: words for an engine's memories, and a description of them.

Numbers are little-endian.

======== ===== =======================================================================
offset   bytes content
======== ===== =======================================================================
0        8     signature: 89 45 49 49 0D 0A 1A 0A (``"\x89EII\r\n\x1a\n"``)
8        4     version of the format: 1
12       4     bytes of the description, d
16       4     words of the image, w
20       d     description: an object in JSON
20 + d   4 * w words of the image
end      4     CRC-32 (that of zlib) of all bytes before
======== ===== =======================================================================

The description's key ``engine`` tells the kind of the engine, and so what else is described.
"""

import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.described import parse_json

__all__ = ["pack", "unpack"]

_SIGNATURE = b"\x89EII\r\n\x1a\n"
_VERSION = 1
_HEADER = struct.Struct("<8sIII")


def pack(description: dict[str, Any], words: NDArray[np.uint32]) -> bytes:
    """Return the file of an image."""
    described = json.dumps(description).encode()
    body = (_HEADER.pack(_SIGNATURE, _VERSION, len(described), len(words)) + described
            + words.astype("<u4").tobytes())
    return body + struct.pack("<I", zlib.crc32(body))


def unpack(data: bytes) -> tuple[dict[str, Any], NDArray[np.uint32]]:
    """Take the file of an image apart.

    Returns
    -------
    dict, and uint32 array of shape (words,)
        Description and image.

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
        description = parse_json(data[_HEADER.size:_HEADER.size + described])
        if not isinstance(description, dict):
            raise TypeError
    except (ValueError, TypeError) as error:
        raise InputError("Image must have a description of an engine and its layers") from error
    image = np.frombuffer(data, "<u4", words, _HEADER.size + described).astype(np.uint32)
    return description, image
