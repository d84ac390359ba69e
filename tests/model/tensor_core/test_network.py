"""Networks on the tensor core: golden model, places, cycles counted by hand, files, refusals."""

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.formats.design_folder import write_manifest
from eieio.model.graph import float_graph
from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Conv2D,
    FloatGraph,
    FullyConnected,
    Softmax,
    Stack,
    Value,
)
from eieio.model.graph.window import Window
from eieio.model.tensor_core.config import StepConfig, TensorCoreConfig
from eieio.model.tensor_core.conversion import from_real, narrow, to_real
from eieio.model.tensor_core.engine_timing import FETCH, OPERAND, WRITE, time_descriptor
from eieio.model.tensor_core.float_format import FLOAT16
from eieio.model.tensor_core.golden import long_dot_product
from eieio.model.tensor_core.graph_golden import run_network, run_operator
from eieio.model.tensor_core.mapping import compile_network
from eieio.model.tensor_core.network import round_network
from eieio.model.tensor_core.placement import place, room
from eieio.model.tensor_core.prepared import TensorCoreCompiled, open_design
from eieio.model.tensor_core.sizing import TensorCoreSizing
from eieio.model.tensor_core.timing import latency
from eieio.sim.tensor_core.random_network import random_inputs, random_network

KINDS = ("conv", "depthwise", "maximum", "add", "pad", "clamp", "mean")


def dense(outputs: int = 3, inputs: int = 6, **options: Any) -> FloatGraph:
    rng = np.random.default_rng(4)
    x, y = Value("x", (inputs,)), Value("y", (outputs,))
    layer = FullyConnected(name="fc", inputs=(x,), output=y,
                           weight=rng.normal(size=(outputs, inputs)).astype(np.float32),
                           bias=rng.normal(size=outputs).astype(np.float32), **options)
    return FloatGraph("net", x, y, (layer,))


@pytest.mark.parametrize("seed", range(4))
def test_golden_model_is_near_real_numbers(seed: int) -> None:
    """What is computed is the network: all but rounding is as in float64, operator by operator."""
    rng = np.random.default_rng(seed)
    graph = round_network(random_network(rng, kinds=KINDS), FLOAT16)
    values = run_network(graph, random_inputs(graph, 3, FLOAT16, rng), StepConfig())
    for operator in graph.operators:
        operands = [to_real(values[value.name], FLOAT16).astype(float)
                    for value in operator.inputs]
        expected = float_graph.compute(operator, *operands)
        found = to_real(values[operator.output.name], FLOAT16)
        # Sums are cut off at 2**-23 of their largest term, and rounded by 2**-11; so is the
        # reciprocal of a mean's count.
        half = 2**-10 if isinstance(operator, AveragePool) else 2**-11
        bound = np.abs(expected) * half + np.abs(expected).max() * 1e-5 + 1e-6
        assert (np.abs(found - expected) <= bound).all(), operator.name


@pytest.mark.parametrize("config", [StepConfig(), StepConfig(products=8, extra_bits=1)])
def test_order_of_a_convolution(config: StepConfig) -> None:
    """Rows of the window one after the other, each in blocks of neighbours, then one rounding."""
    rng = np.random.default_rng(6)
    x, y = Value("x", (3, 4, 3)), Value("y", (2, 2, 2))
    conv = Conv2D(name="conv", inputs=(x,), output=y, window=Window((2, 3)),
                  weight=rng.normal(size=(2, 2, 3, 3)).astype(np.float16).astype(np.float32),
                  bias=np.array([0.3, -1], np.float32))
    bits = from_real(rng.normal(size=(1, 3, 4, 3)), FLOAT16)
    found = run_operator(conv, bits, config=config)
    weight = from_real(conv.weight, FLOAT16)
    for row, column, channel in np.ndindex(2, 2, 2):
        d = conv.bias[channel].view(np.uint32)
        for tap in range(2):
            d = long_dot_product(bits[0, row + tap, column:column + 3].ravel(),
                                 weight[channel, tap].ravel(), d, config)
        assert found[0, row, column, channel] == narrow(d, FLOAT16)


def test_places_of_values_do_not_overlap() -> None:
    for seed in range(8):
        graph = random_network(np.random.default_rng(seed), operators=7)
        places = place(graph, 8)
        for number, operator in enumerate(graph.operators[:-2]):
            later = {value for each in graph.operators[number:] for value in each.inputs}
            alive = [value for value in places if value in later and value.name != "flat"
                     and (value is graph.input or any(
                         value is each.output for each in graph.operators[:number]))]
            taken = sorted((places[value], places[value] + room(value, 8))
                           for value in {*alive, operator.output})
            assert all(first[1] <= second[0]
                       for first, second in itertools.pairwise(taken))


def test_cycles_by_hand() -> None:
    config = TensorCoreConfig(accumulators=8)
    sums = latency(config.step) + 3
    # One step: its operand is a row, which is read in cycle 1; the result is a row, too.
    one, = compile_network(dense(4, 4), config).descriptors
    assert time_descriptor(one, config).cycles == FETCH + 1 + OPERAND + sums + WRITE + 1
    # A second step of the sum waits for the first one, longer than for its operand.
    two, = compile_network(dense(4, 8), config).descriptors
    found = time_descriptor(two, config)
    assert found.cycles == FETCH + 1 + OPERAND + 2 * sums + WRITE + 1
    assert (found.steps, found.operand_stalls, found.sum_stalls) == (2, OPERAND, sums - 1)
    # Nine tiles of channels are more than sums: five and four.
    first, second = compile_network(dense(36, 4), config).descriptors
    assert (first.column_tiles, second.column_tiles) == (5, 4)
    assert time_descriptor(first, config).cycles == FETCH + 1 + OPERAND + 4 + sums + WRITE + 1


