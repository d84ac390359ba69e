"""Systolic engines for networks that many measure: see :class:`eieio.model.engine.Engine`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["PRESETS"]

#: Two products of the array for each multiplier, and all others in lookup tables.
_FEW = {"products_per_multiplier": 2, "requantize_multipliers": "lut"}
#: So are those of a unit for depthwise convolutions.
_UNIT = {**_FEW, "depthwise_multipliers": "lut"}

#: For the networks of :mod:`eieio.model.mlperf_tiny`: arrays of 32 processing elements and more,
#: whose memories and multipliers fit an LFE5U-85F, with the most inferences a second for each
#: multiplier, input and output included, or of twice as many elements with nearly as many. "kws"
#: has half of the lanes that would be best, with which it reaches 100 MHz; for a second input of
#: "vww" there is no memory.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "kws": {"rows": 8, "columns": 8, "lanes": 2, "depthwise_lanes": 2, **_UNIT},
    "ic": {"rows": 8, "columns": 8, "lanes": 2, **_FEW},
    "vww": {"rows": 4, "columns": 8, "lanes": 2, "depthwise_lanes": 2, **_UNIT, "input_depth": 0},
    "ad": {"rows": 4, "columns": 16, "lanes": 1, **_FEW},
    "sww": {"rows": 6, "columns": 6, "lanes": 1, "depthwise_lanes": 1, **_UNIT},
})
