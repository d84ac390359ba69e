"""Mutation testing of the RTL: Yosys makes the mutants, the components' own tests must see them.

    python benchmarks/mutants.py --per-component 40 --jobs 2
    python benchmarks/mutants.py --only sparse.broadcast

Each component in ``rtl`` is taken as its tests make it most often: its netlist, in which Yosys's
``mutate`` changes one bit at a time, comes in its place in the tests that simulate it. A mutant is
killed if one of them fails or hangs. Those that survive are proved to be equivalent by ABC, or
else are survivors, also where that is undecided. Survivors that ``tests/mutation_reasons.toml``
explains are told apart; with others the status is 1.

Results are kept in ``build/verify/mutants`` and found again as long as the component's netlist is
the same; survivors are tried again when its tests change. Figures are of all mutants that were
tried so far, with other numbers and seeds, too. Proofs that were undecided are tried again with
more time: ``--proof 0`` runs only tests, and a later run the proofs. The sums go into
``build/verify/report.json``.
"""

import argparse
import hashlib
import json
import re
import signal
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eieio.model.errors import InputError
from eieio.sim.mutation.campaign import Configuration, configurations, judge, run_tests
from eieio.sim.mutation.components import Component, components, sources
from eieio.sim.mutation.equivalence import prove_equivalent
from eieio.sim.mutation.netlist import Mutation, Netlist, UnsupportedNetlist
from eieio.sim.mutation.netlists import list_mutations, mutations_path, read_netlist
from eieio.sim.verification_report import update_report

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "verify" / "mutants"
#: Changes when a change of the tool may change what becomes of a mutant.
VERSION = "1"

REASONS = ROOT / "tests" / "mutation_reasons.toml"
#: Arithmetic that is a component with mutants and tests of its own, which bring it to its limits.
#: As a part of others it is left as it is.
APART = ("/rtl/requantize.py", "/rtl/vendor/multiplier.py", "/rtl/tensor_core/dot_product.py",
         "/rtl/tensor_core/narrow.py")


@dataclass
class Result:
    """Mutants of a component."""

    component: Component
    statuses: dict[str, dict[str, Any]]  # by Yosys's command
    left: int = 0  # for want of time
    note: str = ""

    def count(self, status: str) -> int:
        return sum(one["status"] == status for one in self.statuses.values())


def digest(*paths: Path) -> str:
    """Digest of files' contents."""
    texts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save(path: Path, contents: Any) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(contents, indent=1), encoding="utf-8")
    new.replace(path)


def bench_digest(component: Component) -> str:
    """Digest of a component's tests, and of what they have in common."""
    shared = sorted((ROOT / "tests" / "rtl").rglob("conftest.py"))
    return VERSION + digest(*(ROOT / test for test in component.tests), *shared)


def source_digest(component: Component) -> str:
    """Digest of all that may change a component's netlist, and its tests."""
    return digest(*(ROOT / path for path in sources(component, ROOT))) + bench_digest(component)


def rtlil_digest(folder: Path) -> str:
    """Digest of a configuration; where things are in the sources makes no difference."""
    path = folder / "component.il"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return hashlib.sha256(re.sub(r"(?m)^ *attribute \\src .*\n", "", text).encode()
                          ).hexdigest()[:16]


