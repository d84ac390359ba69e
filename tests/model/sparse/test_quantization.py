"""Quantization of a network: scales, bounds, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eieio.model.errors import InputError
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph, run
from eieio.model.graph.weight_codes import WeightCodes
from eieio.model.sparse.chain import layers_of, run_layers, shared_weights
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.quantization import accumulator_width, quantize_network


def one_layer(codebook: list[float], codes: list[list[int]], bias: list[float],
              relu: bool = False) -> FloatGraph:
    weights = WeightCodes(np.array(codes, np.uint8), np.array(codebook, np.float32))
    return chain("network", [fully_connected("fc", weights, np.array(bias, np.float32), relu)])


def random_network(rng: np.random.Generator, sizes: list[int], density: float = 0.5,
                   scale: float = 1.0) -> FloatGraph:
    layers = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        codebook = np.concatenate([[0], rng.normal(size=15) * scale]).astype(np.float32)
        codes = np.where(rng.random((outputs, inputs)) < density,
                         rng.integers(1, 16, (outputs, inputs)), 0).astype(np.uint8)
        bias = rng.normal(size=outputs).astype(np.float32)
        layers.append(fully_connected(f"fc{number}", WeightCodes(codes, codebook), bias,
                                      number < len(sizes) - 2))
    return chain("network", tuple(layers))


def test_calibration() -> None:
    """By hand: the largest input, weight and output all reach the largest integer of 8 bits."""
    network = one_layer([0, 0.5, -0.25, 0], [[1, 0], [0, 2]], [0.25, 0])
    config = SparseConfig(activation_width=8, weight_width=8)
    quantized = quantize_network(network, np.array([[1, 2], [-4, 1]]), config, headroom=1)
    layer, = layers_of(quantized)
    weights = shared_weights(layer)
    assert layer.input.scale == quantized.input.scale == 4 / 127
    assert weights.codebook.tolist() == [0, 127, -64, 0]  # 63.5 rounds to even
    assert weights.scale == 0.5 / 127
    assert layer.bias.tolist() == [round(0.25 / (4 / 127 * 0.5 / 127)), 0]
    assert layer.output.scale == quantized.output.scale == 1.75 / 127
    factors = layer.multiplier / 2**31 / 2.0**layer.shift
    assert factors == pytest.approx(4 / 127 * 0.5 / 127 / (1.75 / 127), rel=1e-9)
    assert (layer.minimum, layer.maximum) == (-127, 127)
    assert (layer.input.elements, layer.channels) == (2, 2)
    wide = quantize_network(network, np.array([[1, 2], [-4, 1]]), config)
    assert wide.input.scale == 4 * 1.25 / 127


def test_rectifier() -> None:
    network = one_layer([0, 1, -1, 0], [[1], [2]], [0, 0], relu=True)
    quantized = quantize_network(network, np.array([[1.0]]), SparseConfig())
    assert layers_of(quantized)[0].minimum == 0
    assert run_layers(quantized, quantized.quantize_input(np.array([[-0.5]])))[0][0, 0] == 0


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 40), min_size=2, max_size=4),
       st.sampled_from([0, 0.1, 1]), st.sampled_from([1e-6, 1, 1e6]), st.sampled_from([8, 16]),
       st.sampled_from([8, 16, 18]), st.sampled_from([24, 28, 32, 48]))
def test_bound(seed: int, sizes: list[int], density: float, scale: float, activation_width: int,
               weight_width: int, width: int) -> None:
    """Either the network is refused, or no accumulator can overflow and outputs are near."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, sizes, density, scale)
    config = SparseConfig(activation_width=activation_width, weight_width=weight_width,
                          accumulator_width=width)
    samples = rng.normal(size=(5, sizes[0]))
    try:
        quantized = quantize_network(network, samples, config)
    except InputError:
        return
    layers = layers_of(quantized)
    for layer, after in itertools.zip_longest(layers, layers[1:]):
        weights = shared_weights(layer)
        bound = max(int(np.abs(weights.codebook.astype(np.int64))[row].sum())
                    * config.activation_maximum + abs(int(bias))
                    for row, bias in zip(weights.codes, layer.bias, strict=True))
        assert bound == layer.accumulator_bound
        assert accumulator_width(bound) == layer.accumulator_width <= width
        assert bound < 2**(width - 1)
        assert np.abs(layer.bias).max() < 2**31
        assert np.abs(weights.codebook).max() < 2**(weight_width - 1)
        assert weights.codebook[0] == 0
        assert 0 < layer.input.scale * (weights.scale or 0) / layer.output.scale < 1
        if after is not None:
            assert after.input == layer.output
    values = run(network, samples, np.float32)
    reals = [values[layer.output.name] for layer in network.weighted]
    # With much width, and samples that reach every layer.
    if (activation_width == 16 and weight_width >= 16 and width == 48 and scale >= 1
            and all(real.any() for real in reals)):
        x = quantized.quantize_input(samples)
        outputs = quantized.dequantize_output(run_layers(quantized, x)[-1])
        assert np.abs(outputs - reals[-1]).max() <= 0.01 * max(1, np.abs(reals[-1]).max())


