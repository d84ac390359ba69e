"""Random graphs in integers, for tests that compare the systolic engine's RTL with its models.

They are not quantized from real networks: every operator draws its own shape, window, weights,
biases, factors, zero points and range, so that all of an engine's numbers are used, and not only
likely ones.
"""

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.quantized_graph import (
    BIAS_SHIFT_MAXIMUM,
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Operator,
    Pad,
    QuantizedGraph,
    Reshape,
    Softmax,
    Stack,
    Tensor,
    Window,
)
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.mapping import compile_graph
from eieio.model.systolic.timing import time_graph

__all__ = ["random_graph", "random_inputs", "random_window"]

_Weighted = TypeVar("_Weighted", Conv2D, DepthwiseConv2D, FullyConnected)

_ACCUMULATOR_MAXIMUM = (1 << 31) - 1
#: Inputs to draw until a graph fits, kinds of operators behind one, and operators of a kind.
_INPUTS, _ATTEMPTS, _TRIES = 10, 40, 8
#: Descriptors that branches side by side and what reads them take, at most.
_JOINED = 5
#: Kinds of operators, and how often they are drawn.
_FREQUENCIES = {Conv2D: 10, DepthwiseConv2D: 6, FullyConnected: 1, MaxPool: 4, AveragePool: 4,
                Add: 6, Pad: 3, Reshape: 1}


def random_graph(config: SystolicConfig, rng: np.random.Generator, *, operators: int = 6,
                 batch: int = 1, max_cycles: int = 6000,
                 winograd: bool | None = None, joins: bool = False) -> CompiledGraph:
    """Make a graph that fits in an engine, and compile it.

    Parameters
    ----------
    config : SystolicConfig
        Engine that it is for.
    rng : :class:`numpy.random.Generator`
        Source of everything.
    operators : :class:`int`
        Operators to draw; a few more or less may result.
    batch : :class:`int`
        Samples of an inference. More than 1 makes a chain of fully connected layers.
    max_cycles : :class:`int`
        Cycles that an inference may take.
    winograd : :class:`bool`, optional
        As :func:`eieio.model.systolic.mapping.compile_graph` takes it.
    joins : :class:`bool`
        Whether there may be branches whose channels lie side by side, in place of the last
        operators.
    """
    draw = _Draw(config, rng)
    for _ in range(_INPUTS):
        compiled = _draw_graph(draw, config, operators, batch, max_cycles, winograd)
        if compiled is not None:
            break
    else:
        raise InputError(f"No graph fits in {max_cycles} cycles of this engine")
    if joins and batch == 1 and draw.joins.random() < 0.5:
        compiled = _join(_Draw(config, draw.joins), compiled, max_cycles, winograd) or compiled
    if rng.random() < 0.2:
        chosen = compiled.graph.operators
        with_host = _compile(config, compiled.graph.input,
                             [*chosen, draw.softmax(chosen[-1].output)], batch, winograd)
        compiled = with_host or compiled
    return compiled


def _draw_graph(draw: "_Draw", config: SystolicConfig, operators: int, batch: int, max_cycles: int,
                winograd: bool | None) -> CompiledGraph | None:
    """Draw an input, and operators behind it as far as they fit; ``None`` if none does."""
    tensors = [draw.input(batch)]
    chosen: list[Operator] = []
    compiled: CompiledGraph | None = None
    for _ in range(_ATTEMPTS):
        kind = draw.kind(batch)
        for _ in range(_TRIES):
            operator = draw.operator(kind, f"{len(chosen)}", tensors, batch)
            candidate = operator and _compile(config, tensors[0], [*chosen, operator], batch,
                                              winograd)
            if operator and candidate and _cycles(candidate) <= max_cycles:
                chosen.append(operator)
                tensors.append(operator.output)
                compiled = candidate
                break
        if len(chosen) >= operators:
            break
    return compiled


