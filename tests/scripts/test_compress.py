"""``eieio compress``."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import Result
from net_files import write_network
from onnx import TensorProto, helper, numpy_helper

from eieio.model.compress.weight_sharing import share_weights
from eieio.model.formats import compressed, deep_compression, graph_file
from eieio.model.formats import onnx as onnx_format
from eieio.model.graph.load_graph import read_graph
from eieio.model.graph.quantized_graph import WeightedOperator

from .conftest import small_network


def test_compresses(eieio: Callable[..., Result], network: Path, samples: Path,
                    tmp_path: Path) -> None:
    out, report = tmp_path / "new" / "small.eie", tmp_path / "reports" / "c.json"
    result = eieio("compress", network, "--out", out, "--samples", samples, "--json", report)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    shared = compressed.read(out)
    figures = json.loads(report.read_text())
    assert figures["compressed_bytes"] == out.stat().st_size
    assert [stage["name"] for stage in figures["stages"]] == [
        "float32", "pruned", "shared", "huffman"]
    assert figures["float32_bytes"] == 4 * small_network().parameters
    assert figures["ratio"] == figures["float32_bytes"] / out.stat().st_size
    assert figures["density"] == pytest.approx(small_network().density)
    assert figures["accuracy_float"] == 0.9
    assert [layer["name"] for layer in figures["layers"]] == ["fc1", "fc2"]
    assert max(layer["different_weights"] for layer in figures["layers"]) == 15
    assert shared.weighted[0].code_width == 4
    for number in (f"{figures['compressed_bytes']:,}", "90.00%", f"{figures['density']:.2%}"):
        assert number in result.stdout


def test_prunes(eieio: Callable[..., Result], network: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.eie"
    for option, amounts in (("--density", "0.25"), ("--density", "0.25,0.25"), ("--quality", "1")):
        assert eieio("compress", network, "--out", out, option, amounts).exit_code == 0
        dense = compressed.read(out)
        weight = small_network().weighted[0].weight
        if option == "--density":
            assert [int(np.count_nonzero(layer.weight)) for layer in dense.weighted] == [24, 8]
        else:
            kept = np.abs(weight) > np.std(weight, dtype=np.float64)
            assert np.array_equal(dense.weighted[0].weight != 0, kept)


def test_shared_network_stays_as_it_is(eieio: Callable[..., Result], tmp_path: Path) -> None:
    shared = share_weights(small_network(), 3)
    first, second, third = (tmp_path / f"{name}.eie" for name in "abc")
    compressed.write(first, shared)
    assert eieio("compress", first, "--out", second).exit_code == 0
    assert second.read_bytes() == first.read_bytes()
    assert eieio("compress", first, "--out", third, "--code-width", 2).exit_code == 0
    assert compressed.read(third).weighted[0].code_width == 2


def test_initialisation_counts(eieio: Callable[..., Result], network: Path,
                               tmp_path: Path) -> None:
    out = tmp_path / "small.eie"
    for initialisation in ("linear", "density", "random", "optimal"):
        assert eieio("compress", network, "--out", out, "--initialisation", initialisation,
                     "--code-width", 2, "--seed", 3).exit_code == 0
        expected = share_weights(small_network(), 2, initialisation, 3)
        assert np.array_equal(compressed.read(out).weighted[0].codes, expected.weighted[0].codes)


def test_convolutions(eieio: Callable[..., Result], refused: Callable[..., None],
                      tmp_path: Path) -> None:
    """LeNet-5 becomes a small file, which the systolic engine takes."""
    lenet = Path(__file__).parents[2] / "examples" / "lenet_5"
    out, report, design = tmp_path / "lenet_5.eie", tmp_path / "c.json", tmp_path / "design"
    result = eieio("compress", lenet / "lenet_5.onnx", "--out", out, "--density",
                   "1,0.6,0.3,0.5,1", "--code-width", "5,5,4,4,4", "--samples",
                   lenet / "mnist_train_256.npz", "--json", report)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(report.read_text())
    assert figures["compressed_bytes"] == out.stat().st_size < figures["float32_bytes"] / 12
    assert figures["accuracy_compressed"] > 0.97
    kinds = ["Conv2D", "Conv2D", "FullyConnected", "FullyConnected", "FullyConnected"]
    assert [layer["kind"] for layer in figures["layers"]] == kinds
    assert [layer["code_width"] for layer in figures["layers"]] == [5, 5, 4, 4, 4]
    for layer, density in zip(figures["layers"], (1, 0.6, 0.3, 0.5, 1), strict=True):
        assert layer["density"] == pytest.approx(density, abs=1e-3)
    assert sum(layer["bytes"] for layer in figures["layers"]) < out.stat().st_size

    refused("build", out, "--engine", "sparse", "--out", design, message=(
        f"{out}: Conv2D 'conv1' must be a fully connected layer: the sparse engine takes fully "
        "connected layers in a chain"))
    result = eieio("generate", out, "--rows", 4, "--columns", 4,
                   "--samples", lenet / "mnist_train_256.npz", "--out", design)
    assert result.exit_code == 0, result.stderr
    weights = [operator.weight for operator in graph_file.read(design / "network.graph").operators
               if isinstance(operator, WeightedOperator)]
    for weight, layer, real in zip(weights, figures["layers"], compressed.read(out).weighted,
                                   strict=True):
        assert not weight[real.weight == 0].any()
        assert weight[real.weight != 0].any()
        assert len(np.unique(weight[0])) <= layer["different_weights"] + 1


def test_chain_on_the_systolic_engine(network: Path, samples: Path, tmp_path: Path) -> None:
    """Both engines take a chain, whatever its format."""
    shared = share_weights(small_network(), 4)
    write_network(tmp_path / "shared.net", shared)
    compressed.write(tmp_path / "shared.eie", shared)
    found = [[operator.weight for operator in read_graph(path, samples).operators
              if isinstance(operator, WeightedOperator)]
             for path in (network, tmp_path / "shared.net", tmp_path / "shared.eie")]
    for dense, one, other, real in zip(*found, shared.weighted, strict=True):
        assert np.array_equal(one, other)
        assert not np.array_equal(dense, one)
        assert len(np.unique(one[0])) <= len(np.unique(real.weight[0]))


def write_onnx(path: Path, operator: str) -> None:
    node = helper.make_node(operator, ["x"], ["y"], name="act")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["i", "w"], ["x"]), node], "graph",
        [helper.make_tensor_value_info("i", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.ones((3, 2), np.float32), "w")])
    onnx.save(helper.make_model(graph), path)


def test_refuses_networks(refused: Callable[..., None], tmp_path: Path) -> None:
    out = tmp_path / "out" / "small.eie"

    operator = tmp_path / "operator.onnx"
    write_onnx(operator, "Softplus")
    with pytest.raises(ValueError, match="Softplus") as error:
        onnx_format.read(operator)
    assert "'act'" in str(error.value)
    refused("compress", operator, "--out", out, message=str(error.value))

    weight = np.ones((2, 3), np.float32)
    weight[1, 2] = np.nan
    np.savez(tmp_path / "nan.npz", fc_weight=weight)
    refused("compress", tmp_path / "nan.npz", "--out", out,
            message=f"{tmp_path / 'nan.npz'}: key 'fc_weight' must be finite in float32, not nan "
                    "at (1, 2)")

    truncated = tmp_path / "truncated.net"
    write_network(truncated, share_weights(small_network(), 4))
    truncated.write_bytes(truncated.read_bytes()[:100])
    with pytest.raises(ValueError, match="byte") as error:
        deep_compression.read_network(truncated)
    refused("compress", truncated, "--out", out, message=str(error.value))

    assert not out.parent.exists()


def test_refuses_options(refused: Callable[..., None], network: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.eie"
    refused("compress", network, "--out", tmp_path / "small.zip",
            message=f"{tmp_path / 'small.zip'} must end in .eie")
    refused("compress", network, "--out", out, "--density", 0.1, "--quality", 1,
            message="Pruning takes a density or a quality, not both")
    refused("compress", network, "--out", out, "--density", "0.1,0.2,0.3",
            message="Density must be given once or for 2 layers, not for 3")
    refused("compress", network, "--out", out, "--density", 2,
            message="Density must be from 0 to 1, not 2.0")
    refused("compress", network, "--out", out, "--code-width", 9,
            message="Code width of layer 'fc1' must be from 2 to 8, not 9")
    refused("compress", network, "--out", network / "small.eie",
            message=f"{network / 'small.eie'} must be writable: {network} is not a folder")
    refused("compress", network, "--out", out, "--json", tmp_path,
            message=f"{tmp_path} must be a file, not a folder")
    assert [path.name for path in tmp_path.iterdir()] == ["small.npz"]


