"""Configuration of the systolic engine: ranges, and what follows from the parameters."""

import pytest

from eieio.model.errors import InputError
from eieio.model.systolic.config import SystolicConfig

RANGES = {"rows": (1, 256), "columns": (1, 256), "activation_width": (8, 18),
          "weight_width": (8, 18), "accumulator_width": (16, 32), "product_stages": (1, 3),
          "accumulator_depth": (0, 1 << 16), "activation_depth": (2, 1 << 24),
          "weight_depth": (2, 1 << 24), "parameter_depth": (2, 1 << 16),
          "program_depth": (2, 1 << 12), "depthwise_kernel": (2, 7),
          "depthwise_width": (4, 1 << 14)}


@pytest.mark.parametrize("option", RANGES)
def test_ranges(option: str) -> None:
    low, high = RANGES[option]
    for value in (low, high):
        # Zero stands for a number of the engine's own choice.
        assert getattr(SystolicConfig.from_dict({option: value}), option) == value or not value
    for value in (low - 1, high + 1, float(low), "8", True, None):
        with pytest.raises(InputError) as info:
            SystolicConfig.from_dict({option: value})
        assert str(info.value) == (
            f"Option {option} must be an integer from {low} to {high}, not {value!r}")


@pytest.mark.parametrize(("rows", "operand_width", "accumulator_width", "sum_width"), [
    (1, 8, 32, 16), (2, 8, 32, 17), (3, 8, 32, 18), (16, 8, 32, 20), (17, 8, 32, 21),
    (256, 8, 32, 24), (256, 16, 32, 32), (256, 12, 32, 32), (1, 8, 16, 16), (2, 8, 16, 16)])
def test_sum_width(rows: int, operand_width: int, accumulator_width: int, sum_width: int) -> None:
    config = SystolicConfig(rows=rows, activation_width=operand_width, weight_width=operand_width,
                            accumulator_width=accumulator_width)
    assert config.product_width == 2 * operand_width
    assert config.sum_width == sum_width


def test_properties() -> None:
    config = SystolicConfig(rows=3, columns=5)
    assert config.pes == 15
    assert config.label == ("rows=3, columns=5, activation_width=8, weight_width=8, "
                            "accumulator_width=32, product_stages=1, winograd=0, residual=True, "
                            "lanes=1, accumulator_depth=64, activation_depth=4096, "
                            "weight_depth=8192, parameter_depth=256, program_depth=64")


@pytest.mark.parametrize(("rows", "columns", "lanes"), [
    (16, 16, 8), (8, 12, 4), (3, 5, 1), (5, 5, 5), (22, 11, 1), (14, 7, 7), (1, 1, 1)])
