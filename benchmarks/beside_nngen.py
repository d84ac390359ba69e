"""Generates two layers of 8 bits by NNgen and by eieio, and shows both side by side.

::

    python -m venv build/nngen
    build/nngen/bin/python -m pip install -c constraints.txt nngen
    python benchmarks/beside_nngen.py --nngen build/nngen/bin/python

Both get the same weights and inputs. The Verilog of both is simulated by Verilator, and synthesized
for ECP5 by Yosys, neither placed nor routed. NNgen's is what it generates for a processor with AXI
buses; it reads input and weights from a memory, here an ideal one that gives a word in every cycle
of a burst, and writes its output there. eieio's is the systolic engine in its AXI shell, which
holds the weights and takes input and output by streams.

NNgen's output must equal its own model, and eieio's golden model and cycle model; the exit status
is 1 if anything differs.

What NNgen computes: a sum of products in 32 bits, shifted with rounding, not below 0, in 8 bits.
eieio gets the same as a factor of a power of two, whose rounding differs where a sum is halfway
between two integers: the last column tells how many outputs differ between the two.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eieio.model.area import Resources
from eieio.model.graph.golden import run_graph
from eieio.model.graph.quantized_graph import Conv2D, FullyConnected, QuantizedGraph
from eieio.model.graph.rescale import quantize_factor
from eieio.model.graph.tensor import Tensor
from eieio.model.graph.window import Window
from eieio.model.systolic.engine import ENGINE
from eieio.model.systolic.fitting import compile_fitted
from eieio.model.systolic.prepared import SystolicCompiled
from eieio.rtl.boards.build import synthesize_alone
from eieio.rtl.bus.shell import Shell
from eieio.rtl.emit import emit
from eieio.rtl.hardware import make_engine
from eieio.scripts.whole_network import measure
from eieio.sim.run_case import run_case
from eieio.sim.runner import build, simulation_folder

_HERE = Path(__file__).parent
#: Bytes of NNgen's memory.
_MEMORY = 1 << 18
#: Bits by which sums are shifted.
_SHIFT = 10
#: Inputs of eieio's simulation.
_INPUTS = 2


class Layer(NamedTuple):
    """A layer: NNgen's options, and those of eieio's engines."""

    name: str
    kind: str
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    nngen: Mapping[str, int]
    eieio: Sequence[Mapping[str, int]]


LAYERS = (
    Layer("convolution 3 x 3, 32 x 32, 16 to 16 channels", "conv", (32, 32, 16), (16, 3, 3, 16),
          {"par_ich": 2, "par_och": 2},
          ({"rows": 4, "columns": 8, "lanes": 1},
           {"rows": 4, "columns": 8, "lanes": 1, "winograd": 2})),
    Layer("dense layer, 640 to 128", "dense", (640,), (128, 640),
          {"par_left_col": 4, "par_out_col": 8}, ({"rows": 4, "columns": 8, "lanes": 1},)),
)


class Row(NamedTuple):
    """What a generator's layer takes."""

    name: str
    cycles: float
    interval: float
    area: Resources
    differ: int
    output: NDArray[np.int8]


