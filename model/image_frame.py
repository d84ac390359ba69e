"""The frame in which an image travels on the AXI4-Stream port ``s_axis_image``.

========= ======================================================================================
word      content
========= ======================================================================================
0         magic word, :data:`MAGIC`; of a coded image :data:`CODED_MAGIC`
1         fingerprint of the engine's configuration, :func:`fingerprint`
2         words of the image, N; at least 1
3         first word of the image
...
3 + N     CRC-32 (that of zlib) of all words before it, each as four bytes, the lowest first
========= ======================================================================================

TLAST is set on the last word, and on no other. A coded image is one of
:mod:`eieio.model.coded_image`; words and CRC are those of what travels.
"""

import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError

__all__ = ["CODED_MAGIC", "HEADER_WORDS", "MAGIC", "fingerprint", "frame_image"]

#: First word of a frame.
MAGIC = 0x49454945

#: First word of the frame of a coded image.
CODED_MAGIC = 0x43454945

#: Words before the image.
HEADER_WORDS = 3


def fingerprint(engine: str, config: EngineConfig) -> int:
    """Return the 32 bits by which an image names the engine that it is for.

    They are the CRC-32 of the configuration as JSON, with sorted keys and without spaces, with the
    kind of the engine under the key ``"engine"``, and with its revision, unless that is 0, under
    the key ``"revision"``.

    Parameters
    ----------
    engine : :class:`str`
        Name of the engine.
    config : EngineConfig
        Configuration of the engine.

    Raises
    ------
    InputError
        If there is no such engine.
    """
    from eieio.model.registry import numbered  # It knows engines, which know images.

    known = numbered()
    if engine not in known:
        raise InputError(f"Engine must be one of {', '.join(known)}, not {engine!r}")
    revision = {"revision": config.revision} if config.revision else {}
    text = json.dumps({"engine": engine, **revision, **config.to_dict()}, sort_keys=True,
                      separators=(",", ":"))
    return zlib.crc32(text.encode())


def frame_image(image: NDArray[Any], config_fingerprint: int, *, coded: bool = False
                ) -> NDArray[np.uint32]:
    """Return the frame of an image.

    Parameters
    ----------
    image : array of integers of 32 bits, shape (N,)
        Words of the image.
    config_fingerprint : :class:`int`
        :func:`fingerprint` of the engine.
    coded : :class:`bool`
        Whether these words are a coded image.

    Returns
    -------
    array of uint32, shape (N + 4,)
        Words of the frame.

    Raises
    ------
    InputError
        If the image is not one-dimensional, empty, or too long to be counted.
    """
    if image.ndim != 1 or not 0 < len(image) < 1 << 32:
        raise InputError(f"Image must be a row of 1 to 2^32 - 1 words, not of shape {image.shape}")
    magic = CODED_MAGIC if coded else MAGIC
    body = np.concatenate([np.array([magic, config_fingerprint, len(image)], np.uint32),
                           image.astype(np.uint32)])
    checksum = zlib.crc32(body.astype("<u4").tobytes())
    return np.append(body, np.uint32(checksum))
