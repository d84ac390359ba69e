"""Sample inputs, with labels or without, in NumPy's ``.npy`` and ``.npz``.

An ``.npz`` file has the keys ``x`` (inputs) and, if there are labels, ``y``. An ``.npy`` file holds
inputs. Inputs have shape (samples, inputs) or any that flattens to it, such as
(samples, height, width); labels are integers of shape (samples,).

Numbers are real ones, and bytes are parts of 256, unless a scale is given. For networks whose own
file takes integers of 8 bits, :func:`eieio.model.graph.load_graph.read_samples` takes arrays of
int8 and uint8 for these integers.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.input_file import read_bytes
from eieio.model.formats.numpy_file import NumpyFileError, load_numpy

__all__ = ["Samples", "read"]

#: Scale of inputs that are bytes.
BYTE_SCALE = 1 / 256


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs of a network.

    Attributes
    ----------
    x : float32 or float64 array of shape (samples, inputs)
        Inputs; float64 where float32 does not hold the very numbers.
    labels : int64 array of shape (samples,), or None
        Which output should be the largest.
    """

    x: NDArray[np.floating]
    labels: NDArray[np.int64] | None


def read(path: str | os.PathLike[str], inputs: int, outputs: int,
         scale: float | None = None) -> Samples:
    """Read samples for a network.

    Parameters
    ----------
    path : path-like
        ``.npz`` or ``.npy`` file. Pickled objects are never loaded.
    inputs, outputs : :class:`int`
        Shape of the network.
    scale : :class:`float`, optional
        Real value of a 1 in the file. The default is 1/256 for bytes and 1 for other numbers.

    Returns
    -------
    Samples
        Inputs and labels.

    Raises
    ------
    InputError
        If the file cannot be read, or an array does not fit the network.
    """
    path = Path(path)
    arrays = _load(path)
    if "x" not in arrays:
        raise InputError(f"{path}: must have a key 'x' (inputs), beside {', '.join(arrays)}")
    what = f"{path}: key 'x'" if path.suffix.lower() == ".npz" else f"{path}:"
    x = arrays["x"]
    if x.ndim < 2 or not len(x) or int(np.prod(x.shape[1:])) != inputs:
        raise InputError(f"{what} must have shape (samples, {inputs}), not {x.shape}")
    if x.dtype.kind not in "uif":
        raise InputError(f"{what} must hold integers or floats, not {x.dtype}")
    if scale is None:
        scale = BYTE_SCALE if x.dtype == np.uint8 else 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        exact = x.reshape(len(x), inputs) * np.float64(scale)
        single = exact.astype(np.float32)
    if not np.isfinite(single).all():
        raise InputError(f"{what} must be finite")
    # To be rounded once, when they become integers.
    values = single if np.array_equal(single, exact) else exact
    labels = None
    if "y" in arrays:
        y = arrays["y"]
        if y.shape != (len(x),) or y.dtype.kind not in "ui":
            raise InputError(f"{path}: key 'y' must hold integers of shape ({len(x)},), not "
                             f"{y.dtype} of shape {y.shape}")
        labels = y.astype(np.int64)
        if labels.min() < 0 or labels.max() >= outputs:
            raise InputError(f"{path}: key 'y' must hold labels from 0 to {outputs - 1}, not "
                             f"from {labels.min()} to {labels.max()}")
    return Samples(values, labels)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    if path.suffix.lower() not in {".npz", ".npy"}:
        raise InputError(f"{path} must end in .npz or .npy, not {path.suffix!r}")
    data = read_bytes(path)
    try:
        loaded = load_numpy(data)
    except NumpyFileError as error:
        raise InputError(f"{path}: must be readable by numpy.load without pickle: {error}"
                         ) from error
    arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else loaded
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise InputError(f"{path}: key {key!r} must be a NumPy array, not other data")
    return arrays
