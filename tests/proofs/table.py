"""The part of ``docs/verification.md`` that follows from the list of proofs and their results."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalogue import all_proofs
from harness import Proof
from instead import INSTEAD, Instead

__all__ = ["components", "instead_of", "listed", "shown_table", "table", "with_table"]

ROOT = Path(__file__).parents[2]

_BEGIN, _END = "<!-- proofs -->\n", "<!-- end of proofs -->"

_ENGINES = {"pdr": "PDR", "induction": "induction", "pipeline": "pipeline", "bmc": "BMC"}


def _engine(proof: Proof) -> str:
    return _ENGINES[proof.engine] + (f", {proof.depth} cycles" if proof.depth else "")


def _known(page: str) -> dict[str, dict[str, Any]]:
    """Results that a page shows, of proofs that hold."""
    return {name: {"status": "proved", "seconds": float(seconds)} for name, seconds in re.findall(
        r"(?m)^\| `[^`]+` \| `(\w+)` \|.*\| ([\d.]+) \| \d+ \|$", shown_table(page))}


def components() -> list[str]:
    """Files of ``rtl`` with something in them."""
    return [str(path.relative_to(ROOT / "rtl")) for path in sorted((ROOT / "rtl").glob("**/*.py"))
            if path.name != "__init__.py"]


def instead_of(component: str) -> Instead | None:
    """Return what stands in place of a component's proof: the first entry that names it."""
    return next((entry for entry in INSTEAD
                 if any(Path(component).match(pattern) for pattern in entry.files)), None)


def table(results: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return the tables of proofs, and of components that have none, in Markdown."""
    proofs = [proof for _, proof in all_proofs()]
    lines = ["| component | proof | proves | engine | CPU s | bugs |",
             "|---|---|---|---|---:|---:|"]
    for proof in proofs:
        result = results.get(proof.name)
        state = ("not run" if result is None else f"{result['seconds']:.1f}"
                 if result["status"] == "proved" else result["status"])
        lines.append(f"| `{proof.component}` | `{proof.name}` | {proof.says} | "
                     f"{_engine(proof)} | {state} "
                     f"| {len(proof.bugs)} |")
    lines += ["", "Components without a proof:", "",
              "| components | why | what stands in its place |", "|---|---|---|"]
    proved = {proof.component for proof in proofs}
    for entry in INSTEAD:
        files = [f"`{component}`" for component in components()
                 if component not in proved and instead_of(component) is entry]
        if files:
            lines.append(f"| {', '.join(files)} | {entry.why} | {entry.stands} |")
    return "\n".join(lines) + "\n"


def listed(page: str) -> str:
    """Return what an export says of proofs, as JSON: those that a page shows as proved."""
    known = _known(page)
    proofs = [{"component": proof.component, "name": proof.name, "says": proof.says,
               "engine": _engine(proof), "bugs": len(proof.bugs)}
              for _, proof in all_proofs() if proof.name in known]
    proved = {proof["component"] for proof in proofs}
    found = [{"components": [component for component in components()
                             if component not in proved and instead_of(component) is entry],
              "why": entry.why, "stands": entry.stands} for entry in INSTEAD]
    return json.dumps({"proofs": proofs, "instead": found}, indent=1) + "\n"


def shown_table(page: str) -> str:
    """Return the tables that a page shows."""
    return page.partition(_BEGIN)[2].partition(_END)[0]


def with_table(page: str, results: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return a page with the tables of results between its marks.

    Of proofs without a result here the page keeps what it says.
    """
    before, _, rest = page.partition(_BEGIN)
    known = _known(page)
    results = {name: result or known.get(name) for name, result in results.items()}
    return f"{before}{_BEGIN}\n{table(results)}\n{_END}{rest.partition(_END)[2]}"
