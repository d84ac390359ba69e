"""Patches of an input: a convolution of them is that of its pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.engine import Messages, Request
from eieio.model.errors import InputError
from eieio.model.formats.samples import Samples
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import Conv2D, Pad, QuantizedGraph, Tensor, Window
from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.fitting import compile_fitted, memory_needs
from eieio.model.systolic.mapping import compile_graph
from eieio.model.systolic.patches import Patches, find_patches, patch_shapes
from eieio.model.systolic.prepared import SystolicPrepared
from eieio.model.systolic.program import PATCHES, Field
from eieio.model.systolic.timing import time_graph


def formed(patches: Patches, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make the patches that are stored of an image in which padding is 0: as a user would."""
    (rows, columns), (height, width) = patches.shape, patches.size
    whole = np.zeros((height + patches.pads[0] + rows, width + patches.pads[1] + columns,
                      patches.channels), np.int64)
    whole[rows:rows + height, columns:columns + width] = x
    stored = np.zeros((*patches.stored, columns, rows, patches.channels), np.int64)
    for row in range(patches.stored[0]):
        for column in range(patches.stored[1]):
            bottom = rows + patches.first[0] + row * patches.step[0]
            right = columns + patches.first[1] + column * patches.step[1]
            stored[row, column] = whole[bottom - rows + 1:bottom + 1,
                                        right - columns + 1:right + 1][::-1, ::-1].transpose(
                                            1, 0, 2)
    return stored.reshape(*patches.stored, -1)


def convolve(x: NDArray[np.int64], weight: NDArray[np.int64], window: Window,
             start: tuple[int, int], outputs: tuple[int, int]) -> NDArray[np.int64]:
    """Sum products in windows that begin at ``start``; what is outside is 0."""
    sums = np.zeros((*outputs, len(weight)), np.int64)
    for row, column in np.ndindex(*outputs):
        for down, across in np.ndindex(*window.kernel):
            y = start[0] + row * window.stride[0] + down * window.dilation[0]
            z = start[1] + column * window.stride[1] + across * window.dilation[1]
            if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
                sums[row, column] += weight[:, down, across] @ x[y, z]
    return sums


