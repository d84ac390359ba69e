"""Golden model of the sparse engine against plain Python integers."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eieio.model.errors import InputError
from eieio.model.sparse.golden import run_layer, run_network
from eieio.model.sparse.quantized_network import QuantizedLayer, QuantizedNetwork


def requantize(total: int, multiplier: int, shift: int, minimum: int, maximum: int, *,
               once: bool = False) -> int:
    """TensorFlow Lite's rule, from its definition; or one rounding of the product."""
    if once:
        high, shift = total * multiplier, shift + 31
    else:
        high = (total * multiplier + (1 << 30)) // (1 << 31)
    # A half is rounded away from zero.
    magnitude = (abs(high) + (1 << shift >> 1)) >> shift
    return max(minimum, min(maximum, magnitude if high >= 0 else -magnitude))


def reference(layer: QuantizedLayer, x: list[int]) -> list[int]:
    outputs = []
    for row in range(layer.outputs):
        total = int(layer.bias[row])
        for column, activation in enumerate(x):
            total += int(layer.codebook[layer.codes[row, column]]) * activation
        outputs.append(requantize(total, layer.multiplier, layer.shift, layer.minimum,
                                  layer.maximum, once=layer.single_rounding))
    return outputs


def random_layer(rng: np.random.Generator, outputs: int, inputs: int, *, code_width: int,
                 weight_width: int, activation_width: int, density: float, relu: bool,
                 shift: int) -> QuantizedLayer:
    limit = 1 << (weight_width - 1)
    codebook = rng.integers(-limit, limit, 1 << code_width).astype(np.int32)
    codebook[0] = 0
    codes = np.where(rng.random((outputs, inputs)) < density,
                     rng.integers(0, 1 << code_width, (outputs, inputs)), 0).astype(np.uint8)
    bias = rng.integers(-(1 << 31), 1 << 31, outputs)
    maximum = (1 << (activation_width - 1)) - 1
    return QuantizedLayer("layer", codes, codebook, bias,
                          int(rng.integers(1 << 30, 1 << 31)), shift, 0 if relu else -maximum,
                          maximum, 1.0, 1.0, 1.0, single_rounding=bool(outputs % 2))


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(1, 12), min_size=2, max_size=4),
       code_width=st.integers(2, 8), weight_width=st.integers(4, 18),
       activation_width=st.integers(4, 18), density=st.sampled_from([0, 0.1, 0.5, 1]),
       relu=st.booleans(), shift=st.integers(0, 30))
def test_network(seed: int, sizes: list[int], code_width: int, weight_width: int,
                 activation_width: int, density: float, relu: bool, shift: int) -> None:
    rng = np.random.default_rng(seed)
    layers = tuple(
        random_layer(rng, outputs, inputs, code_width=code_width, weight_width=weight_width,
                     activation_width=activation_width, density=density, relu=relu, shift=shift)
        for inputs, outputs in itertools.pairwise(sizes))
    network = QuantizedNetwork("network", layers, activation_width)
    limit = 1 << (activation_width - 1)
    x = rng.integers(-limit + 1, limit, (3, sizes[0])).astype(np.int32)
    x[rng.random(x.shape) < 0.3] = 0
    outputs = run_network(network, x)
    assert [output.dtype for output in outputs] == [np.int32] * len(layers)
    for sample, vector in enumerate(x.tolist()):
        for layer, output in zip(layers, outputs, strict=True):
            vector = reference(layer, vector)
            assert output[sample].tolist() == vector


@pytest.mark.parametrize("sign", [-1, 1])
def test_largest_sums(sign: int) -> None:
    """Sums just below 2**47 are exact, though they are made in floating point."""
    inputs = 1 << 13
    codebook = np.array([0, sign * 131071, sign * 131070, 0], np.int32)
    codes = np.ones((2, inputs), np.uint8)
    codes[1, 0] = 2
    layer = QuantizedLayer("layer", codes, codebook, np.array([1, -1]), (1 << 31) - 1, 30,
                           -(1 << 17), (1 << 17) - 1, 1.0, 1.0, 1.0)
    x = np.full((1, inputs), 131071, np.int32)
    total = sign * 131071 * 131071 * inputs
    assert abs(total).bit_length() == 47
    expected = [requantize(value, layer.multiplier, 30, layer.minimum, layer.maximum)
                for value in (total + 1, total - sign * 131071 - 1)]
    assert run_layer(layer, x).tolist() == [expected]


def test_halves_round_away_from_zero() -> None:
    codebook = np.array([0, 1, -1, 0], np.int32)
    layer = QuantizedLayer("layer", np.array([[1], [2]], np.uint8), codebook, np.zeros(2, np.int64),
                           1 << 30, 1, -100, 100, 1.0, 1.0, 1.0)
    # A quarter of 2, 6 and 10 is a half more than a whole number.
    assert run_layer(layer, np.array([[2], [6], [10]], np.int32)).tolist() == [
        [1, -1], [2, -2], [3, -3]]


def test_refused_shape() -> None:
    layer = QuantizedLayer("layer", np.ones((2, 3), np.uint8), np.zeros(4, np.int32),
                           np.zeros(2, np.int64), 1 << 30, 0, -1, 1, 1.0, 1.0, 1.0)
    for shape in [(3,), (1, 2), (1, 1, 3)]:
        with pytest.raises(InputError) as info:
            run_layer(layer, np.zeros(shape, np.int32))
        assert str(info.value) == f"Input must have shape (samples, 3), not {shape}"
