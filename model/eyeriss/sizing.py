"""Which sizes of the row-stationary array there are."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from eieio.model.sizing import Sizing

__all__ = ["EyerissSizing"]

# Rows that no filter is higher than, as a rule.
_ROWS = 12


class EyerissSizing(Sizing):
    """One size, that of the options; or any number of PEs, for comparisons."""

    shown = MappingProxyType({"rows": "rows", "columns": "columns"})

    def with_multipliers(self, count: int) -> dict[str, int]:
        """Return the array that is nearest to a square of those with the chip's 12 rows or more.

        Rows limit how high a filter can be. Of fewer than 12 it is the one with most rows.
        """
        shapes = [(count // columns, columns) for columns in range(1, count + 1)
                  if count % columns == 0]
        high = [shape for shape in shapes if shape[0] >= _ROWS] or shapes[:1]
        rows, columns = min(high, key=lambda shape: abs(shape[0] - shape[1]))
        return {"rows": rows, "columns": columns}

    def elements(self, config: Mapping[str, Any]) -> str:
        """Say how many PEs there are."""
        return f"{config['rows']} x {config['columns']}"
