"""Fits an engine to a network: its memories are just large enough."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eieio.model.dadiannao.compiler import CompiledGraph, compile_graph
from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.functions import with_arguments
from eieio.model.dadiannao.placement import centred_width
from eieio.model.graph.quantized_graph import (
    Add,
    QuantizedGraph,
    WeightedOperator,
    with_plain_biases,
)

__all__ = ["MEMORY_DEPTHS", "compile_fitted"]

#: Options that size a memory by the network, with the largest depth that an engine can have.
MEMORY_DEPTHS = {
    "sb_depth": 1 << 20,
    "central_depth": 1 << 20,
    "program_depth": 1 << 12,
    "parameter_depth": 1 << 16,
}


def compile_fitted(graph: QuantizedGraph, options: Mapping[str, Any], *, exact: bool = False,
                   function: str | None = None) -> CompiledGraph:
    """Compile a network for an engine that fits it.

    Parameters
    ----------
    graph : QuantizedGraph
        Network.
    options : mapping of :class:`str`
        Options of :class:`~eieio.model.dadiannao.config.DaDianNaoConfig` by name. Depths that are
        not given are what the network needs, as powers of two; widths, and whether there
        are additions, too.
    exact : :class:`bool`
        Whether depths are just what the network needs.
    function : :class:`str`, optional
        Function of the outputs: ``"sigmoid"`` or ``"tanh"``. The network is changed to give its
        arguments.

    Raises
    ------
    InputError
        As :func:`~eieio.model.dadiannao.compiler.compile_graph`.
    """
    needs = _needs(graph) | {"functions": function is not None}
    if function is not None:
        width = DaDianNaoConfig.from_dict({**needs, **options}).activation_width
        graph = with_arguments(graph, function, width)
        needs = _needs(graph) | {"functions": True, "activation_width": width}
    wanted = {**needs, **options}
    config = DaDianNaoConfig.from_dict({**MEMORY_DEPTHS, **wanted})
    compiled = compile_graph(graph, config, function)
    banks = config.sb_banks
    needed = {
        "sb_depth": -(-compiled.synapses.shape[2] // banks),
        "central_depth": -(-compiled.central_words // config.row_words),
        "program_depth": len(compiled.program()),
        "parameter_depth": compiled.parameters[0].words,
    }
    for name, depth in needed.items():
        power = 1 << (max(depth, 2) - 1).bit_length()
        needed[name] = max(depth, 2) if exact and not (name == "sb_depth" and banks > 1) else power
    fitted = DaDianNaoConfig.from_dict({**needed, **wanted})
    return replace(compiled, config=fitted)


def _needs(graph: QuantizedGraph) -> dict[str, Any]:
    """Return the widths that a network needs, and whether it adds tensors."""
    weighted = [with_plain_biases(each) for each in graph.operators
                if isinstance(each, WeightedOperator)]
    adds = any(isinstance(each, Add) for each in graph.operators)
    needed = max(centred_width(tensor) for tensor in graph.tensors)
    sums = max([32, *(each.accumulator_width for each in weighted)])
    wide = any(each.weight_kind != "int8" for each in weighted)
    return {"activation_width": min(18, max(8, needed)), "weight_width": 16 if wide else 8,
            "sum_width": min(48, sums), "additions": adds}
