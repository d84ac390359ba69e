"""``eieio bench tensor-core``: figures, and what it refuses."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from numpy.typing import NDArray

from eieio.model.tensor_core.config import StepConfig
from eieio.model.tensor_core.golden import long_dot_product, widen
from eieio.scripts.tensor_core import bench
from eieio.sim.tensor_core.steps import build_steps

Run = Callable[..., Result]


@pytest.fixture
def vectors() -> dict[str, NDArray[Any]]:
    """Vectors of 6 products, of which steps have 4; one result is NaN, one of each is wrong."""
    rng = np.random.default_rng(4)
    a, b = (rng.standard_normal((11, 6)).astype(np.float16) for _ in range(2))
    a[3, 2] = np.nan
    c = rng.standard_normal(11).astype(np.float32)
    bits = [long_dot_product(a.view(np.uint16), b.view(np.uint16), addend, StepConfig(),
                             half=half)
            for addend, half in ((c.view(np.uint32), False),
                                 (widen(c.astype(np.float16).view(np.uint16)), True))]
    full, short = bits[0].view(np.float32), bits[1].astype(np.uint16).view(np.float16)
    full[3], short[3] = -np.nan, -np.nan
    full[5], short[7] = np.nextafter(full[5], np.float32(9)), -short[7]
    return {"a": a, "b": b, "c": c, "d_fp32": full, "d_fp16": short}


def test_in_rtl(eieio: Run, tmp_path: Path, vectors: dict[str, NDArray[Any]],
                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "build_steps", functools.partial(build_steps, quick=True))
    np.savez(tmp_path / "v.npz", allow_pickle=False, **vectors)
    result = eieio("bench", "tensor-core", "--vectors", tmp_path / "v.npz", "--rows", 1,
                   "--columns", 2, "--random", 100, "--json", tmp_path / "new" / "figures.json")
    assert (result.exit_code, result.stderr) == (1, "eieio: Results differ\n")
    figures = json.loads((tmp_path / "new" / "figures.json").read_text())
    assert figures["vectors"] == 11
    assert figures["mismatches"] == {
        "model_fp32": 1, "model_fp16": 1, "rtl_fp32": 1, "rtl_fp16": 1}
    assert (figures["others"], figures["random_mismatches"]) == (0, 0)
    assert (figures["random_results"], figures["rtl_latency"]) == (200, 19)


def test_by_the_model(eieio: Run, tmp_path: Path, vectors: dict[str, NDArray[Any]]) -> None:
    del vectors["d_fp16"]
    vectors["a"] = vectors["a"].view(np.uint16)
    np.savez(tmp_path / "v.npz", allow_pickle=False, **vectors)
    result = eieio("bench", "tensor-core", "--vectors", tmp_path / "v.npz", "--model-only",
                   "--json", tmp_path / "figures.json")
    assert result.exit_code == 1
    assert json.loads((tmp_path / "figures.json").read_text())["mismatches"] == {
        "model_fp32": 1, "rtl_fp32": None}


@pytest.mark.parametrize(("change", "message"), [
    ({"a": None, "c": None}, "must have keys a, b and c, and lacks a, c"),
    ({"d_fp32": None, "d_fp16": None}, "must have a key d_fp32 or d_fp16, beside a, b, c"),
    ({"a": np.zeros((11, 6))}, ("key 'a' must be an array of shape (vectors, products) of float16 "
                                "or of bits as uint16, not float64 of shape (11, 6)")),
    ({"b": np.zeros((11, 5), np.float16)}, ("keys 'a' and 'b' must have the same shape, and "
                                            "something in them, not (11, 6) and (11, 5)")),
    ({"c": np.zeros(11)},
     "key 'c' must be a float32 array of shape (11,), not float64 of shape (11,)"),
    ({"d_fp16": np.zeros(11, np.float32)},
     "key 'd_fp16' must be a float16 array of shape (11,), not float32 of shape (11,)"),
])
def test_bad_vectors(eieio: Run, tmp_path: Path, vectors: dict[str, NDArray[Any]],
                     change: dict[str, Any], message: str) -> None:
    path = tmp_path / "v.npz"
    np.savez(path, allow_pickle=False, **{
        name: array for name, array in (vectors | change).items() if array is not None})
    result = eieio("bench", "tensor-core", "--vectors", path, "--model-only")
    assert (result.exit_code, result.stderr) == (2, f"eieio: {path}: {message}\n")


def test_bad_options(eieio: Run, tmp_path: Path) -> None:
    for arguments, message in (
            ([], "Option --vectors or --random must say what to run"),
            (["--random", 5, "--model-only"], "Option --random goes without --model-only")):
        result = eieio("bench", "tensor-core", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
    result = eieio("bench", "tensor-core", "--random", 5, "--products", 64)
    assert (result.exit_code, result.stderr) == (
        2, "eieio: Option products must be an integer from 1 to 32, not 64\n")