def test_weights_are_as_fine_as_accumulators_allow() -> None:
    """127 inputs of 8 bits: one step more for the largest weight would need a 17th bit."""
    network = one_layer([0, 1, 0.5, 0], [[1, 2]], [0])
    samples = np.array([[1.0, 1.0]])
    config = SparseConfig(activation_width=8, accumulator_width=16)
    layer, = layers_of(quantize_network(network, samples, config))
    codebook = shared_weights(layer).codebook
    largest = int(codebook.max())
    assert codebook.tolist() == [0, largest, round(largest / 2), 0]
    assert layer.accumulator_bound < 2**15
    assert (largest + 1 + round((largest + 1) / 2)) * 127 >= 2**15


def test_unused_weights() -> None:
    """A large weight that no code names does not make the others coarse."""
    config = SparseConfig()
    networks = [one_layer([0, 1, 0.5, unused], [[1, 2]], [0.1]) for unused in (0, 1e6)]
    one, other = (shared_weights(layers_of(quantize_network(network, np.ones((1, 2)), config))[0])
                  for network in networks)
    assert one.codebook.tolist() == other.codebook.tolist() == [0, 32767, 16384, 0]
    assert one.scale == other.scale


def test_zero_weights() -> None:
    """Outputs are the biases; a scale still has to be chosen."""
    network = one_layer([0, 0, 0, 0], [[0, 0], [0, 0]], [1, -2])
    quantized = quantize_network(network, np.ones((1, 2)), SparseConfig(), headroom=1)
    outputs, = run_layers(quantized, quantized.quantize_input(np.array([[1.0, 0.25]])))
    assert outputs[0, 1] in (-32767, -32766)
    assert quantized.dequantize_output(outputs)[0] == pytest.approx([1, -2], rel=1e-4)


def test_nothing_at_all() -> None:
    """Zero weights, biases and samples: every scale is a valid one, and the outputs are 0."""
    network = one_layer([0, 0, 0, 0], [[0, 0]], [0])
    quantized = quantize_network(network, np.zeros((1, 2)), SparseConfig())
    assert quantized.input.scale == 1.0
    assert run_layers(quantized, quantized.quantize_input(np.array([[5.0, -5.0]])))[0] == [[0]]


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_constant_inputs(value: float) -> None:
    network = one_layer([0, 0.5, -0.25, 0], [[1, 0], [0, 2]], [0.25, 0])
    samples = np.full((3, 2), value)
    quantized = quantize_network(network, samples, SparseConfig())
    outputs = run_layers(quantized, quantized.quantize_input(samples))[0]
    real = network.forward(samples)
    assert quantized.dequantize_output(outputs) == pytest.approx(real, abs=1e-4)


