"""How a compressed network's file describes its operators: an object in JSON, in zlib's format.

``input``, ``output``
    Names of the network's values.
``channels_first``
    As in :class:`~eieio.model.graph.float_graph.FloatGraph`.
``values``
    Name and shape of the input and of each operator's output.
``operators``
    For each operator its ``kind`` (the name of a class of :mod:`eieio.model.graph.float_graph`),
    its name, the names of its ``inputs`` and its ``output``, the shape of its ``weight`` if it has
    one, and what else differs from the default of the class; a window is the list of its
    attributes.
"""

import json
import math
import zlib
from collections.abc import Callable
from dataclasses import astuple, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.compressed_weights import MAX_WEIGHTS
from eieio.model.formats.described import pairs, parse_json, whole, window
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
    Stack,
    Value,
    WeightedOperator,
)
from eieio.model.graph.float_shapes import check_shapes
from eieio.model.graph.weight_codes import WeightCodes
from eieio.model.graph.window import Window

__all__ = ["Weights", "describe", "restore"]

Weights = NDArray[np.float32] | WeightCodes

_KINDS: dict[str, type[Operator]] = {kind.__name__: kind for kind in (
    Add, AveragePool, Clamp, Conv2D, DepthwiseConv2D, FullyConnected, LogSoftmax, MaxPool, Pad,
    Reshape, Softmax, Stack)}
_ELSEWHERE = frozenset({"name", "inputs", "output", "weight", "bias", "weight_scale", "shared",
                        "one_scale"})
_PARSERS: dict[str, Callable[[Any], Any]] = {
    "axis": whole, "maximum": float, "minimum": float, "padding": pairs, "window": window,
    "wraps": bool}
# What a description may grow to.
_MAX_BYTES = 1 << 24


def describe(graph: FloatGraph) -> bytes:
    """Describe all of a network but its name, its weights and its biases.

    Raises
    ------
    InputError
        If it has operators or weights of 8-bit integers.
    """
    operators = []
    for operator in graph.operators:
        kind = type(operator)
        if kind.__name__ not in _KINDS or getattr(operator, "weight_scale", None) is not None:
            raise InputError(f"Network {graph.name!r} is quantized to 8 bits, at "
                             f"{operator.name!r}: it must be one of real numbers to be stored")
        entry: dict[str, Any] = {
            "kind": kind.__name__, "name": operator.name,
            "inputs": [value.name for value in operator.inputs], "output": operator.output.name}
        if isinstance(operator, WeightedOperator):
            entry["weight"] = operator.weight.shape
        for field in fields(kind):
            value = getattr(operator, field.name)
            if field.name not in _ELSEWHERE and value != field.default:
                entry[field.name] = astuple(value) if isinstance(value, Window) else value
        operators.append(entry)
    values = [graph.input, *(operator.output for operator in graph.operators)]
    text = json.dumps({
        "input": graph.input.name, "output": graph.output.name,
        "channels_first": graph.channels_first, "values": [astuple(value) for value in values],
        "operators": operators}, separators=(",", ":"))
    return zlib.compress(text.encode(), 9)


def restore(name: str, description: bytes, layers: int,
            read: Callable[[str, tuple[int, ...], int], tuple[Weights, NDArray[np.float32]]]
            ) -> FloatGraph:
    """Make a network from its description.

    Parameters
    ----------
    name : :class:`str`
        Its name.
    description : :class:`bytes`
        What :func:`describe` returned.
    layers : :class:`int`
        Operators that have weights.
    read : callable
        Gives weights and biases of the next layer, from its name, the shape of the weights and the
        number of biases.

    Raises
    ------
    InputError
        If the description is damaged, or does not fit the weights.
    """
    try:
        unpacked = zlib.decompressobj().decompress(description, _MAX_BYTES)
        return _restore(name, parse_json(unpacked), layers, read)
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError,
            zlib.error) as error:
        raise InputError("Compressed network must describe its operators; it is damaged") from error


def _restore(name: str, found: dict[str, Any], layers: int,
             read: Callable[[str, tuple[int, ...], int], tuple[Weights, NDArray[np.float32]]]
             ) -> FloatGraph:
    values = {own: Value(str(own), _sizes(shape)) for own, shape in found["values"]}
    operators: list[Operator] = []
    for entry in found["operators"]:
        kind, own = _KINDS[entry["kind"]], str(entry["name"])
        more: dict[str, Any] = {}
        if issubclass(kind, WeightedOperator):
            shape = _sizes(entry["weight"])
            if math.prod(shape) > MAX_WEIGHTS:
                raise InputError(f"Layer {own!r} must have at most {MAX_WEIGHTS} weights, not "
                                 f"{math.prod(shape)}")
            weights, bias = read(own, shape, _channels(kind, shape))
            shared = weights if isinstance(weights, WeightCodes) else None
            more = {"weight": weights if shared is None else shared.weight, "bias": bias,
                    "shared": shared}
        for field in fields(kind):
            if field.name in entry and field.name not in _ELSEWHERE:
                more[field.name] = _PARSERS[field.name](entry[field.name])
        operators.append(kind(name=own, inputs=tuple(values[value] for value in entry["inputs"]),
                              output=values[entry["output"]], **more))
    graph = FloatGraph(name, values[found["input"]], values[found["output"]], tuple(operators),
                       bool(found["channels_first"]))
    if len(graph.weighted) != layers:
        raise InputError(f"Compressed network must describe {layers} layers with weights, not "
                         f"{len(graph.weighted)}")
    check_shapes(graph)
    return graph


def _channels(kind: type[Operator], shape: tuple[int, ...]) -> int:
    """Output channels, which have a bias each, of weights of a shape."""
    return shape[2 if issubclass(kind, DepthwiseConv2D) else 0]


def _sizes(shape: list[int]) -> tuple[int, ...]:
    sizes = tuple(shape)
    if not sizes or any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError(f"no shape: {sizes}")
    return sizes
