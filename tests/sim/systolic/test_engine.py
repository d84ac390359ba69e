"""The whole systolic engine: golden model, cycle model and RTL hold one another."""

import functools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from long_cases import long
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import (
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Pad,
    QuantizedGraph,
    Stack,
    Tensor,
    Window,
)
from eieio.model.registers import ErrorCode
from eieio.model.systolic.compiled_graph import CompiledGraph
from eieio.model.systolic.config import ACTIVATION_BITS, SystolicConfig
from eieio.model.systolic.mapping import compile_graph
from eieio.model.systolic.prepared import SystolicCompiled
from eieio.model.systolic.program import Field, Flag, Operation, Target
from eieio.model.systolic.timing import time_graph
from eieio.model.systolic.work import ComputeWork
from eieio.scripts.speed import speed_of
from eieio.sim.case import case_environment, load_outputs, save_case
from eieio.sim.interval import measure_intervals
from eieio.sim.runner import Build, run
from eieio.sim.simulation import build_engine
from eieio.sim.systolic.bench_engine import pack_beats
from eieio.sim.systolic.random_graph import random_graph, random_inputs
from eieio.sim.systolic.simulation import compare

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus")

DEPTHS: dict[str, Any] = {"activation_depth": 1500, "weight_depth": 3000, "parameter_depth": 300,
                          "program_depth": 12}

#: A build each, so there are few; between them they have both values of every flag, more rows than
#: columns and fewer, words of one, two, three and four groups, an input memory and none, more
#: weights than a block RAM has words and fewer. Few accumulators make many chunks.
POOL = {
    "tall": SystolicConfig(rows=8, columns=4, lanes=2, accumulator_width=24, accumulator_depth=10,
                           residual=False, depthwise_lanes=1, depthwise_width=10,
                           input_depth=400, output_queue_depth=40, patch_rows=3, patch_columns=2,
                           patch_channels=1, line_depth=15, products_per_multiplier=2,
                           **{**DEPTHS, "weight_depth": 17_000}),
    "odd": SystolicConfig(rows=3, columns=5, lanes=1, product_stages=2, accumulator_depth=7,
                          requantize_multipliers="lut", **DEPTHS),
    "f4": SystolicConfig.for_winograd(4, rows=4, columns=4, lanes=2, product_stages=2,
                                      accumulator_depth=3 * 36 + 5, **DEPTHS),
    "f2": SystolicConfig.for_winograd(2, rows=6, columns=3, lanes=3, accumulator_depth=5 * 16,
                                      **DEPTHS),
    "wide": SystolicConfig(rows=4, columns=8, lanes=4, product_stages=3, accumulator_depth=64,
                           code_width=8, depthwise_lanes=4, depthwise_multipliers="lut",
                           requantize_multipliers="lut", products_per_multiplier=2, **DEPTHS),
    "one": SystolicConfig(rows=1, columns=1, accumulator_depth=5, **DEPTHS),
}
CODES = SystolicConfig(rows=2, columns=4, lanes=2, residual=False, accumulator_depth=20,
                       code_width=4, depthwise_lanes=2, depthwise_kernel=2, **DEPTHS)
ICARUS = SystolicConfig.for_winograd(2, rows=4, columns=3, lanes=1, accumulator_depth=40,
                                     depthwise_lanes=1, depthwise_width=8,
                                     **{**DEPTHS, "program_depth": 15})
#: Configurations that only long tests build.
LONG = ["f4", "wide", "one", "odd"]
SHORT = [name for name in POOL if name not in LONG]
SIMPLE = "tall"


@functools.cache
def built(config: SystolicConfig, simulator: str = "verilator") -> Build:
    return build_engine(config, simulator=simulator, quick=True)


def check(compiled: CompiledGraph, x: NDArray[np.int8], build: Build, *, stall: float = 0.0,
          traced: bool = False) -> None:
    result = compare(compiled, x, build, stall=stall, traced=traced)
    for number, layer in enumerate(compiled.layers):
        assert np.array_equal(result.rtl.tensors[number], result.golden[number]), layer.name
    expected = [layer.cycles for layer in result.timing.layers]
    assert result.rtl.layer_cycles.tolist() == [expected] * len(x)
    assert (result.mismatches, result.cycle_mismatches) == (0, 0)
    if not traced:
        return
    assert result.rtl.timings == [[*result.timing.layers]] * len(x)
    origins = result.profiles
    assert origins["RTL"] == origins["cycle model"]
    for profile in origins["RTL"][0]:
        assert min(profile.causes.values()) >= 0, profile


# Of seeds 0, 1 and 4 one is untraced, one stalls, and one has a batch.
@pytest.mark.parametrize("seed", [0, 1, 4, *long(2, 3, 5)])
@pytest.mark.parametrize("name", [*SHORT, *long(*LONG)])
def test_random_graphs(name: str, seed: int) -> None:
    config = POOL[name]
    rng = np.random.default_rng(seed)
    winograd = (None if seed % 2 else True) if config.winograd else None
    compiled = random_graph(config, rng, batch=3 if seed == 4 else 1, operators=8, max_cycles=4000,
                            winograd=winograd, joins=True)
    check(compiled, random_inputs(compiled, 2, rng), built(config), stall=(0, 0.3)[seed % 2],
          traced=seed < 2)


