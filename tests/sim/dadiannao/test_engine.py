"""The whole DaDianNao engine: golden model, cycle model and RTL hold one another."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dadiannao_networks import Builder
from numpy.typing import NDArray

from eieio.model.dadiannao.compiler import compile_graph
from eieio.model.dadiannao.config import DaDianNaoConfig
from eieio.model.dadiannao.engine import ENGINE
from eieio.model.dadiannao.fitting import compile_fitted
from eieio.model.dadiannao.functions import with_arguments
from eieio.model.dadiannao.prepared import DaDianNaoCompiled
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.quantized_graph import AveragePool, MaxPool, QuantizedGraph, Window
from eieio.sim.dadiannao.simulation import compare
from eieio.sim.interval import measure_intervals
from eieio.sim.runner import Build
from eieio.sim.simulation import build_engine

ROOT = Path(__file__).parents[3]

#: Rows of several words, buffers that are soon full, banks, wide sums, everything else.
ONE = DaDianNaoConfig(tiles=3, inputs=4, outputs=2, sb_banks=2, sb_depth=64, nbin_depth=8,
                      nbout_depth=4, central_depth=700, program_depth=100, parameter_depth=150,
                      activation_width=9, weight_width=8, sum_width=40, additions=True,
                      functions=True)
#: The same size of node with nothing that can be left out, and two of them, with as many tiles
#: together.
SINGLE = DaDianNaoConfig(tiles=4, inputs=2, outputs=2, sb_depth=512, nbin_depth=16, nbout_depth=8,
                         central_depth=600, program_depth=24, parameter_depth=64,
                         activation_width=16, weight_width=16)
RING = replace(SINGLE, tiles=2, nodes=2)


@functools.cache
def built(config: DaDianNaoConfig) -> Build:
    return build_engine(config, quick=True)


def dense() -> QuantizedGraph:
    """Chunks of inputs that NBin can hold, more groups than NBout can, ragged ends, one group."""
    net = Builder((37,), 1, name="dense")
    net.dense(53)
    net.dense(1, once=True)
    net.dense(9)
    return net.graph


def images() -> QuantizedGraph:
    """Windows of all kinds: padding on every side, strides, dilation, windows beyond NBin.

    The last is over in a step, sooner than its words are collected: the tiles wait for NBout.
    """
    net = Builder((7, 9, 5), 2)
    net.conv(11, Window((3, 2), (2, 1), (1, 1), ((2, 1), (0, 1))))
    net.conv(13, Window((2, 3), (1, 2), (2, 1), ((0, 2), (2, 1))), once=True)
    net.conv(4, Window((1, 1)))
    net.conv(12, Window((1, 1)))
    return net.graph


def channelwise() -> QuantizedGraph:
    """Depthwise convolutions, pooling and padding: channels that no tile holds alone."""
    net = Builder((8, 8, 7), 3)
    net.pool(MaxPool, Window((3, 2), (1, 2), padding=((1, 2), (1, 0))))
    net.depthwise(Window((3, 3), (1, 1), (1, 2), ((1, 1), (2, 0))))
    net.pad((1, 0), (0, 2), (0, 0))
    net.pool(AveragePool, Window((3, 2), (3, 2)))
    net.depthwise(Window((2, 2)), 2)
    net.pool(AveragePool, Window((1, 1)))
    net.flat()
    net.dense(6)
    return net.graph


def residual() -> QuantizedGraph:
    """Add tensors of more words than the adder holds."""
    net = Builder((4, 3, 5), 4)
    first = net.conv(6, Window((3, 3), padding=((1, 1), (1, 1))))
    net.conv(6, Window((1, 1)))
    net.add(first)
    net.add(net.last)
    return net.graph


def wide() -> QuantizedGraph:
    """Activations of 15 bits, and biases in finer steps than the sums."""
    net = Builder((5, 4, 3), 5, 15)
    net.conv(6, Window((3, 3), (2, 1), padding=((1, 1), (1, 1))))
    net.pool(MaxPool, Window((2, 2)))
    net.dense(9, bias_shift=2)
    net.dense(7)
    return net.graph


def check(graph: QuantizedGraph, config: DaDianNaoConfig, *, stall: float = 0.0, count: int = 2,
          function: str | None = None) -> tuple[DaDianNaoCompiled, NDArray[np.integer]]:
    """Compare inferences; return the network and the RTL's outputs."""
    compiled = DaDianNaoCompiled(compile_graph(graph, config, function))
    x = compiled.quantize(compiled.random_inputs(count))
    result = compare(compiled, x, built(config), stall=stall)
    assert result.mismatches == 0, result.layer_mismatches
    assert result.cycle_mismatches == 0
    assert result.compared_integers > count * sum(
        layer.operator.output.elements for layer in compiled.compiled.layers)
    assert np.array_equal(result.outputs, compiled.run(x))
    return compiled, result.outputs


