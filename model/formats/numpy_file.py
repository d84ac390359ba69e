"""Reading files of NumPy, whatever is in them."""

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NumpyFileError", "load_numpy"]


class NumpyFileError(Exception):
    """A file cannot be read.

    Attributes
    ----------
    key : :class:`str` or None
        The array in it that cannot be read; None if none can.
    """

    def __init__(self, key: str | None, reason: str) -> None:
        super().__init__(reason)
        self.key = key


def load_numpy(data: bytes) -> NDArray[Any] | dict[str, Any]:
    """Return the array of an ``.npy`` file, or those of an ``.npz`` file by their keys.

    Pickled objects are never loaded. What an ``.npz`` file holds beside arrays is :class:`bytes`.

    Raises
    ------
    NumpyFileError
        If NumPy cannot read it. The message is one line.
    """
    key = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # That Python 2 has written a header is no matter.
            loaded: Any = np.load(io.BytesIO(data), allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            arrays = {}
            with loaded:
                for key in loaded.files:
                    arrays[key] = loaded[key]
            return arrays
    # Headers are parsed as Python, by parts of Python that raise nearly anything.
    except Exception as error:
        reason = str(error).split("\n", 1)[0].strip() or type(error).__name__
        raise NumpyFileError(key, " ".join(reason.split())) from error