def test_inputs_saturate_symmetrically() -> None:
    network = one_layer([0, 1, 0, 0], [[1, 1]], [0])
    quantized = quantize_network(network, np.ones((1, 2)), SparseConfig(activation_width=8),
                                 headroom=1)
    assert quantized.quantize_input(np.array([[9.0, -9.0], [1.0, -0.5]])).tolist() == [
        [127, -127], [127, -64]]


@pytest.mark.parametrize(("samples", "message"), [
    (np.zeros((0, 2)), "Samples must have shape (samples, 2), not (0, 2)"),
    (np.zeros((1, 3)), "Samples must have shape (samples, 2), not (1, 3)"),
    (np.zeros(2), "Samples must have shape (samples, 2), not (2,)"),
    (np.array([[1, np.nan]]), "Samples must be finite"),
    (np.array([[1, -np.inf]]), "Samples must be finite"),
])
def test_refused_samples(samples: np.ndarray, message: str) -> None:
    network = one_layer([0, 1, 0, 0], [[1, 1]], [0])
    with pytest.raises(InputError) as info:
        quantize_network(network, samples, SparseConfig())
    assert str(info.value) == message


def test_refused_headroom() -> None:
    with pytest.raises(InputError) as info:
        quantize_network(one_layer([0, 1, 0, 0], [[1]], [0]), np.ones((1, 1)), SparseConfig(),
                         headroom=0.5)
    assert str(info.value) == "Headroom must be at least 1, not 0.5"


@pytest.mark.parametrize(("x", "message"), [
    (np.zeros((1, 1)), "Input must have shape (samples, 2), not (1, 1)"),
    (np.zeros(2), "Input must have shape (samples, 2), not (2,)"),
    (np.array([[1, np.nan]]), "Input must be finite"),
])
def test_refused_input(x: np.ndarray, message: str) -> None:
    quantized = quantize_network(one_layer([0, 1, 0, 0], [[1, 1]], [0]), np.ones((1, 2)),
                                 SparseConfig())
    with pytest.raises(InputError) as info:
        quantized.quantize_input(x)
    assert str(info.value) == message


@pytest.mark.parametrize(("inputs", "width", "needed"), [
    # With the largest weight as 63, a sum of n products reaches n * 63 * 32767.
    (1, 16, 22),
    (4, 22, 24),
    (1000, 30, 32),
])
def test_refused_overflow(inputs: int, width: int, needed: int) -> None:
    network = one_layer([0, 1, 0, 0], [[1] * inputs], [0])
    with pytest.raises(InputError) as info:
        quantize_network(network, np.ones((1, inputs)), SparseConfig(accumulator_width=width))
    assert str(info.value) == ("Layer 'fc': the accumulator could overflow: it needs "
                               f"{needed} bits, and accumulator_width is {width}: "
                               f"--accumulator-width {needed} fits")
    quantize_network(network, np.ones((1, inputs)), SparseConfig(accumulator_width=needed))


def test_refused_biases() -> None:
    """Beside tiny products, a bias does not fit into its memory, however wide the accumulator."""
    network = one_layer([0, 1, 0, 0], [[1, 0], [0, 1]], [1, 0])
    with pytest.raises(InputError) as info:
        quantize_network(network, np.full((1, 2), 1e-5), SparseConfig(accumulator_width=48))
    assert str(info.value) == ("Layer 'fc': the biases are too large beside inputs and weights: "
                               "they need 39 bits, and the bias memory has 32: "
                               "--activation-width 9 may fit")
    quantize_network(network, np.full((1, 2), 1e-5),
                     SparseConfig(accumulator_width=48, activation_width=9))
    # A bias that not even int64 would hold.
    with pytest.raises(InputError, match="the accumulator could overflow: it needs 64 bits"):
        quantize_network(network, np.full((1, 2), 1e-30), SparseConfig(accumulator_width=48))
