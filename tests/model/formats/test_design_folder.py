"""Making a design's folder whole or not at all."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eieio.model.errors import InputError
from eieio.model.formats.design_folder import (
    output_folder,
    read_image,
    read_manifest,
    write_manifest,
)
from eieio.model.sparse.config import SparseConfig


def make(path: Path, files: dict[str, str]) -> None:
    with output_folder(path) as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        write_manifest(folder, engine="sparse", top="top", network="net", config={"pes": 1})


def content(path: Path) -> dict[str, str]:
    return {file.relative_to(path).as_posix(): file.read_text()
            for file in path.rglob("*") if file.is_file() and file.name != "design.json"}


def test_makes_and_replaces(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    make(out, {"rtl/x.v": "1", "rtl/y.v": "2"})
    assert content(out) == {"rtl/x.v": "1", "rtl/y.v": "2"}
    design = read_manifest(out)
    assert design.files == ("rtl/x.v", "rtl/y.v")
    assert design.sources(out) == [out / "rtl" / "x.v", out / "rtl" / "y.v"]
    make(out, {"rtl/x.v": "3"})
    assert content(out) == {"rtl/x.v": "3"}
    assert not list(tmp_path.rglob(".*"))


def test_fills_an_empty_folder(tmp_path: Path) -> None:
    make(tmp_path, {"rtl/x.v": "1"})
    assert content(tmp_path) == {"rtl/x.v": "1"}


@pytest.mark.parametrize("error", [InputError("no"), KeyboardInterrupt()])
def test_an_error_changes_nothing(tmp_path: Path, error: BaseException) -> None:
    out = tmp_path / "a" / "b"

    def fail() -> None:
        with output_folder(out) as folder:
            (folder / "half").write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert not list(tmp_path.iterdir())
    make(out, {"x": "1"})
    with pytest.raises(type(error)):
        fail()
    assert content(out) == {"x": "1"}
    assert sorted(path.name for path in out.iterdir()) == ["design.json", "x"]


def test_follows_links(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("a/b")
    for text in ("1", "2"):
        make(tmp_path / "link", {"x": text})
        assert (tmp_path / "link").is_symlink()
        assert content(tmp_path / "a" / "b") == {"x": text}
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("there", [False, True])
def test_only_one_process_at_a_time(tmp_path: Path, there: bool) -> None:
    out = tmp_path / "out"
    if there:
        make(out, {"x": "0"})
    with output_folder(out) as folder:
        (folder / "x").write_text("1")
        with pytest.raises(InputError, match=f"^Output folder {re.escape(str(out))} is being "
                                             "written by another process$"):
            make(out, {"x": "2"})
        make(tmp_path / "other", {"x": "3"})
        write_manifest(folder, engine="sparse", top="top", network="net", config={"pes": 1})
    assert content(out) == {"x": "1"}
    assert not list(tmp_path.rglob(".*"))


def test_a_folder_made_meanwhile_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def meanwhile() -> None:
        with output_folder(out) as folder:
            (folder / "x").write_text("1")
            out.mkdir()
            (out / "mine").write_text("mine")

    with pytest.raises(InputError, match=r"out must be new, but has been made meanwhile$"):
        meanwhile()
    assert content(out) == {"mine": "mine"}
    assert not list(tmp_path.rglob(".*"))


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out") as folder:
        left = folder.parent
    (left / "out").mkdir(parents=True)
    (left / "out" / "y").write_text("half")
    shutil.rmtree(tmp_path / "out")
    make(tmp_path / "out", {"x": "1"})
    assert content(tmp_path / "out") == {"x": "1"}
    assert not list(tmp_path.rglob(".*"))


def test_an_error_while_files_take_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                ) -> None:
    out = tmp_path / "out"
    make(out, {"a": "1", "b": "1", "c": "1"})
    (out / "mine").write_text("mine")
    before = {path.name: path.read_text() for path in out.iterdir()}
    rename = Path.rename
    moves = []

    def fail(self: Path, target: Path) -> Path:
        moves.append(target)
        if len(moves) == 6:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(InputError, match=rf"^Output folder {out} must be writable: "
                                             "Input/output error$"):
            make(out, {"a": "2", "b": "2"})
    assert {path.name: path.read_text() for path in out.iterdir()} == before
    make(out, {"a": "2", "b": "2"})
    assert content(out) == {"a": "2", "b": "2", "mine": "mine"}


def test_adds_to_a_design(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, {"x": "1", "board/old": "1"})
    with output_folder(out, add=True, replaced="board") as folder:
        (folder / "board").mkdir()
        (folder / "board" / "new").write_text("2")
    assert content(out) == {"x": "1", "board/new": "2"}
    assert read_manifest(out).top == "top"


def test_refuses_other_folders(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for path, message in (
            (tmp_path, f"Output folder {tmp_path} must be new or empty, or hold an earlier design"),
            (tmp_path / "mine", (f"Output folder {tmp_path / 'mine'} must be writable: "
                                 f"{tmp_path / 'mine'} is not a folder"))):
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            make(path, {})
    assert content(tmp_path) == {"mine": "mine"}


@pytest.mark.parametrize("name", ["../victim", "/etc/victim", "a/../../victim"])
def test_a_manifest_cannot_reach_out(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    make(out, {"x": "1"})
    manifest = json.loads((out / "design.json").read_text())
    (out / "design.json").write_text(json.dumps({**manifest, "files": [name]}))
    (tmp_path / "victim").write_text("alive")
    with pytest.raises(InputError, match=r"must be new or empty, or hold an earlier design$"):
        make(out, {"x": "2"})
    with pytest.raises(InputError, match=f"must name files in its own folder, not '{name}'$"):
        read_manifest(out)
    assert (tmp_path / "victim").read_text() == "alive"


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"files": 3}',
    '{"engine": "sparse", "top": "t", "network": null, "config": {}, "files": [1]}',
])
def test_refuses_manifests(tmp_path: Path, text: str) -> None:
    (tmp_path / "design.json").write_text(text)
    with pytest.raises(InputError, match=r"design\.json must be the manifest of a design$"):
        read_manifest(tmp_path)


def test_an_image_is_of_the_design(tmp_path: Path) -> None:
    """Of its engine, and beside the other files that are asked for."""
    def read(path: Path) -> Any:
        return SimpleNamespace(config=SparseConfig(pes=int(path.read_text())))

    config = SparseConfig(pes=2).to_dict()
    for number in (2, 4):
        (tmp_path / "network.image").write_text(str(number))
        write_manifest(tmp_path, engine="sparse", top="top", network="net", config=config)
        if number == 2:
            assert read_image(tmp_path, read).config == SparseConfig(pes=2)
    missing = f"{tmp_path} must hold network.graph: generate the design from a network"
    other = f"{tmp_path / 'network.image'} must be for the engine in design.json"
    for names, message in (((), other), (("network.graph",), missing)):
        with pytest.raises(InputError) as error:
            read_image(tmp_path, read, *names)
        assert str(error.value) == message
