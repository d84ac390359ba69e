"""``eieio bench eyeriss``."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Run = Callable[..., Result]


def test_shows_the_chip_beside_what_was_published(eieio: Run, tmp_path: Path) -> None:
    result = eieio("bench", "eyeriss", "--json", tmp_path / "new" / "figures.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "CONV1    1 96 7 16 1 1 2   421,660,800   154 (154)" in result.stdout
    assert "Table III's own gives 69.2 MB and 21.87 ms." in result.stdout
    figures = json.loads((tmp_path / "new" / "figures.json").read_text())
    layers = figures["layers"]
    assert [layer["network"] for layer in layers] == ["AlexNet"] * 5 + ["VGG-16"] * 13
    first = layers[0]
    assert (first["name"], first["active_pes"], first["glb_bytes"]) == ("CONV1", 154, 89810)
    assert round(first["processing_ms"], 2) == 15.33
    assert all(layer["active_pes"] == layer["published_active_pes"] for layer in layers)
    assert round(figures["totals"][1]["processing_ms"], 1) == 3697.6
