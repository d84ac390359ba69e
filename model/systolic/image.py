"""The image for a systolic engine on disk, and what a host must know of it.

The file is one of :mod:`eieio.model.formats.image_file`, with words of
:mod:`eieio.model.systolic.program`. The description is an object:

``engine``
    ``"systolic"``.
``network``
    Name of the network.
``config``, ``fingerprint``
    Configuration of the engine (:class:`~eieio.model.systolic.config.SystolicConfig`), and the
    number by which an engine tells it (:func:`eieio.model.image_frame.fingerprint`).
``batch``
    Samples of an inference.
``input``, ``output``
    Attributes of :class:`Port`: what the engine takes and sends.
``softmax``
    Multiplier and shift of each softmax that the host computes of the output, in their order (see
    :func:`eieio.model.graph.softmax.softmax`); its numbers then have scale 1/256 and zero point
    -128.
``log_softmax``
    Whether the host computes the logarithm of softmax of the output (see
    :func:`eieio.model.graph.softmax.log_softmax`); its numbers then have scale 1/16 and zero
    point 127.
``channels_first``, ``integer_input``
    How the network's own file has its input, as in
    :class:`~eieio.model.graph.quantized_graph.QuantizedGraph`.
``layers``
    Names of the layers, in the order of their descriptors.
"""

import math
import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats import image_file
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.described import name_or_none, scale, sizes, whole
from eieio.model.formats.input_file import read_parsed
from eieio.model.graph.quantized_graph import LogSoftmax, Softmax, Tensor
from eieio.model.image_frame import fingerprint
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.placement import Placement

__all__ = ["Port", "SystolicImage", "describe", "description", "dump", "load", "parse", "read",
           "write"]


