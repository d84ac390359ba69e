"""Loading a network from any of the formats: in real numbers, or in 8-bit integers."""

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats import samples as sample_files
from eieio.model.formats.input_file import read_bytes
from eieio.model.formats.numpy_file import load_numpy
from eieio.model.formats.samples import Samples
from eieio.model.graph.calibration import Method, calibrate
from eieio.model.graph.float_graph import FloatGraph, WeightedOperator
from eieio.model.graph.quantization import Scale, choose_scales, quantize
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.graph.quantizers import RangesNeededError, settle

__all__ = ["NetworkFile", "arrange", "read_graph", "read_inputs", "read_samples"]

_SUFFIXES = (".npz", ".onnx", ".net", ".eie", ".tflite")


class NetworkFile:
    """A network in a file, which may be quantized, or may have to be.

    Parameters
    ----------
    path : path-like
        ``.npz`` (:mod:`eieio.model.formats.npz`), ``.onnx`` (:mod:`eieio.model.formats.onnx`),
        ``.net`` with its prototxt beside it (:mod:`eieio.model.formats.deep_compression`), ``.eie``
        (:mod:`eieio.model.formats.compressed`) or ``.tflite`` (:mod:`eieio.model.formats.tflite`);
        upper case is as good.
    output : :class:`str`, optional
        Name of the value to take as the output of an ONNX or TensorFlow Lite file. The default is
        the file's.

    Attributes
    ----------
    graph : FloatGraph or QuantizedGraph
        What the file holds.
    shape : tuple of :class:`int`
        Shape of the input.
    outputs : :class:`int`
        Elements of the output.
    reference : FloatGraph or None
        The network in real numbers, if that is what the file holds.
    channels_first, integer_input :
        As in :class:`~eieio.model.graph.quantized_graph.QuantizedGraph`.
    input_scale : Scale or None
        Scale of the input, if the file takes integers.

    Raises
    ------
    InputError
        If the file cannot be read, or does not hold such a network.
    """

    def __init__(self, path: str | os.PathLike[str], output: str | None = None) -> None:
        self.path = path = Path(path)
        if path.is_dir():
            raise InputError(f"{path} must be a file, not a folder")
        if not path.exists():
            raise InputError(f"{path} must be an existing file")
        if output is not None and path.suffix.lower() not in (".onnx", ".tflite"):
            raise InputError(f"{path}: the output can be chosen of .onnx and .tflite files only")
        self.integer_input: str | None = None
        self.input_scale: Scale | None = None
        self.graph: FloatGraph | QuantizedGraph
        self._scales: dict[str, Scale] = {}
        # One format is needed; importing the libraries of all takes a second.
        match path.suffix.lower():
            case ".npz":
                from eieio.model.formats import npz

                self.graph = npz.read(path)
            case ".onnx":
                from eieio.model.formats import onnx

                found = onnx.read(path, output)
                self.graph, self._scales = found.graph, found.scales
                self.integer_input = found.integer_input
                self.input_scale = found.scales.get(found.graph.input.name)
            case ".net":
                from eieio.model.formats import deep_compression

                self.graph = deep_compression.read_network(path)
            case ".eie":
                from eieio.model.formats import compressed

                self.graph = compressed.read(path)
            case ".tflite":
                from eieio.model.formats import tflite

                self.graph = graph = tflite.read(path, output)
                self.integer_input = graph.integer_input
                self.input_scale = Scale(graph.input.scale, graph.input.zero_point)
            case suffix:
                raise InputError(f"{path} must end in {', '.join(_SUFFIXES)}, not {suffix!r}")
        self.reference: FloatGraph | None = None
        if isinstance(self.graph, FloatGraph) and not self._scales:
            self.reference = self.graph
        self.channels_first = self.graph.channels_first
        self.shape = self.graph.input.shape
        self.outputs = self.graph.output.elements

    def real_graph(self) -> FloatGraph:
        """Return the network of real numbers.

        Raises
        ------
        InputError
            If the file holds one of 8-bit integers.
        """
        if self.reference is None:
            raise InputError(f"{self.path} is a network of 8-bit integers, not of real numbers")
        return self.reference

    @cached_property
    def _without_samples(self) -> QuantizedGraph | InputError:
        """The network of integers, or why it cannot be made without samples."""
        graph = self.graph
        if isinstance(graph, QuantizedGraph):
            return graph
        if self.reference is not None:
            return InputError(f"{self.path} is a network of floating-point numbers: sample inputs "
                              "must be given, to quantize it by")
        try:
            return self._quantize(*settle(graph, self._scales))
        except RangesNeededError as error:
            return InputError(f"{self.path}: {error}")
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    @property
    def needs_samples(self) -> bool:
        """Whether it takes samples to make the network of integers."""
        return isinstance(self._without_samples, InputError)

    def quantize(self, x: NDArray[np.floating] | None = None, calibration: Method = "minmax",
                 percentile: float = 99.99, *, one_scale: bool = False) -> QuantizedGraph:
        """Return the network of integers.

        Parameters
        ----------
        x : float array of shape (samples, and the shape of the input), optional
            Samples, to find the ranges that the file does not tell.
        calibration, percentile :
            How: see :mod:`eieio.model.graph.calibration`.
        one_scale : :class:`bool`
            Whether shared weights of an operator get one scale, so that they have no more values as
            integers than as real numbers, and not one for each channel.

        Raises
        ------
        InputError
            If it takes samples and there are none, or the network cannot be computed in integers.
        """
        found = self._without_samples
        if isinstance(found, QuantizedGraph):
            return found
        if x is None:
            raise found
        graph = self.graph
        assert isinstance(graph, FloatGraph)
        if one_scale:
            graph = replace(graph, operators=tuple(
                replace(operator, one_scale=True)
                if isinstance(operator, WeightedOperator) and operator.shared is not None
                else operator for operator in graph.operators))
        try:
            ranges = calibrate(graph, x, calibration, percentile)
            if self.reference is not None:
                return self._quantize(graph, choose_scales(graph, ranges))
            return self._quantize(*settle(graph, self._scales, ranges))
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def _quantize(self, graph: FloatGraph, scales: dict[str, Scale]) -> QuantizedGraph:
        return replace(quantize(graph, scales), integer_input=self.integer_input)

    def read_samples(self, path: str | os.PathLike[str], scale: float | None = None) -> Samples:
        """Read samples for the network: see :func:`read_samples`."""
        return read_samples(path, self.shape, self.outputs, scale,
                            channels_first=self.channels_first,
                            integers=(self.integer_input, self.input_scale))


