"""Winograd's transforms in hardware: interface, latency, results, and what they are made of."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from eieio.model.winograd import IntegerTransform, integer_transform, toom_cook
from eieio.rtl.emit import emit
from eieio.rtl.winograd.input_transform import InputTransform
from eieio.rtl.winograd.output_transform import OutputTransform

Integers = NDArray[np.int64]

F2, F4 = (integer_transform(toom_cook(m, 3)) for m in (2, 4))


def wrap(values: Integers, width: int) -> Integers:
    bound = 1 << (width - 1)
    return (values + bound) % (2 * bound) - bound


def extreme_tiles(matrix: tuple[tuple[int, ...], ...], bound: int) -> Integers:
    """Tiles that make each element of the transformed tile as large, and as small, as it can be."""
    return np.array([np.where(sign * np.outer(a, b) > 0, bound - 1, -bound)
                     for a, b in itertools.product(matrix, matrix) for sign in (1, -1)])


def row_cycles(rng: np.random.Generator, count: int, density: float) -> list[int]:
    return np.flatnonzero(rng.random(int(3 * count / density)) < density)[:count].tolist()


def transform_input(run_vectors: Callable, dut: InputTransform, tiles: Integers,
                    cycles: list[int], **options: Any) -> tuple[list[int], Integers]:
    n = dut.transform.n
    output_cycles, columns = run_vectors(
        dut, (dut.i_valid, dut.i_row), (dut.o_valid, dut.o_column), tiles.reshape(-1, n), cycles,
        **options)
    return output_cycles, columns.reshape(-1, n, n).transpose(0, 2, 1)


def transform_output(run_vectors: Callable, dut: OutputTransform, tiles: Integers,
                     cycles: list[int], **options: Any) -> tuple[list[int], Integers]:
    n, m = dut.transform.n, dut.transform.m
    output_cycles, rows = run_vectors(
        dut, (dut.i_valid, dut.i_column), (dut.o_valid, dut.o_row),
        tiles.transpose(0, 2, 1).reshape(-1, n), cycles, **options)
    return output_cycles, rows.reshape(-1, m, m)


def expected_cycles(cycles: list[int], n: int, count: int, latency: int) -> list[int]:
    return [last + latency + number for last in cycles[n - 1::n] for number in range(count)]


def sums_of_products(transform: IntegerTransform, x: Integers, weight: Integers) -> Integers:
    """Sum up over channels, exactly; shapes are (tiles or 1, channels, side, side)."""
    g, b_t = np.array(transform.g), np.array(transform.b_t)
    return np.sum((g @ weight @ g.T) * (b_t @ x @ b_t.T), axis=1)


def direct(x: Integers, weight: Integers, m: int) -> Integers:
    return np.array([[np.sum(x[..., i:i + 3, j:j + 3] * weight, axis=(1, 2, 3))
                      for j in range(m)] for i in range(m)]).transpose(2, 0, 1)


def test_members() -> None:
    assert dict(InputTransform(F4, 8).signature.members) == {
        "i_valid": In(1),
        "i_row": In(data.ArrayLayout(signed(8), 6)),
        "o_valid": Out(1),
        "o_column": Out(data.ArrayLayout(signed(15), 6)),
    }
    assert dict(OutputTransform(F4, 32).signature.members) == {
        "i_valid": In(1),
        "i_column": In(data.ArrayLayout(signed(32), 6)),
        "o_valid": Out(1),
        "o_row": Out(data.ArrayLayout(signed(26), 4)),
    }
    assert OutputTransform(F2, 32).output_width == 30


@pytest.mark.parametrize(("transform", "input_latency", "output_latency"), [
    (F2, 3, 5), (F4, 5, 11)])
def test_latency(transform: IntegerTransform, input_latency: int, output_latency: int) -> None:
    assert InputTransform(transform).latency == transform.input_latency == input_latency
    assert OutputTransform(transform).latency == output_latency
    assert transform.output_latency(32) == output_latency


def test_wrong_width() -> None:
    with pytest.raises(ValueError, match=r"^Accumulator width must be at least 7, not 6$"):
        OutputTransform(F4, 6)


@pytest.mark.parametrize("density", [1.0, 0.4])
@pytest.mark.parametrize("width", [8, 9, 5])
@pytest.mark.parametrize("transform", [F2, F4])
def test_input_transform(run_vectors: Callable, transform: IntegerTransform, width: int,
                         density: float) -> None:
    n, bound = transform.n, 1 << (width - 1)
    rng = np.random.default_rng(n)
    tiles = rng.integers(-bound, bound, (10, n, n))
    if density == 1:
        tiles = np.concatenate([extreme_tiles(transform.b_t, bound), tiles])
    cycles = row_cycles(rng, len(tiles) * n, density)
    dut = InputTransform(transform, width)
    output_cycles, outputs = transform_input(run_vectors, dut, tiles, cycles)
    b_t = np.array(transform.b_t)
    assert output_cycles == expected_cycles(cycles, n, n, dut.latency)
    assert np.array_equal(outputs, b_t @ tiles @ b_t.T)


@pytest.mark.parametrize("density", [1.0, 0.4])
@pytest.mark.parametrize("accumulator_width", [24, 32, 40])
@pytest.mark.parametrize("transform", [F2, F4])
def test_output_transform(run_vectors: Callable, transform: IntegerTransform,
                          accumulator_width: int, density: float) -> None:
    # As many channels as the outputs' bits can take of any data, and then sums that wrap around.
    m, n = transform.m, transform.n
    dut = OutputTransform(transform, accumulator_width)
    channels = min(200, max(1, (1 << (dut.output_width - 1)) // (9 << 14)))
    rng = np.random.default_rng(n)
    x = rng.integers(-128, 128, (10, channels, n, n))
    x[0], x[1] = -128, 127
    weight = rng.choice([-128, 127], (1, channels, 3, 3))
    sums = sums_of_products(transform, x, weight)
    cycles = row_cycles(rng, 10 * n, density)
    output_cycles, outputs = transform_output(
        run_vectors, dut, wrap(sums, accumulator_width), cycles)
    assert output_cycles == expected_cycles(cycles, n, m, dut.latency)
    exact = direct(x, weight, m)
    if accumulator_width > 24:
        assert np.array_equal(outputs, exact)
    else:
        assert np.array_equal(outputs, wrap(exact, dut.output_width))


def test_sums_wrap_around(run_vectors: Callable) -> None:
    # Data and weights that make one sum as large as it can be.
    x = np.tile(np.where(np.outer(F4.b_t[3], F4.b_t[3]) > 0, 127, -128), (1, 200, 1, 1))
    weight = np.full((1, 200, 3, 3), -128)
    sums = sums_of_products(F4, x, weight)
    assert np.abs(sums).max() == F4.product_sum_bound(200) >= 1 << 31
    _, outputs = transform_output(run_vectors, OutputTransform(F4, 32), wrap(sums, 32),
                                  list(range(6)))
    assert np.array_equal(outputs, direct(x, weight, 4))


@pytest.mark.parametrize("transform", [F2, F4])
def test_reset(run_vectors: Callable, transform: IntegerTransform) -> None:
    # A tile that has begun is lost; the row behind the reset is the first of the next one.
    n, m = transform.n, transform.m
    rng = np.random.default_rng(0)
    tile = rng.integers(-128, 128, (1, n, n))
    b_t = np.array(transform.b_t)
    sums = sums_of_products(transform, tile[:, None], np.ones((1, 1, 3, 3), dtype=int))
    outputs = direct(tile[:, None], np.ones((1, 1, 3, 3), dtype=int), m)
    noise = rng.integers(-128, 128, (1, n, n))
    for begun in range(1, n):
        # Both functions take whole tiles: what of the first one comes before cycle 0 is not fed.
        cycles = [*range(begun - n, begun), *range(begun + 1, begun + 1 + n)]
        output_cycles, results = transform_input(
            run_vectors, InputTransform(transform), np.concatenate([noise, tile]), cycles,
            reset_cycle=begun)
        assert output_cycles[0] == cycles[-1] + transform.input_latency
        assert np.array_equal(results, b_t @ tile @ b_t.T)
        output_cycles, results = transform_output(
            run_vectors, OutputTransform(transform), np.concatenate([noise, sums]), cycles,
            reset_cycle=begun)
        assert output_cycles[0] == cycles[-1] + transform.output_latency(32)
        assert np.array_equal(results, outputs)


@pytest.mark.parametrize(("component", "additions"), [
    (InputTransform(F2), 8), (InputTransform(F4), 24),
    (OutputTransform(F2), 8), (OutputTransform(F4), 24 + 4 * 4)])
def test_only_adders_and_shifts(component: InputTransform | OutputTransform,
                                additions: int) -> None:
    text = rtlil.convert(type(component)(*component.parameters), emit_src=False)
    cells = Counter(line.split()[1] for line in text.splitlines()
                    if line.startswith("  cell $"))
    assert set(cells) <= {"$add", "$sub", "$neg", "$eq", "$and", "$mux", "$dff"}
    # One adder more counts the vectors of a tile.
    assert cells["$add"] + cells["$sub"] + cells["$neg"] == additions + 1
    verilog = "".join(emit(component, "top", header="").values())
    assert not any(" * " in line for line in verilog.splitlines() if not line.startswith("//"))
