"""Constants of an ONNX graph: initializers, and nodes that compute with nothing else."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

__all__ = ["FOLDED", "evaluate", "initializers"]

#: Operators that exporters leave between constants; none of them is random.
FOLDED = frozenset({
    "Abs", "Add", "Cast", "Ceil", "Clip", "Concat", "Constant", "ConstantOfShape",
    "DequantizeLinear", "Div", "Equal", "Expand", "Flatten", "Floor", "Gather", "Identity", "Max",
    "Min", "Mul", "Neg", "Reciprocal", "ReduceProd", "Reshape", "Round", "Shape", "Slice", "Split",
    "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where"})

# Elements that a constant may have: what a file's few bytes may grow to.
_MAX_ELEMENTS = 1 << 26


def initializers(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    """Return the stored tensors of a graph by name.

    Raises
    ------
    ValueError
        If the data of one does not fit its shape and type.
    """
    arrays = {}
    for tensor in graph.initializer:
        try:
            arrays[tensor.name] = onnx.numpy_helper.to_array(tensor)
        except Exception as error:  # to_array documents no exceptions
            raise ValueError(f"initializer {tensor.name!r} must hold the data of its shape: "
                             f"{error}") from error
    return arrays


def evaluate(node: onnx.NodeProto, opset: int,
             constants: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Compute the outputs of a node whose inputs are all constants.

    Parameters
    ----------
    node : NodeProto
        The node.
    opset : :class:`int`
        Version of the operators.
    constants : mapping of :class:`str` to array
        All constants known so far; those that the node takes are used.

    Returns
    -------
    dict of :class:`str` to array
        Outputs of the node by name.

    Raises
    ------
    ValueError
        If the operator is not one that eieio folds, or it cannot be computed.
    """
    if node.op_type not in FOLDED:
        raise ValueError(f"must be one of {', '.join(sorted(FOLDED))} where all inputs are "
                         "constants")
    if node.op_type in ("ConstantOfShape", "Expand"):
        _check_growth(node, constants)
    # Costs more to import than all the rest; most files do without.
    from onnx.reference import ReferenceEvaluator

    feeds = {name: constants[name] for name in node.input if name}
    try:
        outputs: Any = ReferenceEvaluator(node, opsets={"": opset}).run(None, feeds)
    except Exception as error:  # the evaluator documents no exceptions
        raise ValueError(f"must be computable: {error}") from error
    return dict(zip(node.output, outputs, strict=True))


def _check_growth(node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]) -> None:
    """Refuse a constant that is far larger than what it is made of."""
    shape = np.asarray(constants[node.input[-1]], np.float64)
    if not (shape >= 0).all() or shape.prod() > _MAX_ELEMENTS:
        raise ValueError(f"must give at most {_MAX_ELEMENTS} elements")
