"""Whole files or none."""

import os
import re
from pathlib import Path

import pytest

from eieio.model.errors import InputError
from eieio.model.formats.atomic import move_file, write_bytes


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "net.bin"
    write_bytes(path, b"old")
    write_bytes(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_follows_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_bytes(tmp_path / "link", b"data")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"data"


def test_default_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_bytes(tmp_path / "net", b"")
    assert (tmp_path / "net").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("elsewhere", [False, True])
def test_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool) -> None:
    replace = os.replace

    def fail(path: Path, new: str) -> None:
        if path == source:
            raise OSError(18, "Invalid cross-device link")
        replace(path, new)

    if elsewhere:
        monkeypatch.setattr(os, "replace", fail)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    move_file(source, target)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("target", b"new")]
    with pytest.raises(InputError, match=r"missing/x must be writable: No such file or directory$"):
        move_file(target, tmp_path / "missing" / "x")
    assert target.read_bytes() == b"new"


def test_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "net"
    message = f"{path} must be writable: No such file or directory"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        write_bytes(path, b"data")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"net must be writable: Permission denied$"):
        write_bytes(tmp_path / "net", b"data")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["folder", "device"])
def test_not_a_file(tmp_path: Path, what: str) -> None:
    path = tmp_path if what == "folder" else Path(os.devnull)
    message = f"{path} must be a file, not a folder or a device"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        write_bytes(path, b"data")


def test_nothing_left_after_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net"
    path.write_bytes(b"old")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match=r"net must be writable: No space left on device$"):
        write_bytes(path, b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("net", b"old")]


def test_nothing_left_after_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "net", b"new")
    assert not list(tmp_path.iterdir())
