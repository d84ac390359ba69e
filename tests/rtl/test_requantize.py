"""Requantization: interface, parameters, and behaviour against the golden model."""

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import signed, unsigned
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from numpy.typing import NDArray

from eieio.model.fixed_point import requantize
from eieio.rtl.requantize import Requantize
from eieio.rtl.systolic.residual import _Rescale

Integers = NDArray[np.int64]


def simulate(dut: Requantize, acc: Integers, multiplier: Integers, shift: Integers,
             zero_point: int, minimum: int, maximum: int, *,
             single_rounding: bool = False, wraps: bool = False) -> list[int]:
    """Feed one accumulator a cycle, and return the results in order."""
    results: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.single_rounding, single_rounding)
        if dut.may_wrap:
            ctx.set(dut.wraps, wraps)
        ctx.set(dut.zero_point, zero_point)
        ctx.set(dut.minimum, minimum)
        ctx.set(dut.maximum, maximum)
        for cycle in range(len(acc) + dut.latency):
            if cycle < len(acc):
                ctx.set(dut.acc, int(acc[cycle]))
                ctx.set(dut.multiplier, int(multiplier[cycle]))
                ctx.set(dut.shift, int(shift[cycle]))
            *_, output = await ctx.tick().sample(dut.output)
            if cycle >= dut.latency:
                results.append(output)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return results


def check(dut: Requantize, acc: Any, multiplier: Any, shift: Any, zero_point: int = 0,
          minimum: int | None = None, maximum: int | None = None, *,
          single_rounding: bool = False, wraps: bool = False) -> None:
    bound = 1 << (dut.output_width - 1)
    minimum = -bound if minimum is None else minimum
    maximum = bound - 1 if maximum is None else maximum
    acc, multiplier, shift = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.int64).ravel() for values in (acc, multiplier, shift)))
    expected = requantize(acc, multiplier, shift, zero_point, minimum, maximum,
                          single_rounding=single_rounding, wraps=wraps)
    results = simulate(dut, acc, multiplier, shift, zero_point, minimum, maximum,
                       single_rounding=single_rounding, wraps=wraps)
    wrong = [case for case, result in enumerate(results) if result != expected[case]]
    assert not wrong, [(acc[case], multiplier[case], shift[case], results[case], expected[case])
                       for case in wrong[:5]]
    assert len(results) == len(expected)


def test_members() -> None:
    assert dict(Requantize(accumulator_width=40, output_width=8).signature.members) == {
        "acc": In(signed(40)),
        "multiplier": In(unsigned(31)),
        "shift": In(unsigned(6)),
        "single_rounding": In(1),
        "zero_point": In(signed(8)),
        "minimum": In(signed(8)),
        "maximum": In(signed(8)),
        "output": Out(signed(8)),
    }


@pytest.mark.parametrize(("accumulator_width", "latency"), [
    (8, 12), (18, 12), (19, 13), (32, 13), (35, 13), (36, 14), (48, 14)])
def test_latency(accumulator_width: int, latency: int) -> None:
    assert Requantize(accumulator_width=accumulator_width).latency == latency


def test_parameters() -> None:
    assert Requantize().parameters == (32, 16)


@pytest.mark.parametrize("width", [7, 49])
def test_wrong_accumulator_width(width: int) -> None:
    with pytest.raises(ValueError, match=rf"^Accumulator width must be from 8 to 48, not {width}$"):
        Requantize(accumulator_width=width)


@pytest.mark.parametrize("width", [1, 33])
def test_wrong_output_width(width: int) -> None:
    with pytest.raises(ValueError, match=rf"^Output width must be from 2 to 32, not {width}$"):
        Requantize(output_width=width)


def test_width_of_wrong_type() -> None:
    width: Any = "8"
    with pytest.raises(TypeError, match=r"^Output width must be an integer, not '8'$"):
        Requantize(output_width=width)


both = pytest.mark.parametrize("single_rounding", [False, True], ids=["twice", "once"])


