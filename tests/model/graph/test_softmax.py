"""Softmax in fixed point against floating point."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eieio.model.graph.golden import run_operator
from eieio.model.graph.quantized_graph import Softmax, Tensor
from eieio.model.graph.rescale import quantize_factor
from eieio.model.graph.softmax import exp_of_negative, reciprocal, softmax_factor


def test_exp_of_negative() -> None:
    x = -np.unique(np.concatenate([
        np.arange(2000), np.linspace(0, 2**31 - 1, 20001).astype(np.int64),
        *(2**k + np.arange(-2, 3) for k in range(2, 31))]))
    result = exp_of_negative(x)
    np.testing.assert_allclose(result / 2**31, np.exp(x / 2**26), rtol=0, atol=3e-7)
    assert result.max() < 2**31


def test_reciprocal() -> None:
    x = np.unique(np.concatenate([
        np.arange(1000), 2**31 - 1 - np.arange(1000),
        np.linspace(0, 2**31 - 1, 20001).astype(np.int64)]))
    np.testing.assert_allclose(reciprocal(x) / 2**31, 1 / (1 + x / 2**31), rtol=0, atol=1e-8)


@settings(deadline=None)
@given(st.floats(1e-3, 20), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_softmax(scale: float, classes: int, seed: int) -> None:
    source = Tensor("x", (2, classes), scale, 5)
    operator = Softmax("softmax", (source,), Tensor("y", (2, classes), 1 / 256, -128),
                       *quantize_factor(softmax_factor(1.0, scale)))
    x = np.random.default_rng(seed).integers(-128, 128, (3, 2, classes)).astype(np.int8)
    result = run_operator(operator, x)
    exponentials = np.exp((x.astype(float) - x.max(axis=-1, keepdims=True)) * scale)
    probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
    # Rounded to 1/256, and 255/256 at most.
    np.testing.assert_allclose(result, np.minimum(probabilities * 256, 255) - 128, rtol=0,
                               atol=0.501)


@pytest.mark.parametrize("value", [-128, 0, 127])
def test_many_equal_classes(value: int) -> None:
    operator = Softmax("softmax", (Tensor("x", (4095,), 1.0, 0),),
                       Tensor("y", (4095,), 1 / 256, -128), *quantize_factor(2.0**26))
    x = np.full((1, 4095), value, np.int8)
    assert (run_operator(operator, x) == -128).all()