def known_statuses(component: Component, options: argparse.Namespace
                   ) -> tuple[dict[str, dict[str, Any]], bool]:
    """Find what became of mutants in earlier runs, and whether all that are wanted are there."""
    folder = FOLDER / component.label
    found = load(folder / "configurations.json")
    if found.get("identity") != source_digest(component):
        return {}, False
    chosen = [folder / one["key"] for one in found["found"][:options.configurations]]
    statuses: dict[str, dict[str, Any]] = {}
    done = True
    for place in chosen:
        known = load(place / "results.json")
        wanted = mutations_path(place, options.per_component // len(chosen), options.seed)
        lines = {key: mutation.line for key, mutation in listed(place).items()}
        current = (known.get("rtlil") == rtlil_digest(place)
                   and known.get("bench") == bench_digest(component))
        if current:
            statuses |= {lines.get(key) or key: one for key, one in known["mutants"].items()}
        done &= (current and wanted.exists() and not known.get("again")
                 and all(line in statuses
                         for line in wanted.read_text(encoding="utf-8").splitlines()))
    return statuses, done


def listed(folder: Path) -> dict[str, Mutation]:
    """Find all mutations of a configuration that were ever wanted, by their keys."""
    return {mutation.key: mutation for path in sorted(folder.glob("mutations-*.txt"))
            for mutation in map(Mutation.parse, path.read_text(encoding="utf-8").splitlines())}


def provable(one: Mapping[str, Any], seconds: float) -> bool:
    """Whether a mutant lives, and no proof has taken as much time yet as it may."""
    return (one.get("status") == "survived" and one.get("proof", "undecided") == "undecided"
            and one.get("proof_seconds", 0) < seconds)


def find_configurations(component: Component, items: Sequence[Any], folder: Path, jobs: int
                        ) -> list[Configuration]:
    """Find the configurations that tests simulate, or what is known of them."""
    identity = source_digest(component)
    known = load(folder / "configurations.json")
    if known.get("identity") != identity:
        for path in folder.glob("*/component.il"):
            path.unlink()
        found = configurations(component, items, folder, jobs)
        known = {"identity": identity, "found": [asdict(one) for one in found]}
        folder.mkdir(parents=True, exist_ok=True)
        save(folder / "configurations.json", known)
    return [Configuration(**one) for one in known["found"]]


def test_component(component: Component, options: argparse.Namespace) -> Result:
    """Make mutants of a component and run its tests on them."""
    if not component.tests:
        return Result(component, {}, note="no test of its own")
    statuses, done = known_statuses(component, options)
    result = Result(component, statuses)
    if time.monotonic() > options.end:
        result.note = "" if done else "no time left"
        return result
    if not done:
        run_component(component, result, options)
    if options.proof and time.monotonic() < options.end:
        prove_survivors(component, options)
        result.statuses |= known_statuses(component, options)[0]
    return result


def run_component(component: Component, result: Result, options: argparse.Namespace) -> None:
    """Run a component's tests on what is left of its mutants."""
    folder = FOLDER / component.label

    def campaign(items: Sequence[Any]) -> None:
        found = find_configurations(component, items, folder, options.jobs)
        if not found:
            result.note = "no test simulates it in Amaranth's simulator"
            return
        chosen = found[:options.configurations]
        for one in chosen:
            count = options.per_component // len(chosen)
            try:
                result.left += test_configuration(component, one, items, folder / one.key,
                                                  count, options)
            except (UnsupportedNetlist, InputError) as error:
                result.note = str(error)

    run_tests(component.tests, ROOT, campaign)
    result.statuses |= known_statuses(component, options)[0]


def test_configuration(component: Component, configuration: Configuration, items: Sequence[Any],
                       folder: Path, count: int, options: argparse.Namespace) -> int:
    """Make mutants of one configuration and run its tests on them; how many are left."""
    path = folder / "results.json"
    known = load(path)
    text = digest(folder / "component.il")
    if known.get("text") != text:
        for old in [*folder.glob("mutations-*"), folder / "netlist.json"]:
            old.unlink(missing_ok=True)
    rtlil = rtlil_digest(folder)
    if known.get("rtlil") != rtlil:
        known = {"rtlil": rtlil, "mutants": {}}
    known["text"] = text
    netlist = read_netlist(folder)
    netlist.compile()
    own = str(component.file)
    mutations = list_mutations(netlist, folder, count, options.seed,
                               apart=[path for path in APART if not path.endswith(own)])
    bench = bench_digest(component)
    if known.get("bench") != bench:
        alive = {key for key, one in known["mutants"].items() if one["status"] == "survived"}
        known["mutants"] = {key: one for key, one in known["mutants"].items() if key not in alive}
        known |= {"bench": bench, "times": None,
                  "again": sorted(alive.union(known.get("again", ())))}
    mutants: dict[str, Any] = known["mutants"]
    again = [mutation for key, mutation in listed(folder).items() if key in known.get("again", ())]
    mutations = [*{mutation.key: mutation for mutation in (*again, *mutations)}.values()]
    todo = [mutation for mutation in mutations if mutation.key not in mutants]
    chosen = [item for item in items if item.nodeid in configuration.tests]
    if todo and known["times"] is None:
        # Of the netlist as it is: tests that look into the component cannot run on it.
        _, _, messages = next(judge(component, configuration.key, chosen, netlist, [None], 1,
                                    times={}, whole=True))
        known["times"] = {message["test"]: message["seconds"] for message in messages
                          if message.get("outcome") == "passed"}
        failed = [message["test"] for message in messages if message.get("outcome") == "failed"]
        known["unfit"] = failed
        save(path, known)
    if todo and not known["times"]:
        raise UnsupportedNetlist("its tests look into the component")
    bench_items = [item for item in chosen if item.nodeid in (known["times"] or {})]
    for number, verdict, _ in judge(component, configuration.key, bench_items, netlist, todo,
                                    options.jobs, times=known["times"] or {}):
        mutation = todo[number]
        mutants[mutation.key] = {
            "status": "killed" if verdict.killed else "survived", "by": verdict.by,
            "seconds": round(verdict.seconds, 3), "proof": "undecided", "proof_seconds": 0}
        save(path, known)
        if time.monotonic() > options.end:
            break
    known["again"] = [mutation.key for mutation in again if mutation.key not in mutants]
    save(path, known)
    return sum(mutation.key not in mutants for mutation in mutations)


def prove_survivors(component: Component, options: argparse.Namespace) -> None:
    """Try to prove what lives of a component's mutants to be equivalent."""
    folder = FOLDER / component.label
    found = load(folder / "configurations.json").get("found", ())
    for place in [folder / one["key"] for one in found[:options.configurations]]:
        path = place / "results.json"
        known = load(path)
        mutants = known.get("mutants", {})
        alive = [mutation for key, mutation in listed(place).items()
                 if provable(mutants.get(key, {}), options.proof)]
        if not alive:
            continue
        netlist = read_netlist(place)
        for mutation, proof in zip(alive, proofs(netlist, alive, place, options.proof),
                                   strict=True):
            mutants[mutation.key] |= {
                "status": "equivalent" if proof == "equivalent" else "survived", "proof": proof,
                "proof_seconds": options.proof}
            save(path, known)
            if time.monotonic() > options.end:
                return


def proofs(netlist: Netlist, mutations: Sequence[Mutation], folder: Path, seconds: float
           ) -> Iterator[str]:
    """Tell of each mutant whether it is equivalent, or why nothing is known."""
    done = 0
    try:
        for proof in prove_equivalent(netlist, mutations, folder / "proof", seconds=seconds):
            yield proof
            done += 1
    except InputError as error:
        yield from [str(error)] * (len(mutations) - done)


def source_line(mutation: Mutation) -> tuple[str, str]:
    """File and number of the line that a mutation changes, and the line."""
    for place in mutation.source.split("|"):
        name, _, number = place.rpartition(":")
        line = int(number.partition(".")[0] or 0)
        path = Path(name).resolve()
        if path.is_relative_to(ROOT) and path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            if 0 < line <= len(lines):
                return f"{path.relative_to(ROOT)}:{line}", lines[line - 1].strip()
    return mutation.source or "no place", ""


def explained(component: Component, mutation: Mutation, reasons: Sequence[dict[str, str]]
              ) -> str | None:
    """Return the reason that is given for a survivor of a component: by its line, or for itself."""
    text = source_line(mutation)[1]
    return next((one["reason"] for one in reasons
                 if one["component"] == component.label and one.get("line", "") in text
                 and one.get("mutant", mutation.place) == mutation.place), None)


def report(results: Sequence[Result]) -> Iterator[str]:
    """Write a table, and the survivors."""
    yield "| component | mutants | killed | equivalent | survived |"
    yield "|---|---:|---:|---:|---:|"
    for one in results:
        if one.statuses:
            yield (f"| {one.component.label} | {len(one.statuses)} | {one.count('killed')} "
                   f"| {one.count('equivalent')} | {one.count('survived')} |")
    total = Counter(status["status"] for one in results for status in one.statuses.values())
    yield (f"| together | {total.total()} | {total['killed']} | {total['equivalent']} "
           f"| {total['survived']} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""],
                        help="components whose labels begin with one of these")
    parser.add_argument("--per-component", type=int, default=20, metavar="N")
    parser.add_argument("--configurations", type=int, default=1, metavar="N",
                        help="configurations of each component among which mutants are shared")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--proof", type=float, default=20, metavar="SECONDS",
                        help="time for the proof that a survivor is equivalent")
    parser.add_argument("--minutes", type=float, default=float("inf"),
                        help="end in about so much time, and go on when called again")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # with all processes
    options.end = time.monotonic() + 60 * options.minutes

    reasons = load_reasons()
    results, unexplained, explanations = [], [], Counter()
    others = Counter[str]()  # What earlier runs found of components that are not wanted now.
    for component in components(ROOT):
        if not any(component.label.startswith(start) for start in options.only):
            known, _ = known_statuses(component, options)
            others.update(one["status"] for one in known.values())
            others["explained"] += sum(
                one["status"] == "survived"
                and explained(component, Mutation.parse(line), reasons) is not None
                for line, one in known.items())
            continue
        started = time.monotonic()
        result = test_component(component, options)
        results.append(result)
        note = f", {result.left} left for want of time" if result.left else ""
        note += f"; {result.note}" if result.note else ""
        print(f"{component.label}: {len(result.statuses)} mutants, {result.count('killed')} "
              f"killed, {result.count('equivalent')} equivalent, {result.count('survived')} "
              f"survived, in {time.monotonic() - started:.0f} s{note}", flush=True)
        for line, one in result.statuses.items():
            if one["status"] == "survived":
                mutation = Mutation.parse(line)
                place, text = source_line(mutation)
                reason = explained(component, mutation, reasons)
                print(f"    {one.get('proof', '')} {place}: {mutation.place}: {text}"
                      + (f" -- {reason}" if reason else ""), flush=True)
                if reason is None:
                    unexplained.append(place)
                else:
                    explanations[reason] += 1
    print("\n".join(report(results)))
    for reason, count in explanations.items():
        print(f"{count} survive since {reason}")
    known_explained = others.pop("explained", 0)
    add_to_report("components", others + Counter(
        one["status"] for result in results for one in result.statuses.values()),
        explanations.total() + known_explained)
    return int(bool(unexplained))


def add_to_report(part: str, statuses: Counter[str], explained: int = 0) -> None:
    """Set the figures of one part of all mutants, and the sums."""
    figures = {"total": statuses.total(), **{
        status: statuses[status] for status in ("killed", "equivalent", "survived")},
        "explained": explained}
    FOLDER.mkdir(parents=True, exist_ok=True)
    parts = {**load(FOLDER / "parts.json"), part: figures}
    save(FOLDER / "parts.json", parts)
    update_report(ROOT / "build" / "verify", "mutants", {
        **{name: sum(one[name] for one in parts.values()) for name in figures}, "parts": parts})


def load_reasons() -> list[dict[str, str]]:
    return tomllib.loads(REASONS.read_text(encoding="utf-8")).get("survivor", [])


if __name__ == "__main__":
    sys.exit(main())
