"""Runs exported engines of any size in the testbench of plain Verilog, by Icarus.

    python benchmarks/exported_system.py --pes 64
    python benchmarks/exported_system.py --pes 256 --column-groups 16
    python benchmarks/exported_system.py --engine systolic --rows 32 --columns 32

The networks are those of benchmarks/host_driver.py. Exits with status 1 if the testbench does not
pass, which compares every output with the golden model's.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from host_driver import draw_sparse, draw_systolic

from eieio.model.sparse.prepared import SparseCompiled
from eieio.model.systolic.prepared import SystolicCompiled
from eieio.scripts.packaging import Package, write_package
from eieio.scripts.vectors import make_vectors, write_vectors

TESTBENCH = Path(__file__).parents[1] / "examples/integration/axi_system/axi_system_tb.v"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["sparse", "systolic"], default="sparse")
    parser.add_argument("--count", type=int, default=2, help="inferences (default: 2)")
    parser.add_argument("--pes", type=int, default=16)
    parser.add_argument("--column-groups", type=int, default=1)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--columns", type=int, default=8)
    options = parser.parse_args()
    if options.engine == "sparse":
        network, x = draw_sparse(options)
        compiled = SparseCompiled(network)
    else:
        graph, x = draw_systolic(options)
        compiled, x = SystolicCompiled(graph), x[:, 0]
    with tempfile.TemporaryDirectory() as folder:
        package, vector_folder = Path(folder) / "package", Path(folder) / "vectors"
        write_package(package, Package(compiled.config, name="accelerator"))
        write_vectors(vector_folder, make_vectors(compiled, x))
        started = time.monotonic()
        subprocess.run(["iverilog", "-g2012", "-I", package, "-I", vector_folder, "-o",
                        vector_folder / "system", TESTBENCH,
                        *sorted((package / "rtl").glob("*.v"))], check=True)
        print(f"compiled by Icarus in {time.monotonic() - started:.1f} s", flush=True)
        started = time.monotonic()
        said = subprocess.run(["vvp", "-n", "system"], cwd=vector_folder, capture_output=True,
                              text=True, check=False).stdout
    print(f"{said.strip()}\nran for {time.monotonic() - started:.1f} s")
    return 0 if "PASSED" in said else 1


if __name__ == "__main__":
    sys.exit(main())
