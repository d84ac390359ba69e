"""``eieio generate``."""

import json
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from eieio.model.formats import compressed, npz
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.sparse import image
from eieio.model.sparse.chain import layers_of
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.engine import ENGINE
from eieio.model.sparse.host import sparse_host_image
from eieio.model.sparse.patterns import draw_pattern
from eieio.rtl import emit
from eieio.scripts import steps
from eieio.scripts.vectors import read_vectors, write_vectors

DESIGN_FILES = {"design.json", "network.eie", "network.image", "rtl"}


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def small_files(network: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no file grow beyond 100 bytes, as on a disk that is nearly full."""
    # Python would not notice that it has written half of a module.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("without_yosys", "small_files")
def test_a_full_disk_leaves_nothing(refused: Callable[..., None], network: Path, samples: Path,
                                    tmp_path: Path) -> None:
    refused("generate", network, "--samples", samples, "--out", tmp_path / "design",
            message=f"{tmp_path / 'design' / 'rtl' / 'sparse_engine.v'} must be writable: File too "
                    "large")
    refused("compress", network, "--out", tmp_path / "net.eie",
            message=f"{tmp_path / 'net.eie'} must be writable: File too large")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["samples.npz", "small.npz"]


@pytest.fixture
def without_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave Verilog out, where a test is about something else."""
    monkeypatch.setattr(steps, "emit_engine", lambda config, family: {
        "sparse_engine.v": f"// {config.label}\n", f"pes_{config.pes}.v": "\n"})


def test_generates(eieio: Callable[..., Result], network: Path, samples: Path,
                   tmp_path: Path) -> None:
    out, report = tmp_path / "new" / "design", tmp_path / "new" / "design" / "report.json"
    args = ("generate", network, "--samples", samples, "--pes", 4, "--run-width", 3, "--out", out)
    result = eieio(*args, "--json", report)
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in out.iterdir()} == DESIGN_FILES | {"report.json"}
    figures = json.loads(report.read_text())
    assert set(figures["files"]) | {"report.json"} == set(tree(out))
    assert figures["config"]["pes"] == 4
    listed = (out / "rtl" / "sparse_engine.f").read_text().split()
    assert sorted(listed) == sorted(path.name for path in (out / "rtl").glob("*.v"))
    config = SparseConfig.from_dict(figures["config"])
    assert f"// Sparse engine: {config.label}" in (out / "rtl" / "sparse_engine.v").read_text()
    # The shared weights and the image are of the same network.
    compiled = image.read(out / "network.image")
    assert compiled.config == config
    shared = compressed.read(out / "network.eie")
    for layer, expected in zip(compiled.layers, shared.weighted, strict=True):
        assert np.array_equal(layer.weights.codes, expected.codes)
    # The same again, byte for byte, over the earlier design.
    before = tree(out)
    assert eieio(*args).exit_code == 0
    assert tree(out) == before


@pytest.mark.usefixtures("without_yosys")
def test_outputs_in_another_order(eieio: Callable[..., Result], tmp_path: Path) -> None:
    """Where another order of the outputs is faster, what reads them undoes it; or it is off."""
    network, x = draw_pattern("every 16th row", 128)
    layer, = layers_of(network)
    weight = layer.weight.astype(np.float32)
    npz.write(tmp_path / "net.npz", chain("net", (fully_connected(
        "fc", weight, np.arange(128, dtype=np.float32), False),)))
    np.save(tmp_path / "x.npy", x / np.float32(1 << 15))
    for order in ("fastest", "network"):
        out, y = tmp_path / order, tmp_path / f"{order}.npy"
        assert eieio("generate", tmp_path / "net.npz", "--samples", tmp_path / "x.npy", "--pes", 4,
                     "--output-order", order, "--out", out).exit_code == 0
        assert eieio("infer", out, "--input", tmp_path / "x.npy", "--output", y,
                     "--integers").exit_code == 0
        golden = np.load(y)
        vectors = read_vectors(ENGINE.open(out), 1)
        write_vectors(tmp_path / f"vectors_{order}", vectors)
        described = json.loads((tmp_path / f"vectors_{order}" / "network.json").read_text())
        positions = described["output"]["positions"]
        assert (positions is None) == (order == "network")
        # As a host would: the values of the beats, by their positions.
        host = sparse_host_image(image.read(out / "network.image"))
        octets = host.outputs.pack(golden[0])
        assert np.array_equal(host.outputs.unpack(octets), golden[0])
        assert np.array_equal(np.frombuffer(octets, "<i2")[positions or np.arange(128)], golden[0])
        made = (tmp_path / f"vectors_{order}" / "output.hex").read_text().split()
        sent = b"".join(bytes.fromhex(beat)[::-1] for beat in made)
        inputs = host.inputs.unpack(vectors.inputs[0].tobytes())
        mine = image.read(out / "network.image").run(inputs[None])[-1]
        assert np.array_equal(np.frombuffer(sent, "<i2")[positions or np.arange(128)], mine[0])
    fastest, plain = (np.load(tmp_path / f"{order}.npy") for order in ("fastest", "network"))
    assert np.array_equal(fastest, plain)


