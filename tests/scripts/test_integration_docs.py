"""``docs/integration.md`` and its diagrams say what is so."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from eieio.model.image_frame import frame_image
from eieio.model.registers import ERRORS, REGISTERS, c_header
from eieio.model.registry import numbered
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.bus.shell import Shell
from eieio.rtl.sparse.engine import SparseEngine
from eieio.scripts.main import main
from eieio.scripts.sparse import timing_diagrams
from eieio.scripts.waveform_svg import waveform_svg

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEXT = (DOCS / "integration.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", TEXT)


def commands() -> Iterator[list[str]]:
    for block in blocks("shell"):
        for line in block.splitlines():
            yield shlex.split(line.partition(" > ")[0])


def test_commands_parse() -> None:
    """The CLI has each command with these options, and they have such values."""
    ours = [words[1:] for words in commands() if words[0] == "eieio"]
    assert {words[0] for words in ours} == {"generate", "export", "registers", "fit"}
    for name, *arguments in ours:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        command.make_context(name, arguments, resilient_parsing=False)


def test_commands_are_known() -> None:
    assert {words[0] for words in commands()} == {
        "eieio", "cc", "cd", "iverilog", "vvp", "fusesoc", "echo"}


def test_files_exist() -> None:
    """Links, and files of this project in commands, lead somewhere."""
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert link.startswith("http") or (DOCS / link).exists(), link
    named = [word for words in commands() for word in words if word.startswith("examples/")]
    assert named
    for word in named:
        assert (ROOT / word).is_file(), word


def test_c_example_compiles(tmp_path: Path) -> None:
    code, = blocks("c")
    (tmp_path / "example.c").write_text(code)
    (tmp_path / "eieio_registers.h").write_text(c_header())
    driver = ROOT / "examples" / "integration" / "driver"
    for source in (tmp_path / "example.c", driver / "eieio.c"):
        subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I",
                        driver, "-I", tmp_path, source], check=True)


def test_frame_example() -> None:
    rows = re.findall(r"(?m)^\| (\d) \| `(\w{8})` \| `([\w ]+)` \|$", TEXT)
    words = frame_image(np.array([1, 2], np.uint32), 0x82303366)
    assert [(int(number), int(word, 16)) for number, word, _ in rows] == [*enumerate(words)]
    assert bytes.fromhex("".join(octets for *_, octets in rows)) == words.astype("<u4").tobytes()


def test_names() -> None:
    """Ports are the shell's and the engine's; registers and errors exist."""
    shell = Shell(SparseEngine(SparseConfig(pes=1)))
    for prefix in re.findall(r"(?m)^\| `([sm]_ax\w+)_\*`", TEXT):
        assert any(name.startswith(f"{prefix}_") for name in shell.signature.members)
    for name in ("run", "busy", "loaded", "error", "clear_error", "cycles", "macs",
                 "blocked_cycles"):
        assert f"`{name}`" in TEXT
        assert name in shell.engine.signature.members
    known = {register.name for register in (*REGISTERS, *numbered()["sparse"].counters)}
    known |= {field.name for register in REGISTERS for field in register.fields}
    assert set(re.findall(r"`([A-Z][A-Z_]+)`", TEXT)) - known == {"PATH", "PASSED"}
    listed: set[int] = set()
    for row in re.findall(r"(?m)^\| `ERROR` ([\d, to]+) \|", TEXT):
        for part in row.split(","):
            first, _, last = part.partition(" to ")
            listed |= {*range(int(first), int(last or first) + 1)}
    assert listed == {int(code) for code in ERRORS} - {0}


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict]:
    return timing_diagrams.diagrams()


def test_diagrams_are_recorded(recorded: dict[str, dict]) -> None:
    """The committed diagrams are what the hardware does now."""
    folder = DOCS / "timing"
    assert {path.stem for path in folder.iterdir()} == set(recorded)
    for name, diagram in recorded.items():
        assert json.loads((folder / f"{name}.json").read_text()) == diagram, (
            f"{name}: run python -m eieio.scripts.sparse.timing_diagrams docs/timing")
        assert (folder / f"{name}.svg").read_text() == waveform_svg(diagram)
        assert f"timing/{name}.svg" in TEXT


def test_diagrams_keep_the_rules(recorded: dict[str, dict]) -> None:
    """All waves of a diagram are as long, and have a label for each value."""
    for diagram in recorded.values():
        assert len({len(signal["wave"]) for signal in diagram["signal"]}) == 1
        for signal in diagram["signal"]:
            assert re.fullmatch(r"[p01x=.|]+", signal["wave"])
            assert signal["wave"].count("=") == len(signal.get("data", ()))
    errors = {signal["name"]: signal for signal in recorded["axil_write_errors"]["signal"]}
    assert errors["s_axil_bresp"]["data"] == ["2", "3"]
