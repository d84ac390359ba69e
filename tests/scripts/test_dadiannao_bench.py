"""``eieio bench dadiannao``: the published node's program and cycles."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from eieio.scripts.dadiannao import bench

Run = Callable[..., Result]


def test_published(eieio: Run, tmp_path: Path) -> None:
    result = eieio("bench", "dadiannao", "--json", tmp_path / "d.json")
    assert result.exit_code == 0
    figures = json.loads((tmp_path / "d.json").read_text())
    four, one = figures["layers"]
    assert (four["nodes"], four["nfu_cycles"], one["nodes"], one["nfu_cycles"]) == (
        4, 1024, 1, 4096)
    assert [each["sb_read"]["addr"] for each in four["program"]] == [0, 256, 512, 768]
    assert four["program"][3]["central_write"] == {"addr": 256, "stride": 4, "iterations": 64}
    assert round(one["layers_per_second"]) == 147949
    assert "147,949" in result.stdout
    assert all(each["pixel_cycles"] == each["published_pixel_cycles"]
               for each in figures["convolutions"])


def test_says_what_is_missed(eieio: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = {"name": "a", "pixel_cycles": 2, "published_pixel_cycles": 3, "kernel": 1, "inputs": 1,
             "outputs": 1, "cycles": 4, "pixels": 1}
    monkeypatch.setattr(bench, "_convolution", lambda _: layer)
    dense: dict[str, Any] = {
        "network": "n", "program": [], "nfu_cycles": 1024, "layers_per_second": 1.0, "cycles": 1,
        "ring_cycles": 1}
    monkeypatch.setattr(bench, "_dense", lambda nodes: {**dense, "nodes": nodes})
    result = eieio("bench", "dadiannao")
    assert result.exit_code == 1
    assert result.stderr == ("eieio: Published figures are missed: the program of table V, cycles "
                             f"on 1 nodes{', cycles of a' * 7}\n")
