"""Layers that methods of compression make, on the sparse engine."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from eieio.model.compress.low_rank import Factoring, factor_graph
from eieio.model.compress.structured_pruning import few_of_each_mask
from eieio.model.compress.ternary import sign_codes, ternary_scale, ternary_signs, twn_threshold
from eieio.model.compress.weight_sharing import share_weights
from eieio.model.formats import compressed
from eieio.model.formats.input_file import read_bytes
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph, FullyConnected
from eieio.scripts.main import main

RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.fixture
def network() -> FloatGraph:
    """Make a chain: a layer of low rank, a ternary one, and one with 2 of each 4 weights."""
    bias = np.zeros(12, np.float32)
    few = weights(12, 12)
    few[~few_of_each_mask(few)] = 0
    first = share_weights(factor_graph(
        chain("first", [fully_connected("low", weights(12, 16), bias, rectified=True),
                        fully_connected("few", few, bias, rectified=True)]),
        {"low": Factoring("svd", speedup=2.0)}), 4).weighted
    weight = weights(8, 12)
    signs = ternary_signs(weight, twn_threshold(weight))
    scale = ternary_scale(weight, signs)
    dense = [layer for layer in first if isinstance(layer, FullyConnected)]
    return chain("methods", [*dense, fully_connected(
        "ternary", sign_codes(signs, scale, scale), bias[:8])])


@pytest.mark.long
def test_runs_in_rtl(network: FloatGraph, tmp_path: Path) -> None:
    """RTL, golden model and cycle model agree on 100 inputs; codes of 2 bits stay in the file."""
    path = tmp_path / "methods.eie"
    compressed.write(path, network)
    assert [layer.code_width for layer in compressed.read(path).weighted] == [4, 4, 4, 2]
    np.save(tmp_path / "x.npy", np.abs(weights(100, 16)))
    result = CliRunner(catch_exceptions=False).invoke(main, [
        "build", str(path), "--engine", "sparse", "--pes", "4", "--samples",
        str(tmp_path / "x.npy"), "--simulate", "100", "--out", str(tmp_path / "design"), "--json",
        str(tmp_path / "report.json")])
    assert result.exit_code == 0, result.stderr
    report = read_bytes(tmp_path / "report.json").decode()
    assert '"images": 100,' in report
    assert '"mismatches": 0,' in report
    assert '"cycle_mismatches": 0,' in report
