"""Random networks that ONNX Runtime has quantized: a slice of the benchmark of them."""

import importlib.util
import logging
from pathlib import Path
from types import ModuleType

import numpy as np
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


# Were up to 3.6 steps off: by biases, rounded to steps of the sums; by numbers in steps that were
# too coarse, of an addition that is normalized behind its clamp, and of means; by biases of a
# normalization that were rounded, though others gave exact results; by real numbers next to a half,
# in additions (1339, 1621) and in means of them (1829, 1859) and of products (1915); by biases that
# were rounded since steps of sums were too coarse (65); and by maxima that are but a choice (18).
# One could not be rescaled by engines, to steps that divide another's (1238).
_ILL_CONDITIONED = (
    ("tensorrt", 20002), ("tensorrt", 20055), ("tensorrt", 20139), ("ort", 1206),
    ("tensorrt", 1339), ("tensorrt", 1621), ("tensorrt", 1829), ("tensorrt", 1859),
    ("tensorrt", 1915), ("tensorrt", 65), ("tensorrt", 18), ("tensorrt", 1238))


@pytest.mark.parametrize(("placement", "seed"), _ILL_CONDITIONED)
def test_ill_conditioned(benchmark: ModuleType, placement: str, seed: int, tmp_path: Path) -> None:
    """One integer on the other side of a half is several steps at the end."""
    rng = np.random.default_rng([seed, benchmark.PLACEMENTS.index(placement)])
    case = benchmark.draw_any_case(tmp_path, placement, rng)
    assert benchmark.compare(case).steps.max() <= 1


@pytest.mark.parametrize("placement", ["ort", "tensorrt"])
def test_near_onnx_runtime(benchmark: ModuleType, placement: str, tmp_path: Path) -> None:
    """Quantizers around every operator, or in front of weights alone: two steps at most."""
    for seed in range(GRAPHS):
        case, _ = benchmark.draw_case(tmp_path, placement, seed)
        result = benchmark.compare(case)
        assert result.refusal is None
        assert result.steps.max() <= benchmark.TOLERANCE, seed
        assert result.steps.size > 0
