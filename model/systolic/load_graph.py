"""Loading a network of 8-bit integers from any of the formats that hold one, or make one."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats import samples as sample_files
from eieio.model.formats.samples import Samples
from eieio.model.systolic.calibration import Method, calibrate
from eieio.model.systolic.float_graph import FloatGraph
from eieio.model.systolic.quantization import choose_scales, quantize, spread_scales
from eieio.model.systolic.quantized_graph import QuantizedGraph

__all__ = ["arrange", "read_graph", "read_samples"]

_SUFFIXES = (".onnx", ".tflite")


def read_graph(path: str | os.PathLike[str],
               samples: NDArray[np.floating] | str | os.PathLike[str] | None = None,
               calibration: Method = "minmax", percentile: float = 99.99,
               scale: float | None = None) -> QuantizedGraph:
    """Read a network, and quantize it if it is not.

    Parameters
    ----------
    path : path-like
        ``.tflite`` (:mod:`eieio.model.formats.tflite`) or ``.onnx``
        (:mod:`eieio.model.formats.onnx_graph`); upper case is as good.
    samples : float array, or path-like, optional
        Sample inputs to calibrate a network of floating-point numbers, which needs them. An array
        is one for :func:`arrange`; a file is one for :mod:`eieio.model.formats.samples`.
    calibration : ``"minmax"`` or ``"percentile"``
        How to find the ranges of the activations: see :mod:`eieio.model.systolic.calibration`.
    percentile : :class:`float`
        For ``"percentile"``.
    scale : :class:`float`, optional
        Real value of a 1 in a file of samples: see :func:`eieio.model.formats.samples.read`.

    Returns
    -------
    :class:`~eieio.model.systolic.quantized_graph.QuantizedGraph`
        The network, named after the file.

    Raises
    ------
    InputError
        If a file cannot be read, does not hold such a network, or needs samples and there are none.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} must be a file, not a folder")
    if not path.exists():
        raise InputError(f"{path} must be an existing file")
    # One format is needed; importing the libraries of both takes a second.
    match path.suffix.lower():
        case ".tflite":
            from eieio.model.formats import tflite

            return tflite.read(path)
        case ".onnx":
            from eieio.model.formats import onnx_graph

            found = onnx_graph.read(path)
        case suffix:
            raise InputError(f"{path} must end in {' or '.join(_SUFFIXES)}, not {suffix!r}")
    graph = found.graph
    x = None if found.scales else _calibration_inputs(path, graph, samples, scale)
    try:
        scales = spread_scales(graph, found.scales) if x is None else choose_scales(
            graph, calibrate(graph, x, calibration, percentile))
        return quantize(graph, scales)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _calibration_inputs(path: Path, graph: FloatGraph,
                        samples: NDArray[np.floating] | str | os.PathLike[str] | None,
                        scale: float | None) -> NDArray[np.floating]:
    if samples is None:
        raise InputError(f"{path} is a network of floating-point numbers: sample inputs must be "
                         "given, to quantize it by")
    if isinstance(samples, np.ndarray):
        return arrange(samples, graph.input.shape)
    return read_samples(samples, graph.input.shape, graph.output.elements, scale).x


def read_samples(path: str | os.PathLike[str], shape: tuple[int, ...], outputs: int,
                 scale: float | None = None) -> Samples:
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
    # Read already, and found to be in order; this is for the shape alone.
    with open(path, "rb") as file:
        loaded = np.load(file)
        stored = loaded.shape if isinstance(loaded, np.ndarray) else loaded["x"].shape
    try:
        return Samples(arrange(found.x.reshape(stored), shape), found.labels)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def arrange(x: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.floating]:
    """Bring sample inputs into the shape of a network's input.

    Parameters
    ----------
    x : float array of shape (samples, ...)
        Images in the order height, width, channels or, where this is how the shape fits, channels,
        height, width; without their channels' axis if they have one channel. Or anything flat.
    shape : tuple of :class:`int`
        Shape of the network's input; (height, width, channels) for images.

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
    if given == shape:
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
