"""Compressed networks that are no chains: convolutions, branches, and damaged descriptions."""

import json
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from pruned_file import dump_pruned

from eieio.model.compress.stages import compress_network
from eieio.model.errors import InputError
from eieio.model.formats.compressed import dump, layer_sizes, load
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import (
    Add,
    AveragePool,
    Clamp,
    Conv2D,
    DepthwiseConv2D,
    FloatGraph,
    FullyConnected,
    MaxPool,
    Pad,
    Quantize,
    Reshape,
    Softmax,
    Value,
    run,
)
from eieio.model.graph.quantized_graph import Window

RNG = np.random.default_rng(1)


def draw(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def residual_network() -> FloatGraph:
    """Every kind of operator that a file can hold."""
    x, padded, conv, deep, clamped = (Value(name, shape) for name, shape in (
        ("x", (6, 5, 2)), ("padded", (8, 7, 2)), ("conv", (6, 5, 4)), ("deep", (6, 5, 4)),
        ("clamped", (6, 5, 4))))
    total, pooled, mean, flat, scores, y = (Value(name, shape) for name, shape in (
        ("total", (6, 5, 4)), ("pooled", (3, 2, 4)), ("mean", (1, 1, 4)), ("flat", (4,)),
        ("scores", (3,)), ("y", (3,))))
    return FloatGraph("rest", x, y, (
        Pad(name="pad", inputs=(x,), output=padded, padding=((1, 1), (1, 1), (0, 0))),
        Conv2D(name="cönv", inputs=(padded,), output=conv, weight=draw(4, 3, 3, 2), bias=draw(4),
               window=Window((3, 3)), minimum=0.0),
        DepthwiseConv2D(name="deep", inputs=(conv,), output=deep, weight=draw(3, 3, 4),
                        bias=draw(4), window=Window((3, 3), padding=((1, 1), (1, 1)))),
        Clamp(name="clamp", inputs=(deep,), output=clamped, minimum=-1.0, maximum=6.0),
        Add(name="add", inputs=(conv, clamped), output=total),
        MaxPool(name="pool", inputs=(total,), output=pooled, window=Window((2, 2), (2, 2))),
        AveragePool(name="mean", inputs=(pooled,), output=mean, window=Window((3, 2))),
        Reshape(name="flat", inputs=(mean,), output=flat),
        FullyConnected(name="fc", inputs=(flat,), output=scores, weight=draw(3, 4), bias=draw(3)),
        Softmax(name="end", inputs=(scores,), output=y)), channels_first=True)


def check_equal(one: FloatGraph, other: FloatGraph) -> None:
    assert (one.name, one.input, one.output, one.channels_first) == (
        other.name, other.input, other.output, other.channels_first)
    for a, b in zip(one.operators, other.operators, strict=True):
        assert type(a) is type(b)
        for field in fields(a):
            ours, theirs = getattr(a, field.name), getattr(b, field.name)
            if isinstance(ours, np.ndarray):
                assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
                assert ours.tobytes() == theirs.tobytes()
            elif field.name != "shared":
                assert ours == theirs
    for a, b in zip(one.weighted, other.weighted, strict=True):
        assert (a.shared is None) == (b.shared is None)
        if a.shared is not None:
            assert np.array_equal(a.codes, b.codes)
            assert np.array_equal(a.codebook, b.codebook)


def test_dense_weights() -> None:
    network = residual_network()
    data = dump(network)
    assert data[8] == 2
    check_equal(load(data), network)
    x = draw(2, 6, 5, 2)
    assert np.array_equal(run(load(data), x)["y"], run(network, x)["y"])


@pytest.mark.parametrize("encoding", ["huffman", "shared"])
def test_shared_weights(encoding: Any) -> None:
    compression = compress_network(residual_network(), density=[0.5, 1, 0.3],
                                   code_width=[3, 4, 2])
    shared = compression.shared
    assert [layer.code_width for layer in shared.weighted] == [3, 4, 2]
    assert [np.count_nonzero(layer.codes) for layer in shared.weighted] == [36, 36, 4]
    data = dump(shared, encoding)
    check_equal(load(data), shared)
    assert dump(load(data), encoding) == data
    # All that is not of a layer: the header, the name, the description and the checksum.
    rest = len(data) - sum(layer_sizes(shared, encoding))
    assert rest == 22 + 4 + 4 + struct.unpack_from("<I", data, 26)[0] + 4
    assert [layer["bytes"] for layer in compression.layers()] == layer_sizes(shared)
    assert [layer["kind"] for layer in compression.layers()] == [
        "Conv2D", "DepthwiseConv2D", "FullyConnected"]


def test_some_weights_are_shared() -> None:
    network = residual_network()
    _, *rest = network.weighted
    shared = compress_network(network).shared
    mixed = network.with_weighted([shared.weighted[0], *rest])
    check_equal(load(dump(mixed)), mixed)
    check_equal(load(dump_pruned(mixed)), network.with_weighted(
        load(dump_pruned(mixed)).weighted))


def test_chains_stay_of_the_first_version() -> None:
    layers = [fully_connected("a", draw(3, 4), draw(3), True), fully_connected("b", draw(2, 3),
                                                                               draw(2))]
    plain = chain("net", layers, "softmax")
    for network in (plain, compress_network(plain).shared):
        assert dump(network)[8] == 1
        check_equal(load(dump(network)), network)
    _, second = plain.weighted
    mixed = plain.with_weighted([compress_network(plain).shared.weighted[0], second])
    assert dump(mixed)[8] == 2
    check_equal(load(dump(mixed)), mixed)


def test_refuses_integers() -> None:
    x, y = Value("x", (3,)), Value("y", (3,))
    network = FloatGraph("net", x, y, (
        Quantize(name="q", inputs=(x,), output=y, scale=1.0, zero_point=0),))
    with pytest.raises(InputError, match=r"^Network 'net' is quantized to 8 bits, at 'q': it must "
                                         r"be one of real numbers to be stored$"):
        dump(network)
    with pytest.raises(InputError, match=r"^Network 'net' must have weights to be compressed$"):
        compress_network(network)


def test_any_truncation_or_damage() -> None:
    data = dump(compress_network(residual_network()).shared)
    places = [*range(60), *range(60, len(data), 13)]
    for place in places:
        for damaged in (data[:place],
                        data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1:]):
            with pytest.raises(InputError, match=r"^Compressed network must .*, not .*$"):
                load(damaged)


