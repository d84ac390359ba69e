"""Fits a systolic engine to a network: its memories are just large enough."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

from eieio.model.graph.quantized_graph import Add, Conv2D, QuantizedGraph
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.mapping import compile_graph
from eieio.model.systolic.patches import LEAST_LINE, find_patches, patch_shapes
from eieio.model.systolic.program import Field, Flag
from eieio.model.systolic.work import DepthwiseWork

__all__ = ["INPUT_DEPTHS", "MEMORY_DEPTHS", "PATCHES", "compile_fitted", "make_config",
           "memory_needs"]

#: Options that size a memory by the network, with the largest depth that an engine can have.
MEMORY_DEPTHS = {
    "activation_depth": 1 << 24,
    "weight_depth": 1 << 24,
    "parameter_depth": 1 << 16,
    "program_depth": 1 << 12,
    "input_depth": 1 << 24,
    "output_queue_depth": 1 << 24,
    "line_depth": 1 << 16,
}
#: Those that there are with an input memory only.
INPUT_DEPTHS = ("input_depth", "output_queue_depth", "line_depth")
#: Options that shape the patches of an input.
PATCHES = ("patch_rows", "patch_columns", "patch_channels")

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
        tensors is there if the network has one; patches of the input are those whose
        windows have the fewest elements, if the network is faster with them by the cycle model;
        others have the configuration's defaults. ``input_depth`` 0 stands for no input memory.
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
    make_config(_with_input(options))
    lines = {"depthwise_width": _LONGEST_LINE} if options.get("depthwise_lanes") else {}
    roomy = {"residual": adds, **MEMORY_DEPTHS, **lines, **options}
    if not roomy["input_depth"]:
        roomy |= dict.fromkeys(INPUT_DEPTHS, 0)
    compiled = _compile_patched(graph, _without_line(roomy), options, batch, winograd)
    needs = memory_needs(compiled)
    config = replace(compiled.config, **{
        name: need if name == "line_depth" and not need else
        max(need, 2) if exact else 1 << (max(need, 2) - 1).bit_length()
        for name, need in needs.items() if name not in options})
    # The depths decide nothing but whether the network fits.
    return replace(compiled, config=config)


def _with_input(options: Mapping[str, Any]) -> dict[str, Any]:
    """Add depths that given options need, where none are given, to check them."""
    needed: dict[str, Any] = {}
    if any(options.get(name) for name in (*PATCHES, "output_queue_depth")):
        needed["input_depth"] = MEMORY_DEPTHS["input_depth"]
    if options.get("patch_rows", 0) > 1:
        needed["line_depth"] = LEAST_LINE
    return {**needed, **options}


def _without_line(options: dict[str, Any]) -> dict[str, Any]:
    """Leave out the lines before, if patches have one row."""
    return options if options.get("patch_rows", 0) > 1 else {**options, "line_depth": 0}


def _compile_patched(graph: QuantizedGraph, roomy: dict[str, Any], options: Mapping[str, Any],
                     batch: int, winograd: bool | None) -> CompiledGraph:
    """Compile with the patches that are given, or with those that make the windows shortest."""
    plain = make_config(roomy)
    if plain.input_depth and not any(name in options for name in PATCHES):
        shape = _best_patches(graph, plain)
        if shape is not None:
            line = {"line_depth": MEMORY_DEPTHS["line_depth"]} if shape[0] > 1 else {}
            config = make_config({**roomy, **line, **dict(zip(PATCHES, shape, strict=True))})
            compiled = compile_graph(graph, config, batch=batch, winograd=winograd)
            if compiled.patches:
                return compiled
    return compile_graph(graph, plain, batch=batch, winograd=winograd)


def _best_patches(graph: QuantizedGraph, config: SystolicConfig) -> tuple[int, int, int] | None:
    """Find rows, columns and channels of patches with which windows have the fewest elements.

    Of equally good ones those are taken that need the fewest words, and then the fewest rows.
    """
    costs = {}
    for operator in graph.operators:
        if isinstance(operator, Conv2D) and operator.input.name == graph.input.name:
            height, width, channels = operator.input.shape
            for shape in patch_shapes(config, operator.window.kernel, channels):
                found = find_patches(shape, (height, width, channels), operator.window,
                                     (operator.output.shape[0], operator.output.shape[1]))
                if found:
                    costs[*shape, channels] = (prod(found.window.kernel), found.words, *shape)
    return min(costs, key=lambda shape: costs[shape], default=None)


def memory_needs(compiled: CompiledGraph) -> dict[str, int]:
    """Tell how much of each memory a network uses, by the option that sizes it."""
    placements = [compiled.input, *(layer.output for layer in compiled.layers)]
    needs = {
        "activation_depth": max(placement.base + placement.size for placement in placements
                                if not placement.input),
        "weight_depth": len(compiled.weights),
        "parameter_depth": len(compiled.biases),
        "program_depth": len(compiled.layers) + 2,
    }
    if compiled.config.input_depth:
        line = compiled.config.line_depth and LEAST_LINE
        needs |= {"input_depth": compiled.input_words,
                  "output_queue_depth": compiled.output_beats + 1,
                  "line_depth": compiled.patches.line if compiled.patches else line}
    if compiled.config.depthwise_lanes:
        needs["depthwise_width"] = max([_SHORTEST_LINE, *(
            layer.descriptor[Field.WINDOWS] for layer in compiled.layers
            if isinstance(layer.work, DepthwiseWork)
            and not layer.descriptor[Field.OPERATION] & Flag.LINEAR)])
    return needs
