"""``eieio bench``."""

import functools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from numpy.typing import NDArray

from eieio.model.sparse.chain import layers_of
from eieio.model.sparse.eie_layers import EIE_LAYERS
from eieio.scripts import plots
from eieio.scripts.sparse import bench, bench_docs
from eieio.sim.sparse import eie_benchmark
from eieio.sim.sparse.simulation import build_preloaded

Run = Callable[..., Result]


@pytest.fixture
def arrays() -> dict[str, NDArray[np.float64]]:
    """Make a sparse layer of few distinct weights, and an input with zeros."""
    rng = np.random.default_rng(3)
    weight = rng.choice([-0.5, 0.25, 1.0], (20, 30)) * (rng.random((20, 30)) < 0.3)
    return {"weight": weight, "activation": rng.random(30) * (rng.random(30) < 0.6),
            "bias": rng.normal(size=20)}


@pytest.fixture
def saved(tmp_path: Path, arrays: dict[str, NDArray[np.float64]]) -> list[object]:
    """Arguments that name the files of the arrays."""
    arguments: list[object] = []
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        arguments += [f"--{name}", tmp_path / f"{name}.npy"]
    return arguments


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scale the paper's layers down to a sixteenth each way."""
    layers = tuple(replace(layer, inputs=layer.inputs // 16, outputs=layer.outputs // 16)
                   for layer in EIE_LAYERS)
    monkeypatch.setattr(bench, "EIE_LAYERS", layers)


@pytest.fixture
def fake_rtl(monkeypatch: pytest.MonkeyPatch) -> type:
    """Let the cycle model stand in for the RTL; ``Fake.mismatches`` can be set."""
    run_layer = eie_benchmark.run_layer

    class Fake:
        mismatches = 0

        @classmethod
        def run(cls, *arguments: Any) -> eie_benchmark.LayerResult:
            name, compiled, x, _, started = arguments
            result = run_layer(name, compiled, x, None, started)
            return replace(result, cycles=result.model_cycles, mismatches=cls.mismatches,
                           cycle_mismatches=0)

    monkeypatch.setattr(eie_benchmark, "run_layer", Fake.run)
    monkeypatch.setattr(eie_benchmark, "build_preloaded", lambda config: object())
    return Fake


def test_eie_by_the_model(eieio: Run, tmp_path: Path) -> None:
    """At full size, in the paper's order, the least demanding layers."""
    path = tmp_path / "new" / "eie.json"
    result = eieio("bench", "eie", "--layers", "NT-LSTM,nt-we", "--model-only", "--json", path)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(path.read_text())
    assert [(layer["name"], layer["configuration"]) for layer in figures["layers"]] == [
        (name, configuration) for name in ("NT-We", "NT-LSTM")
        for configuration in ("paper", "ours", "deep")]
    for layer in figures["layers"]:
        assert layer["pes"] == 64
        assert (layer["cycles"], layer["mismatches"]) == (None, None)
        assert layer["ratio"] == layer["model_cycles"] / layer["ideal"]
    # Near 1.5 x ideal, as the paper's own times are.
    assert figures["layers"][0]["ratio"] == pytest.approx(1.53, abs=0.03)
    assert figures["geomean"]["ours"] < 1.05
    assert figures["geomean"]["deep"] < 1.035
    assert "by the cycle model" in result.stdout
    assert f"{figures['layers'][1]['model_cycles']:,}" in result.stdout


@pytest.mark.usefixtures("small")
def test_eie_options(eieio: Run, fake_rtl: type, tmp_path: Path) -> None:
    path = tmp_path / "eie.json"
    arguments = ["bench", "eie", "--configuration", "ours", "--pes", 4, "--json", path]
    assert eieio(*arguments, "--seed", 1).exit_code == 0
    first = json.loads(path.read_text())
    assert [layer["name"] for layer in first["layers"]] == [layer.name for layer in EIE_LAYERS]
    assert {layer["configuration"] for layer in first["layers"]} == {"ours"}
    assert [*first["geomean"]] == ["ours"]
    assert first["config"]["ours"]["pes"] == 4
    assert eieio(*arguments, "--seed", 2).exit_code == 0
    assert json.loads(path.read_text())["geomean"] != first["geomean"]


@pytest.mark.usefixtures("small")
def test_eie_mismatch(eieio: Run, fake_rtl: Any) -> None:
    fake_rtl.mismatches = 2
    result = eieio("bench", "eie", "--layers", "NT-We", "--configuration", "ours", "--pes", 2)
    assert result.exit_code == 1
    assert result.stderr == ("eieio: The RTL differs from the models: 2 integers and 0 cycle "
                             "counts\n")


@pytest.mark.long
@pytest.mark.usefixtures("small")
def test_docs(eieio: Run, fake_rtl: type, tmp_path: Path,
              monkeypatch: pytest.MonkeyPatch) -> None:
    """The document names only images that are there; plots are the same each time."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(bench_docs, "measure_compile", lambda name, pes, groups: {
        "compile_seconds": 1.0, "compile_cpu_seconds": 1.0, "model_seconds": 1.0, "groups": groups,
        "peak_bytes": 10**8, "dense_bytes": 10**8, "image_bytes": 10**7})
    monkeypatch.setattr(bench_docs, "emit_engine", lambda config: {"a.v": "a" * 2000})
    monkeypatch.setattr(bench_docs, "_COUNTS", (1, 4))
    monkeypatch.setattr(bench_docs, "_MORE_SEEDS", 1)
    docs = tmp_path / "docs"
    arguments = ["bench", "eie", "--layers", "Alex-7,NT-We", "--pes", 4, "--json",
                 tmp_path / "eie.json", "--docs"]
    result = eieio(*arguments, docs)
    assert result.exit_code == 0, result.stderr
    text = (docs / "benchmarks.md").read_text()
    images = sorted(re.findall(r"\]\((images/.*?)\)", text))
    assert images == sorted(f"images/{path.name}" for path in (docs / "images").iterdir())
    assert len(images) == 5
    for layer in json.loads((tmp_path / "eie.json").read_text())["layers"]:
        assert f"{layer['cycles']:,} ({layer['ratio']:.3f})" in text
    assert max(map(len, [line for line in text.splitlines() if line[:1] not in "|!"])) <= 100
    assert "None" not in text
    assert "nan" not in text
    again = tmp_path / "again" / "other.md"
    assert eieio(*arguments, again).exit_code == 0
    for path in (docs / "images").iterdir():
        assert (again.parent / "images" / path.name).read_bytes() == path.read_bytes()


def test_docs_refusals(refused: Callable[..., None], tmp_path: Path,
                       monkeypatch: pytest.MonkeyPatch) -> None:
    only = ("Option --docs goes with --configuration all, and without --model-only (try 'eieio "
            "bench eie --help')")
    refused("bench", "eie", "--docs", tmp_path, "--model-only", message=only)
    refused("bench", "eie", "--docs", tmp_path, "--configuration", "ours", message=only)
    file = tmp_path / "file"
    file.touch()
    refused("bench", "eie", "--docs", file,
            message=f"{file / 'benchmarks.md'} must be writable: {file} is not a folder")

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(plots, "import_module", missing)
    refused("bench", "eie", "--docs", tmp_path,
            message="Plots need the Python package matplotlib: pip install matplotlib")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--layers", "Alex-9"],
     ("Invalid value for '--layers': 'alex-9' must be one of Alex-6, Alex-7, Alex-8, VGG-6, VGG-7, "
      "VGG-8, NT-We, NT-Wd, NT-LSTM (try 'eieio bench eie --help')")),
    (["--pes", 0], "Option pes must be an integer from 1 to 256, not 0"),
])
def test_eie_refusals(refused: Callable[..., None], arguments: list[object],
                      message: str) -> None:
    refused("bench", "eie", *arguments, message=message)


def test_layer_in_rtl(eieio: Run, saved: list[object], arrays: dict[str, NDArray[np.float64]],
                      tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "build_preloaded", functools.partial(build_preloaded, quick=True))
    path = tmp_path / "layer.json"
    # A batch, whose second input is zero.
    batch = np.stack([arrays["activation"], 0 * arrays["activation"]])
    np.save(tmp_path / "activation.npy", batch)
    result = eieio("bench", "layer", *saved, "--relu", "--pes", 1, "--json", path)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(path.read_text())
    ideal = np.count_nonzero(arrays["weight"][:, arrays["activation"] != 0])
    assert [layer["configuration"] for layer in figures["layers"]] == ["paper", "ours"]
    for layer in figures["layers"]:
        assert (layer["name"], layer["samples"]) == ("weight", 2)
        assert (layer["mismatches"], layer["cycle_mismatches"]) == (0, 0)
        assert layer["cycles"] == layer["model_cycles"]
        assert layer["ideal"] == ideal
        assert figures["geomean"][layer["configuration"]] == pytest.approx(layer["ratio"])


def test_layer_options(eieio: Run, saved: list[object], tmp_path: Path) -> None:
    """What is ours changes our row, and the rest both."""
    path = tmp_path / "layer.json"
    result = eieio("bench", "layer", *saved, "--pes", 4, "--model-only", "--run-width", 5,
                   "--no-absorb-fillers", "--activation-width", 12, "--entry-depth", 96,
                   "--json", path)
    assert result.exit_code == 0, result.stderr
    configs = json.loads(path.read_text())["config"]
    expected = {"pes": 4, "io_lanes": 4, "activation_width": 12, "entry_depth": 96}
    for config, own in ((configs["paper"], (4, False, False, 1)),
                        (configs["ours"], (5, False, True, 4))):
        assert {name: config[name] for name in expected} == expected
        assert own == tuple(config[name] for name in (
            "run_width", "absorb_fillers", "skip_empty_columns", "column_groups"))


def test_layer_weights_are_exact(arrays: dict[str, NDArray[np.float64]], saved: list[object],
                                 eieio: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few distinct weights, a bias and a rectifier come through quantization."""
    seen = []
    run_layer = eie_benchmark.run_layer

    def spy(name: str, compiled: Any, *arguments: Any) -> Any:
        seen.append(layers_of(compiled.network)[0])
        return run_layer(name, compiled, *arguments)

    monkeypatch.setattr(bench, "run_layer", spy)
    assert eieio("bench", "layer", *saved, "--relu", "--pes", 4, "--model-only").exit_code == 0
    for layer in seen:
        shared = layer.stored_weight
        weight = shared.codebook[shared.codes] * shared.scale
        assert np.allclose(weight, arrays["weight"], atol=shared.scale)
        assert np.array_equal(weight != 0, arrays["weight"] != 0)
        bias = layer.bias * layer.input.scale * shared.scale
        assert np.allclose(bias, arrays["bias"], rtol=1e-4, atol=1e-6)
        assert layer.minimum == 0


@pytest.mark.parametrize(("name", "change", "message"), [
    ("weight", lambda w: w[0], "weights must have shape (outputs, inputs), not (30,)"),
    ("weight", lambda w: w[:0], "weights must have shape (outputs, inputs), not (0, 30)"),
    ("weight", lambda w: w.astype(int), "must hold floats, not int64"),
    ("weight", lambda w: w + 0j, "must hold floats, not complex128"),
    ("weight", lambda w: w.astype(object),
     "must be an .npy file, without Python objects"),
    ("weight", lambda w: np.where(w == w[1, 2], np.nan, w),
     "must be finite in float32, not nan at (0, 0)"),
    ("activation", lambda a: a[:29],
     "activations must have shape (30,) or (samples, 30), not (29,)"),
    ("activation", lambda a: a[None, None],
     "activations must have shape (30,) or (samples, 30), not (1, 1, 30)"),
    ("activation", lambda a: a[None][:0],
     "activations must have shape (30,) or (samples, 30), not (0, 30)"),
    ("activation", lambda a: a * 0 + 1e300, "must be finite in float32, not 1e+300 at (0,)"),
    ("activation", lambda a: a > 0, "must hold floats, not bool"),
    ("bias", lambda b: b[None], "biases must have shape (20,), not (1, 20)"),
    ("bias", lambda b: b - np.inf, "must be finite in float32, not -inf at (0,)"),
])
def test_layer_refuses_arrays(refused: Callable[..., None], saved: list[object], tmp_path: Path,
                              arrays: dict[str, NDArray[np.float64]], name: str,
                              change: Callable[[Any], Any], message: str) -> None:
    if "nan" in message:
        arrays["weight"][0, 0] = arrays["weight"][1, 2]
    path = tmp_path / f"{name}.npy"
    np.save(path, change(arrays[name]), allow_pickle=True)
    refused("bench", "layer", *saved, message=f"{path}: {message}")


def test_layer_refuses_files(refused: Callable[..., None], saved: list[object],
                             tmp_path: Path) -> None:
    path = tmp_path / "weight.npy"
    path.write_text("no array")
    refused("bench", "layer", *saved,
            message=f"{path}: must be an .npy file, without Python objects")
    path.write_bytes(b"")
    refused("bench", "layer", *saved,
            message=f"{path}: must be an .npy file, without Python objects")
    np.savez(path.with_suffix(".npz"), np.zeros(3))
    path.with_suffix(".npz").rename(path)
    refused("bench", "layer", *saved,
            message=f"{path}: must be an .npy file, not an archive of several")
    path.unlink()
    refused("bench", "layer", *saved, message=f"{path} must be an existing file")
    path.mkdir()
    refused("bench", "layer", *saved, message=f"{path} must be a file, not a folder or a device")


@pytest.mark.parametrize(("options", "message"), [
    (["--pes", 300], "Option pes must be an integer from 1 to 256, not 300"),
    (["--code-width", 9], "Option code_width must be an integer from 2 to 8, not 9"),
    (["--column-groups", 3, "--pes", 4],
     "Option column_groups must be a power of two that divides pes (4), not 3"),
    (["--pes", 4, "--entry-depth", 8],
     ("Layer 'weight' is too large: it needs 53 weight entries in the fullest PE up to this layer, "
      "and entry_depth is 8")),
])
def test_layer_refuses_options(refused: Callable[..., None], saved: list[object],
                               options: list[object], message: str) -> None:
    refused("bench", "layer", *saved, "--model-only", *options, message=message)
