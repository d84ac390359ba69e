"""Tables: nothing in them is cut, however narrow the terminal."""

import re

import pytest
from rich.console import Console

from eieio.scripts import console

COLUMNS = ("cycles of 12 inferences", "multipliers", "1/s with data", "block RAMs")
ROWS = [("cycle model", "1,234,567.8", "3", "100%"), (f"layer/{'x' * 60}", "1", "2", "3 differ")]


@pytest.mark.parametrize("width", [200, 100, 80, 40, 10])
@pytest.mark.parametrize("terminal", [True, False])
def test_no_word_is_cut(width: int, terminal: bool, monkeypatch: pytest.MonkeyPatch,
                        capsys: pytest.CaptureFixture[str]) -> None:
    def make(width: int = width, **options: object) -> Console:
        return Console(width=width, force_terminal=terminal, color_system=None, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(console, "Console", make)
    console.show(console.table(COLUMNS, ROWS), "A line.")
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", capsys.readouterr().out)
    assert "\u2026" not in shown
    words = shown.split()
    for text in (*COLUMNS, *(cell for row in ROWS for cell in row)):
        for word in text.split():
            if len(word) <= 32:
                assert word in words
    assert shown.count("x") == 60
    if width >= 80 or not terminal:
        widest = max(map(len, shown.splitlines()))
        assert widest <= (width if terminal else 100)
