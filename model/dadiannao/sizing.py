"""Which sizes of the DaDianNao engine there are."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from eieio.model.dadiannao.fitting import MEMORY_DEPTHS
from eieio.model.sizing import Sizing

__all__ = ["DaDianNaoSizing"]

# The sides of a published tile.
_SIDE = 16


class DaDianNaoSizing(Sizing):
    """One size, that of the options; or any number of multipliers, for comparisons."""

    shown = MappingProxyType({"tiles": "tiles", "inputs": "inputs", "outputs": "outputs"})
    depths = MappingProxyType(MEMORY_DEPTHS)

    def with_multipliers(self, count: int) -> dict[str, int]:
        """Return tiles with as many inputs as outputs, as nearly as many tiles as either."""
        best = min(((tiles, side, outputs) for side in (1, 2, 4, 8, _SIDE)
                    for outputs in (side, side // 2)
                    for tiles in range(1, 65) if outputs and tiles * side * outputs == count),
                   key=lambda shape: (abs(shape[0] - shape[1]), shape[1] - shape[2]), default=None)
        if best is None:
            return {}
        return dict(zip(("tiles", "inputs", "outputs"), best, strict=True))

    def elements(self, config: Mapping[str, Any]) -> str:
        """Say how many multipliers there are."""
        return f"{config['tiles']} x {config['inputs']} x {config['outputs']}"
