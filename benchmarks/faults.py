"""Flips single bits of registers and memories of a running engine, and tells what becomes of it.

    python benchmarks/faults.py --faults 10000                 # every engine with native ports
    python benchmarks/faults.py --engine sparse --faults 500
    python benchmarks/faults.py --protected                    # with parity and watchdog

A random network is compiled for a small engine with memories that just hold it. Every case begins
with a reset, loads the image, flips one bit at a random cycle of the first of two inferences, and
ends when both outputs are there. Half of the bits are drawn from all registers, half from all
memories. A fault is

masked      if both outputs are right (``late``: but the counters of the second are not),
detected    if the engine reports an error before a wrong output,
silent      if an output is wrong, withdrawn, changed while it waits, or one too many,
hang        if nothing of this happens in 20 times the cycles,
unusable    if a protected engine, after an error that it detected, does not take the image again,
            and compute the second inference right, in the cycles that it takes.

Where a protected engine hangs or is unusable the bit and the cycle are told. Cases without a fault
stand among them, and must be right. Results are added to
``build/verify/report.json`` as they come; the command goes on where it was stopped. Exits with
status 1 if a case without a fault fails, or if in a protected engine a flip of a memory is silent,
a fault hangs, or the engine is unusable after one.
"""

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import UnusedElaboratable
from replayed_networks import random_network, small_options

from eieio.model.engine import Engine
from eieio.model.registry import engines, find_engine
from eieio.rtl.hardware import emit_engine, engine_top
from eieio.sim.replay import (
    build_replay,
    engine_ports,
    image_line,
    is_replayable,
    replay,
    vector_line,
)
from eieio.sim.strikes import TOP, Place, places_of, strikable
from eieio.sim.verification_report import update_report

__all__ = ["Campaign", "main"]

REPORT = Path("build/verify/report.json")
_CHUNK = 500
_CLASSES = ("masked", "detected", "silent", "hang", "unusable")
_PROTECTED = ", protected"
_CLASS_OF = {"ok": "masked", "counters": "masked", "error": "detected", "error stays": "detected",
             "hang": "hang"}


class Campaign:
    """Faults in one engine with one network.

    Parameters
    ----------
    engine : Engine
        The engine.
    seed : :class:`int`
        Seed of the network and of the faults.
    multipliers : :class:`int`
        Multipliers of the engine, at most.
    protect : :class:`bool`
        Whether its memories have parity, and a watchdog watches it.
    """

    def __init__(self, engine: Engine, seed: int = 0, multipliers: int = 4, *,
                 protect: bool = False) -> None:
        self.engine, self.seed, self.protect = engine, seed, protect
        options = small_options(engine, multipliers)
        self.compiled, x = random_network(engine, options, np.random.default_rng(seed), exact=True)
        if protect:
            longest = max(each.cycles for each in self.compiled.counters(x))
            self.compiled, x = random_network(
                engine, {**options, "parity": True, "watchdog": int(2 * longest) + 1000},
                np.random.default_rng(seed), exact=True)
        config = self.compiled.config
        self.x = x[:2 * self.compiled.batch]
        files, top = emit_engine(config), engine_top(config)
        self.places = places_of(files, top)
        self.program = build_replay(
            config, {f"{TOP}.sv": strikable(self.places, top, engine_ports(config))}, TOP)
        self.registers = [number for number, place in enumerate(self.places) if not place.depth]
        self.memories = [number for number, place in enumerate(self.places) if place.depth]

    @property
    def key(self) -> str:
        """What results must have in common to be added."""
        return f"{self.compiled.config.label}; seed {self.seed}; {len(self.places)} places"

    def bits(self, numbers: list[int]) -> int:
        return sum(self.places[number].bits for number in numbers)

    def chunk(self, start: int, count: int) -> tuple[dict[str, Counter[str]], int]:
        """Run faults by their numbers; return classes for registers and memories, and cycles.

        Raises
        ------
        SystemExit
            If a case without a fault fails.
        """
        rng = np.random.default_rng([self.seed, start])
        counters = self.compiled.counters(self.x)
        host = self.compiled.host
        window = int(counters[0].cycles) + host.inputs.beats + host.outputs.beats
        script = [f"limit {20 * max(each.cycles for each in counters) + 5000}",
                  image_line(host.words), *vector_line(self.compiled, self.x)]
        kinds, strikes = [], {}
        for number in range(count + 1):
            memory = bool(rng.random() < 0.5)
            kinds.append("memories" if memory else "registers")
            script += [f"case {number}", "load 0", "infer 0"]
            if number < count:
                index, addr, bit = self._draw(self.memories if memory else self.registers, rng)
                after = int(rng.integers(window))
                script.append(f"strike {index} {addr} {bit} {after}")
                strikes[number] = (f"{self.places[index].path}, word {addr}, bit {bit}, after "
                                   f"{after} cycles")
            script += ["infer 1", "drain", "count"]
            if self.protect:
                script.append("recover 0 1")
        outcomes, cycles = replay(self.program, script, seed=start)
        if len(outcomes) != count + 1 or outcomes[-1].what != "ok":
            print(f"{self.engine.name}: without a fault: {outcomes[-1]}", file=sys.stderr)
            raise SystemExit(1)
        found = {"registers": Counter[str](), "memories": Counter[str]()}
        for outcome, kind in zip(outcomes[:count], kinds, strict=False):
            found[kind]["unusable" if outcome.what.startswith("not usable")
                        else _CLASS_OF.get(outcome.what, "silent")] += 1
            found[kind]["late"] += outcome.what == "counters"
            if self.protect and (outcome.what == "hang" or outcome.what.startswith("not usable")):
                print(f"{self.engine.name}: {outcome.what}: {strikes[outcome.number]}",
                      file=sys.stderr, flush=True)
        return found, cycles

    def _draw(self, numbers: list[int], rng: np.random.Generator) -> tuple[int, int, int]:
        """Draw a bit, each as likely as any other."""
        bits = np.array([self.places[number].bits for number in numbers])
        place = int(rng.choice(numbers, p=bits / bits.sum()))
        found: Place = self.places[place]
        return place, int(rng.integers(max(found.depth, 1))), int(rng.integers(found.width))


