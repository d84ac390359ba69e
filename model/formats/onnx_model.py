"""ONNX files, as their protocol buffers."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from eieio.model.errors import InputError
from eieio.model.formats.input_file import read_bytes

__all__ = ["attributes_of", "load_model", "needed_nodes", "one_line"]

_MIN_OPSET = 7

#: Operators that make labels out of numbers.
_LABELS = frozenset({"ArgMax", "ArrayFeatureExtractor", "Cast", "Identity", "Reshape", "TopK",
                     "ZipMap"})


def load_model(path: Path) -> tuple[onnx.ModelProto, int]:
    """Load and check a file.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        An ONNX file. Data that it keeps in other files are read from its folder.

    Returns
    -------
    ModelProto
        The model.
    :class:`int`
        Version of its operators, 7 or more.

    Raises
    ------
    InputError
        If the file is not a valid ONNX model, or too old.
    """
    data = read_bytes(path)
    try:
        model = onnx.load_model_from_string(data)
        if any(isinstance(name, bytes) for name in _names(model.graph)):
            raise ValueError("names must be in UTF-8")
        # Refuses a location outside of the folder.
        onnx.load_external_data_for_model(model, str(path.parent))
        for output in model.graph.output:
            # The checker wants a shape, even an empty one; some exporters leave it out. What is no
            # tensor has none.
            if output.type.WhichOneof("value") in (None, "tensor_type"):
                output.type.tensor_type.shape.SetInParent()
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, the checker and the file system each raise their own
        raise InputError(f"{path}: must be a valid ONNX model: {one_line(error)}") from error
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
                default=0)
    if opset < _MIN_OPSET:
        raise InputError(f"{path}: opset must be {_MIN_OPSET} or later, not {opset}")
    if model.graph.sparse_initializer:
        raise InputError(f"{path}: initializers must be dense, not sparse")
    return model, opset


def _names(graph: onnx.GraphProto) -> Iterator[str | bytes]:
    """List all names of a graph: protobuf gives one that is no text as bytes."""
    for node in graph.node:
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for entries in (graph.input, graph.output, graph.initializer):
        yield from (entry.name for entry in entries)


def needed_nodes(path: Path, graph: onnx.GraphProto, output: str | None = None
                 ) -> tuple[list[tuple[str, onnx.NodeProto]], str]:
    """Choose the output, and find the nodes that it needs.

    Parameters
    ----------
    path : :class:`pathlib.Path`
        File, for messages.
    graph : GraphProto
        Its graph.
    output : :class:`str`, optional
        Name of a value that a node computes. The default is the graph's output, which must be one.

    Returns
    -------
    list of tuples of :class:`str` and NodeProto
        Where each node is, and the node, in the order of the file. Others do not matter.
    :class:`str`
        Name of the output.

    Raises
    ------
    InputError
        If there is no such value, or more than one output to choose from.
    """
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    if output is None:
        names = [entry.name for entry in graph.output]
        if len(names) != 1:
            listed = ", ".join(repr(name) for name in names)
            raise InputError(f"{path}: must have one output, not {len(names)} ({listed or 'none'})"
                             + _choice(graph, names, makers))
        output = names[0]
    elif output not in makers:
        near = difflib.get_close_matches(output, makers, 3, 0.3) or list(makers)[:3]
        raise InputError(f"{path}: output {output!r} must be a value that a node computes, such as "
                         f"{', '.join(map(repr, near))}")
    needed: set[int] = set()
    wanted = [output]
    while wanted:
        index = makers.get(wanted.pop())
        if index is not None and index not in needed:
            needed.add(index)
            wanted += graph.node[index].input
    return [(f"node {node.name!r}" if node.name else f"node {index}", node)
            for index, node in enumerate(graph.node) if index in needed], output


def _choice(graph: onnx.GraphProto, names: Sequence[str], makers: Mapping[str, int]) -> str:
    """Say how to choose one of several outputs, and which."""
    if not names:
        return ""
    # Labels and maps of them come of numbers that a network can give.
    found = []
    for name in names:
        while name in makers and graph.node[makers[name]].op_type in _LABELS:
            name = graph.node[makers[name]].input[0]
        found.append(name)
    listed = " or ".join(repr(name) for name in dict.fromkeys(found))
    return f": choose one of the values of the graph as the output, here {listed} (--output-name)"


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute)
            for attribute in node.attribute}


def one_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
