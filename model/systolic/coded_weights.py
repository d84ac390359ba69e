"""Weights of a systolic engine as codes: what its weight buffer holds, and what the codes mean."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.codebook import pack_codebooks
from eieio.model.errors import InputError
from eieio.model.graph.shared_weights import SharedWeights
from eieio.model.systolic.config import SystolicConfig

__all__ = ["CodedWeights", "check_values", "code_weights"]


@dataclass(frozen=True, eq=False)
class CodedWeights:
    """Contents of the weight buffer, and of the codebooks.

    Attributes
    ----------
    codes : uint8 array of shape (weight rows, columns)
        Code of each weight.
    codebooks : tuple of int32 arrays
        What the codes stand for, beginning with 0: of each descriptor, empty where it has no
        weights; or a single one for all.
    code_width : :class:`int`
        Bits of a code.
    """

    codes: NDArray[np.uint8]
    codebooks: tuple[NDArray[np.int32], ...]
    code_width: int

    def words(self) -> NDArray[np.uint32]:
        """Return the words of an image that fill the codebooks: uint32 array."""
        return pack_codebooks(self.codebooks, self.code_width)


def check_values(label: str, rows: NDArray[np.int32], code_width: int) -> None:
    """Refuse weights of more values than there are codes.

    Parameters
    ----------
    label : :class:`str`
        What the layer is called.
    rows : int32 array of shape (weight rows, columns)
        Its tiles of weights.
    code_width : :class:`int`
        Bits of a code.

    Raises
    ------
    InputError
        If they have, the 0 that fills tiles included.
    """
    values = np.union1d(rows, 0).size
    if values > 1 << code_width:
        raise InputError(f"{label}: weights must have at most {1 << code_width} values for "
                         f"code_width={code_width}, the 0 included, not {values}; code_width=8 "
                         "would fit, or a network of `eieio compress --code-width "
                         f"{code_width}`")


def code_weights(config: SystolicConfig, rows: Mapping[int, NDArray[np.int32]],
                 descriptors: int) -> CodedWeights:
    """Give the weights their codes.

    Parameters
    ----------
    config : SystolicConfig
        Engine, which has codes.
    rows : mapping of int32 arrays of shape (weight rows, columns)
        Tiles of weights by the number of their descriptor, in the order of the weight buffer, of as
        many values as there are codes at most.
    descriptors : :class:`int`
        Descriptors of the program.
    """
    empty = np.zeros((0, config.columns), np.int32)
    if config.codebooks == 1:
        shared = SharedWeights.of(np.concatenate([empty, *rows.values()]))
        return CodedWeights(shared.codes, (shared.codebook,), config.code_width)
    coded = {number: SharedWeights.of(values) for number, values in rows.items()}
    none = np.zeros(0, np.int32)
    return CodedWeights(
        np.concatenate([empty.astype(np.uint8), *(each.codes for each in coded.values())]),
        tuple(coded[number].codebook if number in coded else none
              for number in range(descriptors)), config.code_width)
