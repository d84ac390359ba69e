"""Compiler of the sparse engine: from a quantized network to the contents of its memories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.sparse.balance import EVEN_WORK, Nonzeros, is_balanced, order_rows
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.csc import InterleavedCsc, encode_nonzeros
from eieio.model.sparse.image_layout import DESCRIPTOR_FIELDS, DescriptorField, Target
from eieio.model.sparse.quantized_network import (
    QuantizedLayer,
    QuantizedNetwork,
    accumulator_bound,
    accumulator_width,
    overflow_text,
)

__all__ = ["CompiledLayer", "CompiledNetwork", "compile_network"]


@dataclass(frozen=True, eq=False)
class CompiledLayer:
    """A layer as it lies in the engine.

    Attributes
    ----------
    layer : QuantizedLayer
        What it computes.
    matrix : InterleavedCsc
        Its weights, columns and rows in the engine's order.
    groups : :class:`int`
        Column groups it uses.
    input_positions, output_positions : int64 arrays of shape (inputs,) and (outputs,)
        Where each activation lies in the engine's words. Positions between them hold 0.
    pointer_base, entry_base, bias_base : :class:`int`
        Where it begins in the memories of column pointers, entries and biases. ``entry_base`` has
        shape (pes,).
    """

    layer: QuantizedLayer
    matrix: InterleavedCsc
    groups: int
    input_positions: NDArray[np.int64]
    output_positions: NDArray[np.int64]
    pointer_base: int
    entry_base: NDArray[np.int64]
    bias_base: int


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network as it lies in an engine.

    Attributes
    ----------
    network : QuantizedNetwork
        What it computes.
    config : SparseConfig
        Engine it is compiled for.
    layers : tuple of CompiledLayer
        Its layers.
    """

    network: QuantizedNetwork
    config: SparseConfig
    layers: tuple[CompiledLayer, ...]

    def sections(self) -> list[tuple[Target, int, int, NDArray[np.uint32]]]:
        """Contents of the memories: target, PE or lane, address, and words."""
        config = self.config
        sections: list[tuple[Target, int, int, NDArray[np.uint32]]] = []
        for pe in range(config.pes):
            parts = [layer.matrix.pe(pe) for layer in self.layers]
            codes = np.concatenate([part[0] for part in parts]).astype(np.uint32)
            runs = np.concatenate([part[1] for part in parts]).astype(np.uint32)
            entries = codes | runs << config.code_width
            entries = np.append(entries, np.zeros(entries.size % 2, np.uint32))
            if entries.size:
                pairs = (entries[0::2] | entries[1::2] << 16).astype(np.uint32)
                sections.append((Target.ENTRIES, pe, 0, pairs))
            for layer in self.layers:
                pointers = layer.matrix.pointers[pe] + layer.entry_base[pe]
                sections.append((Target.POINTERS, pe, layer.pointer_base,
                                 pointers.astype(np.uint32)))
            biases = np.concatenate([_lane_biases(layer, pe, config.pes)
                                     for layer in self.layers])
            sections.append((Target.BIASES, pe, 0, biases.astype(np.int32).view(np.uint32)))
        codebooks = np.zeros((len(self.layers), 1 << config.code_width), np.int32)
        for row, layer in zip(codebooks, self.layers, strict=True):
            row[:layer.layer.codebook.size] = layer.layer.codebook
        sections.append((Target.CODEBOOK, 0, 0, codebooks.ravel().view(np.uint32)))
        descriptors = np.concatenate([_descriptor(layer, config) for layer in self.layers])
        sections.append((Target.DESCRIPTORS, 0, 0, descriptors))
        sections.append((Target.LAYERS, 0, 0, np.array([len(self.layers)], np.uint32)))
        return sections

    def image(self) -> NDArray[np.uint32]:
        """Words of the image, as the engine's image stream takes them."""
        parts = []
        for target, unit, addr, words in self.sections():
            header = np.array([target << 28 | unit, addr, words.size], np.uint32)
            parts += [header, words]
        return np.concatenate(parts)

    def to_engine(self, x: NDArray[np.integer], layer: int = 0) -> NDArray[np.int32]:
        """Arrange source activations of a layer, shape (samples, inputs), as the engine does.

        Returns an array of shape (samples, columns of the layer's matrix).
        """
        arranged = np.zeros((len(x), self.layers[layer].matrix.shape[1]), np.int32)
        arranged[:, self.layers[layer].input_positions] = x
        return arranged

    def from_engine(self, y: NDArray[np.integer], layer: int = -1) -> NDArray[np.int32]:
        """Undo the engine's arrangement of the destination activations of a layer.

        Takes an array of shape (samples, rows of the layer's matrix or more).
        """
        return y[:, self.layers[layer].output_positions].astype(np.int32)


