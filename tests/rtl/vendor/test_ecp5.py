"""Vendor cells: cycle for cycle what the portable descriptions do, alone and in the engines."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2
from long_cases import long

import eieio.sim
from eieio.model.sparse.config import SparseConfig
from eieio.model.systolic.array import run_array
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.emit import emit, write
from eieio.rtl.sparse.engine import SparseEngine
from eieio.rtl.systolic.array import SystolicArray
from eieio.rtl.vendor.block_ram import add_block_ram
from eieio.rtl.vendor.family import ECP5, family_of
from eieio.rtl.vendor.multiplier import Multiplier
from eieio.rtl.vendor.ram_pair import add_ram_pair
from eieio.sim.case import case_environment, save_case
from eieio.sim.runner import build, run
from eieio.sim.sparse.random_network import compile_random, random_inputs, random_network
from eieio.sim.sparse.simulation import compare

CELLS = Path(str(eieio.sim.__file__)).parent / "ecp5_cells.sv"


class Ram(wiring.Component):
    """A block RAM by itself."""

    en: Signal
    addr: Signal
    data: Signal
    read_addr: Signal
    read_data: Signal

    def __init__(self, width: int, depth: int, *, output_register: bool = True,
                 write_registers: bool = False, read_registers: bool = False) -> None:
        self.width = width
        self.depth = depth
        self.output_register = output_register
        self.write_registers = write_registers
        self.read_registers = read_registers
        addr = unsigned(ceil_log2(depth))
        super().__init__({"en": In(1), "addr": In(addr), "data": In(unsigned(width)),
                          "read_addr": In(addr), "read_data": Out(unsigned(width))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ram = add_block_ram(m, "words", platform, width=self.width, depth=self.depth,
                            output_register=self.output_register,
                            write_registers=self.write_registers,
                            read_registers=self.read_registers)
        m.d.comb += [ram.write_en.eq(self.en), ram.write_addr.eq(self.addr),
                     ram.write_data.eq(self.data), ram.read_addr.eq(self.read_addr),
                     self.read_data.eq(ram.read_data)]
        return m


class RamPair(wiring.Component):
    """Two memories in one block RAM, each written or read in a cycle; 0 for what is not read."""

    en: Signal
    addr: Signal
    data: Signal
    read_data: Signal

    def __init__(self, width: int, depth: int) -> None:
        self.width = width
        self.depth = depth
        super().__init__({"en": In(2), "addr": In(unsigned(2 * ceil_log2(depth))),
                          "data": In(unsigned(2 * width)),
                          "read_data": Out(unsigned(2 * width))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rams = add_ram_pair(m, ("low", "high"), platform, width=self.width, depth=self.depth)
        for number, ram in enumerate(rams):
            addr = self.addr.word_select(number, ceil_log2(self.depth))
            reads = Signal(2, name=f"reads_{number}", reset_less=True)
            m.d.sync += reads.eq(Cat(~self.en[number], reads))
            m.d.comb += [
                ram.write_en.eq(self.en[number]), ram.write_addr.eq(addr), ram.read_addr.eq(addr),
                ram.write_data.eq(self.data.word_select(number, self.width)),
                self.read_data.word_select(number, self.width).eq(
                    Mux(reads[1], ram.read_data, 0))]
        return m


def multiplier(a: Shape, b: Shape, **options: Any) -> Callable[[], Multiplier]:
    return lambda: Multiplier(a, b, **options)


def ram(width: int, depth: int, **options: Any) -> Callable[[], Ram]:
    return lambda: Ram(width, depth, **options)


def ram_pair(width: int, depth: int) -> Callable[[], RamPair]:
    return lambda: RamPair(width, depth)


#: What is compared, by name, with the number of cells of each type.
PAIRS: dict[str, tuple[Callable[[], Multiplier | Ram | RamPair], dict[str, int]]] = {
    "bytes": (multiplier(signed(8), signed(8), stages=2), {"MULT18X18D": 1}),
    "one_stage": (multiplier(signed(10), signed(12), stages=1), {"MULT18X18D": 1}),
    "four_stages": (multiplier(signed(8), signed(8), stages=4), {"MULT18X18D": 1}),
    "widest": (multiplier(signed(18), signed(18), stages=3), {"MULT18X18D": 1}),
    "unsigned": (multiplier(unsigned(18), unsigned(18), stages=3), {"MULT18X18D": 1}),
    "mixed": (multiplier(unsigned(17), signed(15), stages=5), {"MULT18X18D": 1}),
    "mixed_2": (multiplier(signed(3), unsigned(14)), {"MULT18X18D": 1}),
    "reset": (multiplier(signed(16), signed(16), stages=3, reset_less=False), {"MULT18X18D": 1}),
    "reset_5": (multiplier(signed(16), signed(9), stages=5, reset_less=False),
                {"MULT18X18D": 1}),
    "ram_32x64": (ram(32, 64), {"PDPW16KD": 1}),
    "ram_40x512": (ram(40, 512), {"PDPW16KD": 2}),
    "ram_16x128": (ram(16, 128), {"DP16KD": 1}),
    "ram_13x1000": (ram(13, 1000), {"DP16KD": 1}),
    "ram_20x1024": (ram(20, 1024, output_register=False), {"DP16KD": 2}),
    "ram_9x2048": (ram(9, 2048), {"DP16KD": 1}),
    "ram_9x2048_early": (ram(9, 2048, output_register=False), {"DP16KD": 1}),
    "ram_6x4096": (ram(6, 4096), {"DP16KD": 2}),
    "ram_3x5000": (ram(3, 5000), {"DP16KD": 2}),
    "ram_1x16384": (ram(1, 16384), {"DP16KD": 1}),
    "ram_36x512_early": (ram(36, 512, output_register=False), {"PDPW16KD": 1}),
    "ram_40x512_registered": (ram(40, 512, write_registers=True),
                              {"PDPW16KD": 2, "TRELLIS_FF": 1 + 9 + 40}),
    "ram_11x5000_registered": (ram(11, 5000, write_registers=True, read_registers=True),
                               {"DP16KD": 6, "TRELLIS_FF": 2 * (1 + 2 * 13) + 11}),
    "ram_8x20000_registered": (ram(8, 20000, write_registers=True, read_registers=True),
                               {"DP16KD": 10, "TRELLIS_FF": 3 * (1 + 2 * 15) + 8}),
    "ram_8x20000": (ram(8, 20000), {"DP16KD": 10}),
    "ram_9x33000": (ram(9, 33000), {"DP16KD": 17}),
    "ram_2x40000_early": (ram(2, 40000, output_register=False), {"DP16KD": 5}),
    "pair_9x1024": (ram_pair(9, 1024), {"DP16KD": 1}),
    "pair_10x500": (ram_pair(10, 500), {"DP16KD": 1}),
    "pair_4x2000": (ram_pair(4, 2000), {"DP16KD": 1}),
    "pair_2x4096": (ram_pair(2, 4096), {"DP16KD": 1}),
    "pair_1x8192": (ram_pair(1, 8192), {"DP16KD": 1}),
    "pair_10x520": (ram_pair(10, 520), {"DP16KD": 2}),
}


def ports(component: Multiplier | Ram | RamPair) -> tuple[list[tuple[str, int]], tuple[str, int]]:
    """Name and width of the inputs, and of the output."""
    every = [(str(path[0]), len(Value.cast(value)), member.flow)
             for path, member, value in component.signature.flatten(component)]
    output, = ((name, width) for name, width, flow in every if flow == Out)
    return [(name, width) for name, width, flow in every if flow == In], output


def harness() -> str:
    """Both of each pair, on the same inputs."""
    declarations, instances = ["  input clk", "  input rst"], []
    for name, (component, _) in PAIRS.items():
        inputs, (output, width) = ports(component())
        total = sum(width for _, width in inputs)
        declarations.append(f"  input [{total - 1}:0] {name}_i")
        for kind in ("portable", "ecp5"):
            declarations.append(f"  output [{width - 1}:0] {name}_{kind}")
            connections, low = [f".{output}({name}_{kind})"], 0
            for port, bits in inputs:
                connections.append(f".{port}({name}_i[{low + bits - 1}:{low}])")
                low += bits
            resets = family_resets(component())
            connections += [".clk(clk)", *([".rst(rst)"] if resets else [])]
            instances.append(
                f"  {name}_{kind}_cell i_{name}_{kind} ({', '.join(connections)});\n")
    return f"module pairs (\n{','.join(declarations)}\n);\n{''.join(instances)}endmodule\n"


def family_resets(component: Multiplier | Ram | RamPair) -> bool:
    return isinstance(component, Multiplier) and not component.reset_less


def words_of(component: Multiplier | Ram | RamPair, rng: Random, cycles: int) -> list[str]:
    """Draw the inputs of each cycle; a RAM's fill a few words first and do not collide later."""
    inputs, _ = ports(component)
    words = []
    if isinstance(component, Ram):
        some = rng.sample(range(component.depth), 40)
        some[0] = component.depth - 1
        before = None
        for cycle in range(cycles):
            filling = cycle < len(some)
            addr = some[cycle] if filling else rng.choice(some)
            values = {"en": filling or rng.random() < 0.3, "addr": addr,
                      "data": rng.getrandbits(component.width),
                      "read_addr": rng.choice(
                          [other for other in some if other not in (addr, before)])}
            before = addr
            words.append(values)
    elif isinstance(component, RamPair):
        bits, some = ceil_log2(component.depth), rng.sample(range(component.depth), 40)
        some[0] = component.depth - 1
        for cycle in range(cycles):
            filling = cycle < len(some)
            low, high = (some[cycle] if filling else rng.choice(some) for _ in range(2))
            words.append({"en": 3 if filling else rng.getrandbits(2) & rng.getrandbits(2),
                          "addr": low | high << bits,
                          "data": rng.getrandbits(2 * component.width)})
    else:
        for _ in range(cycles):
            words.append({name: rng.choice([0, 1 << width - 1, (1 << width) - 1,
                                            *[rng.getrandbits(width)] * 5])
                          for name, width in inputs})
    packed = []
    for values in words:
        total = low = 0
        for name, width in inputs:
            total |= values[name] << low
            low += width
        packed.append(hex(total))
    return packed


