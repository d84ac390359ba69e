"""How the size of a mixed engine is shown; a single one is tried, that of the options."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from eieio.model.sizing import Sizing

__all__ = ["MixedSizing"]


class MixedSizing(Sizing):
    """Rows and columns of the array, and the processing elements of the other engine."""

    shown = MappingProxyType({"rows": "rows", "columns": "columns", "pes": "PEs"})

    def elements(self, config: Mapping[str, Any]) -> str:
        return f"{config['rows']} x {config['columns']} and {config['pes']}"
