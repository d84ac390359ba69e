"""Compression from end to end, and its sizes."""

import numpy as np
import pytest
from pruned_file import dump_pruned

from eieio.model.compress.stages import compress_network
from eieio.model.errors import InputError
from eieio.model.formats import compressed
from eieio.model.graph.chain import chain, fully_connected

RNG = np.random.default_rng(1)
NETWORK = chain("net", (
    fully_connected("a", RNG.normal(size=(50, 40)).astype(np.float32), np.zeros(50, np.float32),
                    True),
    fully_connected("b", RNG.normal(size=(10, 50)).astype(np.float32), np.zeros(10, np.float32))))


def test_sizes_are_of_the_files() -> None:
    compression = compress_network(NETWORK, density=[0.1])
    dense, pruned, shared, huffman = compression.stages()
    assert [stage.name for stage in (dense, pruned, shared, huffman)] == [
        "float32", "pruned", "shared", "huffman"]
    assert (dense.bytes, dense.density) == (4 * (2500 + 60), 1.0)
    assert pruned.bytes == len(dump_pruned(compression.pruned))
    assert shared.bytes == len(compressed.dump(compression.shared, "shared"))
    assert huffman.bytes == len(compressed.dump(compression.shared))
    assert dense.bytes > pruned.bytes > shared.bytes
    for stage in (pruned, shared, huffman):
        assert stage.density == 0.1
        assert stage.ratio == dense.bytes / stage.bytes
        assert stage.bits_per_weight == 8 * stage.bytes / 2500
        assert stage.bits_per_nonzero == 8 * stage.bytes / 250


def test_layers() -> None:
    compression = compress_network(NETWORK, density=[0.1, 0.5], code_width=3)
    assert [layer["density"] for layer in compression.layers()] == [0.1, 0.5]
    assert [layer["code_width"] for layer in compression.layers()] == [3, 3]
    assert [layer["different_weights"] for layer in compression.layers()] == [7, 7]


def test_layers_tell_the_bits_of_the_files() -> None:
    """Sizes and bits add up to those of the files; what is left are tables and headers."""
    compression = compress_network(NETWORK, density=[0.1, 0.5], code_width=3)
    layers = compression.layers()
    encodings: list[tuple[compressed.Encoding, str, str]] = [
        ("shared", "", "bytes_shared"), ("huffman", "_huffman", "bytes")]
    for encoding, bits, size in encodings:
        data = compressed.dump(compression.shared, encoding)
        assert len(data) - 40 < sum(layer[size] for layer in layers) < len(data)
        stored = compressed.layer_weights(compression.shared, encoding)
        for layer, weights in zip(layers, stored, strict=True):
            assert weights.codes in data
            assert weights.runs in data
            assert weights.entries >= round(layer["density"] * layer["weights"])
            assert layer[f"weight_bits{bits}"] == pytest.approx(
                8 * len(weights.codes) / weights.entries, abs=8 / weights.entries)
            assert layer[f"run_bits{bits}"] == pytest.approx(
                8 * len(weights.runs) / weights.entries, abs=8 / weights.entries)
    assert [layer["weight_bits"] for layer in layers] == [3, 3]


def test_few_different_weights_are_shared_exactly() -> None:
    values = RNG.normal(size=15).astype(np.float32)
    weight = values[RNG.integers(0, 15, (30, 20))] * (RNG.random((30, 20)) < 0.3)
    network = chain("net", (
        fully_connected("a", weight.astype(np.float32), np.zeros(30, np.float32), True),))
    compression = compress_network(network)
    assert np.array_equal(compression.shared.weighted[0].weight, weight)


def test_shared_weights_stay() -> None:
    shared = compress_network(NETWORK, code_width=4).shared
    for code_width in (None, 4, 6):
        assert compress_network(shared, code_width=code_width).shared is shared
    assert compress_network(shared, code_width=3).shared.weighted[0].code_width == 3
    assert compress_network(shared, density=[0.5]).shared.weighted[0].code_width == 4


def test_all_pruned() -> None:
    stages = compress_network(NETWORK, density=[0]).stages()
    assert [stage.density for stage in stages] == [1, 0, 0, 0]


def test_refuses() -> None:
    with pytest.raises(InputError, match=r"^Pruning takes a density or a quality, not both$"):
        compress_network(NETWORK, density=[0.1], quality=[1])
    with pytest.raises(InputError, match=r"^Quality must be given once or for 2 layers, not for "
                                         r"3$"):
        compress_network(NETWORK, quality=[1, 1, 1])
