"""Reasons why mutants survive: each is of a component, and a line, that there are."""

import tomllib
from pathlib import Path

from eieio.sim.mutation.components import components

ROOT = Path(__file__).parents[3]


def test_reasons_are_of_what_there_is() -> None:
    found = tomllib.loads((ROOT / "tests/mutation_reasons.toml").read_text(encoding="utf-8"))
    labels = {component.label for component in components(ROOT)}
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "rtl").rglob("*.py")]
    for one in found["survivor"]:
        assert one.keys() <= {"component", "line", "mutant", "reason"}
        assert one["component"] in labels
        assert "mutant" in one or any(one["line"] in text for text in texts), one
    for one in found["model"]:
        assert one["line"] in (ROOT / one["file"]).read_text(encoding="utf-8"), one
