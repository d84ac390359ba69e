"""A network as a page of results draws it."""

from collections.abc import Collection
from typing import Any

from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.quantized_graph import QuantizedGraph

__all__ = ["describe"]


def describe(graph: FloatGraph | QuantizedGraph, on_engine: Collection[str],
             on_host: Collection[str]) -> dict[str, Any]:
    """Return ``graph`` of :meth:`eieio.model.engine.Compiled.describe`.

    Parameters
    ----------
    graph : FloatGraph or QuantizedGraph
        Network.
    on_engine, on_host : collection of :class:`str`
        Names of the operators that the engine and the host compute.
    """
    return {
        "input": {"name": graph.input.name, "shape": list(graph.input.shape)},
        "operators": [
            {"name": operator.name, "operator": type(operator).__name__,
             "inputs": [tensor.name for tensor in operator.inputs],
             "output": operator.output.name, "shape": list(operator.output.shape),
             "place": ("engine" if operator.name in on_engine else
                       "host" if operator.name in on_host else "free")}
            for operator in graph.operators]}
