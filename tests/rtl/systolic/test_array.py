"""Systolic array: interface, sums and cycles against the model."""

import json
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module, ResetInserter, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from numpy.typing import NDArray

from eieio.model.systolic.array import ArrayOutput, latency, run_array, tile_starts
from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.emit import emit, write
from eieio.rtl.systolic.array import SystolicArray
from eieio.sim.case import case_environment, save_case
from eieio.sim.lint import lint
from eieio.sim.runner import build, run

Integers = NDArray[np.int64]


@dataclass
class Stimulus:
    """What goes into an array, by cycle."""

    vector_cycles: Integers
    activations: Integers
    swaps: NDArray[np.bool_]
    weight_cycles: Integers
    weights: Integers

    def expect(self, config: SystolicConfig) -> ArrayOutput:
        return run_array(config, vector_cycles=self.vector_cycles, activations=self.activations,
                         swaps=self.swaps, weight_cycles=self.weight_cycles, weights=self.weights)


def operands(rng: np.random.Generator, width: int, shape: tuple[int, ...]) -> Integers:
    """Random numbers of any magnitude, among them the extremes."""
    bound = 1 << (width - 1)
    values = rng.integers(-bound, bound, shape) >> rng.integers(0, width, shape)
    return np.where(rng.random(shape) < 0.2, rng.choice([-bound, bound - 1], shape), values)


def random_stimulus(rng: np.random.Generator, config: SystolicConfig, cycles: int, *,
                    vectors: float, weights: float, swaps: float) -> Stimulus:
    """Vectors, rows of weights and swaps in any cycles, with these densities."""
    vector_cycles = np.flatnonzero(rng.random(cycles) < vectors)
    weight_cycles = np.flatnonzero(rng.random(cycles) < weights)
    return Stimulus(
        vector_cycles,
        operands(rng, config.activation_width, (len(vector_cycles), config.rows)),
        rng.random(len(vector_cycles)) < swaps,
        weight_cycles,
        operands(rng, config.weight_width, (len(weight_cycles), config.columns)))


def tiles(rng: np.random.Generator, config: SystolicConfig, lengths: list[int],
          loads: list[int] | None = None) -> Stimulus:
    """Tiles that start as soon as they can."""
    loads = [config.rows] * len(lengths) if loads is None else loads
    starts = tile_starts(lengths, loads)
    load_starts = [0, *starts[:len(lengths) - 1]]
    return Stimulus(
        np.concatenate([start + np.arange(n)
                        for start, n in zip(starts[:-1], lengths, strict=True)]),
        operands(rng, config.activation_width, (sum(lengths), config.rows)),
        np.concatenate([np.arange(n) == 0 for n in lengths]),
        np.concatenate([start + np.arange(n)
                        for start, n in zip(load_starts, loads, strict=True)]),
        operands(rng, config.weight_width, (sum(loads), config.columns)))


def pack(values: Integers, width: int) -> int:
    return sum((int(value) & ((1 << width) - 1)) << (lane * width)
               for lane, value in enumerate(values))


def unpack(word: int, width: int, lanes: int) -> list[int]:
    bound = 1 << (width - 1)
    return [((word >> (lane * width)) + bound) % (2 * bound) - bound for lane in range(lanes)]


def input_words(config: SystolicConfig, stimulus: Stimulus) -> list[tuple[int, ...]]:
    """Return the words of each cycle, in the order of ports, activations before weights.

    The flag of every third vector is set. What comes without its valid bit must not matter.
    """
    vectors = {int(cycle): number for number, cycle in enumerate(stimulus.vector_cycles)}
    rows = {int(cycle): number for number, cycle in enumerate(stimulus.weight_cycles)}
    rng = np.random.default_rng(0)
    words = []
    for cycle in range(max([*vectors, *rows]) + latency(config) + 2):
        number, row = vectors.get(cycle), rows.get(cycle)
        swap, last = rng.integers(2, size=2).tolist()
        activations = operands(rng, config.activation_width, (config.rows,))
        weights = operands(rng, config.weight_width, (config.columns,))
        if number is not None:
            swap, last = int(stimulus.swaps[number]), int(number % 3 == 0)
            activations = stimulus.activations[number]
        if row is not None:
            weights = stimulus.weights[row]
        words.append((int(number is not None), swap, last,
                      pack(activations, config.activation_width),
                      int(row is not None), pack(weights, config.weight_width)))
    return words


def simulate(dut: SystolicArray, stimulus: Stimulus, *,
             reset_cycle: int | None = None) -> list[tuple[int, int, list[int]]]:
    """Return cycle, flag and sums of every output."""
    config = dut.config
    results = []
    reset = Signal()

    async def bench(ctx: Any) -> None:
        ports = (dut.i_valid, dut.i_swap, dut.i_last, dut.i_activations.as_value(), dut.w_valid,
                 dut.w_weights.as_value())
        for cycle, words in enumerate(input_words(config, stimulus)):
            ctx.set(reset, cycle == reset_cycle)
            for port, word in zip(ports, words, strict=True):
                ctx.set(port, word)
            *_, valid, last, sums = await ctx.tick().sample(
                dut.o_valid, dut.o_last, dut.o_sums.as_value())
            if valid:
                results.append((cycle, last, unpack(sums, config.sum_width, config.columns)))

    top = Module()
    top.domains.sync = ClockDomain()
    top.submodules.dut = ResetInserter(reset)(dut)
    sim = Simulator(top)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return results