@pytest.mark.parametrize("network", [dense, images, channelwise, residual])
def test_every_rule(network: Callable[[], QuantizedGraph]) -> None:
    compiled, _ = check(network(), ONE, stall=0.2 if network is images else 0)
    assert (compiled.timing.nbout_stalls > 0) == (network is not dense)
    assert {each.keep for each in compiled.compiled.program()} == {False, True}


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_functions(name: str) -> None:
    net = Builder((9,), 6)
    net.dense(21)
    net.dense(13)
    graph = with_arguments(net.graph, name, ONE.activation_width)
    compiled, _ = check(graph, ONE, count=4, function=name)
    x = compiled.quantize(compiled.random_inputs(40))
    results = np.unique(compiled.run(x))
    assert results.size > 70
    assert (results.min() >= 0) == (name == "sigmoid")


@pytest.mark.long
def test_two_nodes_equal_one() -> None:
    for graph in (dense(), wide()):
        (one, first), (two, second) = check(graph, SINGLE), check(graph, RING)
        assert np.array_equal(first, second)
        assert sum(each.causes["ring"] for layer in two.timing.layers for each in layer) > 0
        if graph.name == "dense":  # The same work in as many tiles.
            assert one.timing.macs == two.timing.macs


def test_an_interval_is_that_of_the_rtl() -> None:
    compiled = DaDianNaoCompiled(compile_graph(dense(), SINGLE))
    x = compiled.quantize(compiled.random_inputs(3))
    intervals = measure_intervals(compiled.host, x.reshape(3, -1), built(SINGLE), shell=False)
    host, cycles = compiled.host, compiled.cycles()
    assert cycles is not None
    assert intervals.tolist() == [ENGINE.interval(SINGLE, cycles, host.inputs.beats,
                                                  host.outputs.beats).cycles] * 2


@pytest.mark.long
def test_lenet_5_whole() -> None:
    samples = np.load(ROOT / "examples/lenet_5/mnist_train_256.npz")["x"] / 256
    graph = NetworkFile(ROOT / "examples/lenet_5/lenet_5.onnx").quantize(
        samples.transpose(0, 2, 3, 1), "minmax", 99.99)
    compiled = DaDianNaoCompiled(compile_fitted(graph, {"tiles": 4, "inputs": 4, "outputs": 4}))
    x = compiled.quantize(samples[:1].transpose(0, 2, 3, 1))
    result = compare(compiled, x, built(compiled.compiled.config))
    assert (result.mismatches, result.cycle_mismatches) == (0, 0)
    assert result.compared_integers == 8104


@pytest.mark.long
@pytest.mark.parametrize("name", ["kws_dscnn_int8", "ic_resnet8_int8"])
def test_published_networks_whole(shared_data: Path, name: str) -> None:
    """Depthwise convolutions, means and additions of networks as converters write them."""
    graph = NetworkFile(shared_data / "tflite" / f"{name}.tflite").quantize()
    compiled = DaDianNaoCompiled(compile_fitted(graph, {"tiles": 4, "inputs": 4, "outputs": 4}))
    x = compiled.quantize(compiled.random_inputs(1))
    result = compare(compiled, x, built(compiled.compiled.config))
    assert (result.mismatches, result.cycle_mismatches) == (0, 0)