def forged(change: Callable[[dict[str, Any]], None]) -> bytes:
    """File with another description, and length and checksum that fit."""
    data = dump(residual_network())
    size, = struct.unpack_from("<I", data, 26)
    description = json.loads(zlib.decompress(data[30:30 + size]))
    change(description)
    packed = zlib.compress(json.dumps(description).encode())
    body = bytearray(data[:26] + struct.pack("<I", len(packed)) + packed + data[30 + size:-4])
    body[10:18] = struct.pack("<Q", len(body) + 4)
    return bytes(body) + struct.pack("<I", zlib.crc32(body))


def set_operator(number: int, key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found["operators"][number].__setitem__(key, value)


DAMAGED = "Compressed network must describe its operators; it is damaged"


@pytest.mark.parametrize(("change", "message"), [
    (lambda found: found.pop("values"), DAMAGED),
    (lambda found: found["values"][0].__setitem__(1, [6, -5, 2]), DAMAGED),
    (set_operator(0, "kind", "Stack"), DAMAGED),
    (set_operator(1, "weight", [4, 3, 3, 2.5]), DAMAGED),
    (set_operator(1, "window", [[3, 3], [0, 1], [1, 1], [[0, 0], [0, 0]]]),
     "Stride must be positive, not (0, 1)"),
    (set_operator(1, "window", [[3, 3], [1, 1]]), DAMAGED),
    (set_operator(1, "window", [[3, 3], [1, 1], [1.0, 1], [[0, 0], [0, 0]]]), DAMAGED),
    (set_operator(1, "window", [[3, 3], [1, 1], [1, 1], [[0, 0], [0, 0, 0]]]), DAMAGED),
    (set_operator(1, "window", [[3, 3], [1, 1], [1, 1], [[3, 0], [0, 0]]]),
     "Padding must be from 0 to 2, less than the window's extent, not (3, 0)"),
    (set_operator(0, "padding", [[1.0, 1.0], [1, 1], [0, 0]]), DAMAGED),
    (set_operator(3, "minimum", "least"), DAMAGED),
    (set_operator(1, "weight", [1 << 15, 1 << 16]),
     "Layer 'cönv' must have at most 1073741824 weights, not 2147483648"),
    (set_operator(1, "weight", [4, 3, 2, 3]), "Conv2D 'cönv' must fit its operands"),
    (set_operator(4, "inputs", ["conv", "x"]), "Add 'add' must fit its operands"),
    (set_operator(4, "inputs", ["conv", "y"]),
     ("Add 'add' must take the network's input or outputs of operators before it, and have an "
      "output of its own")),
    (set_operator(3, "minimum", 7),
     "Clamp 'clamp' must have minimum and maximum in order, not 7.0 and 6.0"),
    (set_operator(5, "output", "mean"),
     ("MaxPool 'pool' must have an output of shape (3, 2, 4), of at most 67108864 elements, not "
      "(1, 1, 4)")),
    (lambda found: found.update(operators=found["operators"][:-2]),
     "Compressed network must describe 3 layers with weights, not 2"),
    (lambda found: found.update(operators=found["operators"][:-1]),
     "Network 'rest': output 'y' must be computed by an operator"),
])
def test_forged_description(change: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        load(forged(change))
