"""Deep Compression's .net: SqueezeNet as published, LeNet there and back, and refusals."""

import contextlib
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from net_files import compressed_layer, encode, write, write_network
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats import npz
from eieio.model.formats.deep_compression import CompressedLayer, read, read_network
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.weight_codes import WeightCodes


def compressed(shape: tuple[int, ...], density: float, seed: int = 0) -> CompressedLayer:
    rng = np.random.default_rng(seed)
    depth = 256 if len(shape) == 4 else 16
    codes = rng.integers(1, depth, size=shape, dtype=np.uint8)
    codes[rng.random(shape) >= density] = 0
    codebook = rng.normal(size=depth).astype(np.float32)
    codebook[0] = 0
    return compressed_layer(
        f"ip{seed}", codes, codebook, rng.normal(size=shape[0]).astype(np.float32))


def shared_network(*sizes: int, density: float = 0.1) -> FloatGraph:
    layers = [compressed((outputs, inputs), density, seed)
              for seed, (inputs, outputs) in enumerate(pairwise(sizes))]
    return chain("mlp", tuple(
        fully_connected(layer.name, WeightCodes(layer.codes_dense, layer.codebook), layer.bias,
                        seed % 2 == 0)
        for seed, layer in enumerate(layers)))


def decode_slowly(codes: NDArray[np.uint8], runs: NDArray[np.uint8], size: int) -> list[int]:
    """Expand entries one at a time, by the words of the format."""
    dense: list[int] = []
    for code, run in zip(codes.tolist(), runs.tolist(), strict=True):
        dense += [0] * run + [code]
    return dense + [0] * (size - len(dense))


