"""Arrays where steps take files: an array means what it means in a file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eieio.model.engine import Compiled
from eieio.model.errors import InputError
from eieio.model.formats.samples import Samples
from eieio.model.leftovers import temporary_folder

__all__ = ["Inputs", "read_inputs", "sample_file"]

#: Inputs of a network: a file, an array, Samples, or inputs and labels.
Inputs = str | os.PathLike[str] | ArrayLike | Samples


@contextmanager
def sample_file(inputs: Inputs | None) -> Iterator[Path | None]:
    """Make inputs a file while the body of the ``with`` runs; what is a file stays one.

    Raises
    ------
    InputError
        If it is nothing that a file of samples can hold; also that of the body, which calls the
        file "Samples".
    """
    if inputs is None or isinstance(inputs, str | os.PathLike):
        yield None if inputs is None else Path(inputs)
        return
    arrays = _arrays(inputs)
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise InputError(f"Samples must have numbers of one type and shape for {name}, not "
                             f"{type(inputs).__name__} of {array.dtype}")
    with temporary_folder() as folder:
        file = folder / ("samples.npy" if len(arrays) == 1 else "samples.npz")
        if len(arrays) == 1:
            np.save(file, arrays["x"], allow_pickle=False)
        else:
            np.savez(file, allow_pickle=False, **arrays)
        try:
            yield file
        except InputError as error:
            text = str(error).replace(f"{file}: key 'y'", "Labels").replace(f"{file}: key 'x'",
                                                                           "Samples")
            raise InputError(text.replace(f"{file}:", "Samples").replace("Samples Samples",
                                                                         "Samples")) from None


def _arrays(inputs: Any) -> dict[str, NDArray[Any]]:
    if isinstance(inputs, Samples):
        inputs = inputs.x if inputs.labels is None else (inputs.x, inputs.labels)
    try:
        if isinstance(inputs, tuple) and len(inputs) == 2:
            return {"x": np.asarray(inputs[0]), "y": np.asarray(inputs[1])}
        return {"x": np.asarray(inputs)}
    except ValueError as error:
        raise InputError(f"Samples must be an array: {error}") from None


def read_inputs(compiled: Compiled, inputs: Inputs, scale: float | None) -> NDArray[np.floating]:
    """Return inputs as real numbers of shape (samples, and the shape of the network's input)."""
    with sample_file(inputs) as file:
        assert file is not None
        return compiled.read_samples(file, scale).x
