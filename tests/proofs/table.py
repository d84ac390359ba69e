"""The part of ``docs/verification.md`` that follows from the list of proofs and their results."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalogue import all_proofs
from instead import INSTEAD, Instead

__all__ = ["components", "instead_of", "shown_table", "table", "with_table"]

ROOT = Path(__file__).parents[2]

_BEGIN, _END = "<!-- proofs -->\n", "<!-- end of proofs -->"

_ENGINES = {"pdr": "PDR", "induction": "induction", "pipeline": "pipeline", "bmc": "BMC"}


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
        engine = _ENGINES[proof.engine] + (f", {proof.depth} cycles" if proof.depth else "")
        lines.append(f"| `{proof.component}` | `{proof.name}` | {proof.says} | {engine} | {state} "
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


def shown_table(page: str) -> str:
    """Return the tables that a page shows."""
    return page.partition(_BEGIN)[2].partition(_END)[0]


def with_table(page: str, results: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return a page with the tables of results between its marks.

    Of proofs without a result here the page keeps what it says.
    """
    before, _, rest = page.partition(_BEGIN)
    known = {name: {"status": "proved", "seconds": float(seconds)} for name, seconds in re.findall(
        r"(?m)^\| `[^`]+` \| `(\w+)` \|.*\| ([\d.]+) \| \d+ \|$", shown_table(page))}
    results = {name: result or known.get(name) for name, result in results.items()}
    return f"{before}{_BEGIN}\n{table(results)}\n{_END}{rest.partition(_END)[2]}"