def read_graph(path: str | os.PathLike[str],
               samples: NDArray[np.floating] | str | os.PathLike[str] | None = None,
               calibration: Method = "minmax", percentile: float = 99.99,
               scale: float | None = None, output: str | None = None) -> QuantizedGraph:
    """Read a network, and quantize it if it is not.

    Parameters
    ----------
    path : path-like
        As :class:`NetworkFile` takes it.
    samples : float array, or path-like, optional
        Sample inputs to calibrate a network of floating-point numbers, which needs them, or what a
        quantized one leaves in real numbers. An array is one for :func:`arrange`; a file is one for
        :mod:`eieio.model.formats.samples`.
    calibration : ``"minmax"`` or ``"percentile"``
        How to find the ranges of the activations: see :mod:`eieio.model.graph.calibration`.
    percentile : :class:`float`
        For ``"percentile"``.
    scale : :class:`float`, optional
        Real value of a 1 in a file of samples: see :func:`eieio.model.formats.samples.read`.
    output : :class:`str`, optional
        Name of the value to take as the output. The default is the file's.

    Returns
    -------
    :class:`~eieio.model.graph.quantized_graph.QuantizedGraph`
        The network, named after the file.

    Raises
    ------
    InputError
        If a file cannot be read, does not hold such a network, or needs samples and there are none.
    """
    file = NetworkFile(path, output)
    if samples is None or not file.needs_samples:
        return file.quantize()
    if isinstance(samples, np.ndarray):
        x = arrange(samples, file.shape, channels_first=file.channels_first)
    else:
        x = file.read_samples(samples, scale).x
    return file.quantize(x, calibration, percentile)


