"""Random networks that ONNX Runtime has quantized: a slice of the benchmark of them."""

import importlib.util
import logging
from pathlib import Path
from types import ModuleType

import pytest

GRAPHS = 12


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """Load the benchmark, which is no part of the package."""
    path = Path(__file__).parents[3] / "benchmarks" / "random_qdq_graphs.py"
    spec = importlib.util.spec_from_file_location("random_qdq_graphs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    logging.getLogger().setLevel(logging.ERROR)
    return module


@pytest.mark.parametrize("placement", ["ort", "tensorrt"])
def test_near_onnx_runtime(benchmark: ModuleType, placement: str, tmp_path: Path) -> None:
    """Quantizers around every operator, or in front of weights alone: two steps at most."""
    for seed in range(GRAPHS):
        case, _ = benchmark.draw_case(tmp_path, placement, seed)
        result = benchmark.compare(case)
        assert result.refusal is None
        assert result.steps.max() <= benchmark.TOLERANCE, seed
        assert result.steps.size > 0
