"""``eieio bench deep-compression``: the paper's tables of its two LeNets, beside ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from eieio.model.compress.stages import Compression
from eieio.model.engine import Messages, Request
from eieio.model.errors import InputError
from eieio.model.formats import compressed
from eieio.model.formats.image_set import PIXEL, keras_mnist, read_labelled
from eieio.model.formats.input_file import read_bytes
from eieio.model.graph.float_graph import FloatGraph
from eieio.scripts.benchmark_page import markdown_table, write_part
from eieio.scripts.console import check_writable, note, progress, show, table, write_json
from eieio.scripts.options import json_option
from eieio.scripts.selection import propose_engine

__all__ = ["COMMANDS", "deep_compression"]

# Images computed together.
_BATCH = 250

_CALIBRATION = "lenet_5/mnist_train_256.npz"
_IMAGES = "lenet_300_100/mnist_test_1000.npz"


@dataclass(frozen=True)
class _Layer:
    """A row of the paper's table 2 or 3; shares of float32 weights in percent."""

    density: float
    weight_bits: float
    weight_bits_huffman: float
    run_bits: float
    run_bits_huffman: float
    size: float
    size_huffman: float


@dataclass(frozen=True)
class _Network:
    """A network of the paper: a row of its table 1, the rows of table 2 or 3, and our file."""

    name: str
    file: str
    original_kilobytes: int
    kilobytes: int
    ratio: int
    error_before: float
    error: float
    layers: Mapping[str, _Layer]
    total: _Layer


_NETWORKS = (
    _Network("LeNet-300-100", "lenet_300_100/lenet_300_100.eie",
             1070, 27, 40, 1.64, 1.58,
             {"ip1": _Layer(8, 6, 4.4, 5, 3.7, 3.1, 2.32),
              "ip2": _Layer(9, 6, 4.4, 5, 4.3, 3.8, 3.04),
              "ip3": _Layer(26, 6, 4.3, 5, 3.2, 15.7, 12.70)},
             _Layer(8, 6, 5.1, 5, 3.7, 3.1, 2.49)),
    _Network("LeNet-5", "lenet_5/lenet_5_caffe.eie",
             1720, 44, 39, 0.80, 0.74,
             {"conv1": _Layer(66, 8, 7.2, 5, 1.5, 78.5, 67.45),
              "conv2": _Layer(12, 8, 7.2, 5, 3.9, 6.0, 5.28),
              "ip1": _Layer(8, 5, 4.5, 5, 4.5, 2.7, 2.45),
              "ip2": _Layer(19, 5, 5.2, 5, 3.7, 6.9, 6.13)},
             _Layer(8, 5.3, 4.1, 5, 4.4, 3.05, 2.55)),
)


@click.command("deep-compression",
               short_help="Deep Compression's LeNets: the paper's tables beside ours.")
@click.option("--examples", type=click.Path(path_type=Path), default=Path("examples"),
              show_default=True, help="Folder of the examples, which has the compressed networks.")
@click.option("--mnist", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="MNIST, with x_test (images, 28, 28) of uint8 and y_test, to measure errors on. "
              "Default: ~/.keras/datasets/mnist.npz, where Keras keeps it, or else the 1,000 test "
              f"images in the examples' {_IMAGES}.")
