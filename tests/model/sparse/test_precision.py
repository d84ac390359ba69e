"""Precision of the integers, and the accumulators that it takes."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.compress.weight_sharing import share_weights
from eieio.model.errors import InputError
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.sparse.chain import layers_of, shared_weights
from eieio.model.sparse.choices import fit_network
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.precision import (
    ENOUGH_DB,
    choose_accumulator_width,
    layer_snr,
    signal_to_noise,
    weight_snr,
)
from eieio.model.sparse.quantization import Quantizer, quantize_network

RNG = np.random.default_rng(7)


def dense(inputs: int, outputs: int, bias: float = 0.0) -> FloatGraph:
    weight = RNG.normal(size=(outputs, inputs)).astype(np.float32)
    layer = fully_connected("fc", weight, np.full(outputs, bias, np.float32))
    return share_weights(chain("net", [layer]), 4)


def samples(inputs: int) -> NDArray[np.float32]:
    return RNG.random((8, inputs), np.float32)


def test_ratio() -> None:
    assert signal_to_noise(100.0, 1.0) == pytest.approx(20)
    assert signal_to_noise(0.0, 1.0) is None
    assert signal_to_noise(1.0, 0.0) is None


def test_a_plain_dense_layer_is_compiled() -> None:
    """A layer of 4,096 inputs needs more than 32 bits, and gets them."""
    network, x = dense(4096, 12), samples(4096)
    with pytest.raises(InputError, match=r"accumulator_width is 32: --accumulator-width \d+ fits"):
        fit_network(network, x, {"pes": 4, "accumulator_width": 32})
    fitted = fit_network(network, x, {"pes": 4})
    assert fitted.compiled.config.accumulator_width > 32
    ratio, = layer_snr(network, fitted.compiled.network, x)
    assert ratio is not None
    assert ratio > ENOUGH_DB - 2
    choice, = (choice for choice in fitted.choices if choice.option == "accumulator_width")
    assert choice.value == fitted.compiled.config.accumulator_width
    assert "32 bits are too few; costs" in choice.reason


def test_the_width_is_the_least_that_keeps_the_weights() -> None:
    network, x = dense(2048, 20), samples(2048)
    quantizer = Quantizer(network, x)
    config = SparseConfig()
    width = choose_accumulator_width(quantizer, config)
    found = {bits: weight_snr(quantizer, quantizer.quantize(
        replace(config, accumulator_width=bits)))[0] for bits in (width - 1, width)}
    before, least = found.values()
    assert before is not None
    assert least is not None
    assert before < ENOUGH_DB <= least
    layer, = layers_of(quantizer.quantize(replace(config, accumulator_width=width)))
    bound = layer.accumulator_bound
    assert bound < 1 << (width - 1)


def test_weights_are_judged_as_the_inputs_weigh_them() -> None:
    """Errors of a row's equal weights add up; the forecast is what the layer then measures."""
    network = dense(2048, 40)
    for mean in (0.0, 0.5, 3.0):
        x = RNG.normal(mean, 1.0, (64, 2048)).astype(np.float32)
        quantizer = Quantizer(network, x)
        quantized = quantizer.quantize(SparseConfig(accumulator_width=34))
        forecast, = weight_snr(quantizer, quantized)
        measured, = layer_snr(network, quantized, x)
        assert forecast is not None
        assert measured == pytest.approx(forecast, abs=2)


def test_small_networks_keep_32_bits() -> None:
    quantizer = Quantizer(dense(20, 10), samples(20))
    assert choose_accumulator_width(quantizer, SparseConfig()) == 32
    # Weights of 4 bits are coarse with any accumulator.
    coarse = SparseConfig(weight_width=4)
    assert choose_accumulator_width(Quantizer(dense(4096, 10), samples(4096)), coarse) == 32


def test_layers_are_compared_with_real_numbers() -> None:
    """The ratio is that of the definition, and coarser activations make it worse."""
    network, x = dense(30, 20, bias=0.5), samples(30)
    ratios = []
    for width in (6, 8, 12, 16):
        quantized = quantize_network(network, x, SparseConfig(activation_width=width))
        ratio, = layer_snr(network, quantized, x)
        assert ratio is not None
        ratios.append(ratio)
    assert ratios == sorted(ratios)
    assert 20 < ratios[0] < 45
    assert ratios[-1] > 70
    real = network.forward(x).astype(np.float64)
    layer, = layers_of(quantized)
    integers = layer.weight.astype(np.int64) @ quantized.quantize_input(x).T
    sums = (integers.T + layer.bias) * layer.input.scale * (shared_weights(layer).scale or 0)
    before = 10 * math.log10(np.square(real).sum() / np.square(sums - real).sum())
    assert ratios[-1] <= before + 1


def test_an_empty_layer_has_no_ratio() -> None:
    layer = fully_connected("fc", np.zeros((3, 5), np.float32), np.zeros(3, np.float32))
    network = share_weights(chain("net", [layer]), 4)
    quantized = quantize_network(network, samples(5), SparseConfig())
    assert layer_snr(network, quantized, samples(5)) == [None]


def test_a_given_width_that_coarsens_is_told() -> None:
    fitted = fit_network(dense(1000, 20), samples(1000), {"pes": 4, "accumulator_width": 32})
    choice, = (choice for choice in fitted.choices if choice.option == "accumulator_width")
    assert choice.reason.startswith("as given; the weights of 'fc' keep ")
    assert "more with --accumulator-width 3" in choice.reason


def test_advice_fits() -> None:
    """What a refusal asks for is taken."""
    network = dense(3, 2, bias=1.0)
    x = np.full((1, 3), 1e-5, np.float32)
    with pytest.raises(InputError, match=r"the bias memory has 32: --activation-width (\d+) may "
                                         r"fit$") as info:
        fit_network(network, x, {"pes": 2})
    width = int(str(info.value).split("--activation-width ")[1].split()[0])
    fit_network(network, x, {"pes": 2, "activation_width": width})
