"""``import eieio``: what a program or a notebook sees of it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

import eieio
from eieio.model.formats import npz
from eieio.model.formats.samples import Samples
from eieio.model.graph.chain import chain, fully_connected
from eieio.scripts.main import main
from eieio.sim.board_model import BoardModel, MemoryLine
from eieio.sim.simulation import Comparison

ROOT = Path(__file__).parents[2]


def blocks(page: Path) -> list[str]:
    """Return a page's blocks of Python."""
    return [token.content for token in MarkdownIt().parse(page.read_text(encoding="utf-8"))
            if token.type == "fence" and token.info == "python"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a network of 12 inputs and 4 outputs."""
    folder = tmp_path_factory.mktemp("api")
    rng = np.random.default_rng(5)
    npz.write(folder / "small.npz", chain("small", tuple(
        fully_connected(name, rng.normal(size=(rows, columns)).astype(np.float32),
                        rng.normal(size=rows).astype(np.float32), relu)
        for name, rows, columns, relu in (("fc1", 8, 12, True), ("fc2", 4, 8, False)))))
    return folder


@pytest.fixture(scope="module")
def network(folder: Path) -> eieio.Network:
    return eieio.load(folder / "small.npz")


@pytest.fixture(scope="module")
def x() -> np.ndarray[Any, Any]:
    return np.random.default_rng(6).random((20, 12), np.float32)


@pytest.fixture(scope="module")
def design(network: eieio.Network, x: np.ndarray[Any, Any]) -> eieio.Design:
    return network.compile("sparse", samples=(x, x.argmax(axis=1) % 4), pes=2, queue_depth=2)


@pytest.fixture
def no_rtl(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Take the place of the simulator, by what the golden model says with one integer wrong."""
    asked: list[dict[str, Any]] = []

    def build(compiled: Any, x: Any, simulator: str, **options: Any) -> Any:
        asked.append({"simulator": simulator, **options})
        return type("Built", (), {"waves": "fst"})()

    def simulate(compiled: Any, x: Any, built: Any, waves: Any = None, **options: Any) -> Any:
        integers = compiled.quantize(x)
        found = Comparison()
        found.golden = compiled.inner.run(integers)
        timings = compiled.timings(integers)
        cycles = np.array([[layer.cycles for layer in sample] for sample in timings])
        found.rtl = type("Rtl", (), {"outputs": found.golden[-1] + 1, "layer_cycles": cycles})()
        found.timings = timings  # type: ignore[attr-defined]
        found.mismatches, found.cycle_mismatches = found.outputs.size, 0
        return found

    monkeypatch.setattr("eieio.scripts.steps.build_simulation", build)
    monkeypatch.setattr("eieio.scripts.steps.simulate", simulate)
    return asked


@pytest.mark.long
def test_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's ten lines of Python do what they say, the RTL included."""
    code, = blocks(ROOT / "README.md")
    assert len([line for line in code.splitlines() if line]) <= 10
    monkeypatch.setenv("EIEIO_CACHE", str(ROOT / "build" / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["digits"].tolist() == names["design"].samples.labels[:10].tolist()
    assert names["result"].equal
    assert len(names["result"].outputs) == 10
    assert (names["result"].cycles == names["cycles"].inferences).all()
    assert json.loads(Path("build/design/design.json").read_text())["network"] == "lenet_300_100"


def test_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
              capfd: pytest.CaptureFixture[str]) -> None:
    """The page's block of Python runs, and tells nothing but what it prints."""
    code, = blocks(ROOT / "docs" / "python.md")
    monkeypatch.chdir(ROOT)
    exec(code, {})
    out, err = capfd.readouterr()
    assert re.fullmatch(r"0\.\d+ \d+\.\d+\n", out)
    assert not err


def test_import_is_light() -> None:
    """Importing imports nothing but the standard library; all that is offered is documented."""
    code = ("import sys; before = set(sys.modules); import eieio; print(*sorted({"
            "name.partition('.')[0] for name in set(sys.modules) - before}"
            " - sys.stdlib_module_names))")
    found = subprocess.run([sys.executable, "-c", code], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    assert found == ["eieio"]
    assert eieio.__version__
    for name in eieio.__all__:
        assert getattr(eieio, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        eieio.nothing  # type: ignore[attr-defined] # noqa: B018


def test_runs(network: eieio.Network, design: eieio.Design, x: np.ndarray[Any, Any],
              folder: Path) -> None:
    """Arrays and files of the same inputs give the same; integers are close to real numbers."""
    # Sharing weights is what costs: 4 bits for weights that are all different.
    real, golden = network.compress().run(x), design.run(x)
    assert np.abs(real - golden).max() < 0.001 * np.abs(real).max()
    assert golden.shape == (20, 4)
    assert golden.dtype == np.float32
    np.save(folder / "x.npy", x)
    for same in (folder / "x.npy", str(folder / "x.npy"), x.tolist(), x.reshape(20, 3, 4),
                 Samples(x, None), x.astype(np.float64)):
        assert (design.run(same) == golden).all()
    octets = (256 * x).astype(np.uint8)
    assert (design.run(octets) == design.run(octets / 256)).all()
    assert (design.run(octets, scale=1 / 128) == design.run(octets / 128)).all()


def test_cycles(design: eieio.Design, x: np.ndarray[Any, Any]) -> None:
    """Cycles by layer are those that the engine's counters must hold."""
    cycles = design.cycles(x)
    compiled = design._compiled
    expected = [each.cycles for each in compiled.counters(compiled.quantize(x))]
    assert cycles.inferences.sum(axis=1).tolist() == expected
    assert float(cycles) == pytest.approx(np.mean(expected))
    assert [*cycles] == ["fc1", "fc2"]
    assert float(design.cycles()) == pytest.approx(np.mean(expected[:16]))
    for layer, causes in cycles.causes.items():
        assert sum(causes.values()) == pytest.approx(cycles[layer])


def test_compression(network: eieio.Network, x: np.ndarray[Any, Any], folder: Path) -> None:
    """A compressed network is a new one; engines take it as they take its file."""
    small = network.compress(density=0.5, code_width=3)
    assert small.compression is not None
    assert network.compression is None
    assert small.compression.stages()[-1].density == pytest.approx(0.5)
    assert "compressed" in repr(small)
    assert "compressed" not in repr(network)
    file = small.save(folder / "made" / "small.eie")
    again = eieio.load(file)
    assert (again.run(x) == small.run(x)).all()
    for engine in ("sparse", "systolic"):
        designs = [each.compile(engine, samples=x) for each in (small, again)]
        assert (designs[0].run(x) == designs[1].run(x)).all()
        assert designs[0].config == designs[1].config


def test_writes_what_the_command_writes(design: eieio.Design, folder: Path,
                                        x: np.ndarray[Any, Any]) -> None:
    """A design's folder is, byte for byte, that of ``eieio build``; it opens as the same design."""
    made = design.write(folder / "design")
    np.savez(folder / "samples.npz", x=x, y=x.argmax(axis=1) % 4)
    result = CliRunner(catch_exceptions=False).invoke(main, [
        "build", str(folder / "small.npz"), "--engine", "sparse", "--pes", "2", "--queue-depth",
        "2", "--samples", str(folder / "samples.npz"), "--simulate", "0", "--out",
        str(folder / "built"), "--json", str(folder / "built.json")], prog_name="eieio")
    assert result.exit_code == 0
    files = [{path.relative_to(place): path.read_bytes() for path in place.rglob("*")
              if path.is_file()} for place in (made, folder / "built")]
    assert files[0] == files[1]
    assert len(files[0]) > 4
    figures = json.loads((folder / "built.json").read_text())
    assert json.loads(json.dumps(design.figures)) == {
        name: value for name, value in figures.items() if name not in {"out", "files"}}
    opened = eieio.open(made)
    assert (opened.run(x) == design.run(x)).all()
    assert opened.verilog == design.verilog
    assert (opened.name, opened.engine, opened.config) == ("small", "sparse", design.config)
    assert float(opened.cycles(x)) == float(design.cycles(x))
    assert opened.samples.x.shape == (10, 12)


@contextmanager
def refused(message: str) -> Iterator[None]:
    with pytest.raises(eieio.InputError) as caught:
        yield
    assert str(caught.value) == message


@pytest.mark.parametrize(("call", "message"), [
    (lambda n, d: n.compile("sparce"),
     ("Engine must be one of sparse, systolic, mixed, dadiannao, eyeriss, tensor_core, not "
      "'sparce'")),
    (lambda n, d: n.compile("sparse", rows=3),
     "Option 'rows' goes with the systolic engine, not with the sparse engine"),
    (lambda n, d: n.compile("sparse", pes="many"), "Option pes must be an integer, not 'many'"),
    (lambda n, d: n.compile("sparse", pes=0),
     "Option pes must be an integer from 1 to 256, not 0"),
    (lambda n, d: n.compile("systolic", batch=0),
     "Option batch must be an integer of at least 1, not 0"),
    (lambda n, d: n.compile("systolic", percentile=50),
     "Option percentile must be a number of more than 50 and at most 100, not 50"),
    (lambda n, d: n.compile("systolic", calibration="best"),
     "Option calibration must be one of minmax, percentile, not 'best'"),
    (lambda n, d: n.compile("sparse", density="half"),
     "Option density must be one of the numbers or several, not 'half'"),
    (lambda n, d: n.compile("sparse", board="none"),
     ("Board must be one of ecpix5-85f, icebreaker, orangecrab, tang-nano-9k, tang-primer-20k, "
     "ulx3s-85f, not 'none'")),
    (lambda n, d: n.compile("sparse", samples=(d.samples.x, [1, 2])),
     "Labels must hold integers of shape (20,), not int64 of shape (2,)"),
    (lambda n, d: n.compress(density=2), "Density must be from 0 to 1, not 2.0"),
    (lambda n, d: n.save("small.eie"),
     "Network 'small' must be compressed to be saved: see compress"),
    (lambda n, d: n.compress().save("small.npz"), "small.npz must end in .eie"),
    (lambda n, d: d.run(d.samples.x[0]), "Samples must have shape (samples, 12), not (12,)"),
    (lambda n, d: d.run(np.full((1, 12), np.nan)), "Samples must be finite"),
    (lambda n, d: d.run(np.array([[None] * 12])),
     "Samples must have numbers of one type and shape for x, not ndarray of object"),
    (lambda n, d: d.simulate(simulator="none"),
     "Simulator must be one of verilator, icarus, not 'none'"),
    (lambda n, d: d.synthesize("none"),
     ("Board must be one of ecpix5-85f, icebreaker, orangecrab, tang-nano-9k, tang-primer-20k, "
     "ulx3s-85f, not 'none'")),
    (lambda n, d: eieio.load("none.onnx"), "none.onnx must be an existing file"),
])
def test_refuses(network: eieio.Network, design: eieio.Design, call: Callable[..., Any],
                 message: str) -> None:
    """What cannot be right is refused in one line."""
    with refused(message):
        call(network, design)


def test_unknown_option(network: eieio.Network) -> None:
    """An option that no engine has is refused with the names of those that there are."""
    with pytest.raises(eieio.InputError, match=r"^Option 'pe' must be one of the sparse engine's: "
                       r"density, .*\bpes, "):
        network.compile("sparse", pe=2)


def test_differences_are_results(design: eieio.Design, no_rtl: list[dict[str, Any]],
                                 tmp_path: Path) -> None:
    """An RTL that computes something else is told by every witness, and raises nothing."""
    result = design.simulate(quick=True)
    assert no_rtl == [{"simulator": "verilator", "folder": None, "design": None, "waves": False,
                       "quick": True, "messages": design._messages}]
    assert not result.equal
    assert result.mismatches == 40
    assert not result.cycle_mismatches
    assert "40 integers and 0 cycle counts differ" in repr(result)
    assert (result.outputs != design.run(design.samples.x[:10])).all()
    for page in (result._repr_html_(), result.report(tmp_path / "page.html").read_text()):
        assert "The RTL differs from the models: 40 integers" in page
    assert json.loads(result.trace(tmp_path / "trace.json").read_text())["traceEvents"]


class Heard(eieio.Messages):
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_messages(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Silent unless asked; notes are kept in any case."""
    heard = Heard()
    designs = [eieio.load(folder / "small.npz", verbose=verbose).compile(pes=2, queue_depth=2)
               for verbose in (False, heard)]
    assert capfd.readouterr() == ("", "")
    assert designs[0].notes == designs[1].notes == heard.notes
    assert [note.split(":")[0] for note in heard.notes] == [
        ("the sparse engine is chosen, since it takes networks of fully connected layers (.npz, "
        ".onnx, .net with its prototxt, .eie), also of integers (.tflite, quantized .onnx)"),
        "no samples are given"]
    eieio.load(folder / "small.npz", verbose=True).compile(pes=2, queue_depth=2)
    out, err = capfd.readouterr()
    assert not out
    assert err.count("eieio: note: ") == 2


def test_shows_itself(network: eieio.Network, design: eieio.Design) -> None:
    """Objects are a page in a notebook, and one line elsewhere."""
    page = design._repr_html_()
    for part in ("Utilisation", "Cycles by cause", "Memories of the engine", 'class="graph"',
                 "of 20 samples right"):
        assert part in page
    assert page.startswith('<div class="eieio">')
    assert "<html" not in page
    assert ":root" not in page
    assert 'class="graph"' in network._repr_html_()
    assert "Size of the network" in network.compress()._repr_html_()
    assert "Cycles by cause" in design.cycles()._repr_html_()
    assert repr(network) == "<Network 'small': 2 operators, 12 to 4>"
    assert repr(design).startswith("<Design of 'small' for the sparse engine: pes=2, queue_depth=2")
    assert re.fullmatch(r"<Cycles of an inference: [\d.]+ \(fc1 [\d.]+, fc2 [\d.]+\)>",
                        repr(design.cycles()))
    assert eieio.engines() == ["sparse", "systolic", "mixed", "dadiannao", "eyeriss", "tensor_core"]
    assert "ulx3s-85f" in eieio.boards()
    assert "column_groups" in eieio.engines()._repr_html_()


def test_device(design: eieio.Design, x: np.ndarray[Any, Any], monkeypatch: pytest.MonkeyPatch
                ) -> None:
    """A device has the network loaded, and computes what the golden model does."""
    compiled = design._compiled
    board = BoardModel(compiled.host, lambda values: compiled.run(values[np.newaxis])[0])
    opened = []

    def line(port: str, baud: int) -> MemoryLine:
        opened.append((port, baud))
        return MemoryLine(board)

    monkeypatch.setattr("eieio.host.device.SerialLine", line)
    with design.device("/dev/ttyUSB0", baud=9600) as device:
        assert (device.infer(x[:3]) == design.run(x[:3])).all()
    assert opened == [("/dev/ttyUSB0", 9600)]


def test_boards(network: eieio.Network, x: np.ndarray[Any, Any]) -> None:
    """For a board the engine has what its FPGA wants, and stays small."""
    plain = network.compile("systolic", samples=x, rows=2, columns=2).config
    made = network.compile("systolic", samples=x, rows=2, columns=2, board="ulx3s-85f").config
    streams = {"input_depth", "output_queue_depth"}
    assert made.to_dict() == {
        name: value for name, value in plain.to_dict().items() if name not in streams
    } | {"product_stages": 3, "activation_depth": 16}
    assert streams <= plain.to_dict().keys()
