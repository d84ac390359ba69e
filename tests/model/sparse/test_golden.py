"""Golden model of chains of fully connected layers, of all widths, against Python integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eieio.model.errors import InputError
from eieio.model.graph.golden import run_operator
from eieio.model.graph.quantized_graph import FullyConnected, SharedWeights, Tensor
from eieio.model.sparse.chain import (
    chain,
    dense_layer,
    run_layers,
    shared_weights,
    source_tensor,
)


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


def reference(layer: FullyConnected, x: list[int]) -> list[int]:
    outputs = []
    weights = shared_weights(layer)
    for row in range(layer.channels):
        total = int(layer.bias[row])
        for column, activation in enumerate(x):
            total += int(weights.codebook[weights.codes[row, column]]) * activation
        outputs.append(requantize(total, int(layer.multiplier[row]), int(layer.shift[row]),
                                  layer.minimum, layer.maximum, once=layer.single_rounding))
    return outputs


def random_layer(rng: np.random.Generator, name: str, outputs: int, source: Tensor, *,
                 code_width: int, weight_width: int, density: float, relu: bool,
                 shift: int) -> FullyConnected:
    inputs = source.elements
    limit = 1 << (weight_width - 1)
    codebook = rng.integers(-limit, limit, 1 << code_width).astype(np.int32)
    codebook[0] = 0
    codes = np.where(rng.random((outputs, inputs)) < density,
                     rng.integers(0, 1 << code_width, (outputs, inputs)), 0).astype(np.uint8)
    bias = rng.integers(-(1 << 31), 1 << 31, outputs)
    return dense_layer(
        name, source, SharedWeights(codes, codebook), bias,
        (int(rng.integers(1 << 30, 1 << 31)), shift), (0 if relu else source.minimum,
                                                       source.maximum),
        single_rounding=bool(outputs % 2))


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(1, 12), min_size=2, max_size=4),
       code_width=st.integers(2, 8), weight_width=st.integers(4, 18),
       activation_width=st.integers(4, 18), density=st.sampled_from([0, 0.1, 0.5, 1]),
       relu=st.booleans(), shift=st.integers(0, 30))
def test_network(seed: int, sizes: list[int], code_width: int, weight_width: int,
                 activation_width: int, density: float, relu: bool, shift: int) -> None:
    rng = np.random.default_rng(seed)
    layers: list[FullyConnected] = []
    source = source_tensor(sizes[0], activation_width)
    for number, outputs in enumerate(sizes[1:]):
        layers.append(random_layer(rng, f"layer_{number}", outputs, source, density=density,
                                   code_width=code_width, weight_width=weight_width, relu=relu,
                                   shift=shift))
        source = layers[-1].output
    network = chain("network", layers)
    limit = 1 << (activation_width - 1)
    x = rng.integers(-limit + 1, limit, (3, sizes[0])).astype(np.int32)
    x[rng.random(x.shape) < 0.3] = 0
    outputs = run_layers(network, x)
    assert [output.dtype for output in outputs] == [
        np.int8 if activation_width <= 8 else np.int32] * len(layers)
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
    layer = dense_layer("layer", source_tensor(inputs, 18), SharedWeights(codes, codebook),
                        np.array([1, -1]), ((1 << 31) - 1, 30), (1 - (1 << 17), (1 << 17) - 1))
    x = np.full((1, inputs), 131071, np.int32)
    total = sign * 131071 * 131071 * inputs
    assert abs(total).bit_length() == 47
    expected = [requantize(value, (1 << 31) - 1, 30, layer.minimum, layer.maximum)
                for value in (total + 1, total - sign * 131071 - 1)]
    assert run_operator(layer, x).tolist() == [expected]


def test_halves_round_away_from_zero() -> None:
    codebook = np.array([0, 1, -1, 0], np.int32)
    layer = dense_layer(
        "layer", source_tensor(1, 16), SharedWeights(np.array([[1], [2]], np.uint8), codebook),
        np.zeros(2, np.int64), (1 << 30, 1), (-100, 100))
    # A quarter of 2, 6 and 10 is a half more than a whole number.
    assert run_operator(layer, np.array([[2], [6], [10]], np.int32)).tolist() == [
        [1, -1], [2, -2], [3, -3]]


def test_refused_shape() -> None:
    layer = dense_layer(
        "layer", source_tensor(3, 16), SharedWeights(np.ones((2, 3), np.uint8),
                                                     np.zeros(4, np.int32)),
        np.zeros(2, np.int64), (1 << 30, 0), (-1, 1))
    for shape in [(3,), (1, 2), (1, 1, 3)]:
        with pytest.raises(InputError) as info:
            run_operator(layer, np.zeros(shape, np.int32))
        assert str(info.value) == ("Tensor 'network input' must be an int32 array of shape "
                                   f"(samples, 3), not int32 of shape {shape}")
