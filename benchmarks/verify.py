"""Runs the affordable part of all that verifies eieio, each part for some minutes.

    python benchmarks/verify.py --minutes 20 --jobs 2      # that is `make verify`
    python benchmarks/verify.py --only proofs mutants --minutes 60
    python benchmarks/verify.py --slice --jobs 2           # what continuous integration runs

Every part is a command of its own, which its first lines tell about. Proofs, mutants, faults,
configurations and coverage go on where they were stopped; the others begin anew, with the seed that
is given. The slice is the same small components each time. What is known then is in
``build/verify/report.json``:

proofs            proved, failed, open (not run yet), and each result
line_coverage     of the emitted Verilog's points, exclusions taken out; also toggle_coverage;
                  coverage_files says by how many files of tests
mutants           total, killed, equivalent, survived, and explained among these
model_mutants     the same of the Python models
faults            total, masked, detected, silent, hang, by engine, too
configurations    rows of the matrices: all, passed, failed; and pairs that are refused

Exits with status 1 if a part has found something.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fuzz_seeds import READERS

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "build" / "verify" / "report.json"

#: Parts of the time: faults and soak are counted by what they do in it.
SHARES = {"proofs": 0.2, "mutants": 0.2, "models": 0.1, "faults": 0.1, "fuzz": 0.1, "soak": 0.1,
          "configurations": 0.1, "coverage": 0.1}

#: Some of the quickest of each part that makes a figure of the report.
SLICE = {
    "proofs": ("prove.py", "--only", "skid_buffer|axi_lite_handshakes|codebook_lut_1"),
    "mutants": ("mutants.py", "--only", "bus.skid_buffer", "--per-component", "10"),
    "models": ("model_mutants.py", "--only", "model/fixed_point.py", "--per-file", "4"),
    "faults": ("faults.py", "--engine", "sparse", "--faults", "60"),
    "coverage": ("coverage.py", "--only", "tests/rtl/test_codebook"),
}


def commands(minutes: float, seed: int, jobs: int) -> dict[str, Sequence[str]]:
    """Return the command of each part that takes its share of some minutes."""
    def share(part: str, readers: int = 1) -> str:
        return f"{minutes * SHARES[part] / readers:.2f}"

    return {
        "proofs": ("prove.py", "--jobs", str(jobs), "--minutes", share("proofs")),
        "mutants": ("mutants.py", "--jobs", str(jobs), "--minutes", share("mutants"),
                    "--per-component", "60"),
        "models": ("model_mutants.py", "--jobs", str(jobs), "--minutes", share("models")),
        "faults": ("faults.py", "--engine", "sparse", "--faults",
                   str(round(500 * minutes * SHARES["faults"]))),
        "fuzz": ("fuzz_readers.py", "--seed", str(seed), "--minutes", share("fuzz", len(READERS))),
        "soak": ("soak.py", "--seed", str(seed), "--cycles",
                 str(round(500_000 * minutes * SHARES["soak"]))),
        "configurations": ("configurations.py", "--seed", str(seed), "--minutes",
                           share("configurations")),
        "coverage": ("coverage.py", "--minutes", share("coverage")),
    }


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="of all parts (default: 20)")
    parser.add_argument("--only", nargs="*", default=list(SHARES), choices=SHARES, metavar="PART",
                        help=f"parts: {', '.join(SHARES)} (default: all)")
    parser.add_argument("--slice", action="store_true",
                        help="a few quick ones of each part that makes a figure of the report")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()

    found = []
    parts = SLICE if options.slice else commands(options.minutes, options.seed, options.jobs)
    for part, command in parts.items():
        if part in options.only:
            print(f"--- {part}: benchmarks/{' '.join(command)}", flush=True)
            started = time.monotonic()
            status = subprocess.run([sys.executable, str(ROOT / "benchmarks" / command[0]),
                                     *command[1:]], cwd=ROOT, check=False).returncode
            print(f"--- {part}: status {status}, {time.monotonic() - started:.0f} s", flush=True)
            if status:
                found.append(part)
    report = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {}
    for key, figures in report.items():
        if isinstance(figures, dict):
            figures = ", ".join(f"{name} {value}" for name, value in figures.items()
                                if isinstance(value, int | float))
        print(f"{key}: {figures}")
    if found:
        print(f"Something was found by: {', '.join(found)}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