@click.option("--docs", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Also write the tables into compression.md in this folder.")
@json_option
def deep_compression(examples: Path, mnist: Path | None, docs: Path | None,
                     json_file: Path | None) -> None:
    """Compare the compressed LeNets of the examples with those of Deep Compression.

    Han et al., "Deep Compression" (ICLR 2016), tables 1 to 3: density, bits of a weight and of a
    run before and after Huffman coding, size, and the error on MNIST's test images. Sizes are those
    of the files in the examples, headers, tables and biases included.

    Errors, in percent, are those of the network in floating point, and in the integers of the first
    engine that takes it, by the golden model. The integers are calibrated by 256 training images.

    \b
    Examples:
      eieio bench deep-compression --json deep_compression.json
      eieio bench deep-compression --mnist mnist.npz
    """  # noqa: D301
    check_writable(json_file)
    document = None if docs is None else docs / "compression.md"
    check_writable(document)
    for name in (*(network.file for network in _NETWORKS), _CALIBRATION):
        if not (examples / name).is_file():
            raise InputError(f"{examples} must be the folder of eieio's examples: there is no file "
                             f"{examples / name}")
    if mnist is None and keras_mnist().is_file():
        mnist = keras_mnist()
    x, labels = _read_images(mnist or examples / _IMAGES, "" if mnist is None else "_test")
    if mnist is None:
        note(f"errors are of the {len(x):,} test images in {examples / _IMAGES} only: --mnist FILE "
             "measures all 10,000")
    networks = [_measure(examples, network, x, labels) for network in _NETWORKS]
    figures = {"images": len(x), "networks": networks}
    write_json(json_file, figures)
    pairs = [*zip(_NETWORKS, networks, strict=True)]
    tables = [("Networks", _NETWORK_COLUMNS,
               [row for pair in pairs for row in _network_rows(*pair)]),
              *((pair[0].name, _LAYER_COLUMNS, _layer_rows(*pair)) for pair in pairs)]
    for title, columns, rows in tables:
        show(title, table(columns, rows))
    show(f"Errors are those of {len(x):,} test images. Shared and coded sizes are shares of the "
         "float32 weights and biases, of the whole file's bytes in the last row.")
    if document is not None:
        text = "\n".join((f"Errors are those of {len(x):,} test images.\n", *(
            f"## {title}\n\n{markdown_table(columns, rows)}" for title, columns, rows in tables),
            _rest(networks)))
        write_part(document, "bench deep-compression --mnist mnist.npz",
                   "Deep Compression's LeNets", text)
        show(f"Written: {document}")


def _read_images(path: Path, suffix: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read images and labels of MNIST: float32 array of shape (images, 784), int64 array."""
    x, y = read_labelled(path, suffix)
    return x.reshape(len(x), 784) * np.float32(PIXEL), y


def _measure(examples: Path, published: _Network, x: NDArray[np.float32],
             labels: NDArray[np.int64]) -> dict[str, Any]:
    """Return all figures of a network."""
    path = examples / published.file
    data = read_bytes(path)
    network = compressed.read(path)
    layers = Compression(network, network, network).layers()
    if len(layers) != len(published.layers):
        raise InputError(f"{path} must have {len(published.layers)} layers with weights, not "
                         f"{len(layers)}")
    for layer, weighted in zip(layers, network.weighted, strict=True):
        layer["original_bytes"] = 4 * (weighted.weight.size + weighted.bias.size)
        layer["ratio"] = layer["original_bytes"] / layer["bytes"]
    with progress(f"Computing {len(x):,} images by {published.name} in floating point"):
        outputs = network.forward(x.reshape(-1, *network.input.shape))
    with progress(f"Computing {len(x):,} images by {published.name} in integers"):
        engine, integers = _run_integers(path, examples / _CALIBRATION, network, x)
    original = 4 * network.parameters
    streams = sum((layer["weight_bits_huffman"] + layer["run_bits_huffman"]) * layer["entries"]
                  for layer in layers)
    return {
        "name": published.name, "file": str(path), "parameters": network.parameters,
        "density": network.density, "original_bytes": original, "compressed_bytes": len(data),
        "ratio": original / len(data), "stream_bytes": round(streams / 8),
        "bias_bytes": 4 * sum(layer.bias.size for layer in network.weighted),
        "error_float": _error(outputs, labels),
        "engine": engine, "error_integer": _error(integers, labels), "layers": layers}


def _error(outputs: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Images whose largest output is another one than their label's, in percent."""
    wrong = int(np.sum(np.argmax(outputs, axis=1) != labels))
    return 100 * wrong / len(labels)


def _run_integers(path: Path, samples: Path, network: FloatGraph, x: NDArray[np.float32]
                  ) -> tuple[str, NDArray[np.integer]]:
    """Compute the outputs of a network in an engine by the golden model; says which engine."""
    engine, read = propose_engine(path, None, Messages())
    request = Request(samples, settings=engine.all_settings())
    compiled = engine.prepare(read, request, Messages()).compile({})
    images = x.reshape(-1, *network.input.shape)
    return engine.name, np.concatenate([
        compiled.finish(compiled.run(compiled.quantize(images[start:start + _BATCH])))
        for start in range(0, len(x), _BATCH)])


_NETWORK_COLUMNS = ("network", "", "float32", "compressed", "ratio", "error", "as integers",
                    "engine")
_LAYER_COLUMNS = ("layer", "", "weights", "density", "weight bits", "coded", "run bits", "coded",
                  "shared", "coded", "bytes")


def _network_rows(published: _Network, found: dict[str, Any]) -> list[list[str]]:
    return [
        [published.name, "paper", f"{published.original_kilobytes:,} KB",
         f"{published.kilobytes} KB", f"{published.ratio}",
         f"{published.error_before:.2f} to {published.error:.2f} %", "", ""],
        ["", "ours", f"{found['original_bytes']:,}", f"{found['compressed_bytes']:,}",
         f"{found['ratio']:.1f}", f"{found['error_float']:.2f} %",
         f"{found['error_integer']:.2f} %", found["engine"]]]


def _layer_rows(published: _Network, found: dict[str, Any]) -> list[list[str]]:
    layers = found["layers"]
    rows = [row for layer, theirs in zip(layers, published.layers.values(), strict=True)
            for row in _pair(layer["name"], theirs, layer)]
    entries = sum(layer["entries"] for layer in layers)
    means = {key: sum(layer[key] * layer["entries"] for layer in layers) / entries for key in (
        "weight_bits", "weight_bits_huffman", "run_bits", "run_bits_huffman")}
    sums = {key: sum(layer[key] for layer in layers) for key in (
        "weights", "bytes_shared", "original_bytes")}
    total = means | sums | {"density": found["density"], "bytes": found["compressed_bytes"]}
    return [*rows, *_pair("all", published.total, total)]


def _pair(name: str, published: _Layer, found: dict[str, Any]) -> list[list[str]]:
    """Return a row of the paper's figures, and one of ours."""
    shares = [100 * found[key] / found["original_bytes"] for key in ("bytes_shared", "bytes")]
    return [
        [name, "paper", "", f"{published.density:g} %", f"{published.weight_bits:g}",
         f"{published.weight_bits_huffman:g}", f"{published.run_bits:g}",
         f"{published.run_bits_huffman:g}", f"{published.size:g} %",
         f"{published.size_huffman:g} %", ""],
        ["", "ours", f"{found['weights']:,}", f"{100 * found['density']:.3g} %",
         f"{found['weight_bits']:.3g}", f"{found['weight_bits_huffman']:.2g}",
         f"{found['run_bits']:.3g}", f"{found['run_bits_huffman']:.2g}", f"{shares[0]:.3g} %",
         f"{shares[1]:.3g} %", f"{found['bytes']:,}"]]


def _rest(networks: list[dict[str, Any]]) -> str:
    """Say what the files hold beside codes and runs."""
    lines = ["## What the files hold\n"]
    for found in networks:
        rest = found["compressed_bytes"] - found["stream_bytes"] - found["bias_bytes"]
        lines.append(f"- {found['name']}: {found['stream_bytes']:,} bytes of codes and runs, "
                     f"{found['bias_bytes']:,} of biases, and {rest:,} of codebooks, tables of "
                     "codes, names and headers.")
    return "\n".join(lines)


COMMANDS = [deep_compression]
