"""Sets of 28 x 28 images with ten kinds: MNIST as Keras keeps it, and Fashion-MNIST of Debian."""

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.input_file import read_bytes
from eieio.model.formats.npz import read_arrays

__all__ = ["FASHION_FOLDER", "PIXEL", "ImageSet", "keras_mnist", "read_fashion", "read_labelled",
           "read_mnist"]

#: What a pixel's step is worth.
PIXEL = 1 / 256

#: Where Debian's package ``dataset-fashion-mnist`` puts its files.
FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images to train on, and images to test on.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user.
    x_train, x_test : uint8 arrays of shape (images, 28, 28)
        Pixels.
    y_train, y_test : int64 arrays of shape (images,)
        Kinds, 0 to 9.
    """

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]


def keras_mnist() -> Path:
    """Return where Keras keeps MNIST."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / "mnist.npz"


def read_labelled(path: Path, suffix: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one half of MNIST, or images in the same form.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        An ``.npz`` file.
    suffix : :class:`str`
        What the keys end in behind ``x`` and ``y``: ``"_train"``, ``"_test"`` or nothing.

    Returns
    -------
    uint8 array of shape (images, 28, 28)
        Pixels.
    int64 array of shape (images,)
        Kinds, 0 to 9.

    Raises
    ------
    InputError
        If a key is missing, or an array does not fit.
    """
    arrays = read_arrays(path)
    keys = [f"x{suffix}", f"y{suffix}"]
    if missing := [key for key in keys if key not in arrays]:
        raise InputError(f"{path}: must have keys {' and '.join(keys)}, and lacks "
                         f"{', '.join(missing)}")
    x, y = (arrays[key] for key in keys)
    if x.dtype != np.uint8 or not len(x) or x.shape[1:] not in {(784,), (28, 28)}:
        raise InputError(f"{path}: key {keys[0]!r} must be a uint8 array of images of 28 x 28 "
                         f"pixels, not {x.dtype} of shape {x.shape}")
    if y.dtype.kind not in "iu" or y.shape != x.shape[:1] or y.min() < 0 or y.max() > 9:
        raise InputError(f"{path}: key {keys[1]!r} must hold the digits of {len(x)} images, from "
                         f"0 to 9, not {y.dtype} of shape {y.shape}")
    return x.reshape(len(x), 28, 28), y.astype(np.int64)


def read_mnist(path: Path) -> ImageSet:
    """Read MNIST from Keras' ``mnist.npz``, with errors as :func:`read_labelled`'s."""
    return ImageSet("MNIST", *read_labelled(path, "_train"), *read_labelled(path, "_test"))


def read_fashion(folder: Path = FASHION_FOLDER) -> ImageSet:
    """Read Fashion-MNIST from its four files.

    Parameters
    ----------
    folder : :class:`pathlib.Path`
        Folder with ``train-images-idx3-ubyte.gz`` and the other three.

    Raises
    ------
    InputError
        If a file is missing or damaged, or the arrays do not fit.
    """
    arrays: list[NDArray[Any]] = []
    for half in ("train", "t10k"):
        x, y = (_read_idx(folder / f"{half}-{what}-ubyte.gz", shape)
                for what, shape in (("images-idx3", (28, 28)), ("labels-idx1", ())))
        if len(x) != len(y) or not len(x) or y.max() > 9:
            raise InputError(f"{folder}: {half} must have as many labels, from 0 to 9, as images")
        arrays += [x, y.astype(np.int64)]
    return ImageSet("Fashion-MNIST", *arrays)


def _read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an array of bytes: a magic number, sizes, and the bytes, big-endian and compressed."""
    try:
        data = gzip.decompress(read_bytes(path))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} must be a gzip file: {error}") from None
    axes = 1 + len(shape)
    head = 4 + 4 * axes
    if len(data) < head or data[:4] != bytes((0, 0, 8, axes)):
        raise InputError(f"{path} must be an IDX file of bytes with {axes} axes")
    count, *rest = np.frombuffer(data, ">u4", axes, 4).tolist()
    if tuple(rest) != shape or len(data) != head + count * int(np.prod(shape)):
        raise InputError(f"{path} must hold {' x '.join(map(str, ('n', *shape)))} bytes")
    return np.frombuffer(data, np.uint8, offset=head).reshape(count, *shape).copy()
