"""Compiles a network for a tensor core: descriptors, tiles of weights and biases, image."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Clamp,
    Conv2D,
    DepthwiseConv2D,
    FloatGraph,
    FullyConnected,
    MaxPool,
    Operator,
    Pad,
    Reshape,
    Value,
)
from eieio.model.graph.window import Window
from eieio.model.tensor_core.config import TensorCoreConfig
from eieio.model.tensor_core.conversion import from_real
from eieio.model.tensor_core.network import engine_operators, sent_value
from eieio.model.tensor_core.placement import place, room
from eieio.model.tensor_core.program import DESCRIPTOR_WORDS, Field, Target

__all__ = ["CompiledLayer", "CompiledNetwork", "Descriptor", "compile_network"]


@dataclass(frozen=True)
class Descriptor:
    """What :class:`~eieio.model.tensor_core.program.Field` says, but the clamp in two.

    Attributes
    ----------
    minimum, maximum_value : :class:`int`
        Bits of the clamp's ends.
    """

    maximum: int
    source: int
    row_start: int
    column_start: int
    rows: int
    row_elements: int
    tap_rows: int
    tap_row_step: int
    window_rows: int
    window_row_step: int
    window_step: int
    row_windows: int
    windows: int
    kernel_rows: int
    segments: int
    segment_step: int
    run: int
    destination: int
    window_results: int
    last_lanes: int
    minimum: int
    maximum_value: int
    column_tiles: int = 1
    group_windows: int = 1
    tile_results: int = 0
    weights: int = 0
    biases: int = 0

    def steps(self, products: int) -> int:
        """Return how many steps a sum takes."""
        return self.kernel_rows * self.segments * -(-self.run // products)

    def words(self) -> NDArray[np.uint32]:
        """Return the words."""
        values = [getattr(self, field.name.lower()) for field in Field if field != Field.CLAMP]
        return np.array([*values, self.minimum | self.maximum_value << 16],
                        np.int64).astype(np.uint32)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A descriptor, and its tiles: what has no place yet.

    ``weight`` has shape (channels, steps, products), ``bias`` (channels,).
    """

    descriptor: Descriptor
    weight: NDArray[np.uint16]
    bias: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CompiledLayer:
    """An operator in a tensor core.

    Attributes
    ----------
    operator : Operator
        It.
    descriptors : tuple of Descriptor
        What computes it.
    address : :class:`int`
        Where its output lies.
    """

    operator: Operator
    descriptors: tuple[Descriptor, ...]
    address: int

    @property
    def name(self) -> str:
        """Name of the operator."""
        return self.operator.name

    @property
    def macs(self) -> int:
        """Multiplications that the operator has, padding included."""
        operator = self.operator
        match operator:
            case Conv2D() | FullyConnected():
                return operator.output.elements * operator.weight[0].size
            case DepthwiseConv2D():
                return operator.output.elements * math.prod(operator.window.kernel)
            case _:
                return 0


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network in a tensor core.

    Attributes
    ----------
    graph : FloatGraph
        The network, as :func:`eieio.model.tensor_core.network.round_network` returns it.
    config : TensorCoreConfig
        The tensor core.
    layers : tuple of CompiledLayer
        Operators that take a descriptor, in the order of their computation.
    weights : uint16 array of shape (tiles, columns * products)
        Bits of the weights.
    biases : float32 array of shape (tiles, columns)
        Biases.
    result : Value
        What the engine sends.
    result_address : :class:`int`
        Where it lies.
    depth : :class:`int`
        Activations that the network needs.
    """

    graph: FloatGraph
    config: TensorCoreConfig
    layers: tuple[CompiledLayer, ...]
    weights: NDArray[np.uint16]
    biases: NDArray[np.float32]
    result: Value
    result_address: int
    depth: int

    @property
    def descriptors(self) -> list[Descriptor]:
        """All descriptors, in their order."""
        return [each for layer in self.layers for each in layer.descriptors]

    @property
    def input_beats(self) -> int:
        """Beats of an input."""
        return -(-self.graph.input.elements // self.config.products)

    @property
    def output_beats(self) -> int:
        """Beats of an output."""
        return -(-self.result.elements // self.config.products)

    @cached_property
    def words(self) -> NDArray[np.uint32]:
        """Words of the image."""
        program = np.zeros((len(self.descriptors), DESCRIPTOR_WORDS), np.uint32)
        for words, descriptor in zip(program, self.descriptors, strict=True):
            found = descriptor.words()
            words[:len(found)] = found
        pairs = np.ascontiguousarray(self.weights).view("<u4").astype(np.uint32).T
        sections = [(Target.WEIGHTS, unit, words) for unit, words in enumerate(pairs)]
        sections += [(Target.BIASES, unit, words)
                     for unit, words in enumerate(self.biases.view(np.uint32).T)]
        sections += [
            (Target.DESCRIPTORS, 0, program.ravel()),
            (Target.ENDS, 0, np.array([self.input_beats - 1, self.output_beats - 1,
                                       self.result_address // self.config.products,
                                       (self.result.elements - 1) % self.config.products + 1],
                                      np.uint32)),
            (Target.LAYERS, 0, np.array([len(program)], np.uint32)),
        ]
        return np.concatenate([[target << 28 | unit, 0, len(words), *words]
                               for target, unit, words in sections]).astype(np.uint32)


def compile_network(graph: FloatGraph, config: TensorCoreConfig) -> CompiledNetwork:
    """Compile a network.

    Parameters
    ----------
    graph : FloatGraph
        Network, as :func:`eieio.model.tensor_core.network.round_network` returns it.
    config : TensorCoreConfig
        Tensor core.

    Raises
    ------
    InputError
        If a memory is too small: the message names the option and what would do.
    """
    places = place(graph, config.products)
    depth = max(start + room(value, config.products) for value, start in places.items())
    weights, biases = _Tiles(config.columns * config.products), _Tiles(2 * config.columns)
    layers = []
    for operator in engine_operators(graph):
        if isinstance(operator, Reshape):
            continue
        descriptors = []
        for piece in _pieces(operator, places, config):
            tiles = _tiles(piece.weight, config)
            start = np.zeros(-(-len(piece.bias) // config.columns) * config.columns, np.float32)
            start[:len(piece.bias)] = piece.bias
            descriptors.append(replace(
                piece.descriptor, weights=weights.add(tiles),
                biases=biases.add(start.reshape(-1, config.columns).view(np.uint16))))
        layers.append(CompiledLayer(operator, tuple(descriptors), places[operator.output]))
    result = sent_value(graph)
    compiled = CompiledNetwork(graph, config, tuple(layers), weights.array(),
                               biases.array().view(np.float32), result, places[result], depth)
    for name, needed in (("activation_depth", depth), ("weight_depth", len(compiled.weights)),
                         ("bias_depth", len(compiled.biases)),
                         ("program_depth", len(compiled.descriptors))):
        if needed > getattr(config, name):
            raise InputError(f"Option {name} must be at least {needed} for network "
                             f"{graph.name!r}, not {getattr(config, name)}")
    return compiled


class _Tiles:
    """Tiles one behind the other; what is there already is not added again."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._known: dict[bytes, int] = {}
        self._parts: list[NDArray[np.uint16]] = []
        self._count = 0

    def add(self, tiles: NDArray[np.uint16]) -> int:
        """Add tiles of shape (tiles, width), and return where the first one is."""
        if not len(tiles):
            return 0
        key = tiles.tobytes()
        if key not in self._known:
            self._known[key] = self._count
            self._parts.append(tiles)
            self._count += len(tiles)
        return self._known[key]

    def array(self) -> NDArray[np.uint16]:
        """Return all tiles; one of zeros if there is none."""
        return np.concatenate(self._parts) if self._count else np.zeros((1, self._width), np.uint16)