def numbers(layer: Layer) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Draw inputs and weights."""
    rng = np.random.default_rng(0)
    return (rng.integers(-128, 128, (_INPUTS, *layer.input_shape), np.int8),
            rng.integers(-127, 128, layer.weight_shape, np.int8))


def by_nngen(layer: Layer, python: str, folder: Path) -> tuple[Row, str]:
    """Generate, simulate and synthesize a layer by NNgen; also return its version."""
    x, weight = numbers(layer)
    np.save(folder / "x.npy", x[:1])
    np.save(folder / "weight.npy", weight)
    (folder / "layer.json").write_text(json.dumps({
        "kind": layer.kind, "shift": _SHIFT, "memory": _MEMORY, "options": layer.nngen}))
    subprocess.run([python, _HERE / "nngen_layer.py", folder], check=True)
    placed = json.loads((folder / "placed.json").read_text())
    words = np.load(folder / "memory.npy").view("<u4")
    text = "\n".join(f"{word:08x}" for word in words)
    harness = _HERE / "nngen_memory.sv"
    built = build([harness, folder / "layer.v"], "nngen_memory",
                  parameters={"WORDS": len(words)})
    with simulation_folder() as place:
        (place / "memory.hex").write_text(text)
        counters = ("cycles", "words_read", "words_written")
        found = run_case(built, "eieio.sim.bench_until_done", {}, place, counters=counters,
                         max_cycles=10_000_000)["counters"]
        result = "".join(line for line in (place / "result.hex").read_text().splitlines(True)
                         if not line.startswith(("//", "@"))).split()
    memory = np.array([int(word, 16) for word in result], "<u4").view(np.int8)
    expected = np.load(folder / "y.npy").ravel()
    output = memory[placed["output"]:placed["output"] + expected.size]
    print(f"  NNgen: {found[1]:,} words read, {found[2]:,} written", file=sys.stderr)
    area = synthesize_alone({"layer.v": (folder / "layer.v").read_text()}, "layer", folder)
    name = "NNgen, " + ", ".join(f"{key} {value}" for key, value in layer.nngen.items())
    return Row(name, int(found[0]), int(found[0]), area,
               int(np.count_nonzero(output != expected)), output), placed["version"]


def graph_of(layer: Layer) -> QuantizedGraph:
    """Make eieio's network of a layer."""
    _, weight = numbers(layer)
    channels = len(weight)
    multiplier, shift = (np.full(channels, value, np.int32)
                         for value in quantize_factor(2.0 ** -_SHIFT))
    bias = np.zeros(channels, np.int32)
    x = Tensor("x", layer.input_shape, 1.0, 0)
    if layer.kind == "dense":
        y = Tensor("y", (channels,), 1.0, 0)
        operator = FullyConnected("layer", (x,), y, weight, bias, multiplier, shift, 0,
                                  127)
    else:
        y = Tensor("y", (*layer.input_shape[:2], channels), 1.0, 0)
        operator = Conv2D("layer", (x,), y, weight, bias, multiplier, shift, 0, 127,
                          Window((3, 3), padding=((1, 1), (1, 1))))
    return QuantizedGraph("layer", x, y, (operator,))


def by_eieio(layer: Layer, options: Mapping[str, int], folder: Path) -> Row:
    """Generate, simulate and synthesize a layer by eieio."""
    graph = graph_of(layer)
    x, _ = numbers(layer)
    compiled = SystolicCompiled(compile_fitted(graph, ENGINE.for_board(options, "ecp5")))
    found = measure(Path("layer"), graph, compiled, x.astype(np.float32), simulator="verilator")
    assert found.rtl_cycles is not None
    assert found.rtl_interval is not None
    assert found.mismatches is not None
    assert found.cycle_mismatches is not None
    files = emit(Shell(make_engine(compiled.config)), "system", header="system", family="ecp5")
    area = synthesize_alone(files, "system", folder)
    name = "eieio, " + ", ".join(f"{key} {value}" for key, value in options.items())
    return Row(name, found.rtl_cycles, found.rtl_interval, area,
               found.mismatches + found.cycle_mismatches,
               run_graph(graph, x)["y"][0].ravel())


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nngen", default=sys.executable, metavar="PYTHON",
                        help="Python of an environment that has NNgen (default: this one)")
    parser.add_argument("--only", choices=[layer.kind for layer in LAYERS], help="one layer")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    figures: list[dict[str, Any]] = []
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        for layer in LAYERS:
            if options.only not in {None, layer.kind}:
                continue
            folders = [Path(scratch, f"{layer.kind}_{number}")
                       for number in range(1 + len(layer.eieio))]
            for folder in folders:
                folder.mkdir()
            first, version = by_nngen(layer, options.nngen, folders[0])
            rows = [first, *(by_eieio(layer, given, folder)
                             for given, folder in zip(layer.eieio, folders[1:], strict=True))]
            macs = graph_of(layer).macs
            print(f"\n{layer.name}: {macs:,} products; NNgen {version}\n")
            columns = ("", "cycles", "interval", "LUT", "FF", "DSP", "block RAM",
                       "products a cycle and DSP", "differ", "unlike NNgen")
            print(f"| {' | '.join(columns)} |\n|---{'|---:' * (len(columns) - 1)}|")
            for row in rows:
                unlike = int(np.count_nonzero(row.output != first.output))
                rate = macs / (row.interval * row.area.dsp)
                print(f"| {row.name} | {row.cycles:,.0f} | {row.interval:,.0f} | {row.area.lut:,} "
                      f"| {row.area.ff:,} | {row.area.dsp} | {row.area.bram} | {rate:.3f} | "
                      f"{row.differ} | {unlike} |", flush=True)
                figures.append({
                    "layer": layer.kind, "generator": row.name, "nngen": version,
                    "products": macs, "cycles": row.cycles, "interval": row.interval,
                    "lut": row.area.lut, "ff": row.area.ff, "dsp": row.area.dsp,
                    "bram": row.area.bram, "products_a_cycle_and_dsp": rate,
                    "mismatches": row.differ, "unlike_nngen": unlike})
                wrong += row.differ
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
