"""What layers do with a systolic engine: its cycles, rows, columns and memories."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from eieio.model.fixed_point import MULTIPLIER_WIDTH
from eieio.model.graph.description import describe
from eieio.model.systolic.compiled_graph import CompiledGraph, CompiledLayer
from eieio.model.systolic.config import ACTIVATION_BITS
from eieio.model.systolic.fitting import memory_needs
from eieio.model.systolic.program import DESCRIPTOR_WORDS, Field
from eieio.model.systolic.timing import LayerTiming
from eieio.model.systolic.work import ComputeWork, DepthwiseWork
from eieio.model.trace import LayerProfile

__all__ = ["CAUSES", "layer_profile", "layer_profiles", "profile_figures"]

#: What a layer's cycles go to.
CAUSES = {
    "multiply": "a vector of activations enters the array",
    "weights": "the array waits for its next tile of weights, or for its last sums",
    "accumulators": "the array waits until a bank of accumulators has been read",
    "transform": "the array waits for tiles that Winograd's transform makes",
    "start": "before the first vector: descriptor, first tile of weights, first window",
    "drain": "after the last vector: sums leave the array, are requantized and written",
    "depthwise": "the depthwise unit computes, without the array",
    "add": "two tensors are added, without the array",
}
#: Bits of a bias, a factor and its shifts.
_PARAMETER_BITS = 32 + MULTIPLIER_WIDTH + 9


def layer_profile(name: str, timing: LayerTiming, pes: int, alone: str = "add") -> LayerProfile:
    """Tell where the cycles of a layer went, see :data:`CAUSES`.

    Waiting for the first transformed tiles is ``transform``, not ``start``. A layer that needs no
    array has one cause alone.
    """
    if not timing.last_vector:
        return LayerProfile(name, timing.cycles, {alone: timing.cycles})
    vectors = timing.macs // pes
    between = timing.last_vector - timing.first_vector + 1
    stalls = timing.accumulator_stalls + timing.transform_stalls - timing.early_stalls
    return LayerProfile(name, timing.cycles, {
        "start": timing.first_vector - 1 - timing.early_stalls,
        "multiply": vectors,
        "weights": between - vectors - stalls,
        "accumulators": timing.accumulator_stalls,
        "transform": timing.transform_stalls,
        "drain": timing.cycles - timing.last_vector,
    })


def layer_profiles(compiled: CompiledGraph, timings: Sequence[LayerTiming]) -> list[LayerProfile]:
    """Tell where the cycles of an inference went, layer by layer, of its timings."""
    return [layer_profile(layer.name, timing, compiled.config.pes,
                          "depthwise" if isinstance(layer.work, DepthwiseWork) else "add")
            for layer, timing in zip(compiled.layers, timings, strict=True)]


def profile_figures(compiled: CompiledGraph, timings: Sequence[LayerTiming]) -> dict[str, Any]:
    """Describe the network, and what it does with its engine.

    Returns
    -------
    dict
        ``graph``, the network's operators; ``memories`` of the engine; ``causes``, what each is;
        and ``profile``, for each layer its cycles by cause, and the share of the cycles in which
        each row and column of the array multiplies by a weight other than 0.
    """
    graph = compiled.graph
    here = {layer.name for layer in compiled.layers}
    host = {operator.name for operator in compiled.host_operators}
    return {
        "graph": describe(graph, here, host),
        "memories": _memories(compiled),
        "causes": CAUSES,
        "profile": [
            {"name": profile.name, "cycles": profile.cycles, "causes": profile.causes,
             "used": _used(compiled, layer, profile)}
            for layer, profile in zip(compiled.layers, layer_profiles(compiled, timings),
                                      strict=True)],
    }


def _used(compiled: CompiledGraph, layer: CompiledLayer, profile: LayerProfile
          ) -> dict[str, list[float]]:
    work, config = layer.work, compiled.config
    if not isinstance(work, ComputeWork):
        return {}
    base = layer.descriptor[Field.WEIGHTS]
    tiles = work.outputs * work.slots // work.reuse
    if config.depthwise_lanes and layer.mode == "channelwise":
        # Of a tile there is its diagonal.
        shares = config.rows // config.channelwise_columns
        diagonals = compiled.weights[base:base + tiles]
        nonzero = np.zeros((tiles, config.rows, config.columns), bool)
        for tile, column in np.ndindex(tiles, config.channelwise_columns):
            share = tile // (tiles // work.outputs) % shares
            row = share * config.channelwise_columns + column
            nonzero[tile, row, column] = diagonals[tile, column] != 0
    else:
        weights = compiled.weights[base:base + tiles * config.rows]
        nonzero = weights.reshape(tiles, config.rows, config.columns) != 0
    share = profile.causes["multiply"] / profile.cycles
    return {"row": (share * nonzero.any(axis=2).mean(axis=0)).tolist(),
            "column": (share * nonzero.any(axis=1).mean(axis=0)).tolist()}


def _memories(compiled: CompiledGraph) -> list[dict[str, Any]]:
    config = compiled.config
    needs = memory_needs(compiled) | {"accumulator_depth": max(
        (layer.work.chunk * (config.transform.n ** 2 if layer.work.winograd else 1)
         for layer in compiled.layers if isinstance(layer.work, ComputeWork)), default=0)}
    memories = [
        {"memory": what, "used": needs[name], "depth": getattr(config, name), "copies": copies,
         "width": width}
        for name, what, copies, width in (
            ("weight_depth", "rows of weights", config.columns, config.stored_width),
            ("activation_depth", "words of activations", config.rows, ACTIVATION_BITS),
            ("accumulator_depth", "accumulators of a column, in a bank", 2 * config.columns,
             config.accumulator_width),
            ("parameter_depth", "biases and factors of a lane", config.lanes, _PARAMETER_BITS),
            ("program_depth", "descriptors", 1, 32 * DESCRIPTOR_WORDS),
        )]
    if compiled.coded is not None:
        memories.append({
            "memory": "weights of codebooks", "copies": 1, "width": config.weight_width,
            "used": sum(book.size for book in compiled.coded.codebooks),
            "depth": config.codebooks << config.code_width})
    return memories
