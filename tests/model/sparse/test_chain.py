"""Graphs of integers on the sparse engine: what fits, what is refused, and what a host sees."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.formats import graph_file
from eieio.model.graph.golden import run_graph, run_operator
from eieio.model.graph.quantized_graph import (
    FullyConnected,
    QuantizedGraph,
    Reshape,
    SharedWeights,
    Softmax,
    Tensor,
)
from eieio.model.sparse import image
from eieio.model.sparse.chain import (
    chain,
    dense_layer,
    host_operators,
    layers_of,
    run_layers,
    source_tensor,
)
from eieio.model.sparse.choices import fit_graph
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.host import sparse_host_image
from eieio.model.sparse.mapping import CompiledNetwork, compile_network
from eieio.model.sparse.timing import NetworkTimer

IMAGE = Tensor("image", (3, 4, 2), 0.1, 12)
FLAT = replace(IMAGE, name="flat", shape=(24,))


def dense(name: str, source: Tensor, outputs: int, zero_point: int, *, seed: int = 0,
          **changes: Any) -> FullyConnected:
    rng = np.random.default_rng(seed)
    layer = FullyConnected(
        name, (source,), Tensor(name, (outputs,), 0.2, zero_point),
        rng.integers(-128, 128, (outputs, source.elements)).astype(np.int8),
        rng.integers(-999, 999, outputs).astype(np.int32),
        rng.integers(1 << 30, 1 << 31, outputs).astype(np.int32),
        rng.integers(6, 9, outputs).astype(np.int32), -128, 127, single_rounding=True)
    return replace(layer, **changes)


def network() -> QuantizedGraph:
    """Make a network of an image, that changes its shape and ends in softmax."""
    hidden = dense("hidden", FLAT, 10, -128)
    logits = dense("logits", hidden.output, 5, 7, seed=1)
    end = Tensor("end", (5,), 1 / 256, -128)
    return QuantizedGraph("net", IMAGE, end, (
        Reshape("flatten", (IMAGE,), FLAT), hidden, logits,
        Softmax("softmax", (logits.output,), end, 1 << 30, -24)), channels_first=True,
        integer_input="uint8")


def test_fine_biases() -> None:
    """Biases in parts of a step: the weights are larger then, and the results the same."""
    graph = network()
    layers = [replace(layer, bias_shift=6, shift=layer.shift + 6) for layer in layers_of(graph)]
    fine = replace(graph, operators=(graph.operators[0], *layers, graph.operators[-1]))
    assert [layer.weight_kind for layer in layers_of(fine)] == ["int16", "int16"]
    compiled = fit_graph(fine, X, {"pes": 4}).compiled
    assert compiled.config.weight_width == 15
    for layer, plain in zip(layers, layers_of(compiled.network), strict=True):
        x = np.random.default_rng(3).integers(-128, 128, (5, *layer.input.shape)).astype(np.int8)
        assert np.array_equal(run_operator(layer, x), run_operator(plain, x))
    wrapping = replace(layers[1], wraps=True)
    with pytest.raises(InputError, match=r"^FullyConnected 'logits': results that wrap need the "
                                         r"systolic engine \(--engine systolic\)$"):
        layers_of(replace(fine, operators=(*fine.operators[:2], wrapping, fine.operators[3])))


X = np.random.default_rng(2).integers(-128, 128, (4, 3, 4, 2)).astype(np.int8)


def test_network() -> None:
    """Layers, factors by channel, and what is left to the host; from an image, too."""
    graph = network()
    assert [layer.name for layer in layers_of(graph)] == ["hidden", "logits"]
    assert [operator.name for operator in host_operators(graph)] == ["softmax"]
    compiled = fit_graph(graph, X, {"pes": 4}).compiled
    assert compiled.config.per_channel
    expected = run_graph(graph, X)
    outputs = compiled.run(X)
    assert np.array_equal(outputs[-1], expected["logits"])
    assert np.array_equal(compiled.finish(outputs[-1]), expected["end"])
    # The engine's integers are those of the file, less the zero point, at their positions.
    arranged = compiled.to_engine(X)
    assert np.array_equal(arranged[:, compiled.layers[0].input_positions],
                          X.reshape(4, 24).astype(int) - 12)
    after = image.load(image.dump(compiled))
    assert graph_file.dump(after.network) == graph_file.dump(graph)
    assert after.config == compiled.config
    host = sparse_host_image(after)
    assert (host.input_shape, host.channels_first, host.integer_input) == ((3, 4, 2), True, "uint8")
    sent = host.outputs.unpack(host.outputs.pack(expected["logits"][0]))
    assert np.array_equal(host.finish(sent), expected["end"][0])
    assert np.array_equal(host.quantize(graph.input.dequantize(X)), X.reshape(4, -1))


def test_engine_of_a_network() -> None:
    """Widths are what the numbers need; options that are too small are refused."""
    source = replace(FLAT, zero_point=-128)
    few = np.random.default_rng(0).choice([-3, 0, 1], (6, 24)).astype(np.int8)
    layer = dense("fc", source, 6, 0, stored_weight=few, multiplier=np.full(6, 1 << 30, np.int32),
                  shift=np.full(6, 7, np.int32), bias=np.full(6, 40000, np.int32))
    graph = QuantizedGraph("net", source, layer.output, (layer,))
    config = fit_graph(graph, X.reshape(4, 24), {"pes": 2}).compiled.config
    assert (config.code_width, config.weight_width, config.activation_width,
            config.per_channel) == (2, 4, 9, False)
    for options, message in (
            ({"activation_width": 8},
             "Layer 'fc': its activations need 9 bits, and activation_width is 8"),
            ({"accumulator_width": 16},
             ("Layer 'fc': the accumulator could overflow: it needs 17 bits, and accumulator_width "
             "is 16: --accumulator-width 17 fits"))):
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            fit_graph(graph, X.reshape(4, 24), {"pes": 2, **options})
    # Factors by channel may be given to an engine that does not need them: the integers are equal.
    given = fit_graph(graph, X.reshape(4, 24), {"pes": 2, "per_channel": True}).compiled
    assert image.load(image.dump(given)).run(X.reshape(4, 24))[0].tolist() \
        == given.run(X.reshape(4, 24))[0].tolist()


def branching() -> QuantizedGraph:
    first = dense("first", FLAT, 24, 12)
    again = dense("again", FLAT, 24, 12)
    return QuantizedGraph("net", FLAT, again.output, (first, again))


def last(layer: FullyConnected) -> Callable[[], QuantizedGraph]:
    return lambda: QuantizedGraph("net", FLAT, layer.output, (layer,))


@pytest.mark.parametrize(("make", "message"), [
    (branching, (
     "FullyConnected 'again': the sparse engine runs a chain of fully connected layers, each of "
     "which takes the output of the one before; the systolic engine (--engine systolic) "
     "runs other graphs")),
    (lambda: replace(network(), output=network().operators[2].output),
     ("Network 'net': the sparse engine needs a fully connected layer, and the output of the last "
     "operator as the network's")),
    (last(dense("fc", FLAT, 2, 0, shift=np.array([0, -1], np.int32))),
     ("Layer 'fc': the engine multiplies sums by factors below 1, and one of its outputs has a "
     "factor up to 2; the systolic engine (--engine systolic) takes it")),
    (last(dense("fc", FLAT, 2, -5, minimum=0)), ("Layer 'fc': the range of its outputs, 0 to 127, "
     "must include their real 0, -5")),
])
def test_refused(make: Callable[[], QuantizedGraph], message: str) -> None:
    graph = make()
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        fit_graph(graph, np.zeros((1, *graph.input.shape), np.int8), {"pes": 2})


def test_refused_factors_and_inputs() -> None:
    graph = last(dense("fc", FLAT, 9, 0))()
    config = SparseConfig(pes=4, code_width=8, activation_width=9)
    with pytest.raises(InputError, match=r"^Layer 'fc': its outputs have different factors, and "
                                         r"per_channel is false$"):
        compile_network(graph, config)
    with pytest.raises(InputError, match=r"^Inputs must be from -128 to 127, not 0 to 128$"):
        run_layers(graph, np.arange(129)[None])
    weights = SharedWeights(np.ones((1, 2), np.uint8), np.array([0, 1], np.int32))
    far = dense_layer("far", source_tensor(2, 9), weights, np.zeros(1, np.int64), (1 << 30, 32),
                      (-9, 9))
    with pytest.raises(InputError, match=r"shifts of at most 31, not 32$"):
        compile_network(chain("net", [far]), replace(config, per_channel=True))


def test_graph_files_hold_shared_weights() -> None:
    weights = SharedWeights(np.array([[1, 0], [3, 2]], np.uint8),
                            np.array([0, 400, -3, 8], np.int32), 0.25)
    layer = dense_layer("fc", source_tensor(2, 16, 0.5), weights, np.array([1 << 40, 2]),
                        (1 << 30, 40), (-9, 9), 0.125)
    before = chain("net", [layer], "softmax")
    after = graph_file.load(graph_file.dump(before))
    assert graph_file.dump(after) == graph_file.dump(before)
    assert (after.ending, after.tensors) == ("softmax", before.tensors)
    x = np.array([[5, -7]], np.int32)
    assert np.array_equal(run_layers(after, x)[0], run_layers(before, x)[0])


def cycles(compiled: CompiledNetwork, x: Any) -> list[int]:
    timer, layers = NetworkTimer(compiled), compiled.run(x)
    return [sum(layer.cycles for layer in timer(sample, [values[number] for values in layers]))
            for number, sample in enumerate(x)]


def test_public_network(shared_data: Path) -> None:
    """An autoencoder, TensorFlow Lite's integers in all tensors, and a real 0 that is skipped."""
    interpreter: Any = pytest.importorskip(
        "ai_edge_litert.interpreter", reason="compares with ai-edge-litert")
    from eieio.model.formats import tflite

    path = shared_data / "tflite" / "ad01_int8.tflite"
    graph = tflite.read(path)
    x = np.random.default_rng(8).integers(-128, 128, (3, 640)).astype(np.int8)
    compiled = fit_graph(graph, x[:1], {"pes": 16, "column_groups": 1, "run_width": 5}).compiled
    assert not compiled.config.per_channel
    assert compiled.config.code_width == 8
    model = interpreter.Interpreter(
        model_path=str(path), experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF)
    model.allocate_tensors()
    index = {details["name"]: details["index"] for details in model.get_tensor_details()}
    after = image.load(image.dump(compiled))
    found = after.run(x)
    for number, sample in enumerate(x):
        model.set_tensor(model.get_input_details()[0]["index"], sample[np.newaxis])
        model.invoke()
        for layer, values in zip(layers_of(graph), found, strict=True):
            np.testing.assert_array_equal(
                values[number], model.get_tensor(index[layer.output.name])[0])
    zeros = np.full((1, 640), graph.input.zero_point, np.int8)
    assert cycles(compiled, zeros)[0] < min(cycles(after, x)) - 3000
