"""Codebook: what the codes of shared weights stand for, and how an image holds it."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode_weights", "pack_codebooks", "unpack_codebooks"]

_Weight = TypeVar("_Weight", bound=np.generic)


def decode_weights(codes: NDArray[np.uint8], codebook: NDArray[_Weight]) -> NDArray[_Weight]:
    """Look weights up by their codes; the reference of :class:`eieio.rtl.codebook.Codebook`.

    Parameters
    ----------
    codes : uint8 array of any shape
        Codes of the weights, all below the size of the codebook.
    codebook : array of shape (2 ** code_width,)
        Weight of each code; the first is 0.

    Returns
    -------
    array of the shape of the codes and the dtype of the codebook
    """
    return codebook[codes]


def pack_codebooks(codebooks: Sequence[NDArray[np.int32]], code_width: int) -> NDArray[np.uint32]:
    """Make the words of an image that fill the codebooks of an engine, a word a weight.

    Parameters
    ----------
    codebooks : sequence of int32 arrays of up to 2 ** code_width weights
        The codebooks, in the order of their numbers. Codes that one does not use are 0 there.
    code_width : :class:`int`
        Bits of a code of the engine.

    Returns
    -------
    uint32 array of shape (len(codebooks) * 2 ** code_width,)
        The weight of ``code`` in codebook ``number`` is word ``number * 2 ** code_width + code``.
    """
    words = np.zeros((len(codebooks), 1 << code_width), np.int32)
    for row, codebook in zip(words, codebooks, strict=True):
        row[:codebook.size] = codebook
    return words.ravel().view(np.uint32)


def unpack_codebooks(words: NDArray[np.uint32], code_width: int) -> NDArray[np.int32]:
    """Undo :func:`pack_codebooks`; returns an int32 array of shape (codebooks, 2 ** code_width)."""
    return words.view(np.int32).reshape(-1, 1 << code_width)