@pytest.mark.parametrize(("seed", "batch"), [(4, 3), *long((22, 1))])
def test_codes_in_icarus(seed: int, batch: int) -> None:
    """Codes of 4 bits take no cycle. In Icarus look-ups are undefined until they are loaded."""
    rng = np.random.default_rng(seed)
    compiled = random_graph(CODES, rng, batch=batch, operators=7, max_cycles=2500)
    kinds = {type(layer.operator) for layer in compiled.layers}
    assert kinds == ({FullyConnected} if batch > 1 else
                     {Conv2D, DepthwiseConv2D, MaxPool, AveragePool})
    assert compiled.coded is not None
    assert max(np.unique(book).size for book in compiled.coded.codebooks) > 14
    plain = compile_graph(compiled.graph, replace(CODES, code_width=0), batch=batch)
    assert time_graph(plain.config, [layer.work for layer in plain.layers]) == time_graph(
        CODES, [layer.work for layer in compiled.layers])
    simulator = "verilator" if shutil.which("iverilog") is None else "icarus"
    check(compiled, random_inputs(compiled, 1, rng), built(CODES, simulator), stall=0.3)


def convolution(name: str, source: Tensor, channels: int, window: Window,
                rng: np.random.Generator, *, weight: int | None = None) -> Conv2D:
    """Convolution whose weights are random, or all the same; its outputs rarely saturate."""
    shape = (channels, *window.kernel, source.shape[2])
    weights = (rng.integers(-128, 128, shape) if weight is None else
               np.full(shape, weight)).astype(np.int8)
    height, width, _ = source.shape
    output = Tensor(f"{name}_output", (*window.output_size(height, width), channels), 1.0,
                    int(rng.integers(-20, 20)))
    taps = weights[0].size
    shift = max(0, round(np.log2(taps ** (0.5 if weight is None else 1) * 80)))
    return Conv2D(name, (source,), output, weights,
                  rng.integers(-1000, 1000, channels).astype(np.int32),
                  rng.integers(1 << 30, 1 << 31, channels).astype(np.int32),
                  np.full(channels, shift, np.int32), -128, 127, window)


PADDINGS = [((top, bottom), (left, right)) for top, bottom, left, right in (
    (0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2), (0, 1, 2, 0), (1, 0, 0, 2), (2, 0, 1, 1),
    (0, 2, 2, 1))]


@pytest.mark.parametrize("name", ["f2", *long("f4")])
@pytest.mark.parametrize("weight", [None, -128])
def test_winograd(name: str, weight: int | None) -> None:
    """Convolutions by Winograd's transforms, of odd sizes, on random and on extreme inputs."""
    config = POOL[name]
    rng = np.random.default_rng(0)
    source = Tensor("input", (5, 7, 5), 1.0, 127 if weight else -3)
    operators = [convolution(f"conv_{number}", source, 4 + number % 2, Window((3, 3), padding=pads),
                             rng, weight=weight) for number, pads in enumerate(PADDINGS)]
    graph = QuantizedGraph("winograd", source, operators[-1].output, tuple(operators))
    compiled = compile_graph(graph, config, winograd=True)
    assert all(layer.mode == "winograd" for layer in compiled.layers)
    x = rng.integers(-128, 128, (4, 1, *source.shape)).astype(np.int8)
    x[1], x[2] = -128, 127
    x[3] = np.where(np.indices(source.shape).sum(axis=0) % 2, -128, 127)
    check(compiled, x, built(config), traced=True)


#: Size of an input, and windows over it that need padding on all sides, or some, or reach no edge;
#: whose patches are one or several in each direction, all stored or not.
PATCHED = [
    ((9, 7), Window((3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))),
    ((9, 13), Window((5, 4), (2, 1), (1, 1), ((2, 2), (1, 2)))),
    ((8, 6), Window((3, 2), (3, 2))),
    ((7, 8), Window((4, 5), (1, 3), (1, 1), ((0, 3), (4, 0)))),
    ((1, 9), Window((1, 4), (1, 2), (1, 1), ((0, 0), (1, 3)))),
    ((10, 1), Window((7, 1), (2, 1), (1, 1), ((3, 2), (0, 0)))),
]


@pytest.mark.parametrize("case", [0, 1, 4, *long(2, 3, 5)])
def test_patches(case: int) -> None:
    """A convolution of an input of one channel takes patches in place of pixels."""
    (height, width), window = PATCHED[case]
    config = POOL["tall"]
    rng = np.random.default_rng(case)
    source = Tensor("input", (height, width, 1), 1.0, 11)
    conv = convolution("conv", source, 6, window, rng)
    last = convolution("last", conv.output, 3, Window((1, 1)), rng)
    graph = QuantizedGraph("patches", source, last.output, (conv, last))
    compiled = compile_graph(graph, config)
    assert [layer.mode for layer in compiled.layers] == ["patches", "direct"]
    check(compiled, random_inputs(compiled, 3, rng), built(config), stall=(0, 0.4)[case % 2])


@pytest.mark.long
def test_short_last_chunks() -> None:
    """A last chunk of one to four windows follows longer ones without a gap."""
    config = POOL["odd"]
    rng = np.random.default_rng(0)
    source = Tensor("input", (1, 50, 24), 1.0, -3)
    two = Window((1, 2), padding=((0, 0), (0, 1)))
    cases = [(Window((1, 1)), 5, 1), (Window((1, 1)), 6, 1), (two, 5, 1), (two, 6, 1),
             (Window((1, 14)), 6, 2), (Window((1, 20)), 6, 3), (Window((1, 1), (1, 2)), 6, 4)]
    operators = [convolution(f"conv_{number}", source, channels, window, rng)
                 for number, (window, channels, _) in enumerate(cases)]
    graph = QuantizedGraph("short", source, operators[-1].output, tuple(operators))
    compiled = compile_graph(graph, config)
    works = [layer.work for layer in compiled.layers if isinstance(layer.work, ComputeWork)]
    assert [work.chunks[-2:] for work in works] == [[7, last] for *_, last in cases]
    check(compiled, random_inputs(compiled, 1, rng), built(config))


