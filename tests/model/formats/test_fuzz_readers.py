"""Damaged files of every kind: a slice of ``benchmarks/fuzz_readers.py``, and what it has found."""

import contextlib
import importlib
import io
import json
import random
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from benchmark_modules import benchmark

from eieio.model.engine import Engine
from eieio.model.errors import InputError
from eieio.model.formats import (
    compressed,
    deep_compression,
    graph_file,
    image_file,
    npz,
    samples,
)
from eieio.model.formats import onnx as onnx_reader
from eieio.model.formats.design_folder import read_manifest
from eieio.model.formats.float32 import as_float32
from eieio.model.formats.input_file import read_bytes
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.weight_codes import WeightCodes
from eieio.model.registry import engines, find_engine

_CASES = 40
_READERS = ("npz", "samples", "onnx", "tflite", "eie", "net", "prototxt", "graph", "image", "coded",
            "design", "config")


@pytest.fixture(scope="module")
def fuzzing() -> Iterator[ModuleType]:
    with benchmark("fuzz_readers") as module:
        importlib.import_module("fuzz_seeds")
        yield module


@pytest.fixture(scope="module")
def images(fuzzing: ModuleType) -> list[bytes]:
    """Compile small networks for every engine whose images a host takes."""
    del fuzzing
    return [case["network.image"] for case in sys.modules["fuzz_seeds"].READERS["image"].seeds()]


def test_all_readers(fuzzing: ModuleType) -> None:
    assert tuple(sys.modules["fuzz_seeds"].READERS) == _READERS


@pytest.mark.parametrize("reader", _READERS)
def test_damaged(fuzzing: ModuleType, reader: str, tmp_path: Path) -> None:
    """Valid files are read, and damaged ones read or refused in one line."""
    chosen = sys.modules["fuzz_seeds"].READERS[reader]
    seeds = list(chosen.seeds())[:20]
    hunt = fuzzing.Hunt(chosen.read, tmp_path, limited=False)
    for seed in seeds:
        assert hunt.run(seed) is None
    assert hunt.accepted == len(seeds)
    cases = fuzzing.plain_cases(seeds, chosen.only, random.Random(7))
    for case, _ in zip(cases, range(_CASES), strict=False):
        hunt.run(case)
    assert [finding.text for finding in hunt.findings.values()] == []


def test_finds(fuzzing: ModuleType, tmp_path: Path) -> None:
    """A reader that fails on some byte is found out, and the case made smaller."""
    def read(folder: Path) -> None:
        if b"!" in read_bytes(folder / "x.bin"):
            raise KeyError("not documented")

    hunt = fuzzing.Hunt(read, tmp_path, limited=False)
    assert hunt.run({"x.bin": b"nothing"}) is None
    finding = hunt.run({"x.bin": b"some bytes and ! and others"})
    assert finding.where.startswith("KeyError at ")
    assert hunt.shrink(finding).case == {"x.bin": b"!"}


# What was found.


def npy(header: bytes) -> bytes:
    """Write the header of an array, whatever it says."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize("header", [
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, ",
    b"{'descr': ',', 'fortran_order': False, 'shape': (2,)}", b"  {\n ]",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,)}", b"\x00\xff"],
    ids=["open", "comma", "indented", "huge", "binary"])
def test_numpy_headers(header: bytes, tmp_path: Path) -> None:
    """NumPy parses headers as Python, whose parsers raise more than ValueError."""
    (tmp_path / "x.npy").write_bytes(npy(header))
    with pytest.raises(InputError, match=r"x\.npy: must be readable by numpy\.load"):
        samples.read(tmp_path / "x.npy", 2, 2)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("graph.npy", npy(header))
    (tmp_path / "x.npz").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"key 'graph' must be readable without pickle: \S.*$"):
        npz.read(tmp_path / "x.npz")
    with pytest.raises(InputError, match=r"^Graph must be readable"):
        graph_file.load(buffer.getvalue())


def test_samples_beside_arrays(tmp_path: Path) -> None:
    """A member of an archive that is no array is refused by its name."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("x", b"no array")
    with pytest.raises(InputError, match="key 'x' must be a NumPy array, not other data"):
        samples.read(tmp_path / "x.npz", 2, 2)


