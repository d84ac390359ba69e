"""Takes an image apart: the compiled network whose image it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.codebook import unpack_codebooks
from eieio.model.errors import InputError
from eieio.model.formats.graph_file import restore
from eieio.model.graph.ending import Ending
from eieio.model.graph.quantized_graph import (
    FullyConnected,
    QuantizedGraph,
    SharedWeights,
)
from eieio.model.sparse.chain import chain, dense_layer, layers_of, source_tensor
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.csc import InterleavedCsc, decode
from eieio.model.sparse.image_layout import DESCRIPTOR_FIELDS, DescriptorField, Target
from eieio.model.sparse.mapping import CompiledLayer, CompiledNetwork

__all__ = ["LayerLabel", "disassemble", "is_native", "labels"]


@dataclass(frozen=True)
class LayerLabel:
    """What an image does not say about a layer, because the engine need not know it.

    Attributes
    ----------
    name : :class:`str`
        Name shown to the user.
    rows, columns : :class:`int`
        Shape of its matrix in the engine, where positions between outputs or inputs hold 0.
    input_scale, weight_scale, output_scale : :class:`float`
        Real value of the integer 1.
    input_positions, output_positions : tuple of :class:`int`, or None
        Where each activation lies in the engine's words; None if they lie in order, one for each
        row or column.
    """

    name: str
    rows: int
    columns: int
    input_scale: float
    weight_scale: float | None
    output_scale: float
    input_positions: tuple[int, ...] | None = None
    output_positions: tuple[int, ...] | None = None


def labels(compiled: CompiledNetwork) -> list[LayerLabel]:
    """Return what :func:`disassemble` needs beside the image."""
    def places(positions: NDArray[np.int64], size: int) -> tuple[int, ...] | None:
        in_order = np.array_equal(positions, np.arange(size))
        return None if in_order else tuple(positions.tolist())

    return [LayerLabel(layer.layer.name, *layer.matrix.shape, layer.layer.input.scale,
                       layer.weights.scale, layer.layer.output.scale,
                       places(layer.input_positions, layer.matrix.shape[1]),
                       places(layer.output_positions, layer.matrix.shape[0]))
            for layer in compiled.layers]


def is_native(network: QuantizedGraph, config: SparseConfig) -> bool:
    """Tell whether image and labels say all of a network.

    So they do of those that :mod:`eieio.model.sparse.quantization` makes for this engine.
    """
    return all(
        isinstance(operator, FullyConnected) and isinstance(operator.stored_weight, SharedWeights)
        and operator.bias.dtype == np.int64 for operator in network.operators) and all(
            len(tensor.shape) == 1 and tensor.symmetric and tensor.width == config.activation_width
            for tensor in network.tensors)


def disassemble(image: NDArray[np.uint32], config: SparseConfig, name: str,
                layers: Sequence[LayerLabel], ending: Ending = "none",
                graph: dict[str, Any] | None = None) -> CompiledNetwork:
    """Rebuild a compiled network from its image; the inverse of ``CompiledNetwork.image``.

    Parameters
    ----------
    image : uint32 array of shape (words,)
        Words of the image.
    config : SparseConfig
        Engine it was compiled for.
    name : :class:`str`
        Name of the network.
    layers : sequence of LayerLabel
        What :func:`labels` returned.
    ending : :data:`~eieio.model.graph.ending.Ending`
        What the host computes of the outputs.
    graph : dict, optional
        What :func:`eieio.model.formats.graph_file.describe` returned of a network that is not
        :func:`native <is_native>`, with the names of its arrays' types under the key "types".

    Returns
    -------
    CompiledNetwork
        The network, with the same image.

    Raises
    ------
    InputError
        If the image is not one for this engine and these layers.
    """
    try:
        compiled = _disassemble(image, config, name, layers, ending, graph)
        same = np.array_equal(compiled.image(), image)
    except (IndexError, KeyError, ValueError, TypeError, OverflowError, MemoryError,
            AttributeError):
        same = False
    else:
        if same:
            return compiled
    raise InputError(f"Image of {name!r} must fit its engine and its layers")


def _disassemble(image: NDArray[np.uint32], config: SparseConfig, name: str,
                 layers: Sequence[LayerLabel], ending: Ending, graph: dict[str, Any] | None
                 ) -> CompiledNetwork:
    memories = _memories(image)
    pes = config.pes
    descriptors = memories[Target.DESCRIPTORS, 0].reshape(-1, DESCRIPTOR_FIELDS).astype(np.int64)
    codebooks = unpack_codebooks(memories[Target.CODEBOOK, 0], config.code_width)
    biases = np.stack([memories[Target.BIASES, pe].view(np.int32) for pe in range(pes)], axis=1)
    pointers = np.stack([memories[Target.POINTERS, pe] for pe in range(pes)]).astype(np.int64)
    pairs = [memories.get((Target.ENTRIES, pe), np.zeros(0, np.uint32)) for pe in range(pes)]
    entries = [np.stack([words & 0xFFFF, words >> 16], axis=1).ravel() for words in pairs]
    factors = None
    if config.per_channel:
        factors = np.stack([memories[Target.FACTORS, pe].reshape(-1, 2).astype(np.int32)
                            for pe in range(pes)], axis=1)
    arrays: dict[str, NDArray[Any]] = {}
    numbers = [number for number, operator in enumerate((graph or {}).get("operators", []))
               if operator["kind"] == "FullyConnected"]

    compiled: list[CompiledLayer] = []
    source = source_tensor(layers[0].columns if layers[0].input_positions is None
                           else len(layers[0].input_positions), config.activation_width,
                           layers[0].input_scale)
    for label, descriptor, codebook in zip(layers, descriptors, codebooks, strict=True):
        groups = 1 << int(descriptor[DescriptorField.POINTER_BASE] >> 28)
        pointer_base = int(descriptor[DescriptorField.POINTER_BASE] & 0xFFFFFFF)
        bias_base = int(descriptor[DescriptorField.BIAS_BASE] & 0xFFFF)
        absolute = pointers[:, pointer_base:pointer_base - (-label.columns // groups) + 1]
        mine = np.concatenate([entries[pe][bounds[0]:bounds[-1]]
                               for pe, bounds in enumerate(absolute)])
        matrix = InterleavedCsc(
            (label.rows, label.columns), pes, groups, config.run_width,
            (mine & ((1 << config.code_width) - 1)).astype(np.uint8),
            (mine >> config.code_width).astype(np.uint8), absolute - absolute[:, :1])
        input_positions = _positions(label.input_positions, label.columns)
        output_positions = _positions(label.output_positions, label.rows)
        codes = decode(matrix)[np.ix_(output_positions, input_positions)]
        bias = biases[bias_base:].ravel()[output_positions].astype(np.int64)
        weights = SharedWeights(codes, codebook, label.weight_scale)
        layer = dense_layer(
            label.name, source, weights, bias,
            (int(descriptor[DescriptorField.MULTIPLIER] & 0x7FFFFFFF),
             int(descriptor[DescriptorField.BIAS_BASE] >> 16)) if factors is None else tuple(
                 factors[bias_base:].reshape(-1, 2)[output_positions].T),
            (_signed(descriptor[DescriptorField.MINIMUM]),
             _signed(descriptor[DescriptorField.MAXIMUM])), label.output_scale,
            single_rounding=bool(descriptor[DescriptorField.MULTIPLIER] >> 31))
        source = layer.output
        if graph is not None:
            number = numbers.pop(0)
            arrays |= {f"{what}.{number}": values.astype(kind) for what, values in (
                ("weight", weights.weight), ("codes", codes), ("codebook", codebook),
                ("bias", bias), ("multiplier", layer.multiplier), ("shift", layer.shift))
                if (kind := graph["types"].get(f"{what}.{number}"))}
        compiled.append(CompiledLayer(layer, weights, matrix, groups, input_positions,
                                      output_positions, pointer_base, absolute[:, 0], bias_base))
    if graph is None:
        network = chain(name, [layer.layer for layer in compiled], ending)
    else:
        network = restore(graph, arrays)
    return CompiledNetwork(network, config, tuple(
        replace(layer, layer=original)
        for layer, original in zip(compiled, layers_of(network), strict=True)))


def _memories(image: NDArray[np.uint32]) -> dict[tuple[int, int], NDArray[np.uint32]]:
    """Contents by target and PE or lane."""
    memories: dict[tuple[int, int], NDArray[np.uint32]] = {}
    place = 0
    while place < image.size:
        head, addr, count = (int(word) for word in image[place:place + 3])
        words = image[place + 3:place + 3 + count]
        key = (head >> 28, head & 0xFFFF)
        old = memories.get(key, np.zeros(0, np.uint32))
        # Pointers of a layer begin at an even address. There are no other gaps, and a damaged image
        # must not take any memory.
        if addr > old.size + 1:
            raise ValueError
        memory = np.zeros(max(old.size, addr + words.size), np.uint32)
        memory[:old.size] = old
        memory[addr:addr + words.size] = words
        memories[key] = memory
        place += 3 + count
    return memories


def _positions(positions: tuple[int, ...] | None, size: int) -> NDArray[np.int64]:
    return np.arange(size) if positions is None else np.array(positions, np.int64)


def _signed(word: np.int64) -> int:
    return int(word) - (int(word) >> 31 << 32)
