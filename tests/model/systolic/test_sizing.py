"""Sizes of systolic engines that are tried for a board."""

from typing import Any

import pytest

from eieio.model.systolic.config import SystolicConfig
from eieio.model.systolic.sizing import SystolicSizing


@pytest.mark.parametrize("options", [{}, {"depthwise_lanes": 4}, {"depthwise_lanes": 2, "lanes": 2},
                                     {"rows": 16, "depthwise_lanes": 3}])
def test_lanes(options: dict[str, Any]) -> None:
    """A depthwise unit has lanes that divide those of every array."""
    sizing = SystolicSizing()
    choices = list(sizing.sizes(options, network=True))
    unit = options.get("depthwise_lanes", 1)
    assert all(choices)
    found = [SystolicConfig.from_dict({**options, **array})
             for each in choices for array in each
             if array["rows"] % options.get("lanes", 1) == 0
             and array["columns"] % options.get("lanes", 1) == 0]
    assert all(config.lanes % unit == 0 for config in found)
    assert bool(found) == (unit != 3)
    for config in found[:10]:
        for array, in sizing.fewer(config, options):
            assert array.get("lanes", config.lanes) % unit == 0
