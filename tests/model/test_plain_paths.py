"""Folders and links for programs that cannot work under any path."""

from pathlib import Path

import pytest

from eieio.model.plain_paths import is_plain, plain_copy, plain_link, plain_temporary_folder

ODD = ["a b", "a#b", "a:b", "a;b", "a$b", "a'b", 'a"b', "a`b", "a%b", "a\\b", "a\u00e9", "a\nb"]


@pytest.mark.parametrize("name", ODD)
def test_odd(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "x").write_text("x")
    (tmp_path / "link").symlink_to(folder)
    assert is_plain(tmp_path)
    assert not is_plain(folder)
    assert not is_plain(tmp_path / "link")
    with plain_temporary_folder(folder) as made:
        assert is_plain(made)
        assert made.is_dir()
    assert not made.exists()
    for found in (plain_link(folder), plain_copy(folder)):
        assert is_plain(found.parent)
        assert (found / "x").read_text() == "x"
    assert not plain_copy(folder).is_symlink()


def test_plain(tmp_path: Path) -> None:
    assert plain_link(tmp_path) == plain_copy(tmp_path) == tmp_path
    with plain_temporary_folder(tmp_path) as made:
        assert made.parent == tmp_path
