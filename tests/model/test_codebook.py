"""Codebooks as an image holds them."""

import numpy as np
import pytest

from eieio.model.codebook import decode_weights, pack_codebooks, unpack_codebooks


def test_decode() -> None:
    codes = np.array([[3, 0], [1, 3]], np.uint8)
    assert decode_weights(codes, np.array([0, -7, 2, 5], np.int32)).tolist() == [[5, 0], [-7, 5]]
    real = decode_weights(codes, np.array([0, -0.5, 2, 0.25], np.float32))
    assert (real.dtype, real.tolist()) == (np.float32, [[0.25, 0], [-0.5, 0.25]])


def test_words() -> None:
    """A codebook with fewer codes than the engine is filled up with zeros."""
    words = pack_codebooks([np.array([0, -1], np.int32), np.array([0, 7, 1, -2], np.int32)], 2)
    assert words.dtype == np.uint32
    assert words.tolist() == [0, 0xFFFFFFFF, 0, 0, 0, 7, 1, 0xFFFFFFFE]
    assert unpack_codebooks(words, 2).tolist() == [[0, -1, 0, 0], [0, 7, 1, -2]]


def test_too_many_weights() -> None:
    with pytest.raises(ValueError, match="shape"):
        pack_codebooks([np.zeros(8, np.int32)], 2)