def _tiles(weight: NDArray[np.uint16], config: TensorCoreConfig) -> NDArray[np.uint16]:
    """Cut weights of shape (channels, steps, products) into tiles, all of a step together."""
    channels, steps, products = weight.shape
    count = -(-channels // config.columns)
    filled = np.zeros((count * config.columns, steps, products), np.uint16)
    filled[:channels] = weight
    return np.ascontiguousarray(filled.reshape(count, config.columns, steps, products).transpose(
        2, 0, 1, 3)).reshape(steps * count, config.columns * products)


def _pieces(operator: Operator, places: dict[Value, int], config: TensorCoreConfig
            ) -> Iterator[_Piece]:
    """Cut an operator into descriptors."""
    source, columns = places[operator.input], config.columns
    form = config.factor_format
    low, high = (int(from_real(np.array(end), form))
                 for end in (operator.minimum, operator.maximum))
    common = {"minimum": low, "maximum_value": high}
    match operator:
        case FullyConnected():
            value = operator.input
            row = {**_sliding((1, 1, value.elements), Window((1, 1)), source), **common}
            yield from _dense(operator, row, operator.weight[:, np.newaxis], operator.bias, places,
                              config)
        case Conv2D():
            row = {**_sliding(operator.input.shape, operator.window, source), **common}
            weight = operator.weight.reshape(len(operator.weight), -1, row["run"])
            yield from _dense(operator, row, weight, operator.bias, places, config)
        case DepthwiseConv2D() | AveragePool() | Pad() | MaxPool():
            yield from _channelwise(operator, common, places, config)
        case Add() | Clamp():
            pixels = -(-operator.output.elements // columns)
            row = {**_sliding((1, pixels, columns), Window((1, 1)), source), **common}
            row["row_elements"] = operator.output.elements
            if isinstance(operator, Add):
                row |= {"rows": 2, "kernel_rows": 2, "tap_rows": 1,
                        "tap_row_step": places[operator.inputs[1]] - source}
            unit = np.broadcast_to(np.eye(columns)[:, np.newaxis],
                                   (columns, len(operator.inputs), columns))
            # What is beyond the last element in its word is nobody's.
            yield _piece(row, unit, np.zeros(columns, np.float32), places[operator.output], columns,
                         config)
        case _:
            raise InputError(f"{type(operator).__name__} {operator.name!r} must be an operator of "
                             "the tensor core")


def _sliding(shape: tuple[int, ...], window: Window, source: int) -> dict[str, Any]:
    """Fields of a window that takes all channels of an image."""
    height, width, channels = shape
    row = width * channels
    (down, across), (below, right) = window.stride, window.dilation
    (top, _), (left, _) = window.padding
    windows = window.output_size(height, width)
    whole = right == 1
    return {
        "maximum": 0, "source": source - top * row, "row_start": -top,
        "column_start": -left * channels, "rows": height, "row_elements": row,
        "tap_rows": below, "tap_row_step": below * row, "window_rows": down,
        "window_row_step": down * row, "window_step": across * channels,
        "row_windows": windows[1], "windows": windows[0] * windows[1],
        "kernel_rows": window.kernel[0], "segments": 1 if whole else window.kernel[1],
        "segment_step": 0 if whole else right * channels,
        "run": window.kernel[1] * channels if whole else channels,
    }


def _dense(operator: Operator, row: dict[str, Any], weight: NDArray[np.floating],
           bias: NDArray[np.floating], places: dict[Value, int], config: TensorCoreConfig
           ) -> Iterator[_Piece]:
    """Cut an operator whose channels take all inputs by as many channels as sums fit."""
    channels = len(weight)
    tiles = -(-channels // config.columns)
    parts = -(-tiles // config.accumulators)
    each = -(-tiles // parts) * config.columns
    for first in range(0, channels, each):
        some = slice(first, min(first + each, channels))
        yield _piece(row, weight[some], bias[some], places[operator.output] + first, channels,
                     config)


def _channelwise(operator: DepthwiseConv2D | AveragePool | Pad | MaxPool, common: dict[str, Any],
                 places: dict[Value, int], config: TensorCoreConfig) -> Iterator[_Piece]:
    """Cut an operator on single channels into blocks of them."""
    inputs, channels = operator.input.shape[2], operator.output.shape[2]
    source, destination = places[operator.input], places[operator.output]
    window = Window((1, 1)) if isinstance(operator, Pad) else operator.window
    base = {**_sliding(operator.input.shape, window, source), **common}
    if isinstance(operator, Pad):
        (top, _), (left, _), _ = operator.padding
        height, width, _ = operator.output.shape
        base |= {"source": source - top * base["row_elements"], "row_start": -top,
                 "column_start": -left * inputs, "row_windows": width, "windows": height * width}
    kernel = window.kernel
    base |= {"segments": kernel[1], "segment_step": window.dilation[1] * inputs}
    each = channels // inputs
    bias = np.zeros(channels, np.float32)
    if isinstance(operator, DepthwiseConv2D):
        weight, bias = operator.weight, operator.bias
    else:
        count = kernel[0] * kernel[1] if isinstance(operator, AveragePool) else 1
        weight = np.full((*kernel, channels), 1 / count)
    if (not isinstance(operator, DepthwiseConv2D) and operator.output.shape[1] == 1
            and channels % config.columns == 0 and base["column_start"] == 0
            and not any(window.padding[1])):
        # Blocks of channels are alike: they are windows beside one another.
        blocks = channels // config.columns
        base |= {"window_step": config.columns, "row_windows": blocks,
                 "windows": blocks * base["windows"]}
        channels = config.columns
    for first in range(0, channels, config.columns):
        block = np.arange(first, min(first + config.columns, channels))
        sources = np.arange(block[0] // each, block[-1] // each + 1)
        row = {**base, "run": len(sources), "column_start": base["column_start"] + int(sources[0])}
        if isinstance(operator, MaxPool):
            yield _maxima(row | {"maximum": 1}, destination + first, channels, len(block), config)
            continue
        own = block[:, np.newaxis] // each == sources
        matrix = weight.reshape(-1, channels)[:, block].T[:, :, np.newaxis] * own[:, np.newaxis]
        yield _piece(row, matrix, bias[block], destination + first, channels, config)


def _piece(row: dict[str, Any], weight: NDArray[np.floating], bias: NDArray[np.floating],
           destination: int, window_results: int, config: TensorCoreConfig) -> _Piece:
    """Finish a descriptor of sums; ``weight`` has shape (channels, rows of terms, length)."""
    channels = len(weight)
    tiles = -(-channels // config.columns)
    pixel_tiles = -(-row["windows"] // config.rows)
    groups = -(-pixel_tiles // (config.accumulators // tiles))
    missing = ((0, 0), (0, 0), (0, -weight.shape[2] % config.products))
    bits = from_real(np.pad(weight, missing), config.factor_format)
    return _Piece(
        Descriptor(**row, destination=destination, window_results=window_results,
                   last_lanes=channels - (tiles - 1) * config.columns, column_tiles=tiles,
                   group_windows=-(-pixel_tiles // groups) * config.rows,
                   tile_results=config.rows * window_results),
        bits.reshape(channels, -1, config.products), np.asarray(bias, np.float32))


def _maxima(row: dict[str, Any], destination: int, window_results: int, lanes: int,
            config: TensorCoreConfig) -> _Piece:
    """Finish a descriptor of maxima, which has no tiles."""
    return _Piece(
        Descriptor(**row, destination=destination, window_results=window_results, last_lanes=lanes,
                   group_windows=config.rows, tile_results=config.rows * window_results),
        np.zeros((0, 1, config.products), np.uint16), np.zeros(0, np.float32))


