"""Writes Deep Compression's ``.net`` and its prototxt, as that project does."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from numpy.typing import NDArray

from eieio.model.errors import InputError
from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.compressed_weights import gaps_before, run_entries
from eieio.model.formats.deep_compression import CompressedLayer
from eieio.model.formats.layer_names import check_layer_names
from eieio.model.formats.prototxt import NetParameter
from eieio.model.graph.chain import as_chain
from eieio.model.graph.float_graph import FloatGraph

__all__ = ["compressed_layer", "encode", "format_net", "write", "write_network"]

_LARGEST_CODEBOOK, _RUN_WIDTH = 16, 4


def compressed_layer(name: str, codes: NDArray[np.uint8], codebook: NDArray[np.float32],
               bias: NDArray[np.float32]) -> CompressedLayer:
    """Compress a layer whose every weight has a code.

    Parameters
    ----------
    name : :class:`str`
        Name of the layer.
    codes : uint8 array of shape (outputs, inputs) or (outputs, channels, height, width)
        Row of the codebook of each weight. Code 0 is the weight 0.
    codebook : float32 array of shape (256,) for a convolution and (16,) for an inner product
        Shared weights; the first is 0.
    bias : float32 array of shape (outputs,)
        Biases.

    Raises
    ------
    InputError
        If a shape, dtype or value does not fit.
    """
    return CompressedLayer(name, codes.shape, *encode(codes), codebook, bias)


def encode(codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Turn the codes of all weights into entries, with as few fillers as there can be.

    Parameters
    ----------
    codes : uint8 array of any shape
        Code of each weight; 0 is the weight 0. Taken in C order.

    Returns
    -------
    codes : uint8 array of shape (entries,)
        Code of each entry; 0 in a filler.
    runs : uint8 array of shape (entries,)
        Zeros skipped before each entry; 15 in a filler.

    Raises
    ------
    InputError
        If the codes have another dtype.
    """
    if codes.dtype != np.uint8:
        raise InputError(f"Codes must be a uint8 array, not {codes.dtype}")
    nonzeros = np.flatnonzero(codes)
    return run_entries(codes.ravel()[nonzeros], gaps_before(nonzeros), _RUN_WIDTH)


def write(path: str | os.PathLike[str], layers: Sequence[CompressedLayer]) -> None:
    """Write all layers of a network.

    Parameters
    ----------
    path : path-like
        The ``.net`` file to create or replace. Its prototxt is the caller's.
    layers : sequence of :class:`CompressedLayer`
        Layers in the order of the prototxt; at least one.

    Raises
    ------
    InputError
        If there is no layer, or the file cannot be written.
    """
    if not layers:
        raise InputError(f"{path} must have at least one layer")
    parts = [np.array([layer.entries for layer in layers], "<u4").tobytes()]
    for layer in layers:
        codes = layer.codes if len(layer.shape) == 4 else _pack(layer.codes)
        parts += [layer.codebook.astype("<f4").tobytes(), layer.bias.astype("<f4").tobytes(),
                  codes.tobytes(), _pack(layer.runs).tobytes()]
    write_bytes(path, b"".join(parts))


def write_network(path: str | os.PathLike[str], network: FloatGraph) -> None:
    """Write a network, and its prototxt beside it.

    Parameters
    ----------
    path : path-like
        The ``.net`` file to create or replace. The prototxt has the same name with the suffix
        ``.prototxt``, and is replaced too.
    network : FloatGraph
        Chain of fully connected layers with shared weights, of codes of 4 bits or fewer. A shorter
        codebook is filled up with zeros to 16 weights; otherwise :func:`read_network` returns the
        weights bit for bit. What is behind the last layer is left out.

    Raises
    ------
    InputError
        If the network is no such chain, a layer has longer codes, two layers have the same name, or
        a file cannot be written.
    """
    path = Path(path)
    if path.suffix == ".prototxt":
        raise InputError(f"{path} must not end in .prototxt, the suffix of the file beside it")
    network = as_chain(network)
    check_layer_names(["data", *(layer.name for layer in network.weighted)])
    layers = []
    for layer in network.weighted:
        if layer.codebook.size > _LARGEST_CODEBOOK:
            raise InputError(f"Layer {layer.name!r}: codes must have at most 4 bits to be written "
                             f"to a .net file, not {layer.code_width}")
        codebook = np.zeros(_LARGEST_CODEBOOK, np.float32)
        codebook[:layer.codebook.size] = layer.codebook
        layers.append(compressed_layer(layer.name, layer.codes, codebook, layer.bias))
    write_bytes(path.with_suffix(".prototxt"), format_net(_prototxt(network)))
    write(path, layers)


def _pack(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pack 4-bit numbers two a byte, the first in the low half."""
    padded = np.zeros(values.size + values.size % 2, np.uint8)
    padded[:values.size] = values
    return padded[::2] | np.left_shift(padded[1::2], 4, dtype=np.uint8)


def format_net(net: Any) -> bytes:
    """Return a network as a prototxt, the content that :func:`parse_net` takes."""
    return text_format.MessageToString(net, as_utf8=True).encode()


def _prototxt(network: FloatGraph) -> Any:
    net = NetParameter(name=network.name.encode(errors="replace").decode())
    data = net.layer.add(name="data", type="Input", top=["data"])
    data.input_param.shape.add(dim=[1, network.input.elements])
    bottom = "data"
    for layer in network.weighted:
        product = net.layer.add(
            name=layer.name, type="InnerProduct", bottom=[bottom], top=[layer.name])
        product.inner_product_param.num_output = layer.output.elements
        bottom = layer.name
        if layer.rectified:
            net.layer.add(name=f"relu_{layer.name}", type="ReLU", bottom=[bottom], top=[bottom])
    return net
