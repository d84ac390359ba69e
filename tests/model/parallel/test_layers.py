"""Layers that workers share equal the unsplit ones, exactly."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.float_graph import (
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Value,
    compute,
)
from eieio.model.graph.window import Window
from eieio.model.parallel.feature_maps import split_feature_maps
from eieio.model.parallel.image_regions import (
    compute_regions,
    exchange_halos,
    halos,
    plan_regions,
)
from eieio.model.parallel.shares import split

RNG = np.random.default_rng(0)
WINDOWS = {
    "same": Window((3, 3), padding=((1, 1), (1, 1))),
    "valid": Window((5, 5)),
    "stride": Window((3, 3), (2, 2), padding=((0, 1), (1, 0))),
    "gaps": Window((2, 3), (3, 2)),
    "dilation": Window((3, 2), (1, 1), (2, 3), ((2, 1), (0, 0))),
    "even": Window((4, 4), (1, 2), padding=((3, 2), (1, 2))),
    "whole": Window((7, 5), padding=((6, 6), (2, 2))),
}


def integers(*shape: int) -> NDArray[np.float64]:
    """Return integers, whose sums float64 holds exactly, in any order."""
    return RNG.integers(-127, 128, shape).astype(np.float64)


def layer(kind: str, window: Window, size: tuple[int, int], channels: int = 3) -> Any:
    image = Value("x", (*size, channels))
    rows, columns = window.output_size(*size)
    common: dict[str, Any] = {"name": kind, "inputs": (image,), "window": window}
    match kind:
        case "conv":
            return Conv2D(**common, output=Value("y", (rows, columns, 5)), minimum=0.0,
                          weight=integers(5, *window.kernel, channels), bias=integers(5))
        case "depthwise":
            return DepthwiseConv2D(**common, output=Value("y", (rows, columns, channels)),
                                   weight=integers(*window.kernel, channels),
                                   bias=integers(channels))
        case "max":
            return MaxPool(**common, output=Value("y", (rows, columns, channels)))
        case _:
            return AveragePool(**common, output=Value("y", (rows, columns, channels)))


@pytest.mark.parametrize("kind", ["conv", "depthwise", "max", "average"])
@pytest.mark.parametrize("window", WINDOWS)
def test_image_regions(kind: str, window: str) -> None:
    """Any number of workers, of images whose sizes do not come out even."""
    size = 13, 11
    operator = layer(kind, WINDOWS[window], size)
    x = integers(2, *size, 3)
    whole = compute(operator, x)
    for workers in range(1, min(size[0], whole.shape[1]) + 1):
        owned = split(size[0], workers)
        regions = plan_regions(WINDOWS[window], *size, owned)
        parts = [x[:, rows.start:rows.stop] for rows in owned]
        found = compute_regions(operator, parts, regions)
        assert [len(region.outputs) for region in regions] == [part.shape[1] for part in found]
        assert np.array_equal(np.concatenate(found, axis=1), whole)


def test_int64_is_as_exact() -> None:
    operator = layer("conv", WINDOWS["same"], (9, 8))
    operator = replace(operator, weight=operator.weight.astype(np.int64),
                       bias=operator.bias.astype(np.int64), minimum=-np.inf)
    x = RNG.integers(-10 ** 6, 10 ** 6, (1, 9, 8, 3))
    owned = split(9, 4)
    found = compute_regions(operator, [x[:, rows.start:rows.stop] for rows in owned],
                            plan_regions(operator.window, 9, 8, owned))
    assert np.array_equal(np.concatenate(found, axis=1), compute(operator, x))
    assert found[0].dtype == np.int64


def test_layers_behind_one_another() -> None:
    """What one layer computes is what the next one holds."""
    size, x = (17, 9), integers(1, 17, 9, 3)
    first = layer("conv", WINDOWS["valid"], size)
    second = layer("max", Window((2, 2), (2, 2)), (13, 5), 5)
    whole = compute(second, compute(first, x))
    owned = split(17, 3)
    parts = [x[:, rows.start:rows.stop] for rows in owned]
    for operator in (first, second):
        height, width, _ = operator.input.shape
        regions = plan_regions(operator.window, height, width, owned)
        parts = compute_regions(operator, parts, regions)
        owned = [region.outputs for region in regions]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_only_what_is_needed_moves() -> None:
    regions = plan_regions(WINDOWS["same"], 12, 12, split(12, 3))
    assert halos(regions) == [(0, 1, range(3, 4)), (1, 0, range(4, 5)), (1, 2, range(7, 8)),
                              (2, 1, range(8, 9))]
    # Windows of 7 rows over regions of one reach beyond the neighbours.
    regions = plan_regions(WINDOWS["whole"], 5, 5, split(5, 5))
    assert {(halo.source, halo.target) for halo in halos(regions)} >= {(2, 0), (0, 2), (1, 3)}
    # Rows that are not needed are not sent.
    regions = plan_regions(Window((1, 1), (6, 1)), 12, 1, split(12, 2))
    assert not halos(regions)
    assert [part.ravel().tolist() for part in exchange_halos(
        [np.full((1, 6, 1, 1), rank) for rank in range(2)], regions)] == [[0], [1]]


@pytest.mark.parametrize("owned", [[range(4), range(5, 9)], [range(4, 9), range(4)], [range(8)]])
def test_other_rows_are_refused(owned: list[range]) -> None:
    with pytest.raises(InputError, match="Workers must hold the rows 0 to 8, in this order"):
        plan_regions(WINDOWS["same"], 9, 9, owned)


@pytest.mark.parametrize("workers", range(1, 6))
def test_feature_maps(workers: int) -> None:
    conv = layer("conv", WINDOWS["stride"], (9, 7))
    dense = FullyConnected(name="fc", inputs=(Value("x", (9, 7, 3)),), output=Value("y", (6,)),
                           weight=integers(6, 189), bias=integers(6))
    x = integers(3, 9, 7, 3)
    for operator in (conv, dense):
        parts = split_feature_maps(operator, workers)
        assert len(parts) == workers
        assert sum(part.weight.size for part in parts) == operator.weight.size
        assert np.array_equal(np.concatenate([compute(part, x) for part in parts], axis=-1),
                              compute(operator, x))


def test_other_layers_are_refused() -> None:
    with pytest.raises(InputError, match="Layer 'max' must be a convolution, or fully connected"):
        split_feature_maps(layer("max", WINDOWS["valid"], (9, 7)), 2)
    with pytest.raises(InputError, match="There must be 1 to 5 workers for 5 items, not 6"):
        split_feature_maps(layer("conv", WINDOWS["valid"], (9, 7)), 6)
