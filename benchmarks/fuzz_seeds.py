"""Small valid files of every kind that eieio reads, for ``fuzz_readers.py`` to damage.

A case is the files of a folder, by name: one file, or a ``.net`` with its prototxt, or a design.
"""

import importlib.util
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eieio.host.images import read_host_image
from eieio.model.coded_image import encode_image
from eieio.model.coded_image_decoder import decode_image
from eieio.model.engine import Engine, Messages, Request
from eieio.model.errors import InputError
from eieio.model.formats import compressed, graph_file, npz, samples
from eieio.model.formats.design_folder import IMAGE, read_manifest, write_manifest
from eieio.model.formats.input_file import read_bytes
from eieio.model.formats.prototxt import parse_net, weight_shapes
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.load_graph import NetworkFile
from eieio.model.graph.weight_codes import WeightCodes
from eieio.model.registry import engines, find_engine
from eieio.scripts.engine import choose_engine

__all__ = ["READERS", "Files", "Reader"]

_ROOT = Path(__file__).parents[1]
#: Elements of an input or an output up to which a network that was read is quantized, too.
_MOST_ELEMENTS = 10_000

#: Content of the files of a folder by name.
Files = dict[str, bytes]


@dataclass(frozen=True)
class Reader:
    """A reader to fuzz.

    Attributes
    ----------
    seeds : callable
        Makes valid cases.
    read : callable
        Reads a case from its folder.
    only : tuple of :class:`str`
        Endings of the files that are damaged; all without any.
    """

    seeds: Callable[[], Iterator[Files]]
    read: Callable[[Path], Any]
    only: tuple[str, ...] = ()


def load_module(path: str) -> Any:
    """Load a module of the tests, which are no package, by its path in the repository."""
    helpers = str(_ROOT / "tests" / "helpers")
    if helpers not in sys.path:
        sys.path.insert(0, helpers)
    name = Path(path).stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _ROOT / path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


def small_chain(*, width: int = 2) -> FloatGraph:
    """Make a chain of two fully connected layers with shared weights."""
    rng = np.random.default_rng(3)
    layers = []
    for name, shape in (("first", (5, 6)), ("second", (3, 5))):
        codebook = np.append(0, rng.normal(size=(1 << width) - 1)).astype(np.float32)
        codes = WeightCodes(rng.integers(0, 1 << width, shape).astype(np.uint8), codebook)
        layers.append(fully_connected(name, codes, rng.normal(size=shape[0]).astype(np.float32),
                                      rectified=name == "first"))
    return chain("net", layers)


def _written(write: Callable[[Path], Any], *names: str) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / names[0])
        return {name: (Path(folder) / name).read_bytes() for name in names}


def _quantized(file: NetworkFile) -> None:
    """Read on as far as a network is quantized; what is not one is refused."""
    if max(int(np.prod(file.shape, dtype=object)), file.outputs) > _MOST_ELEMENTS:
        return
    rng = np.random.default_rng(0)
    file.quantize(rng.normal(size=(2, *file.shape)).astype(np.float32))


def _network(name: str) -> Callable[[Path], Any]:
    return lambda folder: _quantized(NetworkFile(folder / name))


# Files of networks, and of samples.


def _npz_seeds() -> Iterator[Files]:
    yield _written(lambda path: npz.write(path, small_chain()), "net.npz")


def _eie_seeds() -> Iterator[Files]:
    for encoding in ("huffman", "shared"):
        yield {"net.eie": compressed.dump(small_chain(), encoding)}
    graphs = load_module("tests/model/formats/test_onnx_graph.py")
    for nodes in (["c = Conv(x, w3, b2)", "r = Relu(c)", "f = Flatten(r)", "y = Gemm(f, d24, b3)"],
                  ["a = Conv<pads=[1, 1, 1, 1]>(x, w3, b2)", "b = Conv(x, w1)",
                   "c = Concat<axis=1>(a, b)", "y = GlobalAveragePool(c)"]):
        with tempfile.TemporaryDirectory() as folder:
            read = NetworkFile(graphs.build(Path(folder) / "net.onnx", nodes)).real_graph()
        yield {"net.eie": compressed.dump(read)}


def _onnx_seeds() -> Iterator[Files]:
    graphs = load_module("tests/model/formats/test_onnx_graph.py")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        for nodes, shape, opset in graphs.ACCEPTED.values():
            yield {"net.onnx": read_bytes(graphs.build(path, nodes, shape, opset=opset))}
        kinds = load_module("tests/model/formats/test_onnx_kinds.py")
        for nodes, shape, _ in kinds.KINDS.values():
            yield {"net.onnx": read_bytes(kinds.build(path, nodes, shape))}
        quantized = load_module("tests/model/formats/test_onnx_graph_quantized.py")
        for nodes in quantized.ACCEPTED.values():
            yield {"net.onnx": read_bytes(quantized.build(path, nodes))}