@pytest.mark.parametrize("name", ["odd", *long("wide")])
def test_stacks(name: str) -> None:
    """Images that are computed in their places in a stack, between others; one is used before."""
    config = POOL[name]
    rng = np.random.default_rng(0)
    source = Tensor("input", (3, 4, 5), 1.0, -3)
    images = [convolution(f"image_{number}", source, 6, Window((1, 1)), rng)
              for number in range(3)]
    between = convolution("between", images[1].output, 4, Window((2, 2)), rng)
    stacked = Tensor("stacked", (9, 4, 6), 0.5, 7)
    stack = Stack("stack", tuple(image.output for image in images), stacked)
    total = DepthwiseConv2D(
        "total", (stacked,), Tensor("sum", (3, 4, 6), 1.0, 0), np.array(
            [1, 3, 127], np.int8).reshape(3, 1, 1).repeat(6, axis=2),
        np.full(6, 40, np.int32), np.full(6, 1 << 30, np.int32), np.full(6, 6, np.int32), -128, 127,
        Window((3, 1), dilation=(3, 1)), single_rounding=True)
    last = convolution("last", total.output, 4, Window((2, 2)), rng)
    other = convolution("other", between.output, 4, Window((1, 1)), rng)
    operators = (images[0], images[1], between, images[2], stack, total, last, other)
    graph = QuantizedGraph("stacks", source, other.output, operators)
    check(compile_graph(graph, config), random_inputs(compile_graph(graph, config), 3, rng),
          built(config))
    values = run_graph(graph, random_inputs(compile_graph(graph, config), 3, rng)[:, 0])
    assert len(np.unique(values["sum"])) > 20
    twice = replace(stack, inputs=(images[0].output, images[0].output, images[1].output))
    with pytest.raises(InputError, match="Stack 'stack': must not take 'image_0_output', which is "
                       "the input or in another stack"):
        compile_graph(QuantizedGraph("stacks", source, total.output,
                                     (*images, twice, total)), config)


def depthwise_layer(name: str, source: Tensor, window: Window, rng: np.random.Generator
                    ) -> DepthwiseConv2D:
    """Depthwise convolution whose weights are random; its outputs rarely saturate."""
    channels = source.shape[2]
    output = Tensor(f"{name}_output", (*window.output_size(*source.shape[:2]), channels), 1.0,
                    int(rng.integers(-20, 20)))
    bias, multiplier, shift = (rng.integers(low, high, channels).astype(np.int32) for low, high in (
        (-999, 999), (1 << 30, 1 << 31), (8, 10)))
    return DepthwiseConv2D(
        name, (source,), output,
        rng.integers(-128, 128, (*window.kernel, channels)).astype(np.int8), bias, multiplier,
        shift, -120, 120, window)


ALL_SIDES = ((1, 1), (1, 1))
#: Convolutions that make images of 5 x 7, a pixel, a column and a row of 11; windows over each, and
#: which of them the depthwise unit does not take: too large, dilated, or of too wide an image.
DEPTHWISE = {
    "image": [(Window((1, 1)), [
        (Window((3, 3), padding=ALL_SIDES), True),
        (Window((3, 3), (2, 2), padding=ALL_SIDES), True),
        (Window((2, 3), (2, 1), padding=((0, 1), (2, 0))), True),
        (Window((4, 3)), False), (Window((2, 2), dilation=(1, 2)), False)])],
    "others": [(Window((5, 7)), [(Window((3, 3), padding=ALL_SIDES), True)]),
               (Window((1, 7)), [(Window((5, 1), padding=((4, 4), (0, 0))), True)]),
               (Window((3, 5), padding=((0, 0), (4, 4))), [
                   (Window((3, 3), (2, 2)), False),
                   (Window((1, 7), (1, 2), padding=((0, 0), (3, 3))), True)])],
}


@pytest.mark.parametrize("channels", [1, 11])
@pytest.mark.parametrize("shape", DEPTHWISE)
@pytest.mark.parametrize("name", [SIMPLE, *long("wide")])
def test_depthwise(name: str, shape: str, channels: int) -> None:
    """The depthwise unit and the array compute the same; the unit takes what it is faster at."""
    config = POOL[name]
    rng = np.random.default_rng(channels)
    source = Tensor("input", (5, 7, 3), 1.0, -3)
    operators: list[Any] = []
    taken: dict[str, bool] = {}
    for number, (window, layers) in enumerate(DEPTHWISE[shape]):
        image = convolution(f"image_{number}", source, channels, window, rng)
        operators.append(image)
        for layer, (above, fits) in enumerate(layers):
            operators.append(depthwise_layer(f"layer_{number}_{layer}", image.output, above, rng))
            taken[operators[-1].name] = fits
    graph = QuantizedGraph("depthwise", source, operators[-1].output, tuple(operators))
    compiled = compile_graph(graph, config)
    modes = {layer.name: layer.mode for layer in compiled.layers}
    if name == SIMPLE:
        assert len(compiled.notes) == list(taken.values()).count(False)
        assert all(modes[layer] == "channelwise" for layer, fits in taken.items() if not fits)
    assert "depthwise" in modes.values()
    check(compiled, random_inputs(compiled, 2, rng), built(config), stall=0.2)


