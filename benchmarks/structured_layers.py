"""Times layers with a structure on the engine as published and on ours, by the cycle model.

    python benchmarks/structured_layers.py --sizes 256,1024 --pes 16,64

Ours has all improvements of ``eieio bench eie``, and the order of the rows and column groups that
the compiler chooses. It must not be slower than the paper's but by its fixed latency: a cycle for
each doubling of its column groups. Exits with status 1 if any layer is.
"""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from eieio.model.sparse.balance import AS_THEY_COME
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.fitting import roomy
from eieio.model.sparse.patterns import PATTERNS, draw_pattern
from eieio.model.sparse.study import OURS, PAPER, geomean
from eieio.model.sparse.tuning import tune_network


def measure(pes: int, size: int, density: float, seed: int) -> tuple[Table, int]:
    """Time all patterns: a table, and how many are too slow."""
    paper = roomy(SparseConfig(pes=pes, **PAPER.options(pes)))
    ours = roomy(SparseConfig(pes=pes, **OURS.options(pes)))
    latency = ours.column_groups.bit_length() - paper.column_groups.bit_length()
    table = Table(title=f"Cycles of {size} x {size} on {pes} PEs, {density:.0%} of the inputs")
    for column in ("layer", "paper", "ours", "ours / paper", "groups", "order of the rows"):
        table.add_column(column, justify="left" if column == "layer" else "right")
    ratios = []
    slower = 0
    for name in PATTERNS:
        network, x = draw_pattern(name, size, density=density, seed=seed)
        published, = tune_network(network, paper, x, orders=[AS_THEY_COME])
        tuned, = tune_network(network, ours, x)
        ratios.append(tuned.cycles / published.cycles)
        late = tuned.cycles > published.cycles + latency
        slower += late
        table.add_row(name, f"{published.cycles:,.0f}", f"{tuned.cycles:,.0f}",
                      f"{ratios[-1]:.3f}{' SLOWER' if late else ''}", str(tuned.groups),
                      tuned.order)
    table.add_row("geometric mean", "", "", f"{geomean(ratios):.3f}", "", "")
    return table, slower


def main() -> None:
    """Run the command."""
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=numbers, default=[256, 1024])
    parser.add_argument("--pes", type=numbers, default=[16, 64])
    parser.add_argument("--density", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    slower = 0
    for size in arguments.sizes:
        for pes in arguments.pes:
            table, late = measure(pes, size, arguments.density, arguments.seed)
            slower += late
            Console(width=100).print(table)
    print(f"{len(PATTERNS)} layers, {slower} slower than the paper's engine")
    sys.exit(slower > 0)


if __name__ == "__main__":
    main()
