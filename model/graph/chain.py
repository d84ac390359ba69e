"""Chains of fully connected layers among networks: how they are made, and which networks are."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.float32 import as_float32
from eieio.model.graph.ending import Ending
from eieio.model.graph.float_graph import (
    Clamp,
    DepthwiseConv2D,
    FloatGraph,
    FullyConnected,
    LogSoftmax,
    Operator,
    Reshape,
    Softmax,
    Value,
    compute,
)
from eieio.model.graph.weight_codes import WeightCodes
from eieio.model.graph.window import Window

__all__ = ["as_chain", "chain", "end", "ending", "fully_connected", "simplest"]

_OPERATORS: dict[Ending, type[Operator]] = {"softmax": Softmax, "log_softmax": LogSoftmax}


def fully_connected(name: str, weight: NDArray[np.float32] | WeightCodes,
                    bias: NDArray[np.float32], rectified: bool = False) -> FullyConnected:
    """Make a fully connected layer: ``y = weight @ x + bias``, then perhaps a rectifier.

    Parameters
    ----------
    name : :class:`str`
        Name shown to the user.
    weight : float32 array of shape (outputs, inputs), or WeightCodes
        Weights.
    bias : float32 array of shape (outputs,)
        Biases.
    rectified : :class:`bool`
        Whether a rectifier follows.

    Returns
    -------
    FullyConnected
        The layer, between values of its own.

    Raises
    ------
    InputError
        If a shape or dtype does not fit, or a value is not finite.
    """
    where = f"Layer {name!r}"
    shared = weight if isinstance(weight, WeightCodes) else None
    if isinstance(weight, WeightCodes):
        weight.check(where)
        weight = weight.weight
    for what, array in (("weight", weight), ("bias", bias)):
        if array.dtype != np.float32:
            raise InputError(f"{where}: {what} must be a float32 array, not {array.dtype}")
    if weight.ndim != 2 or 0 in weight.shape:
        raise InputError(f"{where}: weight must be a non-empty array of shape (outputs, inputs), "
                         f"not {weight.shape}")
    if bias.shape != weight.shape[:1]:
        raise InputError(f"{where}: bias must have shape {weight.shape[:1]}, not {bias.shape}")
    for what, array in (("weight", weight), ("bias", bias)):
        if not np.isfinite(array).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InputError(f"{where}: {what} must be finite, not {array[place]} at {place}")
    outputs, inputs = weight.shape
    return FullyConnected(
        name=name, inputs=(Value(f"{name}_in", (inputs,)),),
        output=Value(f"{name}_out", (outputs,)),
        weight=weight, bias=bias, shared=shared, minimum=0.0 if rectified else -math.inf)


def chain(name: str, layers: Sequence[FullyConnected], ending: Ending = "none") -> FloatGraph:
    """Join fully connected layers.

    Parameters
    ----------
    name : :class:`str`
        Name shown to the user, and the stem of written files.
    layers : sequence of FullyConnected
        At least one; the inputs of each are the outputs of the one before. Between which values
        they are does not matter.
    ending : :data:`~eieio.model.graph.ending.Ending`
        What follows the last layer.

    Returns
    -------
    FloatGraph
        Network of vectors, whose operators are the layers, and perhaps softmax.

    Raises
    ------
    InputError
        If there is no layer, or two neighbours do not fit.
    """
    if not layers:
        raise InputError(f"Network {name!r} must have at least one layer")
    source = value = Value("input", (layers[0].weight.shape[1],))
    taken = {value.name}
    operators: list[Operator] = []

    def behind(operator: str, outputs: int) -> Value:
        own = f"{operator}_out"
        while own in taken:
            own += "_"
        taken.add(own)
        return Value(own, (outputs,))

    for layer in layers:
        outputs, inputs = layer.weight.shape
        if inputs != value.elements:
            raise InputError(f"Layer {layer.name!r} must have {value.elements} inputs, the outputs "
                             f"of layer {operators[-1].name!r}, not {inputs}")
        output = behind(layer.name, outputs)
        operators.append(replace(layer, inputs=(value,), output=output))
        value = output
    if ending != "none":
        output = behind(ending, value.elements)
        operators.append(_OPERATORS[ending](name=output.name, inputs=(value,), output=output))
        value = output
    return FloatGraph(name, source, value, tuple(operators))


def ending(graph: FloatGraph) -> Ending:
    """Return what follows the last layer of a chain."""
    for name, kind in _OPERATORS.items():
        if isinstance(graph.operators[-1], kind):
            return name
    return "none"


def end(ending: Ending, outputs: NDArray[np.floating]) -> NDArray[np.float32]:
    """Compute what comes behind the last layer.

    Parameters
    ----------
    ending : :data:`~eieio.model.graph.ending.Ending`
        What it is.
    outputs : float array of shape (samples, outputs)
        Real outputs of the last layer.

    Returns
    -------
    float32 array of shape (samples, outputs)
        Outputs of the network, computed in float64.
    """
    if ending == "none":
        return outputs.astype(np.float32)
    value = Value("outputs", outputs.shape[1:])
    operator = _OPERATORS[ending](name=ending, inputs=(value,), output=value)
    return compute(operator, outputs.astype(np.float64)).astype(np.float32)


def simplest(graph: FloatGraph) -> FloatGraph:
    """Return a network as a chain of layers, if it is one and its input has one order only."""
    shape = graph.input.shape
    if len(shape) == 3 and shape[2] > 1:
        return graph
    try:
        return as_chain(graph)
    except InputError:
        return graph


def as_chain(graph: FloatGraph) -> FloatGraph:
    """Return a network as a chain of fully connected layers, if it is one.

    Parameters
    ----------
    graph : FloatGraph
        Network, in which changes of shape do not matter.

    Returns
    -------
    FloatGraph
        Network as :func:`chain` makes it, with weights in float32, that takes vectors of the
        input's elements in the order of the network's own file; the very same one if it is such.

    Raises
    ------
    InputError
        If the network is something else: the message names the operator that is in the way.
    """
    layers: list[FullyConnected] = []
    ends: Ending = "none"
    value = graph.input
    for operator in graph.operators:
        reason = _obstacle(operator, value, bool(layers), ends)
        if reason:
            raise InputError(f"{type(operator).__name__} {operator.name!r} {reason}")
        match operator:
            case FullyConnected():
                layers.append(_plain(operator, graph, first=not layers))
            case Clamp():
                layers[-1] = replace(layers[-1], minimum=0.0)
            case Softmax():
                ends = "softmax"
            case LogSoftmax():
                ends = "log_softmax"
        value = operator.output
    plain = chain(graph.name, layers, ends)
    same = len(plain.operators) == len(graph.operators) and graph.input.shape == plain.input.shape \
        and all(one.weight is other.weight and one.bias is other.bias
                for one, other in zip(plain.weighted, graph.weighted, strict=True))
    return graph if same else plain


def _obstacle(operator: Operator, value: Value, inside: bool, ends: Ending) -> str | None:
    """Why an operator is no part of a chain that has come so far, if it is not."""
    if operator.inputs != (value,):
        return (f"must take {value.name!r}, the end of the chain so far, not "
                f"{', '.join(repr(other.name) for other in operator.inputs)}")
    if ends != "none" and not isinstance(operator, Reshape):
        return "must not follow softmax, which must be the last"
    if isinstance(operator, FullyConnected | Clamp | Reshape) and operator.clamps \
            and not operator.rectified:
        return (f"must clamp its results as a rectifier does, if at all, not to "
                f"{operator.minimum:g} and {operator.maximum:g}")
    match operator:
        case FullyConnected(weight_scale=None):
            return None
        case FullyConnected():
            return "must have weights of real numbers, not of 8-bit integers"
        case Reshape() if not operator.clamps:
            return None
        case Clamp() if inside:
            return None
        case Softmax() | LogSoftmax() if inside and value.elements == value.shape[-1]:
            return None
        case Clamp() | Softmax() | LogSoftmax():
            return "must follow a fully connected layer"
        case DepthwiseConv2D(window=Window(kernel=(1, 1))):
            return "must have a fully connected layer behind it, to fold into"
        case _:
            return "must be a fully connected layer"


def _plain(operator: FullyConnected, graph: FloatGraph, *, first: bool) -> FullyConnected:
    """Layer with weights in float32; the first one takes the elements as the file has them."""
    weight: NDArray[np.float32] | WeightCodes
    shared, where, shape = operator.shared, f"Layer {operator.name!r}", graph.input.shape
    numbers = operator.weight if shared is None else shared.codes
    turned = first and graph.channels_first and len(shape) == 3 and shape[2] > 1
    if turned:
        numbers = numbers.reshape(-1, *shape).transpose(0, 3, 1, 2).reshape(numbers.shape)
    if shared is None:
        weight = as_float32(numbers, f"{where}: weight")
    else:
        weight = replace(shared, codes=numbers) if turned else shared
    return fully_connected(operator.name, weight, as_float32(operator.bias, f"{where}: bias"),
                           operator.rectified)
