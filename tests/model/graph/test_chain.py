"""Chains of fully connected layers: what is one, and what is not."""

import re
from typing import Any

import numpy as np
import pytest

from eieio.model.compress.weight_sharing import share_weights
from eieio.model.errors import InputError
from eieio.model.graph.chain import as_chain, chain, end, ending, fully_connected
from eieio.model.graph.float_graph import (
    Clamp,
    FloatGraph,
    FullyConnected,
    LogSoftmax,
    Operator,
    Reshape,
    Softmax,
    Value,
)

RNG = np.random.default_rng(2)
IMAGE, FLAT, HIDDEN, CLAMPED, SCORES, Y = (Value(name, shape) for name, shape in (
    ("image", (2, 3, 4)), ("flat", (24,)), ("hidden", (5,)), ("clamped", (5,)), ("scores", (1, 3)),
    ("y", (1, 3))))
WEIGHTS = RNG.normal(size=(5, 24)), RNG.normal(size=(3, 5))


def network(*, softmax: type[Operator] = Softmax, maximum: float = np.inf,
            scale: np.ndarray | None = None, skip: bool = False) -> FloatGraph:
    """Image, two layers with a rectifier between, and softmax; with one thing that is wrong."""
    return FloatGraph("net", IMAGE, Y, (
        Reshape(name="flatten", inputs=(IMAGE,), output=FLAT),
        FullyConnected(name="fc1", inputs=(FLAT,), output=HIDDEN, weight=WEIGHTS[0],
                       bias=RNG.normal(size=5), weight_scale=scale),
        Clamp(name="relu", inputs=(HIDDEN,), output=CLAMPED, minimum=0.0, maximum=maximum),
        FullyConnected(name="fc2", inputs=(HIDDEN if skip else CLAMPED,), output=SCORES,
                       weight=WEIGHTS[1], bias=RNG.normal(size=3)),
        softmax(name="end", inputs=(SCORES,), output=Y)), channels_first=True)


@pytest.mark.parametrize("shared", [False, True])
def test_input_is_in_the_order_of_the_file(shared: bool) -> None:
    graph = share_weights(network(), 6) if shared else network()
    plain = as_chain(graph)
    assert [type(operator) for operator in plain.operators] == [
        FullyConnected, FullyConnected, Softmax]
    assert [layer.rectified for layer in plain.weighted] == [True, False]
    assert plain.input.shape == (24,)
    assert as_chain(plain) is plain
    x = RNG.normal(size=(7, 2, 3, 4))
    np.testing.assert_allclose(plain.forward(x.transpose(0, 3, 1, 2).reshape(7, -1)),
                               graph.forward(x), rtol=1e-5)
    assert plain.weighted[0].weight.dtype == np.float32
    assert (plain.weighted[0].shared is not None) == shared


def test_ending() -> None:
    for kind, name in ((Softmax, "softmax"), (LogSoftmax, "log_softmax")):
        graph = as_chain(network(softmax=kind))
        assert ending(graph) == name
        logits = np.array([[1000.0, 1001, 0]])
        probabilities = np.array([[1, np.e, 0]]) / (1 + np.e)
        expected = probabilities if kind is Softmax else np.array(
            [[-1.3132617, -0.3132617, -1001.3132617]])
        np.testing.assert_allclose(end(ending(graph), logits), expected, rtol=1e-5)
    layers: Any = as_chain(network()).weighted
    plain = chain("net", layers)
    assert ending(plain) == "none"
    assert end("none", np.ones((2, 3))).dtype == np.float32


@pytest.mark.parametrize(("graph", "message"), [
    (network(maximum=6.0),
     "Clamp 'relu' must clamp its results as a rectifier does, if at all, not to 0 and 6"),
    (network(scale=np.ones(5)),
     "FullyConnected 'fc1' must have weights of real numbers, not of 8-bit integers"),
    (network(skip=True),
     "FullyConnected 'fc2' must take 'clamped', the end of the chain so far, not 'hidden'"),
])
def test_other_networks_are_refused(graph: FloatGraph, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        as_chain(graph)


def test_layers_that_do_not_fit() -> None:
    layers = [fully_connected(name, np.ones(shape, np.float32), np.zeros(shape[0], np.float32))
              for name, shape in (("a", (3, 2)), ("b", (2, 4)))]
    with pytest.raises(InputError, match=r"^Layer 'b' must have 3 inputs, the outputs of layer "
                                         r"'a', not 4$"):
        chain("net", layers)
    with pytest.raises(InputError, match=r"^Network 'net' must have at least one layer$"):
        chain("net", [])
    wrong: list[tuple[Any, Any, str]] = [
        (np.ones((2, 2)), np.zeros(2, np.float32),
         "weight must be a float32 array, not float64"),
        (np.ones((2, 2, 1), np.float32), np.zeros(2, np.float32),
         "weight must be a non-empty array of shape (outputs, inputs), not (2, 2, 1)"),
        (np.ones((2, 2), np.float32), np.zeros(3, np.float32),
         "bias must have shape (2,), not (3,)"),
        (np.full((2, 2), np.inf, np.float32), np.zeros(2, np.float32),
         "weight must be finite, not inf at (0, 0)")]
    for weight, bias, message in wrong:
        with pytest.raises(InputError, match=f"^Layer 'a': {re.escape(message)}$"):
            fully_connected("a", weight, bias)
