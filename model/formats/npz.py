"""Networks in NumPy's ``.npz``: one array a key.

Every layer has the keys

``<name>_weight``
    Weights, of shape (outputs, inputs).
``<name>_bias``
    Biases, of shape (outputs,). Optional: without it the biases are 0.
``<name>_relu``
    Whether a rectifier follows: one boolean. Optional: without it, every layer but the last is
    followed by one.

Layers are in the order in which their weights stand in the file. Weights and biases are float32;
float16 and float64 are taken too, and are rounded to the nearest float32.
"""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.float32 import as_float32
from eieio.model.formats.input_file import read_bytes
from eieio.model.formats.layer_names import check_layer_names
from eieio.model.formats.numpy_file import NumpyFileError, load_numpy
from eieio.model.graph.chain import as_chain, chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph, FullyConnected

__all__ = ["read", "read_arrays", "write"]

_SUFFIXES = ("_weight", "_bias", "_relu")


def read(path: str | os.PathLike[str]) -> FloatGraph:
    """Read a network.

    Parameters
    ----------
    path : path-like
        An ``.npz`` file with the keys described above. Pickled objects are never loaded.

    Returns
    -------
    FloatGraph
        The network, named after the file: a chain of fully connected layers.

    Raises
    ------
    InputError
        If the file is not an ``.npz`` file, or a key, shape, dtype or value does not fit.
    """
    path = Path(path)
    arrays = read_arrays(path)
    for key in arrays:
        if not key.endswith(_SUFFIXES):
            raise InputError(f"{path}: key {key!r} must end in _weight, _bias or _relu")
    names = [key.removesuffix("_weight") for key in arrays if key.endswith("_weight")]
    if not names:
        raise InputError(f"{path}: must have a key that ends in _weight")
    for key in arrays:
        name = key.rpartition("_")[0]
        if name not in names:
            raise InputError(f"{path}: key {key!r} must have a key {name + '_weight'!r} beside it")
    return chain(path.stem, [
        _layer(path, name, arrays, last=name == names[-1]) for name in names])


def write(path: str | os.PathLike[str], network: FloatGraph) -> None:
    """Write a network, compressed, with all three keys a layer.

    Parameters
    ----------
    path : path-like
        File to create or replace.
    network : FloatGraph
        Chain to write; :func:`read` returns its weights bit for bit. What is behind the last layer
        is left out.

    Raises
    ------
    InputError
        If the network is no chain, the file cannot be written, or two layers have one name.
    """
    layers = as_chain(network).weighted
    check_layer_names(layer.name for layer in layers)
    arrays: dict[str, NDArray[Any]] = {}
    for layer in layers:
        arrays[f"{layer.name}_weight"] = layer.weight
        arrays[f"{layer.name}_bias"] = layer.bias
        arrays[f"{layer.name}_relu"] = np.array(layer.rectified)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an ``.npz`` file; pickled objects are never loaded.

    Raises
    ------
    InputError
        If it is no such file, or a key cannot be read.
    """
    data = read_bytes(path)
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise InputError(f"{path}: must be an .npz file written by numpy.savez")
    try:
        arrays = load_numpy(data)
    except NumpyFileError as error:
        what = "the list of keys" if error.key is None else f"key {error.key!r}"
        raise InputError(f"{path}: {what} must be readable without pickle: {error}") from error
    if not isinstance(arrays, dict):
        raise InputError(f"{path}: must be an .npz file written by numpy.savez")
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise InputError(f"{path}: key {key!r} must be a NumPy array, not other data")
    return arrays


def _layer(path: Path, name: str, arrays: dict[str, NDArray[Any]], *, last: bool) -> FullyConnected:
    weight_key, bias_key, relu_key = (name + suffix for suffix in _SUFFIXES)
    weight = as_float32(arrays[weight_key], f"{path}: key {weight_key!r}")
    if weight.ndim != 2 or 0 in weight.shape:
        raise InputError(f"{path}: key {weight_key!r} must be a non-empty array of shape "
                         f"(outputs, inputs), not {weight.shape}")
    bias = np.zeros(weight.shape[0], np.float32)
    if bias_key in arrays:
        bias = as_float32(arrays[bias_key], f"{path}: key {bias_key!r}")
        if bias.shape != weight.shape[:1]:
            raise InputError(f"{path}: key {bias_key!r} must have shape {weight.shape[:1]}, the "
                             f"outputs of {weight_key!r}, not {bias.shape}")
    relu = not last
    if relu_key in arrays:
        flag = arrays[relu_key]
        if flag.dtype != np.bool_ or flag.size != 1:
            raise InputError(f"{path}: key {relu_key!r} must be one boolean, not "
                             f"{flag.dtype} of shape {flag.shape}")
        relu = bool(flag.item())
    return fully_connected(name, weight, bias, relu)