@settings(deadline=None)
@given(gaps=st.lists(st.integers(0, 70), max_size=20), tail=st.integers(0, 40))
def test_encode(gaps: list[int], tail: int) -> None:
    dense = [code for index, gap in enumerate(gaps) for code in [0] * gap + [index + 1]]
    dense += [0] * tail
    codes, runs = encode(np.array(dense, np.uint8))
    assert codes.dtype == runs.dtype == np.uint8
    assert decode_slowly(codes, runs, len(dense)) == dense
    # As few entries as there can be: one for each weight, and one for every 16 zeros skipped.
    assert len(codes) == len(gaps) + sum(gap // 16 for gap in gaps)
    assert (runs[codes == 0] == 15).all()


@pytest.mark.parametrize(("gap", "codes", "runs"), [
    (15, [7], [15]), (16, [0, 7], [15, 0]), (31, [0, 7], [15, 15]), (32, [0, 0, 7], [15, 15, 0]),
])
def test_encode_gap(gap: int, codes: list[int], runs: list[int]) -> None:
    one, two = encode(np.array([[0] * gap + [7]], np.uint8))
    assert (one.tolist(), two.tolist()) == (codes, runs)


def test_encode_dtype() -> None:
    codes: Any = np.zeros(3, np.int64)
    with pytest.raises(InputError, match=r"^Codes must be a uint8 array, not int64$"):
        encode(codes)


@pytest.mark.parametrize("shape", [(5, 9), (4, 3, 3, 2)])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
def test_layer(shape: tuple[int, ...], density: float) -> None:
    layer = compressed(shape, density)
    dense = decode_slowly(layer.codes, layer.runs, layer.size)
    assert layer.size == np.prod(shape)
    assert layer.codes_dense.ravel().tolist() == dense
    assert layer.weight.shape == shape
    assert layer.weight.dtype == np.float32
    assert (layer.weight.ravel() == layer.codebook[dense]).all()
    assert layer.entries - layer.fillers == np.count_nonzero(dense)


@pytest.mark.parametrize(("changes", "message"), [
    ({"shape": (3,)},
     "shape must be (outputs, inputs) or (outputs, channels, height, width), not (3,)"),
    ({"codes": np.zeros(2, np.int8)},
     "codes must be a uint8 array of shape (2,), not int8 of shape (2,)"),
    ({"runs": np.zeros(2, np.uint8)},
     "runs must be a uint8 array of shape (3,), not uint8 of shape (2,)"),
    ({"runs": np.full(3, 16, np.uint8)}, "runs must be below 16, not 16"),
    ({"runs": np.full(3, 9, np.uint8)}, "runs must stay within the 12 weights, not reach 30"),
    ({"codes": np.full(3, 16, np.uint8)}, "codes must be below 16, not 16"),
    ({"codebook": np.zeros(256, np.float32)},
     "codebook must be a float32 array of shape (16,), not float32 of shape (256,)"),
    ({"codebook": np.ones(16, np.float32)}, "codebook must begin with the weight 0, not 1.0"),
    ({"bias": np.full(3, np.nan, np.float32)}, "bias must be finite, not nan"),
])
def test_layer_refuses(changes: dict[str, Any], message: str) -> None:
    layer = CompressedLayer("a", (3, 4), np.array([1, 2, 3], np.uint8), np.zeros(3, np.uint8),
                            np.arange(16, dtype=np.float32), np.zeros(3, np.float32))
    with pytest.raises(InputError, match=f"^Layer 'a': {re.escape(message)}$"):
        replace(layer, **changes)


def test_squeezenet(tmp_path: Path, shared_data: Path) -> None:
    path = shared_data / "squeezenet" / "compressed_SqueezeNet.net"
    layers = read(path)
    assert len(layers) == 26
    assert sum(layer.size for layer in layers) == 1_244_448
    assert sum(layer.entries for layer in layers) == 422_083
    assert sum(layer.fillers for layer in layers) == 6_162
    assert layers[1].name == "fire2/conv1x1_1"
    assert layers[-1].weight.shape == (1000, 512, 1, 1)
    for layer in layers:
        codes, runs = encode(layer.codes_dense)
        assert (codes == layer.codes).all()
        assert (runs == layer.runs).all()

    write(tmp_path / "copy.net", layers)
    assert (tmp_path / "copy.net").stat().st_size == 675_763
    assert (tmp_path / "copy.net").read_bytes() == path.read_bytes()


def test_lenet(tmp_path: Path, shared_data: Path) -> None:
    dense = npz.read(shared_data / "lenet" / "lenet_300_100_sparse.npz")
    layers = []
    for layer in dense.weighted:
        nonzero = np.abs(layer.weight[layer.weight != 0])
        levels = np.quantile(nonzero, np.linspace(0, 1, 15)).astype(np.float32)
        codes = np.where(layer.weight == 0, 0, np.searchsorted(levels, np.abs(layer.weight)) + 1)
        weights = WeightCodes(np.minimum(codes, 15).astype(np.uint8),
                                np.concatenate([[np.float32(0)], levels]))
        layers.append(fully_connected(layer.name, weights, layer.bias, layer.rectified))
    network = chain("lenet", tuple(layers))

    write_network(tmp_path / "lenet.net", network)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lenet.net", "lenet.prototxt"]
    assert_same(read_network(tmp_path / "lenet.net"), network)

    write(tmp_path / "again.net", read(tmp_path / "lenet.net"))
    assert (tmp_path / "again.net").read_bytes() == (tmp_path / "lenet.net").read_bytes()


def assert_same(one: FloatGraph, other: FloatGraph) -> None:
    assert one.name == other.name
    for a, b in zip(one.weighted, other.weighted, strict=True):
        assert (a.name, a.rectified) == (b.name, b.rectified)
        assert (a.codes == b.codes).all()
        assert a.codebook.tobytes() == b.codebook.tobytes()
        assert a.bias.tobytes() == b.bias.tobytes()


@settings(deadline=None, max_examples=25,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=4), density=st.floats(0, 1))
def test_round_trip(tmp_path: Path, sizes: list[int], density: float) -> None:
    network = shared_network(*sizes, density=density)
    write_network(tmp_path / "mlp.net", network)
    assert_same(read_network(tmp_path / "mlp.net"), network)


def test_short_codebook_is_filled_up(tmp_path: Path) -> None:
    weights = WeightCodes(np.array([[0, 3]], np.uint8), np.arange(4, dtype=np.float32))
    layer = fully_connected("ip", weights, np.zeros(1, np.float32))
    write_network(tmp_path / "a.net", chain("a", (layer,)))
    back = read_network(tmp_path / "a.net").weighted[0]
    assert back.codebook.tolist() == [0, 1, 2, 3] + [0] * 12
    assert back.codes.tolist() == [[0, 3]]


