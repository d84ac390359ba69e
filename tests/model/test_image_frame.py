"""The frame around an image."""

import json
import re
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.image_frame import HEADER_WORDS, MAGIC, fingerprint, frame_image
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig


def test_frame() -> None:
    image = np.array([1, 0xFFFFFFFF, 3], np.uint32)
    frame = frame_image(image, 0x12345678)
    assert frame.dtype == np.uint32
    assert frame[:-1].tolist() == [MAGIC, 0x12345678, 3, 1, 0xFFFFFFFF, 3]
    assert frame[HEADER_WORDS:-1].tolist() == image.tolist()
    assert frame[-1] == zlib.crc32(struct.pack("<6I", *frame[:-1].tolist()))


@pytest.mark.parametrize("shape", [(0,), (2, 2), ()])
def test_bad_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=re.escape(
            f"Image must be a row of 1 to 2^32 - 1 words, not of shape {shape}")):
        frame_image(np.zeros(shape, np.uint32), 0)


def test_fingerprint() -> None:
    """Every option counts, and so does the kind of the engine."""
    config = SparseConfig()
    prints = {fingerprint("sparse", config), fingerprint("systolic", config),
              fingerprint("systolic", SystolicConfig()),
              fingerprint("sparse", replace(config, pes=32)),
              fingerprint("sparse", replace(config, absorb_fillers=False))}
    assert len(prints) == 5
    assert fingerprint("sparse", SparseConfig(pes=16)) == fingerprint("sparse", config)
    with pytest.raises(InputError, match="Engine must be one of sparse, systolic, mixed, "
                                         "dadiannao, not 'other'"):
        fingerprint("other", config)


def test_revision() -> None:
    """Images for an engine that took other words are not for this one."""
    config = SystolicConfig()
    described = {"engine": "systolic", **config.to_dict()}
    for revision, same in ((None, False), (config.revision, True)):
        text = json.dumps(described if revision is None else {**described, "revision": revision},
                          sort_keys=True, separators=(",", ":"))
        assert (fingerprint("systolic", config) == zlib.crc32(text.encode())) is same


def test_fingerprint_is_stable() -> None:
    """An image of before must stay known to the engine that it is for."""
    assert fingerprint("sparse", SparseConfig()) == 0x568A2C3B
