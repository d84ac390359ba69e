"""Where a network is cut: convolutions in front, fully connected layers behind."""

from dataclasses import replace

from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import (
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    LogSoftmax,
    Operator,
    QuantizedGraph,
    Reshape,
    Softmax,
)

__all__ = ["cut"]


def cut(graph: QuantizedGraph) -> tuple[QuantizedGraph, QuantizedGraph]:
    """Cut a network in front of the fully connected layers that it ends with.

    What only changes a shape in front of the first of them, such as the flattening, goes with them,
    so that what is between the parts is the tensor as it was computed.

    Returns
    -------
    tuple of QuantizedGraph
        What is computed first, and the chain of fully connected layers that takes its output.

    Raises
    ------
    InputError
        If there are no convolutions, or no such layers: it says which engine takes the network.
    """
    name = f"Network {graph.name!r}"
    if not any(isinstance(operator, Conv2D | DepthwiseConv2D) for operator in graph.operators):
        raise InputError(f"{name}: the mixed engine needs convolutions in front of fully connected "
                         "layers, and there are none; the sparse engine (--engine sparse) takes "
                         "fully connected layers alone, the systolic one (--engine systolic) any "
                         "network")
    place = _first_dense(graph.operators)
    if place is None:
        last = graph.operators[-1]
        raise InputError(f"{name}: the mixed engine needs fully connected layers behind the "
                         f"convolutions, and ends with the {type(last).__name__} {last.name!r}; "
                         "the systolic engine (--engine systolic) takes any network")
    front, dense = graph.operators[:place], graph.operators[place:]
    between = front[-1].output
    first = replace(graph, output=between, operators=front, ending="none")
    second = replace(graph, input=between, operators=dense, channels_first=False,
                     integer_input=None)
    return first, second


def _first_dense(operators: tuple[Operator, ...]) -> int | None:
    """Find the place of the first operator behind the cut, None if no layer is there."""
    place = len(operators)
    while place and isinstance(operators[place - 1],
                               FullyConnected | Reshape | Softmax | LogSoftmax):
        place -= 1
    dense = any(isinstance(operator, FullyConnected) for operator in operators[place:])
    return place if dense else None