def test_design_is_read_again(tmp_path: Path) -> None:
    graph = round_network(random_network(np.random.default_rng(1), kinds=KINDS), FLOAT16)
    config = TensorCoreConfig(program_depth=128)
    compiled = TensorCoreCompiled(compile_network(graph, config))
    compiled.write(tmp_path)
    write_manifest(tmp_path, engine="tensor_core", top="top", network=graph.name,
                   config=config.to_dict())
    again = open_design(tmp_path)
    x = random_inputs(graph, 2, FLOAT16, np.random.default_rng(0)).view(np.int16)
    assert np.array_equal(again.run(x), compiled.run(x))
    other = replace(config, extra_bits=1)
    write_manifest(tmp_path, engine="tensor_core", top="top", network=graph.name,
                   config=other.to_dict())
    with pytest.raises(InputError, match=r"must be for the engine in design\.json$"):
        open_design(tmp_path)


def test_weights_that_round_to_nothing(tmp_path: Path) -> None:
    weight = np.ones((3, 6))
    weight[1, :2] = -1e-9, 1e-9
    graph = dense().with_weighted([replace(dense().weighted[0], weight=weight)])
    config = TensorCoreConfig()
    compiled = TensorCoreCompiled(compile_network(round_network(graph, FLOAT16), config))
    compiled.write(tmp_path)
    write_manifest(tmp_path, engine="tensor_core", top="top", network=graph.name,
                   config=config.to_dict())
    assert np.array_equal(open_design(tmp_path).inner.words, compiled.inner.words)


def test_softmax_is_the_hosts() -> None:
    graph = dense()
    z = Value("z", (3,))
    graph = replace(graph, output=z, operators=(*graph.operators, Softmax(
        name="softmax", inputs=(graph.output,), output=z)))
    compiled = TensorCoreCompiled(compile_network(round_network(graph, FLOAT16),
                                                  TensorCoreConfig()))
    assert compiled.ending == "softmax"
    x = compiled.random_inputs(2)
    logits = compiled.run(compiled.quantize(x))
    expected = np.exp(compiled.real(logits).astype(float))
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.abs(compiled.real(compiled.finish(logits)) - expected).max() < 2**-11


def pool(padding: int) -> FloatGraph:
    x, y = Value("x", (4, 4, 1)), Value("y", (2 + padding, 4, 1))
    window = Window((3, 1), padding=((0, padding), (0, 0)))
    return FloatGraph("net", x, y, (
        AveragePool(name="pool", inputs=(x,), output=y, window=window),))


def stacked() -> FloatGraph:
    x, y = Value("x", (2,)), Value("y", (4,))
    return FloatGraph("net", x, y, (Stack(name="both", inputs=(x, x), output=y, axis=0),))


@pytest.mark.parametrize(("graph", "message"), [
    (pool(1), "AveragePool 'pool' must have no padding: its means would be of different counts"),
    (stacked(), ("Stack 'both': the tensor core computes Conv2D, DepthwiseConv2D, FullyConnected, "
                 "AveragePool, MaxPool, Add, Clamp, Pad, Reshape, and softmax at the end is the "
                 "host's")),
    (dense().with_weighted([replace(dense().weighted[0], weight=np.full((3, 6), 65520.0))]),
     "Layer 'fc': weights must be finite, and not too large for 16 bits"),
])
def test_refused_networks(graph: FloatGraph, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        round_network(graph, FLOAT16)


@pytest.mark.parametrize(("options", "message"), [
    ({"products": 3}, "Option products must be a power of two, 2 or more, not 3"),
    ({"products": 2}, "Option columns must be at most products, 2, not 4"),
    ({"accumulators": 6}, "Option accumulators must be a power of two, 4 or more, not 6"),
    ({"activation_depth": 10}, ("Option activation_depth must be a multiple of products, 4, and at "
                                "least twice as much, not 10")),
])
def test_refused_configurations(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TensorCoreConfig(**options)


def test_refused_inputs_and_memories() -> None:
    graph = round_network(dense(40, 40), FLOAT16)
    message = "Option weight_depth must be at least 100 for network 'net', not 99"
    with pytest.raises(InputError, match=f"^{message}$"):
        compile_network(graph, TensorCoreConfig(weight_depth=99))
    compiled = TensorCoreCompiled(compile_network(graph, TensorCoreConfig()))
    with pytest.raises(InputError,
                       match=r"^Inputs must be finite, and not too large for float16$"):
        compiled.quantize(np.full((1, 40), 65520.0))


def test_additions_of_what_is_infinite() -> None:
    """An infinity makes NaN of its neighbours, which are multiplied by 0 in the same step."""
    x, y = Value("x", (6,)), Value("y", (6,))
    add = Add(name="add", inputs=(x, x), output=y)
    bits = from_real(np.array([[1, np.inf, 3, 4, 5, 6]]), FLOAT16)
    found = to_real(run_operator(add, bits, bits, config=StepConfig()), FLOAT16)
    np.testing.assert_array_equal(found, [[np.nan, np.inf, np.nan, np.nan, 10, 12]])


def test_sizes_by_multipliers() -> None:
    sizing = TensorCoreSizing()
    assert sizing.with_multipliers(64) == {"rows": 4, "columns": 4, "products": 4}
    assert sizing.with_multipliers(256) == {"rows": 4, "columns": 8, "products": 8}
    assert not sizing.with_multipliers(63)