def _join(draw: "_Draw", compiled: CompiledGraph, max_cycles: int, winograd: bool | None
          ) -> CompiledGraph | None:
    """Draw branches of one tensor, side by side, and what reads them; ``None`` if none fit.

    They are behind the first operators of a graph, as many as leave room for their descriptors.
    """
    graph = compiled.graph
    before = list(graph.operators[:max(compiled.config.program_depth - 2 - _JOINED, 0)])
    tensors = [graph.input, *(operator.output for operator in before)]
    for _ in range(_TRIES):
        joined = draw.branches(tensors)
        candidate = _compile(compiled.config, graph.input, [*before, *joined], 1,
                             winograd) if joined else None
        if candidate and _cycles(candidate) <= max_cycles:
            return candidate
    return None


def random_inputs(compiled: CompiledGraph, inferences: int, rng: np.random.Generator
                  ) -> NDArray[np.int8]:
    """Make inputs of shape (inferences, batch, and the shape of the graph's input)."""
    shape = inferences, compiled.batch, *compiled.graph.input.shape
    x = _integers(shape, rng)
    # One inference in four has one number only.
    constant = rng.choice([-128, 127, 0, compiled.graph.input.zero_point], inferences)
    few = rng.random(inferences) < 0.25
    x[few] = constant[few].reshape(-1, *(1 for _ in shape[1:]))
    return x


def random_window(height: int, width: int, rng: np.random.Generator, *, dilated: bool = True,
                  padded: bool = True) -> Window | None:
    """Draw a window for an image, each side padded by another number; None if it does not fit."""
    def pair(*choices: int) -> tuple[int, int]:
        return int(rng.choice(choices)), int(rng.choice(choices))

    def pads(size: int, step: int) -> tuple[int, int]:
        most = min((size - 1) * step, 3) if padded else 0
        return int(rng.integers(most + 1)), int(rng.integers(most + 1))

    kernel, stride, dilation = pair(1, 1, 2, 3, 3, 4, 5), pair(1, 1, 1, 2, 3), pair(1, 1, 2, 3)
    if rng.random() < 0.35:  # what Winograd's transforms are for
        kernel, stride, dilation = (3, 3), (1, 1), (1, 1)
    if not dilated:
        dilation = (1, 1)
    window = Window(kernel, stride, dilation,
                    (pads(kernel[0], dilation[0]), pads(kernel[1], dilation[1])))
    try:
        window.output_size(height, width)
    except InputError:
        return None
    return window


def _compile(config: SystolicConfig, source: Tensor, operators: list[Operator], batch: int,
             winograd: bool | None) -> CompiledGraph | None:
    graph = QuantizedGraph("random", source, operators[-1].output, tuple(operators))
    try:
        return compile_graph(graph, config, batch=batch, winograd=winograd)
    except InputError:
        return None


def _cycles(compiled: CompiledGraph) -> int:
    return time_graph(compiled.config, [layer.work for layer in compiled.layers]).cycles


def _integers(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int8]:
    """Make 8-bit integers: any, extremes, or few that are not 0."""
    uniform = rng.integers(-128, 128, shape)
    extremes = rng.choice([-128, -127, -1, 0, 1, 127], shape)
    kind = rng.integers(4)
    share = (0.0, 0.3, 1.0, 0.5)[kind]
    values = np.where(rng.random(shape) < share, extremes, uniform)
    if kind == 3:
        values = np.where(rng.random(shape) < 0.7, 0, values)
    return values.astype(np.int8)


