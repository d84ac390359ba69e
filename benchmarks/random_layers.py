"""Runs random layers through golden model, cycle model and RTL, and compares all of it.

    python benchmarks/random_layers.py --layers 1000 --seed 0

Every layer is run on several inputs; every integer of every layer and the cycles of every layer
and input must be equal. Exits with status 1 if anything differs. Engines are built into the cache
(``EIEIO_CACHE``, or else ``build/cache``): the first run takes longer.
"""

import argparse
import itertools
import sys
import time
from dataclasses import dataclass

import numpy as np

from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.mapping import CompiledNetwork
from eieio.sim.runner import SimulationError
from eieio.sim.simulation import build_engine
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network
from eieio.sim.sparse.simulation import compare

SAMPLES = 3
MOST_LAYERS = 8
PES = (1, 2, 3, 4, 5, 6, 7, 8, 16, 4, 2, 12, 8, 24, 4, 9, 8, 16, 10, 2, 32, 3, 8, 4, 16)


@dataclass
class Tally:
    """What was compared on one configuration, or on all."""

    networks: int = 0
    layers: int = 0
    layer_runs: int = 0
    integers: int = 0
    products: int = 0
    cycles: int = 0
    mismatches: int = 0
    cycle_mismatches: int = 0
    failures: int = 0

    def add(self, other: "Tally") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def random_config(rng: np.random.Generator, pes: int) -> SparseConfig:
    """Draw a configuration; its memories hold any network of :func:`random_case`."""
    powers = [1 << power for power in range(5) if pes % (1 << power) == 0]
    column_groups = int(rng.choice(powers))
    lanes = [lanes for lanes in range(1, pes + 1) if pes % lanes == 0]
    activation_width = int(rng.choice([8, 16, 16, 18]))
    return SparseConfig(
        pes=pes,
        queue_depth=int(rng.choice([2, 2, 3, 4, 7, 8, 16, 32])),
        code_width=int(rng.integers(2, 9)),
        run_width=int(rng.integers(3, 9)),
        activation_width=activation_width,
        weight_width=int(rng.choice([8, 16, 16, 18])),
        accumulator_width=int(rng.choice([24, 32] if activation_width == 8 else [32, 36, 48])),
        entry_depth=2 * int(rng.integers(1000, 3000)),
        pointer_depth=2 * int(rng.integers(420, 600)),
        accumulator_depth=column_groups * int(rng.integers(101, 140)),
        activation_depth=int(rng.integers(101, 140)),
        output_depth=MOST_LAYERS * 101,
        layer_depth=int(rng.integers(MOST_LAYERS, MOST_LAYERS + 3)),
        column_groups=column_groups,
        skip_empty_columns=bool(rng.random() < 0.7),
        absorb_fillers=bool(rng.random() < 0.7),
        io_lanes=int(rng.choice(lanes)),
    )


def random_case(config: SparseConfig, layers: int, rng: np.random.Generator
                ) -> tuple[CompiledNetwork, np.ndarray, float]:
    """Draw a network, inputs and a probability of stalls."""
    sizes = rng.integers(1, rng.choice([6, 30, 101]), layers + 1).tolist()
    densities = rng.choice([0, 0.02, 0.1, 0.3, 0.6, 1], layers).tolist()
    groups = rng.choice(config.column_group_choices, layers).tolist()
    network = random_network(config, sizes, densities, rng)
    compiled = compile_random(network, config, groups, str(rng.choice(["none", "hidden", "all"])),
                              rng)
    x = random_inputs(config, SAMPLES, sizes[0], float(rng.choice([0.05, 0.3, 0.7, 1])), rng)
    return compiled, x, float(rng.choice([0, 0, 0.2, 0.6]))


def run_config(config: SparseConfig, layers: int, rng: np.random.Generator) -> Tally:
    """Run networks on one engine until they have that many layers."""
    tally = Tally()
    build = build_engine(config, quick=True)
    while tally.layers < layers:
        count = int(min(rng.integers(3, MOST_LAYERS + 1), layers - tally.layers))
        compiled, x, stall = random_case(config, count, rng)
        tally.networks += 1
        tally.layers += count
        try:
            result = compare(compiled, x, build, stall=stall)
        except (SimulationError, AssertionError) as error:
            print(f"Network {tally.networks} of {config.label}: {error}", file=sys.stderr)
            tally.failures += 1
            continue
        tally.layer_runs += count * len(x)
        tally.integers += sum(layer.size for layer in result.golden) + result.golden[-1].size
        timings = [layer for sample in result.timings for layer in sample]
        tally.products += sum(int(layer.products.sum()) for layer in timings)
        tally.cycles += sum(layer.cycles for layer in timings)
        tally.mismatches += result.mismatches
        tally.cycle_mismatches += result.cycle_mismatches
        if result.mismatches or result.cycle_mismatches:
            print(f"Network {tally.networks} of {config.label} differs", file=sys.stderr)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=1000, help="layers in all (default: 1000)")
    parser.add_argument("--configs", type=int, default=25,
                        help="engine configurations to spread them over (default: 25)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    options = parser.parse_args()

    columns = ("pes", "groups", "queue", "code", "run", "act", "weight", "acc", "io", "skip",
               "absorb", "layers", "runs", "integers", "products", "cycles", "differ", "cycles off")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---:|" * len(columns))
    total = Tally()
    started = time.monotonic()
    for number, pes in zip(range(options.configs), itertools.cycle(PES), strict=False):
        # A configuration does not depend on how many layers the others run.
        rng = np.random.default_rng([options.seed, number])
        config = random_config(rng, pes)
        share = (options.layers * (number + 1) // options.configs
                 - options.layers * number // options.configs)
        tally = run_config(config, share, rng)
        total.add(tally)
        row = (config.pes, config.column_groups, config.queue_depth, config.code_width,
               config.run_width, config.activation_width, config.weight_width,
               config.accumulator_width, config.io_lanes,
               *("yes" if flag else "no" for flag in (config.skip_empty_columns,
                                                      config.absorb_fillers)),
               tally.layers, tally.layer_runs, tally.integers, tally.products, tally.cycles,
               tally.mismatches, tally.cycle_mismatches)
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
    print()
    print(f"{total.layers} random layers in {total.networks} networks on {options.configs} "
          f"configurations; {total.layer_runs} layer runs, {total.integers} integers, "
          f"{total.products} products, {total.cycles} cycles compared")
    print(f"integers that differ: {total.mismatches}; cycle counts that differ: "
          f"{total.cycle_mismatches}; simulations that failed: {total.failures}")
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)
    return int(bool(total.mismatches or total.cycle_mismatches or total.failures))


if __name__ == "__main__":
    sys.exit(main())
