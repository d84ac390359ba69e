"""Calibration: ranges of activations on samples."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.graph.calibration import calibrate
from eieio.model.graph.float_graph import Clamp, FloatGraph, FullyConnected, Reshape, Value


def chain(inputs: int) -> FloatGraph:
    """Values that are the input itself, clamped in the middle."""
    x, hidden, end = Value("x", (inputs,)), Value("hidden", (inputs,)), Value("end", (inputs,))
    return FloatGraph("chain", x, end, (
        Clamp(name="clamp", inputs=(x,), output=hidden, minimum=0.0),
        Clamp(name="again", inputs=(hidden,), output=end)))


def test_minmax() -> None:
    x = np.random.default_rng(1).normal(size=(100, 3))
    x[70, 1], x[5, 0] = -9, 12
    assert calibrate(chain(3), x) == {"x": (-9, 12), "hidden": (0, 12), "end": (0, 12)}


@settings(deadline=None, max_examples=50)
@given(samples=st.integers(1, 100), inputs=st.integers(1, 9),
       percentile=st.floats(50, 100, exclude_min=True), seed=st.integers(0, 99))
def test_percentile(samples: int, inputs: int, percentile: float, seed: int) -> None:
    """As many numbers are outside of the range as the percentile says, at the most."""
    x = np.random.default_rng(seed).normal(size=(samples, inputs))
    x, hidden, end = x, Value("hidden", (inputs,)), Value("end", (1,))
    source = Value("x", (inputs,))
    graph = FloatGraph("sum", source, end, (
        Reshape(name="move", inputs=(source,), output=hidden),
        FullyConnected(name="sum", inputs=(hidden,), output=end, weight=np.ones((1, inputs)),
                       bias=np.zeros(1))))
    ranges = calibrate(graph, x, "percentile", percentile)
    assert ranges["x"] == (x.min(), x.max())
    low, high = ranges["hidden"]
    ordered, outside = np.sort(x, axis=None), int((1 - percentile / 100) * x.size)
    assert (low, high) == (ordered[outside], ordered[-1 - outside])
    sums = x.sum(axis=1)
    np.testing.assert_allclose(ranges["end"], (sums.min(), sums.max()))


def test_percentile_leaves_out_an_outlier() -> None:
    x = np.tile(np.linspace(-1, 1, 1000), (20, 1))
    x[3, 4] = 1000
    ranges = calibrate(chain(1000), x, "percentile", 99.99)
    assert ranges["x"] == (-1, 1000)
    assert ranges["hidden"] == (0, 1)


@pytest.mark.parametrize(("x", "options", "message"), [
    (np.zeros((0, 3)), {}, "Calibration must have at least one sample, not 0"),
    (np.zeros((2, 4)), {}, "Input 'x' must have shape (samples, 3), not (2, 4)"),
    (np.full((2, 3), np.nan), {},
     "Network 'chain': activations 'x' must be finite for all samples"),
    (np.zeros((2, 3)), {"method": "entropy"},
     "Calibration must be minmax or percentile, not 'entropy'"),
    (np.zeros((2, 3)), {"percentile": 50},
     "Percentile must be above 50 and at most 100, not 50"),
    (np.zeros((2, 3)), {"percentile": 100.5},
     "Percentile must be above 50 and at most 100, not 100.5"),
])
def test_refused(x: NDArray[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        calibrate(chain(3), x, **options)
