"""Orders of rows and column groups: never slower than rows as they come, nor than the paper."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eieio.model.compress.weight_sharing import share_weights
from eieio.model.errors import InputError
from eieio.model.graph.chain import chain, fully_connected
from eieio.model.graph.float_graph import FloatGraph
from eieio.model.graph.quantized_graph import QuantizedGraph
from eieio.model.sparse.balance import (
    AS_THEY_COME,
    EVEN_WORK,
    ORDERS,
    Nonzeros,
    order_rows,
)
from eieio.model.sparse.chain import run_layers
from eieio.model.sparse.choices import fit_network
from eieio.model.sparse.config import SparseConfig
from eieio.model.sparse.fitting import roomy
from eieio.model.sparse.mapping import compile_network
from eieio.model.sparse.pace import Pace
from eieio.model.sparse.patterns import PATTERNS, draw_pattern
from eieio.model.sparse.quantization import quantize_network
from eieio.model.sparse.study import OURS, PAPER, Variant
from eieio.model.sparse.timing import NetworkTimer
from eieio.model.sparse.tuning import LayerLayout, Tuner, tune_network


def engine(variant: Variant, pes: int) -> SparseConfig:
    return roomy(SparseConfig(pes=pes, **variant.options(pes)))


def cycles_of(network: QuantizedGraph, config: SparseConfig, x: NDArray[np.integer],
              layouts: Sequence[LayerLayout] | None = None) -> list[int]:
    """Cycles of each inference, of the whole compiled network."""
    chosen = tune_network(network, config, x) if layouts is None else layouts
    compiled = compile_network(network, config, groups=[layout.groups for layout in chosen],
                               positions=[layout.positions for layout in chosen])
    timer = NetworkTimer(compiled)
    golden = run_layers(network, x)
    return [sum(layer.cycles for layer in timer(sample, [layer[number] for layer in golden]))
            for number, sample in enumerate(x)]


def test_there_are_many_patterns() -> None:
    assert len(PATTERNS) >= 30


@pytest.mark.parametrize(("pes", "size"), [(8, 96), (16, 160)])
def test_no_pattern_is_slower_than_on_the_paper_s_engine(pes: int, size: int) -> None:
    """But for the latency of column groups, a cycle for each doubling."""
    ours, paper = engine(OURS, pes), engine(PAPER, pes)
    for name in PATTERNS:
        network, x = draw_pattern(name, size)
        published, = tune_network(network, paper, x, orders=[AS_THEY_COME])
        plain, = tune_network(network, ours, x, orders=[AS_THEY_COME])
        tuned, = tune_network(network, ours, x)
        assert tuned.cycles <= plain.cycles, name
        assert tuned.cycles <= published.cycles + 2, name


def test_tuned_cycles_are_those_of_the_compiled_layer() -> None:
    """Columns that no sample reaches are left out of the trial, and change nothing."""
    for name in ("convolution 5 x 5", "circulant, 24 diagonals", "random, 2 %", "empty"):
        network, x = draw_pattern(name, 96)
        layouts = tune_network(network, engine(OURS, 8), x)
        assert cycles_of(network, engine(OURS, 8), x, layouts) == [layouts[0].cycles], name


def circulant(size: int) -> NDArray[np.float32]:
    """Rows of equal count, whose neighbours share all columns but one."""
    rows, columns = np.arange(size)[:, None], np.arange(size)[None]
    return np.where((columns - rows) % size < size // 4, 1.0, 0.0).astype(np.float32)


def shared_layer(weight: NDArray[np.float32], x: NDArray[np.floating],
                 config: SparseConfig) -> tuple[QuantizedGraph, NDArray[np.int32]]:
    network = chain("layer", (fully_connected("layer", weight, np.zeros(len(weight), np.float32)),))
    quantized = quantize_network(share_weights(network, 4), x, config)
    return quantized, quantized.quantize_input(x)


def test_equal_rows_take_turns() -> None:
    """Rows of which none is heavier are not dealt to the PEs in blocks of neighbours."""
    nonzeros = Nonzeros.of((circulant(64) > 0).astype(np.uint8))
    assert order_rows(nonzeros, EVEN_WORK, pes=16).tolist() == [*range(64)]
    x = np.ones((1, 64))
    network, integers = shared_layer(circulant(64), x, engine(OURS, 16))
    even, = tune_network(network, engine(OURS, 16), integers, orders=[EVEN_WORK])
    paper, = tune_network(network, engine(PAPER, 16), integers, orders=[AS_THEY_COME])
    assert even.cycles <= paper.cycles + 2


def test_circulant_layer_of_a_user(shared_data: Path) -> None:
    case = np.load(shared_data.parent / "cases" / "circulant_layer.npz")
    x = case["activation"].reshape(1, -1)
    network, integers = shared_layer(case["weight"].astype(np.float32), x, engine(OURS, 16))
    paper, = tune_network(network, engine(PAPER, 16), integers, orders=[AS_THEY_COME])
    ours, = tune_network(network, engine(OURS, 16), integers)
    assert paper.cycles == 572
    assert ours.cycles <= 574


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("pes", "groups"), [(1, 1), (4, 1), (4, 4), (6, 2)])
def test_orders_are_permutations(order: str, pes: int, groups: int) -> None:
    """Each row has a place of its own in words that hold all rows, and each lane its share."""
    rng = np.random.default_rng(0)
    for rows in (1, max(1, pes - 1), pes, 3 * pes + 1):
        codes = (rng.random((rows, 20)) < 0.3).astype(np.uint8)
        active = rng.random((5, 20)) < 0.5
        positions = order_rows(Nonzeros.of(codes), order, pes=pes, groups=groups, active=active)
        assert np.unique(positions).size == rows
        assert 0 <= positions.min() <= positions.max() < -(-rows // pes) * pes


def test_rows_follow_what_the_samples_use() -> None:
    """Of columns that are never active, weights are no work."""
    codes = np.zeros((8, 40), np.uint8)
    codes[:4, :20] = 1  # rows 0 to 3 work hard ...
    codes[4:, 20:] = 1  # ... and rows 4 to 7 never
    active = np.zeros((200, 40), bool)
    active[:, :20] = True
    positions = order_rows(Nonzeros.of(codes), "even work of samples", pes=4, active=active)
    assert sorted(positions[:4] % 4) == [0, 1, 2, 3]


def test_is_deterministic() -> None:
    network, x = draw_pattern("power law of both", 96)
    one, two = (tune_network(network, engine(OURS, 8), x)[0] for _ in range(2))
    assert (one.groups, one.order, one.cycles) == (two.groups, two.order, two.cycles)
    assert one.positions is not None
    assert two.positions is not None
    assert np.array_equal(one.positions, two.positions)


def test_cycles_without_the_column_groups_that_are_not_built() -> None:
    """A layer of one column group in an engine that has no more drains earlier."""
    network, x = draw_pattern("dense", 64)
    tuner = Tuner(network, engine(OURS, 8), x)
    small, = tuner.layouts(1)
    assert [small.cycles] == cycles_of(network, replace(engine(OURS, 8), column_groups=1), x,
                                       [small])


def test_outputs_stay_in_order_where_another_saves_nothing() -> None:
    network, x = draw_pattern("dense", 64)
    assert tune_network(network, engine(OURS, 8), x)[0].positions is None
    network, x = draw_pattern("every 16th row", 256)
    tuner = Tuner(network, engine(OURS, 16), x)
    assert tuner.layouts(4)[0].positions is not None
    assert tuner.layouts(4, reorder_outputs=False)[0].positions is None


def networks(*sizes: int, density: float) -> FloatGraph:
    rng = np.random.default_rng(3)
    return chain("net", tuple(
        fully_connected(f"fc{number}", (rng.normal(size=(rows, columns))
                                        * (rng.random((rows, columns)) < density)).astype(
                                            np.float32), np.zeros(rows, np.float32), True)
        for number, (columns, rows) in enumerate(pairwise(sizes))))


def test_defaults_are_as_fast_as_the_benchmark() -> None:
    """Of a network for which column groups pay, the compiler takes them by itself."""
    network = share_weights(networks(400, 250, 10, density=0.05), 4)
    x = np.random.default_rng(4).random((16, 400))
    fitted = fit_network(network, x, {"pes": 32})
    config = fitted.compiled.config
    assert config.column_groups == 4
    quantized = fitted.compiled.network
    integers = quantized.quantize_input(x)
    bench = replace(engine(OURS, 32), accumulator_width=config.accumulator_width)
    theirs = np.mean(cycles_of(quantized, bench, integers))
    ours = np.mean(cycles_of(quantized, roomy(config), integers, fitted.layouts))
    assert ours <= 1.01 * theirs
    slow = fit_network(network, x, {"pes": 32, "column_groups": 1})
    assert ours < 0.7 * np.mean(cycles_of(quantized, roomy(slow.compiled.config), integers,
                                          slow.layouts))
    assert {choice.option: choice.value for choice in fitted.choices} == {
        "accumulator_width": config.accumulator_width, "column_groups": 4,
        "run_width": config.run_width, "double_buffered": True, "interleaved": True,
        "io_lanes": config.io_lanes,
        "output_order": "network" if fitted.layouts[-1].positions is None else "fastest"}


def test_what_is_given_wins() -> None:
    network = share_weights(networks(400, 250, 10, density=0.05), 4)
    x = np.random.default_rng(4).random((4, 400))
    given = {"pes": 32, "column_groups": 2, "run_width": 3, "io_lanes": 1,
             "double_buffered": False, "accumulator_width": 31}
    fitted = fit_network(network, x, given, reorder_outputs=False)
    assert {name: getattr(fitted.compiled.config, name) for name in given} == given
    assert max(layout.groups for layout in fitted.layouts) == 2
    assert fitted.layouts[-1].positions is None
    assert {choice.option for choice in fitted.choices} <= {"output_order", "accumulator_width"}


def test_boards_keep_small_engines() -> None:
    """But for what takes inputs and outputs out of the way."""
    network = share_weights(networks(400, 250, 10, density=0.05), 4)
    x = np.random.default_rng(4).random((4, 400))
    config = fit_network(network, x, {"pes": 32}, board=True).compiled.config
    default = SparseConfig()
    assert (config.column_groups, config.run_width, config.pes_per_lane, config.interleaved) == (
        default.column_groups, default.run_width, default.pes_per_lane, default.interleaved)
    assert config.double_buffered


def test_interleaved_where_it_pays() -> None:
    """Much work in one layer leaves nobody waiting; and what interleaving needs comes with it."""
    x = np.random.default_rng(4).random((4, 400))
    busy = share_weights(networks(400, 600, density=0.4), 4)
    assert not fit_network(busy, x, {"pes": 2}).compiled.config.interleaved
    given = fit_network(busy, x, {"pes": 2, "interleaved": True}, board=True).compiled.config
    assert (given.interleaved, given.double_buffered) == (True, True)
    with pytest.raises(InputError) as info:
        fit_network(busy, x, {"pes": 2, "interleaved": True, "double_buffered": False})
    assert "needs double_buffered" in str(info.value)
    light = share_weights(networks(400, 100, 50, density=0.05), 4)
    apart, both = (fit_network(light, x, {"pes": 8, "interleaved": value})
                   for value in (False, True))
    assert fit_network(light, x, {"pes": 8}).compiled.config == both.compiled.config
    lanes = {"io_lanes": 8}
    paces = [Pace(fitted.compiled, fitted.compiled.network.quantize_input(x)).cycles(
        replace(fitted.compiled.config, **lanes), sum(layout.cycles for layout in fitted.layouts))
        for fitted in (apart, both)]
    assert paces[1] < 0.9 * paces[0]


def test_longer_runs_where_fillers_cost() -> None:
    """Of rows far apart, fillers come in twos and threes, which take cycles of their own."""
    network = share_weights(networks(60, 2000, density=0.01), 4)
    x = np.ones((1, 60))
    fitted = fit_network(network, x, {"pes": 2})
    assert fitted.compiled.config.run_width > SparseConfig.run_width
    assert fit_network(network, x, {"pes": 2, "run_width": 5}).compiled.config.run_width == 5


def test_beats_as_wide_as_pays() -> None:
    """Many inputs and little work want wide beats; much work does with a narrow one."""
    x = np.random.default_rng(4).random((4, 200))
    # On a board, without column groups, the inference takes longer than any input.
    for board, lanes in ((False, 4), (True, 1)):
        thin = fit_network(share_weights(networks(200, 16, density=0.02), 4), x, {"pes": 16},
                           board=board)
        assert thin.compiled.config.io_lanes == lanes
    thick = fit_network(share_weights(networks(200, 200, density=1), 4), x, {"pes": 4})
    assert thick.compiled.config.io_lanes == 1
    narrow = fit_network(share_weights(networks(200, 16, density=0.02), 4), x, {"pes": 3})
    assert narrow.compiled.config.io_lanes == 1


def test_lanes_are_shared_where_that_costs_little() -> None:
    """Few outputs of much work leave the lanes idle."""
    x = np.random.default_rng(4).random((4, 2000))
    network = share_weights(networks(2000, 16, density=0.5), 4)
    few = fit_network(network, x, {"pes": 4, "column_groups": 1})
    assert few.compiled.config.pes_per_lane == 4
    choice, = (choice for choice in few.choices if choice.option == "pes_per_lane")
    assert choice.reason.startswith("costs 12 cycles, and spares ")
    alone = fit_network(network, x, {"pes": 4, "column_groups": 1, "pes_per_lane": 1})
    one, other = (NetworkTimer(fitted.compiled)(values, list(run_layers(
        fitted.compiled.network, values[None])))[0].cycles for fitted in (few, alone)
        for values in [fitted.compiled.network.quantize_input(x[:1])[0]])
    assert one == other + 12
    many = fit_network(share_weights(networks(40, 200, density=0.5), 4), x[:, :40], {"pes": 4})
    assert many.compiled.config.pes_per_lane == 1


def test_shared_lanes_limit_the_column_groups() -> None:
    x = np.random.default_rng(4).random((4, 40))
    network = share_weights(networks(40, 20, density=0.5), 4)
    config = fit_network(network, x, {"pes": 8, "pes_per_lane": 4}).compiled.config
    assert (config.pes_per_lane, config.column_groups) in {(4, 1), (4, 2)}


def test_work_is_even_in_each_sample() -> None:
    """Rows that are busy in the same samples do not share a PE, although all are busy as often."""
    rng = np.random.default_rng(2)
    kinds = np.arange(32) // 8
    codes = (np.arange(64) // 16 == kinds[:, None]).astype(np.uint8)
    shuffled = rng.permutation(32)
    codes = codes[shuffled]
    active = np.arange(64) // 16 == rng.integers(0, 4, 100)[:, None]
    positions = order_rows(Nonzeros.of(codes), "even work in each sample", pes=4, active=active)
    for pe in range(4):
        assert sorted(kinds[shuffled][positions % 4 == pe]) == [0, 0, 1, 1, 2, 2, 3, 3]
    few = order_rows(Nonzeros.of(codes), "even work in each sample", pes=4, active=active[:20])
    assert few.tolist() == order_rows(Nonzeros.of(codes), "even work in 16 spans", pes=4,
                                      active=active[:20]).tolist()
