"""The network of real numbers that a network of integers stands for.

Every operator of the integers has one of the real numbers with the same shapes: weights and biases
times their scales, and ranges of the integers as clamps, since what saturates there is clamped
here. Only roundings are gone.
"""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import MULTIPLIER_WIDTH
from eieio.model.graph import float_graph
from eieio.model.graph.float_graph import FloatGraph, Value
from eieio.model.graph.quantized_graph import (
    DepthwiseConv2D,
    Operator,
    QuantizedGraph,
    Tensor,
    WeightedOperator,
)

__all__ = ["dequantize_graph"]

# What is made of an operator's tensors and arithmetic; all else is as in the real numbers.
_ELSEWHERE = frozenset({"name", "inputs", "output", "minimum", "maximum", "weight", "bias"})


def dequantize_graph(graph: QuantizedGraph) -> FloatGraph:
    """Return a network in real numbers.

    Raises
    ------
    InputError
        If what the host computes at its end has no operator.
    """
    if graph.ending != "none":
        raise InputError(f"Network {graph.name!r}: {graph.ending} must be one of its operators")
    values = {tensor: Value(tensor.name, tensor.shape) for tensor in graph.tensors}
    return FloatGraph(graph.name, values[graph.input], values[graph.output],
                      tuple(_real(operator, values) for operator in graph.operators),
                      graph.channels_first)


def _real(operator: Operator, values: dict[Tensor, Value]) -> float_graph.Operator:
    kind: type[float_graph.Operator] = getattr(float_graph, type(operator).__name__)
    wanted = {each.name for each in fields(kind)} - _ELSEWHERE
    more: dict[str, Any] = {each.name: getattr(operator, each.name) for each in fields(operator)
                            if each.name in wanted}
    output = operator.output
    minimum, maximum = (getattr(operator, name, None) for name in ("minimum", "maximum"))
    if minimum is not None and maximum is not None:
        low, high = output.dequantize(np.array([minimum, maximum], np.int64)).tolist()
        more |= {"minimum": low, "maximum": high}
    if isinstance(operator, WeightedOperator):
        more |= _weights(operator)
    return kind(name=operator.name, inputs=tuple(values[each] for each in operator.inputs),
                output=values[output], **more)


def _weights(operator: WeightedOperator) -> dict[str, NDArray[np.float64]]:
    """Weights and biases: a sum times the factor of its channel is a result in its steps."""
    factor = operator.multiplier / 2.0 ** (MULTIPLIER_WIDTH + operator.shift.astype(np.float64))
    scale = factor * operator.output.scale
    by_channel = scale / operator.input.scale
    weight = operator.weight.astype(np.float64)
    if isinstance(operator, DepthwiseConv2D):
        weight = weight * by_channel
    else:
        weight = weight * by_channel.reshape(-1, *(1,) * (weight.ndim - 1))
    return {"weight": weight, "bias": operator.bias * scale}
