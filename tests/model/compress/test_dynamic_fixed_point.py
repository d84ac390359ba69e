"""Dynamic fixed point: places of the binary point, and rounding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eieio.model.compress.dynamic_fixed_point import FixedPoint, Rule, Statistics, choose, fix
from eieio.model.errors import InputError

RNG = np.random.default_rng(0)


def error(values: np.ndarray, place: FixedPoint) -> float:
    return float(np.mean((fix(values, place) - values) ** 2))


@settings(deadline=None)
@given(bound=st.floats(1e-6, 1e6), bits=st.integers(2, 16))
def test_maximum_is_the_finest_that_does_not_saturate(bound: float, bits: int) -> None:
    """Brute force: of all places, the one with the most bits behind the point that holds it."""
    found = choose(Statistics.of(np.array([bound, -bound / 3])), bits, "maximum")
    fitting = [fraction for fraction in range(-40, 60)
               if np.rint(bound * 2.0 ** fraction) <= 2 ** (bits - 1) - 1]
    assert found == FixedPoint(bits, max(fitting))


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8, 12])
@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform"])
def test_histogram_finds_the_least_error(bits: int, draw: str) -> None:
    """The error is that of the best place of all, but for what a bin's width may hide."""
    values = getattr(RNG, draw)(size=5000)
    best = min(error(values, FixedPoint(bits, fraction)) for fraction in range(-8, 20))
    assert error(values, choose(Statistics.of(values), bits)) <= 1.01 * best


def test_rules_differ_where_few_values_are_large() -> None:
    values = np.append(RNG.normal(size=20_000), 100.0)
    found = {rule: error(values[:-1], choose(Statistics.of(values), 4, rule))
             for rule in ("maximum", "percentile", "histogram")}
    assert found["percentile"] < found["maximum"]
    assert found["histogram"] <= found["maximum"]


@pytest.mark.parametrize("percent", [10.0, 50.0, 99.0, 100.0])
def test_percentile(percent: float) -> None:
    values = RNG.normal(size=10_000)
    found = Statistics.of(values).percentile(percent)
    assert found == pytest.approx(np.percentile(np.abs(values), percent), abs=0.01)
    assert np.mean(np.abs(values) <= found) >= percent / 100


@settings(deadline=None)
@given(bits=st.integers(2, 16), fraction=st.integers(-4, 20),
       value=st.floats(-1000, 1000, width=32))
def test_rounding(bits: int, fraction: int, value: float) -> None:
    """Within the range no other number is nearer; beyond it the ends are taken."""
    place = FixedPoint(bits, fraction)
    found = float(fix(np.array([value], np.float32), place)[0])
    numbers = np.arange(place.lowest, place.highest + 1) * place.step
    assert found in numbers
    assert abs(found - value) == np.min(np.abs(numbers - value))


def test_a_half_goes_to_the_even_number() -> None:
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
    assert fix(halves, FixedPoint(8, 0)).tolist() == [-2, -2, 0, 0, 2, 2]
    assert fix(halves, FixedPoint(8, 0)).dtype == np.float32


def test_zeros_have_a_place() -> None:
    for rule in ("maximum", "percentile", "histogram"):
        place = choose(Statistics.of(np.zeros(5)), 8, rule)
        assert fix(np.zeros(5), place).tolist() == [0] * 5


@pytest.mark.parametrize(("bits", "rule", "percent", "message"), [
    (1, "maximum", 99.0, "Bits must be from 2 to 32, not 1"),
    (33, "maximum", 99.0, "Bits must be from 2 to 32, not 33"),
    (8, "mean", 99.0, "Rule must be 'maximum', 'percentile' or 'histogram', not 'mean'"),
    (8, "percentile", 0.0, "Percentile must be above 0 and up to 100, not 0.0")])
def test_refuses(bits: int, rule: Rule, percent: float, message: str) -> None:
    with pytest.raises(InputError) as error:
        choose(Statistics.of(np.ones(3)), bits, rule, percent)
    assert str(error.value) == message


@pytest.mark.parametrize("values", [np.zeros(0), np.array([1, np.nan])])
def test_refuses_values(values: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"^Values must be some, and finite$"):
        Statistics.of(values)