def test_signaling_nan(tmp_path: Path) -> None:
    """A signaling NaN is not finite, and no warning is told."""
    np.save(tmp_path / "x.npy", np.full((1, 2), 0x7F800001, np.uint32).view(np.float32))
    with pytest.raises(InputError, match="must be finite"):
        samples.read(tmp_path / "x.npy", 2, 2)


@pytest.mark.parametrize(("bits", "dtype"), [(0x7FF << 52 | 1, np.float64), (0x7C01, np.float16)])
@pytest.mark.filterwarnings("error")
def test_signaling_nan_of_another_width(bits: int, dtype: type[np.floating]) -> None:
    """Nor is one told of what float32 is made from."""
    numbers = np.array([0, bits], f"u{np.dtype(dtype).itemsize}").view(dtype)
    with pytest.raises(InputError, match=r"Weight must be finite in float32, not nan at \(1,\)"):
        as_float32(numbers, "Weight")


def test_two_inputs_of_one_name(fuzzing: ModuleType, tmp_path: Path) -> None:
    """Weights are for the shapes of the prototxt, and an input that changes them is refused."""
    del fuzzing
    case = list(sys.modules["fuzz_seeds"].READERS["net"].seeds())[1]
    (tmp_path / "net.net").write_bytes(case["net.net"])
    again = b"""layer { name: "again" type: "Input" top: "data"
      input_param { shape { dim: 1 dim: 2 dim: 16 dim: 6 } } }
"""
    (tmp_path / "net.prototxt").write_bytes(case["net.prototxt"] + again)
    with pytest.raises(InputError, match="its weights do, not"):
        deep_compression.read_network(tmp_path / "net.net")


def test_nested_json(tmp_path: Path) -> None:
    """What is nested deeper than Python can parse is refused."""
    (tmp_path / "design.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(InputError, match=r"design\.json must be the manifest of a design$"):
        read_manifest(tmp_path)
    words = np.zeros(1, np.uint32)
    data = bytearray(image_file.pack({"x": 0}, words))
    nested = b"[" * 100_000
    data[12:16] = len(nested).to_bytes(4, "little")
    data[20:-8] = nested
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "little")
    with pytest.raises(InputError, match="must have a description"):
        image_file.unpack(bytes(data))


@pytest.mark.parametrize(("changes", "message"), [
    ({"engine": {}}, "manifest"), ({"network": 3}, "manifest"), ({"config": []}, "manifest"),
    ({"top": None}, "manifest")], ids=["engine", "network", "config", "top"])
def test_manifest_types(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    values = {"engine": "sparse", "top": "x", "network": None, "config": {}, "files": []}
    (tmp_path / "design.json").write_text(json.dumps(values))
    read_manifest(tmp_path)
    (tmp_path / "design.json").write_text(json.dumps(values | changes))
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path)


def test_hollow_layers(tmp_path: Path) -> None:
    """A few bytes cannot claim a matrix that takes all memory."""
    codes = WeightCodes(np.zeros((3, 5), np.uint8), np.zeros(4, np.float32))
    network = chain("net", [fully_connected("hollow", codes, np.zeros(3, np.float32))])
    data = bytearray(compressed.dump(network))
    place = data.index(b"hollow") + len("hollow")
    data[place + 4:place + 8] = (1 << 28).to_bytes(4, "little")
    data[-4:] = zlib.crc32(data[:-4]).to_bytes(4, "little")
    with pytest.raises(InputError, match=r"entries at byte .* must be for at most 4194304 weights"):
        compressed.load(bytes(data))


@pytest.mark.parametrize("changes", [
    {"fingerprint": -1}, {"fingerprint": 1 << 32}, {"batch": 0}, {"batch": 1.5},
    {"softmax": [[1, None]]}, {"integer_input": []}, {"layers": None},
    {"input": {"lanes": 0.5}}, {"input": {"vectors": 1 << 40}}, {"input": {"channels": 0}},
    {"input": {"pauses": 0.5}},
    {"input": {"scale": float("nan")}}, {"input": {"scale": True}}, {"output": {"shape": []}},
    {"output": {"shape": [1 << 20, 1 << 20]}}, {"output": {"zero_point": 1 << 20}}],
    ids=lambda changes: "-".join(map(str, changes)))