@both
@pytest.mark.parametrize(("accumulator_width", "output_width"), [
    (8, 2), (18, 16), (19, 8), (32, 8), (32, 16), (35, 32), (36, 16), (48, 16)])
def test_random(accumulator_width: int, output_width: int, *, single_rounding: bool) -> None:
    rng = np.random.default_rng(accumulator_width)
    bound = 1 << (accumulator_width - 1)
    count = 500
    acc = rng.integers(-bound, bound, count) >> rng.integers(0, accumulator_width, count)
    multiplier = rng.integers(1 << 30, 1 << 31, count)
    shift = rng.integers(0, accumulator_width, count)
    limit = 1 << (output_width - 1)
    zero_point = int(rng.integers(-limit, limit))
    check(Requantize(accumulator_width=accumulator_width, output_width=output_width),
          acc, multiplier, shift, zero_point, single_rounding=single_rounding)


@both
@pytest.mark.parametrize("accumulator_width", [29, 32])
def test_multipliers_of_logic(accumulator_width: int, *, single_rounding: bool) -> None:
    rng = np.random.default_rng(accumulator_width)
    bound = 1 << (accumulator_width - 1)
    acc = rng.integers(-bound, bound, 500) >> rng.integers(0, accumulator_width, 500)
    acc[:4] = -bound, 1 - bound, -1, bound - 1
    multiplier = rng.integers(1 << 30, 1 << 31, 500)
    multiplier[:4] = (1 << 31) - 1
    dut = Requantize(accumulator_width=accumulator_width, output_width=16, logic=True)
    assert dut.latency == Requantize(accumulator_width=accumulator_width).latency
    assert dut.parameters == (accumulator_width, 16, "logic")
    check(dut, acc, multiplier, rng.integers(0, accumulator_width, 500), 3,
          single_rounding=single_rounding)


@both
@pytest.mark.parametrize("logic", [False, True], ids=["multipliers", "logic"])
def test_rescale_of_residuals(*, logic: bool, single_rounding: bool) -> None:
    dut = _Rescale(logic=logic)
    rng = np.random.default_rng(7)
    bound = 1 << (dut.accumulator_width - 1)
    acc = rng.integers(-bound, bound, 300) >> rng.integers(0, dut.accumulator_width, 300)
    acc[:4] = -bound, 1 - bound, -1, bound - 1
    multiplier = rng.integers(1 << 30, 1 << 31, 300)
    multiplier[:4] = (1 << 31) - 1
    check(dut, acc, multiplier, rng.integers(0, 12, 300), -3, -bound // 2, bound // 3,
          single_rounding=single_rounding)


@both
@pytest.mark.parametrize("accumulator_width", [18, 32, 48])
def test_extremes(accumulator_width: int, *, single_rounding: bool) -> None:
    bound = 1 << (accumulator_width - 1)
    grid = np.meshgrid([-bound, 1 - bound, -1, 0, 1, bound - 1],
                       [0, 1, 1 << 30, (1 << 30) + 1, (1 << 31) - 1], np.arange(64))
    check(Requantize(accumulator_width=accumulator_width, output_width=8), *grid,
          single_rounding=single_rounding)


@both
@pytest.mark.parametrize("accumulator_width", [18, 32, 48])
def test_ranges(accumulator_width: int, *, single_rounding: bool) -> None:
    """Results of all sizes, in ranges that end anywhere."""
    rng = np.random.default_rng(accumulator_width)
    bound = 1 << (accumulator_width - 1)
    for _ in range(4):
        minimum, maximum = sorted(int(end) for end in rng.integers(-32768, 32768, 2))
        acc = rng.integers(-bound, bound, 120) >> rng.integers(0, accumulator_width, 120)
        check(Requantize(accumulator_width=accumulator_width), acc,
              rng.integers(1 << 30, 1 << 31, 120), rng.integers(0, accumulator_width, 120),
              int(rng.integers(-32768, 32768)), minimum, maximum, single_rounding=single_rounding)