@pytest.mark.parametrize("seed", range(40))
def test_same_sums(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = int(rng.integers(1, 7)), int(rng.integers(1, 7))
    padding = tuple((int(rng.integers(size)), int(rng.integers(size))) for size in kernel)
    window = Window(kernel, (int(rng.integers(1, 4)), int(rng.integers(1, 4))), (1, 1),
                    (padding[0], padding[1]))
    height, width, channels = (int(rng.integers(*range_)) for range_ in ((6, 12), (6, 12), (1, 4)))
    outputs = window.output_size(height, width)
    shape = int(rng.integers(1, kernel[0] + 2)), int(rng.integers(1, kernel[1] + 2))
    patches = find_patches(shape, (height, width, channels), window, outputs)
    assert patches is not None
    weight = rng.integers(-9, 9, (2, *kernel, channels))
    x = rng.integers(-9, 9, (height, width, channels))
    expected = convolve(x, weight, window, (-padding[0][0], -padding[1][0]), outputs)
    stored = formed(patches, x)
    assert np.array_equal(convolve(stored, patches.arrange(weight), patches.window, patches.start,
                                   outputs), expected)
    assert patches.words == stored.shape[0] * stored.shape[1]
    assert patches.pauses >= 0


def network(window: Window, size: tuple[int, int, int], channels: int = 6, *,
            padded: bool = False) -> QuantizedGraph:
    source = Tensor("x", size, 1.0, -3)
    read = Tensor("padded", (size[0] + 2, size[1] + 2, size[2]), 1.0, -3) if padded else source
    output = Tensor("y", (*window.output_size(*read.shape[:2]), channels), 1.0, 7)
    weight = np.random.default_rng(0).integers(
        -128, 128, (channels, *window.kernel, size[2])).astype(np.int8)
    conv = Conv2D("conv", (read,), output, weight, np.zeros(channels, np.int32),
                  np.full(channels, 1 << 30, np.int32), np.full(channels, 8, np.int32), -128, 127,
                  window)
    pads = (Pad("pad", (source,), read, ((1, 1), (1, 1), (0, 0))),) if padded else ()
    return QuantizedGraph("net", source, output, (*pads, conv))


@pytest.mark.parametrize(("kernel", "channels", "rows", "slots"), [
    ((10, 4), 1, 8, 5), ((10, 4), 1, 16, 3), ((3, 3), 3, 8, 6), ((3, 3), 3, 16, 3),
    ((3, 3), 3, 32, 1), ((5, 5), 1, 16, 2), ((3, 3), 1, 9, 1)])
def test_fewest_elements(kernel: tuple[int, int], channels: int, rows: int, slots: int) -> None:
    """An engine that fits has the patches with which windows have the fewest elements."""
    graph = network(Window(kernel), (20, 20, channels), 16)
    options = {"rows": rows, "columns": 8, "lanes": 1} if rows == 9 else {
        "rows": rows, "columns": 8}
    compiled = compile_fitted(graph, options)
    assert compiled.patches is not None
    assert np.prod(compiled.patches.window.kernel) == slots
    assert compiled.layers[0].mode == "patches"
    assert compiled.layers[0].descriptor[Field.SLOTS] & 0xffff == slots
    assert compiled.program()[0, Field.OPERATION] >> PATCHES & 1
    pixels = compile_fitted(graph, {**options, "input_depth": 0})
    assert (pixels.layers[0].mode, pixels.patches, pixels.input_pauses) == ("direct", None, 0)
    assert (time_graph(compiled.config, [compiled.layers[0].work]).cycles
            < time_graph(pixels.config, [pixels.layers[0].work]).cycles)
    # Each weight has one place.
    assert np.count_nonzero(compiled.weights) == np.count_nonzero(pixels.weights)
    needs = memory_needs(compiled)
    assert needs["input_depth"] == compiled.patches.words <= 400
    assert needs["line_depth"] == compiled.patches.line
    again = compile_graph(graph, compiled.config)
    assert np.array_equal(again.image(), compiled.image())


def test_where_there_are_none() -> None:
    """No patches where several operators read the input, or none of them is a convolution."""
    window = Window((3, 3))
    assert patch_shapes(SystolicConfig(rows=8, columns=8), (3, 3), 9) == []
    padded = compile_fitted(network(window, (6, 6, 2), padded=True), {"rows": 8, "columns": 8})
    one = compile_fitted(network(Window((1, 1)), (6, 6, 2)), {"rows": 8, "columns": 8})
    wide = compile_fitted(network(window, (6, 6, 12)), {"rows": 8, "columns": 8})
    apart = compile_fitted(network(Window((3, 3), dilation=(2, 2)), (8, 8, 2)),
                           {"rows": 8, "columns": 8})
    for compiled in (padded, one, wide, apart):
        assert compiled.patches is None
        assert compiled.config.patch_lanes == compiled.config.line_depth == 0
        assert compiled.config.input_depth >= compiled.input.size
        assert not compiled.program()[0, Field.OPERATION] >> PATCHES & 1
    graph = network(window, (6, 6, 2))
    first, = graph.operators
    assert isinstance(first, Conv2D)
    second = Conv2D("other", first.inputs, Tensor("z", first.output.shape, 1.0, 7), first.weight,
                    first.bias, first.multiplier, first.shift, -128, 127, window)
    both = QuantizedGraph("both", graph.input, second.output, (first, second))
    config = SystolicConfig(rows=8, columns=8, input_depth=64, patch_rows=1, patch_columns=3,
                            patch_channels=2)
    assert compile_graph(graph, config).patches is not None
    assert compile_graph(both, config).patches is None
    x = graph.input.draw(2).astype(np.int8)
    assert run_graph(both, x)["z"].shape == (2, 4, 4, 6)


@pytest.mark.parametrize(("options", "message"), [
    ({"output_queue_depth": 4}, "Option output_queue_depth must be 0 without an input memory"),
    ({"patch_rows": 1, "input_depth": 4}, "Options patch_rows, patch_columns and patch_channels"),
    ({"patch_rows": 1, "patch_columns": 2, "patch_channels": 1}, "Options patch_rows"),
    ({"patch_rows": 1, "patch_columns": 9, "patch_channels": 2, "input_depth": 4},
     "A patch must have at most 16 numbers"),
    ({"patch_rows": 1, "patch_columns": 1, "patch_channels": 17, "input_depth": 4},
     "A patch must have at most 16 numbers"),
    ({"patch_rows": 2, "patch_columns": 1, "patch_channels": 1, "input_depth": 4},
     "Option line_depth must be at least 4"),
    ({"line_depth": 4}, "Option line_depth must be 0"),
    ({"input_depth": -1}, "Option input_depth must be an integer from 0"),
])
def test_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SystolicConfig(**options)  # pyright: ignore[reportArgumentType]


def test_boards_have_none_unless_asked_for() -> None:
    graph = network(Window((3, 3)), (6, 6, 2))
    request = Request(settings={"batch": 1})
    made = SystolicPrepared(graph, None, Samples(graph.input.draw(1), None), request, Messages())
    options = {"rows": 8, "columns": 8}
    for board, more, patches in ((False, {}, True), (True, {}, False), (True, {
            "input_depth": 64}, True), (False, {"input_depth": 0}, False)):
        compiled = made.compile({**options, **more}, board=board)
        config = compiled.config
        assert isinstance(config, SystolicConfig)
        assert (config.input_depth > 0, config.patch_lanes > 0) == (patches, patches)
        host = compiled.host
        interval = host.interval(500)
        assert interval is not None
        assert (interval.overlap > 0) == patches
        assert interval.input == host.inputs.beats + compiled.inner.input_pauses


def test_input_must_fit() -> None:
    config = SystolicConfig(rows=8, columns=8, input_depth=35)
    with pytest.raises(InputError, match=r"Tensor 'x' needs 36 words; option input_depth must be "
                       "at least that, not 35"):
        compile_graph(network(Window((3, 3)), (6, 6, 2)), config)
