"""Compressed networks on disk: round trips, sizes, the bytes themselves, and damaged files."""

import itertools
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pruned_file import dump_pruned

from eieio.model.compress.pruning import magnitude_mask
from eieio.model.compress.weight_sharing import share_weights
from eieio.model.errors import InputError
from eieio.model.formats import compressed, compressed_weights
from eieio.model.formats.compressed import dump, load, read, write
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.weight_codes import WeightCodes

ENCODINGS: list[Any] = ["shared", "huffman"]
CODES = [[0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 2, 0, 1, 0, 1, 2, 0]]


def exactly(message: str) -> str:
    return f"^{re.escape(message)}$"


def bits(array: Any) -> tuple[Any, ...]:
    return array.dtype, array.shape, array.tobytes()


def check_equal(a: FloatGraph, b: FloatGraph) -> None:
    assert a.name == b.name
    for x, y in zip(a.weighted, b.weighted, strict=True):
        assert (x.name, x.rectified) == (y.name, y.rectified)
        assert bits(x.codes) == bits(y.codes)
        assert bits(x.codebook) == bits(y.codebook)
        assert bits(x.bias) == bits(y.bias)


def random_network(seed: int) -> FloatGraph:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 70, size=rng.integers(2, 5))
    layers = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        depth = 2 ** int(rng.integers(2, 9))
        codes = rng.integers(depth, size=(outputs, inputs), dtype=np.uint8)
        codes[rng.random(codes.shape) >= rng.choice([0, 0.01, 0.1, 0.5, 1])] = 0
        codebook = np.zeros(depth, np.float32)
        used = int(rng.integers(1, depth))
        codebook[1:used + 1] = rng.normal(size=used)
        layers.append(fully_connected(f"läyer {i}", WeightCodes(codes, codebook),
                                      rng.normal(size=outputs).astype(np.float32), bool(i % 2)))
    return chain(f"net {seed}", tuple(layers))


def one_layer(codes: Any, codebook: Any = (0, 1.5, -2, 0)) -> FloatGraph:
    codes = np.array(codes, np.uint8)
    weights = WeightCodes(codes, np.array(codebook, np.float32))
    return chain("n", [fully_connected("a", weights, np.ones(len(codes), np.float32), True)])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2 ** 32), st.sampled_from(ENCODINGS))
def test_round_trip(seed: int, encoding: Any) -> None:
    network = random_network(seed)
    data = dump(network, encoding)
    check_equal(load(data), network)
    assert dump(load(data), encoding) == data


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2 ** 32))
def test_pruned_round_trip(seed: int) -> None:
    network = random_network(seed)
    data = dump_pruned(network)
    loaded = load(data)
    assert all(layer.shared is None for layer in loaded.weighted)
    assert loaded.name == network.name
    for x, y in zip(loaded.weighted, network.weighted, strict=True):
        assert (x.name, x.rectified) == (y.name, y.rectified)
        assert bits(x.weight) == bits(y.weight)
        assert bits(x.bias) == bits(y.bias)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("network", [
    one_layer([[0]]), one_layer([[1]]), one_layer(np.zeros((40, 50))), one_layer(np.ones((40, 50))),
    one_layer([[0] * 999 + [2]]), one_layer([[2] + [0] * 999]), one_layer([[0] * 1000 + [1, 2]]),
    one_layer([[1, 2]], [-0.0, 1, -0.0, 0]), one_layer([[1, 3]], [0, 0, 0, 0]),
    one_layer([[1, 3]], [0, 3, 2, -0.0]),
])
def test_corner_cases(network: FloatGraph, encoding: Any) -> None:
    check_equal(load(dump(network, encoding)), network)


def test_bytes_of_shared_weights() -> None:
    # Gaps of 1, 9, 1, 1 and 0 zeros; runs of 1 bit take four fillers, the last zero nothing.
    network = one_layer(CODES)
    body = (
        struct.pack("<H", 1) + b"n"
        + struct.pack("<H", 1) + b"a" + struct.pack("<IIB", 2, 9, 1) + struct.pack("<2f", 1, 1)
        + struct.pack("<BH", 2, 3) + struct.pack("<3f", 0, 1.5, -2)
        + struct.pack("<BQ", 1, 9)
        + bytes([0b01000000, 0b00100101, 0b10000000, 0b11111111, 0b00000000]))
    head = b"\x89EIE\r\n\x1a\n" + struct.pack("<BBQH", 1, 1, 20 + len(body) + 4, 1)
    expected = head + body + struct.pack("<I", zlib.crc32(head + body))
    assert dump(network, "shared") == expected


