"""Reading whole files, and what is no file."""

import os
import re
from pathlib import Path

import pytest

from eieio.model.errors import InputError
from eieio.model.formats.input_file import read_bytes


def test_reads(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"data")
    assert read_bytes(tmp_path / "x") == b"data"


@pytest.mark.parametrize(("what", "message"), [
    ("pipe", "must be a regular file, not a pipe or a device"),
    ("device", "must be a regular file, not a pipe or a device"),
    ("folder", "must be a file, not a folder"), ("nothing", "must be an existing file"),
    ("huge", "must fit into memory, with its 4,398,046,511,104 bytes")])
def test_refuses(tmp_path: Path, what: str, message: str) -> None:
    path = Path(os.devnull) if what == "device" else tmp_path / "x"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "huge":
        with path.open("wb") as file:
            try:
                file.truncate(1 << 42)
            except OSError:
                pytest.skip("needs a disk with sparse files")
    with pytest.raises(InputError, match=f"^{re.escape(f'{path} {message}')}$"):
        read_bytes(path)
