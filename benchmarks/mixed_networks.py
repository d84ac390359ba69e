"""Runs random networks on small mixed engines in RTL, and compares everything with the models.

    python benchmarks/mixed_networks.py [--networks 10] [--seed 0]

Each network runs a stream of inputs without stalls, in which the cycle of every input and output
is compared, too, and one with stalls. Engines have beats between their parts that are passed on,
divided and joined. The exit status is 1 if anything differs.
"""

import argparse
import sys
from dataclasses import replace

import numpy as np

from eieio.sim.mixed.random_network import SMALL, random_inputs, random_network
from eieio.sim.mixed.simulation import compare
from eieio.sim.simulation import build_engine

#: Lanes of the sparse engine's streams, and of the systolic one's.
LANES = ((2, 2), (1, 2), (2, 1))


def main() -> None:
    """Draw, simulate, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    wrong = 0
    for io_lanes, lanes in LANES:
        config = replace(SMALL, convolutions=replace(SMALL.convolutions, lanes=lanes),
                         dense=replace(SMALL.dense, io_lanes=io_lanes))
        built = build_engine(config)
        for seed in range(arguments.seed, arguments.seed + arguments.networks):
            rng = np.random.default_rng(seed)
            # The sparse engine is now the slower one and now not.
            compiled = random_network(config, rng, max_cycles=int(rng.choice([400, 2000])),
                                      channels=int(rng.choice([12, 56])))
            x = random_inputs(compiled, 6, rng)
            for stall in (0.0, 0.3):
                found = compare(compiled, x, built, stall=stall)
                print(f"lanes {lanes} and {io_lanes}, seed {seed}, stalls {stall}: "
                      f"{found.compared_integers} integers, {found.mismatches} differ; "
                      f"{found.cycle_mismatches} cycles differ; intervals {found.intervals}",
                      flush=True)
                wrong += found.mismatches + found.cycle_mismatches
    sys.exit(wrong != 0)


if __name__ == "__main__":
    main()