@both
@pytest.mark.parametrize("accumulator_width", [18, 32, 48])
def test_ties_of_the_multiplication(accumulator_width: int, *, single_rounding: bool) -> None:
    # An odd number times a half; without a shift, so that each half shows.
    acc = np.arange(-33, 34, 2)
    check(Requantize(accumulator_width=accumulator_width), acc, 1 << 30, 0,
          single_rounding=single_rounding)


@both
@pytest.mark.parametrize("accumulator_width", [18, 32, 48])
def test_ties_of_the_shift(accumulator_width: int, *, single_rounding: bool) -> None:
    # Twice the number that is to be shifted, which makes it exact: odd multiples of a half of
    # 2**shift, and their neighbours, on both sides of zero.
    cases = [(2 * sign * (odd * (1 << shift >> 1) + off), shift)
             for shift in range(1, accumulator_width - 4)
             for odd in (1, 3) for off in (-1, 0, 1) for sign in (-1, 1)]
    acc, shift = zip(*cases, strict=True)
    check(Requantize(accumulator_width=accumulator_width), acc, 1 << 30, shift,
          single_rounding=single_rounding)


@pytest.mark.parametrize("accumulator_width", [18, 32, 48])
def test_ties_of_the_product(accumulator_width: int) -> None:
    # Products that are odd multiples of half a step, and their neighbours on both sides: one step
    # of the accumulator, and one of the multiplier.
    rng = np.random.default_rng(accumulator_width)
    factors = [factor for factor in (1, 3, 5, 7, 11, 0x7fff, 0x10001)
               if factor < 1 << accumulator_width - 6]
    cases = []
    for _ in range(700):
        factor = int(rng.choice(factors))
        bits = factor.bit_length()
        shift = int(rng.integers(0, max(1, accumulator_width - 1 - bits - 4)))
        odd = 2 * int(rng.integers(-8, 8)) + 1
        acc = (odd << shift + bits - 1) + int(rng.integers(-1, 2))
        cases.append((acc, (factor << 31 - bits) - int(rng.integers(0, 2)) * (bits > 1), shift))
    acc, multiplier, shift = zip(*cases, strict=True)
    check(Requantize(accumulator_width=accumulator_width), acc, multiplier, shift,
          single_rounding=True)


@pytest.mark.parametrize(("zero_point", "minimum", "maximum"), [
    (0, 0, 127), (-128, -128, 127), (127, -128, 127), (-128, -128, -100), (127, 0, 0),
    (5, 5, 90)])
def test_range(zero_point: int, minimum: int, maximum: int) -> None:
    acc = np.concatenate([np.arange(-600, 600, 7), [-(1 << 31), (1 << 31) - 1]])
    check(Requantize(output_width=8), acc, 1 << 30, 0, zero_point, minimum, maximum)


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize(("zero_point", "minimum"), [(0, -128), (-128, -128), (127, -3), (5, 90)])
def test_wraps(zero_point: int, minimum: int, *, wraps: bool) -> None:
    """Above the maximum and nowhere else; clamps as ever if it is not to."""
    rng = np.random.default_rng(7)
    acc = np.concatenate([np.arange(-1500, 1500, 7), [-(1 << 31), (1 << 31) - 1],
                          rng.integers(-1 << 31, 1 << 31, 300) >> rng.integers(0, 24, 300)])
    dut = Requantize(output_width=8, may_wrap=True)
    check(dut, acc, 1 << 30, 0, zero_point, minimum, 127, wraps=wraps)
    check(dut, acc, rng.integers(1 << 30, 1 << 31, len(acc)), rng.integers(0, 20, len(acc)),
          zero_point, minimum, 127, single_rounding=True, wraps=wraps)


def test_may_wrap() -> None:
    dut = Requantize(output_width=8, may_wrap=True)
    assert dict(dut.signature.members)["wraps"] == In(1)
    assert dut.parameters == (32, 8, "may_wrap")
    assert dut.latency == Requantize(output_width=8).latency
