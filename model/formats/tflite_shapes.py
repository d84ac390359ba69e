"""Arithmetic on shapes in TensorFlow Lite files.

Where the batch is left open, converters write how a shape is computed: SHAPE of a tensor, parts of
it taken and put together again, and a RESHAPE to what comes out. Every shape is known here, so such
numbers are computed once, while the file is read.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.formats.tflite_schema import RawOperator

__all__ = ["SHAPE_OPERATORS", "evaluate"]

_Integers = NDArray[np.int64]


def evaluate(operator: RawOperator, operands: Sequence[_Integers]) -> _Integers:
    """Compute an operator of :data:`SHAPE_OPERATORS`.

    Parameters
    ----------
    operator : RawOperator
        Operator to compute.
    operands : sequence of int64 arrays
        Its inputs; the one of SHAPE is the shape itself.

    Returns
    -------
    int64 array
        Its output.

    Raises
    ------
    ValueError
        If the operands do not fit: the message says what would.
    """
    kind = operator.kind
    try:
        return np.asarray(SHAPE_OPERATORS[kind](operator.options, *operands), np.int64)
    except (IndexError, TypeError, np.exceptions.AxisError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"operands must fit: {reason}") from None


def _strided_slice(options: dict[str, Any], x: _Integers, begin: _Integers, end: _Integers,
                   stride: _Integers) -> _Integers:
    if options["EllipsisMask"] or options["NewAxisMask"] or options["Offset"]:
        raise ValueError("must only take parts, without ellipsis, new axes or offset")
    if not x.ndim == len(begin) == len(end) == len(stride) == 1:
        raise ValueError(f"must take parts of a vector, not of shape {x.shape}")
    if options["ShrinkAxisMask"] & 1:
        return x[begin[0]]
    if not stride[0]:
        raise ValueError("stride must not be 0")
    first = None if options["BeginMask"] & 1 else int(begin[0])
    last = None if options["EndMask"] & 1 else int(end[0])
    return x[first:last:int(stride[0])]


def _slice(_: dict[str, Any], x: _Integers, begin: _Integers, size: _Integers) -> _Integers:
    if not x.ndim == len(begin) == len(size) == 1:
        raise ValueError(f"must take a part of a vector, not of shape {x.shape}")
    first = int(begin[0])
    return x[first:] if size[0] == -1 else x[first:first + int(size[0])]


def _reduce_prod(options: dict[str, Any], x: _Integers, axes: _Integers) -> _Integers:
    return np.prod(x, axis=tuple(axes.ravel().tolist()), keepdims=bool(options["KeepDims"]))


#: Operators on integers, by kind: functions of options and operands.
SHAPE_OPERATORS: dict[str, Callable[..., Any]] = {
    "CAST": lambda _, x: x,
    "CONCATENATION": lambda options, *xs: np.concatenate(xs, axis=options["Axis"]),
    "GATHER": lambda options, x, indices: np.take(x, indices, axis=options["Axis"]),
    "MUL": lambda _, a, b: a * b,
    "PACK": lambda options, *xs: np.stack(xs, axis=options["Axis"]),
    "REDUCE_PROD": _reduce_prod,
    "SHAPE": lambda _, shape: shape,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
}
