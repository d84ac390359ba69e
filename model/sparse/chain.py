"""The graphs that the sparse engine runs: chains of fully connected layers.

Between the layers a graph may change the shape of its tensors, which costs nothing, and behind them
there may be softmax or its logarithm, which the host computes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eieio.model.errors import InputError
from eieio.model.graph.ending import Ending
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import (
    FullyConnected,
    LogSoftmax,
    Operator,
    QuantizedGraph,
    Reshape,
    SharedWeights,
    Softmax,
    Tensor,
    with_plain_biases,
)

__all__ = ["chain", "dense_layer", "host_operators", "layers_of", "run_layers", "shared_weights",
           "source_tensor"]


def layers_of(graph: QuantizedGraph) -> tuple[FullyConnected, ...]:
    """Return the layers that the engine computes, in their order.

    Their biases are in steps of the sums.

    Raises
    ------
    InputError
        If the graph is something else than a chain of them.
    """
    return _split(graph)[0]


def host_operators(graph: QuantizedGraph) -> tuple[Operator, ...]:
    """Return what is left to the host: softmax and its logarithm behind the layers."""
    return _split(graph)[1]


def _split(graph: QuantizedGraph) -> tuple[tuple[FullyConnected, ...], tuple[Operator, ...]]:
    layers: list[FullyConnected] = []
    host: list[Operator] = []
    before = graph.input
    for operator in graph.operators:
        name = f"{type(operator).__name__} {operator.name!r}"
        if operator.inputs != (before,):
            raise InputError(f"{name}: the sparse engine runs a chain of fully connected layers, "
                             "each of which takes the output of the one before; the systolic "
                             "engine (--engine systolic) runs other graphs")
        match operator:
            case FullyConnected() if not host:
                layers.append(with_plain_biases(operator))
            case Softmax() | LogSoftmax() if layers:
                host.append(operator)
            case Reshape() if not host:
                pass
            case _:
                raise InputError(f"{name}: the sparse engine runs fully connected layers, with "
                                 "softmax behind them; the systolic engine (--engine systolic) "
                                 "runs other operators")
        before = operator.output
    if not layers or graph.output != before:
        raise InputError(f"Network {graph.name!r}: the sparse engine needs a fully connected "
                         "layer, and the output of the last operator as the network's")
    return tuple(layers), tuple(host)


def shared_weights(layer: FullyConnected) -> SharedWeights:
    """Return a layer's weights by codes; weights that are not shared get a code for each value.

    Raises
    ------
    InputError
        If they have more values than there are codes.
    """
    stored = layer.stored_weight
    if isinstance(stored, SharedWeights):
        return stored
    try:
        return SharedWeights.of(stored)
    except InputError as error:
        raise InputError(f"Layer {layer.name!r}: {error}") from None


def run_layers(graph: QuantizedGraph, x: NDArray[np.integer]) -> list[NDArray[np.integer]]:
    """Compute every layer by the golden model, :mod:`eieio.model.graph.golden`.

    Parameters
    ----------
    graph : QuantizedGraph
        Network to compute.
    x : integer array of shape (samples, and the shape of the input)
        Inputs of any type, or flat ones.

    Returns
    -------
    list of integer arrays of shape (samples, outputs of the layer)
        Activations of every layer.

    Raises
    ------
    InputError
        If an input is outside of its range, or has another shape.
    """
    tensor = graph.input
    if x.size and not tensor.minimum <= x.min() <= x.max() <= tensor.maximum:
        raise InputError(f"Inputs must be from {tensor.minimum} to {tensor.maximum}, not "
                         f"{x.min()} to {x.max()}")
    if x.ndim == 2 and x.shape[1] == tensor.elements:
        x = x.reshape(len(x), *tensor.shape)
    values = run_graph(graph, x.astype(tensor.dtype))
    return [values[layer.output.name].reshape(len(x), -1) for layer in layers_of(graph)]


def source_tensor(inputs: int, width: int, scale: float = 1.0) -> Tensor:
    """Make the input of a :func:`chain`: symmetric integers."""
    return Tensor("network input", (inputs,), scale, 0, width, symmetric=True)


def dense_layer(name: str, source: Tensor, weights: SharedWeights, bias: NDArray[np.int64],
                factor: tuple[ArrayLike, ArrayLike], limits: tuple[int, int],
                output_scale: float = 1.0, *, single_rounding: bool = False) -> FullyConnected:
    """Make a layer of a :func:`chain`, of symmetric integers.

    Parameters
    ----------
    name : :class:`str`
        Name shown to the user, also that of the output.
    source : Tensor
        Input of the chain, or output of the layer before.
    weights : SharedWeights
        Weights, codes of shape (outputs, inputs).
    bias : int64 array of shape (outputs,)
        Biases.
    factor : pair of integers, or of integer arrays of shape (outputs,)
        Multiplier and shift.
    limits : pair of :class:`int`
        Minimum and maximum of the output.
    output_scale : :class:`float`
        Real value of the output's integer 1.
    single_rounding : :class:`bool`
        Whether requantization rounds once.
    """
    outputs = len(weights.codes)
    multiplier, shift = (np.full(outputs, value, np.int32) for value in factor)
    return FullyConnected(
        name, (source,), Tensor(name, (outputs,), output_scale, 0, source.width, symmetric=True),
        weights, bias, multiplier, shift, *limits, single_rounding=single_rounding)


def chain(name: str, layers: Sequence[FullyConnected], ending: Ending = "none") -> QuantizedGraph:
    """Make the network of layers that follow one another."""
    return QuantizedGraph(name, layers[0].input, layers[-1].output, tuple(layers), ending=ending)