def check(config: SystolicConfig, stimulus: Stimulus) -> None:
    compare(simulate(SystolicArray(config), stimulus), stimulus.expect(config))


def compare(results: list[tuple[int, int, list[int]]], expected: ArrayOutput) -> None:
    assert [cycle for cycle, _, _ in results] == expected.cycles.tolist()
    assert [last for _, last, _ in results] == [i % 3 == 0 for i in range(len(results))]
    wrong = [number for number, (_, _, sums) in enumerate(results)
             if sums != expected.sums[number].tolist()]
    assert not wrong, [(number, results[number], expected.sums[number].tolist())
                       for number in wrong[:3]]


def test_members() -> None:
    config = SystolicConfig(rows=3, columns=5, activation_width=9, weight_width=8)
    assert dict(SystolicArray(config).signature.members) == {
        "i_valid": In(1),
        "i_swap": In(1),
        "i_last": In(1),
        "i_activations": In(data.ArrayLayout(signed(9), 3)),
        "w_valid": In(1),
        "w_weights": In(data.ArrayLayout(signed(8), 5)),
        "o_valid": Out(1),
        "o_last": Out(1),
        "o_sums": Out(data.ArrayLayout(signed(19), 5)),
    }


@pytest.mark.parametrize(("rows", "columns", "stages", "cycles"), [
    (1, 1, 1, 3), (16, 16, 1, 33), (16, 16, 3, 35), (256, 256, 1, 513)])
def test_latency(rows: int, columns: int, stages: int, cycles: int) -> None:
    config = SystolicConfig(rows=rows, columns=columns, product_stages=stages)
    assert SystolicArray(config).latency == latency(config) == cycles


# Every height with every width takes too long; this is each of both, twice.
@pytest.mark.parametrize(("rows", "columns"), [
    (1, 1), (1, 8), (2, 3), (2, 7), (3, 2), (3, 5), (4, 4), (4, 6), (5, 1), (5, 8), (6, 4), (6, 5),
    (7, 3), (7, 6), (8, 2), (8, 7)])
def test_tiles_back_to_back(rows: int, columns: int) -> None:
    config = SystolicConfig(rows=rows, columns=columns)
    rng = np.random.default_rng(8 * rows + columns)
    lengths = [rows] * 3 + rng.integers(1, 2 * rows + 2, 8).tolist()
    stimulus = tiles(rng, config, lengths)
    if rows > 1:
        assert np.all(np.diff(stimulus.vector_cycles[:3 * rows]) == 1), "No gap between tiles"
    check(config, stimulus)


@pytest.mark.parametrize(("rows", "columns", "stages"), [(3, 2, 1), (2, 6, 2), (4, 4, 3)])
def test_two_products_a_multiplier(rows: int, columns: int, stages: int) -> None:
    config = SystolicConfig(rows=rows, columns=columns, product_stages=stages,
                            products_per_multiplier=2)
    assert latency(config) == rows + columns // 2 + stages + 2
    rng = np.random.default_rng(columns)
    check(config, tiles(rng, config, [rows] * 3 + rng.integers(1, 2 * rows + 2, 8).tolist()))
    check(config, random_stimulus(rng, config, 100, vectors=0.7, weights=0.8, swaps=0.2))


def test_all_pairs_of_extremes() -> None:
    """Two products of a multiplier do not disturb one another, whichever they are."""
    config = SystolicConfig(rows=1, columns=2, products_per_multiplier=2)
    values = np.array([-128, -127, -65, -64, -1, 0, 1, 63, 64, 127])
    pairs = np.stack(np.meshgrid(values, values), axis=-1).reshape(-1, 2)
    stimulus = tiles(np.random.default_rng(0), config, [len(values)] * len(pairs))
    stimulus.activations[:] = np.tile(values, len(pairs))[:, None]
    stimulus.weights[:] = pairs
    check(config, stimulus)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_swap_at_every_distance(rows: int) -> None:
    # From a vector a tile, where the array waits for weights, to far more than it has rows.
    config = SystolicConfig(rows=rows, columns=3)
    check(config, tiles(np.random.default_rng(rows), config, list(range(1, 3 * rows + 4))))


def test_few_rows() -> None:
    config = SystolicConfig(rows=4, columns=3)
    rng = np.random.default_rng(0)
    loads = [4, 1, 2, 4, 3, 1, 1, 4]
    stimulus = tiles(rng, config, [2] * len(loads), loads)
    check(config, stimulus)
    # Activations of 0 make a tile of few rows what it is meant to be.
    rows = np.repeat(loads, 2)
    stimulus.activations[np.arange(4) >= rows[:, None]] = 0
    check(config, stimulus)
    weights = stimulus.weights[4:5]
    assert np.array_equal(stimulus.expect(config).sums[2:4],
                          stimulus.activations[2:4, :1] @ weights)


