"""Cells of an iCE40: cycle for cycle what the portable descriptions do."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from amaranth.hdl import Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

import eieio.sim
from eieio.rtl.emit import emit, write
from eieio.rtl.requantize import Requantize
from eieio.rtl.vendor.family import ICE40
from eieio.rtl.vendor.multiplier import Multiplier
from eieio.sim.case import case_environment, save_case
from eieio.sim.runner import build, run

CELLS = Path(str(eieio.sim.__file__)).parent / "ice40_cells.sv"

#: What is compared, by name, with the number of cells.
PAIRS: dict[str, tuple[Callable[[], wiring.Component], int]] = {
    "bytes": (lambda: Multiplier(signed(8), signed(8)), 1),
    "widest": (lambda: Multiplier(signed(16), signed(16)), 1),
    "unsigned": (lambda: Multiplier(unsigned(16), unsigned(16)), 1),
    "mixed": (lambda: Multiplier(unsigned(16), signed(15), stages=5), 1),
    "mixed_2": (lambda: Multiplier(signed(3), unsigned(14)), 1),
    "reset": (lambda: Multiplier(signed(8), signed(9), reset_less=False), 1),
    "too_wide": (lambda: Multiplier(signed(17), signed(16)), 0),
    "too_soon": (lambda: Multiplier(signed(8), signed(8), stages=2), 0),
    "requantize_24": (lambda: Requantize(accumulator_width=24, output_width=8), 4),
    "requantize_32": (lambda: Requantize(accumulator_width=32, output_width=16), 4),
    # In parts of 16 bits they would take a cycle more; a part of 17 bits is too wide.
    "requantize_18": (lambda: Requantize(accumulator_width=18, output_width=8), 0),
    "requantize_35": (lambda: Requantize(accumulator_width=35, output_width=8), 0),
}


def ports(component: wiring.Component) -> tuple[list[tuple[str, int]], tuple[str, int]]:
    """Name and width of the inputs, and of the output."""
    every = [(str(path[0]), len(Value.cast(value)), member.flow)
             for path, member, value in component.signature.flatten(component)]
    output, = ((name, width) for name, width, flow in every if flow == Out)
    return [(name, width) for name, width, flow in every if flow != Out], output


@pytest.mark.long
def test_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    sources = [CELLS, tmp_path / "pairs.sv"]
    declarations, instances, widths = ["input clk", "input rst"], [], []
    for name, (component, cells) in PAIRS.items():
        inputs, (output, width) = ports(component())
        widths.append([bits for _, bits in inputs])
        declarations.append(f"input [{sum(widths[-1]) - 1}:0] {name}_i")
        for kind in ("portable", ICE40):
            files = emit(component(), f"{name}_{kind}_cell", header="",
                         family=ICE40 if kind == ICE40 else None)
            text = "".join(files.values())
            assert text.count("  SB_MAC16 #(") == (cells if kind == ICE40 else 0), name
            sources += write(files, tmp_path)
            declarations.append(f"output [{width - 1}:0] {name}_{kind}")
            connections, low = [".clk(clk)", f".\\{output} ({name}_{kind})"], 0
            for port, bits in inputs:
                connections.append(f".\\{port} ({name}_i[{low + bits - 1}:{low}])")
                low += bits
            if "input rst" in text:
                connections.append(".rst(rst)")
            instances.append(f"{name}_{kind}_cell i_{name}_{kind} ({', '.join(connections)});\n")
    sources[1].write_text(f"module pairs ({', '.join(declarations)});\n{''.join(instances)}"
                          "endmodule\n", encoding="utf-8")

    rng = Random(0)

    def draw(width: int) -> int:
        return rng.choice([0, 1 << width - 1, (1 << width) - 1, *[rng.getrandbits(width)] * 5])

    inputs = []
    for _ in range(600):
        words: list[object] = [rng.random() < 0.03]
        for component_widths in widths:
            total = low = 0
            for width in component_widths:
                total |= draw(width) << low
                low += width
            words.append(hex(total))
        inputs.append(words)
    save_case(tmp_path, {}, inputs=inputs, pairs=list(PAIRS), first=60, family=ICE40)
    run(build(sources, "pairs", quick=True), "bench_pairs",
        environment=case_environment(tmp_path))
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert dict(zip(PAIRS, seen["differing"], strict=True)) == dict.fromkeys(PAIRS, 0)
    assert all(number > 1 for number in seen["values"])