def side_by_side(config: SystolicConfig, rng: np.random.Generator) -> QuantizedGraph:
    """Make a fire module whose branches fill no words, and what reads all of it, or one of it."""
    size = 4, 5
    source = Tensor("input", (*size, 5), 1.0, -3)
    squeeze = convolution("squeeze", source, 5, Window((1, 1)), rng)

    def branch(name: str, operand: Tensor, channels: int, window: Window) -> Conv2D:
        conv = convolution(name, operand, channels, window, rng)
        return replace(conv, output=replace(conv.output, zero_point=-9))

    whole = Window((3, 3), padding=((1, 1), (1, 1)))
    one = branch("expand_1", squeeze.output, config.rows + 1, Window((1, 1)))
    three = branch("expand_3", squeeze.output, 7, whole)
    inner = Stack("inner", (one.output, three.output), Tensor(
        "joined", (*size, config.rows + 8), 1.0, -9), 2)
    maxima = MaxPool("around", (one.output,), replace(one.output, name="around_output"), whole,
                     -120, 90)
    outer = Stack("outer", (maxima.output, inner.output), Tensor(
        "all", (*size, 2 * config.rows + 9), 1.0, -9), 2)
    # Rounded up, as Caffe does: a last window reaches past the edge.
    pool = MaxPool("pool", (outer.output,), Tensor(
        "pooled", (2, 2, 2 * config.rows + 9), 1.0, -9), Window(
            (3, 3), (2, 2), padding=((0, 1), (0, 0))), -128, 127)
    channels = pool.output.shape[2]
    bias, multiplier, shift = (rng.integers(low, high, channels).astype(np.int32)
                               for low, high in ((-900, 900), (1 << 30, 1 << 31), (7, 10)))
    depthwise = DepthwiseConv2D(
        "depthwise", (pool.output,), Tensor("weighted", pool.output.shape, 1.0, 4),
        rng.integers(-128, 128, (3, 3, channels)).astype(np.int8), bias, multiplier, shift, -128,
        127, whole)
    last = convolution("last", depthwise.output, 6, Window((2, 2)), rng)
    mean = AveragePool("mean", (inner.output,), Tensor(
        "means", (1, 1, config.rows + 8), 1.0, -9), Window(size), -128, 127)
    part = convolution("part", three.output, 3, Window((2, 3), (2, 2)), rng)
    dense = _connect(mean.output, 4, rng)
    return QuantizedGraph("fire", source, part.output, (
        squeeze, one, three, maxima, inner, outer, pool, depthwise, last, mean, dense, part))


@pytest.mark.parametrize("name", ["odd", "f2"])
def test_channels_side_by_side(name: str) -> None:
    config = POOL[name]
    rng = np.random.default_rng(0)
    compiled = compile_graph(side_by_side(config, rng), config, winograd=bool(config.winograd))
    placements = {layer.name: layer.output for layer in compiled.layers}
    pooled = placements["pool"]
    assert len(pooled.parts) > 1
    assert placements["expand_1"].step == placements["expand_3"].step > placements["expand_3"].words
    check(compiled, random_inputs(compiled, 1, rng), built(config))


@needs_icarus
def test_operators_in_icarus() -> None:
    """Icarus has four-state logic, so that nothing may depend on what reset leaves undefined.

    Channels do not fill words: what is undefined also is after it has been multiplied by 0. The
    graph has all operators, channels side by side with lanes between them, chunks that are partial,
    last blocks of outputs that are, windows that are padded differently on every side, left
    shifts, biases in parts of a step, and results that wrap.
    """
    compiled = compile_graph(_all_operators(), ICARUS, winograd=True)
    assert any(layer.output.channels % ICARUS.rows for layer in compiled.layers)
    assert {layer.mode for layer in compiled.layers} == {"direct", "channelwise", "depthwise",
                                                         "winograd", "add"}
    works = [layer.work for layer in compiled.layers if isinstance(layer.work, ComputeWork)]
    assert {work.winograd for work in works if work.chunks[0] > work.chunks[-1]} == {False, True}
    assert any(work.last_groups < work.groups for work in works)
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (1, 1, *compiled.graph.input.shape)).astype(np.int8)
    check(compiled, x, built(ICARUS, "icarus"), traced=True)


def _all_operators() -> QuantizedGraph:
    rng = np.random.default_rng(0)
    source = Tensor("input", (5, 5, 3), 1.0, -3)
    first = convolution("winograd", source, 7, Window((3, 3), padding=((1, 1), (0, 2))), rng)
    x = first.output
    second = convolution("strided", x, 5, Window((3, 2), (2, 1), (1, 2), ((2, 0), (1, 2))), rng)
    left = replace(convolution("left", source, 3, Window((1, 1)), rng, weight=1),
                   shift=np.array([-7, -1, 3], np.int32), bias=np.array([0, -1, 9], np.int32),
                   single_rounding=True)
    padded = replace(x, name="padded", shape=(7, 7, 7))
    pad = Pad("pad", (x,), padded, ((1, 1), (2, 0), (0, 0)))
    weight = rng.integers(-128, 128, (2, 2, 7)).astype(np.int8)
    bias, multiplier, shift = (rng.integers(low, high, 7).astype(np.int32) for low, high in (
        (-99, 99), (1 << 30, 1 << 31), (7, 10)))
    depthwise = DepthwiseConv2D(
        "depthwise", (padded,), Tensor("depthwise_output", (7, 6, 7), 1.0, 7), weight, bias,
        multiplier, shift, -100, 90, Window((2, 2), padding=((1, 0), (0, 0))),
        single_rounding=True)
    maxima = replace(depthwise.output, name="maxima", shape=(4, 3, 7))
    means = replace(depthwise.output, name="means", shape=(3, 3, 7))
    maximum = MaxPool("maximum", (depthwise.output,), maxima,
                      Window((2, 2), (2, 2), padding=((0, 1), (1, 0))), -90, 80)
    mean = AveragePool("mean", (depthwise.output,), means, Window((2, 2), (2, 2)), -128, 127)
    total = Add("add", (source, left.output), Tensor("sum", (5, 5, 3), 1.0, -9),
                (1 << 30, (1 << 31) - 1, 3 << 29), (0, 2, 19), -120, 127)
    five, two = (convolution(f"beside_{channels}", source, channels, Window((1, 1)), rng)
                 for channels in (5, 2))
    two = replace(two, output=replace(two.output, zero_point=five.output.zero_point))
    stack = Stack("stack", (five.output, two.output),
                  replace(five.output, name="joined", shape=(5, 5, 7)), 2)
    # Results are larger than 8 bits: of one operator they wrap.
    behind = replace(convolution("behind", stack.output, 2, Window((1, 1)), rng), bias_shift=5,
                     minimum=-9, maximum=127, wraps=True)
    dense = _connect(maxima, 7, rng)
    return QuantizedGraph("all", source, dense.output, (
        first, second, left, pad, depthwise, maximum, mean, total, five, two, stack, behind, dense))