def test_lanes(rows: int, columns: int, lanes: int) -> None:
    config = SystolicConfig(rows=rows, columns=columns)
    assert config.lanes == lanes
    assert (config.word_groups, config.column_groups) == (rows // lanes, columns // lanes)
    with pytest.raises(InputError) as info:
        SystolicConfig(rows=rows, columns=columns, lanes=rows + 1)
    assert str(info.value) == (f"Option lanes must divide rows and columns, {rows} and {columns}, "
                               f"not {rows + 1}")


@pytest.mark.parametrize(("rows", "columns", "lanes", "used"), [
    (16, 16, 8, 16), (8, 12, 4, 8), (4, 3, 1, 2), (12, 8, 4, 4), (12, 8, 2, 6), (3, 5, 1, 3),
    (12, 10, 2, 6), (1, 9, 1, 1)])
def test_channelwise_columns(rows: int, columns: int, lanes: int, used: int) -> None:
    config = SystolicConfig(rows=rows, columns=columns, lanes=lanes)
    assert config.channelwise_columns == used


def test_accumulators() -> None:
    for rows, depth in ((4, 64), (16, 64), (20, 80)):
        assert SystolicConfig(rows=rows).accumulator_depth == depth
    for m, rows, tiles in ((2, 1, 4), (2, 6, 6), (4, 16, 16)):
        config = SystolicConfig.for_winograd(m, rows=rows)
        assert config.winograd_tiles == tiles
        assert config.accumulator_depth == tiles * (m + 2) ** 2


@pytest.mark.parametrize(("width", "weights"), [(8, 4), (9, 2), (16, 2), (17, 1), (18, 1)])
def test_weights_per_word(width: int, weights: int) -> None:
    assert SystolicConfig(weight_width=width).weights_per_word == weights


def test_codes() -> None:
    for code_width, weights, codebooks in ((0, 4, 0), (4, 8, 12), (8, 4, 1)):
        config = SystolicConfig(code_width=code_width, program_depth=12)
        assert config.stored_width == code_width or config.weight_width
        assert (config.weights_per_word, config.codebooks) == (weights, codebooks)
        assert SystolicConfig.from_dict(config.to_dict()) == config
        # As it was before there were codes.
        assert ("code_width" in config.to_dict()) == bool(code_width)


def test_depthwise() -> None:
    config = SystolicConfig(rows=16, columns=8, depthwise_lanes=4)
    assert (config.lanes, config.depthwise_groups, config.depthwise_taps) == (8, 4, 9)
    assert SystolicConfig.from_dict(config.to_dict()) == config
    assert SystolicConfig(depthwise_kernel=5).depthwise_taps == 0


@pytest.mark.parametrize(("options", "message"), [
    ({"depthwise_lanes": 3}, "Option depthwise_lanes must divide lanes, 8, or be 0, not 3"),
    ({"depthwise_lanes": 16}, "Option depthwise_lanes must divide lanes, 8, or be 0, not 16"),
    ({"depthwise_multipliers": "ram"},
     "Option depthwise_multipliers must be dsp or lut, not 'ram'"),
    ({"requantize_multipliers": "ram"},
     "Option requantize_multipliers must be dsp or lut, not 'ram'"),
    ({"products_per_multiplier": 2, "columns": 5},
     "Option columns must be even for products_per_multiplier=2, not 5"),
    ({"products_per_multiplier": 2, "weight_width": 9},
     "Option weight_width must be 8 for products_per_multiplier=2, not 9"),
    ({"products_per_multiplier": 2, "winograd": 2},
     "Option winograd must be 0 for products_per_multiplier=2, not 2"),
    ({"winograd": 3}, "Option winograd must be 0, 2 or 4, not 3"),
    ({"winograd": 2}, "Option activation_width must be at least 10 for winograd=2, not 8"),
    ({"winograd": 4, "activation_width": 18},
     "Option weight_width must be at least 14 for winograd=4, not 8"),
    ({"winograd": 4, "activation_width": 18, "weight_width": 14, "accumulator_depth": 35},
     "Option accumulator_depth must be at least 36 for winograd=4, not 35"),
    ({"code_width": 5}, "Option code_width must be 0, 4 or 8, not 5"),
    ({"code_width": 16}, "Option code_width must be an integer from 0 to 8, not 16"),
    ({"winograd": 2, "activation_width": 10, "weight_width": 12, "code_width": 8},
     "Option code_width must be 0 with winograd=2, whose transformed weights have no codes, not 8"),
    ({"residual": 1}, "Option residual must be true or false, not 1")])
def test_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError) as info:
        SystolicConfig.from_dict(options)
    assert str(info.value) == message


def test_for_winograd() -> None:
    assert SystolicConfig.for_winograd(0, rows=3) == SystolicConfig(rows=3)
    for m in (2, 4):
        config = SystolicConfig.for_winograd(m)
        assert config.activation_width == config.transform.data_width(8)
        assert config.weight_width == config.transform.weight_width(8)
        assert SystolicConfig.for_winograd(m, weight_width=18).weight_width == 18


def test_dict() -> None:
    config = SystolicConfig(rows=6, product_stages=2)
    assert SystolicConfig.from_dict(config.to_dict()) == config
    assert SystolicConfig.from_dict({}) == SystolicConfig()
    assert hash(SystolicConfig.from_dict({"rows": 6})) == hash(SystolicConfig(rows=6))
    with pytest.raises(InputError, match=r"^Option 'size' must be one of rows, columns, "):
        SystolicConfig.from_dict({"size": 8})