@pytest.mark.long
def test_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    sources = [CELLS, tmp_path / "pairs.sv"]
    for name, (component, cells) in PAIRS.items():
        for kind in ("portable", ECP5):
            files = emit(component(), f"{name}_{kind}_cell", header="",
                         family=ECP5 if kind == ECP5 else None)
            text = "".join(files.values())
            for cell, number in cells.items():
                assert text.count(f"  {cell} #(") == (number if kind == ECP5 else 0), name
            sources += write(files, tmp_path)
    sources[1].write_text(harness(), encoding="utf-8")
    rng = Random(0)
    cycles = 600
    inputs = zip([rng.random() < 0.03 for _ in range(cycles)],
                 *(words_of(component(), rng, cycles) for component, _ in PAIRS.values()),
                 strict=True)
    save_case(tmp_path, {}, inputs=list(inputs), pairs=list(PAIRS), first=60)
    run(build(sources, "pairs", quick=True), "bench_pairs",
        environment=case_environment(tmp_path))
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert dict(zip(PAIRS, seen["differing"], strict=True)) == dict.fromkeys(PAIRS, 0)
    assert all(number > 1 for number in seen["values"])


@pytest.mark.long
def test_sparse_engine(tmp_path: Path) -> None:
    """With vendor cells it computes what it must, in the same cycles."""
    config = SparseConfig(pes=4, column_groups=2, entry_depth=2048, pointer_depth=600,
                          accumulator_depth=64, output_depth=120, layer_depth=6, queue_depth=3,
                          run_width=4, io_lanes=2)
    files = emit(SparseEngine(config), "sparse_engine", header="", family=ECP5)
    text = "".join(files.values())
    for cell in ("MULT18X18D", "DP16KD", "PDPW16KD"):
        assert f"  {cell} #(" in text
    assert "even_entries_odd_entries" in text
    built = build([CELLS, *write(files, tmp_path)], "sparse_engine",
                  quick=True)
    rng = np.random.default_rng(0)
    for sizes, groups in (([50, 90, 7], [1, 2]), ([30, 40, 50, 3], [2, 1, 2])):
        network = random_network(config, sizes, [0.3] * len(groups), rng)
        compiled = compile_random(network, config, groups, "none", rng)
        result = compare(compiled, random_inputs(config, 2, sizes[0], 0.5, rng), built, stall=0.3)
        assert (result.mismatches, result.cycle_mismatches) == (0, 0)


