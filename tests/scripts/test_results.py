"""``--report`` and ``--trace`` of the commands."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from .conftest import SIZE
from .test_page import check_page
from .test_systolic import SIZE as SYSTOLIC
from .test_systolic import write_network

Run = Callable[..., Result]
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus")


def processes(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read a trace: the spans of each process, without its number; check that they add up."""
    events = json.loads(path.read_text())["traceEvents"]
    names = {event["pid"]: event["args"]["name"] for event in events
             if event["name"] == "process_name"}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
    for event in events:
        if event["ph"] == "X":
            found[names[event["pid"]]].append({**event, "pid": None})
    for spans in found.values():
        layers = [event for event in spans if event["tid"] == 2]
        causes = [event for event in spans if event["tid"] == 3]
        for layer in layers:
            end = layer["ts"] + layer["dur"]
            within = [event for event in causes if layer["ts"] <= event["ts"] < end]
            assert {event["args"]["layer"] for event in within} == {layer["name"]}
            assert math.isclose(math.fsum(event["dur"] for event in within), layer["dur"])
    return found


def test_sparse_model(eieio: Run, network: Path, samples: Path, tmp_path: Path) -> None:
    """Without a simulation both are the cycle model's; the same run gives the same files."""
    written = []
    for number in range(2):
        files = [tmp_path / "new" / name for name in (f"{number}.html", f"{number}.json")]
        result = eieio("build", network, "--samples", samples, *SIZE, "--simulate", 0, "--out",
                       tmp_path / "design", "--report", files[0], "--trace", files[1], "--json",
                       tmp_path / "report.json")
        assert (result.exit_code, result.stderr) == (0, "")
        assert all(str(file) in result.stdout for file in files)
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    figures = json.loads((tmp_path / "report.json").read_text())
    said = " ".join(check_page(written[0][0].decode()).texts)
    for expected in ("The RTL has not been simulated", "fc1", "fc2", "huffman", "90.00%", "By PE",
                     "column pointers of a PE", "network.image", f"{figures['image_bytes']:,}",
                     f"{figures['layers'][0]['snr_db']:.1f} dB"):
        assert expected in said, expected
    spans = processes(tmp_path / "new" / "0.json")
    assert list(spans) == ["cycle model"]
    assert [event["name"] for event in spans["cycle model"] if event["tid"] == 2] == ["fc1", "fc2"]
    mean = sum(layer["cycles"] for layer in figures["profile"])
    assert math.isclose(mean, figures["cycles_per_inference"])
    for memory in figures["memories"]:
        assert 0 < memory["used"] <= memory["depth"]


@needs_icarus
def test_sparse_rtl(eieio: Run, design: Path, samples: Path, tmp_path: Path) -> None:
    result = eieio("simulate", design, "--input", samples, "--count", 2, "--simulator", "icarus",
                   "--trace", tmp_path / "t.json", "--json", tmp_path / "r.json")
    assert (result.exit_code, result.stderr) == (0, "")
    figures = json.loads((tmp_path / "r.json").read_text())
    spans = processes(tmp_path / "t.json")
    assert list(spans) == ["cycle model", "RTL"]
    assert spans["RTL"] == spans["cycle model"]
    assert [event["dur"] for event in spans["RTL"] if event["tid"] == 1] == figures["cycles_rtl"]
    causes: dict[str, float] = {}
    for event in spans["RTL"]:
        if event["tid"] == 3:
            causes[event["name"]] = causes.get(event["name"], 0) + event["dur"] / 2
    by_cause = figures["cycles_by_cause"]
    assert causes == pytest.approx({cause: by_cause[cause] for cause in causes})
    assert sum(causes.values()) == pytest.approx(np.mean(figures["cycles_rtl"]))


def test_systolic(eieio: Run, tmp_path: Path) -> None:
    write_network(tmp_path / "net.onnx")
    x = np.random.default_rng(8).integers(0, 256, (4, 1, 6, 6), np.uint8)
    np.savez(tmp_path / "samples.npz", x=x)
    result = eieio("build", tmp_path / "net.onnx", *SYSTOLIC, "--samples", tmp_path / "samples.npz",
                   "--simulate", 2, "--out", tmp_path / "design", "--report", tmp_path / "r.html",
                   "--trace", tmp_path / "t.json", "--json", tmp_path / "r.json")
    assert (result.exit_code, result.stderr) == (0, "")
    figures = json.loads((tmp_path / "r.json").read_text())
    said = " ".join(check_page((tmp_path / "r.html").read_text()).texts)
    for expected in ("equals the models", "MaxPool", "softmax: Softmax, 3, computed by the host",
                     "By row", "By column", "rows of weights", "network.graph",
                     f"{figures['layers'][0]['snr_db']:.1f} dB"):
        assert expected in said, expected
    spans = processes(tmp_path / "t.json")
    assert list(spans) == ["cycle model", "RTL"]
    assert spans["RTL"] == spans["cycle model"]
    assert [event["dur"] for event in spans["RTL"] if event["tid"] == 1] == figures["cycles_rtl"]
    # The array is used where there are weights: of three pixels of a window's row two are a patch,
    # and one is alone.
    first = figures["profile"][0]
    used = first["causes"]["multiply"] / first["cycles"]
    assert first["used"]["row"] == [used, used / 2]


@pytest.mark.parametrize("option", ["--report", "--trace"])
def test_refuses_before_it_begins(refused: Callable[..., None], tmp_path: Path,
                                  option: str) -> None:
    missing = tmp_path / "missing.npz"
    refused("build", missing, "--out", tmp_path / "design", option, tmp_path,
            message=f"{tmp_path} must be a file, not a folder")
    (tmp_path / "file").touch()
    refused("simulate", missing, option, tmp_path / "file" / "r",
            message=f"{tmp_path / 'file' / 'r'} must be writable: {tmp_path / 'file'} is not a "
            "folder")


def test_bench(eieio: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    np.save(tmp_path / "w.npy", rng.normal(size=(20, 30)) * (rng.random((20, 30)) < 0.3))
    np.save(tmp_path / "a.npy", rng.random((2, 30)))
    for args, expected in (
            (("layer", "--weight", tmp_path / "w.npy", "--activation", tmp_path / "a.npy", "--pes",
              4), ["w, benchmark", "w, paper", "w, ours", "starved"]),
            (("eie", "--layers", "NT-We", "--configuration", "ours", "--pes", 4), ["NT-We, ours"]),
            (("systolic", "--quick", "--rows", 2, "--columns", 2),
             ["conv3x3_4ch_8x8, direct", "conv3x3_4ch_8x8, winograd F2", "transform"])):
        result = eieio("bench", *args, "--model-only", "--report", tmp_path / "r.html", "--json",
                       tmp_path / "r.json")
        assert (result.exit_code, result.stderr) == (0, "")
        assert "r.html" in result.stdout
        said = check_page((tmp_path / "r.html").read_text()).texts
        for text in [*expected, "The RTL has not been simulated"]:
            assert any(text in part for part in said), text
        for layer in json.loads((tmp_path / "r.json").read_text())["profile"]:
            assert sum(layer["causes"].values()) == pytest.approx(layer["cycles"])
