"""Model of the systolic array against plain loops over cycles and numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eieio.model.systolic.array import latency, matrix_product, run_array, tile_starts
from eieio.model.systolic.config import SystolicConfig


def wrap(value: int, width: int) -> int:
    value %= 1 << width
    return value - (1 << width) if value >> (width - 1) else value


@pytest.mark.parametrize(("activation_width", "weight_width", "accumulator_width"), [
    (8, 8, 32), (8, 9, 17), (8, 8, 16), (18, 18, 32), (18, 18, 20)])
def test_matrix_product(activation_width: int, weight_width: int, accumulator_width: int) -> None:
    config = SystolicConfig(rows=256, columns=4, activation_width=activation_width,
                            weight_width=weight_width, accumulator_width=accumulator_width)
    rng = np.random.default_rng(activation_width)
    for rows, columns in ((256, 4), (5, 3), (1, 1)):
        high_a, high_w = 1 << (activation_width - 1), 1 << (weight_width - 1)
        activations = rng.integers(-high_a, high_a, (6, rows))
        weights = rng.integers(-high_w, high_w, (rows, columns))
        activations[0], activations[1], weights[:, 0] = -high_a, high_a - 1, -high_w
        sums = matrix_product(config, activations, weights)
        assert sums.dtype == np.int64
        for vector in range(6):
            for column in range(columns):
                exact = sum(int(activations[vector, row]) * int(weights[row, column])
                            for row in range(rows))
                assert sums[vector, column] == wrap(exact, config.sum_width)
                if config.sum_width == activation_width + weight_width + 8:  # of 256 products
                    assert sums[vector, column] == exact


def test_wrong_operands() -> None:
    config = SystolicConfig(rows=4, columns=2)
    zeros = np.zeros((3, 4), dtype=np.int64)
    weights = np.zeros((4, 2), dtype=np.int64)
    with pytest.raises(ValueError, match=r"^Activations must have shape \(vectors, rows\) with at "
                                         r"most 4 rows, not \(3, 5\)$"):
        matrix_product(config, np.zeros((3, 5), dtype=np.int64), weights)
    with pytest.raises(ValueError, match=r"^Weights must have shape \(4, columns\) with at most 2 "
                                         r"columns, not \(4, 3\)$"):
        matrix_product(config, zeros, np.zeros((4, 3), dtype=np.int64))
    with pytest.raises(ValueError, match=r"^Activations must be from -128 to 127, not 0 to 128$"):
        matrix_product(config, np.where(np.arange(4) == 3, 128, zeros), weights)
    with pytest.raises(ValueError, match=r"^Weights must be from -128 to 127, not -129 to 0$"):
        matrix_product(config, zeros, np.where(np.arange(2) == 1, -129, weights))
    with pytest.raises(ValueError, match=r"^Vector cycles must rise$"):
        run_array(config, vector_cycles=np.array([1, 1, 2]), activations=zeros,
                  swaps=np.zeros(3, dtype=bool), weight_cycles=np.arange(4), weights=weights)


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=8))
def test_tile_starts(tiles: list[tuple[int, int]]) -> None:
    lengths, loads = zip(*tiles, strict=True)
    starts = []
    loaded = free = load_from = 0
    for length, load in tiles:
        loaded = load_from + load
        start = max(loaded, free)
        starts.append(start)
        free, load_from = start + length, start
    assert tile_starts(lengths, loads).tolist() == [*starts, free]


def test_no_gap_between_long_tiles() -> None:
    assert tile_starts([16, 20, 100], 16).tolist() == [16, 32, 52, 152]
    assert tile_starts([1, 1, 1], 16).tolist() == [16, 32, 48, 49]


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_run_array(rows: int, columns: int, seed: int) -> None:
    # Cycle by cycle: a row of weights goes to the first row that has none for the next tile.
    config = SystolicConfig(rows=rows, columns=columns)
    rng = np.random.default_rng(seed)
    vector_cycles, weight_cycles = (np.flatnonzero(rng.random(40) < 0.7) for _ in range(2))
    activations = rng.integers(-128, 128, (len(vector_cycles), rows))
    swaps = rng.random(len(vector_cycles)) < 0.2
    weights = rng.integers(-128, 128, (len(weight_cycles), columns))

    taken = [[0] * columns for _ in range(rows)]
    active = [[0] * columns for _ in range(rows)]
    count = 0
    expected = []
    for cycle in range(40):
        for number in np.flatnonzero(vector_cycles == cycle):
            if swaps[number]:
                active, count = [list(row) for row in taken], 0
            expected.append((cycle + latency(config), [
                sum(int(activations[number, row]) * active[row][column] for row in range(rows))
                for column in range(columns)]))
        for number in np.flatnonzero(weight_cycles == cycle):
            if count < rows:
                taken[count] = weights[number].tolist()
                count += 1

    output = run_array(config, vector_cycles=vector_cycles, activations=activations, swaps=swaps,
                       weight_cycles=weight_cycles, weights=weights)
    assert list(zip(output.cycles.tolist(), output.sums.tolist(), strict=True)) == expected
