"""Cycles at an error are between those that were measured."""

import pytest

pytest.importorskip("torch")

from eieio.training.recipes.pruning import cycles_at

POINTS = [(2.0, 1600.0), (8.0, 400.0), (4.0, 800.0)]


@pytest.mark.parametrize(("wanted", "cycles"), [
    (2.0, 1600), (4.0, 800), (8.0, 400), (2 ** 1.5, 800 * 2 ** 0.5), (5.0, 640),
    # Beyond what was measured, the nearest.
    (1.0, 1600), (0.0, 1600), (99.0, 400)])
def test_cycles_at_an_error(wanted: float, cycles: float) -> None:
    """On logarithmic scales these points are a line: twice the error, half of the cycles."""
    assert cycles_at(wanted, POINTS) == pytest.approx(cycles)


def test_errors_of_nothing() -> None:
    assert cycles_at(1.0, [(0.0, 100.0), (0.0, 50.0)]) == pytest.approx(100)
