"""Energy of accesses, and tables of it."""

import json
from pathlib import Path

import pytest

from eieio.model.accesses import LEVELS, Accesses, mean, total
from eieio.model.energy import HOROWITZ, energy_tables, read_table
from eieio.model.errors import InputError
from eieio.model.eyeriss.energy import EYERISS

#: A multiply-accumulate of 16 bits, and a word of 16 bits at each level.
WORD = Accesses("word", 2, 1, 1, 256, 32, 16, 16, 16, 16, 0)


def test_eyeriss() -> None:
    """The published ratios: 1 for a MAC, and 1, 2, 6 and 200 for a word of 16 bits."""
    assert EYERISS.of(WORD) == {"mac": 1, "register": 1, "array": 2, "buffer": 6, "outer": 200,
                                "total": 210}


def test_horowitz() -> None:
    """The published figures, for 32 bits: a multiplication 3.1 pJ, an addition 0.1, and so on."""
    word = Accesses("word", 1, 1, 1, 1024, 32, 32, 0, 32, 32, 0)
    energy = HOROWITZ.of(word)
    assert energy["mac"] == pytest.approx(3.2)
    assert (energy["register"], energy["buffer"], energy["outer"]) == (1, 5, 640)
    # 0.2 pJ is published for 8 bits.
    assert HOROWITZ.of(Accesses("byte", 1, 1, 1, 64, 0, 0, 0, 0, 0, 0))["mac"] == pytest.approx(
        0.2, abs=0.01)


def test_totals() -> None:
    two = [WORD, Accesses("other", 4, 3, 5, 0, 0, 1, 2, 3, 4, 5)]
    assert total(two) == Accesses("total", 6, 4, 6, 256, 32, 17, 18, 19, 20, 5)
    assert mean([WORD, WORD]) == WORD
    assert [total(two).at(level) for level in LEVELS] == [17, 18, 19, 20]


def test_own_table(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(HOROWITZ.to_dict() | {"name": "mine", "outer": 7}))
    table = read_table(path)
    assert (table.name, table.outer, table.buffer) == ("mine", 7, HOROWITZ.buffer)
    assert read_table("eyeriss") is EYERISS
    assert [*energy_tables()] == ["horowitz", "eyeriss"]


@pytest.mark.parametrize(("text", "message"), [
    ("[]", "must be a JSON object of name, unit, multiply, add, register, array, buffer, outer"),
    ("{", "must be a JSON object of"),
    (json.dumps(HOROWITZ.to_dict() | {"outer": -1}),
     "outer must be a number of at least 0, not -1"),
    (json.dumps(HOROWITZ.to_dict() | {"outer": "1"}), "outer must be a number"),
])
def test_broken_table(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_table(path)


def test_missing_table() -> None:
    with pytest.raises(InputError, match=r"must be one of horowitz, eyeriss, or a JSON file"):
        read_table("nothing.json")
