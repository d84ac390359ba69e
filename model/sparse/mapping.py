"""Compiler of the sparse engine: from a quantized network to the contents of its memories."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.model.codebook import pack_codebooks
from eieio.model.errors import InputError
from eieio.model.graph.golden import run_operator
from eieio.model.graph.quantized_graph import (
    FullyConnected,
    QuantizedGraph,
    SharedWeights,
    Tensor,
)
from eieio.model.graph.rescale import RIGHT_SHIFT_MAXIMUM
from eieio.model.sparse.balance import EVEN_WORK, Nonzeros, is_balanced, order_rows
from eieio.model.sparse.chain import host_operators, layers_of, run_layers, shared_weights
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.csc import InterleavedCsc, encode_nonzeros
from eieio.model.sparse.image_layout import DESCRIPTOR_FIELDS, DescriptorField, Target
from eieio.model.sparse.quantization import overflow_text

__all__ = ["CompiledLayer", "CompiledNetwork", "InputPlaces", "compile_network", "engine_width",
           "has_one_factor"]


class InputPlaces(NamedTuple):
    """Where the inputs of a network lie in its input stream, if not one after the other.

    Attributes
    ----------
    positions : int64 array of shape (inputs,)
        Place of each; places between them hold 0.
    size : :class:`int`
        Places.
    """

    positions: NDArray[np.int64]
    size: int


@dataclass(frozen=True, eq=False)
class CompiledLayer:
    """A layer as it lies in the engine.

    Attributes
    ----------
    layer : FullyConnected
        What it computes.
    weights : SharedWeights
        Its weights by their codes.
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

    layer: FullyConnected
    weights: SharedWeights
    matrix: InterleavedCsc
    groups: int
    input_positions: NDArray[np.int64]
    output_positions: NDArray[np.int64]
    pointer_base: int
    entry_base: NDArray[np.int64]
    bias_base: int

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.layer.input.elements

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.layer.channels


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network as it lies in an engine.

    Attributes
    ----------
    network : QuantizedGraph
        What it computes.
    config : SparseConfig
        Engine it is compiled for.
    layers : tuple of CompiledLayer
        Its layers.
    """

    network: QuantizedGraph
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
            biases = np.concatenate([_lane_values(layer, layer.layer.bias, pe, config.pes)
                                     for layer in self.layers])
            sections.append((Target.BIASES, pe, 0, biases.astype(np.int32).view(np.uint32)))
            if config.per_channel:
                factors = np.stack([np.concatenate([
                    _lane_values(layer, values, pe, config.pes) for layer, values in zip(
                        self.layers, parts, strict=True)]) for parts in (
                    [layer.layer.multiplier for layer in self.layers],
                    [layer.layer.shift for layer in self.layers])], axis=1)
                sections.append((Target.FACTORS, pe, 0, factors.ravel().astype(np.uint32)))
        sections.append((Target.CODEBOOK, 0, 0, pack_codebooks(
            [layer.weights.codebook for layer in self.layers], config.code_width)))
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

    def run(self, x: NDArray[np.integer]) -> list[NDArray[np.integer]]:
        """Compute every layer: see :func:`~eieio.model.sparse.chain.run_layers`."""
        return run_layers(self.network, x)

    def finish(self, y: NDArray[np.integer]) -> NDArray[np.integer]:
        """Compute what the engine leaves to the host of its outputs, shape (samples, outputs).

        Returns the network's outputs, of shape (samples, and the shape of the output).
        """
        y = y.reshape(len(y), *self.layers[-1].layer.output.shape)
        for operator in host_operators(self.network):
            y = run_operator(operator, y)
        return y

    def to_engine(self, x: NDArray[np.integer], layer: int = 0) -> NDArray[np.int32]:
        """Turn source activations of a layer, shape (samples, inputs), into the engine's.

        They lie elsewhere, and the zero point, a real 0, is 0. Returns an array of shape (samples,
        columns of the layer's matrix).
        """
        compiled = self.layers[layer]
        arranged = np.zeros((len(x), compiled.matrix.shape[1]), np.int32)
        arranged[:, compiled.input_positions] = (
            x.reshape(len(x), -1).astype(np.int32) - compiled.layer.input.zero_point)
        return arranged

    def from_engine(self, y: NDArray[np.integer], layer: int = -1) -> NDArray[np.integer]:
        """Undo this for the destination activations of a layer.

        Takes an array of shape (samples, rows of the layer's matrix or more).
        """
        compiled = self.layers[layer]
        output = compiled.layer.output
        return (y[:, compiled.output_positions] + output.zero_point).astype(output.dtype)


def compile_network(network: QuantizedGraph, config: SparseConfig, *,
                    groups: Sequence[int] | None = None, balance: str = "hidden",
                    positions: Sequence[NDArray[np.int64] | None] | None = None,
                    places: InputPlaces | None = None) -> CompiledNetwork:
    """Lay a network out in the memories of an engine.

    Parameters
    ----------
    network : QuantizedGraph
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
    places : InputPlaces, optional
        Where the inputs come. The default is one after the other.

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
    chain = layers_of(network)
    if groups is None:
        groups = [1] * len(chain)
    if len(groups) != len(chain):
        raise InputError(
            f"Column groups must be given for {len(chain)} layers, not {len(groups)}")
    if positions is not None and len(positions) != len(chain):
        raise InputError(
            f"Positions must be given for {len(chain)} layers, not {len(positions)}")
    if balance not in {"none", "hidden", "all"}:
        raise InputError(f"Balance must be none, hidden or all, not {balance!r}")
    _check(len(chain), config.layer_depth, "layers", "layer_depth", network.name,
           what="Network")
    layers: list[CompiledLayer] = []
    pointer_base = 0
    bias_base = 0
    entry_base = np.zeros(config.pes, np.int64)
    elements = network.input.elements
    input_positions, columns = places or InputPlaces(np.arange(elements), elements)
    for number, (layer, layer_groups) in enumerate(zip(chain, groups, strict=True)):
        if layer_groups not in config.column_group_choices:
            raise InputError(f"Layer {layer.name!r}: column groups must be one of "
                             f"{config.column_group_choices}, not {layer_groups}")
        weights = shared_weights(layer)
        _check_layer(layer, weights, columns, config)
        nonzeros = Nonzeros.of(weights.codes, input_positions, columns)
        output_positions = None
        if positions is not None:
            output_positions = positions[number]
        elif is_balanced(balance, last=layer is chain[-1]):
            output_positions = order_rows(nonzeros, EVEN_WORK, pes=config.pes,
                                          groups=layer_groups)
        rows = layer.channels
        if output_positions is None:
            output_positions = np.arange(rows)
        else:
            rows = -(-rows // config.pes) * config.pes
        matrix = encode_nonzeros(
            output_positions[nonzeros.row], nonzeros.column, nonzeros.codes, (rows, columns),
            pes=config.pes, groups=layer_groups, run_width=config.run_width)
        layers.append(CompiledLayer(
            layer, weights, matrix, layer_groups, input_positions, output_positions, pointer_base,
            entry_base, bias_base))
        pointer_base += -(-matrix.pointers.shape[1] // 2) * 2
        bias_base += -(-layer.channels // config.pes)
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


def _check_layer(layer: FullyConnected, weights: SharedWeights, columns: int,
                 config: SparseConfig) -> None:
    name = f"Layer {layer.name!r}"
    for places, size, side in ((columns, layer.input.elements, "inputs"),
                               (layer.channels, layer.channels, "outputs")):
        _check(-(-places // config.pes), config.activation_depth,
               f"words of {config.pes} activations for its {size} {side}", "activation_depth",
               layer.name)
    for tensor in (layer.input, layer.output):
        needed = engine_width(tensor)
        if needed > config.activation_width:
            raise InputError(f"{name}: its activations need {needed} bits, and activation_width is "
                             f"{config.activation_width}")
    if not layer.minimum <= layer.output.zero_point <= layer.maximum:
        raise InputError(f"{name}: the range of its outputs, {layer.minimum} to {layer.maximum}, "
                         f"must include their real 0, {layer.output.zero_point}")
    if layer.shift.min() < 0:
        raise InputError(f"{name}: the engine multiplies sums by factors below 1, and one of its "
                         f"outputs has a factor up to {1 << -int(layer.shift.min())}; the systolic "
                         "engine (--engine systolic) takes it")
    if not config.per_channel and not has_one_factor(layer):
        raise InputError(f"{name}: its outputs have different factors, and per_channel is false")
    if config.per_channel and layer.shift.max() > RIGHT_SHIFT_MAXIMUM:
        raise InputError(f"{name}: with per_channel, factors have shifts of at most "
                         f"{RIGHT_SHIFT_MAXIMUM}, not {layer.shift.max()}")
    if weights.codes.max() >= 1 << config.code_width:
        raise InputError(f"{name} needs codes of {int(weights.codes.max()).bit_length()} bits, and "
                         f"code_width is {config.code_width}")
    weight_bound = 1 << (config.weight_width - 1)
    if not (-weight_bound <= weights.codebook.min() and weights.codebook.max() < weight_bound):
        raise InputError(
            f"{name}: the codebook must fit in weight_width ({config.weight_width}) bits")
    if not -1 << 31 <= layer.bias.min() <= layer.bias.max() < 1 << 31:
        raise InputError(f"{name}: the biases must fit in 32 bits")
    if layer.accumulator_width > config.accumulator_width:
        raise InputError(f"{name}: {overflow_text(layer.accumulator_width, config)}")


def engine_width(tensor: Tensor) -> int:
    """Return the bits of a tensor's integers in the engine, which are less the zero point."""
    low, high = tensor.minimum - tensor.zero_point, tensor.maximum - tensor.zero_point
    return max((-low - 1).bit_length(), high.bit_length()) + 1


def has_one_factor(layer: FullyConnected) -> bool:
    """Tell whether all outputs of a layer have one factor."""
    return bool((layer.multiplier == layer.multiplier[0]).all()
                and (layer.shift == layer.shift[0]).all())


def _lane_values(layer: CompiledLayer, values: NDArray[np.integer], lane: int, pes: int
                 ) -> NDArray[np.int64]:
    """Return values of the outputs at every ``pes``-th position, 0 where the last word has none."""
    placed = np.zeros(-(-layer.outputs // pes) * pes, np.int64)
    placed[layer.output_positions] = values
    return placed[lane::pes]


def _descriptor(layer: CompiledLayer, config: SparseConfig) -> NDArray[np.uint32]:
    quantized, zero_point = layer.layer, layer.layer.output.zero_point
    multiplier, shift = ((0, 0) if config.per_channel
                         else (int(quantized.multiplier[0]), int(quantized.shift[0])))
    rows, columns = layer.matrix.shape
    fields = {
        DescriptorField.WORDS: -(-columns // config.pes) | -(-rows // config.pes) << 16,
        DescriptorField.POINTER_BASE: layer.pointer_base | (layer.groups.bit_length() - 1) << 28,
        DescriptorField.BIAS_BASE: layer.bias_base | shift << 16,
        DescriptorField.MULTIPLIER: multiplier | quantized.single_rounding << 31,
        DescriptorField.MINIMUM: (quantized.minimum - zero_point) & 0xFFFFFFFF,
        DescriptorField.MAXIMUM: (quantized.maximum - zero_point) & 0xFFFFFFFF,
        DescriptorField.INPUT_BEATS: (-(-columns // config.io_lanes)
                                      | -columns % config.io_lanes << 24),
        DescriptorField.OUTPUT_BEATS: -(-rows // config.io_lanes),
    }
    words = np.zeros(DESCRIPTOR_FIELDS, np.uint32)
    for field, value in fields.items():
        words[field] = value
    return words
