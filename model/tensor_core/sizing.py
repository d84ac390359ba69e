"""Which sizes of the tensor core there are."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from eieio.model.sizing import Sizing

__all__ = ["TensorCoreSizing"]

# Rows and columns of a step, at most, and products.
_SIDE, _PRODUCTS = 16, 32


class TensorCoreSizing(Sizing):
    """One size, that of the options; or any number of multipliers, for comparisons."""

    shown = MappingProxyType({"rows": "rows", "columns": "columns", "products": "products"})

    def with_multipliers(self, count: int) -> dict[str, int]:
        """Return the step that is nearest to a cube, if there is one."""
        shapes = [(rows, columns, products)
                  for products in (2, 4, 8, 16, _PRODUCTS) if count % products == 0
                  for columns in range(1, min(_SIDE, products) + 1)
                  if count // products % columns == 0
                  for rows in [count // products // columns] if rows <= _SIDE]
        if not shapes:
            return {}
        rows, columns, products = min(shapes, key=lambda shape: (max(shape) / min(shape), shape))
        return {"rows": rows, "columns": columns, "products": products}

    def elements(self, config: Mapping[str, Any]) -> str:
        """Say which matrices a step multiplies."""
        return f"{config['rows']} x {config['columns']} x {config['products']}"
