"""A network of integers on disk.

The file is an ``.npz`` archive by NumPy, whatever its name ends in. Its key ``graph`` holds an
object in JSON, as UTF-8 bytes:

``version``
    Version of the format: 1.
``name``, ``input``, ``output``
    Name of the network, and names of its tensors.
``channels_first``, ``integer_input``
    How the network's own file has its input, as in
    :class:`~eieio.model.graph.quantized_graph.QuantizedGraph`. May be missing.
``ending``
    What the host computes of the outputs. May be missing.
``tensors``
    Name, shape, scale and zero point of the input and of each operator's output; also its width and
    whether it is symmetric, where these are not 8 and false.
``operators``
    For each operator its ``kind`` (the name of a class of
    :mod:`eieio.model.graph.quantized_graph`), its name, the names of its ``inputs`` and its
    ``output``, and the other attributes of the class; a window is the list of its attributes.

Arrays are keys of their own: ``weight.3`` is the weight of operator 3. If it is shared, there are
``codes.3`` and ``codebook.3`` in its place, and the operator has its ``weight_scale``. The same
network always gives the same bytes.
"""

import io
import json
import os
from dataclasses import astuple, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.described import (
    name_or_none,
    pairs,
    parse_json,
    scale,
    sizes,
    whole,
    window,
)
from eieio.model.formats.input_file import read_parsed
from eieio.model.formats.numpy_file import NumpyFileError, load_numpy
from eieio.model.graph.quantized_graph import (
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    LogSoftmax,
    MaxPool,
    Operator,
    Pad,
    QuantizedGraph,
    Reshape,
    SharedWeights,
    Softmax,
    Stack,
    Tensor,
    Window,
)

__all__ = ["describe", "dump", "load", "read", "restore", "write"]

_VERSION = 1
_KINDS: dict[str, type[Operator]] = {kind.__name__: kind for kind in (
    Add, AveragePool, Conv2D, DepthwiseConv2D, FullyConnected, LogSoftmax, MaxPool, Pad, Reshape,
    Softmax, Stack)}
_REFERENCES = ("name", "inputs", "output")
_DEFAULTS: dict[str, Any] = {"axis": 0, "single_rounding": False, "bias_shift": 0, "wraps": False}
# Written only where they are others.
_RARE = frozenset({"axis", "bias_shift", "wraps"})


def describe(graph: QuantizedGraph) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the object that describes a network, and its arrays: see :func:`restore`."""
    arrays: dict[str, NDArray[Any]] = {}
    operators: list[dict[str, Any]] = []
    for number, operator in enumerate(graph.operators):
        entry: dict[str, Any] = {
            "kind": type(operator).__name__, "name": operator.name,
            "inputs": [tensor.name for tensor in operator.inputs], "output": operator.output.name}
        for name in _attributes(type(operator)):
            value = getattr(operator, name)
            if isinstance(value, SharedWeights):
                arrays |= {f"codes.{number}": value.codes, f"codebook.{number}": value.codebook}
                entry["weight_scale"] = value.scale
            elif isinstance(value, np.ndarray):
                arrays[f"{name.removeprefix('stored_')}.{number}"] = value
            elif name not in _RARE or value != _DEFAULTS[name]:
                entry[name] = astuple(value) if isinstance(value, Window) else value
        operators.append(entry)
    description = {
        "version": _VERSION, "name": graph.name, "input": graph.input.name,
        "output": graph.output.name, "channels_first": graph.channels_first,
        "integer_input": graph.integer_input,
        "tensors": [astuple(tensor)[:6 if (tensor.width, tensor.symmetric) != (8, False) else 4]
                    for tensor in graph.tensors], "operators": operators}
    if graph.ending != "none":
        description["ending"] = graph.ending
    return description, arrays


def dump(graph: QuantizedGraph) -> bytes:
    """Return the file of a network, from which :func:`load` restores it exactly."""
    description, arrays = describe(graph)
    arrays["graph"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def load(data: bytes) -> QuantizedGraph:
    """Read a network.

    Parameters
    ----------
    data : :class:`bytes`
        File written by :func:`dump`.

    Raises
    ------
    InputError
        If the data is of something else, truncated or damaged.
    """
    try:
        arrays = load_numpy(data)
        if not isinstance(arrays, dict):
            raise TypeError
        description = parse_json(arrays["graph"].tobytes())
        version = description["version"]
    except (ValueError, KeyError, TypeError, AttributeError, NumpyFileError) as error:
        raise InputError("Graph must be readable; it is of another kind, or damaged") from error
    if version != _VERSION:
        raise InputError(f"Graph must have version {_VERSION}, not {version!r}")
    return restore(description, arrays)


def restore(description: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> QuantizedGraph:
    """Make a network of what :func:`describe` returned.

    Raises
    ------
    InputError
        If it does not describe a network.
    """
    try:
        return _build(description, arrays)
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError,
            MemoryError) as error:
        raise InputError("Graph must describe tensors and operators; it is damaged") from error


def _build(description: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> QuantizedGraph:
    tensors = {str(name): _tensor(str(name), shape, *numbers)
               for name, shape, *numbers in description["tensors"]}
    operators = []
    for number, entry in enumerate(description["operators"]):
        kind = _KINDS[entry["kind"]]
        attributes: dict[str, Any] = {}
        for name in _attributes(kind):
            if name == "stored_weight":
                attributes[name] = (
                    SharedWeights(arrays[f"codes.{number}"], arrays[f"codebook.{number}"],
                                  entry["weight_scale"])
                    if f"codes.{number}" in arrays else arrays[f"weight.{number}"])
            elif f"{name}.{number}" in arrays:
                attributes[name] = arrays[f"{name}.{number}"]
            elif name in _DEFAULTS:  # which older files do not have
                attributes[name] = type(_DEFAULTS[name])(entry.get(name, _DEFAULTS[name]))
            elif name == "window":
                attributes[name] = window(entry[name])
            elif name == "padding":
                attributes[name] = pairs(entry[name])
            else:
                attributes[name] = _tuples(entry[name])
        operators.append(kind(str(entry["name"]), tuple(tensors[name] for name in entry["inputs"]),
                              tensors[entry["output"]], **attributes))
    return QuantizedGraph(str(description["name"]), tensors[description["input"]],
                          tensors[description["output"]], tuple(operators),
                          bool(description.get("channels_first", False)),
                          name_or_none(description.get("integer_input")),
                          description.get("ending", "none"))


def _tensor(name: str, shape: Any, factor: Any, zero_point: Any, width: Any = 8,
            symmetric: Any = False) -> Tensor:
    return Tensor(name, sizes(shape), scale(factor), whole(zero_point, -(1 << 31)), whole(width),
                  bool(symmetric))


def _attributes(kind: type[Operator]) -> list[str]:
    """Names of what an operator has beside its name and its tensors."""
    return [field.name for field in fields(kind) if field.name not in _REFERENCES]


def _tuples(value: Any) -> Any:
    """Turn lists, which JSON has for tuples, back into tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def write(path: str | os.PathLike[str], graph: QuantizedGraph) -> None:
    """Write a network to a file, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_bytes(path, dump(graph))


def read(path: str | os.PathLike[str]) -> QuantizedGraph:
    """Read a network from a file.

    Raises
    ------
    InputError
        If the file cannot be read, is of another kind, truncated or damaged.
    """
    return read_parsed(path, load)