def _load() -> dict[str, Any]:
    return json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.is_file() else {}


def _add(name: str, key: str, found: dict[str, Counter[str]], cycles: int) -> int:
    """Add results to the report; return how many faults an engine has had."""
    faults = _load().get("faults", {})
    mine = faults.get("engines", {}).get(name, {})
    if mine.get("key") != key:
        mine = {"key": key, "cycles": 0, "registers": {}, "memories": {}}
    mine["cycles"] += cycles
    for kind, counts in found.items():
        for what in (*_CLASSES, "late"):
            mine[kind][what] = mine[kind].get(what, 0) + counts[what]
    faults.setdefault("engines", {})[name] = mine
    for what in _CLASSES:
        faults[what] = sum(each[kind].get(what, 0) for each in faults["engines"].values()
                           for kind in ("registers", "memories"))
    faults["total"] = sum(faults[what] for what in _CLASSES)
    update_report(REPORT.parent, "faults", faults)
    return sum(mine[kind][what] for kind in found for what in _CLASSES)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", help="engine (default: all)")
    parser.add_argument("--faults", type=int, default=10000,
                        help="faults of an engine, those in the report included (default: 10000)")
    parser.add_argument("--protected", action="store_true",
                        help="with parity and watchdog, where an engine has these options")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    options = parser.parse_args()
    # To know its ports an engine is made, and then not used.
    warnings.simplefilter("ignore", UnusedElaboratable)
    chosen = [find_engine(options.engine)] if options.engine else [*engines()]
    print("| engine | bits | faults | masked | of these late | detected | silent | hang "
          "| unusable |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    bad = 0
    for engine in chosen:
        if options.protected and not {"parity", "watchdog"} <= {
                option.name for option in engine.options}:
            print(f"{engine.name} has no such options, and is left out", file=sys.stderr)
            continue
        name = engine.name + (_PROTECTED if options.protected else "")
        if not is_replayable(engine.make_config(small_options(engine, 4))):
            print(f"{engine.name} has no native ports, and is left out", file=sys.stderr)
            continue
        began = time.process_time()
        campaign = Campaign(engine, options.seed, protect=options.protected)
        done = _add(name, campaign.key,
                    {"registers": Counter(), "memories": Counter()}, 0)
        while done < options.faults:
            found, cycles = campaign.chunk(done, min(_CHUNK, options.faults - done))
            done = _add(name, campaign.key, found, cycles)
        mine = _load()["faults"]["engines"][name]
        for kind, numbers in (("registers", campaign.registers), ("memories", campaign.memories)):
            counts = mine[kind]
            print(f"| {name}, {kind} | {campaign.bits(numbers)} | "
                  f"{sum(counts[what] for what in _CLASSES)} | {counts['masked']} | "
                  f"{counts['late']} | {counts['detected']} | {counts['silent']} | "
                  f"{counts['hang']} | {counts['unusable']} |", flush=True)
            if options.protected:
                bad += counts["hang"] + counts["unusable"]
                bad += counts["silent"] if kind == "memories" else 0
        print(f"{name}: {mine['cycles']} cycles, {time.process_time() - began:.0f} s of CPU "
              "time of this process", file=sys.stderr)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
