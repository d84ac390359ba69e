"""Depthwise unit: sums of windows of any shape, group by group, in the cycles of the model."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from amaranth.hdl import Signal
from numpy.typing import NDArray

from eieio.model.graph.quantized_graph import (
    AveragePool,
    DepthwiseConv2D,
    QuantizedGraph,
    Tensor,
    Window,
)
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.mapping import compile_graph
from eieio.model.systolic.program import Field
from eieio.model.systolic.timing import START, WRITE, depthwise_cycles
from eieio.model.systolic.work import DepthwiseWork
from eieio.rtl.systolic.depthwise import Depthwise
from eieio.rtl.systolic.depthwise_weights import DepthwiseWeights

CONFIG = SystolicConfig(rows=4, columns=4, lanes=2, depthwise_lanes=2, depthwise_width=8,
                        activation_depth=512, weight_depth=512, parameter_depth=64)
CONFIGS = {
    "plain": CONFIG,
    "narrow": replace(CONFIG, columns=8, depthwise_lanes=1, depthwise_multipliers="lut"),
    "one group": replace(CONFIG, lanes=4, depthwise_lanes=4, depthwise_kernel=2),
    "three groups": replace(CONFIG, rows=3, columns=3, lanes=1, depthwise_lanes=1),
}
ONE = ((1, 1), (1, 1))
#: Shapes of images, and windows over them, that the configuration "plain" takes.
CASES = {
    "same": ((5, 6, 6), Window((3, 3), padding=ONE)),
    "no padding": ((4, 5, 3), Window((3, 3))),
    "stride 2, odd": ((5, 7, 5), Window((3, 3), (2, 2), padding=ONE)),
    "stride 2, even": ((6, 4, 4), Window((3, 3), (2, 2), padding=((0, 1), (0, 1)))),
    "a pixel": ((1, 1, 9), Window((3, 3), padding=ONE)),
    "a channel": ((4, 4, 1), Window((3, 3), padding=ONE)),
    "a window": ((3, 3, 8), Window((3, 3))),
    "narrow": ((5, 2, 5), Window((3, 3), padding=ONE)),
    "more windows than pixels": ((4, 3, 2), Window((3, 3), padding=((2, 2), (2, 2)))),
    "high": ((6, 5, 4), Window((3, 2), (1, 2), padding=((2, 0), (0, 1)))),
    "low": ((6, 5, 4), Window((2, 3), (2, 1), padding=((0, 1), (1, 0)))),
    "a row": ((3, 12, 4), Window((1, 9), (1, 2), padding=((0, 0), (4, 4)))),
    "long rows": ((3, 50, 4), Window((1, 9), padding=((0, 0), (4, 4)))),
    "an element": ((4, 5, 6), Window((1, 1), (2, 3))),
    "a column": ((11, 1, 5), Window((5, 1), (2, 1), padding=((2, 1), (0, 0)))),
    "as wide as the lines": ((4, 8, 3), Window((3, 3), padding=ONE)),
}


def compiled_case(config: SystolicConfig, shape: tuple[int, int, int], window: Window,
                  rng: np.random.Generator) -> CompiledGraph:
    channels = shape[2]
    source = Tensor("input", shape, 1.0, int(rng.integers(-128, 128)))
    output = Tensor("output", (*window.output_size(*shape[:2]), channels), 1.0, 0)
    weight = rng.integers(-128, 128, (*window.kernel, channels)).astype(np.int8)
    zeros, ones = np.zeros(channels, np.int32), np.full(channels, 1 << 30, np.int32)
    layer = DepthwiseConv2D("layer", (source,), output, weight, zeros, ones, zeros, -128, 127,
                            window)
    # Also where the array is faster.
    with patch("eieio.model.systolic.mapping.depthwise_cycles", return_value=0):
        compiled = compile_graph(QuantizedGraph("case", source, output, (layer,)), config)
    assert compiled.layers[0].mode == "depthwise", compiled.notes
    return compiled


def pooled_case(config: SystolicConfig, shape: tuple[int, int, int]) -> CompiledGraph:
    """Mean of all pixels, more than fit in a window."""
    source = Tensor("input", shape, 1.0, 3)
    output = Tensor("output", (1, 1, shape[2]), 1.0, 3)
    pool = AveragePool("layer", (source,), output, Window(shape[:2]), -128, 127)
    with patch("eieio.model.systolic.mapping.depthwise_cycles", return_value=0):
        compiled = compile_graph(QuantizedGraph("case", source, output, (pool,)), config)
    assert compiled.layers[0].mode == "depthwise"
    return compiled


def expected_sums(compiled: CompiledGraph, x: NDArray[np.int8]) -> NDArray[np.int64]:
    """Compute the sums of all windows: int64 array of shape (rows, columns, channels)."""
    operator = compiled.layers[0].operator
    if isinstance(operator, AveragePool):
        return x.astype(np.int64).sum(axis=(0, 1))
    assert isinstance(operator, DepthwiseConv2D)
    window = operator.window
    padded = np.pad(x.astype(np.int64), (*window.padding, (0, 0)),
                    constant_values=operator.input.zero_point)
    height, width, channels = operator.output.shape
    sums = np.zeros((height, width, channels), np.int64)
    for row, column in np.ndindex(height, width):
        top, left = row * window.stride[0], column * window.stride[1]
        part = padded[top:top + window.kernel[0], left:left + window.kernel[1]]
        sums[row, column] = (part * operator.weight).sum(axis=(0, 1))
    return sums


class Bench:
    """The unit between a memory of activations and one of weights."""

    def __init__(self, config: SystolicConfig, latency: int = 3) -> None:
        self.config, self.latency = config, latency
        self.dut = Depthwise(config, latency)

    async def run(self, ctx: Any, compiled: CompiledGraph, x: NDArray[np.int8], *,
                  limit: int | None = None) -> tuple[NDArray[np.int64], int]:
        """Run a layer; return the sums in their places, and cycles to the last group's place.

        Words that nobody has written, and lanes without a channel, hold anything.
        """
        config, dut, layer = self.config, self.dut, compiled.layers[0]
        rng = np.random.default_rng(9)
        source, rows = compiled.input, config.rows
        words = rng.integers(-128, 128, (config.activation_depth, rows))
        pixels = np.zeros((source.pixels, source.words * rows), np.int64)
        pixels[:, :source.channels] = x.reshape(source.pixels, -1)
        words[source.base:source.base + source.size] = pixels.reshape(-1, rows)
        for field, value in layer.descriptor.items():
            if field < max(Field) + 1:
                ctx.set(dut.descriptor[field], value)
        await ctx.tick()
        ctx.set(dut.start, 1)
        groups: list[tuple[int, int, list[int]]] = []
        places: list[tuple[int, int]] = []
        word_addrs, row_addrs = [0, 0], [0] * self.latency
        cycle = end = 0
        while not end or cycle < end + 3:
            assert cycle < 5000, "The unit must come to an end"
            word_addrs.append(ctx.get(dut.read_addr))
            row_addrs.append(ctx.get(dut.row_addr))
            word = words[word_addrs[-3]].astype(np.int8).tobytes()
            ctx.set(dut.word, int.from_bytes(word, "little"))
            row = row_addrs[-1 - self.latency]
            for column in range(config.columns):
                ctx.set(dut.row[column],
                        int(compiled.weights[row, column]) if row < len(compiled.weights) else 77)
            if len(places) > 1 and places[-2][0] >= 0:
                sums = [ctx.get(dut.o_sums[lane]) for lane in range(config.lanes)]
                groups.append((*places[-2], sums))
            here = (-1, 0)
            if ctx.get(dut.o.valid):
                assert not end, "Nothing comes behind the last group"
                here = ctx.get(dut.o.addr), ctx.get(dut.o.group)
                block = (here[0] - layer.output.base) % layer.output.step
                assert ctx.get(dut.o.parameter_addr) == block * config.word_groups + here[1]
                if ctx.get(dut.o.last):
                    end = cycle
            places.append(here)
            await ctx.tick()
            ctx.set(dut.start, 0)
            cycle += 1
            if cycle == limit:
                return np.zeros(0, np.int64), 0
        return self._placed(compiled, groups), end

    def _placed(self, compiled: CompiledGraph, groups: list[tuple[int, int, list[int]]]
                ) -> NDArray[np.int64]:
        output, config = compiled.layers[0].output, self.config
        found: dict[int, int] = {}
        for addr, group, sums in groups:
            for lane, value in enumerate(sums):
                place = ((addr - output.base) * config.word_groups + group) * config.lanes + lane
                assert place not in found, "A group comes once"
                found[place] = value
        step = output.words * config.rows
        return np.array([[found[pixel * step + channel] for channel in range(output.channels)]
                         for pixel in range(output.pixels)])


def check(result: tuple[NDArray[np.int64], int], compiled: CompiledGraph, x: NDArray[np.int8]
          ) -> bool:
    """Whether all sums and the cycles are right."""
    sums, end = result
    work = compiled.layers[0].work
    assert isinstance(work, DepthwiseWork)
    return (np.array_equal(sums, expected_sums(compiled, x).reshape(sums.shape))
            and START + end + WRITE - 1 == depthwise_cycles(compiled.config, work))


def test_windows(simulate: Callable[..., None]) -> None:
    """One layer behind the other, of all shapes."""
    rng = np.random.default_rng(0)
    bench = Bench(CONFIG)

    async def run(ctx: Any) -> None:
        for name, (shape, window) in CASES.items():
            compiled = compiled_case(CONFIG, shape, window, rng)
            x = rng.integers(-128, 128, shape).astype(np.int8)
            assert check(await bench.run(ctx, compiled, x), compiled, x), name

    simulate(bench.dut, run)


@pytest.mark.parametrize(("name", "latency"), [("narrow", 3), ("one group", 5),
                                               ("three groups", 4)])
def test_lanes_and_layers(simulate: Callable[..., None], name: str, latency: int) -> None:
    """Whatever lanes there are and however late weights come, also after a reset in the middle."""
    config = CONFIGS[name]
    rng = np.random.default_rng(latency)
    side = config.depthwise_kernel
    window = Window((side, side), padding=ONE)
    layers = [compiled_case(config, shape, window, rng) for shape in ((3, 4, 5), (1, 1, 11))]
    layers.append(compiled_case(config, (2, 3, 9), Window((1, 1)), rng))
    bench = Bench(config, latency)
    xs = [rng.integers(-128, 128, layer.graph.input.shape).astype(np.int8) for layer in layers]
    reset = Signal()

    async def run(ctx: Any) -> None:
        for cut, number in ((5, 0), (40, 1), (60, 2)):
            await bench.run(ctx, layers[0], xs[0], limit=cut)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            layer, x = layers[number], xs[number]
            assert check(await bench.run(ctx, layer, x), layer, x)

    simulate(bench.dut, run, reset=reset)


@pytest.mark.parametrize("name", ["plain", "three groups"])
def test_all_pixels(simulate: Callable[..., None], name: str) -> None:
    """Sums of more pixels than a window has, and a layer of windows behind."""
    config = CONFIGS[name]
    rng = np.random.default_rng(0)
    layers = [pooled_case(config, shape) for shape in ((5, 4, 7), (2, 9, 1), (1, 10, 9))]
    layers.append(compiled_case(config, *CASES["same"], rng))
    bench = Bench(config)

    async def run(ctx: Any) -> None:
        for layer in layers:
            x = rng.integers(-128, 128, layer.graph.input.shape).astype(np.int8)
            assert check(await bench.run(ctx, layer, x), layer, x)

    simulate(bench.dut, run)


def test_latency_of_weights() -> None:
    with pytest.raises(ValueError, match="Latency must be from 3 to 5, not 6"):
        DepthwiseWeights(CONFIG, 6)
