"""An engine that another package brings: every command takes it, and no file names any engine."""

import io
import json
import re
import shutil
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from eieio.host.device import Device
from eieio.host.images import read_host_image
from eieio.model.formats import npz
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.registry import find_engine, names
from eieio.scripts.main import main
from eieio.sim.board_model import BoardModel, MemoryLine
from eieio.sim.shell_session import ShellSession, build_shell, traffic

ROOT = Path(__file__).parents[1]
TINY = Path(__file__).with_name("tiny")
SIMULATOR = "icarus" if shutil.which("iverilog") else "verilator"
#: What may not know any engine by its name, but for the packages of engines.
COMMON = [*ROOT.glob("scripts/*.py"), *ROOT.glob("scripts/api/*.py"),
          *ROOT.glob("scripts/host/*.py"), *ROOT.glob("sim/*.py"),
          *ROOT.glob("rtl/bus/*.py"), *ROOT.glob("rtl/boards/*.py"), *ROOT.glob("model/*.py")]

Run = Callable[..., Result]


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    """Have the engine's package on the path, as if it were installed."""
    assert "tiny" not in names()
    sys.path.insert(0, str(TINY))
    yield
    sys.path.remove(str(TINY))


def eieio(*args: object) -> Result:
    return CliRunner(catch_exceptions=False).invoke(main, [*map(str, args)], prog_name="eieio")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a network, inputs and a design, with the report of its build."""
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(1)
    layer = fully_connected("fc", rng.normal(size=(5, 9)).astype(np.float32),
                            rng.normal(size=5).astype(np.float32))
    npz.write(folder / "net.npz", chain("net", [layer]))
    np.save(folder / "x.npy", rng.normal(size=(4, 9)).astype(np.float32))
    result = eieio("build", folder / "net.npz", "--engine", "tiny", "--simulate", 2, "--samples",
                   folder / "x.npy", "--simulator", SIMULATOR, "--outputs", 8,
                   "--out", folder / "design", "--json", folder / "report.json")
    assert (result.exit_code, result.stderr) == (0, "")
    return folder


def test_is_listed(tmp_path: Path) -> None:
    result = eieio("engines", "--json", tmp_path / "engines.json")
    assert result.exit_code == 0
    assert "tiny: One fully connected layer on one multiplier" in result.stdout
    found = json.loads((tmp_path / "engines.json").read_text())["engines"]
    assert [engine["name"] for engine in found] == [
        "sparse", "systolic", "mixed", "dadiannao", "eyeriss", "tensor_core", "tiny"]
    assert list(found[-1]["options"]) == ["inputs", "outputs"]
    assert found[-1]["settings"] == {"clip": "Share of the inputs' range that is kept. Default: "
                                             "1.0."}


def test_builds(made: Path) -> None:
    figures = json.loads((made / "report.json").read_text())
    assert (figures["engine"], figures["network"], figures["images"]) == ("tiny", "net", 2)
    assert (figures["mismatches"], figures["cycle_mismatches"]) == (0, 0)
    assert figures["compared_integers"] == 2 * (5 + 5)
    assert figures["cycles_per_inference"] == 5 * (9 + 2)
    assert figures["interval_cycles"] == 9 + 55 + 5 + 2
    assert figures["config"] == {"inputs": 9, "outputs": 8}
    assert {path.name for path in (made / "design").iterdir()} == {
        "design.json", "network.image", "rtl"}


def test_simulates_generates_and_infers(made: Path, tmp_path: Path) -> None:
    result = eieio("simulate", made / "design", "--count", 1, "--simulator", SIMULATOR)
    assert result.exit_code == 0
    assert "RTL against the golden model, 10 integers of all layers: equal" in result.stdout
    (tmp_path / "engine.json").write_text('{"inputs": 9}')
    result = eieio("generate", tmp_path / "engine.json", "--engine", "tiny", "--outputs", 8,
                   "--out", tmp_path / "bare")
    assert (result.exit_code, result.stderr) == (0, "")
    verilog = "rtl/tiny_engine.v"
    assert (tmp_path / "bare" / verilog).read_text() == (made / "design" / verilog).read_text()
    result = eieio("infer", made / "design", "--input", made / "x.npy", "--output",
                   tmp_path / "y.npy")
    assert (result.exit_code, result.stderr) == (0, "")
    x = np.load(made / "x.npy")
    layer = npz.read(made / "net.npz").weighted[0]
    expected = x @ layer.weight.T + layer.bias
    assert np.abs(np.load(tmp_path / "y.npy") - expected).max() < 0.1


def test_has_a_shell_and_a_driver(made: Path, tmp_path: Path) -> None:
    """The shell's RTL loads its image and computes; the host's driver takes the same image."""
    compiled = find_engine("tiny").open(made / "design")
    x = compiled.quantize(np.load(made / "x.npy"))
    session = ShellSession(compiled.config, [traffic(compiled, x)], {}, 1)
    session.use(0)
    session.send_input(session.inputs[0][0][:-1])
    session.error(4, loaded=True)
    session.infer(0, 1)
    session.run(build_shell(compiled.config, simulator=SIMULATOR), tmp_path, stall=0.2)

    board = BoardModel(read_host_image(made / "design"), lambda values: compiled.run(
        values[np.newaxis])[0])
    device = Device(MemoryLine(board))
    device.load(made / "design")
    assert device.info().engine == "tiny"
    assert np.array_equal(device.infer(np.load(made / "x.npy")), compiled.real(compiled.run(x)))


def test_is_exported(made: Path, tmp_path: Path) -> None:
    result = eieio("export", made / "design", "--out", tmp_path / "package")
    assert (result.exit_code, result.stderr) == (0, "")
    package = tmp_path / "package"
    assert "#define EIEIO_ENGINE_TINY 128u" in (package / "eieio_registers.h").read_text()
    described = json.loads((package / "tiny_shell.json").read_text())
    assert (described["engine"], described["config"]["inputs"]) == ("tiny", 9)
    assert len((package / "vectors" / "output.hex").read_text().split()) == 2 * 5


def test_is_proposed_and_refuses(made: Path, tmp_path: Path) -> None:
    """Engines of eieio come first; options and networks of others are refused in one line."""
    network = made / "net.npz"
    result = eieio("generate", network, "--out", tmp_path / "design", "--clip", 0.5)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "eieio: Option --clip goes with --engine tiny, not with the sparse engine (try 'eieio "
        "generate --help')")
    first: Any = npz.read(network).weighted[0]
    last = fully_connected("last", np.ones((2, 5), np.float32), np.zeros(2, np.float32))
    npz.write(tmp_path / "two.npz", chain("two", [first, last]))
    result = eieio("generate", tmp_path / "two.npz", "--engine", "tiny", "--out", tmp_path / "d")
    assert (result.exit_code, result.stderr) == (
        2, (f"eieio: {tmp_path / 'two.npz'}: the tiny engine takes networks of one fully connected "
            "layer without a rectifier (.npz)\n"))
    result = eieio("fit", network, "--engine", "tiny", "--board", "icebreaker")
    assert (result.exit_code, result.stderr) == (
        2, "eieio: Area of TinyConfig must be modelled before it is asked for\n")


def test_help_is_short_and_the_engine_s(made: Path) -> None:
    common = eieio("build", "--help").stdout
    assert len(common.splitlines()) <= 60
    assert "--clip" not in common
    shown = eieio("build", "--engine", "tiny", "--help").stdout
    assert "--clip" in shown
    assert "--pes" not in shown


def test_a_broken_package_harms_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    about = tmp_path / "broken-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[eieio.engines]\nbroken = no_such_module:ENGINE\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = eieio("engines")
    assert result.exit_code == 0
    line = ("Engine 'broken' cannot be loaded from no_such_module:ENGINE: No module named "
            "'no_such_module'")
    assert result.stderr == f"eieio: note: {line}\n"
    result = eieio("build", "net.npz", "--engine", "broken", "--out", tmp_path / "design")
    assert (result.exit_code, result.stderr) == (2, f"eieio: {line}\n")


@pytest.mark.parametrize("path", COMMON, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_names_an_engine(path: Path) -> None:
    """Commands, simulation, buses and boards find engines in the registry alone."""
    text = path.read_text(encoding="utf-8")
    # The engine of this test has the name of a benchmark.
    own = "|".join(name for name in names() if name != "tiny")
    named = re.compile(rf"\b(?:{own}|tensor.core)|(?:{own})_", re.IGNORECASE)
    found = [f"{token.start[0]}: {token.line.strip()}"
             for token in tokenize.generate_tokens(io.StringIO(text).readline)
             if named.search(token.string)]
    assert found == []
