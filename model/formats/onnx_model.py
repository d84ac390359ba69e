"""ONNX files, as their protocol buffers."""

from pathlib import Path
from typing import Any

import onnx

from eieio.model.errors import InputError
from eieio.model.formats.input_file import read_bytes

__all__ = ["attributes_of", "load_model", "one_line"]

_MIN_OPSET = 7


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
        # Refuses a location outside of the folder.
        onnx.load_external_data_for_model(model, str(path.parent))
        for output in model.graph.output:
            # The checker wants a shape, even an empty one; some exporters leave it out.
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


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute)
            for attribute in node.attribute}


def one_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
