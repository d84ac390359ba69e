"""Scales and zero points in ONNX, and constants that have them.

Activations and weights may be int8 or uint8. A uint8 number, less 128, is the int8 number of the
same real number, at a zero point that is less by 128 too.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.graph.quantization import Scale

__all__ = ["activation_scale", "quantize_constant", "weight_steps"]

#: What is subtracted from a zero point to make it one of int8.
_OFFSETS: dict[np.dtype[Any], int] = {np.dtype(np.int8): 0, np.dtype(np.uint8): 128}


def activation_scale(scale: NDArray[Any], zero_point: NDArray[Any]) -> Scale:
    """Return the scale of activations.

    Parameters
    ----------
    scale, zero_point : array of one element
        Operands of the node.

    Raises
    ------
    ValueError
        If they are not those of one int8 or uint8 tensor.
    """
    if zero_point.dtype not in _OFFSETS:
        raise ValueError(f"must quantize activations to int8 or uint8, not {zero_point.dtype}")
    if scale.size != 1 or zero_point.size != 1:
        raise ValueError("must have one scale and one zero point for all activations, not "
                         f"{scale.size} and {zero_point.size}")
    number = float(scale.ravel()[0])
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"must have a positive scale, not {number}")
    return Scale(number, int(zero_point.ravel()[0]) - _OFFSETS[zero_point.dtype])


def weight_steps(levels: NDArray[Any], scale: NDArray[Any], zero_point: NDArray[Any] | None,
                 axis: int) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Return the real numbers of quantized constants, and the step of each.

    Parameters
    ----------
    levels : int8, uint8 or int32 array
        Weights, biases, or other constants.
    scale : float array of shape () or (channels,)
        Scales.
    zero_point : array of the scales' shape, or None
        Zero points of the levels' dtype.
    axis : :class:`int`
        Axis of the channels.

    Returns
    -------
    number, step : float64 arrays of the levels' shape
        ``number`` is ``step`` times an integer.
    unfit : :class:`str`
        Why they cannot be weights, or nothing if they can: weights are integers of 8 bits, less
        their zero point.

    Raises
    ------
    ValueError
        If the scheme is another.
    """
    if levels.dtype != np.int32 and levels.dtype not in _OFFSETS:
        raise ValueError("must have weights of int8, or of uint8 with zero point 128, and biases "
                         f"of int32, not constants of {levels.dtype}")
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("must have positive scales")
    step: NDArray[np.float64] = np.broadcast_to(
        _by_axis(scale.astype(np.float64), levels, axis), levels.shape)
    points = np.zeros(1) if zero_point is None else zero_point
    integers = levels.astype(np.int64) - _by_axis(points.astype(np.int64), levels, axis)
    unfit = ""
    if levels.dtype != np.int32 and integers.size and not (
            integers.min() >= -128 and integers.max() <= 127):
        offset = _OFFSETS[levels.dtype]
        wrong = next((point for point in np.unique(points).tolist() if point != offset), 0)
        unfit = (f"must have symmetric weights, of zero point {offset} for {levels.dtype}, not "
                 f"{int(wrong)}")
    return integers.astype(np.float64) * step, step, unfit


def _by_axis(array: NDArray[Any], levels: NDArray[Any], axis: int) -> NDArray[Any]:
    """Shape what is one for all levels, or one for each channel, to go with them."""
    if array.size <= 1:
        return array.reshape(())
    axis = axis + levels.ndim if axis < 0 else axis
    if not 0 <= axis < levels.ndim or array.shape != (levels.shape[axis],):
        raise ValueError("must have one scale for all weights, or one for each channel, not "
                         f"scales of shape {array.shape} for weights of shape {levels.shape}")
    return array.reshape([-1 if i == axis else 1 for i in range(levels.ndim)])


def quantize_constant(number: NDArray[Any], scale: NDArray[Any], zero_point: NDArray[Any],
                      axis: int) -> NDArray[Any]:
    """Quantize a constant, as QuantizeLinear does: to the nearest, a half to the even.

    Raises
    ------
    ValueError
        If the levels are not int8, uint8 or int32, or the shapes do not fit.
    """
    dtype = zero_point.dtype
    if dtype != np.int32 and dtype not in _OFFSETS:
        raise ValueError(f"must quantize to int8, uint8 or int32, not {dtype}")
    shape = [1] * number.ndim
    if scale.size > 1:
        axis = axis + number.ndim if axis < 0 else axis
        if scale.ndim != 1 or not 0 <= axis < number.ndim or len(scale) != number.shape[axis]:
            raise ValueError(f"must have one scale, or one for each channel, not {scale.shape}")
        shape[axis] = -1
    points = zero_point.astype(np.float64)
    points = points.reshape(shape if points.size > 1 else [1] * number.ndim)
    levels = np.rint(number / scale.reshape(shape)) + points
    limits = np.iinfo(dtype)
    return np.clip(levels, limits.min, limits.max).astype(dtype)
