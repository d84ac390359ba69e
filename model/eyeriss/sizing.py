"""Which sizes of the row-stationary array there are."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from eieio.model.sizing import Sizing

__all__ = ["EyerissSizing"]

# Rows that no filter is higher than, as a rule.
_ROWS = 12
# Rows and columns that are tried: rows for filters of 3, 5 and more, up to the chip's.
_SHAPES = ((3, 1), (3, 2), (3, 4), (5, 4), (6, 4), (6, 6), (6, 8), (8, 8), (12, 8), (12, 14))


class EyerissSizing(Sizing):
    """Arrays up to the chip's; or any number of PEs, for comparisons."""

    shown = MappingProxyType({"rows": "rows", "columns": "columns"})
    space = MappingProxyType({
        "rows": (3, 4, 5, 6, 8, 10, 12), "columns": (1, 2, 4, 6, 8, 10, 12, 14),
        "bus_words": (1, 2, 4), "filter_words": (64, 128, 224), "psum_words": (16, 24, 32),
    })

    def sizes(self, options: Mapping[str, Any], *, network: bool) -> Iterator[list[dict[str, Any]]]:
        """List arrays of rising size; those too low for a filter of the network cannot be."""
        del network
        shapes = {(options.get("rows", rows), options.get("columns", columns))
                  for rows, columns in _SHAPES}
        for rows, columns in sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape)):
            yield [{"rows": rows, "columns": columns}]

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
