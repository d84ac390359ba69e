"""Configuration of the systolic engine: ranges, and what follows from the parameters."""

import pytest

from eieio.model.errors import InputError
from eieio.model.systolic.config import SystolicConfig

RANGES = {"rows": (1, 256), "columns": (1, 256), "activation_width": (4, 18),
          "weight_width": (4, 18), "accumulator_width": (16, 48), "product_stages": (1, 3)}


@pytest.mark.parametrize("option", RANGES)
def test_ranges(option: str) -> None:
    low, high = RANGES[option]
    for value in (low, high):
        assert getattr(SystolicConfig.from_dict({option: value}), option) == value
    for value in (low - 1, high + 1, float(low), "8", True, None):
        with pytest.raises(InputError) as info:
            SystolicConfig.from_dict({option: value})
        assert str(info.value) == (
            f"Option {option} must be an integer from {low} to {high}, not {value!r}")


@pytest.mark.parametrize(("rows", "operand_width", "accumulator_width", "sum_width"), [
    (1, 8, 32, 16), (2, 8, 32, 17), (3, 8, 32, 18), (16, 8, 32, 20), (17, 8, 32, 21),
    (256, 8, 32, 24), (256, 16, 32, 32), (256, 16, 48, 40), (1, 8, 16, 16), (2, 8, 16, 16)])
def test_sum_width(rows: int, operand_width: int, accumulator_width: int, sum_width: int) -> None:
    config = SystolicConfig(rows=rows, activation_width=operand_width, weight_width=operand_width,
                            accumulator_width=accumulator_width)
    assert config.product_width == 2 * operand_width
    assert config.sum_width == sum_width


def test_properties() -> None:
    config = SystolicConfig(rows=3, columns=5)
    assert config.pes == 15
    assert config.label == ("rows=3, columns=5, activation_width=8, weight_width=8, "
                            "accumulator_width=32, product_stages=1")


def test_dict() -> None:
    config = SystolicConfig(rows=6, product_stages=2)
    assert SystolicConfig.from_dict(config.to_dict()) == config
    assert SystolicConfig.from_dict({}) == SystolicConfig()
    assert hash(SystolicConfig.from_dict({"rows": 6})) == hash(SystolicConfig(rows=6))
    with pytest.raises(InputError, match=r"^Option 'size' must be one of rows, columns, "):
        SystolicConfig.from_dict({"size": 8})
