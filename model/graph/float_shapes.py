"""Checks that the operators of a network of real numbers fit together."""

import math

import numpy as np

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import (
    Add,
    Conv2D,
    DepthwiseConv2D,
    FloatGraph,
    FullyConnected,
    Operator,
    Pad,
    Pool,
    Reshape,
    Stack,
    WeightedOperator,
)

__all__ = ["check_shapes"]

# Elements of a value of one sample, at most.
_MAX_ELEMENTS = 1 << 26


def check_shapes(graph: FloatGraph) -> None:
    """Check a network that comes from a file.

    Raises
    ------
    InputError
        If an operand is not computed before it is needed, a shape does not fit its operator, or a
        number is not finite: the message names the operator.
    """
    known = {graph.input}
    for operator in graph.operators:
        where = f"{type(operator).__name__} {operator.name!r}"
        if not set(operator.inputs) <= known or operator.output in known:
            raise InputError(f"{where} must take the network's input or outputs of operators "
                             "before it, and have an output of its own")
        known.add(operator.output)
        try:
            shape = _shape(operator)
        except (ValueError, TypeError, IndexError) as error:
            raise InputError(f"{where} must fit its operands") from error
        if shape != operator.output.shape or operator.output.elements > _MAX_ELEMENTS:
            raise InputError(f"{where} must have an output of shape {shape}, of at most "
                             f"{_MAX_ELEMENTS} elements, not {operator.output.shape}")
        if not operator.minimum <= operator.maximum:
            raise InputError(f"{where} must have minimum and maximum in order, not "
                             f"{operator.minimum} and {operator.maximum}")
        if isinstance(operator, WeightedOperator) and not (
                np.isfinite(operator.weight).all() and np.isfinite(operator.bias).all()):
            raise InputError(f"{where} must have finite weights and biases")
    if graph.output not in known or not graph.operators:
        raise InputError(f"Network {graph.name!r}: output {graph.output.name!r} must be computed "
                         "by an operator")


def _shape(operator: Operator) -> tuple[int, ...]:
    """Shape of the output that the operands and the weights give."""
    source = operator.input.shape
    count = len(operator.inputs)
    if count != (2 if isinstance(operator, Add) else max(count, 1) if isinstance(operator, Stack)
                 else 1):
        raise ValueError("another number of operands")
    match operator:
        case Conv2D(weight=weight, window=window) | DepthwiseConv2D(weight=weight, window=window):
            height, width, depth = source
            deep = isinstance(operator, Conv2D)
            kernel, last = (weight.shape[1:3], weight.shape[3]) if deep else (
                weight.shape[:2], math.gcd(weight.shape[2], depth))
            if kernel != window.kernel or last != depth:
                raise ValueError("weights of another shape")
            return *window.output_size(height, width), weight.shape[0 if deep else 2]
        case FullyConnected(weight=weight):
            outputs, inputs = weight.shape
            if (outputs, inputs) != (operator.output.elements, operator.input.elements):
                raise ValueError("weights of another shape")
            return operator.output.shape
        case Pool(window=window):
            height, width, depth = source
            return *window.output_size(height, width), depth
        case Reshape() if operator.output.elements == operator.input.elements:
            return operator.output.shape
        case Pad(padding=padding):
            if min(map(min, padding)) < 0:
                raise ValueError("negative padding")
            return tuple(size + sum(pads) for size, pads in zip(source, padding, strict=True))
        case Stack(axis=axis):
            sizes = [(*value.shape[:axis], 0, *value.shape[axis + 1:])
                     for value in operator.inputs]
            if not 0 <= axis < len(source) or len(set(sizes)) > 1:
                raise ValueError("operands of several shapes")
            joined = sum(value.shape[axis] for value in operator.inputs)
            return *source[:axis], joined, *source[axis + 1:]
        case Add() if operator.inputs[1].shape != source:
            raise ValueError("operands of two shapes")
        case _:
            return source
