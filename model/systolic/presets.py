"""Systolic engines for networks that many measure: see :class:`eieio.model.engine.Engine`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["PRESETS"]

#: Depthwise convolutions on a unit of two lanes, whose multipliers are lookup tables.
_UNIT = {"depthwise_lanes": 2, "depthwise_multipliers": "lut"}

#: For the networks of :mod:`eieio.model.mlperf_tiny`: of the arrays of 32 processing elements and
#: more whose memories and multipliers fit an LFE5U-85F, those with the most inferences a second for
#: each multiplier, input and output included.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "kws": {"rows": 4, "columns": 8, "lanes": 2, **_UNIT},
    "ic": {"rows": 8, "columns": 4, "lanes": 1, "winograd": 2},
    "vww": {"rows": 4, "columns": 8, "lanes": 2, **_UNIT},
    "ad": {"rows": 4, "columns": 16, "lanes": 1},
    "sww": {"rows": 4, "columns": 8, "lanes": 1, **_UNIT, "depthwise_lanes": 1},
})
