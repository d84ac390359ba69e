"""Runs random graphs through golden model, cycle model and RTL of systolic engines.

    python benchmarks/random_graphs.py --graphs 500 --seed 0 --joins

Every graph is run on several inputs; every integer of every layer, the cycles of every layer and
input, and the counters of stalls must be equal. With ``--joins`` half of the graphs have branches
whose channels lie side by side, if these fit. With ``--depthwise`` engines have a unit for
depthwise convolutions. Exits with status 1 if anything differs. Engines are built into the cache
(``EIEIO_CACHE``, or else ``build/cache``): the first run takes longer.
"""

import argparse
import itertools
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from eieio.model.systolic.config import SystolicConfig
from eieio.sim.runner import SimulationError
from eieio.sim.simulation import build_engine
from eieio.sim.systolic.random_graph import random_graph, random_inputs
from eieio.sim.systolic.simulation import compare

INPUTS = 3
MODES = ("direct", "channelwise", "depthwise", "winograd", "add")
#: Rows, columns and Winograd's m.
ENGINES = ((4, 4, 0), (6, 3, 2), (3, 5, 0), (4, 4, 4), (8, 4, 0), (1, 1, 0), (4, 8, 2), (2, 6, 0),
           (5, 5, 0), (6, 3, 4), (4, 8, 0), (12, 6, 0))


@dataclass
class Tally:
    """What was compared on one configuration, or on all."""

    graphs: int = 0
    layers: Counter[str] = field(default_factory=Counter)
    layer_runs: int = 0
    integers: int = 0
    macs: int = 0
    cycles: int = 0
    mismatches: int = 0
    cycle_mismatches: int = 0
    failures: int = 0

    def add(self, other: "Tally") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.graphs, *(self.layers[mode] for mode in MODES), self.layer_runs,
                self.integers, self.macs, self.cycles, self.mismatches, self.cycle_mismatches,
                self.failures)


def random_config(rng: np.random.Generator, rows: int, columns: int, winograd: int,
                  code_width: int) -> SystolicConfig:
    """Draw a configuration of an array; codes go without Winograd's transforms."""
    winograd = 0 if code_width else winograd
    lanes = [lanes for lanes in range(1, rows + 1) if rows % lanes == columns % lanes == 0]
    smallest = (winograd + 2) ** 2 if winograd else 1
    return SystolicConfig.for_winograd(
        winograd, rows=rows, columns=columns, lanes=int(rng.choice(lanes)),
        product_stages=int(rng.integers(1, 4)), accumulator_width=int(rng.choice([24, 28, 32])),
        accumulator_depth=smallest * int(rng.integers(2, 5)) + int(rng.integers(0, 12)),
        residual=bool(rng.random() < 0.8),
        requantize_multipliers=str(rng.choice(["dsp", "lut"])),
        products_per_multiplier=int(rng.integers(1, 3)) if columns % 2 == winograd == 0 else 1,
        activation_depth=int(rng.integers(1000, 2500)),
        weight_depth=int(rng.integers(2000, 4000)), parameter_depth=int(rng.integers(200, 400)),
        program_depth=int(rng.integers(11, 20)), code_width=code_width)


def with_unit(config: SystolicConfig, rng: np.random.Generator) -> SystolicConfig:
    """Draw a depthwise unit."""
    lanes = [count for count in range(1, config.lanes + 1) if config.lanes % count == 0]
    return replace(config, depthwise_lanes=int(rng.choice(lanes)),
                   depthwise_kernel=int(rng.integers(2, 5)),
                   depthwise_width=int(rng.integers(4, 20)),
                   depthwise_multipliers=str(rng.choice(["dsp", "lut"])))


def run_config(config: SystolicConfig, graphs: int, rng: np.random.Generator, *, joins: bool
               ) -> Tally:
    """Run graphs on one engine."""
    tally = Tally()
    if not graphs:
        return tally
    build = build_engine(config, quick=True)
    for number in range(graphs):
        batch = int(rng.integers(2, 6)) if rng.random() < 0.1 else 1
        winograd = bool(rng.random() < 0.8) or None if config.winograd else None
        compiled = random_graph(config, rng, batch=batch, winograd=winograd,
                                operators=int(rng.integers(4, 9)),
                                max_cycles=int(rng.choice([1000, 3000, 6000])), joins=joins)
        x = random_inputs(compiled, INPUTS, rng)
        tally.graphs += 1
        tally.layers.update(layer.mode for layer in compiled.layers)
        try:
            result = compare(compiled, x, build, stall=float(rng.choice([0, 0, 0.2, 0.5])))
        except (SimulationError, AssertionError) as error:
            print(f"Graph {number} of {config.label}: {error}", file=sys.stderr)
            tally.failures += 1
            continue
        tally.layer_runs += len(compiled.layers) * len(x)
        tally.integers += sum(layer.size for layer in result.golden) + result.rtl.outputs.size
        tally.macs += result.timing.macs * len(x)
        tally.cycles += result.timing.cycles * len(x)
        tally.mismatches += result.mismatches
        tally.cycle_mismatches += result.cycle_mismatches
        if result.mismatches or result.cycle_mismatches:
            print(f"Graph {number} of {config.label} differs", file=sys.stderr)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=500, help="graphs in all (default: 500)")
    parser.add_argument("--configs", type=int, default=12,
                        help="engine configurations to spread them over (default: 12)")
    parser.add_argument("--joins", action="store_true",
                        help="branches whose channels lie side by side, too")
    parser.add_argument("--depthwise", action="store_true",
                        help="engines with a unit for depthwise convolutions")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    parser.add_argument("--code-width", type=int, default=0, choices=(0, 4, 8),
                        help="bits of the codes that weights are kept as (default: 0, none)")
    options = parser.parse_args()

    columns = ("rows", "columns", "lanes", "stages", "acc", "depth", "winograd", "residual",
               "graphs", *MODES, "runs", "integers", "macs", "cycles", "differ", "cycles off",
               "failed")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---:|" * len(columns))
    total = Tally()
    started = time.monotonic()
    for number, engine in zip(range(options.configs), itertools.cycle(ENGINES), strict=False):
        # A configuration does not depend on how many graphs the others run.
        rng = np.random.default_rng([options.seed, number])
        config = random_config(rng, *engine, options.code_width)
        if options.depthwise:
            config = with_unit(config, rng)
        share = (options.graphs * (number + 1) // options.configs
                 - options.graphs * number // options.configs)
        tally = run_config(config, share, rng, joins=options.joins)
        total.add(tally)
        row = (config.rows, config.columns, config.lanes, config.product_stages,
               config.accumulator_width, config.accumulator_depth, config.winograd,
               "yes" if config.residual else "no", *tally.columns)
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
    print()
    print(f"{total.graphs} random graphs of {total.layers.total()} layers on {options.configs} "
          f"configurations; {total.layer_runs} layer runs, {total.integers} integers, "
          f"{total.macs} multiplications, {total.cycles} cycles compared")
    print(f"integers that differ: {total.mismatches}; cycle counts that differ: "
          f"{total.cycle_mismatches}; simulations that failed: {total.failures}")
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)
    return int(bool(total.mismatches or total.cycle_mismatches or total.failures))


if __name__ == "__main__":
    sys.exit(main())
