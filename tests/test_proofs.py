"""The list of proofs; `make prove` runs them."""

import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest
from catalogue import all_proofs
from harness import Proof, emit
from instead import INSTEAD
from table import components, instead_of, listed, shown_table, table
from tools import installed, refute_or_prove

ROOT = Path(__file__).parents[1]
PROOFS = all_proofs()
# One of each component in `make test`.
FIRST = [next(proofs)[1] for _, proofs in groupby(PROOFS, lambda item: item[1].component)]
OTHERS = [proof for _, proof in PROOFS if proof not in FIRST]


@pytest.mark.parametrize("proof", [
    *(pytest.param(proof, id=proof.name) for proof in FIRST),
    *(pytest.param(proof, id=proof.name, marks=pytest.mark.long) for proof in OTHERS)])
def test_harness(proof: Proof) -> None:
    """Every harness can be made, and asks and covers something."""
    text = emit(proof)
    assert text.count('parameter \\FLAVOR "assert"') >= 1
    assert text.count('parameter \\FLAVOR "cover"') >= 1


def test_list() -> None:
    """Names differ, files and bugs are there."""
    names = [proof.name for _, proof in PROOFS]
    assert len(names) == len(set(names))
    for path, proof in PROOFS:
        assert proof.component == str(path.relative_to(ROOT / "tests" / "proofs" / "rtl"))
        assert proof.bugs, proof.name
        for bug in proof.bugs:
            source = (ROOT / "rtl" / (bug.file or proof.component)).read_text(encoding="utf-8")
            assert source.count(bug.old) == 1, f"{proof.name}: {bug.what}"
            assert bug.old != bug.new


def test_every_component_is_named() -> None:
    """A component of the hardware has a proof, or a line that says what stands in its place."""
    proved = {proof.component for _, proof in PROOFS}
    for component in components():
        assert component in proved or instead_of(component), component
    for entry in INSTEAD:
        for pattern in entry.files:
            assert any(Path(component).match(pattern) for component in components()), pattern


def test_page() -> None:
    """The page has the tables as they follow from the list, whatever was measured."""
    page = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
    shown = shown_table(page)
    assert _without_seconds(shown.strip()) == _without_seconds(table({}).strip()), (
        "run benchmarks/prove.py --page")
    assert "not run" not in shown
    assert (ROOT / "scripts" / "proofs.json").read_text(encoding="utf-8") == listed(page), (
        "run benchmarks/prove.py --page")


def _without_seconds(text: str) -> str:
    return re.sub(r"(?m)\| [^|]+ (\| \d+ \|)$", r"\1", text)


@pytest.mark.skipif(not installed(), reason="needs the packages of the extra `verify`")
def test_netlist_equivalence() -> None:
    """A netlist of gates is proved to do what the sources say, and an inverted cell is refuted."""
    reply = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "netlist_equivalence.py"),
         "--only", "skid_buffer", "--flow", "gates"], capture_output=True, text=True, check=True)
    assert "| `bus.skid_buffer` | equivalent | different |" in reply.stdout


@pytest.mark.skipif(not installed(), reason="needs the packages of the extra `verify`")
def test_prove(tmp_path: Path) -> None:
    """A queue is proved, its covers are reached, and its bug is seen."""
    path, proof = next(item for item in PROOFS if item[1].name == "skid_buffer_order")
    verdict = refute_or_prove(proof, emit(proof), tmp_path / "proof", 60, covers=True)
    assert (verdict.verdict, verdict.uncovered) == ("proved", 0), verdict.said
    planted = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "proofs" / "planted.py"), str(path), proof.name, "0"],
        capture_output=True, text=True, check=True).stdout
    verdict = refute_or_prove(proof, planted, tmp_path / "bug", 60, covers=False)
    assert verdict.verdict == "refuted", verdict.said
