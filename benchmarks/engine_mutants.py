"""Mutants of whole engines: in every module, also of components without a bench of their own.

    python benchmarks/engine_mutants.py --per-module 40
    python benchmarks/engine_mutants.py --engine sparse --per-module 100 --seed 1

For every engine with native ports all mutants are in one simulation, of which a number chooses one.
Each meets the cases of ``soak.py``: random networks, stalls, resets, and transactions that must be
refused, until one shows that an output, a counter or an error is not the models'. Those that none
of the cases shows are compared with the original module by ABC. Those that are not proved to be
equivalent are survivors. Kept in ``build/verify/mutants`` as long as the engine's RTLIL is the
same; the sums go into ``build/verify/report.json``.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import UnusedElaboratable
from mutants import FOLDER, add_to_report, load, save, source_line
from soak import Round

from eieio.model.engine import Engine
from eieio.model.errors import InputError
from eieio.model.registry import engines, find_engine
from eieio.rtl.hardware import engine_top
from eieio.sim.mutation.design import TOP, MutatedDesign, module_netlist, mutate_design
from eieio.sim.mutation.equivalence import prove_equivalent
from eieio.sim.mutation.netlist import UnsupportedNetlist
from eieio.sim.replay import Outcome, build_replay, is_replayable, replay
from eieio.sim.runner import BuildError

#: Cases that mutants meet, a few for all of them, and then more for those that are left.
STAGES = ((0, 1), (1, 6), (6, 40))
#: Without these the compiler takes minutes for functions that choose among hundreds of mutants.
ARGUMENTS = ("-CFLAGS", "-O1", "--output-split", "4000", "--output-split-cfuncs", "400")
#: Mutants of one run, times their cases.
LOT = 100


class Campaign:
    """Mutants of an engine."""

    def __init__(self, engine: Engine, options: argparse.Namespace) -> None:
        self.engine, self.options = engine, options
        self.round = Round(engine, options.seed)
        self.folder = FOLDER / f"engine-{engine.name}-{options.seed}-{options.per_module}"
        self.design: MutatedDesign = mutate_design(
            self.round.config, options.per_module, options.seed, self.folder)
        text = (self.folder / "base.il").read_text(encoding="utf-8")
        self.identity = hashlib.sha256(
            re.sub(r"(?m)^ *attribute \\src .*\n", "", text).encode()).hexdigest()[:16]
        files = dict(self.design.files)
        self.program = build_replay(
            self.round.config, {f"{TOP}.sv": files.pop(f"{TOP}.sv")}, TOP, files=files,
            arguments=ARGUMENTS)

    def run(self, numbers: Sequence[int], first: int, last: int) -> dict[int, Outcome]:
        """Run cases on mutants: the first that failed of each, if any has."""
        script = [*self.round.head]
        cases = []
        for number in numbers:
            for case in range(first, last):
                script += [f"case {len(cases)}", f"strike {number} 0 0 0", "reset 2 2",
                           *(line for event in self.round.case(case) for line in event)]
                cases.append(number)
        # The engine as it is comes last, for what mutants may leave.
        for case in range(first, last):
            script += [f"case {len(cases)}", "strike 0 0 0 0", "reset 2 2",
                       *(line for event in self.round.case(case) for line in event)]
            cases.append(0)
        try:
            outcomes, _ = replay(self.program, script, seed=self.options.seed, timeout=600)
        except (BuildError, subprocess.TimeoutExpired):
            # The simulator gave up, or is slow: a loop that does not settle.
            if len(numbers) == 1:
                return {numbers[0]: Outcome(0, "no simulation", 0, 0)}
            half = len(numbers) // 2
            return self.run(numbers[:half], first, last) | self.run(numbers[half:], first, last)
        failed: dict[int, Outcome] = {}
        for outcome in outcomes:
            if outcome.what != "ok":
                failed.setdefault(cases[outcome.number], outcome)
        if 0 in failed:
            if len(numbers) == 1:
                return {numbers[0]: failed[0]} | failed  # It has left what resets do not clear.
            half = len(numbers) // 2
            return self.run(numbers[:half], first, last) | self.run(numbers[half:], first, last)
        return failed

    def whole(self) -> dict[str, dict[str, Any]]:
        """Run all mutants: what became of each, by module and command."""
        path = self.folder / "results.json"
        known = load(path)
        if known.get("identity") != self.identity:
            known = {"identity": self.identity, "mutants": {}}
            if self.run([], 0, STAGES[-1][1]):
                raise SystemExit(f"{self.engine.name}: the engine as it is fails")
        mutants: dict[str, Any] = known["mutants"]
        end = self.options.end
        for first, last in STAGES:
            todo = [number for number, mutation in enumerate(self.design.mutations, start=1)
                    if mutants.get(mutation.key, {"cases": 0})["cases"] == first
                    and mutants.get(mutation.key, {"status": "survived"})["status"] == "survived"]
            size = max(1, LOT // (last - first))
            for start in range(0, len(todo), size):
                if time.monotonic() > end:
                    break
                lot = todo[start:start + size]
                failed = self.run(lot, first, last)
                for number in lot:
                    outcome = failed.get(number)
                    mutants[self.design.mutations[number - 1].key] = {
                        "module": self.design.modules[number - 1], "cases": last,
                        "line": self.design.mutations[number - 1].line,
                        "status": "survived" if outcome is None else "killed",
                        "by": "" if outcome is None else outcome.what}
                save(path, known)
        for number, mutation in enumerate(self.design.mutations, start=1):
            entry = mutants.get(mutation.key)
            if (entry and entry["status"] == "survived" and "proof" not in entry
                    and entry["cases"] == STAGES[-1][1] and time.monotonic() < end):
                module = self.design.modules[number - 1]
                try:
                    entry["proof"], = prove_equivalent(
                        module_netlist(self.folder, module), [mutation], self.folder / "proof",
                        seconds=self.options.proof)
                except (UnsupportedNetlist, InputError, KeyError) as error:
                    entry["proof"] = f"not tried: {str(error)[:120]}"
                if entry["proof"] == "equivalent":
                    entry["status"] = "equivalent"
                save(path, known)
        return mutants


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", help="engine (default: all)")
    parser.add_argument("--per-module", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="of mutants, networks and cases")
    parser.add_argument("--proof", type=float, default=10, metavar="SECONDS",
                        help="time for the proof that a survivor is equivalent")
    parser.add_argument("--minutes", type=float, default=float("inf"),
                        help="try mutants of an engine for so long, and go on when called again")
    options = parser.parse_args()

    # To know its ports an engine is made, and then not used.
    warnings.simplefilter("ignore", UnusedElaboratable)
    for engine in [find_engine(options.engine)] if options.engine else engines():
        if not is_replayable(engine.make_config({})):
            print(f"{engine.name} has no native ports, and is left out", file=sys.stderr)
            continue
        campaign = Campaign(engine, options)
        options.end = time.monotonic() + 60 * options.minutes
        mutants = campaign.whole()
        rows: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in mutants.values():
            rows[entry["module"]][entry["status"]] += 1
        print(f"{engine.name}: {campaign.round.config.label}")
        print("| module | mutants | killed | equivalent | survived |\n|---|---:|---:|---:|---:|")
        total: Counter[str] = Counter()
        for module, row in rows.items():
            total.update(row)
            print(f"| {module.removeprefix(engine_top(campaign.round.config)).lstrip('_')} "
                  f"| {row.total()} | {row['killed']} | {row['equivalent']} | {row['survived']} |")
        print(f"| together | {total.total()} | {total['killed']} | {total['equivalent']} "
              f"| {total['survived']} |")
        for mutation, module in zip(campaign.design.mutations, campaign.design.modules,
                                    strict=True):
            entry = mutants.get(mutation.key, {"status": ""})
            if entry["status"] == "survived":
                place, text = source_line(mutation)
                print(f"    {entry.get('proof', 'more cases to meet')} {place}: {module}: "
                      f"{mutation.place}: {text}")
        add_to_report(f"engine {engine.name}", total)
    return 0


if __name__ == "__main__":
    sys.exit(main())
