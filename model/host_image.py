"""What a host must know of a compiled network to run it on an engine: image, numbers, beats."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from eieio.model import fixed_point
from eieio.model.coded_image import encode_image
from eieio.model.engine_config import EngineConfig
from eieio.model.errors import InputError
from eieio.model.graph.load_graph import arrange
from eieio.model.graph.softmax import log_softmax, softmax
from eieio.model.image_frame import frame_image
from eieio.model.interval import Interval

__all__ = ["HostImage", "Packing", "Quantization"]


@dataclass(frozen=True)
class Quantization:
    """How real numbers and integers belong together: real = scale * (integer - zero_point).

    Attributes
    ----------
    scale : :class:`float`
        Real value of a step.
    zero_point : :class:`int`
        Integer of the real number 0.
    minimum, maximum : :class:`int`
        Range of the integers.
    half : :data:`eieio.model.fixed_point.Half`
        Where a half is rounded to: the even integer, or away from 0.
    """

    scale: float
    zero_point: int
    minimum: int
    maximum: int
    half: fixed_point.Half = "even"

    def quantize(self, x: NDArray[np.floating]) -> NDArray[np.int32]:
        """Round to the nearest integers by :func:`~eieio.model.fixed_point.quantize`; saturate."""
        integers = fixed_point.quantize(x, self.scale, self.zero_point, 32, self.half)
        return np.clip(integers, self.minimum, self.maximum).astype(np.int32)

    def saturates(self, x: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell which numbers are beyond the range, by more than rounding."""
        least, most = (self.scale * (end - self.zero_point)
                       for end in (self.minimum - 0.5, self.maximum + 0.5))
        return (x < least) | (x > most)

    def dequantize(self, integers: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the real numbers of integers."""
        return fixed_point.dequantize(integers, self.scale, self.zero_point).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Packing:
    """How the values of a vector lie in the beats of a stream.

    A beat holds ``lanes`` values of ``width`` bits, the first in the lowest bits, and is filled up
    with zeros to whole bytes, which go lowest first. Places without a value hold 0.

    Attributes
    ----------
    positions : int64 array of shape (values,)
        Place of each value.
    size : :class:`int`
        Places.
    width : :class:`int`
        Bits of a value.
    lanes : :class:`int`
        Places in a beat.
    zero_point : :class:`int`
        What the engine's integers are less than the values.
    """

    positions: NDArray[np.int64]
    size: int
    width: int
    lanes: int
    zero_point: int = 0

    @property
    def in_order(self) -> bool:
        """Whether the values follow one another from the first place on."""
        return np.array_equal(self.positions, np.arange(self.positions.size))

    @property
    def beats(self) -> int:
        """Beats of a vector."""
        return -(-self.size // self.lanes)

    @property
    def beat_bits(self) -> int:
        """Bits of a beat, without what fills up the last byte."""
        return self.lanes * self.width

    @property
    def size_bytes(self) -> int:
        """Bytes of a vector."""
        return self.beats * -(-self.beat_bits // 8)

    def pack(self, values: NDArray[np.integer]) -> bytes:
        """Return the bytes of values, shape (values,); negative ones in two's complement."""
        places = np.zeros(self.beats * self.lanes, np.int64)
        places[self.positions] = np.asarray(values, np.int64) - self.zero_point
        bits = (places[:, np.newaxis] >> np.arange(self.width)) & 1
        return np.packbits(bits.reshape(self.beats, self.beat_bits).astype(np.uint8), axis=1,
                           bitorder="little").tobytes()

    def pack_beats(self, values: NDArray[np.integer]) -> list[int]:
        """Return the beats of values, shape (values,), as unsigned integers."""
        octets, size = self.pack(values), self.size_bytes // self.beats
        return [int.from_bytes(octets[start:start + size], "little")
                for start in range(0, len(octets), size)]

    def unpack(self, octets: bytes) -> NDArray[np.int32]:
        """Return the signed values, shape (values,), of ``size_bytes`` bytes."""
        beats = np.frombuffer(octets, np.uint8).reshape(self.beats, -1)
        bits = np.unpackbits(beats, axis=1, count=self.beat_bits, bitorder="little")
        weights = 1 << np.arange(self.width, dtype=np.int64)
        weights[-1] *= -1
        places = bits.reshape(-1, self.width) @ weights
        return (places[self.positions] + self.zero_point).astype(np.int32)


@dataclass(frozen=True, eq=False)
class HostImage:
    """A network for a host that drives an engine.

    Attributes
    ----------
    name : :class:`str`
        Name of the network.
    engine : :class:`str`
        Name of the engine.
    config : EngineConfig
        Configuration of the engine.
    fingerprint : :class:`int`
        The same, as the register CONFIG tells it.
    words : uint32 array of shape (words,)
        Image.
    inputs, outputs : Packing
        How the inputs and the outputs of an inference lie in their streams: those of one sample
        after those of the other.
    input_numbers, output_numbers : Quantization
        What their integers mean, the outputs' when :meth:`finish` has been done.
    input_shape, output_shape : tuple of :class:`int`
        Shapes of one sample.
    batch : :class:`int`
        Samples of an inference.
    softmax : tuple of pairs of :class:`int`
        Multiplier and shift of each softmax that is left to the host.
    log_softmax : :class:`float` or None
        Scale of the engine's outputs, if the host computes the logarithm of softmax of them.
    channels_first : :class:`bool`
        Whether the network's file has its input, an image, in the order channels, height, width.
    integer_input : :class:`str` or None
        Type of the file's input, if it takes integers.
    """

    name: str
    engine: str
    config: EngineConfig
    fingerprint: int
    words: NDArray[np.uint32]
    inputs: Packing
    outputs: Packing
    input_numbers: Quantization
    output_numbers: Quantization
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    batch: int = 1
    softmax: tuple[tuple[int, int], ...] = ()
    log_softmax: float | None = None
    channels_first: bool = False
    integer_input: str | None = None

    def interval(self, cycles: float) -> Interval | None:
        """Return what an inference of so many cycles takes, with its data.

        None if it follows from the engine's configuration
        (:meth:`eieio.model.engine.Engine.interval`).
        """
        del cycles

    @property
    def may_be_coded(self) -> bool:
        """Whether the shell around the engine takes coded images."""
        return getattr(self.config, "coded_images", False)

    def frame(self, *, coded: bool = False) -> bytes:
        """Return the bytes of the image's frame, see :mod:`eieio.model.image_frame`.

        Parameters
        ----------
        coded : :class:`bool`
            Code the image, see :mod:`eieio.model.coded_image`.
        """
        from eieio.model.registry import engine_of  # It knows engines, which know images.

        words = self.words
        if coded:
            words = encode_image(words, engine_of(self.config).word_layouts(self.config))
        return frame_image(words, self.fingerprint, coded=coded).astype("<u4").tobytes()

    def quantize(self, x: NDArray[np.floating]) -> NDArray[np.int32]:
        """Return the integers of samples.

        Parameters
        ----------
        x : float array of shape (samples, and the shape of the input)
            Samples, or what :func:`eieio.model.graph.load_graph.arrange` makes them of.

        Returns
        -------
        int32 array of shape (samples, inputs)
            Integers.

        Raises
        ------
        InputError
            If the shape does not fit, or a value is not finite.
        """
        x = arrange(x, self.input_shape, channels_first=self.channels_first)
        if not np.isfinite(x).all():
            raise InputError("Samples must be finite")
        return self.input_numbers.quantize(x).reshape(len(x), prod(self.input_shape))

    def group(self, integers: NDArray[np.integer]) -> NDArray[np.integer]:
        """Arrange samples as inferences, the last one filled up with real zeros.

        Takes an array of shape (samples, inputs), and returns one of shape (inferences, batch *
        inputs).
        """
        missing = -len(integers) % self.batch
        filled = np.pad(integers, ((0, missing), (0, 0)),
                        constant_values=self.input_numbers.zero_point)
        return filled.reshape(-1, self.inputs.positions.size)

    def finish(self, integers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Compute what the engine leaves to the host of an inference's outputs, and keep the shape.

        Parameters
        ----------
        integers : int32 array of shape (batch * outputs,)
            What the engine sent.
        """
        values = integers.reshape(self.batch, *self.output_shape)
        for multiplier, shift in self.softmax:
            values = softmax(values.astype(np.int8), multiplier, shift).astype(np.int32)
        if self.log_softmax is not None:
            values = log_softmax(values.astype(np.int8), self.log_softmax).astype(np.int32)
        return values.reshape(-1)