def _tflite_seeds() -> Iterator[Files]:
    lite = load_module("tests/helpers/tflite_file.py")
    kinds, rng = lite.OPERATORS, np.random.default_rng(5)

    def weights(*shape: int) -> Any:
        return rng.integers(-127, 128, shape).astype(np.int8)

    def biases(count: int) -> Any:
        return rng.integers(-500, 500, count).astype(np.int32)

    yield {"net.tflite": lite.build(
        [lite.T([1, 6, 6, 2], 0.05, -3), lite.T([4, 3, 3, 2], [0.01] * 4, data=weights(4, 3, 3, 2)),
         lite.T([4], [0.0005] * 4, dtype=lite.TYPES.INT32, data=biases(4)),
         lite.T([1, 6, 6, 4], 0.1, -128), lite.T([1, 3, 3, 4], 0.02, data=weights(1, 3, 3, 4)),
         lite.T([4], 0.002, dtype=lite.TYPES.INT32, data=biases(4)),
         lite.T([1, 2, 2, 4], 0.1, 3), lite.T([1, 1, 1, 4], 0.1, 3), lite.T([1, 4], 0.1, 3),
         lite.T([3, 4], 0.02, data=weights(3, 4)),
         lite.T([3], 0.002, dtype=lite.TYPES.INT32, data=biases(3)), lite.T([1, 3], 0.1, 5),
         lite.T([1, 3], 1 / 256, -128)],
        [lite.Op(kinds.CONV_2D, [0, 1, 2], [3], *lite.window(
            "Conv2D", lite.SAME, activation=lite.RELU, dilationHFactor=1, dilationWFactor=1)),
         lite.Op(kinds.DEPTHWISE_CONV_2D, [3, 4, 5], [6], *lite.window(
             "DepthwiseConv2D", lite.VALID, (2, 2), depthMultiplier=1, dilationHFactor=1,
             dilationWFactor=1)),
         lite.Op(kinds.MAX_POOL_2D, [6], [7], *lite.window(
             "Pool2D", lite.VALID, (2, 2), filterHeight=2, filterWidth=2)),
         lite.Op(kinds.RESHAPE, [7], [8], *lite.options("Reshape", newShape=[1, 4])),
         lite.Op(kinds.FULLY_CONNECTED, [8, 9, 10], [11], *lite.options("FullyConnected")),
         lite.Op(kinds.SOFTMAX, [11], [12], *lite.options("Softmax", beta=1.0))])}
    yield {"net.tflite": lite.build(
        [lite.T([1, 4, 4, 2], 0.1, 3), lite.T([1, 4, 4, 2], 0.2, -1), lite.T([1, 4, 4, 4], 0.2, -1),
         lite.T([4, 2], None, dtype=lite.TYPES.INT32,
                data=np.array([[0, 0], [1, 0], [0, 1], [0, 0]], np.int32)),
         lite.T([1, 5, 5, 2], 0.2, -1), lite.T([2], None, dtype=lite.TYPES.INT32,
                                              data=np.array([1, 2], np.int32)),
         lite.T([1, 1, 1, 2], 0.3, 7)],
        [lite.Op(kinds.ADD, [0, 0], [1], *lite.options("Add")),
         lite.Op(kinds.PAD, [1, 3], [4], *lite.options("Pad")),
         lite.Op(kinds.MEAN, [4, 5], [6], *lite.options("Reducer", keepDims=True))])}


