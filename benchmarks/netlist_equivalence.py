"""Proves that netlists of synthesized components do what their sources say.

    python benchmarks/netlist_equivalence.py
    python benchmarks/netlist_equivalence.py --only supervisor --flow ice40

Each component is synthesized by Yosys, for ECP5, iCE40, or to plain gates as for an ASIC. Its
netlist, with Yosys's models of the cells, stands beside what the sources say in a circuit that
tells when they differ; ABC proves that this never happens, in however many cycles after power-up,
whatever comes in, resets included. Then a cell of the netlist gets an inverted output, one of four
at most, which must be refuted. Components with memories and multipliers of their own are left to
``gate_level.py``, which runs netlists of whole engines in the benches of the RTL.

Exits with status 1 unless all are proved and all bugs refuted.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from amaranth.lib import wiring

from eieio.model.sparse.config import SparseConfig
from eieio.model.tensor_core.float_format import FLOAT16
from eieio.rtl.bus.input_gate import InputGate
from eieio.rtl.bus.output_port import OutputPort
from eieio.rtl.bus.serial_crc32 import SerialCrc32
from eieio.rtl.bus.skid_buffer import SkidBuffer, beat_layout
from eieio.rtl.bus.supervisor import Supervisor
from eieio.rtl.bus.uart import UartReceiver, UartTransmitter
from eieio.rtl.emit import emit_rtlil
from eieio.rtl.population_count import PopulationCount
from eieio.rtl.sparse.group_switch import GroupSwitch
from eieio.rtl.systolic.pass_counter import PassCounter
from eieio.rtl.systolic.skew import Skew
from eieio.rtl.tensor_core.narrow import Narrow
from eieio.sim.mutation.equivalence import compare
from eieio.sim.mutation.netlists import run_yosys

#: What is synthesized, by name.
COMPONENTS: dict[str, Callable[[], wiring.Component]] = {
    "bus.input_gate": lambda: InputGate(8),
    "bus.output_port": lambda: OutputPort(8),
    "bus.serial_crc32": SerialCrc32,
    "bus.skid_buffer": lambda: SkidBuffer(beat_layout(8)),
    "bus.supervisor": Supervisor,
    "bus.uart.receiver": lambda: UartReceiver(8),
    "bus.uart.transmitter": lambda: UartTransmitter(8),
    "population_count": lambda: PopulationCount(21),
    "sparse.group_switch": lambda: GroupSwitch(SparseConfig(pes=4, column_groups=2)),
    "systolic.pass_counter": PassCounter,
    "systolic.skew": lambda: Skew(4, 8),
    "tensor_core.narrow": lambda: Narrow(FLOAT16),
}
#: How a netlist is made, and the models of its cells.
FLOWS = {
    "ecp5": ("synth_ecp5 -top top -nobram -nolutram -nodsp",
             "read_verilog -D NO_INCLUDES +/ecp5/cells_sim.v"),
    "ice40": ("synth_ice40 -top top",
              "read_verilog -D NO_ICE40_DEFAULT_ASSIGNMENTS +/ice40/cells_sim.v"),
    "gates": ("synth -top top -flatten; abc -g AND,OR,XOR,MUX,NAND,NOR", ""),
}


def synthesize(component: wiring.Component, flow: str, folder: Path) -> None:
    """Write the sources' netlist and that of cells as ``gold.il`` and ``cells.il``."""
    script, models = FLOWS[flow]
    (folder / "source.il").write_text(emit_rtlil(component, "top"), encoding="utf-8")
    run_yosys("""read_rtlil source.il
hierarchy -top top
proc
flatten
opt_clean
memory_map
rename top gold
write_rtlil gold.il
""", folder)
    run_yosys(f"""read_rtlil source.il
{script}
select top
write_rtlil -selected cells.il
design -reset
{models}
read_rtlil cells.il
hierarchy -top top
proc
flatten
opt_clean
rename top gate
write_rtlil gate.il
""", folder)


def equal(folder: Path, seconds: float, change: str = "") -> str:
    """Compare the two netlists; the one of cells may be changed first by a command of Yosys."""
    return compare(f"""read_rtlil gate.il
{change}
read_rtlil gold.il
miter -equiv -flatten gold gate miter
hierarchy -top miter
async2sync
setundef -undriven -anyseq
""", folder, seconds=seconds)


def bugs(folder: Path, seed: int) -> list[str]:
    """Return commands that invert the output of one cell."""
    run_yosys(f"read_rtlil gate.il\nmutate -list 40 -seed {seed} -mode inv -o bugs.txt\n", folder)
    lines = (folder / "bugs.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.search(r"^mutate .*-port \\?[YQ] ", line)]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="REGEX", default="", help="components to take")
    parser.add_argument("--flow", choices=FLOWS, default="ecp5")
    parser.add_argument("--seed", type=int, default=0, help="of the bugs")
    parser.add_argument("--seconds", type=float, default=60, help="for each proof (default: 60)")
    options = parser.parse_args()
    bad = []
    print(f"| component | {options.flow} | bug | s |\n|---|---|---|---:|")
    for name, make in COMPONENTS.items():
        if not re.search(options.only, name):
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            synthesize(make(), options.flow, folder)
            verdict = equal(folder, options.seconds)
            # What one cell does may make no difference.
            refuted = next((found for change in bugs(folder, options.seed)[:4] if (
                found := equal(folder, options.seconds, change)) == "different"), "not seen")
        print(f"| `{name}` | {verdict} | {refuted} | {time.monotonic() - began:.1f} |", flush=True)
        if (verdict, refuted) != ("equivalent", "different"):
            bad.append(name)
    if bad:
        print(f"Not proved, or a bug not seen: {', '.join(bad)}")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