@pytest.mark.usefixtures("without_yosys")
def test_engine_alone(eieio: Callable[..., Result], tmp_path: Path) -> None:
    config = tmp_path / "engine.json"
    config.write_text('{"pes": 8, "entry_depth": 32}')
    out = tmp_path / "design"
    assert eieio("generate", config, "--out", out, "--pes", 2).exit_code == 0
    assert {path.name for path in out.iterdir()} == {"design.json", "rtl"}
    manifest = json.loads((out / "design.json").read_text())
    assert manifest["config"] == SparseConfig(pes=2, entry_depth=32).to_dict()
    assert manifest["network"] is None


@pytest.mark.usefixtures("without_yosys")
def test_options_of_a_file(eieio: Callable[..., Result], network: Path, samples: Path,
                           tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert eieio("generate", network, "--samples", samples, "--out", first, "--pes", 4,
                 "--entry-depth", 100, "--no-absorb-fillers").exit_code == 0
    chosen = json.loads((first / "design.json").read_text())["config"]
    assert (chosen["entry_depth"], chosen["absorb_fillers"]) == (100, False)
    # An earlier design gives its whole configuration, depths included; options go before it.
    assert eieio("generate", network, "--samples", samples, "--out", second, "--config",
                 first / "design.json", "--entry-depth", 200).exit_code == 0
    assert json.loads((second / "design.json").read_text())["config"] == {
        **chosen, "entry_depth": 200}


@pytest.mark.usefixtures("without_yosys")
def test_replaces_an_earlier_design(eieio: Callable[..., Result], network: Path, samples: Path,
                                    tmp_path: Path) -> None:
    out = tmp_path / "design"
    assert eieio("generate", network, "--samples", samples, "--out", out,
                 "--pes", 4).exit_code == 0
    (out / "notes.txt").write_text("mine")
    (out / "rtl" / "mine.v").write_text("mine")
    assert eieio("generate", network, "--samples", samples, "--out", out,
                 "--pes", 2).exit_code == 0
    assert {path.name for path in (out / "rtl").iterdir()} == {
        "mine.v", "pes_2.v", "sparse_engine.f", "sparse_engine.v"}
    assert (out / "notes.txt").read_text() == "mine"


def test_without_samples_says_so(eieio: Callable[..., Result], network: Path, tmp_path: Path,
                                 without_yosys: None) -> None:
    result = eieio("generate", network, "--out", tmp_path / "design")
    assert result.exit_code == 0
    assert result.stderr == (
        "eieio: note: the sparse engine is chosen, since it takes networks of fully connected "
        "layers (.npz, .onnx, .net with its prototxt, .eie), also of integers (.tflite, quantized "
        ".onnx)\n"
        "eieio: note: no samples are given: random inputs from 0 to 1 calibrate the integers' "
        "ranges\n")


@pytest.mark.parametrize(("options", "message"), [
    (["--pes", 1, "--entry-depth", 60],
     ("Layer 'fc2' is too large: it needs 72 weight entries in the fullest PE up to this layer, "
      "and entry_depth is 60")),
    (["--pes", 4, "--pointer-depth", 20],
     ("Layer 'fc2' is too large: it needs 24 column pointers in each PE up to this layer, and "
      "pointer_depth is 20")),
    (["--pes", 1, "--accumulator-depth", 4],
     "Layer 'fc1' is too large: it needs 8 accumulators in each PE, and accumulator_depth is 4"),
    (["--pes", 4, "--activation-depth", 2],
     ("Layer 'fc1' is too large: it needs 3 words of 4 activations for its 12 inputs, and "
      "activation_depth is 2")),
    (["--pes", 1, "--output-depth", 8],
     ("Layer 'fc2' is too large: it needs 12 biases in each lane up to this layer, and "
      "output_depth is 8")),
    (["--layer-depth", 1],
     "Network 'small' is too large: it needs 2 layers, and layer_depth is 1"),
    (["--accumulator-width", 20],
     ("Layer 'fc1': the accumulator could overflow: it needs 24 bits, and accumulator_width is 20: "
      "--accumulator-width 24 fits")),
    (["--pes", 0], "Option pes must be an integer from 1 to 256, not 0"),
    (["--code-width", 1], "Code width of layer 'fc1' must be from 2 to 8, not 1"),
])
def test_refuses_what_does_not_fit(refused: Callable[..., None], network: Path, samples: Path,
                                   tmp_path: Path, options: list[object], message: str) -> None:
    refused("generate", network, "--samples", samples, "--out", tmp_path / "new" / "design",
            *options, message=message)
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*"))


def test_depths_that_an_error_asks_for_fit(eieio: Callable[..., Result], network: Path,
                                           samples: Path, tmp_path: Path,
                                           without_yosys: None) -> None:
    result = eieio("generate", network, "--samples", samples, "--out", tmp_path / "design",
                   "--pes", 4, "--pointer-depth", 24, "--accumulator-depth", 2)
    assert result.exit_code == 0, result.stderr


def test_refuses_folders(refused: Callable[..., None], network: Path, tmp_path: Path) -> None:
    below = network / "new" / "design"
    refused("generate", network, "--out", below,
            message=f"Output folder {below} must be writable: {network} is not a folder")
    other = tmp_path / "other"
    other.mkdir()
    (other / "rtl").mkdir()
    refused("generate", network, "--out", other,
            message=f"Output folder {other} must be new or empty, or hold an earlier design")
    refused("generate", network, "--out", tmp_path / "design", "--json", network / "r.json",
            message=f"{network / 'r.json'} must be writable: {network} is not a folder")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["other", "rtl", "small.npz"]


def test_refuses_configurations(refused: Callable[..., None], network: Path,
                                tmp_path: Path) -> None:
    config = tmp_path / "c.json"
    for text, message in (
            ("{", (f"{config} must be JSON: Expecting property name enclosed in double quotes: "
             "line 1 column 2 (char 1)")),
            ("[]", f"{config} must hold a JSON object of options"),
            ('{"pes": "4"}', f"{config}: Option pes must be an integer from 1 to 256, not '4'"),
            ('{"lanes": 4}', (f"{config}: Option 'lanes' must be one of "
                              f"{', '.join(field.name for field in fields(SparseConfig))}"))):
        config.write_text(text)
        refused("generate", network, "--out", tmp_path / "d", "--config", config, message=message)
        refused("generate", config, "--out", tmp_path / "d", message=message)
    assert not (tmp_path / "d").exists()


def test_refuses_samples(refused: Callable[..., None], network: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    out = tmp_path / "design"
    x = np.zeros((5, 12), np.float32)
    for arrays, message in (
            ({"x": x[:, :11]}, "key 'x' must have shape (samples, 12), not (5, 11)"),
            ({"x": x[0]}, "key 'x' must have shape (samples, 12), not (12,)"),
            ({"x": x[:0]}, "key 'x' must have shape (samples, 12), not (0, 12)"),
            ({"x": x + np.inf}, "key 'x' must be finite"),
            ({"x": x > 0}, "key 'x' must hold integers or floats, not bool"),
            ({"y": x}, "must have a key 'x' (inputs), beside y"),
            ({"x": x, "y": np.zeros(4, int)},
             "key 'y' must hold integers of shape (5,), not int64 of shape (4,)"),
            ({"x": x, "y": np.arange(5)}, "key 'y' must hold labels from 0 to 3, not from 0 to 4"),
    ):
        np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
        refused("generate", network, "--out", out, "--samples", path, message=f"{path}: {message}")
    assert not out.exists()


def test_yosys_failure_is_one_line(refused: Callable[..., None], network: Path, samples: Path,
                                   tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: SparseConfig, family: object) -> None:
        raise emit.EmissionError("Yosys failed: ERROR: no\nmemory")

    monkeypatch.setattr(steps, "emit_engine", fail)
    refused("generate", network, "--samples", samples, "--out", tmp_path / "design",
            message="Yosys failed: ERROR: no memory")
    assert not (tmp_path / "design").exists()