def _net_seeds() -> Iterator[Files]:
    nets = load_module("tests/helpers/net_files.py")
    yield _written(lambda path: nets.write_network(path, small_chain()), "net.net", "net.prototxt")
    text = b"""name: "images"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 2 dim: 6 dim: 6 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 3 kernel_size: 3 pad: 1 stride: 2 group: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
  inner_product_param { num_output: 4 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
    rng = np.random.default_rng(6)
    layers = []
    for weights in weight_shapes(parse_net(text, "net.prototxt"), "net.prototxt"):
        size = 256 if len(weights.shape) == 4 else 16
        codebook = np.append(0, rng.normal(size=size - 1)).astype(np.float32)
        codes = np.where(rng.random(weights.shape) < 0.5, rng.integers(0, size, weights.shape), 0)
        layers.append(nets.compressed_layer(
            weights.name, codes.astype(np.uint8), codebook,
            rng.normal(size=weights.shape[0]).astype(np.float32)))
    yield {**_written(lambda path: nets.write(path, layers), "net.net"), "net.prototxt": text}


def _samples_seeds() -> Iterator[Files]:
    rng = np.random.default_rng(7)
    for x in (rng.normal(size=(4, 2, 3)), rng.integers(0, 256, (4, 6)).astype(np.uint8)):
        buffer = io.BytesIO()
        np.savez(buffer, x=x, y=np.arange(4))
        yield {"samples.npz": buffer.getvalue()}
        buffer = io.BytesIO()
        np.save(buffer, x)
        yield {"samples.npy": buffer.getvalue()}


def _read_samples(folder: Path) -> None:
    for path in folder.iterdir():
        samples.read(path, 6, 5)


# Files of designs.


def _designs() -> Iterator[tuple[Engine, Path, Any]]:
    """Compile the smallest networks that each engine takes into the folder of a design."""
    graphs = load_module("tests/model/formats/test_onnx_graph.py")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        npz.write(root / "chain.npz", small_chain())
        graphs.build(root / "images.onnx", [
            "c = Conv(x, w3, b2)", "r = Relu(c)", "f = Flatten(r)", "y = Gemm(f, d24, b3)"])
        rng = np.random.default_rng(8)
        networks = []
        for file, shape in (("chain.npz", (6,)), ("images.onnx", (4, 5, 6))):
            networks.append((root / file, root / f"{file}.npy"))
            np.save(networks[-1][1], rng.normal(size=(8, *shape)).astype(np.float32))
        for engine in engines():
            for number, (network, inputs) in enumerate(networks):
                folder = root / f"{engine.name}_{number}"
                try:
                    prepared = engine.prepare(
                        engine.read(network), Request(inputs, settings=engine.all_settings()),
                        Messages())
                    compiled = prepared.compile({}, exact=True)
                    folder.mkdir()
                    compiled.write(folder)
                except InputError:
                    continue
                write_manifest(folder, engine=engine.name, top="top", network=compiled.name,
                               config=compiled.config.to_dict())
                yield engine, folder, compiled


def _files_of(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _design_seeds() -> Iterator[Files]:
    for _, folder, _ in _designs():
        yield _files_of(folder)


def _read_design(folder: Path) -> None:
    find_engine(read_manifest(folder).engine).open(folder)


def _image_seeds() -> Iterator[Files]:
    for engine, folder, _ in _designs():
        if engine.number is not None:  # Without registers no host asks for an image.
            yield {IMAGE: (folder / IMAGE).read_bytes()}


def _read_image(folder: Path) -> None:
    image = read_host_image(folder / IMAGE)
    image.frame()
    if image.inputs.size <= _MOST_ELEMENTS:
        image.inputs.pack(np.zeros(image.inputs.positions.size, np.int64))
    if image.outputs.size <= _MOST_ELEMENTS:
        image.outputs.unpack(bytes(image.outputs.size_bytes))


def _coded_seeds() -> Iterator[Files]:
    """Give coded images as they travel: engine and configuration in JSON, and words."""
    for engine, _, compiled in _designs():
        if not engine.word_layouts(compiled.config):
            continue
        layouts = engine.word_layouts(compiled.config)
        coded = encode_image(compiled.host.words, layouts)
        about = {"engine": engine.name, "config": compiled.config.to_dict()}
        yield {"engine.json": json.dumps(about).encode(),
               "coded.bin": coded.astype("<u4").tobytes()}


def _read_coded(folder: Path) -> None:
    about = json.loads((folder / "engine.json").read_text(encoding="utf-8"))
    engine = find_engine(about["engine"])
    words = np.frombuffer((folder / "coded.bin").read_bytes()[:1 << 16], np.uint8)
    words = words[:len(words) // 4 * 4].view("<u4").astype(np.uint32)
    if len(words):
        # It tells an error by its result, and has no other.
        decode_image(words, engine.word_layouts(engine.make_config(about["config"])))


def _config_seeds() -> Iterator[Files]:
    for engine in engines():
        yield {"config.json": json.dumps({
            "engine": engine.name, "config": engine.make_config({}).to_dict()}).encode()}


def _read_config(folder: Path) -> None:
    choose_engine(None, {}, folder / "config.json").config()


def _graph_seeds() -> Iterator[Files]:
    graph = load_module("tests/helpers/every_layer.py").every_layer()
    yield {"net.graph": graph_file.dump(graph)}


def _read_graph(folder: Path) -> None:
    graph_file.read(folder / "net.graph")


#: Readers by name.
READERS = {
    "npz": Reader(_npz_seeds, _network("net.npz")),
    "samples": Reader(_samples_seeds, _read_samples),
    "onnx": Reader(_onnx_seeds, _network("net.onnx")),
    "tflite": Reader(_tflite_seeds, _network("net.tflite")),
    "eie": Reader(_eie_seeds, _network("net.eie")),
    "net": Reader(_net_seeds, _network("net.net"), (".net",)),
    "prototxt": Reader(_net_seeds, _network("net.net"), (".prototxt",)),
    "graph": Reader(_graph_seeds, _read_graph),
    "image": Reader(_image_seeds, _read_image),
    "coded": Reader(_coded_seeds, _read_coded, (".bin",)),
    "design": Reader(_design_seeds, _read_design),
    "config": Reader(_config_seeds, _read_config),
}