def read_samples(path: str | os.PathLike[str], shape: tuple[int, ...], outputs: int,
                 scale: float | None = None, *, channels_first: bool = False,
                 integers: tuple[str | None, Scale | None] = (None, None)) -> Samples:
    """Read samples for a network of images.

    Parameters
    ----------
    path : path-like
        File, as :func:`eieio.model.formats.samples.read` takes it. Its inputs are arranged as by
        :func:`arrange`.
    shape : tuple of :class:`int`
        Shape of the network's input.
    outputs : :class:`int`
        Elements of the network's output.
    scale : :class:`float`, optional
        Real value of a 1 in the file.
    channels_first : :class:`bool`
        As :func:`arrange` takes it.
    integers : tuple of :class:`str` and Scale
        Type and scale of the input of a network that takes integers. An array of int8 or uint8
        holds them, those of uint8 larger by 128, unless `scale` says otherwise.

    Returns
    -------
    Samples
        Inputs, float32 of shape (samples, and ``shape``), and labels.

    Raises
    ------
    InputError
        If the file cannot be read, or an array does not fit the network.
    """
    found = sample_files.read(path, int(np.prod(shape)), outputs, scale)
    # Read already, and found to be in order; this is for the type and the shape alone.
    loaded = load_numpy(read_bytes(path))
    stored: NDArray[Any] = loaded if isinstance(loaded, np.ndarray) else loaded["x"]
    x = found.x.reshape(stored.shape)
    kind, input_scale = integers
    if (kind is not None and input_scale is not None and scale is None
            and stored.dtype in (np.int8, np.uint8)):
        levels = stored.astype(np.int64) - (128 if stored.dtype == np.uint8 else 0)
        x = ((levels - input_scale.zero_point) * input_scale.scale).astype(np.float32)
    try:
        return Samples(arrange(x, shape, channels_first=channels_first), found.labels)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_inputs(path: str | os.PathLike[str], graph: QuantizedGraph, scale: float | None = None
                ) -> Samples:
    """Read samples for a network of integers: see :func:`read_samples`."""
    tensor = graph.input
    return read_samples(
        path, tensor.shape, graph.output.elements, scale, channels_first=graph.channels_first,
        integers=(graph.integer_input, Scale(tensor.scale, tensor.zero_point)))


def arrange(x: NDArray[np.floating], shape: tuple[int, ...], *,
            channels_first: bool = False) -> NDArray[np.floating]:
    """Bring sample inputs into the shape of a network's input.

    Parameters
    ----------
    x : float array of shape (samples, ...)
        Images in the order height, width, channels, or channels, height, width: which of them, the
        shape tells; without their channels' axis if they have one channel. Or anything flat.
    shape : tuple of :class:`int`
        Shape of the network's input; (height, width, channels) for images.
    channels_first : :class:`bool`
        The order of images with as many channels as rows and columns, whose shape does not tell it:
        that of the network's own file.

    Returns
    -------
    array of shape (samples, and ``shape``)
        Inputs.

    Raises
    ------
    InputError
        If the shape does not fit.
    """
    given = x.shape[1:]
    ambiguous = len(shape) == 3 and shape[0] == shape[1] == shape[2]
    if given == shape and not (ambiguous and channels_first):
        return x
    if len(shape) == 3:
        height, width, channels = shape
        if given == (channels, height, width):
            return x.transpose(0, 2, 3, 1)
        if channels == 1 and given == (height, width):
            return x[..., np.newaxis]
        # Flat: in which order, only one channel leaves no doubt.
        flat = channels == 1
    else:
        flat = True
    if flat and int(np.prod(given)) == int(np.prod(shape)):
        return x.reshape(len(x), *shape)
    raise InputError(f"Samples must have shape (samples, {', '.join(map(str, shape))}), not "
                     f"{x.shape}")