class _Draw:
    """Draws operators whose accumulators fit in an engine."""

    def __init__(self, config: SystolicConfig, rng: np.random.Generator) -> None:
        self.config = config
        self.rng = rng
        # By itself, so that all else is drawn as it was before there were two modes.
        self.modes = rng.spawn(1)[0]
        self.joins = rng.spawn(1)[0]
        self.refinements = rng.spawn(1)[0]

    def input(self, batch: int) -> Tensor:
        if batch > 1 or self.rng.random() < 0.1:
            return self._tensor("input", (self._channels(),))
        height, width = (int(size) for size in self.rng.integers(1, 14, 2))
        return self._tensor("input", (height, width, self._channels()))

    def kind(self, batch: int) -> type[Operator]:
        kinds = ([FullyConnected, FullyConnected, Reshape] if batch > 1 else
                 [kind for kind, frequency in _FREQUENCIES.items() for _ in range(frequency)])
        return kinds[self.rng.integers(len(kinds))]

    def operator(self, kind: type[Operator], name: str, tensors: list[Tensor], batch: int
                 ) -> Operator | None:
        """Draw an operator on one of the tensors, most often the last; None if it cannot be."""
        rng = self.rng
        back = 1 if rng.random() < 0.75 else int(rng.integers(1, len(tensors) + 1))
        source = tensors[-back]
        if len(source.shape) != 3 and rng.random() < 0.7:
            source = next((tensor for tensor in tensors if len(tensor.shape) == 3), source)
        if kind is FullyConnected:
            return self._fully_connected(name, source, batch)
        if kind is Reshape:
            return self._reshape(name, source, batch)
        if kind is Add:
            alike = [tensor for tensor in tensors if tensor.shape == source.shape]
            return self._add(name, source, alike[rng.integers(len(alike))])
        if len(source.shape) != 3:
            return None
        if kind is Pad:
            return self._pad(name, source)
        window = random_window(*source.shape[:2], rng, dilated=kind in {Conv2D, DepthwiseConv2D},
                               padded=kind is not AveragePool)
        if window is None:
            return None
        if kind is Conv2D:
            return self._conv(name, source, window)
        if kind is DepthwiseConv2D:
            return self._depthwise(name, source, window)
        return self._pool(MaxPool if kind is MaxPool else AveragePool, name, source, window)

    def branches(self, tensors: list[Tensor]) -> list[Operator]:
        """Draw branches, whose channels lie side by side, and two operators that read them."""
        rng = self.rng
        images = [tensor for tensor in tensors if len(tensor.shape) == 3]
        if not images:
            return []
        source = images[rng.integers(len(images))]
        found: list[Operator] = []
        for number in range(int(rng.integers(2, 4))):
            side = int(rng.choice([1, 1, 3]))
            pads = side // 2, side // 2
            window = Window((side, side), padding=(pads, pads))
            branch = (self._pool(MaxPool, f"join_{number}", source, window)
                      if rng.random() < 0.2 and not number
                      else self._conv(f"join_{number}", source, window))
            if branch.output.shape[:2] != source.shape[:2]:  # a pool of the whole image
                return []
            zero_point = found[0].output.zero_point if found else branch.output.zero_point
            found.append(replace(branch, output=replace(branch.output, zero_point=zero_point)))
        channels = sum(branch.output.shape[2] for branch in found)
        whole = Tensor("joined", (*source.shape[:2], channels), 1.0, found[0].output.zero_point)
        stack = Stack("join", tuple(branch.output for branch in found), whole, 2)
        height, width, _ = source.shape
        first, second = (random_window(height, width, rng) or Window((1, 1)) for _ in range(2))
        channelwise = self._depthwise("join_depthwise", whole, first)
        behind = channelwise.output if rng.random() < 0.5 else whole
        if behind.shape[:2] != source.shape[:2]:
            behind = whole
        return [*found, stack, channelwise, self._conv("join_behind", behind, second)]

    def softmax(self, source: Tensor) -> Softmax:
        output = Tensor("softmax_output", source.shape, Softmax.OUTPUT_SCALE,
                        Softmax.OUTPUT_ZERO_POINT)
        return Softmax("softmax", (source,), output, 1 << 30, -20)

    # Operators.

    def _conv(self, name: str, source: Tensor, window: Window) -> Conv2D:
        weight = self._weights((self._channels(), *window.kernel, source.shape[2]))
        weight = self._thin(weight, (1, 2, 3))
        shape = (*window.output_size(*source.shape[:2]), len(weight))
        output = self._tensor(f"{name}_output", shape)
        return self._refined(Conv2D(
            f"conv_{name}", (source,), output, weight,
            *self._parameters(weight, (1, 2, 3), source), *self._range(), window,
            single_rounding=self._mode()))

    def _depthwise(self, name: str, source: Tensor, window: Window) -> DepthwiseConv2D:
        multiple = int(self.rng.choice([1, 1, 2, 3]))
        weight = self._weights((*window.kernel, source.shape[2] * multiple))
        if self.rng.random() < 0.15:
            weight[:] = weight[:1, :1]
        shape = (*window.output_size(*source.shape[:2]), weight.shape[2])
        output = self._tensor(f"{name}_output", shape)
        return self._refined(DepthwiseConv2D(
            f"depthwise_{name}", (source,), output, weight,
            *self._parameters(weight, (0, 1), source), *self._range(), window,
            single_rounding=self._mode()))

    def _fully_connected(self, name: str, source: Tensor, batch: int) -> FullyConnected:
        weight = self._thin(self._weights((self._channels(), source.elements)), (1,))
        channels = len(weight)
        shapes = [(channels,), (channels,), (1, channels), (1, 1, channels)]
        if channels % 2 == 0 and batch == 1:
            shapes.append((2, 1, channels // 2))
        output = self._tensor(f"{name}_output", shapes[self.rng.integers(len(shapes))])
        return self._refined(FullyConnected(
            f"fully_connected_{name}", (source,), output, weight,
            *self._parameters(weight, (1,), source), *self._range(),
            single_rounding=self._mode()))

    def _pool(self, kind: type[MaxPool] | type[AveragePool], name: str, source: Tensor,
              window: Window) -> MaxPool | AveragePool:
        if self.rng.random() < 0.15:  # of the whole image
            window = Window((source.shape[0], source.shape[1]))
        shape = (*window.output_size(*source.shape[:2]), source.shape[2])
        output = Tensor(f"{name}_output", shape, source.scale, source.zero_point)
        return kind(f"{kind.__name__.lower()}_{name}", (source,), output, window, *self._range())

    def _pad(self, name: str, source: Tensor) -> Pad:
        (top, bottom), (left, right) = self.rng.integers(0, 4, (2, 2)).tolist()
        height, width, channels = source.shape
        output = Tensor(f"{name}_output", (height + top + bottom, width + left + right, channels),
                        source.scale, source.zero_point)
        return Pad(f"pad_{name}", (source,), output, ((top, bottom), (left, right), (0, 0)))

    def _reshape(self, name: str, source: Tensor, batch: int) -> Reshape:
        shapes = [(source.elements,), (1, source.elements), (1, 1, source.elements)]
        if len(source.shape) == 3:
            height, width, channels = source.shape
            shapes += [source.shape, (height * width, channels)]
        elif not batch > 1 and source.elements % 4 == 0:
            shapes += [(2, 2, source.elements // 4)]
        shape = shapes[self.rng.integers(len(shapes))]
        output = Tensor(f"{name}_output", shape, source.scale, source.zero_point)
        return Reshape(f"reshape_{name}", (source,), output)

    def _add(self, name: str, first: Tensor, second: Tensor) -> Add:
        rng = self.rng
        multipliers = self._multiplier(), self._multiplier(), self._multiplier()
        shifts = [int(rng.choice([0, 0, 1, 2, 5])) for _ in range(2)]
        # Sums of operands are about 2 ** (27 - shift).
        shifts.append(int(np.clip(rng.integers(15, 23) - min(shifts), 0, 31)))
        if rng.random() < 0.15:
            shifts[rng.integers(3)] = int(rng.choice([0, 27, 31]))
        output = self._tensor(f"{name}_output", first.shape)
        return Add(f"add_{name}", (first, second), output, multipliers,
                   (shifts[0], shifts[1], shifts[2]), *self._range(),
                   single_rounding=self._mode())

    # Numbers.

    def _mode(self) -> bool:
        return bool(self.modes.integers(2))

    def _refined(self, operator: _Weighted) -> _Weighted:
        """Give some operators finer biases, as far as accumulators have room, or let them wrap."""
        rng = self.refinements
        shift, bias = operator.shift.astype(np.int64), operator.bias.astype(np.int64)
        room = 31 - (int(operator.channel_bounds.max()) + 1).bit_length()
        finer = int(rng.integers(1, min(room, BIAS_SHIFT_MAXIMUM) + 1)) if room > 0 else 0
        if finer and rng.random() < 0.4:
            bias = (bias << finer) + rng.integers(0, 1 << finer, len(bias))
            shift = np.minimum(shift + finer, 31)
        else:
            finer = 0
        wraps = bool(rng.random() < 0.25)
        if wraps:
            shift = np.where(shift > 0, np.maximum(shift - rng.integers(0, 7, len(shift)), 0),
                             shift)
        return replace(operator, bias=bias.astype(np.int32), shift=shift.astype(np.int32),
                       bias_shift=finer, wraps=wraps,
                       maximum=operator.output.maximum if wraps else operator.maximum)

    def _channels(self) -> int:
        """Draw a number of channels: often a multiple of the array's sides, one less or more."""
        rng, config = self.rng, self.config
        side = int(rng.choice([config.rows, config.columns, config.lanes]))
        if rng.random() < 0.5:
            return max(1, int(rng.integers(1, 4)) * side + int(rng.integers(-1, 2)))
        return int(rng.integers(1, 2 * max(config.rows, config.columns) + 2))

    def _zero_point(self) -> int:
        rng = self.rng
        return int(rng.choice([-128, 127, 0]) if rng.random() < 0.6 else rng.integers(-128, 128))

    def _tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return Tensor(name, shape, 1.0, self._zero_point())

    def _range(self) -> tuple[int, int]:
        rng = self.rng
        kind = rng.integers(8)
        if kind == 0:
            low, high = sorted(rng.integers(-128, 128, 2).tolist())
            return low, high
        if kind == 1:
            return int(rng.integers(-128, 64)), 127
        return -128, 127

    def _multiplier(self) -> int:
        rng = self.rng
        if rng.random() < 0.1:
            return int(rng.choice([0, 1, 1 << 15, 1 << 30, (1 << 31) - 1]))
        return int(rng.integers(1 << 30, 1 << 31))

    def _weights(self, shape: tuple[int, ...]) -> NDArray[np.int8]:
        """Draw weights, for an engine with codes no more values than there are codes."""
        weight, codes = _integers(shape, self.rng), 1 << self.config.code_width
        if 1 < codes < 256:
            values = np.append(_integers((codes - 1,), self.rng), 0).astype(np.int8)
            weight = values[weight & (codes - 1)]
        return weight

    def _thin(self, weight: NDArray[np.int8], axes: tuple[int, ...]) -> NDArray[np.int8]:
        """Make weights smaller until their sums leave room in an accumulator for biases."""
        limit = (1 << (self.config.accumulator_width - 1)) // (128 * 4)
        while np.abs(weight.astype(np.int64)).sum(axis=axes).max() > limit:
            weight = weight // 2
        return weight

    def _parameters(self, weight: NDArray[np.int8], axes: tuple[int, ...], source: Tensor
                    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Draw biases, multipliers and shifts, so that no accumulator overflows."""
        rng = self.rng
        wide = weight.astype(np.int64)
        sums = np.abs(wide).sum(axis=axes)
        largest = max(127 - source.zero_point, source.zero_point + 128)
        spread = np.sqrt((wide ** 2).sum(axis=axes)) * 80 + 1
        channels = len(sums)

        shift = np.floor(np.log2(spread / 64)).astype(np.int64) + rng.integers(-2, 3, channels)
        wild = rng.random(channels) < 0.1
        shift = np.clip(np.where(wild, rng.integers(-7, 32, channels), shift), -7, 31)
        if rng.random() < 0.2:
            shift = np.full(channels, shift[0])
        most = 30 - np.ceil(np.log2(np.maximum(sums, 1) * largest + 1)).astype(np.int64)
        shift = np.maximum(shift, -np.clip(most, 0, 7))

        left = np.maximum(-shift, 0)
        room = (_ACCUMULATOR_MAXIMUM >> left) - sums * largest
        room = np.minimum(room, (1 << (self.config.accumulator_width - 1)) - 1 - 256 * sums)
        bias = rng.normal(0, 1, channels) * spread * rng.choice([0.3, 1, 2])
        bias = np.where(rng.random(channels) < 0.05, rng.choice([-1, 1], channels) * room, bias)
        bias = np.clip(np.trunc(bias), -room, room)
        multiplier = [self._multiplier() for _ in range(channels)]
        return bias.astype(np.int32), np.array(multiplier, np.int32), shift.astype(np.int32)