# Below: sessions of several images and inputs, with what goes wrong between them.

Step = list[Any]


class Session:
    """Script of a session, and what the engine must return."""

    def __init__(self, config: SystolicConfig, simulator: str = "verilator") -> None:
        self.config = config
        self.simulator = simulator
        self.script: list[Step] = []
        self.streams: dict[str, list[int]] = {}
        self.expected: list[tuple[int, NDArray[np.int8]] | None] = []
        self.observed: list[int] = []
        self.networks = [compile_graph(graph, config) for graph in (
            _image_graph(1 if config.patch_lanes else 3, 6), _vector_graph(11))]
        rng = np.random.default_rng(0)
        self.inputs = [rng.integers(-128, 128, (3, *compiled.graph.input.shape)).astype(np.int8)
                       for compiled in self.networks]
        for number, (compiled, x) in enumerate(zip(self.networks, self.inputs, strict=True)):
            self.streams[f"image_{number}"] = compiled.image().tolist()
            for sample, values in enumerate(x):
                beats = pack_beats(compiled.pack(values[None]))
                self.streams[f"input_{number}_{sample}"] = [beat % (1 << self.beat_width)
                                                            for beat in beats]

    @property
    def beat_width(self) -> int:
        return self.config.lanes * ACTIVATION_BITS

    def image(self, number: int) -> Step:
        return ["image", f"image_{number}"]

    def input(self, number: int, sample: int) -> Step:
        return ["input", f"input_{number}_{sample}"]

    def output(self, number: int, sample: int) -> Step:
        """Receive an output, which must be the golden model's."""
        compiled = self.networks[number]
        golden = run_graph(compiled.graph, self.inputs[number][sample:sample + 1])
        self.expected.append((number, golden[compiled.result.name]))
        return ["output", compiled.output_beats]

    def infer(self, number: int, sample: int) -> list[Step]:
        return [self.input(number, sample), self.output(number, sample)]

    def count(self, number: int) -> list[Step]:
        """Expect the counters of the last inference to be the cycle model's."""
        compiled = self.networks[number]
        timing = time_graph(self.config, [layer.work for layer in compiled.layers])
        return [self.observe(name, getattr(timing, name))
                for name in ("cycles", "macs", "accumulator_stalls", "transform_stalls")]

    def any_output(self, number: int) -> Step:
        """Receive an output that may be anything."""
        self.expected.append(None)
        return ["output", self.networks[number].output_beats]

    def observe(self, port: str, value: int) -> Step:
        self.observed.append(value)
        return ["observe", port]

    def error(self, code: ErrorCode) -> list[Step]:
        """Expect an error, and clear it."""
        return [["wait", 4], self.observe("error", code), ["set", "clear_error", 1],
                ["set", "clear_error", 0], self.observe("error", ErrorCode.NONE)]

    def run(self, folder: Path, *, stall: float = 0.0) -> None:
        save_case(folder, {}, script=self.script, streams=self.streams, stall=stall,
                  beat_width=self.beat_width)
        # Nothing in it is of the sparse engine only.
        run(built(self.config, self.simulator), "bench_sparse_session",
            environment=case_environment(folder))
        outputs = load_outputs(folder)
        assert outputs["observed"].tolist() == self.observed
        assert len(outputs) == 1 + len(self.expected)
        for position, expected in enumerate(self.expected):
            if expected is None:
                continue
            number, golden = expected
            beats = b"".join(int(beat).to_bytes(self.config.lanes, "little")
                             for beat in outputs[f"output_{position}"])
            compiled = self.networks[number]
            values = np.frombuffer(beats, np.int8).reshape(-1, self.config.lanes)
            assert np.array_equal(compiled.unpack(values), golden), f"Output {position}"
            # What a pixel's last beat has beyond the channels is 0.
            pixels = values.reshape(compiled.output.pixels, -1)
            assert not pixels[:, compiled.output.channels:].any(), f"Output {position}"


def _image_graph(inputs: int, channels: int) -> QuantizedGraph:
    """Convolution and pooling, and a vector of odd length."""
    rng = np.random.default_rng(1)
    source = Tensor("input", (4, 5, inputs), 1.0, -7)
    conv = convolution("conv", source, channels, Window((3, 3), padding=((1, 1), (0, 1))), rng)
    pooled = Tensor("pooled", (2, 2, channels), 1.0, conv.output.zero_point)
    pool = MaxPool("pool", (conv.output,), pooled, Window((2, 2), (2, 2)), -128, 127)
    dense = _connect(pooled, 13, rng)
    return QuantizedGraph("image", source, dense.output, (conv, pool, dense))


def _vector_graph(inputs: int) -> QuantizedGraph:
    rng = np.random.default_rng(2)
    source = Tensor("input", (inputs,), 1.0, 5)
    dense = _connect(source, 3, rng)
    return QuantizedGraph("vector", source, dense.output, (dense,))


def _connect(source: Tensor, channels: int, rng: np.random.Generator) -> FullyConnected:
    weight = rng.integers(-128, 128, (channels, source.elements)).astype(np.int8)
    return FullyConnected("connect", (source,), Tensor("connected", (channels,), 1.0, 9), weight,
                          rng.integers(-1000, 1000, channels).astype(np.int32),
                          np.full(channels, 1 << 30, np.int32), np.full(channels, 8, np.int32),
                          -128, 127)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.syspath_prepend(Path(__file__).parents[1])  # where the simulation finds the bench
    return Session(POOL[SIMPLE])


