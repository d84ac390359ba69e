"""Which sizes of the mixed engine there are: ``eieio fit`` tries that of the options alone."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from eieio.model.mixed.config import dense_name
from eieio.model.sizing import Sizing
from eieio.model.sparse.fitting import MEMORY_DEPTHS as DENSE_DEPTHS
from eieio.model.systolic.fitting import INPUT_DEPTHS, MEMORY_DEPTHS

__all__ = ["MixedSizing"]


class MixedSizing(Sizing):
    """Rows and columns of the array, and the processing elements of the other engine."""

    shown = MappingProxyType({"rows": "rows", "columns": "columns", "pes": "PEs"})
    depths = MappingProxyType(
        {**{name: depth for name, depth in MEMORY_DEPTHS.items() if name not in INPUT_DEPTHS},
         **{dense_name(name): depth for name, depth in DENSE_DEPTHS.items()}})
    space = MappingProxyType({
        "rows": (2, 3, 4, 6, 8, 10), "columns": (2, 3, 4, 6, 8, 10), "lanes": (1, 2, 4),
        "winograd": (0, 2, 4), "pes": (1, 2, 4, 8, 16), "io_lanes": (1, 2, 4),
    })

    def elements(self, config: Mapping[str, Any]) -> str:
        return f"{config['rows']} x {config['columns']} and {config['pes']}"
