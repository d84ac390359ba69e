"""Networks of short floating-point numbers: which a tensor core takes, and how they are made.

Weights are rounded to the format of the factors, biases to binary32, in which sums begin. Numbers
of a network stay what they are, as they are held exactly by the float32 arrays of a
:class:`~eieio.model.graph.float_graph.FloatGraph`.
"""

from dataclasses import replace

import numpy as np

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Clamp,
    Conv2D,
    DepthwiseConv2D,
    FloatGraph,
    FullyConnected,
    LogSoftmax,
    MaxPool,
    Operator,
    Pad,
    Reshape,
    Softmax,
    Value,
    WeightedOperator,
)
from eieio.model.tensor_core.conversion import from_real, to_real
from eieio.model.tensor_core.float_format import FloatFormat

__all__ = ["engine_operators", "host_operators", "round_network", "sent_value"]

_TAKEN = (Conv2D, DepthwiseConv2D, FullyConnected, AveragePool, MaxPool, Add, Clamp, Pad, Reshape)


def host_operators(graph: FloatGraph) -> tuple[Operator, ...]:
    """List what the host computes: softmax or its logarithm at the end, and reshapes there."""
    first = len(graph.operators)
    while first and isinstance(graph.operators[first - 1], Softmax | LogSoftmax | Reshape):
        first -= 1
    tail = graph.operators[first:]
    return tail if any(not isinstance(each, Reshape) for each in tail) else ()


def engine_operators(graph: FloatGraph) -> tuple[Operator, ...]:
    """List what the engine computes, reshapes included, which cost nothing."""
    return graph.operators[:len(graph.operators) - len(host_operators(graph))]


def sent_value(graph: FloatGraph) -> Value:
    """Return the value that the engine sends."""
    host = host_operators(graph)
    return host[0].input if host else graph.output


def round_network(graph: FloatGraph, form: FloatFormat) -> FloatGraph:
    """Round a network's weights to a format, to nearest even, and its biases to binary32.

    Raises
    ------
    InputError
        If an operator is not one of those that a tensor core or its host computes, or a weight or
        bias is too large.
    """
    host = host_operators(graph)
    for operator in graph.operators:
        if operator not in host:
            _check(operator)
    if not any(not isinstance(each, Reshape) for each in engine_operators(graph)):
        raise InputError(f"Network {graph.name!r} must have an operator that the engine computes")
    if host and graph.output is not host[-1].output:
        raise InputError(f"Network {graph.name!r}: output {graph.output.name!r} must be that of "
                         "its last operator")
    return graph.with_weighted(_rounded(layer, form) for layer in graph.weighted)


def _rounded(layer: WeightedOperator, form: FloatFormat) -> WeightedOperator:
    # A 0 has no sign: files do not keep it, and it makes no difference in a sum.
    weight = to_real(from_real(layer.weight, form), form) + np.float32(0)
    with np.errstate(over="ignore"):
        bias = layer.bias.astype(np.float32)
    for name, array in (("weights", weight), ("biases", bias)):
        if not np.isfinite(array).all():
            raise InputError(f"Layer {layer.name!r}: {name} must be finite, and not too large for "
                             f"{form.width if name == 'weights' else 32} bits")
    return replace(layer, weight=weight, bias=bias, shared=None, weight_scale=None,
                   one_scale=False)


def _check(operator: Operator) -> None:
    where = f"{type(operator).__name__} {operator.name!r}"
    if not isinstance(operator, _TAKEN):
        raise InputError(f"{where}: the tensor core computes "
                         f"{', '.join(kind.__name__ for kind in _TAKEN)}, and softmax at the end "
                         "is the host's")
    if isinstance(operator, AveragePool) and any(map(any, operator.window.padding)):
        raise InputError(f"{where} must have no padding: its means would be of different counts")
    images = isinstance(operator, Conv2D | DepthwiseConv2D | AveragePool | MaxPool | Pad)
    if images and len(operator.input.shape) != 3:
        raise InputError(f"{where} must take an image (height, width, channels), not shape "
                         f"{operator.input.shape}")
    if isinstance(operator, Pad) and any(operator.padding[2]):
        raise InputError(f"{where} must pad rows and columns, not channels")
    if operator.clamps and isinstance(operator, Reshape):
        raise InputError(f"{where} must not clamp")