def test_bytes_of_huffman_streams() -> None:
    # Four codes 1, one 2 and one 3, runs 0: 0 0 0 0 10 11, and runs of no bits.
    data = dump(one_layer([[1, 1, 1], [1, 2, 3]]))
    # Code lengths 0 and 1, then 2 and 2.
    stream = bytes([0x01, 0x22]) + struct.pack("<Q", 1) + bytes([0b00001011])
    assert data[:10] == b"\x89EIE\r\n\x1a\n\x01\x02"
    assert data[-4 - len(stream) - 9:-4] == struct.pack("<BQ", 0, 6) + stream


def test_bytes_of_pruned_weights() -> None:
    weight = np.array([[0, 0, 0, 2.5], [-1, 0, 0, 0]], np.float32)
    network = chain("n", (fully_connected("a", weight, np.zeros(2, np.float32)),))
    entries = struct.pack("<BQ", 2, 2) + struct.pack("<2f", 2.5, -1) + bytes([0b11000000])
    data = dump_pruned(network)
    assert (data[8], data[9]) == (1, 0)
    assert data[-4 - len(entries):-4] == entries


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_run_width_is_the_best(encoding: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    widths = compressed_weights._run_widths
    for density in (0.01, 0.05, 0.3, 1):
        codes = rng.integers(1, 16, size=(60, 70)) * (rng.random((60, 70)) < density)
        network = one_layer(codes, [0, *rng.normal(size=15)])
        sizes = {}
        for width in range(9):
            monkeypatch.setattr(
                compressed_weights, "_run_widths", lambda gaps, width=width: [widths(gaps)[width]])
            sizes[width] = len(dump(network, encoding))
            check_equal(load(dump(network, encoding)), network)
            monkeypatch.undo()
        assert len(set(sizes.values())) > 5
        assert len(dump(network, encoding)) == min(sizes.values())


def test_stages_shrink() -> None:
    rng = np.random.default_rng(7)
    layers = []
    for inputs, outputs in ((784, 300), (300, 100), (100, 10)):
        weight = rng.normal(size=(outputs, inputs)).astype(np.float32)
        weight[~magnitude_mask(weight, 0.08)] = 0
        layers.append(fully_connected(f"{outputs}", weight, np.zeros(outputs, np.float32), True))
    network = chain("like LeNet-300-100", tuple(layers))
    shared = share_weights(network, 4)
    sizes = len(dump_pruned(network)) / 3.5, len(dump(shared, "shared")), len(dump(shared))
    assert 32_000 > sizes[0] > sizes[1] > sizes[2]


def test_lenet(shared_data: Path) -> None:
    with np.load(shared_data / "lenet" / "lenet_300_100_original.npz") as arrays:
        layers = []
        for i in (1, 2, 3):
            weight = arrays[f"ip{i}_weight"]
            weight[~magnitude_mask(weight, 0.08)] = 0
            layers.append(fully_connected(f"ip{i}", weight, arrays[f"ip{i}_bias"], i < 3))
    network = chain("lenet_300_100", tuple(layers))
    shared = share_weights(network, 4)
    assert len(dump_pruned(network)) < 110_000
    assert len(dump(shared, "shared")) < 30_000
    assert len(dump(shared)) < 24_000
    check_equal(load(dump(shared)), shared)


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "net.eie"
    for encoding in ENCODINGS:
        write(path, random_network(1), encoding)
        assert path.read_bytes() == dump(random_network(1), encoding)
        check_equal(read(path), random_network(1))
        assert list(tmp_path.iterdir()) == [path]


def test_wrong_file(tmp_path: Path) -> None:
    path = tmp_path / "net.eie"
    path.write_bytes(b"PK\x03\x04 and so on")
    message = exactly(f"{path}: Compressed network must begin with the signature of an .eie file, "
                      "not b'PK\\x03\\x04 and'")
    with pytest.raises(InputError, match=message):
        read(path)


def test_wrong_encoding() -> None:
    encoding: Any = "pruned"
    message = exactly("Encoding must be 'shared' or 'huffman', not 'pruned'")
    with pytest.raises(InputError, match=message):
        dump(random_network(1), encoding)


@pytest.mark.parametrize(("name", "message"), [
    ("x" * 65536, "Name must be at most 65535 bytes long, not 65536"),
    ("\ud800", "Name must be Unicode text, not '\\ud800'"),
])
def test_wrong_name(name: str, message: str) -> None:
    with pytest.raises(InputError, match=exactly(message)):
        dump(replace(random_network(1), name=name))


def test_too_large() -> None:
    message = exactly("Network 'n' must have at most 65535 layers, not 65536")
    with pytest.raises(InputError, match=message):
        compressed._file("n", 1, 1, [b""] * 65536)
    message = exactly("Layer 'a' must have at most 1073741824 weights, not 1073774592")
    with pytest.raises(InputError, match=message):
        compressed._chain_head("a", (32768, 32769), True)


@pytest.mark.parametrize("data", [
    dump(random_network(3)), dump(random_network(3), "shared"),
])
def test_any_truncation_or_damage(data: bytes) -> None:
    sizes = sorted({*range(40), *range(40, len(data), 97), len(data) - 1})
    for size in sizes:
        with pytest.raises(InputError, match=r"^Compressed network must .*, not .*$"):
            load(data[:size])
    for offset in sizes:
        with pytest.raises(InputError, match=r"^Compressed network must .*, not .*$"):
            load(data[:offset] + bytes([data[offset] ^ 1 << offset % 8]) + data[offset + 1:])
    with pytest.raises(InputError, match=r"^Compressed network must .*, not .*$"):
        load(data + b"\0")


def forged(data: bytes, edits: dict[int, bytes]) -> bytes:
    """Replace bytes, or append them, and mend length and checksum."""
    body = bytearray(data[:-4])
    for offset, new in edits.items():
        body[offset:offset + len(new)] = new
    body[10:18] = struct.pack("<Q", len(body) + 4)
    return bytes(body) + struct.pack("<I", zlib.crc32(body))


# Offsets in the file of test_bytes_of_shared_weights.
FORGERIES = [
    ({9: b"\3"}, "Compressed network must have encoding 0, 1 or 2 at byte 9, not 3"),
    ({18: b"\0"}, "Network 'n' must have at least one layer"),
    ({18: b"\2"},
     ("Compressed network must hold 2 bytes of the length of a layer's name "
      "at byte 72, not 0")),
    ({20: b"\xff"},
     "Compressed network must hold 255 bytes of the network's name at byte 22, not 50"),
    ({22: b"\xff"},
     "Compressed network must hold UTF-8 in the network's name at byte 22, not b'\\xff'"),
    ({26: b"\0"}, "Layer 'a': shape must not be empty at byte 26, not (0, 9)"),
    ({30: struct.pack("<I", 1 << 30)},
     "Layer 'a': shape must have at most 1073741824 weights at byte 26, not 2147483648"),
    ({34: b"\2"}, "Layer 'a': rectifier must be 0 or 1 at byte 34, not 2"),
    ({35: struct.pack("<f", np.nan)}, "Layer 'a': bias must be finite, not nan at (0,)"),
    ({43: b"\1"}, "Layer 'a': code width must be from 2 to 8 at byte 43, not 1"),
    ({44: b"\5"}, "Layer 'a': codebook must hold at most 4 weights at byte 44, not 5"),
    ({46: struct.pack("<f", 1)},
     "Layer 'a': codebook must be finite and begin with the weight 0"),
    ({58: b"\x09"}, "Layer 'a': run width must be from 0 to 8 at byte 58, not 9"),
    ({59: b"\x13"},
     "Layer 'a': number of entries must be at most 18 at byte 59, not 19"),
    ({59: b"\x11"},
     "Compressed network must hold 3 bytes of the runs of layer 'a' at byte 72, not 0"),
    ({69: b"\x81"},
     "Compressed network must hold zeros after the codes of layer 'a' at byte 69, not 0x81"),
    ({70: b"\xbf"}, "Layer 'a': filler must have run 1 at entry 1, not 0"),
    ({30: b"\x08"}, "Layer 'a': entries must be for 16 weights, not 17"),
    ({72: b"\0"}, "Compressed network must end at byte 72, not at byte 73, before its checksum"),
]


@pytest.mark.parametrize(("edits", "message"), FORGERIES)
def test_forged_file(edits: dict[int, bytes], message: str) -> None:
    data = dump(one_layer(CODES), "shared")
    with pytest.raises(InputError, match=exactly(message)):
        load(forged(data, edits))


@pytest.mark.parametrize(("change", "message"), [
    (lambda data: data[:30],
     "Compressed network must be 76 bytes long, as byte 10 says, not 30"),
    (lambda data: data[:20], "Compressed network must be at least 24 bytes long, not 20"),
    (lambda data: b"", "Compressed network must begin with the signature of an .eie file, not b''"),
    (lambda data: data[:8] + b"\7" + data[9:],
     "Compressed network must have version 1 or 2 at byte 8, not 7"),
])
def test_foreign_file(change: Callable[[bytes], bytes], message: str) -> None:
    data = dump(one_layer(CODES), "shared")
    with pytest.raises(InputError, match=exactly(message)):
        load(change(data))


def test_checksum() -> None:
    data = dump(one_layer([[1]]))
    damaged = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
    message = exactly(f"Compressed network must have checksum {zlib.crc32(damaged[:-4]):08x} "
                      f"at byte {len(data) - 4}, not {zlib.crc32(data[:-4]):08x}")
    with pytest.raises(InputError, match=message):
        load(damaged)


def test_forged_huffman_stream() -> None:
    data = dump(one_layer([[1, 1, 1], [1, 2, 3]]))
    place = len(data) - 5
    message = exactly(f"Compressed network at byte {place}, the codes of layer 'a': "
                      "Huffman data must hold 6 symbols, not end at bit 8 after 4")
    with pytest.raises(InputError, match=message):
        load(forged(data, {place: b"\xff"}))
