"""``eieio fit``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from eieio.rtl.boards.find import all_boards


def test_fits_a_network(eieio: Callable[..., Result], network: Path, samples: Path,
                        tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = eieio("fit", network, "--samples", samples, "--board", "ulx3s-85f", "--json", report)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(report.read_text())
    assert figures["board"] == "ulx3s-85f"
    found = figures["configurations"]
    assert [entry["config"]["pes"] for entry in found] == [1 << n for n in range(len(found))]
    assert found[0]["fits"]
    assert not found[-1]["fits"]
    assert found[-1]["beyond"]
    assert found[0]["inferences_per_second"] == pytest.approx(
        figures["clock_mhz"] * 1e6 / found[0]["cycles_per_inference"])
    for name in ("lut", "ff", "dsp"):
        counts = [entry[name] for entry in found]
        assert counts == sorted(counts)
        assert all(entry[name] <= figures["capacity"][name] for entry in found if entry["fits"])
    assert "The largest that fits has " in result.stdout


@pytest.mark.parametrize("board", all_boards())
def test_knows_every_board(eieio: Callable[..., Result], board: str) -> None:
    result = eieio("fit", "--board", board, "--pes", 1)
    assert result.exit_code == 0, result.stderr


def test_says_if_none_fits(eieio: Callable[..., Result], tmp_path: Path) -> None:
    config = tmp_path / "engine.json"
    config.write_text(json.dumps({"pes": 8, "entry_depth": 65536}))
    result = eieio("fit", config, "--board", "icebreaker")
    assert result.exit_code == 0, result.stderr
    assert "None fits: 8 processing elements take " in result.stdout
    assert " of 30 block RAMs" in result.stdout


def test_leaves_out_what_cannot_be(eieio: Callable[..., Result], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = eieio("fit", "--board", "ulx3s-85f", "--column-groups", 4, "--json", report)
    assert result.exit_code == 0, result.stderr
    assert json.loads(report.read_text())["configurations"][0]["config"]["pes"] == 4


@pytest.mark.parametrize(("arguments", "message"), [
    (("--board", "nonesuch"), "'nonesuch' is not one of"),
    (("--board", "icebreaker", "--pes", "0"), "Option pes must be an integer from 1 to 256"),
    (("--board", "icebreaker", "--code-width", "9"), "Option code_width must be an integer"),
])
def test_refuses(eieio: Callable[..., Result], arguments: tuple[str, ...], message: str) -> None:
    result = eieio("fit", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
