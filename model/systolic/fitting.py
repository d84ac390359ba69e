"""Fits a systolic engine to a network: its memories are just large enough."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eieio.model.graph.quantized_graph import Add, QuantizedGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.mapping import CompiledGraph, compile_graph
from eieio.model.systolic.program import Field, Flag
from eieio.model.systolic.work import DepthwiseWork

__all__ = ["MEMORY_DEPTHS", "compile_fitted", "make_config", "memory_needs"]

#: Options that size a memory by the network, with the largest depth that an engine can have.
MEMORY_DEPTHS = {
    "activation_depth": 1 << 24,
    "weight_depth": 1 << 24,
    "parameter_depth": 1 << 16,
    "program_depth": 1 << 12,
}

# Words of a line of the depthwise unit.
_SHORTEST_LINE, _LONGEST_LINE = 4, 1 << 14


def make_config(options: Mapping[str, Any]) -> SystolicConfig:
    """Make a configuration of options by name.

    Operands that are not given are as wide as the option ``winograd`` needs.

    Raises
    ------
    InputError
        If an option is unknown, outside its range, or does not fit the others.
    """
    m = options.get("winograd", 0)
    if isinstance(m, bool) or m not in (2, 4):
        return SystolicConfig.from_dict({**options})
    wide = SystolicConfig.for_winograd(m)
    return SystolicConfig.from_dict({
        "activation_width": wide.activation_width, "weight_width": wide.weight_width, **options})


def compile_fitted(graph: QuantizedGraph, options: Mapping[str, Any], *,
                   batch: int = 1, winograd: bool | None = None,
                   exact: bool = False) -> CompiledGraph:
    """Compile a network for an engine that fits it.

    Parameters
    ----------
    graph : QuantizedGraph
        Network.
    options : mapping of :class:`str`
        Options of the engine (:class:`~eieio.model.systolic.config.SystolicConfig`) by name. Memory
        depths that are not given are what the network needs, as powers of two; an addition of
        tensors is there if the network has one; others have the configuration's defaults.
    batch : :class:`int`
        Samples of an inference.
    winograd : :class:`bool`, optional
        As in :func:`~eieio.model.systolic.mapping.compile_graph`.
    exact : :class:`bool`
        Whether memory depths are just what the network needs: of an FPGA that is nearly full, block
        RAMs for the next power of two are not to spare.

    Returns
    -------
    CompiledGraph
        The network in an engine.

    Raises
    ------
    InputError
        If an option is wrong, the engine cannot compute the network, or the network does not fit
        into a memory depth that is given.
    """
    adds = any(isinstance(operator, Add) for operator in graph.operators)
    make_config(options)
    lines = {"depthwise_width": _LONGEST_LINE} if options.get("depthwise_lanes") else {}
    roomy = make_config({"residual": adds, **MEMORY_DEPTHS, **lines, **options})
    compiled = compile_graph(graph, roomy, batch=batch, winograd=winograd)
    needs = memory_needs(compiled)
    config = replace(roomy, **{name: max(need, 2) if exact else 1 << (max(need, 2) - 1).bit_length()
                               for name, need in needs.items() if name not in options})
    # The depths decide nothing but whether the network fits.
    return replace(compiled, config=config)


def memory_needs(compiled: CompiledGraph) -> dict[str, int]:
    """Tell how much of each memory a network uses, by the option that sizes it."""
    placements = [compiled.input, *(layer.output for layer in compiled.layers)]
    lines = {}
    if compiled.config.depthwise_lanes:
        lines["depthwise_width"] = max([_SHORTEST_LINE, *(
            layer.descriptor[Field.WINDOWS] for layer in compiled.layers
            if isinstance(layer.work, DepthwiseWork)
            and not layer.descriptor[Field.OPERATION] & Flag.LINEAR)])
    return lines | {
        "activation_depth": max(placement.base + placement.size for placement in placements),
        "weight_depth": len(compiled.weights),
        "parameter_depth": len(compiled.biases),
        "program_depth": len(compiled.layers) + 2,
    }