@pytest.mark.parametrize(("vectors", "weights", "swaps"), [
    (1.0, 1.0, 0.2), (0.5, 0.5, 0.2), (1.0, 0.3, 0.1), (0.3, 1.0, 0.3), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (5, 2)])
def test_anything_in_any_cycle(rows: int, columns: int, vectors: float, weights: float,
                               swaps: float) -> None:
    # Also tiles of few rows, and rows in excess.
    config = SystolicConfig(rows=rows, columns=columns)
    rng = np.random.default_rng(int(100 * vectors + 10 * weights) + rows)
    check(config, random_stimulus(rng, config, 200, vectors=vectors, weights=weights, swaps=swaps))


@pytest.mark.parametrize(("activation_width", "weight_width", "accumulator_width", "stages"), [
    (8, 9, 17, 1), (10, 12, 32, 2), (15, 14, 32, 1), (18, 18, 32, 3), (8, 8, 16, 2)])
def test_widths(activation_width: int, weight_width: int, accumulator_width: int,
                stages: int) -> None:
    config = SystolicConfig(rows=4, columns=3, activation_width=activation_width,
                            weight_width=weight_width, accumulator_width=accumulator_width,
                            product_stages=stages)
    rng = np.random.default_rng(activation_width)
    check(config, random_stimulus(rng, config, 100, vectors=0.8, weights=0.9, swaps=0.2))


@pytest.mark.parametrize("accumulator_width", [16, 32])
@pytest.mark.parametrize("activation", [-128, 127])
def test_extremes(activation: int, accumulator_width: int) -> None:
    config = SystolicConfig(rows=8, columns=2, accumulator_width=accumulator_width)
    stimulus = tiles(np.random.default_rng(0), config, [3])
    stimulus.activations[:] = activation
    stimulus.weights[:] = [-128, 127]
    sums = stimulus.expect(config).sums
    exact = 8 * activation * stimulus.weights[0]
    assert np.array_equal(sums, np.tile(exact, (3, 1))) == (accumulator_width == 32)
    assert np.all((sums - exact) % (1 << 16) == 0)
    check(config, stimulus)


@pytest.mark.parametrize(("rows", "columns"), [(18, 1), (1, 35)])
def test_more_rows_than_a_band_and_more_columns_than_a_block(rows: int, columns: int) -> None:
    config = SystolicConfig(rows=rows, columns=columns)
    check(config, tiles(np.random.default_rng(0), config, [rows, 1, 2, rows + 2]))


def test_verilog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus")
    monkeypatch.syspath_prepend(Path(__file__).parent)
    config = SystolicConfig(rows=17, columns=17)
    stimulus = tiles(np.random.default_rng(0), config, [17, 3])
    save_case(tmp_path, {}, inputs=[[hex(word) for word in words]
                                    for words in input_words(config, stimulus)])
    sources = write(emit(SystolicArray(config), "array", header=config.label), tmp_path)
    lint(sources, "array")
    run(build(sources, "array", simulator="icarus"), "bench_array",
        environment=case_environment(tmp_path))
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    compare([(cycle, last, unpack(int(sums, 16), config.sum_width, config.columns))
             for cycle, last, sums in seen], stimulus.expect(config))


def test_reset() -> None:
    # Vectors and weights on their way are lost, and loading starts again with the first row.
    config = SystolicConfig(rows=4, columns=3)
    rng = np.random.default_rng(0)
    for cycle in range(3, 16):
        before = tiles(rng, config, [2, 1, 4])
        after = tiles(rng, config, [2, 5])
        lost = before.vector_cycles >= cycle
        kept = before.weight_cycles < cycle
        stimulus = Stimulus(
            np.concatenate([before.vector_cycles[~lost], after.vector_cycles + cycle + 1]),
            np.concatenate([before.activations[~lost], after.activations]),
            np.concatenate([before.swaps[~lost], after.swaps]),
            np.concatenate([before.weight_cycles[kept], after.weight_cycles + cycle + 1]),
            np.concatenate([before.weights[kept], after.weights]))
        results = simulate(SystolicArray(config), stimulus, reset_cycle=cycle)
        expected = after.expect(config)
        results = [(at - cycle - 1, sums) for at, _, sums in results if at > cycle]
        assert [at for at, _ in results] == expected.cycles.tolist()
        assert [sums for _, sums in results] == expected.sums.tolist()


def test_emission() -> None:
    config = SystolicConfig(rows=32, columns=32)
    began = time.process_time()
    files = emit(SystolicArray(config), "array", header=config.label)
    assert time.process_time() - began < 20
    assert sum(map(len, files.values())) < 100_000
    text = "".join(files.values())
    assert len(re.findall(r"(?m)^module array_pe\(", text)) == 1
    assert len(re.findall(r"(?m)^  array_pe pe_\d+ \(", text)) == 32
    assert len(re.findall(r"(?m)^  array_array_row row_\d+ \(", text)) == 16
    assert len(re.findall(r"(?m)^  array_band_16 band_\d+ \(", text)) == 2
