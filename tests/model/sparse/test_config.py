"""Configuration of the sparse engine: ranges, and what follows from the parameters."""

from typing import Any

import pytest

from eieio.model.errors import InputError
from eieio.model.sparse.config import SparseConfig

RANGES = {
    "pes": (1, 256), "queue_depth": (2, 64), "columns_ahead": (4, 12),
    "code_width": (2, 8), "run_width": (3, 8),
    "activation_width": (4, 18), "weight_width": (4, 18), "accumulator_width": (16, 48),
    "entry_depth": (4, 1 << 24), "pointer_depth": (4, 1 << 20), "accumulator_depth": (2, 1 << 14),
    "activation_depth": (2, 1 << 15), "output_depth": (2, 1 << 16), "layer_depth": (1, 256),
    "column_groups": (1, 16), "io_lanes": (1, 256), "pes_per_lane": (1, 16),
}


@pytest.mark.parametrize("option", RANGES)
def test_ranges(option: str) -> None:
    low, high = RANGES[option]
    for value in (low, high):
        # With as many PEs as anything can divide.
        others = {} if option == "pes" else {"pes": 256}
        assert getattr(SparseConfig.from_dict(others | {option: value}), option) == value
    for value in (low - 1, high + 1, float(low), "8", True, None):
        with pytest.raises(InputError) as info:
            SparseConfig.from_dict({option: value})
        assert str(info.value) == (
            f"Option {option} must be an integer from {low} to {high}, not {value!r}")


@pytest.mark.parametrize("option", ["skip_empty_columns", "absorb_fillers", "double_buffered",
                                    "interleaved", "lut_codebooks"])
def test_flags(option: str) -> None:
    for value in (False, True):
        others = {"double_buffered": True} if option == "interleaved" else {}
        assert getattr(SparseConfig.from_dict(others | {option: value}), option) is value
    with pytest.raises(InputError) as info:
        SparseConfig.from_dict({option: 1})
    assert str(info.value) == f"Option {option} must be true or false, not 1"


@pytest.mark.parametrize(("options", "message"), [
    ({"entry_depth": 5}, "Option entry_depth must be even, not 5"),
    ({"pointer_depth": 129}, "Option pointer_depth must be even, not 129"),
    ({"column_groups": 3},
     "Option column_groups must be a power of two that divides pes (16), not 3"),
    ({"pes": 6, "column_groups": 4},
     "Option column_groups must be a power of two that divides pes (6), not 4"),
    ({"column_groups": 4, "accumulator_depth": 4},
     "Option accumulator_depth must be a multiple of column_groups (4) and at least 8, not 4"),
    ({"column_groups": 4, "accumulator_depth": 10},
     "Option accumulator_depth must be a multiple of column_groups (4) and at least 8, not 10"),
    ({"interleaved": True},
     "Option interleaved needs double_buffered: inputs and outputs move beside two inferences"),
    ({"io_lanes": 3}, "Option io_lanes must divide pes (16), not 3"),
    ({"pes": 12, "pes_per_lane": 3},
     "Option pes_per_lane must be a power of two that divides pes / column_groups (12), not 3"),
    ({"column_groups": 4, "pes_per_lane": 8},
     "Option pes_per_lane must be a power of two that divides pes / column_groups (4), not 8"),
])
def test_relations(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as info:
        SparseConfig(**options)
    assert str(info.value) == message


def test_properties() -> None:
    config = SparseConfig(pes=24, column_groups=8, run_width=6, activation_width=8)
    assert config.column_group_choices == (1, 2, 4, 8)
    assert config.run_maximum == 63
    assert config.activation_maximum == 127
    assert config.label.startswith("pes=24, queue_depth=8, ")
    assert "column_groups=8, skip_empty_columns=True" in config.label
    assert SparseConfig().column_group_choices == (1,)
    shared = SparseConfig(pes=16, column_groups=2, pes_per_lane=4)
    assert shared.output_lanes == 4
    # Those of a lane have the same number modulo the column groups.
    assert [shared.output_lane(pe) for pe in (0, 1, 2, 6, 7, 8, 15)] == [
        (0, 0), (1, 0), (0, 1), (0, 3), (1, 3), (2, 0), (3, 3)]


def test_dict() -> None:
    config = SparseConfig(pes=6, absorb_fillers=False)
    assert SparseConfig.from_dict(config.to_dict()) == config
    assert SparseConfig.from_dict({}) == SparseConfig()
    assert hash(SparseConfig.from_dict({"pes": 6})) == hash(SparseConfig(pes=6))
    with pytest.raises(InputError, match=r"^Option 'queue' must be one of pes, queue_depth, "):
        SparseConfig.from_dict({"queue": 8})
