"""The image for a mixed engine on disk, and what a host must know of it.

The file is one of :mod:`eieio.model.formats.image_file`, with words of
:mod:`eieio.model.mixed.mapping`. The description is an object:

``engine``, ``network``, ``config``
    ``"mixed"``, name of the network, and configuration of the engine
    (:class:`~eieio.model.mixed.config.MixedConfig`).
``cycles``
    Cycles of the systolic engine.
``convolutions``, ``dense``
    What :mod:`eieio.model.systolic.image` and :mod:`eieio.model.sparse.image` describe of their
    parts.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats import image_file
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.described import whole
from eieio.model.formats.input_file import read_parsed
from eieio.model.host_image import HostImage
from eieio.model.image_frame import fingerprint
from eieio.model.interval import Interval
from eieio.model.mixed.config import MixedConfig
from eieio.model.mixed.mapping import HEADER_WORDS, CompiledMixed
from eieio.model.mixed.timing import MixedTimer, mixed_interval
from eieio.model.sparse import image as sparse_image
from eieio.model.sparse.host import sparse_host_image
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.model.systolic import image as systolic_image
from eieio.model.systolic.host import systolic_host_image
from eieio.model.systolic.image import SystolicImage

__all__ = ["MixedHostImage", "MixedImage", "describe", "load", "mixed_host_image", "read", "write"]


@dataclass(frozen=True, eq=False)
class MixedImage:
    """An image with its description.

    Attributes
    ----------
    network : :class:`str`
        Name of the network.
    config : MixedConfig
        Configuration of the engine.
    convolutions : SystolicImage
        What the systolic engine computes.
    dense : CompiledNetwork
        What the sparse engine computes.
    cycles : :class:`int`
        Cycles of the systolic engine.
    words : uint32 array of shape (words,)
        The image.
    """

    network: str
    config: MixedConfig
    convolutions: SystolicImage
    dense: CompiledNetwork
    cycles: int
    words: NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class MixedHostImage(HostImage):
    """A network for a host that drives a mixed engine.

    Attributes
    ----------
    first_cycles, handed_beats : :class:`int`
        Cycles of the systolic engine, and beats in which its output leaves it.
    """

    first_cycles: int = 0
    handed_beats: int = 0

    def interval(self, cycles: float) -> Interval:
        assert isinstance(self.config, MixedConfig)
        return mixed_interval(self.config, cycles, self.first_cycles, self.handed_beats,
                              self.inputs.beats, self.outputs.beats)


def describe(compiled: CompiledMixed) -> MixedImage:
    """Return the image of a compiled network, with its description."""
    return MixedImage(compiled.graph.name, compiled.config,
                      systolic_image.describe(compiled.convolutions), compiled.dense,
                      MixedTimer(compiled).convolutions.cycles, compiled.image())


def mixed_host_image(image: MixedImage) -> MixedHostImage:
    """Return what a host must know of an image: inputs of the one part, outputs of the other."""
    first, last = systolic_host_image(image.convolutions), sparse_host_image(image.dense)
    return MixedHostImage(
        image.network, "mixed", image.config, fingerprint("mixed", image.config), image.words,
        first.inputs, last.outputs, first.input_numbers, last.output_numbers, first.input_shape,
        last.output_shape, softmax=last.softmax, log_softmax=last.log_softmax,
        channels_first=first.channels_first, integer_input=first.integer_input,
        first_cycles=image.cycles, handed_beats=image.convolutions.output.beats)


def write(path: str | os.PathLike[str], compiled: CompiledMixed) -> None:
    """Write the image of a compiled network to a file, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    image = describe(compiled)
    write_bytes(path, image_file.pack({
        "engine": "mixed", "network": image.network, "config": image.config.to_dict(),
        "cycles": image.cycles, "convolutions": systolic_image.description(image.convolutions),
        "dense": sparse_image.description(image.dense),
    }, image.words))


def load(data: bytes) -> MixedImage:
    """Read an image.

    Parameters
    ----------
    data : :class:`bytes`
        File written by :func:`write`.

    Raises
    ------
    InputError
        If the data is of something else, truncated or damaged.
    """
    description, words = image_file.unpack(data)
    try:
        if description["engine"] != "mixed":
            raise ValueError
        size = int(words[0])
        first, rest = np.split(words[HEADER_WORDS:], [size])
        described: tuple[dict[str, Any], ...] = description["convolutions"], description["dense"]
        name, cycles = str(description["network"]), whole(description["cycles"])
        config = MixedConfig.from_dict(description["config"])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InputError("Image must have a description of a mixed engine and its "
                         "network") from error
    return MixedImage(name, config, systolic_image.parse(described[0], first),
                      sparse_image.parse(described[1], rest), cycles, words)


def read(path: str | os.PathLike[str]) -> MixedImage:
    """Read an image from a file.

    Raises
    ------
    InputError
        If the file cannot be read, is of another kind, truncated or damaged.
    """
    return read_parsed(path, load)