def test_prototxt_is_found(tmp_path: Path) -> None:
    network = shared_network(4, 3, 2)
    path = tmp_path / "a.net"
    write_network(path, network)
    own = tmp_path / "a.prototxt"
    assert len(read(path)) == 2
    own.rename(tmp_path / "b.prototxt")
    assert len(read(path)) == 2
    shutil.copy(tmp_path / "b.prototxt", tmp_path / "c.prototxt")
    message = f"{path} must have its prototxt a.prototxt beside it"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        read(path)
    assert len(read(path, tmp_path / "c.prototxt")) == 2


def test_write_refuses(tmp_path: Path) -> None:
    codes = np.zeros((1, 1), np.uint8)
    wide = fully_connected("ip", WeightCodes(codes, np.arange(32, dtype=np.float32)),
                           np.zeros(1, np.float32))
    with pytest.raises(InputError, match=r"^Layer 'ip': codes must have at most 4 bits to be "
                                         r"written to a \.net file, not 5$"):
        write_network(tmp_path / "a.net", chain("a", (wide,)))
    data = fully_connected("data", WeightCodes(codes, np.arange(16, dtype=np.float32)),
                           np.zeros(1, np.float32))
    with pytest.raises(InputError, match=r"^Layer 'data': name must be unique to be written$"):
        write_network(tmp_path / "a.net", chain("a", (data,)))
    with pytest.raises(InputError, match=r"a\.prototxt must not end in \.prototxt, the suffix of"):
        write_network(tmp_path / "a.prototxt", shared_network(2, 2))
    with pytest.raises(InputError, match=r"a\.net must have at least one layer$"):
        write(tmp_path / "a.net", [])
    assert not list(tmp_path.iterdir())


# A file of two layers, 'ip0' of shape (3, 20) and 'ip1' of shape (2, 3), with 9 and 3 entries.
COUNTS, CODEBOOK0, BIAS0, CODES0, RUNS0, CODEBOOK1, END = 0, 8, 72, 84, 89, 94, 170


def damaged_file(folder: Path) -> tuple[Path, bytearray]:
    weights = WeightCodes(np.zeros((3, 20), np.uint8), np.arange(16, dtype=np.float32))
    one = fully_connected("ip0", weights, np.zeros(3, np.float32), True)
    one.codes.ravel()[:54:6] = 5
    weights = WeightCodes(np.array([[1, 2, 3], [0, 0, 0]], np.uint8), one.codebook)
    two = fully_connected("ip1", weights, np.zeros(2, np.float32))
    path = folder / "a.net"
    write_network(path, chain("a", (one, two)))
    assert path.stat().st_size == END
    return path, bytearray(path.read_bytes())


@pytest.mark.parametrize(("place", "value", "message"), [
    (COUNTS, b"\xff\xff\xff\xff",
     "byte 0 must be the entry count of layer 'ip0', at most 60, not 4294967295"),
    (COUNTS + 4, b"\x07", "byte 4 must be the entry count of layer 'ip1', at most 6, not 7"),
    (CODEBOOK0, np.float32(0.5).tobytes(),
     "byte 8 must be the weight 0, the first in the codebook of layer 'ip0', not 0.5"),
    (CODEBOOK0 + 8, np.float32(np.nan).tobytes(),
     "byte 16, in the codebook of layer 'ip0', must be a finite float32 number, not nan"),
    (BIAS0 + 4, np.float32(-np.inf).tobytes(),
     "byte 76, in the biases of layer 'ip0', must be a finite float32 number, not -inf"),
    (CODES0 + 4, b"\x15",
     "byte 88, the last of the codes of layer 'ip0', must have 0 in its high half, not 1"),
    (RUNS0 + 2, b"\xff" * 2,
     "byte 92, in the runs of layer 'ip0', must stay within its 60 weights, not reach 67"),
])
def test_refuses_damage(tmp_path: Path, place: int, value: bytes, message: str) -> None:
    path, data = damaged_file(tmp_path)
    data[place:place + len(value)] = value
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {message}')}$"):
        read(path)


@pytest.mark.parametrize(("length", "message"), [
    (0, "byte 0 must begin the entry counts of 2 layers, 8 bytes, but the file ends at byte 0"),
    (7, "byte 0 must begin the entry counts of 2 layers, 8 bytes, but the file ends at byte 7"),
    (71, "byte 8 must begin the codebook of layer 'ip0', 64 bytes, but the file ends at byte 71"),
    (72, "byte 72 must begin the biases of layer 'ip0', 12 bytes, but the file ends at byte 72"),
    (88, "byte 84 must begin the codes of layer 'ip0', 5 bytes, but the file ends at byte 88"),
    (93, "byte 89 must begin the runs of layer 'ip0', 5 bytes, but the file ends at byte 93"),
    (169, "byte 168 must begin the runs of layer 'ip1', 2 bytes, but the file ends at byte 169"),
    (171, "byte 170 must be the end of the file, but the file ends at byte 171"),
])
def test_refuses_length(tmp_path: Path, length: int, message: str) -> None:
    path, data = damaged_file(tmp_path)
    path.write_bytes((data + bytes(1))[:length])
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {message}')}$"):
        read(path)


