"""Compiler of the systolic engine: its images, run by an interpreter, and what is refused."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.fixed_point import requantize
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import (
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
    Tensor,
    Window,
)
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.mapping import compile_graph
from eieio.model.systolic.program import WRAPS, Field, Flag, Operation, Target
from eieio.model.systolic.work import ComputeWork, DepthwiseWork
from eieio.sim.systolic.random_graph import random_graph, random_inputs

DEPTHS: dict[str, Any] = {"activation_depth": 4096, "weight_depth": 8192, "parameter_depth": 300,
                          "program_depth": 12}
CONFIGS = {
    "square": SystolicConfig(rows=4, columns=4, accumulator_depth=7, **DEPTHS),
    "odd": SystolicConfig(rows=3, columns=5, lanes=1, **DEPTHS),
    "tall": SystolicConfig(rows=8, columns=4, lanes=2, accumulator_width=24, residual=False,
                           **DEPTHS),
    "wide": SystolicConfig(rows=4, columns=8, activation_width=9, weight_width=18, **DEPTHS),
    "one": SystolicConfig(rows=1, columns=1, **DEPTHS),
    "codes": SystolicConfig(rows=4, columns=10, lanes=2, code_width=4, **DEPTHS),
    "depthwise": SystolicConfig(rows=6, columns=9, lanes=3, depthwise_lanes=1, **DEPTHS),
    "linear": SystolicConfig(rows=4, columns=4, lanes=2, depthwise_lanes=2, depthwise_kernel=2,
                             depthwise_width=6, code_width=8, **DEPTHS),
    "f2": SystolicConfig.for_winograd(2, rows=6, columns=3, accumulator_depth=50, **DEPTHS),
    "f4": SystolicConfig.for_winograd(4, rows=4, columns=6, accumulator_depth=140, **DEPTHS),
}


def signed(value: int, width: int) -> int:
    return ((value + (1 << (width - 1))) & ((1 << width) - 1)) - (1 << (width - 1))


class Interpreter:
    """Runs an image by the documents of its layout, one descriptor after the other."""

    def __init__(self, image: NDArray[np.uint32], config: SystolicConfig) -> None:
        self.config = config
        memories: dict[tuple[int, int], dict[int, int]] = {}
        words = iter(image.tolist())
        for head in words:
            memory = memories.setdefault((head >> 28, head & 0xFFFF), {})
            assert not head & 0x0FFF0000
            addr, count = next(words), next(words)
            assert count
            for offset in range(count):
                assert addr + offset not in memory, "Nothing may be written twice"
                memory[addr + offset] = next(words)
        width = config.code_width or (
            8 if config.weight_width <= 8 else 16 if config.weight_width <= 16 else 32)
        units = -(-config.columns * width // 32)
        assert set(memories) <= {
            *((Target.WEIGHTS, unit) for unit in range(units)),
            *((target, lane) for target in (Target.BIASES, Target.MULTIPLIERS, Target.SHIFTS)
              for lane in range(config.lanes)), (Target.DESCRIPTORS, 0), (Target.LAYERS, 0),
            *([(Target.CODEBOOKS, 0)] if config.code_width else [])}
        self.weights = np.array([
            [signed(memories[Target.WEIGHTS, column * width // 32][row] >> column * width % 32,
                    width) for column in range(config.columns)]
            for row in range(len(memories.get((Target.WEIGHTS, 0), ())))], np.int64)
        self.codebooks = memories.get((Target.CODEBOOKS, 0))
        self.biases, self.multipliers, self.shifts = (
            np.array([[memories[target, lane][group] for lane in range(config.lanes)]
                      for group in range(len(memories.get((target, 0), ())))], np.int64)
            for target in (Target.BIASES, Target.MULTIPLIERS, Target.SHIFTS))
        layers, = memories[Target.LAYERS, 0].values()
        program = memories[Target.DESCRIPTORS, 0]
        self.program = [[program[32 * layer + field] for field in range(32)]
                        for layer in range(layers)]
        # As large as an address can be; what nobody writes must not matter.
        self.addresses = 1 << (config.activation_depth - 1).bit_length()
        self.buffer = np.random.default_rng(0).integers(
            -128, 128, (self.addresses, config.rows)).astype(np.int8)

    def infer(self, beats: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the beats of the output."""
        assert self.program[0][Field.OPERATION] == Operation.INPUT
        assert self.program[-1][Field.OPERATION] & 0xff == Operation.OUTPUT
        self._view(self.program[0], Field.DESTINATION)[:] = beats.reshape(
            self._view(self.program[0], Field.DESTINATION).shape)
        for descriptor in self.program[1:-1]:
            self.descriptor = descriptor
            if descriptor[Field.OPERATION] & 15 == Operation.ADD:
                self._add()
            elif descriptor[Field.OPERATION] & 15 == Operation.DEPTHWISE:
                self._depthwise()
            else:
                assert descriptor[Field.OPERATION] & 15 == Operation.COMPUTE
                self._compute(Flag(descriptor[Field.OPERATION] & 0xf0))
        self.descriptor = self.program[-1]
        words, groups = self.pair(Field.DESTINATION_STEP)
        base = self.descriptor[Field.SOURCE]
        sent = np.stack([self._read(base + word, word % words)
                         for word in range(self.descriptor[Field.WINDOWS] * words)])
        return sent.reshape(self.descriptor[Field.WINDOWS], -1, self.config.lanes)[
            :, :groups].reshape(-1, self.config.lanes)

    def _read(self, addr: int, word: int) -> NDArray[np.int8]:
        """Read a word of a pixel; the last one is 0 beyond the channels."""
        operation = self.descriptor[Field.OPERATION]
        read = self.buffer[addr % self.addresses].copy()
        if word == operation >> 8 & 0xffff:
            read[self.config.rows - (operation >> 24):] = 0
        return read

    def _view(self, descriptor: list[int], base: Field) -> NDArray[np.int8]:
        words, groups = self._halves(descriptor[Field.DESTINATION_STEP])
        pixels, start = descriptor[Field.WINDOWS], descriptor[base]
        return self.buffer[start:start + pixels * words].reshape(pixels, -1)[
            :, :groups * self.config.lanes]

    @staticmethod
    def _halves(word: int) -> tuple[int, int]:
        return word & 0xFFFF, word >> 16

    def pair(self, field: Field) -> tuple[int, int]:
        return self._halves(self.descriptor[field])

    def _write(self, base: int, group: int, values: NDArray[np.int64], parameter: int) -> None:
        """Rescale a group of sums of shape (lanes,), and write it behind an address."""
        _, zero_point, minimum, maximum = (
            signed(self.descriptor[Field.QUANTIZATION] >> 8 * byte, 8) for byte in range(4))
        parameter &= 0xffff
        shifts = self.shifts[parameter]
        total = [signed((int(number) << int(left)) + int(bias), 32) for number, left, bias
                 in zip(values, shifts >> 8, self.biases[parameter], strict=True)]
        words, place = divmod(group, self.config.word_groups)
        lanes = self.config.lanes
        self.buffer[base + words, place * lanes:(place + 1) * lanes] = requantize(
            np.array(total, np.int64), self.multipliers[parameter], shifts & 63, zero_point,
            minimum, maximum,
            single_rounding=bool(self.descriptor[Field.OPERATION] & Flag.SINGLE_ROUNDING),
            wraps=bool(self.descriptor[Field.PARAMETERS] >> WRAPS))

    def _add(self) -> None:
        operands = self.descriptor[Field.ADD_OPERANDS]
        for word in range(self.descriptor[Field.WINDOWS]):
            total = np.zeros(self.config.rows, np.int64)
            for number, (source, multiplier) in enumerate((
                    (Field.SOURCE, Field.FIRST_MULTIPLIER),
                    (Field.SECOND_SOURCE, Field.SECOND_MULTIPLIER))):
                words = (self.descriptor[Field.OPERATION] >> 8 & 0xffff) + 1
                x = self._read(self.descriptor[source] + word, word % words).astype(np.int64)
                x = (x - signed(operands >> 16 + 8 * number, 8)) << 20
                total += requantize(x, self.descriptor[multiplier], operands >> 8 * number & 255,
                                    0, -(1 << 31), (1 << 31) - 1)
            for group, values in enumerate(total.reshape(-1, self.config.lanes)):
                self._write(self.descriptor[Field.DESTINATION] + word, group, values,
                            self.descriptor[Field.PARAMETERS])

    def _depthwise(self) -> None:
        """Take pixel by pixel of each block, and compute the windows that they complete."""
        config = self.config
        taps = config.depthwise_kernel ** 2
        side = taps if self.descriptor[Field.OPERATION] & Flag.LINEAR else config.depthwise_kernel
        (blocks, _), (lead, down), (step, last_groups), (height, width) = map(self.pair, (
            Field.BLOCKS, Field.SLOTS, Field.DESTINATION_STEP, Field.SOURCE_SIZE))
        (row_stride, across), (first_row, first_column), windows = map(self.pair, (
            Field.STRIDE, Field.SOURCE_START, Field.DESTINATION_SIZE))
        line = self.descriptor[Field.WINDOWS]
        assert side == taps or 3 <= line <= config.depthwise_width
        rows = -(-taps * config.rows // config.columns)
        written = self.buffer.copy()
        for block in range(blocks):
            first = self.descriptor[Field.WEIGHTS] + block * rows
            weights = self._decode(self.weights[first:first + rows]).reshape(-1)[
                :taps * config.rows].reshape(taps, config.rows)
            place = lead
            total = np.zeros(config.rows, np.int64)
            last = math.prod(windows) - 1
            for number, (y, x) in enumerate(np.ndindex(*windows)):
                if number:
                    place += across if x else down
                sums = np.zeros(config.rows, np.int64)
                for tap in range(taps):
                    above, before = divmod(taps - 1 - tap, side)
                    row, column = (first_row + y * row_stride - above,
                                   first_column + x * across - before)
                    word = np.full(config.rows, signed(self.descriptor[Field.QUANTIZATION], 8))
                    if 0 <= row < height and 0 <= column < width:
                        assert (row, column) == divmod(place - above * line - before, line)
                        word = self._read(
                            self.descriptor[Field.SOURCE] + row * self.descriptor[Field.ROW_STEP]
                            + column * self.descriptor[Field.PIXEL_STEP] + block, block)
                    sums += word.astype(np.int64) * weights[tap]
                if self.descriptor[Field.OPERATION] & Flag.TOTAL:
                    total += sums
                    if number < last:
                        continue
                    sums = total
                self.buffer, written = written, self.buffer
                for group in range(last_groups if block == blocks - 1 else config.word_groups):
                    self._write(self.descriptor[Field.DESTINATION] + number * step + block, group,
                                sums[group * config.lanes:(group + 1) * config.lanes],
                                self.descriptor[Field.PARAMETERS] + block * config.word_groups
                                + group)
                self.buffer, written = written, self.buffer
        self.buffer = written

    def _vectors(self, first: int, blocks: list[int]) -> NDArray[np.int64]:
        """Read a window: shape (blocks, taps, rows)."""
        config = self.config
        row_windows = self.pair(Field.ROW_WINDOWS)[0]
        down, across = divmod(first, row_windows)
        start_row, start_column = (signed(half, 16) for half in self.pair(Field.SOURCE_START))
        height, width = self.pair(Field.SOURCE_SIZE)
        padding = signed(self.descriptor[Field.QUANTIZATION], 8)
        (row_stride, column_stride), (rows, columns), (row_dilation, column_dilation) = map(
            self.pair, (Field.STRIDE, Field.KERNEL, Field.DILATION))
        base = (self.descriptor[Field.SOURCE] + down * self.descriptor[Field.ROW_STEP]
                + across * self.descriptor[Field.PIXEL_STEP])
        vectors = np.full((len(blocks), rows * columns, config.rows), padding, np.int64)
        for tap in range(rows * columns):
            y, x = divmod(tap, columns)
            row = start_row + down * row_stride + y * row_dilation
            column = start_column + across * column_stride + x * column_dilation
            addr = (base + y * self.descriptor[Field.TAP_ROW_STEP]
                    + x * self.descriptor[Field.TAP_COLUMN_STEP])
            if 0 <= row < height and 0 <= column < width:
                vectors[:, tap] = [self._read(addr + block, block) for block in blocks]
        return vectors

    def _decode(self, stored: NDArray[np.int64]) -> NDArray[np.int64]:
        """Look the weights of this descriptor up, if they are codes."""
        width, codebooks = self.config.code_width, self.codebooks
        if codebooks is None:
            return stored
        book = self.program.index(self.descriptor) << 4 if width == 4 else 0
        codes = stored & ((1 << width) - 1)
        return np.array([signed(codebooks[book + code], 32) for code in codes.ravel().tolist()],
                        np.int64).reshape(stored.shape)

    def _compute(self, flags: Flag) -> None:
        config = self.config
        blocks, outputs = self.pair(Field.BLOCKS)
        slots, reuse = self.pair(Field.SLOTS)
        step, last_groups = self.pair(Field.DESTINATION_STEP)
        channelwise = Flag.CHANNELWISE in flags
        columns = config.channelwise_columns if channelwise else config.columns
        tiles = slots // reuse
        groups = columns // config.lanes
        written = self.buffer.copy()
        for output in range(outputs):
            rows = 1 if channelwise and config.depthwise_lanes else config.rows
            first = self.descriptor[Field.WEIGHTS] + output * tiles * rows
            weights = self._decode(self.weights[first:first + tiles * rows]).reshape(
                tiles, rows, -1).repeat(reuse, axis=0)
            if rows < config.rows:
                # What is there is the diagonal, of the channels' part of a word.
                place = np.arange(columns) + output * columns % config.rows
                weights = np.where(np.arange(config.rows)[:, None] == np.append(
                    place, np.full(config.columns - columns, -1)), weights, 0)
            used = [output * columns // config.rows] if channelwise else list(range(blocks))
            for window in range(self.descriptor[Field.WINDOWS]):
                vectors = self._vectors(window, used)
                targets = self._targets(window, step)
                if Flag.WINOGRAD in flags:
                    sums = self._winograd(vectors, weights)
                else:
                    products = np.einsum("sr,src->sc", vectors.reshape(slots, -1), weights)
                    sums = (products.max(axis=0) if Flag.MAXIMUM in flags
                            else products.sum(axis=0))[None]
                    assert np.abs(sums).max() < 1 << (config.accumulator_width - 1)
                # All windows are read before anything is written.
                self.buffer, written = written, self.buffer
                for target, values in zip(targets, sums, strict=True):
                    for group in range(last_groups if output == outputs - 1 else groups):
                        if target is not None:
                            self._write(
                                target, output * groups + group,
                                values[group * config.lanes:(group + 1) * config.lanes],
                                self.descriptor[Field.PARAMETERS] + output * groups + group)
                self.buffer, written = written, self.buffer
        self.buffer = written

    def _targets(self, window: int, step: int) -> list[int | None]:
        """Addresses of the pixels that a window makes, None beyond the edge."""
        base, m = self.descriptor[Field.DESTINATION], self.config.winograd
        if not self.descriptor[Field.OPERATION] & Flag.WINOGRAD:
            return [base + window * step]
        height, width = self.pair(Field.DESTINATION_SIZE)
        row_step, tile_row_step = self.pair(Field.DESTINATION_ROW_STEP)
        down, across = divmod(window, self.pair(Field.ROW_WINDOWS)[0])
        return [base + down * tile_row_step + y * row_step + (across * m + x) * step
                if down * m + y < height and across * m + x < width else None
                for y in range(m) for x in range(m)]

    def _winograd(self, vectors: NDArray[np.int64], weights: NDArray[np.int64]
                  ) -> NDArray[np.int64]:
        """Transform a tile, multiply it, and transform it back: shape (pixels, columns)."""
        config = self.config
        transform = config.transform
        n, width = transform.n, config.accumulator_width
        b_t, a_t = np.array(transform.b_t), np.array(transform.a_t)
        tiles = vectors.reshape(-1, n, n, config.rows)
        data = np.einsum("iy,byxr,jx->bijr", b_t, tiles, b_t)
        bound = 1 << (config.activation_width - 1)
        assert data.min() >= -bound
        assert data.max() < bound
        sums = np.einsum("bfr,bfrc->fc", data.reshape(-1, n * n, config.rows),
                         weights.reshape(-1, n * n, config.rows, config.columns))
        # Accumulators may wrap around: outputs are right all the same.
        sums = (sums + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))
        outputs = np.einsum("iy,yxc,jx->ijc", a_t, sums.reshape(n, n, -1), a_t)
        outputs = outputs % (1 << width) >> 2 * transform.shift
        left = width - 2 * transform.shift
        inverse = pow(transform.odd_divisor ** 2, -1, 1 << left)
        return np.array([[signed(int(value) * inverse, left) for value in row]
                         for row in outputs.reshape(-1, config.columns)], np.int64)


def interpret(compiled: CompiledGraph, x: NDArray[np.int8]) -> None:
    """Check that an image computes what the golden model does, of x of shape (batch, ...)."""
    interpreter = Interpreter(compiled.image(), compiled.config)
    assert len(interpreter.weights) <= compiled.config.weight_depth
    golden = run_graph(compiled.graph, x)[compiled.result.name]
    # Twice: nothing may be left of an inference before, nor of what an input has between channels.
    beats = compiled.pack(x)
    between = compiled.pack(np.ones_like(x)) == 0
    for padding in (0, 77):
        found = interpreter.infer(np.where(between, padding, beats).astype(np.int8))
        assert np.array_equal(compiled.unpack(found), golden)
        assert not found.reshape(compiled.output.pixels, -1)[:, compiled.output.channels:].any()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", CONFIGS)
def test_random_graphs(name: str, seed: int) -> None:
    config = CONFIGS[name]
    rng = np.random.default_rng(seed)
    compiled = random_graph(config, rng, batch=4 if seed == 3 else 1, operators=7, max_cycles=2000,
                            winograd=[None, True, False][seed % 3] if config.winograd else None,
                            joins=True)
    interpret(compiled, random_inputs(compiled, 1, rng)[0])


def tensor(name: str, *shape: int, zero_point: int = 0) -> Tensor:
    return Tensor(name, shape, 1.0, zero_point)


def conv(source: Tensor, channels: int, window: Window, *, name: str = "conv",
         weight: int | None = None, bias: int = 0, shift: int = 8, zero_point: int = 3) -> Conv2D:
    shape = (channels, *window.kernel, source.shape[2])
    values = (np.random.default_rng(0).integers(-128, 128, shape) if weight is None
              else np.full(shape, weight))
    output = tensor(f"{name}_output", *window.output_size(source.shape[0], source.shape[1]),
                    channels, zero_point=zero_point)
    return Conv2D(name, (source,), output, values.astype(np.int8),
                  np.full(channels, bias, np.int32), np.full(channels, 1 << 30, np.int32),
                  np.full(channels, shift, np.int32), -128, 127, window)


def dense(source: Tensor, channels: int, *, name: str = "dense") -> FullyConnected:
    rng = np.random.default_rng(0)
    weight = rng.integers(-128, 128, (channels, source.elements)).astype(np.int8)
    return FullyConnected(name, (source,), tensor(f"{name}_output", channels), weight,
                          np.zeros(channels, np.int32), np.full(channels, 1 << 30, np.int32),
                          np.full(channels, 8, np.int32), -128, 127)


def reshape(source: Tensor, *shape: int) -> Reshape:
    return Reshape("reshape", (source,), replace(source, name="reshaped", shape=shape))


def add(first: Tensor, second: Tensor) -> Add:
    return Add("add", (first, second), tensor("sum", *first.shape),
               (1 << 30, 1 << 30, 1 << 30), (1, 1, 20), -128, 127)


def graph(*operators: Operator) -> QuantizedGraph:
    return QuantizedGraph("network", operators[0].input, operators[-1].output, operators)


@pytest.mark.parametrize("name", ["f2", "f4"])
@pytest.mark.parametrize("extreme", [False, True])
def test_winograd(name: str, extreme: bool) -> None:
    """Winograd's transforms give what a direct convolution does, whatever side is padded."""
    config = CONFIGS[name]
    rng = np.random.default_rng(0)
    for top in range(3):
        for left in range(3):
            bottom, right = (2 * top + left) % 3, (top + 2 * left + 1) % 3
            height, width = rng.integers(3, 9, 2).tolist()
            source = tensor("input", height, width, 5, zero_point=[-128, 127, 0][top])
            window = Window((3, 3), padding=((top, bottom), (left, right)))
            layer = conv(source, 4, window, weight=[-128, 127, 1][left] if extreme else None,
                         shift=10)
            compiled = compile_graph(graph(layer), config, winograd=True)
            assert [entry.mode for entry in compiled.layers] == ["winograd"]
            x = rng.integers(-128, 128, (1, *source.shape)).astype(np.int8)
            if extreme:
                x[:] = [np.int8(-128), np.int8(127), np.where(
                    np.indices(source.shape).sum(axis=0) % 2, -128, 127).astype(np.int8)][bottom]
            interpret(compiled, x)


def test_winograd_where_it_is_exact() -> None:
    """With narrow accumulators, a convolution of many large weights is computed directly."""
    source = tensor("input", 6, 6, 8)
    window = Window((3, 3))
    config = replace(CONFIGS["f4"], accumulator_width=24)
    large, small = (conv(source, 4, window, weight=weight) for weight in (-128, 3))
    assert [compile_graph(graph(layer), config, winograd=True).layers[0].mode
            for layer in (large, small)] == ["direct", "winograd"]


def test_average_of_any_size() -> None:
    """Sums times a rounded reciprocal are means, a half away from zero, for every window."""
    for count in range(2, 2049):
        multiplier = (1 << 31) // count + 1
        levels = np.arange(-128, 129)
        # Around every tie and every whole mean, and the extremes.
        sums = np.unique(np.clip(np.concatenate([
            (levels * count + count * half // 2)[:, None] + np.arange(-2, 3)
            for half in (0, 1)]), -128 * count, 127 * count))
        means = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
        found = requantize(sums, multiplier, 0, 0, -128, 127)
        assert np.array_equal(found, means), count


def test_average_of_every_sum() -> None:
    for count in (*range(2, 40), 49, 63, 64, 100, 121, 196, 1023, 2047, 2048):
        sums = np.arange(-128 * count, 127 * count + 1)
        means = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
        assert np.array_equal(requantize(sums, (1 << 31) // count + 1, 0, 0, -128, 127), means)


IMAGE = tensor("input", 6, 5, 3)
VECTOR = tensor("input", 8)
SOFTMAX = Tensor("softmax_output", (8,), 1 / 256, -128)


def softmax(source: Tensor) -> Softmax:
    return Softmax("softmax", (source,), replace(SOFTMAX, shape=source.shape), 1 << 30, -20)


def pool(kind: type, source: Tensor, window: Window) -> MaxPool | AveragePool:
    height, width, channels = source.shape
    output = replace(source, name="pooled",
                     shape=(*window.output_size(height, width), channels))
    return kind("pool", (source,), output, window, -128, 127)


def _middle_softmax() -> QuantizedGraph:
    first = softmax(VECTOR)
    return graph(first, dense(first.output, 3))


def _strange_reshape() -> QuantizedGraph:
    layer = conv(IMAGE, 4, Window((1, 1)))
    other = reshape(layer.output, 5, 6, 4)
    return graph(layer, other, conv(other.output, 3, Window((1, 1)), name="second"))


def _strange_add() -> QuantizedGraph:
    layer = conv(tensor("input", 2, 2, 3), 3, Window((1, 1)))
    flat = reshape(layer.output, 12)
    other = dense(layer.output, 12)
    return graph(layer, flat, other, add(flat.output, other.output))


def _pad(source: Tensor, padding: tuple[tuple[int, int], ...]) -> Pad:
    shape = tuple(size + sum(pads) for size, pads in zip(source.shape, padding, strict=True))
    return Pad("pad", (source,), replace(source, name="padded", shape=shape), padding)


SQUARE = CONFIGS["square"]
#: A graph, the engine, the batch, and the error.
REFUSED: dict[str, tuple[Callable[[], QuantizedGraph], SystolicConfig, int, str]] = {
    "left shift": (
        lambda: graph(conv(IMAGE, 4, Window((1, 1)), weight=1, shift=-8)), SQUARE, 1,
        "Conv2D 'conv': a left shift must be at most 7, not 8"),
    "accumulator": (
        lambda: graph(conv(IMAGE, 4, Window((3, 3)), weight=-128)),
        replace(SQUARE, accumulator_width=19), 1,
        "Conv2D 'conv': option accumulator_width must be at least 20, not 19"),
    "bias": (
        lambda: graph(conv(IMAGE, 4, Window((1, 1)), weight=1, bias=1 << 20, shift=20)),
        replace(SQUARE, accumulator_width=21), 1,
        "Conv2D 'conv': option accumulator_width must be at least 22, not 21"),
    "average in a narrow accumulator": (
        lambda: graph(pool(AveragePool, tensor("input", 16, 16, 3), Window((16, 16)))),
        replace(SQUARE, accumulator_width=16), 1,
        "AveragePool 'pool': option accumulator_width must be at least 17, not 16"),
    "activations": (
        lambda: graph(conv(IMAGE, 4, Window((1, 1)))), replace(SQUARE, activation_depth=59), 1,
        ("Tensor 'conv_output' of shape (6, 5, 4) does not fit beside what else is needed: option "
        "activation_depth must be at least 60, not 59")),
    "weights": (
        lambda: graph(conv(IMAGE, 5, Window((3, 3)))), replace(SQUARE, weight_depth=71), 1,
        ("Network 'network' needs 72 rows of weights; option weight_depth must be at least that, "
        "not 71")),
    "parameters": (
        lambda: graph(conv(IMAGE, 9, Window((1, 1)))), replace(SQUARE, parameter_depth=2), 1,
        ("Network 'network' needs 3 groups of parameters; option parameter_depth must be at least "
        "that, not 2")),
    "program": (
        lambda: graph(dense(VECTOR, 3)), replace(SQUARE, program_depth=2), 1,
        ("Network 'network' needs 3 descriptors; option program_depth must be at least that, not "
        "2")),
    "padded average": (
        lambda: graph(pool(AveragePool, IMAGE, Window((2, 2), padding=((1, 0), (0, 0))))), SQUARE,
        1, ("AveragePool 'pool': windows must have one number of elements; average pooling without "
        "padding would fit")),
    "average of a large window": (
        lambda: graph(pool(AveragePool, tensor("input", 3, 683, 3), Window((3, 683)))), SQUARE, 1,
        "AveragePool 'pool': a window must have at most 2048 elements to average, not 2049"),
    "batch of convolutions": (
        lambda: graph(conv(IMAGE, 4, Window((1, 1)))), SQUARE, 2,
        "Conv2D 'conv': a batch must be of fully connected layers only; batch 1 would fit"),
    "no batch": (lambda: graph(dense(VECTOR, 3)), SQUARE, 0, "Batch must be at least 1, not 0"),
    "softmax in the middle": (
        _middle_softmax, SQUARE, 1,
        "Softmax 'softmax': softmax must be the last operator, which the host computes"),
    "softmax alone": (
        lambda: graph(softmax(VECTOR)), SQUARE, 1,
        "Network 'network' must have an operator that the engine computes"),
    "reshape alone": (
        lambda: graph(reshape(VECTOR, 2, 4)), SQUARE, 1,
        "Network 'network' must have an operator that the engine computes"),
    "add without residual": (
        lambda: graph(add(VECTOR, VECTOR)), CONFIGS["tall"], 1,
        "Add 'add': the engine must be configured with residual to add"),
    "add of tensors that lie differently": (
        _strange_add, SQUARE, 1,
        ("Add 'add': operand 'reshaped' must have been computed in the shape (1, 1, 12), not "
        "(2, 2, 3)")),
    "another image": (
        _strange_reshape, SQUARE, 1,
        ("Conv2D 'second': a reshaped input must keep the shape (6, 5, 4) in which it was "
        "computed, not (5, 6, 4)")),
    "addition alone": (
        lambda: graph(add(VECTOR, VECTOR)), replace(SQUARE, activation_depth=3), 1,
        ("Tensor 'sum' of shape (1, 1, 8) does not fit beside what else is needed: option "
        "activation_depth must be at least 4, not 3")),
    "padded channels": (
        lambda: graph(_pad(IMAGE, ((0, 0), (0, 0), (1, 0)))), SQUARE, 1,
        "Pad 'pad': only height and width can be padded, not ((0, 0), (0, 0), (1, 0))"),
    "too much padding": (
        lambda: graph(_pad(tensor("input", 1, 1, 3), ((0, 0), (40000, 0), (0, 0)))),
        replace(SQUARE, activation_depth=1 << 17), 1,
        "Pad 'pad': padding must be at most 32768, not 40000"),
    "too many axes": (
        lambda: graph(add(tensor("input", 1, 2, 3, 4), tensor("input", 1, 2, 3, 4))), SQUARE, 1,
        "Tensor 'input' must have at most 3 axes, not shape (1, 2, 3, 4)"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    make, config, batch, message = REFUSED[what]
    with pytest.raises(InputError) as info:
        compile_graph(make(), config, batch=batch)
    assert str(info.value) == message


@pytest.mark.parametrize(("what", "options"), [
    ("accumulator", {"accumulator_width": 20}), ("bias", {"accumulator_width": 22}),
    ("average in a narrow accumulator", {"accumulator_width": 17}),
    ("activations", {"activation_depth": 60}), ("addition alone", {"activation_depth": 4}),
    ("weights", {"weight_depth": 72}), ("parameters", {"parameter_depth": 3}),
    ("program", {"program_depth": 3})])
def test_what_is_just_enough(what: str, options: dict[str, int]) -> None:
    make, config, batch, _ = REFUSED[what]
    compiled = compile_graph(make(), replace(config, **options), batch=batch)
    shape = compiled.graph.input.shape
    interpret(compiled, np.random.default_rng(0).integers(-128, 128, (1, *shape)).astype(np.int8))


def test_values_and_codes() -> None:
    """15 weights and the 0 have codes of 4 bits, layer by layer; one more is refused by its layer.

    That the weights fill all tiles changes nothing: the 0 always has a code.
    """
    config = CONFIGS["codes"]

    def network(first: NDArray[np.int64], second: NDArray[np.int64]) -> QuantizedGraph:
        layers: list[Operator] = []
        source = tensor("input", 16)
        for name, values in (("first", first), ("second", second)):
            layer = dense(source, 20, name=name)
            weight = np.resize(values, layer.stored_weight.shape).astype(np.int8)
            layers.append(replace(layer, stored_weight=weight))
            source = layer.output
        return graph(*layers)

    low, high = np.arange(-128, -113), np.arange(113, 128)
    compiled = compile_graph(network(low, high), config)
    interpret(compiled, np.random.default_rng(0).integers(-128, 128, (1, 16)).astype(np.int8))
    assert compiled.coded is not None
    assert [sorted(book) for book in compiled.coded.codebooks] == [
        [], [*low, 0], [0, *high], []]
    plain = compile_graph(network(low, high), replace(config, code_width=0))
    assert np.array_equal(compiled.weights, plain.weights)
    for second, values in ((np.append(high, 1), 17), (np.arange(-128, 128), 256)):
        with pytest.raises(InputError) as info:
            compile_graph(network(low, second), config)
        assert str(info.value) == (
            "FullyConnected 'second': weights must have at most 16 values for code_width=4, the 0 "
            f"included, not {values}; code_width=8 would fit, or a network of `eieio compress "
            "--code-width 4`")
        wide = compile_graph(network(low, second), replace(config, code_width=8))
        assert wide.coded is not None
        book, = wide.coded.codebooks
        assert set(book) == {0, *low, *second}
        interpret(wide, np.random.default_rng(0).integers(-128, 128, (1, 16)).astype(np.int8))


def test_winograd_without_transforms() -> None:
    with pytest.raises(InputError) as info:
        compile_graph(graph(conv(IMAGE, 4, Window((3, 3)))), SQUARE, winograd=True)
    assert str(info.value) == "Engine must be configured for Winograd (option winograd)"


def test_chunks() -> None:
    """A chunk's windows are counted by 16 bits, and chunks are as even as they can be."""
    source = tensor("input", 257, 256, 1)
    for depth, chunks in ((1 << 16, [32896, 32896]), (50000, [32896, 32896]),
                          (30000, [21931, 21931, 21930])):
        config = SystolicConfig(rows=4, columns=4, accumulator_depth=depth,
                                activation_depth=1 << 18)
        work = compile_graph(graph(conv(source, 1, Window((1, 1)))), config).layers[0].work
        assert isinstance(work, ComputeWork)
        assert work.chunks == chunks


def test_macs() -> None:
    compiled = compile_graph(graph(dense(VECTOR, 3)), SQUARE, batch=5)
    assert compiled.macs == 5 * math.prod((8, 3))
    assert compiled.input_beats == 5 * 2
    assert compiled.output_beats == 5


def test_mean_of_all_pixels() -> None:
    """The unit adds up the windows of a row of all pixels."""
    config = SystolicConfig(rows=4, columns=4, lanes=2, depthwise_lanes=2, **DEPTHS)
    source = tensor("input", 6, 7, 6, zero_point=-5)
    pool = AveragePool("pool", (source,), tensor("output", 1, 1, 6, zero_point=-5), Window((6, 7)),
                       -128, 127)
    compiled = compile_graph(QuantizedGraph("mean", source, pool.output, (pool,)), config)
    layer, = compiled.layers
    assert isinstance(layer.work, DepthwiseWork)
    assert (layer.work.total, layer.work.width, layer.work.result_groups) == (True, 5, 3)
    rng = np.random.default_rng(0)
    interpret(compiled, rng.integers(-128, 128, (1, *source.shape)).astype(np.int8))


#: Windows over images of 6 x 7, and what the unit of the configuration below says of them.
SHAPES = {
    "taken": (Window((3, 3), padding=((1, 1), (1, 1))), None),
    "strided": (Window((2, 3), (2, 2), padding=((1, 0), (0, 2))), None),
    "linear": (Window((1, 7), padding=((0, 0), (6, 2))), None),
    "large": (Window((4, 3)), (
        "its windows of 4 x 3 are larger than 3 x 3 (option depthwise_kernel)")),
    "dilated": (Window((3, 3), dilation=(2, 1)), "its windows are dilated"),
    "long": (Window((3, 3), padding=((0, 0), (2, 2)), stride=(1, 1)),
             "its lines of 9 pixels are longer than 8 (option depthwise_width)"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [1, 4, 7])
def test_depthwise(shape: str, channels: int) -> None:
    """The unit takes what it can; weights then are as many as its taps, and no tiles."""
    window, reason = SHAPES[shape]
    config = SystolicConfig(rows=4, columns=4, lanes=2, depthwise_lanes=2, depthwise_width=8,
                            **DEPTHS)
    rng = np.random.default_rng(0)
    source = tensor("input", 6, 7, channels, zero_point=-5)
    output = tensor("output", *window.output_size(6, 7), channels, zero_point=3)
    weight = rng.integers(-128, 128, (*window.kernel, channels)).astype(np.int8)
    layer = DepthwiseConv2D(
        "layer", (source,), output, weight, np.full(channels, 7, np.int32),
        np.full(channels, 1 << 30, np.int32), np.full(channels, 7, np.int32), -128, 127, window)
    compiled = compile_graph(QuantizedGraph("depthwise", source, output, (layer,)), config)
    if reason:
        assert compiled.notes == (
            f"DepthwiseConv2D 'layer': the array computes it, not the depthwise unit, as {reason}",)
    else:
        assert compiled.notes == ()
        assert len(compiled.weights) == -(-channels // 4) * 9
    assert compiled.layers[0].mode == ("channelwise" if reason else "depthwise")
    interpret(compiled, rng.integers(-128, 128, (1, *source.shape)).astype(np.int8))
