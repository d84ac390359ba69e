"""Which sizes of the row-stationary array there are."""

from collections.abc import Mapping
from math import isqrt
from types import MappingProxyType
from typing import Any

from eieio.model.sizing import Sizing

__all__ = ["EyerissSizing"]


class EyerissSizing(Sizing):
    """One size, that of the options; or any number of PEs, for comparisons."""

    shown = MappingProxyType({"rows": "rows", "columns": "columns"})

    def with_multipliers(self, count: int) -> dict[str, int]:
        """Return the array that is nearest to a square, and not wider than high.

        Rows limit how high a filter can be.
        """
        columns = max(side for side in range(1, isqrt(count) + 1) if count % side == 0)
        return {"rows": count // columns, "columns": columns}

    def elements(self, config: Mapping[str, Any]) -> str:
        """Say how many PEs there are."""
        return f"{config['rows']} x {config['columns']}"
