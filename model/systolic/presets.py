"""Systolic engines for networks that many measure: see :class:`eieio.model.engine.Engine`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["PRESETS"]

#: For the networks of :mod:`eieio.model.mlperf_tiny`: of the arrays of 32 processing elements and
#: more that fit an LFE5U-85F by the area model, the one with the most inferences a second for each
#: multiplier, input and output included. For "vww" none fits; this one is near.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "kws": {"rows": 4, "columns": 8, "lanes": 1},
    "ic": {"rows": 8, "columns": 4, "lanes": 1, "winograd": 2},
    "vww": {"rows": 4, "columns": 8, "lanes": 1},
    "ad": {"rows": 4, "columns": 16, "lanes": 1},
    "sww": {"rows": 6, "columns": 6, "lanes": 1},
})