def test_image_descriptions(images: list[bytes], changes: dict[str, Any]) -> None:
    """A host takes nothing of an image that cannot be."""
    for data in images:
        described, words = image_file.unpack(data)
        engine = find_engine(described["engine"])
        known = {name: value for name, value in changes.items() if name in described}
        if not known or any(isinstance(value, dict) and not value.keys() <= described[name].keys()
                            for name, value in known.items()):
            continue
        engine.host_image(data)
        changed = described | {
            name: described[name] | value if isinstance(value, dict) else value
            for name, value in known.items()}
        with pytest.raises(InputError, match="Image must have a description of"):
            engine.host_image(image_file.pack(changed, words))


def test_one_line() -> None:
    """A name that a message quotes cannot break it."""
    assert str(InputError("value 'a\nb\r' must be one")) == r"value 'a\nb\r' must be one"


def test_image_of_fewer_layers(images: list[bytes]) -> None:
    """An image whose description has fewer operators than layers is refused."""
    tried = 0
    for data in images:
        described, words = image_file.unpack(data)
        if "ending" in described:
            engine, graph = find_engine(described["engine"]), {"operators": [], "types": {}}
            with pytest.raises(InputError, match="must fit its engine and its layers"):
                engine.host_image(image_file.pack({**described, "graph": graph}, words))
            tried += 1
    assert tried


def _relu(shape: tuple[int, ...] | None = (1, 4), **names: str) -> onnx.ModelProto:
    """Make a network of one operator."""
    entries = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
               for name in ("x", "y")]
    node = onnx.helper.make_node("Relu", ["x"], ["y"], **names)
    graph = onnx.helper.make_graph([node], "net", entries[:1], entries[1:])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


@pytest.mark.parametrize(("text", "other"), [(b"Relu", b"\xff\xfelu"), (b"first", b"fir\xff\xfe")])
def test_names_that_are_no_text(tmp_path: Path, text: bytes, other: bytes) -> None:
    """Protobuf gives them as bytes, which are compared with no text."""
    data = _relu(name="first").SerializeToString()
    assert text in data
    (tmp_path / "net.onnx").write_bytes(data.replace(text, other))
    with pytest.raises(InputError, match="must be a valid ONNX model"):
        onnx_reader.read(tmp_path / "net.onnx")


def test_input_without_axes(tmp_path: Path) -> None:
    """A number is no input: there is no sample."""
    (tmp_path / "net.onnx").write_bytes(_relu(()).SerializeToString())
    with pytest.raises(InputError, match="input 'x' must have a batch axis"):
        onnx_reader.read(tmp_path / "net.onnx")


def test_quantized_pool_without_a_window(tmp_path: Path) -> None:
    """The checker does not know operators of another domain."""
    entries = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, (1, 2, 4, 4))
               for name in ("x", "y")]
    constants = [onnx.numpy_helper.from_array(np.array(number), name) for name, number in (
        ("scale", np.float32(0.5)), ("zero", np.uint8(3)))]
    node = onnx.helper.make_node("QLinearAveragePool", ["x", "scale", "zero", "scale", "zero"],
                                 ["y"], domain="com.microsoft")
    graph = onnx.helper.make_graph([node], "net", entries[:1], entries[1:], constants)
    model = onnx.helper.make_model(graph, opset_imports=[
        onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)])
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="must have kernel_shape as 2 positive numbers"):
        onnx_reader.read(tmp_path / "net.onnx")


@pytest.mark.parametrize("engine", [*engines()], ids=lambda engine: engine.name)
def test_options_of_any_type(engine: Engine) -> None:
    """An option that a file gives as a list, an object or nothing is taken or refused."""
    known = engine.make_config({}).to_dict()
    for field in fields(engine.config):
        for value in ([], [1], {}, None, "", "x", 1.5, True, -1, 1 << 40):
            with contextlib.suppress(InputError):
                engine.make_config({**known, field.name: value})
