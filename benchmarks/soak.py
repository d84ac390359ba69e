"""Runs engines for millions of cycles on random networks, with all that can happen to them.

    python benchmarks/soak.py --cycles 10000000 --seed 0           # every engine with native ports
    python benchmarks/soak.py --engine sparse --cycles 1000000 --seed 7 --case 31

Each round draws a configuration's worth of random networks, and cases of random events: images
behind images, inputs behind inputs, stalls of every stream, an engine that may not run, resets in
the middle of an image, an input, an inference or an output, and images and inputs that must be
refused. Every beat of every output, its stability, and the counters at every pause must be the
models'. A case that fails is told with the seed that repeats it, and made smaller: events are left
out, as far as it still fails. The cycles are those of all engines together. Exits with status 1 if
a case fails.
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.hdl import UnusedElaboratable
from replayed_networks import first_config, network_of, small_options

from eieio.model.engine import Compiled, Engine
from eieio.model.registry import engines, find_engine
from eieio.sim.replay import Outcome, build_replay, image_line, is_replayable, replay, vector_line

__all__ = ["Round", "main"]

_CASES, _NETWORKS, _MULTIPLIERS = 400, 6, (1, 4, 8, 16)
#: Runs that make a failing case smaller, at most.
_SHRINKS = 200

#: An event: the lines of a script.
Event = tuple[str, ...]


@dataclass
class Round:
    """An engine of one configuration, networks for it, and cases.

    Parameters
    ----------
    engine : Engine
        The engine.
    seed : :class:`int`
        Seed of everything.
    """

    engine: Engine
    seed: int

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        options = small_options(self.engine, int(rng.choice(_MULTIPLIERS)))
        self.config = first_config(self.engine, options, rng)
        self.program = build_replay(self.config)
        self.networks = [network_of(self.engine, self.config, rng, int(rng.integers(1, 5)))
                         for _ in range(_NETWORKS)]
        self.head: list[str] = []
        self.vectors: list[list[int]] = []
        longest = place = 0
        for compiled, x in self.networks:
            self.head.append(image_line(compiled.host.words))
            lines = vector_line(compiled, x[:4 * compiled.batch])
            self.head += lines
            self.vectors.append([place + number for number in range(len(lines))])
            place += len(lines)
            longest = max(longest, *(int(line.split(" ", 4)[3]) for line in lines))
        words = max(len(compiled.host.words) for compiled, _ in self.networks)
        self.head.insert(0, f"limit {64 * (longest + words) + 20000}")
        self.longest = longest + words

    def case(self, number: int) -> list[Event]:
        """Draw the events of a case."""
        rng = np.random.default_rng([self.seed, number])
        events: list[Event] = []
        for _ in range(int(rng.integers(1, 6))):
            network = int(rng.integers(len(self.networks)))
            stalls = rng.choice([0, 0, 30, 128, 220], 4) * (rng.random(4) < 0.6)
            events.append((f"stalls {' '.join(str(int(stall)) for stall in stalls)}",))
            load = f"load {network}"
            if rng.random() < 0.1:
                after, length = int(rng.integers(2 * self.longest)), int(rng.integers(1, 4))
                events.append((load, f"reset {after} {length}"))
            if rng.random() < 0.15:
                events.append(self._bad_image(network, rng))
            events.append((load,))
            for _ in range(int(rng.integers(1, 6))):
                vector = f"infer {int(rng.choice(self.vectors[network]))}"
                choice = rng.random()
                if choice < 0.1:
                    after = int(rng.integers(4 * self.longest))
                    events.append((vector, vector, f"reset {after} 1", load))
                elif choice < 0.2:
                    events.append(self._bad_input(network, rng))
                elif choice < 0.5:
                    events.append((vector, "count"))
                else:
                    events.append((vector,))
        return [*events, ("count",)]

    def _bad_image(self, network: int, rng: np.random.Generator) -> Event:
        """Draw an image that must be refused: of a target that no engine has, or cut off."""
        words = [f"{int(word):x}" for word in self.networks[network][0].host.words]
        if rng.random() < 0.5:
            words[0] = f"{0xF0000000 | int(rng.integers(1 << 28)):x}"
        else:
            words = words[:int(rng.integers(1, 3))]
        return (f"refuse image {' '.join(words)}",)

    def _bad_input(self, network: int, rng: np.random.Generator) -> Event:
        """Draw an input that is too short or too long."""
        compiled: Compiled = self.networks[network][0]
        beats = compiled.host.inputs.beats
        count = int(rng.integers(1, beats)) if beats > 1 and rng.random() < 0.5 else \
            beats + int(rng.integers(1, 9))
        return (f"refuse input {' '.join('0' * count)}",)

    def run(self, cases: list[int], events: list[list[Event]] | None = None
            ) -> tuple[list[Outcome], int]:
        """Run cases, of their own events or of given ones."""
        script = [*self.head]
        for place, number in enumerate(cases):
            script.append(f"case {number}")
            for event in self.case(number) if events is None else events[place]:
                script += event
        return replay(self.program, script, seed=self.seed)

    def shrink(self, number: int) -> tuple[list[Event], Outcome | None]:
        """Leave events of a failing case out; None if it does not fail by itself."""
        events = self.case(number)
        (outcome,), _ = self.run([number], [events])
        if outcome.what == "ok":
            return events, None
        left, size = _SHRINKS, len(events) // 2
        while size and left:
            start = 0
            while start < len(events) and left:
                left -= 1
                fewer = events[:start] + events[start + size:]
                (found,), _ = self.run([number], [fewer])
                if found.what == outcome.what:
                    events = fewer
                else:
                    start += size
            size //= 2
        return events, outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=10_000_000,
                        help="cycles of all engines (default: 10,000,000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first round (default: 0)")
    parser.add_argument("--engine", help="engine (default: all, in turn)")
    parser.add_argument("--case", type=int, help="run this case of the first round alone")
    parser.add_argument("--keep", type=Path, help="folder for scripts of what fails")
    options = parser.parse_args()
    # To know its ports an engine is made, and then not used.
    warnings.simplefilter("ignore", UnusedElaboratable)
    chosen = [find_engine(options.engine)] if options.engine else [
        engine for engine in engines()
        if is_replayable(engine.make_config(small_options(engine)))]
    began = time.process_time()
    total, cases, failed = Counter[str](), Counter[str](), 0
    rounds = 0
    while not failed and total.total() < options.cycles:
        engine = chosen[rounds % len(chosen)]
        this = Round(engine, options.seed + rounds // len(chosen))
        share = max(options.cycles // (2 * len(chosen)), 1)
        first, spent = options.case or 0, 0
        while spent < share and total.total() < options.cycles:
            numbers = [first] if options.case is not None else [*range(first, first + _CASES)]
            outcomes, cycles = this.run(numbers)
            total[engine.name] += cycles
            cases[engine.name] += len(outcomes)
            spent += cycles
            first += _CASES
            wrong = [outcome for outcome in outcomes if outcome.what != "ok"]
            for outcome in wrong[:3]:
                failed += 1
                events, again = this.shrink(outcome.number)
                print(f"{engine.name}: --engine {engine.name} --seed {this.seed} --case "
                      f"{outcome.number}: {outcome.what} (code {outcome.code}) on "
                      f"{this.config.label}", file=sys.stderr)
                print("  " + ("it does not fail alone" if again is None else
                              "; ".join(line[:80] for event in events for line in event)),
                      file=sys.stderr)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{engine.name}_{this.seed}_{outcome.number}").write_text(
                        "\n".join([*this.head, f"case {outcome.number}",
                                   *(line for event in events for line in event)]) + "\n",
                        encoding="utf-8")
            if wrong or options.case is not None:
                break
        rounds += 1
        if options.case is not None:
            break
    for name in total:
        print(f"{name}: {total[name]:,} cycles, {cases[name]:,} cases")
    print(f"{total.total():,} cycles from seed {options.seed}; cases that failed: {failed}; "
          f"{time.process_time() - began:.0f} s of CPU time of this process")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
