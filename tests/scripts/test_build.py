"""``eieio build``, ``eieio simulate`` and ``eieio infer``, with the RTL of a small engine."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from eieio.model.formats.samples import read as read_samples
from eieio.model.sparse import image
from eieio.sim.sparse import simulation
from eieio.sim.sparse.simulation import Comparison, compare

from .conftest import SIZE, small_network


def test_builds(eieio: Callable[..., Result], network: Path, samples: Path,
                tmp_path: Path) -> None:
    out = tmp_path / "new" / "design"
    report = out / "report.json"
    result = eieio("build", network, "--samples", samples, *SIZE, "--simulate", 3, "--out", out,
                   "--json", report)
    assert (result.exit_code, result.stderr) == (0, "")
    assert {path.name for path in out.iterdir()} == {
        "design.json", "network.eie", "network.image", "report.json", "rtl"}
    figures = json.loads(report.read_text())
    assert (figures["images"], figures["mismatches"], figures["cycle_mismatches"]) == (3, 0, 0)
    assert figures["compared_integers"] == 3 * (8 + 4 + 4)
    assert figures["compressed_bytes"] == (out / "network.eie").stat().st_size
    assert figures["ratio"] == 4 * small_network().parameters / figures["compressed_bytes"]
    assert figures["density"] == pytest.approx(small_network().density)
    assert figures["image_bytes"] == image.read(out / "network.image").image().nbytes
    assert figures["accuracy_float"] == 0.9
    taken = read_samples(samples, 12, 4)
    compiled = image.read(out / "network.image")
    y = compiled.run(compiled.network.quantize_input(taken.x))[-1]
    assert taken.labels is not None
    assert figures["accuracy_integer"] == np.mean(np.argmax(y, axis=1) == taken.labels)
    assert len(figures["inferences"]) == 3
    for number, inference in enumerate(figures["inferences"]):
        assert 0 < inference["cycles_ideal"] < inference["cycles_model"]
        assert inference["cycles_rtl"] == inference["cycles_model"]
        assert sum(inference["layer_cycles_rtl"]) == inference["cycles_rtl"]
        for key in ("cycles_rtl", "cycles_model", "cycles_ideal"):
            assert figures[key][number] == inference[key]
    causes = figures["cycles_by_cause"]
    assert sum(causes[name] for name in ("multiply", "filler", "empty", "starved", "overhead")) \
        == pytest.approx(np.mean(figures["cycles_model"]))
    assert causes["multiply"] == pytest.approx(np.mean(figures["cycles_ideal"]))
    # What was chosen is said, and how exact the integers are.
    config = figures["config"]
    assert {choice["option"] for choice in figures["choices"]} == {
        "accumulator_width", "column_groups", "run_width", "double_buffered", "io_lanes",
        "output_order"} | ({"interleaved"} if config["interleaved"] else set())
    assert all(config[choice["option"]] == choice["value"] for choice in figures["choices"]
               if choice["option"] in config)
    assert all(layer["snr_db"] > 60 for layer in figures["layers"])
    for shown in (*(choice["reason"] for choice in figures["choices"]),
                  *(f"{layer['snr_db']:.1f} dB" for layer in figures["layers"]),
                  "huffman", "90.00%", "cycles of 3 inferences", "equal", "report.json"):
        assert shown in result.stdout


def test_simulates_a_design(eieio: Callable[..., Result], design: Path, samples: Path,
                            tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = eieio("simulate", design, "--input", samples, "--count", 3, "--json", report)
    assert (result.exit_code, result.stderr) == (0, "")
    figures = json.loads(report.read_text())
    assert (figures["images"], figures["mismatches"], figures["cycle_mismatches"]) == (3, 0, 0)
    random = eieio("simulate", design, "--count", 2)
    assert random.exit_code == 0
    assert "inputs are given: they are random" in random.stderr


def test_infers(eieio: Callable[..., Result], design: Path, network: Path, samples: Path,
                tmp_path: Path) -> None:
    x = read_samples(samples, 12, 4).x[:5]
    np.save(tmp_path / "x.npy", x)
    files = {}
    for name, args in (("golden", (design,)), ("rtl", (design, "--on", "rtl")),
                       ("integers", (design, "--on", "rtl", "--integers")),
                       ("network", (network, "--samples", samples, *SIZE))):
        result = eieio("infer", *args, "--input", tmp_path / "x.npy", "--output",
                       tmp_path / "y.npy", "--json", tmp_path / "r.json")
        assert (result.exit_code, result.stderr) == (0, "")
        files[name] = np.load(tmp_path / "y.npy")
    figures = json.loads((tmp_path / "r.json").read_text())
    assert files["golden"].dtype == np.float32
    assert files["integers"].dtype == np.int32
    assert np.array_equal(files["golden"], files["rtl"])
    assert np.array_equal(files["golden"], files["network"])
    assert np.array_equal(
        (files["integers"] * figures["output_scale"]).astype(np.float32), files["rtl"])
    compiled = image.read(design / "network.image")
    expected = small_network().forward(x)
    # 15 shared weights stand for up to 51 here, so the result is near but no nearer.
    assert np.abs(files["rtl"] - expected).max() < 0.2 * np.abs(expected).max()
    assert np.array_equal(files["integers"], compiled.run(
        compiled.network.quantize_input(x))[-1])


def test_mismatch_is_status_1(eieio: Callable[..., Result], network: Path, samples: Path,
                              tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: object, **kwargs: object) -> Comparison:
        comparison = compare(*args, **kwargs)  # pyright: ignore[reportArgumentType]
        return Comparison(comparison.rtl, comparison.golden, comparison.timings, 2, 1)

    monkeypatch.setattr(simulation, "compare", wrong)
    line = "eieio: The RTL differs from the models: 2 integers and 1 cycle counts\n"
    out = tmp_path / "design"
    result = eieio("build", network, "--samples", samples, *SIZE, "--simulate", 1, "--out", out,
                   "--json", tmp_path / "r.json")
    assert (result.exit_code, result.stderr) == (1, line)
    assert "2 differ" in result.stdout
    assert json.loads((tmp_path / "r.json").read_text())["mismatches"] == 2
    for args in (("simulate", out, "--input", samples, "--count", 1),
                 ("infer", out, "--input", samples, "--output", tmp_path / "y.npy", "--on", "rtl")):
        result = eieio(*args)
        assert (result.exit_code, result.stderr) == (1, line)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
def test_simulates_the_verilog_of_the_folder(eieio: Callable[..., Result], design: Path,
                                             samples: Path, tmp_path: Path) -> None:
    args = ("simulate", design, "--input", samples, "--count", 1, "--simulator", "icarus")
    waves = tmp_path / "waves" / "run.fst"
    result = eieio(*args, "--waves", waves)
    assert (result.exit_code, result.stderr) == (0, "")
    assert waves.stat().st_size > 1000
    # The multiplier is changed by hand.
    pe = design / "rtl" / "sparse_engine_processing_element.v"
    changed = pe.read_text().replace(" * ", " + ")
    assert changed != pe.read_text()
    pe.write_text(changed)
    result = eieio(*args)
    assert result.exit_code == 1
    assert result.stderr.startswith("eieio: The RTL differs from the models: ")


def test_build_without_simulation(eieio: Callable[..., Result], network: Path, samples: Path,
                                  tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", read_samples(samples, 12, 4).x)
    result = eieio("build", network, "--samples", tmp_path / "x.npy", *SIZE, "--simulate", 0,
                   "--out", tmp_path / "design", "--json", tmp_path / "r.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "RTL: not simulated" in result.stdout
    assert "Accuracy: not measured" in result.stdout
    figures = json.loads((tmp_path / "r.json").read_text())
    assert (figures["images"], figures["inferences"]) == (0, [])
    assert figures["accuracy_integer"] is None


def test_refuses(refused: Callable[..., None], design: Path, network: Path, samples: Path,
                 tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    out = tmp_path / "other"
    y = tmp_path / "y.npy"
    refused("build", network, "--samples", samples, "--simulate", 21, "--out", out,
            message="Option --simulate must be at most 20, the number of samples, not 21")
    refused("simulate", design, "--input", samples, "--count", 21,
            message="Option --count must be at most 20, the number of inputs, not 21")
    refused("simulate", design, "--pes", 4,
            message="Option --pes goes with a network, not with a design, whose engine is fixed "
                    "(try 'eieio simulate --help')")
    refused("infer", design, "--input", samples, "--output", y, "--samples", samples,
            message="Option --samples goes with a network, not with a design, whose ranges are "
                    "fixed (try 'eieio infer --help')")
    refused("infer", design, "--input", samples, "--output", tmp_path / "y.csv",
            message=f"{tmp_path / 'y.csv'} must end in .npy")
    refused("infer", design, "--input", tmp_path / "none.npy", "--output", y,
            message=f"{tmp_path / 'none.npy'} must be an existing file")
    refused("simulate", tmp_path,
            message=f"{tmp_path} must hold a design: there is no design.json in it")
    assert sorted(tmp_path.rglob("*")) == before

    data = bytearray((design / "network.image").read_bytes())
    data[-9] ^= 1
    (design / "network.image").write_bytes(data)
    refused("simulate", design, message=f"{design / 'network.image'}: Image must have the checksum "
                                        "that it ends with; it is damaged")
    (design / "network.image").unlink()
    refused("simulate", design, message=f"{design} must hold network.image: generate the design "
                                        "from a network")


def test_saturation_is_told(eieio: Callable[..., Result], design: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((2, 12), 9.0))
    result = eieio("infer", design, "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy")
    assert result.exit_code == 0
    assert result.stderr == ("eieio: note: 24 inputs are beyond the calibrated range and "
                             "saturate\n")