def test_other_image(session: Session, tmp_path: Path) -> None:
    """An image replaces the one before, wherever both are large or small."""
    for number in (0, 1, 0, 0, 1):
        session.script += [session.image(number), *session.infer(number, 0),
                           *session.infer(number, 1)]
    session.run(tmp_path)


def test_everything_at_once(session: Session, tmp_path: Path) -> None:
    """Inputs wait for an image, images wait for inferences, and outputs wait for their receiver."""
    s = session
    s.script = [
        # Without an image no input is accepted.
        ["set", "i__valid", 1], ["wait", 60], s.observe("i__ready", 0), s.observe("loaded", 0),
        ["set", "i__valid", 0],
        ["together",
         # The first input waits for the first image.
         [s.input(0, 0), s.input(0, 1), s.input(0, 2)],
         [["wait", 40], s.image(0)],
         [s.output(0, 0), ["wait", 700], s.output(0, 1), s.output(0, 2)]],
        s.observe("loaded", 1),
        # While an inference runs and its output waits, an image waits, too, and so does an input
        # behind it.
        s.input(0, 1),
        ["together",
         [s.image(1)],
         [["wait", 30], s.input(1, 0)],
         [["wait", 1500], s.output(0, 1), s.output(1, 0)]],
        s.image(0),
        # An image that comes within an input waits for its end, and for its output.
        ["together", [s.input(0, 2)], [["wait", 60], s.image(1)], [s.output(0, 2)]],
        *s.infer(1, 1),
    ]
    s.run(tmp_path, stall=0.2)


def test_run(session: Session, tmp_path: Path) -> None:
    """Inputs wait until one may run; then the engine is busy until its output has been sent."""
    s = session
    s.script = [
        s.image(0), ["set", "run", 0], s.input(0, 0), ["wait", 200],
        s.observe("busy", 0), s.observe("o__valid", 0), s.observe("i__ready", 1),
        s.observe("waiting", 1), s.input(0, 2), ["wait", 60], s.observe("i__ready", 0),
        ["set", "run", 1], ["wait", 3], s.observe("busy", 1), s.observe("begun", 1),
        ["set", "run", 0], ["wait", 1500], s.observe("begun", 0), s.observe("busy", 1),
        s.observe("waiting", 1), s.observe("i__ready", 1), s.output(0, 0), ["wait", 3],
        s.observe("busy", 0), s.observe("waiting", 1), *s.count(0),
        ["set", "run", 1], s.output(0, 2), *s.infer(0, 1),
    ]
    s.run(tmp_path)


def test_outputs_wait(session: Session, tmp_path: Path) -> None:
    """Two outputs wait, each with its counters; no inference begins until the first is gone."""
    s = session
    s.script = [
        s.image(0), s.input(0, 0), ["wait", 1500], s.observe("begun", 0), s.observe("o__valid", 1),
        # The next one runs, and its output waits behind the first.
        s.input(0, 1), ["wait", 1500], s.observe("begun", 0),
        # The third does not begin, and there is room for a fourth input.
        s.input(0, 2), ["wait", 100], s.observe("begun", 0), s.observe("waiting", 1),
        s.input(0, 0), ["wait", 100], s.observe("i__ready", 0), *s.count(0),
        s.output(0, 0), ["wait", 5], s.observe("begun", 1), s.output(0, 1), s.output(0, 2),
        s.output(0, 0), *s.count(0), s.observe("busy", 0), s.observe("error", ErrorCode.NONE),
        s.image(1), *s.infer(1, 2),
    ]
    s.run(tmp_path)


