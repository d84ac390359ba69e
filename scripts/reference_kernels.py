"""TensorFlow Lite's reference kernels, which say what a .tflite file computes."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ReferenceKernels"]


class ReferenceKernels:
    """A .tflite file on the reference kernels of ai-edge-litert.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        The file.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert import interpreter

        self._model: Any = interpreter.Interpreter(
            model_path=str(path), experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF)
        self._model.allocate_tensors()

    @staticmethod
    def can(path: Path) -> bool:
        """Tell whether the package is there, and the file is one of its own."""
        return path.suffix.lower() == ".tflite" and find_spec("ai_edge_litert") is not None

    def run(self, sample: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Compute a sample.

        Parameters
        ----------
        sample : array of the shape and the type of the file's input, without the batch
            The sample.

        Returns
        -------
        dict
            All tensors by name, each with an axis in front if the file has one.
        """
        model = self._model
        model.set_tensor(model.get_input_details()[0]["index"], sample[np.newaxis])
        model.invoke()
        return {details["name"]: model.get_tensor(details["index"])
                for details in model.get_tensor_details()}

    def differences(self, x: NDArray[Any], tensors: dict[str, NDArray[Any]]) -> tuple[int, int]:
        """Compare tensors with those of the kernels.

        Parameters
        ----------
        x : array of shape (samples, and the shape of the input)
            Samples.
        tensors : dict of arrays of shape (samples, ...)
            What others computed of them, by the names that the file has for the tensors.

        Returns
        -------
        tuple of :class:`int`
            Integers that were compared, and how many of them differ.
        """
        compared = differ = 0
        for number, sample in enumerate(x):
            expected = self.run(sample)
            for name, values in tensors.items():
                compared += values[number].size
                differ += int(np.count_nonzero(values[number].ravel() != expected[name].ravel()))
        return compared, differ
