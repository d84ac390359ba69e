"""The array in RTL beside golden, cycle and access model: layers that use every rule."""

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from row_stationary_layers import numbers, operator

from eieio.model.errors import InputError
from eieio.model.eyeriss.config import EyerissConfig
from eieio.model.eyeriss.counters import expected_counters, expected_output
from eieio.model.eyeriss.layer import Layer
from eieio.model.eyeriss.mapping import Mapping
from eieio.model.eyeriss.program import Program, make_program
from eieio.model.eyeriss.timing import program_cycles
from eieio.model.graph.golden import run_operator
from eieio.rtl.bus.shell import Shell
from eieio.rtl.eyeriss.engine import COUNTERS, EyerissEngine

CONFIG = EyerissConfig(rows=4, columns=2, filter_words=16, ifmap_words=6, psum_words=4,
                       glb_bytes=2048, glb_banks=4, bus_words=2)


class Run:
    """The engine under Amaranth's simulator, for one program after the other.

    Each comes with the probability of a cycle in which a stream waits.
    """

    def __init__(self, programs: list[tuple[Program, float]]) -> None:
        self.programs = programs
        self.dut = EyerissEngine(CONFIG)
        self.outputs: list[list[int]] = []
        self.counters: list[dict[str, int]] = []
        self.starts: list[list[int]] = []
        self._random = np.random.default_rng(3)
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._drive)
        simulator.run()

    async def _drive(self, ctx: Any) -> None:
        dut, cycle = self.dut, 0
        before = dict.fromkeys(COUNTERS, 0)
        for program, stall in self.programs:
            words, taken, outputs, ended = program.words.tolist(), [], [], False
            limit = 500 + int(sum(program_cycles(program)) * (1 + 5 * stall))
            offered = False
            while not ended:
                limit -= 1
                assert limit, f"{len(taken)} of {len(words)} words taken"
                offered |= len(taken) < len(words) and self._random.random() >= stall
                if offered:
                    ctx.set(dut.i.payload, words[len(taken)])
                ctx.set(dut.i.valid, int(offered))
                ctx.set(dut.o.ready, int(self._random.random() >= stall))
                _, _, ready, valid, accepted, payload = await ctx.tick().sample(
                    dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload)
                if offered and ready:
                    taken.append(cycle)
                    offered = False
                if valid and accepted:
                    outputs.append(payload.data)
                    ended = bool(payload.last)
                cycle += 1
            starts = np.cumsum([0, *(len(command.words) for command in program.commands[:-1])])
            self.starts.append(np.diff([*np.array(taken)[starts], cycle]).tolist())
            ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(3)
            cycle += 3
            now = {name: ctx.get(getattr(dut, name)) for name in COUNTERS}
            self.counters.append({name: now[name] - before[name] for name in COUNTERS})
            before = now
            self.outputs.append(outputs)
            assert not ctx.get(dut.error)
            assert not ctx.get(dut.busy)


#: Layers and mappings: first of one strip with r = t = 1, then what each name tells.
CASES = {
    "16 bits": (Layer("int16", 3, 3, 1, 1, 2, 2), Mapping(1, 1, 2, 1, 1, 1, 1)),
    "thin": (Layer("thin", 4, 4, 1, 2, 3, 3), Mapping(1, 2, 2, 2, 1, 1, 1)),
    # A set of 3 chains on 2 columns, two slots of 2 rows; two channels in a PE.
    "folded into segments, one pass of several channels": (
        Layer("folded", 4, 4, 2, 3, 2, 2), Mapping(1, 3, 3, 3, 2, 1, 1)),
    # 5 channels in groups of 2 x 2 and one; 5 filters in chunks of 4 and 1; strips of a row.
    "r = 2, t = 2, strips, ragged edges": (
        Layer("ragged", 3, 4, 5, 5, 2, 2), Mapping(1, 4, 1, 2, 2, 2, 2)),
    "stride 4, t = 2, two images and one": (
        Layer("stride", 9, 9, 1, 3, 4, 4, 4, 3), Mapping(2, 3, 1, 1, 1, 1, 2)),
    "fully connected, r = 4": (Layer("dense", 1, 1, 11, 3, 1, 1), Mapping(1, 3, 1, 2, 3, 4, 1)),
}


def test_has_no_shell() -> None:
    with pytest.raises(InputError) as error:
        Shell(EyerissEngine(CONFIG))
    assert str(error.value) == (
        "Engine must be one that has registers, not eyeriss: there is no shell for it")


#: Cases by their numbers, with the probability of pauses.
RUNS = [*((number, 0.0) for number in range(len(CASES))), (1, 0.3), (2, 0.3), (5, 0.3)]


@pytest.fixture(scope="module")
def ran() -> tuple[Run, list[Any]]:
    """All cases in one simulation, with what they must give."""
    expected = []
    for seed, (layer, mapping) in enumerate(CASES.values()):
        conv = operator(layer, seed)
        rng = np.random.default_rng(seed)
        tensor = conv.input
        x = rng.integers(tensor.minimum, tensor.maximum + 1, (layer.batch, *tensor.shape))
        x = np.where(rng.random(x.shape) < 0.4, tensor.zero_point, x).astype(tensor.dtype)
        data = numbers(conv, x)
        program = make_program(layer, mapping, CONFIG, data, coded_input=seed != 2,
                               coded_output=seed != 3)
        y = run_operator(conv, x).astype(np.int32) - conv.output.zero_point
        expected.append((program, data.x, y))
    return Run([(expected[number][0], stall) for number, stall in RUNS]), expected


@pytest.mark.parametrize("place", range(len(RUNS)), ids=[
    f"{[*CASES][number]}{', with pauses' if stall else ''}" for number, stall in RUNS])
def test_equals_the_models(ran: tuple[Run, list[Any]], place: int) -> None:
    run, expected = ran
    number, stall = RUNS[place]
    program, x, y = expected[number]
    words = np.array(run.outputs[place], np.uint64)
    assert np.array_equal(program.output(words), y)
    assert np.array_equal(words, expected_output(program, y))
    counters = expected_counters(program, x)
    assert run.counters[place]["output_words"] == len(words)
    if stall:  # Pauses of the streams cost cycles, and nothing else.
        assert run.counters[place]["cycles"] > counters.pop("cycles")
    else:
        assert run.starts[place] == program_cycles(program)
    assert {name: run.counters[place][name] for name in counters} == counters
    assert counters["gated_macs"] > 0