def compile_network(network: QuantizedNetwork, config: SparseConfig, *,
                    groups: Sequence[int] | None = None, balance: str = "hidden",
                    positions: Sequence[NDArray[np.int64] | None] | None = None
                    ) -> CompiledNetwork:
    """Lay a network out in the memories of an engine.

    Parameters
    ----------
    network : QuantizedNetwork
        Network to compile.
    config : SparseConfig
        Engine to compile it for.
    groups : sequence of :class:`int`, optional
        Column groups for each layer; each one of ``config.column_group_choices``. The default is
        1 for every layer.
    balance : :class:`str`
        Which layers' rows may change places so that PEs get equal work: "none", "hidden" (all but
        the last, so that the output stream keeps the network's order), or "all". This costs no
        hardware: the next layer's columns, or the reader of the output, follow.
    positions : sequence of int64 arrays of shape (outputs,) or None, optional
        In place of ``balance``, for each layer: position of each row in the engine's words, below
        ``ceil(outputs / pes) * pes``; None if they lie as they come.

    Returns
    -------
    CompiledNetwork
        The layout.

    Raises
    ------
    InputError
        If the network does not fit: the error names the layer, what it needs and the option that
        says what there is.
    """
    if groups is None:
        groups = [1] * len(network.layers)
    if len(groups) != len(network.layers):
        raise InputError(
            f"Column groups must be given for {len(network.layers)} layers, not {len(groups)}")
    if positions is not None and len(positions) != len(network.layers):
        raise InputError(
            f"Positions must be given for {len(network.layers)} layers, not {len(positions)}")
    if balance not in {"none", "hidden", "all"}:
        raise InputError(f"Balance must be none, hidden or all, not {balance!r}")
    _check(len(network.layers), config.layer_depth, "layers", "layer_depth", network.name,
           what="Network")
    layers: list[CompiledLayer] = []
    pointer_base = 0
    bias_base = 0
    entry_base = np.zeros(config.pes, np.int64)
    input_positions = np.arange(network.layers[0].inputs)
    columns = input_positions.size
    for number, (layer, layer_groups) in enumerate(zip(network.layers, groups, strict=True)):
        if layer_groups not in config.column_group_choices:
            raise InputError(f"Layer {layer.name!r}: column groups must be one of "
                             f"{config.column_group_choices}, not {layer_groups}")
        _check_layer(layer, config)
        nonzeros = Nonzeros.of(layer.codes, input_positions, columns)
        output_positions = None
        if positions is not None:
            output_positions = positions[number]
        elif is_balanced(balance, last=layer is network.layers[-1]):
            output_positions = order_rows(nonzeros, EVEN_WORK, pes=config.pes,
                                          groups=layer_groups)
        rows = layer.outputs
        if output_positions is None:
            output_positions = np.arange(rows)
        else:
            rows = -(-rows // config.pes) * config.pes
        matrix = encode_nonzeros(
            output_positions[nonzeros.row], nonzeros.column, nonzeros.codes, (rows, columns),
            pes=config.pes, groups=layer_groups, run_width=config.run_width)
        layers.append(CompiledLayer(layer, matrix, layer_groups, input_positions,
                                    output_positions, pointer_base, entry_base, bias_base))
        pointer_base += -(-matrix.pointers.shape[1] // 2) * 2
        bias_base += -(-layer.outputs // config.pes)
        entry_base = entry_base + matrix.pointers[:, -1]
        input_positions, columns = output_positions, rows
        _check(matrix.slots, config.accumulator_depth, "accumulators in each PE",
               "accumulator_depth", layer.name)
        _check(pointer_base, config.pointer_depth, "column pointers in each PE up to this layer",
               "pointer_depth", layer.name)
        _check(bias_base, config.output_depth, "biases in each lane up to this layer",
               "output_depth", layer.name)
        _check(int(entry_base.max()), config.entry_depth,
               "weight entries in the fullest PE up to this layer", "entry_depth", layer.name)
    return CompiledNetwork(network, config, tuple(layers))


def _check(needed: int, available: int, what_of: str, option: str, name: str,
           what: str = "Layer") -> None:
    if needed > available:
        raise InputError(f"{what} {name!r} is too large: it needs {needed} {what_of}, and {option} "
                         f"is {available}")


def _check_layer(layer: QuantizedLayer, config: SparseConfig) -> None:
    for size, side in ((layer.inputs, "inputs"), (layer.outputs, "outputs")):
        _check(-(-size // config.pes), config.activation_depth,
               f"words of {config.pes} activations for its {size} {side}", "activation_depth",
               layer.name)
    if layer.codes.max() >= 1 << config.code_width:
        raise InputError(f"Layer {layer.name!r} needs codes of "
                         f"{int(layer.codes.max()).bit_length()} bits, and code_width is "
                         f"{config.code_width}")
    weight_bound = 1 << (config.weight_width - 1)
    if not (-weight_bound <= layer.codebook.min() and layer.codebook.max() < weight_bound):
        raise InputError(f"Layer {layer.name!r}: the codebook must fit in weight_width "
                         f"({config.weight_width}) bits")
    bound = accumulator_bound(layer.codes, layer.codebook, layer.bias, config.activation_maximum)
    if accumulator_width(bound) > config.accumulator_width:
        raise InputError(
            f"Layer {layer.name!r}: {overflow_text(accumulator_width(bound), config)}")


def _lane_biases(layer: CompiledLayer, lane: int, pes: int) -> NDArray[np.int64]:
    """Biases of every ``pes``-th position, 0 where the last word has none."""
    biases = np.zeros(-(-layer.layer.outputs // pes) * pes, np.int64)
    biases[layer.output_positions] = layer.layer.bias
    return biases[lane::pes]


def _descriptor(layer: CompiledLayer, config: SparseConfig) -> NDArray[np.uint32]:
    quantized = layer.layer
    rows, columns = layer.matrix.shape
    fields = {
        DescriptorField.WORDS: -(-columns // config.pes) | -(-rows // config.pes) << 16,
        DescriptorField.POINTER_BASE: layer.pointer_base | (layer.groups.bit_length() - 1) << 28,
        DescriptorField.BIAS_BASE: layer.bias_base | quantized.shift << 16,
        DescriptorField.MULTIPLIER: quantized.multiplier | quantized.single_rounding << 31,
        DescriptorField.MINIMUM: quantized.minimum & 0xFFFFFFFF,
        DescriptorField.MAXIMUM: quantized.maximum & 0xFFFFFFFF,
        DescriptorField.INPUT_BEATS: (-(-columns // config.io_lanes)
                                      | -columns % config.io_lanes << 24),
        DescriptorField.OUTPUT_BEATS: -(-rows // config.io_lanes),
    }
    words = np.zeros(DESCRIPTOR_FIELDS, np.uint32)
    for field, value in fields.items():
        words[field] = value
    return words