@dataclass(frozen=True)
class Port:
    """What an input or an output is, and how it lies in its stream.

    A stream carries the vectors of an inference one after the other, each in as many beats as it
    needs: a beat holds ``lanes`` int8 numbers, the first in the lowest byte. Places beyond the last
    channel of a vector hold anything.

    Attributes
    ----------
    shape : tuple of :class:`int`
        Shape of one sample.
    scale : :class:`float`
        Real value of a step.
    zero_point : :class:`int`
        Integer of the real number 0.
    vectors : :class:`int`
        Vectors of an inference: pixels of an image, or samples of a batch.
    channels : :class:`int`
        Numbers of a vector.
    lanes : :class:`int`
        Numbers of a beat.
    pauses : :class:`int`
        Cycles of an inference in which a beat that waits is not taken, besides those between
        inferences.
    """

    shape: tuple[int, ...]
    scale: float
    zero_point: int
    vectors: int
    channels: int
    lanes: int
    pauses: int = 0

    @property
    def beats(self) -> int:
        """Beats of an inference."""
        return self.vectors * -(-self.channels // self.lanes)

    @property
    def positions(self) -> NDArray[np.int64]:
        """Place of each number in the stream: shape (vectors * channels,)."""
        places = -(-self.channels // self.lanes) * self.lanes
        return (np.arange(self.vectors)[:, np.newaxis] * places
                + np.arange(self.channels)).reshape(-1)


@dataclass(frozen=True, eq=False)
class SystolicImage:
    """An image with its description: the attributes are those of the description.

    Attributes
    ----------
    network : :class:`str`
    config : :class:`~eieio.model.systolic.config.SystolicConfig`
    fingerprint : :class:`int`
    batch : :class:`int`
    input, output : Port
    softmax : tuple of pairs of :class:`int`
    log_softmax : :class:`bool`
    channels_first : :class:`bool`
    integer_input : :class:`str` or None
    layers : tuple of :class:`str`
    words : uint32 array of shape (words,)
        The image.
    """

    network: str
    config: SystolicConfig
    fingerprint: int
    batch: int
    input: Port
    output: Port
    softmax: tuple[tuple[int, int], ...]
    layers: tuple[str, ...]
    words: NDArray[np.uint32]
    log_softmax: bool = False
    channels_first: bool = False
    integer_input: str | None = None


def describe(compiled: CompiledGraph) -> SystolicImage:
    """Return the image of a compiled network, with its description."""
    config = compiled.config

    def port(tensor: Tensor, placement: Placement, pauses: int = 0) -> Port:
        return Port(tensor.shape, tensor.scale, tensor.zero_point, placement.pixels,
                    placement.channels, config.lanes, pauses)

    softmax = tuple((operator.multiplier, operator.shift) for operator in compiled.host_operators
                    if isinstance(operator, Softmax))
    return SystolicImage(
        compiled.graph.name, config, fingerprint("systolic", config), compiled.batch,
        port(compiled.graph.input, compiled.input, compiled.input_pauses),
        port(compiled.result, compiled.output), softmax,
        tuple(layer.name for layer in compiled.layers), compiled.image(),
        any(isinstance(operator, LogSoftmax) for operator in compiled.host_operators),
        compiled.graph.channels_first, compiled.graph.integer_input)


def description(image: SystolicImage) -> dict[str, Any]:
    """Return the description of an image."""
    return {
        "engine": "systolic", "network": image.network, "config": image.config.to_dict(),
        "fingerprint": image.fingerprint, "batch": image.batch, "input": asdict(image.input),
        "output": asdict(image.output), "softmax": image.softmax,
        "log_softmax": image.log_softmax, "channels_first": image.channels_first,
        "integer_input": image.integer_input, "layers": image.layers,
    }


def dump(compiled: CompiledGraph) -> bytes:
    """Return the file of a compiled network's image."""
    image = describe(compiled)
    return image_file.pack(description(image), image.words)


def load(data: bytes) -> SystolicImage:
    """Read an image.

    Parameters
    ----------
    data : :class:`bytes`
        File written by :func:`dump`.

    Raises
    ------
    InputError
        If the data is of something else, truncated or damaged.
    """
    return parse(*image_file.unpack(data))


def parse(described: dict[str, Any], words: NDArray[np.uint32]) -> SystolicImage:
    """Return an image of its description and its words.

    Raises
    ------
    InputError
        If it is no description of a systolic engine and its network.
    """
    try:
        if described["engine"] != "systolic":
            raise ValueError
        config = SystolicConfig.from_dict(described["config"])
        batch = whole(described["batch"], 1)
        softmax = tuple((whole(multiplier), whole(shift, -64, 64))
                        for multiplier, shift in described["softmax"])
        return SystolicImage(
            str(described["network"]), config, whole(described["fingerprint"]),
            batch, _port(described["input"], batch), _port(described["output"], batch),
            softmax, tuple(map(str, described["layers"])), words,
            bool(described.get("log_softmax", False)),
            bool(described.get("channels_first", False)),
            name_or_none(described.get("integer_input")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError("Image must have a description of a systolic engine and its "
                         "network") from error


def _port(values: dict[str, Any], batch: int) -> Port:
    shape = sizes(values["shape"])
    vectors, channels = sizes([values["vectors"], values["channels"]])
    if vectors * channels != math.prod(shape) * batch:
        raise ValueError("vectors and channels must be those of the shape")
    return Port(**{**values, "shape": shape, "scale": scale(values["scale"]),
                   "zero_point": whole(values["zero_point"], -128, 127),
                   "lanes": whole(values["lanes"], 1, 256),
                   "pauses": whole(values.get("pauses", 0))})


def write(path: str | os.PathLike[str], compiled: CompiledGraph) -> None:
    """Write the image of a compiled network to a file, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_bytes(path, dump(compiled))


def read(path: str | os.PathLike[str]) -> SystolicImage:
    """Read an image from a file.

    Raises
    ------
    InputError
        If the file cannot be read, is of another kind, truncated or damaged.
    """
    return read_parsed(path, load)
