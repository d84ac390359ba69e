"""Core files, and the generator that FuseSoC calls."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from eieio.model.errors import InputError
from eieio.model.sparse.config import SparseConfig
from eieio.scripts import packaging
from eieio.scripts.fusesoc import core_text
from eieio.scripts.fusesoc_generator import generate, main, read_parameters

ROOT = Path(__file__).parents[2]


def read_core(path: Path) -> dict[str, Any]:
    first, _, rest = path.read_text().partition("\n")
    assert first == "CAPI=2:"
    return yaml.safe_load(rest)


def request_file(folder: Path, parameters: object) -> Path:
    path = folder / "request.yml"
    path.write_text(yaml.safe_dump({"gapi": "1.0", "files_root": str(folder), "vlnv": "a:b:c-d:1.0",
                                    "parameters": parameters}))
    return path


@pytest.fixture
def without_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaging, "emit", lambda component, top, **_: {
        f"{top}.v": f"// {type(component).__name__}\n", f"{top}_pe.v": "\n"})


def test_generator_core() -> None:
    """The generator that the core names is there, and its usage lists what it takes."""
    generator = read_core(ROOT / "scripts" / "eieio.core")["generators"]["eieio_engine"]
    assert (ROOT / "scripts" / generator["command"]).is_file()
    names = [line.partition(":")[0] for line in generator["usage"].splitlines()]
    with pytest.raises(InputError) as caught:
        read_parameters({"zzz": 1})
    assert str(caught.value) == f"Parameter 'zzz' must be one of {', '.join(sorted(names))}"


@pytest.mark.usefixtures("without_yosys")
def test_example(tmp_path: Path) -> None:
    """What the example asks for is generated, with the top modules that its targets name."""
    example = read_core(ROOT / "examples" / "integration" / "fusesoc" / "accelerators.core")
    for name, kind in (("sparse", "Shell"), ("systolic", "Shell")):
        wanted = example["generate"][name]
        assert wanted["generator"] == "eieio_engine"
        folder = tmp_path / name
        folder.mkdir()
        generate(request_file(folder, wanted["parameters"]), folder)
        top = example["targets"][name]["toplevel"]
        core = read_core(folder / f"{top}.core")
        assert core["name"] == "a:b:c-d:1.0"
        assert core["targets"]["lint"]["filesets"] == ["waivers", "rtl"]
        assert all((folder / file).is_file() for file in core["filesets"]["waivers"]["files"])
        assert core["targets"]["default"] == {"filesets": ["rtl"], "toplevel": top}
        assert core["filesets"]["rtl"] == {
            "file_type": "verilogSource", "files": [f"rtl/{top}.v", f"rtl/{top}_pe.v"]}
        assert (folder / "rtl" / f"{top}.v").read_text() == f"// {kind}\n"


def test_as_fusesoc_calls_it(tmp_path: Path) -> None:
    request = request_file(tmp_path, {"bus": "native", "options": {"pes": 1}})
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run([sys.executable, ROOT / "scripts" / "fusesoc_generator.py", request], cwd=out,
                   check=True)
    files = read_core(out / "sparse_engine.core")["filesets"]["rtl"]["files"]
    assert {out / file for file in files} == set((out / "rtl").glob("*.v"))


def test_parameters() -> None:
    package = read_parameters({"options": {"pes": 2}, "clock_hz": 5, "family": "ecp5"})
    assert (package.config, package.bus, package.top, package.clock_hz, package.family) == (
        SparseConfig(pes=2), "axi", "sparse_shell", 5, "ecp5")
    assert read_parameters({"engine": "systolic", "bus": "native"}).top == "systolic_engine"


@pytest.mark.parametrize(("parameters", "message"), [
    ({"engine": "dense"},
     "Parameter 'engine' must be one of sparse, systolic, mixed, dadiannao, not 'dense'"),
    ({"bus": "ahb"}, "Parameter 'bus' must be one of axi, native, not 'ahb'"),
    ({"options": 3}, "Parameter 'options' must hold options by name, not 3"),
    ({"clock_hz": -1}, "Parameter 'clock_hz' must be from 0 to 2^32 - 1, not -1"),
    ({"name": "a-b"}, "Parameter 'name' must be a Verilog identifier, not 'a-b'"),
    ({"options": {"pes": 0}}, "Option pes must be an integer from 1 to 256, not 0"),
])
def test_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                 capsys: pytest.CaptureFixture[str], parameters: object, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(request_file(tmp_path, parameters))]) == 2
    assert capsys.readouterr().err == f"eieio: {message}\n"
    assert {path.name for path in tmp_path.iterdir()} == {"request.yml"}


def test_refuses_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.yml").write_text("[]")
    assert main([str(tmp_path / "r.yml")]) == 2
    assert "must be of FuseSoC's generator interface 1.0" in capsys.readouterr().err
    assert main([]) == 2


def test_core_text() -> None:
    """Descriptions may hold what YAML minds; names may not."""
    text = core_text("a:b:c:1", 'it: "is" \\ #1', "top", ["x.v"], "lint.vlt")
    assert yaml.safe_load(text.partition("\n")[2])["description"] == 'it: "is" \\ #1'
    with pytest.raises(InputError) as caught:
        core_text("engine", "", "top", [], "lint.vlt")
    assert str(caught.value) == "Core must be named vendor:library:name:version, not 'engine'"
