"""Writes chains of fully connected layers as ONNX, as frameworks do."""

import os

import numpy as np
import onnx

from eieio.model.formats.atomic import write_bytes
from eieio.model.formats.layer_names import check_layer_names
from eieio.model.graph.chain import as_chain
from eieio.model.graph.float_graph import FloatGraph

__all__ = ["write"]

# Opset and format version of written files: the oldest that all current runtimes are tested with.
_OPSET = 13
_IR_VERSION = 7


def write(path: str | os.PathLike[str], network: FloatGraph) -> None:
    """Write a network as Gemm and Relu nodes.

    Parameters
    ----------
    path : path-like
        File to create or replace.
    network : FloatGraph
        Chain of fully connected layers; reading it returns its weights bit for bit. What is behind
        the last layer is left out. The graph takes ``input``, float32
        of shape (batch, inputs), and gives ``output``, float32 of shape (batch, outputs).

    Raises
    ------
    InputError
        If the network is no chain, the file cannot be written, or two layers have one name.
    """
    network = as_chain(network)
    layers = network.weighted
    check_layer_names(layer.name for layer in layers)
    nodes, tensors = [], []
    current = "input"
    for index, layer in enumerate(layers):
        end = "output" if index == len(layers) - 1 else f"{layer.name}_out"
        product = f"{layer.name}_gemm" if layer.rectified else end
        weight, bias = f"{layer.name}_weight", f"{layer.name}_bias"
        tensors += [onnx.numpy_helper.from_array(np.ascontiguousarray(layer.weight), weight),
                    onnx.numpy_helper.from_array(layer.bias, bias)]
        nodes.append(onnx.helper.make_node(
            "Gemm", [current, weight, bias], [product], name=layer.name, transB=1))
        if layer.rectified:
            nodes.append(onnx.helper.make_node(
                "Relu", [product], [end], name=f"{layer.name}_relu"))
        current = end
    graph = onnx.helper.make_graph(
        nodes, network.name.encode(errors="replace").decode() or "network",
        [onnx.helper.make_tensor_value_info(
            "input", onnx.TensorProto.FLOAT, ["batch", network.input.elements])],
        [onnx.helper.make_tensor_value_info(
            "output", onnx.TensorProto.FLOAT, ["batch", network.output.elements])],
        tensors)
    model = onnx.helper.make_model(
        graph, producer_name="eieio", ir_version=_IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)])
    write_bytes(path, model.SerializeToString(deterministic=True))
