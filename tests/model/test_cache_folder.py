"""Where the cache is, and where it is instead."""

import re
import shutil
from pathlib import Path

import pytest

from eieio.model.cache_folder import cache_folder, tools_environment
from eieio.model.errors import InputError


def test_is_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EIEIO_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert cache_folder() == tmp_path / "build" / "cache"
    assert (tmp_path / "build" / "cache").is_dir()


def test_is_elsewhere_if_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("EIEIO_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").write_text("mine")
    found = cache_folder()
    assert found.is_dir()
    assert tmp_path not in found.parents
    assert cache_folder() == found
    assert re.fullmatch(
        rf"eieio: note: simulations are not kept, since {tmp_path}/build/cache cannot be written "
        r"\(.*\); EIEIO_CACHE may name another folder\n", capsys.readouterr().err)


def test_must_be_a_folder_if_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("EIEIO_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=rf"^Cache folder {tmp_path}/file must be writable: .*; "
                                         r"EIEIO_CACHE names it$"):
        cache_folder()


def test_tools_have_one_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EIEIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    assert tools_environment() == {}
    assert not list((tmp_path / "home" / "cache").iterdir())
    shutil.rmtree(tmp_path / "home")
    monkeypatch.delenv("XDG_CACHE_HOME")
    (tmp_path / "home").write_text("mine")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert tools_environment() == {"XDG_CACHE_HOME": str(tmp_path / "cache" / "tools")}
    assert tools_environment() != {}
    assert re.fullmatch(rf"eieio: note: tools keep their cache in {tmp_path}/cache/tools, since "
                        rf"{tmp_path}/home/.cache cannot be written \(.*\)\n",
                        capsys.readouterr().err)