@pytest.mark.parametrize("stages", [1, *long(3)])
def test_systolic_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: int) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "systolic")
    config = SystolicConfig(rows=3, columns=4, product_stages=stages)
    rng = np.random.default_rng(stages)
    cycles = 120
    valid, swap, loads = rng.random((3, cycles)) < [[0.8], [0.1], [0.7]]
    vector_cycles, weight_cycles = np.flatnonzero(valid), np.flatnonzero(loads)
    activations = rng.integers(-128, 128, (vector_cycles.size, 3))
    weights = rng.integers(-128, 128, (weight_cycles.size, 4))
    expected = run_array(config, vector_cycles=vector_cycles, activations=activations,
                         swaps=swap[valid], weight_cycles=weight_cycles, weights=weights)
    lanes = np.zeros((cycles + 20, 3), np.int64)
    columns = np.zeros((cycles + 20, 4), np.int64)
    lanes[vector_cycles], columns[weight_cycles] = activations, weights
    flags = [np.pad(flag, (0, 20)) for flag in (valid, swap, loads)]
    inputs = [[hex(int(value)) for value in (v, s, 0, pack(a, 8), w, pack(b, 8))]
              for v, s, w, a, b in zip(*flags, lanes, columns, strict=True)]
    save_case(tmp_path, {}, inputs=inputs)
    files = emit(SystolicArray(config), "array", header="", family=ECP5)
    run(build([CELLS, *write(files, tmp_path)], "array", quick=True),
        "bench_array", environment=case_environment(tmp_path))
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert [cycle for cycle, _, _ in seen] == expected.cycles.tolist()
    assert [int(sums, 16) for _, _, sums in seen] == [
        pack(sums, config.sum_width) for sums in expected.sums]


def pack(values: Any, width: int) -> int:
    return sum((int(value) & (1 << width) - 1) << lane * width
               for lane, value in enumerate(values))


@pytest.mark.parametrize(("options", "message"), [
    ({"a_shape": signed(19)}, "Operand a must have 1 to 18 bits, not 19"),
    ({"b_shape": unsigned(0)}, "Operand b must have 1 to 18 bits, not 0"),
    ({"stages": 0}, "Stages must be at least 1, not 0"),
])
def test_wrong_multiplier(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Multiplier(**{"a_shape": signed(8), "b_shape": signed(8), **options})


def test_multiplier_members() -> None:
    assert dict(Multiplier(signed(8), unsigned(5)).signature.members) == {
        "a": In(signed(8)), "b": In(unsigned(5)), "product": Out(signed(13))}
    assert dict(Multiplier(unsigned(8), unsigned(5)).signature.members) == {
        "a": In(unsigned(8)), "b": In(unsigned(5)), "product": Out(unsigned(13))}


def test_family() -> None:
    assert family_of(None) is None
    assert family_of(object()) is None