def test_damage_raises_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path, data = damaged_file(tmp_path)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):  # other weights are as good
            write(tmp_path / "b.net", read(path))
            assert (tmp_path / "b.net").read_bytes() == damaged


def layer(kind: str, name: str, bottom: str, top: str, options: str = "") -> str:
    return (f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" '
            f"{options} }}\n")


IP0 = layer("InnerProduct", "ip0", "data", "ip0", "inner_product_param { num_output: 3 }")
IP1 = layer("InnerProduct", "ip1", "ip0", "ip1", "inner_product_param { num_output: 2 }")
INPUT = 'input: "data" input_shape { dim: 1 dim: 4 dim: 5 dim: 1 }'
RELU0 = layer("ReLU", "relu0", "ip0", "ip0")


@pytest.mark.parametrize("text", [
    INPUT + IP0 + RELU0 + IP1,
    (INPUT + layer("Flatten", "flat", "data", "data") + IP0 + RELU0
     + layer("Dropout", "drop", "ip0", "ip0") + IP1 + layer("Softmax", "prob", "ip1", "prob")),
])
def test_read_network(tmp_path: Path, text: str) -> None:
    path, _ = damaged_file(tmp_path)
    path.with_suffix(".prototxt").write_text(text)
    network = read_network(path)
    assert network.name == "a"
    assert [(one.name, one.rectified) for one in network.weighted] == [
        ("ip0", True), ("ip1", False)]


@pytest.mark.parametrize(("text", "message"), [
    (INPUT + IP0 + layer("Sigmoid", "s", "ip0", "ip0") + IP1,
     ("layer 's' must be of type Concat, Convolution, Dropout, Flatten, InnerProduct, Input, "
      "Pooling, ReLU, Softmax, to be run, not 'Sigmoid'")),
    (INPUT + IP0 + layer("ReLU", "r", "ip0", "r") + IP1, "must have one output, not 2: r, ip1"),
    (INPUT + layer("ReLU", "r", "data", "data") + IP0 + IP1,
     "layer 'r' must follow a layer that computes, and have negative_slope 0"),
    (INPUT + IP0 + layer("ReLU", "r", "ip0", "ip0", "relu_param { negative_slope: 0.1 }") + IP1,
     "layer 'r' must follow a layer that computes, and have negative_slope 0"),
    (INPUT + IP0 + IP1.replace('top: "ip1"', 'top: "ip1" top: "b"'),
     "layer 'ip1' must have one bottom and one top, not 1 and 2"),
    (INPUT + IP0 + layer("Softmax", "s", "ip0", "ip0") + IP1, "layer 's' must be the last layer"),
    (INPUT + IP0 + IP1.replace('name: "ip1"', 'name: "ip0"'),
     "layer 'ip0' must have a name of its own"),
    ('input: "b" input_shape { dim: 1 dim: 1 }' + INPUT + IP0 + IP1,
     "must have one input, not 2"),
])
def test_read_network_refuses(tmp_path: Path, text: str, message: str) -> None:
    path, _ = damaged_file(tmp_path)
    prototxt = path.with_suffix(".prototxt")
    prototxt.write_text(text)
    with pytest.raises(InputError, match=f"^{re.escape(f'{prototxt}: {message}')}$"):
        read_network(path)


def test_few_entries_for_many_weights(tmp_path: Path) -> None:
    """A prototxt that is not the file's own cannot make it take any memory."""
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 9999999 '
        '} } }\nlayer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" '
        "inner_product_param { num_output: 20 } }\n")
    (tmp_path / "net.net").write_bytes(bytes([3, 0, 0, 0]) + bytes(200))
    with pytest.raises(InputError, match=r"net: layer 'ip', of 3 entries at byte 0, must have at "
                       "most 4197376 weights, not 199999980$"):
        read_network(tmp_path / "net.net")
