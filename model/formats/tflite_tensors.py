"""The tensors of a TensorFlow Lite file, checked where an operator asks for them.

Every method that takes a number or an operand raises ValueError if it is not such a tensor: the
message names it, and says what would fit.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.formats.tflite_schema import RawGraph, RawOperator, RawTensor
from eieio.model.graph.quantized_graph import Tensor

__all__ = ["TensorReader"]

_DTYPES = {"INT8": np.dtype("i1"), "INT32": np.dtype("<i4"), "INT64": np.dtype("<i8")}
# What the scale of a bias may differ from that of the sums, in steps of the output.
_BIAS_TOLERANCE = 0.02
# What to do about activations or weights of another type.
_ADVICE = ("convert with a representative dataset, TFLITE_BUILTINS_INT8, and int8 or uint8 as "
           "inference_input_type and inference_output_type")
_HINTS = {
    "FLOAT32": f": eieio takes networks quantized to 8 bits throughout; {_ADVICE}",
    "FLOAT16": f": eieio takes networks quantized to 8 bits throughout; {_ADVICE}",
    "INT16": f": eieio takes activations of 8 bits; {_ADVICE}",
    "UINT8": ": eieio takes uint8 at the ends of a network only; convert by TensorFlow 2, whose "
             "scheme is int8",
}


class TensorReader:
    """The tensors of a graph: what has been computed so far, and constants.

    Parameters
    ----------
    raw : RawGraph
        The file's content.

    Attributes
    ----------
    batch : :class:`int`
        First axis of all activations; 0 as long as none are known.
    known : dict of Tensor by :class:`int`
        Activations computed so far, by their numbers.
    integers : dict of int64 array by :class:`int`
        Integers computed so far, such as shapes.
    """

    def __init__(self, raw: RawGraph) -> None:
        self.raw = raw
        self.batch = 0
        self.known: dict[int, Tensor] = {}
        self.integers: dict[int, NDArray[np.int64]] = {}
        self._names: set[str] = set()

    def label(self, number: int) -> str:
        """Return what to call a tensor."""
        return f"tensor {self.raw.tensors[number].name or number!r}"

    def checked(self, number: int, dtype: str) -> RawTensor:
        """Return a plain tensor of a type."""
        tensor = self.raw.tensors[number]
        if tensor.dtype != dtype:
            hint = _HINTS.get(tensor.dtype, "") if dtype == "INT8" else ""
            raise ValueError(f"{self.label(number)} must be {dtype}, not {tensor.dtype}{hint}")
        if tensor.special:
            raise ValueError(f"{self.label(number)} must be a plain tensor, not have "
                             f"{tensor.special}")
        return tensor

    def define(self, number: int) -> Tensor:
        """Take a tensor of activations that has not been computed yet."""
        if number in self.known:
            raise ValueError(f"{self.label(number)} must be computed once")
        raw = self.checked(number, "INT8")
        if raw.data is not None:
            raise ValueError(f"{self.label(number)} must be activations, not a constant")
        if len(raw.scales) != 1 or len(raw.zero_points) != 1:
            raise ValueError(f"{self.label(number)} must have one scale and one zero point, not "
                             f"{len(raw.scales)} and {len(raw.zero_points)}")
        if -1 in raw.signature[1:] or min(raw.shape, default=0) < 1:
            raise ValueError(f"{self.label(number)} must have a fixed shape, but for the batch, "
                             f"not {raw.signature or raw.shape}")
        if raw.signature and raw.signature[1:] != raw.shape[1:]:
            raise ValueError(f"{self.label(number)} must have one shape, not {raw.shape} and "
                             f"{raw.signature}")
        self.batch = self.batch or raw.shape[0]
        if len(raw.shape) < 2 or raw.shape[0] != self.batch:
            raise ValueError(f"{self.label(number)} must have the batch of {self.batch} as its "
                             f"first axis, and one more, not shape {raw.shape}")
        name = raw.name or str(number)
        name = self.unique(f"{name}#{number}" if name in self._names else name)
        tensor = Tensor(name, raw.shape[1:], raw.scales[0], raw.zero_points[0])
        self.known[number] = tensor
        return tensor

    def unique(self, name: str) -> str:
        """Return a name that no tensor has so far, and never will have again."""
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def activations(self, operator: RawOperator, index: int) -> Tensor:
        """Return an operand that is activations."""
        number = self.operand(operator, index)
        if number not in self.known:
            self.checked(number, "INT8")
            raise ValueError(f"operand {index} must be activations computed before, not "
                             f"{self.label(number)}")
        return self.known[number]

    def operand(self, operator: RawOperator, index: int) -> int:
        """Return the number of an operand."""
        if index >= len(operator.inputs) or operator.inputs[index] < 0:
            raise ValueError(f"must have operand {index}")
        return operator.inputs[index]

    def integer(self, number: int) -> NDArray[np.int64]:
        """Return integers, of a constant or computed from shapes."""
        if number in self.integers:
            return self.integers[number]
        dtype = self.raw.tensors[number].dtype
        return self.constant(number, "INT64" if dtype == "INT64" else "INT32")[1].astype(np.int64)

    def constant(self, number: int, dtype: str) -> tuple[RawTensor, NDArray[Any]]:
        """Return a constant, and its elements."""
        raw = self.checked(number, dtype)
        if raw.data is None:
            raise ValueError(f"{self.label(number)} must be a constant")
        wanted = math.prod(raw.shape) * _DTYPES[dtype].itemsize
        if min(raw.shape, default=1) < 1 or len(raw.data) != wanted:
            raise ValueError(f"{self.label(number)} must have {wanted} bytes for its shape "
                             f"{raw.shape}, not {len(raw.data)}")
        array = np.frombuffer(raw.data, _DTYPES[dtype]).reshape(raw.shape)
        return raw, array.astype(_DTYPES[dtype].newbyteorder("="))

    def weights(self, operator: RawOperator, rank: int, axis: int) \
            -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Weights, and their scales: one, or one for each output channel, along `axis`."""
        number = self.operand(operator, 1)
        raw, weight = self.constant(number, "INT8")
        if weight.ndim != rank:
            raise ValueError(f"{self.label(number)} must have {rank} axes, not shape {raw.shape}")
        if len(raw.scales) != 1 and (len(raw.scales) != weight.shape[axis] or raw.axis != axis):
            raise ValueError(
                f"{self.label(number)} must have one scale, or {weight.shape[axis]} along axis "
                f"{axis}, not {len(raw.scales)} along axis {raw.axis}")
        _check_symmetric(self.label(number), raw)
        return weight, np.array(raw.scales)

    def bias(self, operator: RawOperator, channels: int, scales: NDArray[np.float64],
              output: Tensor) -> NDArray[np.int32]:
        """Biases; `scales` are those of the sums, one or one for each channel."""
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            return np.zeros(channels, np.int32)
        number = operator.inputs[2]
        raw, bias = self.constant(number, "INT32")
        if bias.shape != (channels,):
            raise ValueError(f"{self.label(number)} must have shape {(channels,)}, not "
                             f"{bias.shape}")
        _check_symmetric(self.label(number), raw)
        if raw.scales:
            if len(raw.scales) not in (1, channels):
                raise ValueError(f"{self.label(number)} must have one scale or {channels}, not "
                                 f"{len(raw.scales)}")
            difference = np.abs(np.array(raw.scales) - scales) / output.scale
            if difference.max() > _BIAS_TOLERANCE:
                raise ValueError(f"{self.label(number)} must have the scale of the sums, that of "
                                 "the input times that of the weights")
        return bias


def _check_symmetric(label: str, raw: RawTensor) -> None:
    if any(raw.zero_points):
        wrong = next(point for point in raw.zero_points if point)
        raise ValueError(f"{label} must have zero point 0, not {wrong}")
    if not all(0 < scale < math.inf for scale in raw.scales):
        raise ValueError(f"{label} must have positive scales")