@pytest.mark.parametrize("cycles", [3, 210, 700, *long(75, 330, 480)])
def test_reset(session: Session, tmp_path: Path, cycles: int) -> None:
    """Reset at any time of an image, an input, an inference or an output leaves nothing behind."""
    s = session
    s.script = [["cut_off", s.image(0), cycles]]
    for sample in (0, 1):
        s.script += [s.image(0), ["cut_off", s.input(0, 0), 40 + cycles // 20], s.image(0),
                     s.input(0, 2), ["cut_off", ["wait", 2000], cycles],
                     s.image(1), *s.infer(1, sample), *s.infer(1, 2), s.input(1, 0),
                     ["wait", 300], ["cut_off", ["output", 2], 1 + cycles % 3]]
    s.script += [s.image(0), *s.infer(0, 0)]
    s.run(tmp_path)


# An image, as words, and the error that it must give.
LAYERS = Target.LAYERS << 28
BIASES = Target.BIASES << 28
BAD_IMAGES = {
    "unknown target": ([6 << 28, 0, 1, 1, 2, 3], ErrorCode.IMAGE_TARGET),
    "last unknown target": ([15 << 28, 0, 1, 1], ErrorCode.IMAGE_TARGET),
    "ends with an unknown target": ([6 << 28], ErrorCode.IMAGE_TARGET),
    "unknown columns": ([1, 0, 1, 1], ErrorCode.IMAGE_TARGET),
    "unknown lane": ([BIASES | 2, 0, 1, 1], ErrorCode.IMAGE_TARGET),
    "descriptors of a lane": ([Target.DESCRIPTORS << 28 | 1, 0, 1, 1], ErrorCode.IMAGE_TARGET),
    "no elements": ([LAYERS, 0, 0, 1], ErrorCode.IMAGE_ADDRESS),
    "address behind the memory": ([LAYERS, 1, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "too many elements": ([LAYERS, 0, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "last weights": ([0, POOL[SIMPLE].weight_depth - 1, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "last biases": ([BIASES, 299, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "last multipliers": ([Target.MULTIPLIERS << 28, 300, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "last shifts": ([Target.SHIFTS << 28, 0, 301, 1], ErrorCode.IMAGE_ADDRESS),
    "last fields": ([Target.DESCRIPTORS << 28, 12 * 32 - 1, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "wrapping count": ([LAYERS, 0, 0xFFFFFFFF, 1], ErrorCode.IMAGE_ADDRESS),
    "wrapping address": ([BIASES, 0xFFFFFFFF, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
    "no layers": ([LAYERS, 0, 1, 0], ErrorCode.IMAGE_LAYERS),
    "too many layers": ([LAYERS, 0, 1, 13, 1, 1], ErrorCode.IMAGE_LAYERS),
    "target alone": ([LAYERS], ErrorCode.IMAGE_LENGTH),
    "no count": ([LAYERS, 0], ErrorCode.IMAGE_LENGTH),
    "no data": ([LAYERS, 0, 1], ErrorCode.IMAGE_LENGTH),
    "half of the data": ([BIASES, 0, 4, 1, 2], ErrorCode.IMAGE_LENGTH),
    "half of the second section": ([LAYERS, 0, 1, 1, BIASES, 0], ErrorCode.IMAGE_LENGTH),
}


def test_bad_images(session: Session, tmp_path: Path) -> None:
    """A bad image is reported, and the next good one works."""
    s = session
    s.script = [s.image(0), *s.infer(0, 0)]
    for number, (name, (words, code)) in enumerate(BAD_IMAGES.items()):
        s.streams[name] = words
        s.script += [["image", name], *s.error(code), s.observe("loaded", 0),
                     s.observe("i__ready", 0)]
        if number % 5 == 4:
            s.script += [s.image(number % 2), *s.infer(number % 2, 1)]
    s.script += [s.image(1), *s.infer(1, 0), s.observe("error", ErrorCode.NONE)]
    # The first error stays.
    s.script += [["image", "no data"], ["image", "unknown target"],
                 *s.error(ErrorCode.IMAGE_LENGTH), s.image(0), *s.infer(0, 2)]
    s.run(tmp_path)


@pytest.mark.parametrize("words", [1, 4, 100, -40, -3, -1])
def test_truncated_image(session: Session, tmp_path: Path, words: int) -> None:
    """An image that ends early is refused; what it leaves behind does not run."""
    s = session
    s.streams["cut"] = s.streams["image_1" if words == 100 else "image_0"][:words]
    s.streams["half"] = [*s.streams["image_1"], 15 << 28, 0, 1, 1]
    s.script = [s.image(1), *s.infer(1, 0), ["wait", 60], s.observe("i__ready", 1),
                ["image", "cut"], *s.error(ErrorCode.IMAGE_LENGTH), ["wait", 60],
                s.observe("i__ready", 0), s.observe("loaded", 0),
                s.image(0), *s.infer(0, 1),
                ["image", "half"], *s.error(ErrorCode.IMAGE_TARGET), ["wait", 60],
                s.observe("i__ready", 0), s.image(1), *s.infer(1, 2)]
    s.run(tmp_path)


def test_bad_inputs(session: Session, tmp_path: Path) -> None:
    """An input of the wrong length is reported and dropped; the next good one is right."""
    s = session
    good = s.streams["input_0_0"]
    s.script = [s.image(0)]
    for beats in (1, 2, len(good) - 1, len(good) + 1, len(good) + 2, 2 * len(good), 300):
        s.streams[f"beats_{beats}"] = (good * 30)[:beats]
        code = ErrorCode.INPUT_SHORT if beats < len(good) else ErrorCode.INPUT_LONG
        s.script += [["input", f"beats_{beats}"], ["wait", 100], s.observe("busy", 0),
                     *s.error(code), *s.infer(0, beats % 3)]
    # The first error stays.
    s.script += [["input", "beats_1"], ["input", "beats_300"], *s.error(ErrorCode.INPUT_SHORT),
                 s.image(1), *s.infer(1, 0), s.observe("error", ErrorCode.NONE)]
    # Setting wins over clearing: an error is there for a cycle at least.
    s.script += [["set", "clear_error", 1]]
    for beats in (1, 300):
        s.script += [["together", [["input", f"beats_{beats}"]], [["shows", "error", 500]]]]
        s.observed.append(1)
    s.script += [["set", "clear_error", 0], *s.infer(1, 1), s.observe("error", ErrorCode.NONE)]
    s.run(tmp_path)


def _pad(session: Session, number: int, sample: int) -> str:
    """Fill what the beats of an input have beyond its channels, and return the stream's name."""
    compiled, x = session.networks[number], session.inputs[number][sample]
    beats = compiled.pack(x[None])
    unused = compiled.pack(np.ones_like(x)[None]) == 0
    assert unused.any()
    filled = np.where(unused, np.arange(unused.size).reshape(unused.shape) % 99 + 1, beats)
    name = f"padded_{number}_{sample}"
    session.streams[name] = [beat % (1 << session.beat_width)
                             for beat in pack_beats(filled.astype(np.int8))]
    return name


def test_padding_of_inputs(session: Session, tmp_path: Path) -> None:
    """What an input has beyond its channels changes no inference, now or later."""
    s = session
    for number in (0, 1, 0):
        s.script += [s.image(number), ["input", _pad(s, number, 0)], s.output(number, 0),
                     *s.count(number), *s.infer(number, 1), *s.count(number)]
    s.script.append(s.observe("error", ErrorCode.NONE))
    s.run(tmp_path)


#: Fields of the first layer's descriptor, and what an image may have there in their place.
BAD_FIELDS = {
    "reads beyond the buffer": {Field.SOURCE: 1490, Field.TAP_ROW_STEP: 700},
    "reads what nobody wrote": {Field.OPERATION: Operation.COMPUTE | 200 << 8, Field.SOURCE: 900},
    "writes over everything": {Field.DESTINATION: 1400, Field.DESTINATION_STEP: 211 | 3 << 16},
    "more groups than channels": {Field.DESTINATION_STEP: 1 | 2 << 16},
    "maxima of each channel": {
        Field.OPERATION: Operation.COMPUTE | Flag.MAXIMUM | Flag.CHANNELWISE},
    "a window of another size": {Field.KERNEL: 1 | 9 << 16, Field.SOURCE_SIZE: 1 | 1 << 16},
}


def test_images_that_make_no_sense(session: Session, tmp_path: Path) -> None:
    """Whatever an image's program reads and writes, the next image is right."""
    s = session
    good = s.streams["image_0"]
    first = len(good) - 4 - 32 * (len(s.networks[0].layers) + 1)
    assert good[first] & 15 == Operation.COMPUTE
    for number, (name, fields) in enumerate(BAD_FIELDS.items()):
        bad = list(good)
        for field, value in fields.items():
            bad[first + field] = value
        s.streams[name] = bad
        s.script += [["image", name], s.input(0, 0), s.any_output(0), s.image(number % 2),
                     *s.infer(number % 2, 1), *s.count(number % 2)]
    s.script += [s.image(0), *s.infer(0, 0), *s.count(0), s.observe("error", ErrorCode.NONE)]
    s.run(tmp_path)


@needs_icarus
@pytest.mark.long
def test_session_in_icarus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong, the next good inference is right, without an undefined value."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    s = Session(ICARUS, "icarus")
    s.streams["short"] = s.streams["input_0_0"][:7]
    s.streams["long"] = s.streams["input_0_0"] * 2
    s.streams["half"] = [*s.streams["image_1"], 15 << 28, 0, 1, 1]
    s.script = [
        ["set", "i__valid", 1], ["wait", 60], s.observe("i__ready", 0), ["set", "i__valid", 0],
        s.image(0), *s.infer(0, 0), s.observe("loaded", 1),
        ["input", "short"], *s.error(ErrorCode.INPUT_SHORT), *s.infer(0, 1),
        ["input", "long"], *s.error(ErrorCode.INPUT_LONG), *s.infer(0, 2),
        ["image", "half"], *s.error(ErrorCode.IMAGE_TARGET), ["wait", 60],
        s.observe("loaded", 0), s.observe("i__ready", 0),
        s.image(1), *s.infer(1, 0), s.image(0), ["set", "run", 0], s.input(0, 1), ["wait", 100],
        s.observe("busy", 0), s.observe("i__ready", 0), ["set", "run", 1], ["wait", 400],
        s.observe("busy", 1), s.output(0, 1), ["wait", 3], s.observe("busy", 0),
        s.input(0, 0), ["cut_off", ["wait", 500], 300], s.image(0),
        ["cut_off", s.input(0, 1), 20], s.image(0), *s.infer(0, 2),
        # An image waits for the output.
        ["together", [s.input(0, 1)], [["wait", 90], s.image(1), s.input(1, 1)],
         [["wait", 2500], s.output(0, 1), s.output(1, 1)]],
        # An image waits for the end of an input, and for its output.
        s.image(0), ["together", [s.input(0, 2)], [["wait", 60], s.image(1)], [s.output(0, 2)]],
        *s.infer(1, 2),
    ]
    s.run(tmp_path, stall=0.2)


def _check_interval(compiled: CompiledGraph, rng: np.random.Generator, count: int) -> str:
    """Compare the interval of a long stream with the cycle model's; return what limits it."""
    x = random_inputs(compiled, count, rng)
    adapted = SystolicCompiled(compiled)
    cycles = adapted.cycles()
    assert cycles is not None
    expected = speed_of(adapted.host, cycles).interval
    # At first there is room for two inputs. Every other one may be a little later.
    found = measure_intervals(adapted.host, x.reshape(len(x), -1), built(compiled.config),
                              shell=False)
    steady = found[3:] if compiled.config.input_depth else found
    assert steady.mean() == expected.cycles, (found, expected)
    return expected.limit


@pytest.mark.parametrize(("name", "count"), [("odd", 3), ("tall", 8)])
@pytest.mark.parametrize("seed", [0, *long(1)])
def test_interval(name: str, count: int, seed: int) -> None:
    """From an input's first beat to the next one's, if no one waits."""
    rng = np.random.default_rng(seed)
    compiled = random_graph(POOL[name], rng, operators=2, max_cycles=800)
    _check_interval(compiled, rng, count)


@pytest.mark.parametrize("outputs", [1, *long(3, 9, 11, 13)])
def test_interval_of_short_outputs(outputs: int) -> None:
    """The next inference waits until an output is shown: from one beat to seven."""
    rng = np.random.default_rng(0)
    operator = _connect(Tensor("input", (8,), 1.0, 0), outputs, rng)
    graph = QuantizedGraph("short", operator.input, operator.output, (operator,))
    _check_interval(compile_graph(graph, POOL["tall"]), rng, 8)


@pytest.mark.parametrize(("height", "width", "channels"), [
    (2, 4, 3), (2, 2, 2), (26, 13, 3),
    *long(*((height, 13, 3) for height in (2, 5, 20, 21, 22, 23, 24, 25, 27)))])
def test_interval_of_inputs(height: int, width: int, channels: int) -> None:
    """Inputs, pauses for patches included, may take as long as inferences, or longer."""
    config = POOL["tall"]
    rng = np.random.default_rng(0)
    source = Tensor("input", (height, width, 1), 1.0, 11)
    window = Window((3, 3), (3, 3), (1, 1), ((1, 1), (1, 1)))
    conv = convolution("conv", source, channels, window, rng)
    graph = QuantizedGraph("stream", source, conv.output, (conv,))
    limit = _check_interval(compile_graph(graph, config), rng, 8)
    assert limit == ("inference" if height < 20 else "input")
